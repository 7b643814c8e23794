//! PCI bus 0: a host bridge and up to 31 functions, found by ports 0xcf8/0xcfc or by ECAM.
//!
//! Base address registers are assigned before the guest starts, as firmware would; a guest may move them inside the
//! windows. What is decoded where is looked up in a table that each write to a function's configuration refreshes:
//!
//! ```text
//!  config write ──► function ──► BARs + command register ──► decoded ranges ──► table ──► memory and port accesses
//!                       └─ tells the function when its ranges change: doorbells and memory slots move with them
//! ```

pub mod bars;
pub mod config;
pub mod msix;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use self::bars::{Decoded, Window};
use self::config::{Identity, Space};
use super::lock;
use crate::arch::layout;
use crate::vm::bus::Registers;
use crate::vm::error::{Fault, refuse};

/// A PCI function. The bus asks only for accesses of 1, 2 or 4 bytes inside an aligned word of configuration space.
pub trait Function: Send {
    /// Its configuration space.
    fn space(&mut self) -> &mut Space;

    /// A read of configuration space; `offset` is below 4096.
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.space().read(offset, data);
    }

    /// A write to configuration space.
    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.space().write(offset, data);
    }

    /// The decoded ranges are now these.
    fn moved(&mut self, _decoded: &[Decoded]) {}

    /// A read inside a decoded range.
    fn bar_read(&mut self, _bar: u8, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    /// A write inside a decoded range.
    fn bar_write(&mut self, _bar: u8, _offset: u64, _data: &[u8]) {}
}

/// A function without registers, as the host bridge in slot 0.
impl Function for Space {
    fn space(&mut self) -> &mut Self {
        self
    }
}

/// The host bridge is QEMU's generic PCI host (1b36:0008), which no driver binds to.
pub const HOST_BRIDGE: Identity = Identity {
    vendor: 0x1b36,
    device: 0x0008,
    revision: 0,
    class: 0x06_0000,
    subsystem: (0x1af4, 0x1100),
};

/// Slots of a bus.
pub const SLOTS: usize = 32;

type Slot = Mutex<Box<dyn Function>>;

/// Bus 0.
pub struct Root {
    address: Mutex<u32>,
    slots: Vec<Slot>,
    table: RwLock<Vec<(usize, Decoded)>>,
}

impl Root {
    /// A bus with these functions in slots 0, 1, 2...; their BARs are assigned here.
    ///
    /// # Errors
    /// More functions or BARs than there is room for.
    pub fn new(mut functions: Vec<Box<dyn Function>>) -> Result<Self, Fault> {
        if functions.len() > SLOTS {
            refuse!("{} PCI devices: at most {} fit", functions.len() - 1, SLOTS - 1);
        }
        let mut memory = Window::new(layout::PCI_MEMORY, layout::PCI_MEMORY_END);
        let mut ports = Window::new(layout::PCI_PORTS, layout::PCI_PORTS_LAST + 1);
        for function in &mut functions {
            function
                .space()
                .bars
                .assign(&mut memory, &mut ports)
                .map_err(Fault::plan)?;
        }
        let slots = functions.into_iter().map(Mutex::new).collect();
        Ok(Self {
            address: Mutex::new(0),
            slots,
            table: RwLock::default(),
        })
    }

    fn config_read(&self, slot: usize, offset: u16, data: &mut [u8]) {
        if let Some(function) = self.slots.get(slot).filter(|_| is_in_word(offset, data.len())) {
            lock(function).config_read(offset, data);
        }
    }

    fn config_write(&self, slot: usize, offset: u16, data: &[u8]) {
        let Some(function) = self.slots.get(slot).filter(|_| is_in_word(offset, data.len())) else {
            return;
        };
        let mut function = lock(function);
        function.config_write(offset, data);
        let decoded = function.space().decoded();
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let before: Vec<Decoded> = table
            .iter()
            .filter(|(of, _)| *of == slot)
            .map(|(_, range)| *range)
            .collect();
        if before != decoded {
            table.retain(|(of, _)| *of != slot);
            table.extend(decoded.iter().map(|range| (slot, *range)));
            drop(table);
            function.moved(&decoded);
        }
    }

    /// The function that decodes an address, and the place in its BAR.
    fn find(&self, is_port: bool, address: u64, length: usize) -> Option<(&Slot, u8, u64)> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let (slot, range) = table.iter().find(|(_, range)| range.holds(is_port, address, length))?;
        Some((self.slots.get(*slot)?, range.bar, address - range.address))
    }
}

/// Configuration space is accessed in words or in parts of one.
fn is_in_word(offset: u16, length: usize) -> bool {
    offset < 4096 && matches!(length, 1 | 2 | 4) && usize::from(offset % 4) + length <= 4
}

/// Ports 0xcf8 (address) and 0xcfc (data): configuration mechanism #1 (PCI 3.0, 3.2.2.3.2).
pub struct ConfigPorts(pub Arc<Root>);

impl ConfigPorts {
    /// Slot and offset of an access to the data port; none for other buses and functions, which aren't there.
    fn target(&self, port: u64) -> Option<(usize, u16)> {
        let address = *lock(&self.0.address);
        (address & 0x80ff_0700 == 0x8000_0000).then(|| {
            let offset = (address & 0xfc) as u16 + (port & 3) as u16;
            ((address >> 11 & 31) as usize, offset)
        })
    }
}

impl Registers for ConfigPorts {
    fn read(&self, offset: u64, data: &mut [u8]) {
        match offset {
            0 if data.len() == 4 => data.copy_from_slice(&lock(&self.0.address).to_le_bytes()),
            4..8 => {
                if let Some((slot, offset)) = self.target(offset) {
                    self.0.config_read(slot, offset, data);
                }
            }
            _ => {}
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        match (offset, <[u8; 4]>::try_from(data)) {
            (0, Ok(address)) => *lock(&self.0.address) = u32::from_le_bytes(address),
            (4..8, _) => {
                if let Some((slot, offset)) = self.target(offset) {
                    self.0.config_write(slot, offset, data);
                }
            }
            _ => {}
        }
    }
}

/// Memory-mapped configuration space (PCI Express 6.0, 7.2.2).
pub struct Ecam(pub Arc<Root>);

impl Ecam {
    fn target(offset: u64) -> Option<(usize, u16)> {
        (offset & 0x7000 == 0).then_some(((offset >> 15) as usize, (offset & 0xfff) as u16))
    }
}

impl Registers for Ecam {
    fn read(&self, offset: u64, data: &mut [u8]) {
        if let Some((slot, offset)) = Self::target(offset) {
            self.0.config_read(slot, offset, data);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let Some((slot, offset)) = Self::target(offset) {
            self.0.config_write(slot, offset, data);
        }
    }
}

/// A window of BARs: memory, or ports.
pub struct BarWindow {
    /// The bus.
    pub root: Arc<Root>,
    /// Ports?
    pub is_port: bool,
    /// First address of the window.
    pub first: u64,
}

impl Registers for BarWindow {
    fn read(&self, offset: u64, data: &mut [u8]) {
        if let Some((function, bar, offset)) = self.root.find(self.is_port, self.first + offset, data.len()) {
            lock(function).bar_read(bar, offset, data);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let Some((function, bar, offset)) = self.root.find(self.is_port, self.first + offset, data.len()) {
            lock(function).bar_write(bar, offset, data);
        }
    }
}

#[cfg(test)]
mod tests;
