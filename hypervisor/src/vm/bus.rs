//! Who answers which port and which address.

use std::sync::Arc;

/// Registers of a device. The guest chooses offset, length (1 to 8 bytes) and data: everything must be expected.
pub trait Registers: Send + Sync {
    /// Fills `data`; what has no meaning is left as it is (all ones, as on a bus where nobody answers).
    fn read(&self, offset: u64, data: &mut [u8]);

    /// Takes `data`; what has no meaning is thrown away.
    fn write(&self, offset: u64, data: &[u8]);
}

/// A range of addresses and its device.
struct Place {
    first: u64,
    last: u64,
    device: Arc<dyn Registers>,
}

/// One address space; made at set-up, never changed.
#[derive(Default)]
pub struct Space(Vec<Place>);

impl Space {
    /// Puts a device at `first..=last`; of overlapping ones the first answers.
    pub fn insert(&mut self, first: u64, last: u64, device: Arc<dyn Registers>) {
        self.0.push(Place { first, last, device });
    }

    /// A guest's read.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        data.fill(0xff);
        if let Some((place, offset)) = self.find(address) {
            place.device.read(offset, data);
        }
    }

    /// A guest's write.
    pub fn write(&self, address: u64, data: &[u8]) {
        if let Some((place, offset)) = self.find(address) {
            place.device.write(offset, data);
        }
    }

    fn find(&self, address: u64) -> Option<(&Place, u64)> {
        let place = self
            .0
            .iter()
            .find(|place| (place.first..=place.last).contains(&address))?;
        Some((place, address - place.first))
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
