//! What partitions share: sealed memfds and eventfds, made once and kept for as long as the system runs.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::vm::memory::create;

/// Gives all pages back: the next VM finds zeros. Those who have it mapped see zeros too.
///
/// # Errors
/// What `fallocate` says.
pub fn clear(file: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain calls on our own descriptor.
    unsafe {
        let length = libc::lseek(file.as_raw_fd(), 0, libc::SEEK_END);
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        if length < 0 || libc::fallocate(file.as_raw_fd(), mode, 0, length) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Descriptors by name: memory `ram-P` and `pool-P` of partition P, its words of the doorbell `bell-P-QUEUE`.
#[derive(Debug, Default)]
pub struct Made(BTreeMap<String, OwnedFd>);

impl Made {
    /// The memory of this name, made if it isn't there.
    ///
    /// # Errors
    /// As [`create`].
    pub fn get(&mut self, name: &str, size: u64, huge: bool) -> io::Result<&OwnedFd> {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), create(name, size, huge)?.0);
        }
        self.0.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The eventfd of this name, made if it isn't there.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn event(&mut self, name: &str) -> io::Result<&OwnedFd> {
        if !self.0.contains_key(name) {
            // SAFETY: no pointers; the result is checked.
            let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if raw < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: a fresh descriptor.
            self.0.insert(name.to_owned(), unsafe { OwnedFd::from_raw_fd(raw) });
        }
        self.0.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// What a VMM process handed back.
    pub fn adopt(&mut self, name: &str, file: OwnedFd) {
        self.0.entry(name.to_owned()).or_insert(file);
    }

    /// Whether there is memory of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Clears the memory of a partition that is started anew.
    ///
    /// # Errors
    /// As [`clear`].
    pub fn clear(&self, partition: &str) -> io::Result<()> {
        for kind in ["ram", "pool"] {
            if let Some(file) = self.0.get(&format!("{kind}-{partition}")) {
                clear(file)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn sealed_memory_keeps_its_size_and_is_zero_after_clearing() {
        let file = File::from(create("test", 2 << 20, false).unwrap().0);
        file.write_at(b"secret", 4096).unwrap();
        assert!(file.set_len(4096).is_err() && file.set_len(4 << 20).is_err());
        let fd = OwnedFd::from(file);
        clear(&fd).unwrap();
        let mut bytes = [1; 6];
        File::from(fd).read_exact_at(&mut bytes, 4096).unwrap();
        assert_eq!(bytes, [0; 6]);
    }
}
