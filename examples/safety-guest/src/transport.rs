//! The virtio transport: PCI with MSI-X (halting), or MMIO (polled).

use crate::apic;
use crate::pci::{Function, Registers};

const ACKNOWLEDGE: u32 = 1;
const DRIVER: u32 = 2;
const DRIVER_OK: u32 = 4;
const FEATURES_OK: u32 = 8;
const FAILED: u32 = 128;
const VERSION_1: u32 = 1; // bit 32
const ACCESS_PLATFORM: u32 = 2; // bit 33
const MAGIC: u32 = 0x7472_6976;
const SOUND: u32 = 25;
const NO_VECTOR: u16 = 0xffff;

/// See the module.
#[derive(Clone, Copy)]
pub enum Transport {
    /// Registers of a PCI function.
    Pci(Registers),
    /// Base of a register block.
    Mmio(u64),
}

/// Addresses of a queue's three parts.
pub struct Rings {
    /// Descriptor table.
    pub descriptors: u64,
    /// Available ring.
    pub available: u64,
    /// Used ring.
    pub used: u64,
}

fn read32(address: u64) -> u32 {
    // SAFETY: addresses come from the device's BARs or the command line; all of the first 4 GiB is mapped.
    unsafe { (address as *const u32).read_volatile() }
}

fn write32(address: u64, value: u32) {
    // SAFETY: as in read32.
    unsafe { (address as *mut u32).write_volatile(value) }
}

fn write16(address: u64, value: u16) {
    // SAFETY: as in read32.
    unsafe { (address as *mut u16).write_volatile(value) }
}

fn read8(address: u64) -> u8 {
    // SAFETY: as in read32.
    unsafe { (address as *const u8).read_volatile() }
}

fn read16(address: u64) -> u16 {
    // SAFETY: as in read32.
    unsafe { (address as *const u16).read_volatile() }
}

fn write64(address: u64, value: u64) {
    write32(address, value as u32);
    write32(address + 4, (value >> 32) as u32);
}

impl Transport {
    /// The device at this MMIO address, or the first on PCI.
    pub fn find(mmio: Option<u64>) -> Option<Self> {
        match mmio {
            Some(base) => {
                let there = read32(base) == MAGIC && read32(base + 4) == 2 && read32(base + 8) == SOUND;
                there.then_some(Self::Mmio(base))
            }
            None => Function::sound().map(|function| Self::Pci(function.registers())),
        }
    }

    /// Whether completions interrupt.
    pub fn interrupts(self) -> bool {
        matches!(self, Self::Pci(Registers { table: Some(_), .. }))
    }

    fn status(self) -> u32 {
        match self {
            Self::Pci(at) => u32::from(read8(at.common + 0x14)),
            Self::Mmio(base) => read32(base + 0x70),
        }
    }

    fn set_status(self, status: u32) {
        match self {
            // SAFETY: as in read32.
            Self::Pci(at) => unsafe { ((at.common + 0x14) as *mut u8).write_volatile(status as u8) },
            Self::Mmio(base) => write32(base + 0x70, status),
        }
    }

    /// Offsets of feature select, feature, driver select, driver feature.
    fn features(self) -> [u64; 4] {
        match self {
            Self::Pci(at) => [0, 4, 8, 12].map(|offset| at.common + offset),
            Self::Mmio(base) => [0x14, 0x10, 0x24, 0x20].map(|offset| base + offset),
        }
    }

    /// Reset to FEATURES_OK: VERSION_1, and ACCESS_PLATFORM where it is offered. False if the device won't.
    pub fn begin(self) -> bool {
        self.set_status(0);
        if apic::wait(1000, false, || self.status() == 0).is_err() {
            return false;
        }
        self.set_status(ACKNOWLEDGE | DRIVER);
        let [select, offered, driver_select, accepted] = self.features();
        write32(select, 1);
        let high = read32(offered) & (VERSION_1 | ACCESS_PLATFORM);
        for (half, bits) in [(0, 0), (1, high)] {
            write32(driver_select, half);
            write32(accepted, bits);
        }
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
        let good = high & VERSION_1 != 0 && self.status() & FEATURES_OK != 0;
        if !good {
            self.set_status(FAILED);
        }
        good
    }

