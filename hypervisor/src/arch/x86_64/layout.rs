//! Guest-physical addresses of an x86-64 VM.
//!
//! ```text
//! 0x0000_0000  RAM (up to 2.75 GiB; more goes on at 4 GiB)
//!              0x500 GDT, 0x6000 PVH start info, 0x7000 zero page, 0x9000 page tables, 0x2_0000 command line,
//!              0xe_0000 ACPI tables (reserved), 0x10_0000 kernel
//! 0xb000_0000  pools of drivers that know their address (where the manifest puts them)
//! 0xc000_0000  PCI memory window (512 MiB)
//! 0xe000_0000  PCI configuration by ECAM, bus 0
//! 0xfeb0_0000  virtio-mmio registers, 0x1000 a device
//! 0xfec0_0000  I/O APIC; 0xfee0_0000 local APICs
//! 0x1_0000_0000  rest of the RAM, then windows
//! ports        0x3f8 COM1, 0x505 panic notifier, 0x510 watchdog, 0x600 sleep, 0x604 reset, 0xcf8 PCI, 0xc000 PCI window
//! ```

/// End of RAM below 4 GiB.
pub const LOW_RAM_END: u64 = 0xb000_0000;
/// RAM beyond [`LOW_RAM_END`] starts here.
pub const HIGH_RAM: u64 = 1 << 32;
/// First address of PCI BARs.
pub const PCI_MEMORY: u64 = 0xc000_0000;
/// End of the window of PCI BARs.
pub const PCI_MEMORY_END: u64 = 0xe000_0000;
/// First port of PCI I/O BARs.
pub const PCI_PORTS: u64 = 0xc000;
/// Last port of PCI I/O BARs.
pub const PCI_PORTS_LAST: u64 = 0xffff;
/// PCI configuration space, memory-mapped.
pub const ECAM: u64 = 0xe000_0000;
/// Bytes of [`ECAM`]: one bus.
pub const ECAM_SIZE: u64 = 1 << 20;
/// First virtio-mmio device.
pub const VIRTIO_MMIO: u64 = 0xfeb0_0000;
/// Distance of virtio-mmio devices.
pub const VIRTIO_MMIO_STEP: u64 = 0x1000;

/// Where RAM of `size` bytes goes: (guest-physical address, bytes, offset in the memfd).
#[must_use]
pub fn ram(size: u64) -> Vec<(u64, u64, u64)> {
    let low = size.min(LOW_RAM_END);
    let mut pieces = vec![(0, low, 0)];
    if size > low {
        pieces.push((HIGH_RAM, size - low, low));
    }
    pieces
}

pub(crate) const GDT: u64 = 0x500;
pub(crate) const PVH_INFO: u64 = 0x6000;
pub(crate) const ZERO_PAGE: u64 = 0x7000;
pub(crate) const PAGE_TABLES: u64 = 0x9000;
pub(crate) const COMMAND_LINE: u64 = 0x2_0000;
pub(crate) const COMMAND_LINE_MAX: usize = 4096;
pub(crate) const TABLES: u64 = 0xe_0000;
pub(crate) const TABLES_SIZE: u64 = 0x2_0000;
pub(crate) const CONVENTIONAL_END: u64 = 0x9_fc00;
pub(crate) const KERNEL: u64 = 0x10_0000;
pub(crate) const TSS: usize = 0xfffb_d000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_beyond_the_hole_goes_on_at_4_gib() {
        assert_eq!(ram(16 << 20), [(0, 16 << 20, 0)]);
        assert_eq!(
            ram(4 << 30),
            [(0, LOW_RAM_END, 0), (HIGH_RAM, (4 << 30) - LOW_RAM_END, LOW_RAM_END)]
        );
    }
}
