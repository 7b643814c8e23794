//! PCI bus 0 by configuration ports (mechanism 1): finds the sound device and its registers.

use crate::port::{in32, out32};

const VIRTIO: u32 = 0x1af4;
/// 0x1040 + 25 (virtio 1.x, "PCI Device Discovery").
const SOUND: u32 = 0x1059;
const VENDOR_SPECIFIC: u8 = 9;
const MSIX: u8 = 0x11;
/// Where a BAR goes that the firmware left above what is mapped; inside the PCI hole of q35 and of Carillon's hypervisor.
const HOLE: u64 = 0xd000_0000;

/// One function's configuration space.
#[derive(Clone, Copy)]
pub struct Function(u32);

/// Where a function's registers are.
#[derive(Clone, Copy, Default)]
pub struct Registers {
    /// Common configuration.
    pub common: u64,
    /// Notifications.
    pub notify: u64,
    /// Bytes between two queues' notifications.
    pub multiplier: u32,
    /// Device configuration.
    pub device: u64,
    /// MSI-X table, if there is one.
    pub table: Option<u64>,
}

impl Function {
    fn read(self, offset: u8) -> u32 {
        out32(0xcf8, 0x8000_0000 | self.0 << 8 | u32::from(offset & 0xfc));
        in32(0xcfc)
    }

    fn write(self, offset: u8, value: u32) {
        out32(0xcf8, 0x8000_0000 | self.0 << 8 | u32::from(offset & 0xfc));
        out32(0xcfc, value);
    }

    /// Device number on bus 0.
    pub fn slot(self) -> u32 {
        self.0 >> 3
    }

    /// The first virtio-sound device of bus 0.
    pub fn sound() -> Option<Self> {
        (0..32)
            .map(|slot| Self(slot << 3))
            .find(|it| it.read(0) == SOUND << 16 | VIRTIO)
    }

    /// All functions 0 of bus 0.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..32).map(|slot| Self(slot << 3)).filter(|it| it.read(0) != u32::MAX)
    }

    /// The first HD audio controller (class 04.03).
    pub fn codec() -> Option<Self> {
        Self::all().find(|it| it.read(8) >> 16 == 0x0403)
    }

    /// Takes its memory, ports and bus mastering away.
    pub fn disable(self) {
        self.write(4, self.read(4) & 0xffff & !7);
    }

    /// Gives it memory and bus mastering; the address of a BAR.
    pub fn enable(self, bar: u8) -> u64 {
        let address = self.bar(bar);
        self.write(4, self.read(4) & 0xffff | 6);
        address
    }

    /// Address of a memory BAR; moved where it is mapped, if need be.
    fn bar(self, index: u8) -> u64 {
        let offset = 0x10 + 4 * index;
        let low = self.read(offset);
        let wide = low & 6 == 4;
        let high = if wide { self.read(offset + 4) } else { 0 };
        let address = u64::from(high) << 32 | u64::from(low & !15);
        if high == 0 && address != 0 {
            return address;
        }
        let place = HOLE + (u64::from(index) << 20);
        self.write(offset, place as u32);
        if wide {
            self.write(offset + 4, 0);
        }
        place
    }

    /// Walks the capabilities; switches on memory and bus mastering.
    pub fn registers(self) -> Registers {
        let mut found = Registers::default();
        let mut at = (self.read(0x34) & 0xfc) as u8;
        // A list that loops ends too: there are at most 48 places in it.
        for _ in 0..48 {
            if at == 0 {
                break;
            }
            let head = self.read(at);
            let place = |word: u8, bar: u32| self.bar(bar as u8 & 7) + u64::from(self.read(at + word));
            match head as u8 {
                VENDOR_SPECIFIC => {
                    let bar = self.read(at + 4);
                    match head >> 24 {
                        1 => found.common = place(8, bar),
                        2 => {
                            found.notify = place(8, bar);
                            found.multiplier = self.read(at + 16);
                        }
                        4 => found.device = place(8, bar),
                        _ => {}
                    }
                }
                MSIX => {
                    let table = self.read(at + 4);
                    found.table = Some(self.bar(table as u8 & 7) + u64::from(table & !7));
                    self.write(at, head & 0x3fff_ffff | 0x8000_0000); // enabled, not masked
                }
                _ => {}
            }
            at = (head >> 8) as u8 & 0xfc;
        }
        self.write(4, self.read(4) | 6);
        found
    }
}
