//! Ports of the machine that the plan gives to the VM, by `/dev/port`: a safety partition's own sounder, for one.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::vm::bus::Registers;

/// A range of ports.
pub struct HostPorts {
    /// `/dev/port`.
    pub file: File,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

impl HostPorts {
    fn place(&self, offset: u64, length: usize) -> Option<u64> {
        let at = u64::from(self.first) + offset;
        (length <= 4 && at + length as u64 - 1 <= u64::from(self.last)).then_some(at)
    }
}

impl Registers for HostPorts {
    fn read(&self, offset: u64, data: &mut [u8]) {
        if let Some(at) = self.place(offset, data.len()) {
            // A port that can't be read is one where nobody answers.
            let _ = self.file.read_exact_at(data, at);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let Some(at) = self.place(offset, data.len()) {
            let _ = self.file.write_all_at(data, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_that_reaches_beyond_the_range_touches_nothing() {
        let (fd, _) = crate::vm::memory::create("ports", 4096, false).unwrap();
        let file = File::from(fd);
        let ports = HostPorts {
            file: file.try_clone().unwrap(),
            first: 0x40,
            last: 0x43,
        };

        ports.write(2, &[1, 2, 3, 4]);
        ports.write(3, &[9]);
        let mut seen = [0xff; 4];
        ports.read(0, &mut seen);

        assert_eq!(seen, [0, 0, 0, 9]);
        let mut beyond = [0];
        file.read_exact_at(&mut beyond, 0x44).unwrap();
        assert_eq!(beyond, [0]);
    }
}
