//! Who answers which port and which address.

use std::ops::RangeInclusive;
use std::sync::Arc;

/// Registers of a device. The guest chooses offset, length (1 to 8 bytes) and data: everything must be expected.
pub trait Registers: Send + Sync {
    /// Fills `data`; what has no meaning is left as it is (all ones, as on a bus where nobody answers).
    fn read(&self, offset: u64, data: &mut [u8]);

    /// Takes `data`; what has no meaning is thrown away.
    fn write(&self, offset: u64, data: &[u8]);
}

/// One address space: ranges of addresses and their devices; made at set-up, never changed.
#[derive(Default)]
pub struct Space(Vec<(RangeInclusive<u64>, Arc<dyn Registers>)>);

impl Space {
    /// Puts a device at `first..=last`; of overlapping ones the first answers.
    pub fn insert(&mut self, first: u64, last: u64, device: Arc<dyn Registers>) {
        self.0.push((first..=last, device));
    }

    /// A guest's read.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        data.fill(0xff);
        if let Some((device, offset)) = self.find(address) {
            device.read(offset, data);
        }
    }

    /// A guest's write.
    pub fn write(&self, address: u64, data: &[u8]) {
        if let Some((device, offset)) = self.find(address) {
            device.write(offset, data);
        }
    }

    fn find(&self, address: u64) -> Option<(&Arc<dyn Registers>, u64)> {
        let (range, device) = self.0.iter().find(|(range, _)| range.contains(&address))?;
        Some((device, address - range.start()))
    }
}

/// Both address spaces of a VM.
#[derive(Default)]
pub struct Bus {
    /// x86's I/O ports.
    pub ports: Space,
    /// Memory-mapped registers.
    pub memory: Space,
}
