//! Base address registers (PCI 3.0, 6.2.5.1): sizing, moving, and what is decoded.

use crate::arch::layout;

/// Where they are in configuration space.
pub const PLACE: std::ops::Range<usize> = 0x10..0x28;

/// What a BAR decodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Memory below 4 GiB.
    Memory32,
    /// Memory, two registers wide. It is decoded only inside the window, which is below 4 GiB.
    Memory64,
    /// I/O ports.
    Ports,
}

#[derive(Clone, Copy, Debug)]
struct Bar {
    kind: Kind,
    /// A power of two.
    size: u64,
    address: u64,
}

/// A range that a function decodes now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decoded {
    /// The BAR's number.
    pub bar: u8,
    /// Ports, or memory.
    pub is_port: bool,
    /// First address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
}

impl Decoded {
    /// Is this whole access in the range?
    pub fn holds(&self, is_port: bool, address: u64, length: usize) -> bool {
        let end = address.saturating_add(length as u64);
        self.is_port == is_port && address >= self.address && end <= self.address + self.size
    }
}

/// Where BARs are placed one after another.
pub struct Window {
    next: u64,
    end: u64,
}

impl Window {
    /// An empty window.
    pub fn new(first: u64, end: u64) -> Self {
        Self { next: first, end }
    }

    fn take(&mut self, size: u64) -> Result<u64, String> {
        let at = self.next.next_multiple_of(size);
        if size > self.end || at > self.end - size {
            return Err(format!(
                "a PCI device's BAR of {size:#x} bytes doesn't fit: pass fewer or smaller devices"
            ));
        }
        self.next = at + size;
        Ok(at)
    }
}

/// The six registers of a function.
#[derive(Clone, Debug, Default)]
pub struct Bars([Option<Bar>; 6]);

/// Bits of the command register.
pub const COMMAND_PORTS: u16 = 1;
/// Memory is decoded.
pub const COMMAND_MEMORY: u16 = 2;

impl Bars {
    /// Adds a BAR; its size is rounded up to a power of two, at least 16 bytes of memory or 4 ports.
    pub fn add(&mut self, bar: u8, kind: Kind, size: u64) {
        let least = if kind == Kind::Ports { 4 } else { 16 };
        if let Some(slot) = self.0.get_mut(usize::from(bar)) {
            *slot = Some(Bar {
                kind,
                size: size.max(least).next_power_of_two(),
                address: 0,
            });
        }
    }

    /// Gives each an address.
    ///
    /// # Errors
    /// A window is full.
    pub fn assign(&mut self, memory: &mut Window, ports: &mut Window) -> Result<(), String> {
        for bar in self.0.iter_mut().flatten() {
            // At least a page each, so that ranges of different functions share none.
            bar.address = match bar.kind {
                Kind::Ports => ports.take(bar.size)?,
                Kind::Memory32 | Kind::Memory64 => memory.take(bar.size.max(4096))?,
            };
        }
        Ok(())
    }

    /// The register at configuration offset 0x10 + 4 * `register`.
    pub fn read(&self, register: usize) -> u32 {
        match (
            self.bar(register),
            register.checked_sub(1).and_then(|lower| self.bar(lower)),
        ) {
            (Some(bar), _) => {
                let flags = match bar.kind {
                    Kind::Memory32 => 0,
                    Kind::Memory64 => 4,
                    Kind::Ports => 1,
                };
                bar.address as u32 | flags
            }
            (None, Some(lower)) if lower.kind == Kind::Memory64 => (lower.address >> 32) as u32,
            _ => 0,
        }
    }

    /// Sets it; bits below the size stay 0, which is how a guest learns the size.
    pub fn write(&mut self, register: usize, value: u32) {
        let upper_of = register
            .checked_sub(1)
            .filter(|lower| self.bar(*lower).is_some_and(|b| b.kind == Kind::Memory64));
        let (index, mask, value) = match upper_of {
            Some(lower) => (lower, u64::from(u32::MAX), u64::from(value) << 32),
            None => (register, !u64::from(u32::MAX), u64::from(value)),
        };
        if let Some(bar) = self.0.get_mut(index).and_then(Option::as_mut) {
            bar.address = (bar.address & mask | value) & !(bar.size - 1);
        }
    }

