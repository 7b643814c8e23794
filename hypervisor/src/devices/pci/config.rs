//! Configuration space of an emulated function: 256 bytes of which the guest may write some.

use super::bars::{self, Bars, Decoded};

/// Header fields of a function (PCI 3.0, 6.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Revision.
    pub revision: u8,
    /// Class code: base class, subclass, interface.
    pub class: u32,
    /// Subsystem vendor and device.
    pub subsystem: (u16, u16),
}

/// The space.
pub struct Space {
    bytes: [u8; 256],
    writable: [u8; 256],
    end: usize,
    last: usize,
    /// Base address registers.
    pub bars: Bars,
}

pub const COMMAND: usize = 4;
const STATUS: usize = 6;
const CAPABILITIES: usize = 0x34;

impl Space {
    /// A header of type 0 without capabilities.
    pub fn new(identity: Identity) -> Self {
        let mut space = Self {
            bytes: [0; 256],
            writable: [0; 256],
            end: 0x40,
            last: CAPABILITIES - 1,
            bars: Bars::default(),
        };
        space.put(0, &identity.vendor.to_le_bytes());
        space.put(2, &identity.device.to_le_bytes());
        space.put(8, &[identity.revision]);
        space.put(9, &identity.class.to_le_bytes()[..3]);
        space.put(0x2c, &identity.subsystem.0.to_le_bytes());
        space.put(0x2e, &identity.subsystem.1.to_le_bytes());
        // Ports, memory, bus master, interrupt disable; cache line size; interrupt line.
        space.allow(COMMAND, &[0x07, 0x04]);
        space.allow(0x0c, &[0xff]);
        space.allow(0x3c, &[0xff]);
        space
    }

    /// Adds a capability whose bytes follow id and link; gives its offset. `writable` is the mask of those bytes.
    pub fn add_capability(&mut self, id: u8, content: &[u8], writable: &[u8]) -> usize {
        let at = self.end;
        self.put(at, &[id, 0]);
        self.put(at + 2, content);
        self.allow(at + 2, writable);
        let link = self.last + 1;
        self.put(link, &[at as u8]);
        self.bytes[STATUS] |= 0x10;
        self.last = at;
        self.end = (at + 2 + content.len()).next_multiple_of(4);
        at
    }

    /// Overwrites bytes, for the device.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn allow(&mut self, at: usize, mask: &[u8]) {
        self.writable[at..at + mask.len()].copy_from_slice(mask);
    }

    /// A 16-bit register.
    pub fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// A 32-bit register.
    pub fn word(&self, at: usize) -> u32 {
        u32::from(self.half(at)) | u32::from(self.half(at + 2)) << 16
    }

    /// The ranges that the function answers as the guest set its command register and its BARs.
    pub fn decoded(&self) -> Vec<Decoded> {
        self.bars.decoded(self.half(COMMAND))
    }

    /// A guest's read; beyond 256 bytes there is nothing (zeros end the list of extended capabilities).
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        let at = usize::from(offset);
        if bars::PLACE.contains(&at) {
            self.bars.config_read(at, data);
        } else {
            data.fill(0);
            if let Some(bytes) = self.bytes.get(at..at + data.len()) {
                data.copy_from_slice(bytes);
            }
        }
    }

    /// A guest's write.
    pub fn write(&mut self, offset: u16, data: &[u8]) {
        let at = usize::from(offset);
        if bars::PLACE.contains(&at) {
            self.bars.config_write(at, data);
        } else if at + data.len() <= self.bytes.len() {
            for (index, byte) in data.iter().enumerate() {
                let mask = self.writable[at + index];
                let old = self.bytes[at + index];
                self.bytes[at + index] = old & !mask | byte & mask;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        Space::new(Identity {
            vendor: 0x1af4,
            device: 0x1059,
            revision: 1,
            class: 0x04_0100,
            subsystem: (1, 2),
        })
    }

    fn read(space: &Space, offset: u16) -> u32 {
        let mut data = [0; 4];
        space.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn the_header_tells_who_it_is_and_can_not_be_overwritten() {
        let mut space = space();

        space.write(0, &[0; 4]);
        space.write(8, &[0; 4]);

        assert_eq!(read(&space, 0), 0x1059_1af4);
        assert_eq!(read(&space, 8), 0x0401_0001);
        assert_eq!(read(&space, 0x2c), 0x0002_0001);
    }

    #[test]
    fn capabilities_are_linked_in_order() {
        let mut space = space();
        let first = space.add_capability(0x11, &[0; 10], &[0, 0xc0]);
        let second = space.add_capability(9, &[7; 14], &[]);

        assert_eq!(read(&space, 0x34) & 0xff, first as u32);
        assert_eq!(read(&space, first as u16) & 0xffff, 0x11 | (second as u32) << 8);
        assert_eq!(read(&space, second as u16) & 0xffff, 9);
        assert_ne!(space.half(STATUS) & 0x10, 0);
        space.write(first as u16, &[0xff; 4]);
        assert_eq!(read(&space, first as u16) >> 16, 0xc000);
    }
}