    /// The device's features, bits 0 to 63.
    pub fn offered(self) -> u64 {
        let [select, offered, ..] = self.features();
        let half = |index: u32| {
            write32(select, index);
            u64::from(read32(offered))
        };
        half(0) | half(1) << 32
    }

    /// Resets the device and offers it to accept these; whether it does. It is to be reset again after that.
    pub fn accepts(self, features: u64) -> bool {
        self.set_status(0);
        if apic::wait(1000, false, || self.status() == 0).is_err() {
            return false;
        }
        self.set_status(ACKNOWLEDGE | DRIVER);
        let [_, _, select, accepted] = self.features();
        for half in [0, 1] {
            write32(select, half);
            write32(accepted, (features >> (32 * half)) as u32);
        }
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
        self.status() & FEATURES_OK != 0
    }

    /// Resets it; whether it comes to an end.
    pub fn reset(self) -> bool {
        self.set_status(0);
        apic::wait(1000, false, || self.status() == 0).is_ok()
    }

    /// Masks or unmasks the queues' vector; false where there is none.
    pub fn mask(self, masked: bool) -> bool {
        let Self::Pci(Registers { table: Some(table), .. }) = self else {
            return false;
        };
        write32(table + 12, u32::from(masked));
        true
    }

    /// One vector for all queues.
    pub fn route_interrupts(self) {
        let Self::Pci(Registers {
            table: Some(table),
            common,
            ..
        }) = self
        else {
            return;
        };
        let (address, data) = apic::bell_message();
        write64(table, address);
        write32(table + 8, data);
        write32(table + 12, 0); // not masked
        write16(common + 0x10, NO_VECTOR); // configuration changes
    }

    /// The largest size of a queue; 0 = there is none.
    pub fn queue_limit(self, queue: u16) -> u16 {
        match self {
            Self::Pci(at) => {
                write16(at.common + 0x16, queue);
                read16(at.common + 0x18)
            }
            Self::Mmio(base) => {
                write32(base + 0x30, u32::from(queue));
                read32(base + 0x34) as u16
            }
        }
    }

    /// Sets up and enables a queue.
    pub fn set_queue(self, queue: u16, size: u16, rings: &Rings) {
        match self {
            Self::Pci(at) => {
                write16(at.common + 0x16, queue);
                write16(at.common + 0x18, size);
                write16(at.common + 0x1a, if at.table.is_some() { 0 } else { NO_VECTOR });
                write64(at.common + 0x20, rings.descriptors);
                write64(at.common + 0x28, rings.available);
                write64(at.common + 0x30, rings.used);
                write16(at.common + 0x1c, 1);
            }
            Self::Mmio(base) => {
                write32(base + 0x30, u32::from(queue));
                write32(base + 0x38, u32::from(size));
                write64(base + 0x80, rings.descriptors);
                write64(base + 0x90, rings.available);
                write64(base + 0xa0, rings.used);
                write32(base + 0x44, 1);
            }
        }
    }

    /// Where a queue's notification is written.
    pub fn doorbell(self, queue: u16) -> u64 {
        match self {
            Self::Pci(at) => {
                write16(at.common + 0x16, queue);
                at.notify + u64::from(read16(at.common + 0x1e)) * u64::from(at.multiplier)
            }
            Self::Mmio(base) => base + 0x50,
        }
    }

    /// Rings it.
    pub fn notify(self, doorbell: u64, queue: u16) {
        match self {
            Self::Pci(_) => write16(doorbell, queue),
            Self::Mmio(_) => write32(doorbell, u32::from(queue)),
        }
    }

    /// The device may go.
    pub fn finish(self) {
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    }

    /// A word of the device configuration.
    pub fn config(self, offset: u64) -> u32 {
        match self {
            Self::Pci(at) => read32(at.device + offset),
            Self::Mmio(base) => read32(base + 0x100 + offset),
        }
    }
}