    /// A guest's read of configuration space at `at`, inside [`PLACE`] and inside a word.
    pub fn config_read(&self, at: usize, data: &mut [u8]) {
        let word = self.read((at - PLACE.start) / 4).to_le_bytes();
        data.copy_from_slice(&word[at % 4..at % 4 + data.len()]);
    }

    /// A guest's write, likewise.
    pub fn config_write(&mut self, at: usize, data: &[u8]) {
        let register = (at - PLACE.start) / 4;
        let mut word = self.read(register).to_le_bytes();
        word[at % 4..at % 4 + data.len()].copy_from_slice(data);
        self.write(register, u32::from_le_bytes(word));
    }

    /// What is decoded under this command register: only ranges inside the windows.
    pub fn decoded(&self, command: u16) -> Vec<Decoded> {
        let one = |(bar, slot): (usize, &Option<Bar>)| {
            let (bar, Bar { kind, size, address }) = (u8::try_from(bar).ok()?, (*slot)?);
            let is_port = kind == Kind::Ports;
            let (enabled, first, end) = if is_port {
                (command & COMMAND_PORTS, layout::PCI_PORTS, layout::PCI_PORTS_LAST + 1)
            } else {
                (command & COMMAND_MEMORY, layout::PCI_MEMORY, layout::PCI_MEMORY_END)
            };
            let inside = address >= first && address.checked_add(size)? <= end;
            (enabled != 0 && inside).then_some(Decoded {
                bar,
                is_port,
                address,
                size,
            })
        };
        self.0.iter().enumerate().filter_map(one).collect()
    }

    fn bar(&self, register: usize) -> Option<&Bar> {
        self.0.get(register)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(kind: Kind, size: u64) -> Bars {
        let mut bars = Bars::default();
        bars.add(0, kind, size);
        let mut memory = Window::new(layout::PCI_MEMORY, layout::PCI_MEMORY_END);
        let mut ports = Window::new(layout::PCI_PORTS, layout::PCI_PORTS_LAST + 1);
        bars.assign(&mut memory, &mut ports).unwrap();
        bars
    }

    #[test]
    fn a_guest_learns_the_size_by_writing_ones() {
        let mut bars = assigned(Kind::Memory64, 0x4000);

        bars.write(0, u32::MAX);
        bars.write(1, u32::MAX);

        assert_eq!((bars.read(0), bars.read(1)), (0xffff_c004, u32::MAX));
        assert_eq!(bars.decoded(COMMAND_MEMORY), []);
    }

    #[test]
    fn a_bar_is_decoded_where_it_was_moved_to_and_only_when_enabled_and_inside_the_window() {
        let mut bars = assigned(Kind::Memory32, 0x1000);

        bars.write(0, 0xd000_0000);
        let there = Decoded {
            bar: 0,
            is_port: false,
            address: 0xd000_0000,
            size: 0x1000,
        };
        assert_eq!(bars.decoded(COMMAND_MEMORY), [there]);
        assert_eq!(bars.decoded(COMMAND_PORTS), []);

        bars.write(0, 0x10_0000);
        assert_eq!(bars.decoded(COMMAND_MEMORY), [], "RAM must not be hidden by a BAR");
    }

    #[test]
    fn a_full_window_is_an_error() {
        let mut bars = Bars::default();
        bars.add(0, Kind::Memory32, 1 << 30);
        let mut memory = Window::new(layout::PCI_MEMORY, layout::PCI_MEMORY_END);

        let error = bars.assign(&mut memory, &mut Window::new(0, 0)).unwrap_err();

        assert!(error.contains("doesn't fit"), "{error}");
    }
}
