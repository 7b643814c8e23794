//! arm64: the seam is here and checked by the compiler; nothing boots yet. [`create_controllers`] refuses with a clear
//! error before anything is built. What is missing: GICv3 with ITS (for MSI), the flattened device tree, PSCI power-off,
//! and the `Image` entry (Linux Documentation/arch/arm64/booting.rst).

use std::sync::Arc;

use kvm_bindings::kvm_irq_routing_entry;
use kvm_ioctls::{Kvm, VcpuFd, VmFd};

use crate::acpi;
use crate::boot::Images;
use crate::devices::pci::Root;
use crate::devices::serial::Console;
use crate::vm::bus::Bus;
use crate::vm::ending::Ending;
use crate::vm::error::Fault;
use crate::vm::memory::{Guest, Memory};

/// Guest-physical addresses, after QEMU's "virt" machine.
pub mod layout {
    /// First address of PCI BARs.
    pub const PCI_MEMORY: u64 = 0x1000_0000;
    /// End of the window of PCI BARs.
    pub const PCI_MEMORY_END: u64 = 0x3000_0000;
    /// First address of PCI I/O BARs.
    pub const PCI_PORTS: u64 = 0xc000;
    /// Last address of PCI I/O BARs.
    pub const PCI_PORTS_LAST: u64 = 0xffff;
    /// PCI configuration space, memory-mapped.
    pub const ECAM: u64 = 0x3f00_0000;
    /// Bytes of [`ECAM`]: one bus.
    pub const ECAM_SIZE: u64 = 1 << 20;
    /// First virtio-mmio device.
    pub const VIRTIO_MMIO: u64 = 0x0a00_0000;
    /// Distance of virtio-mmio devices.
    pub const VIRTIO_MMIO_STEP: u64 = 0x1000;

    /// Where RAM of `size` bytes goes: (guest-physical address, bytes, offset in the memfd).
    #[must_use]
    pub fn ram(size: u64) -> Vec<(u64, u64, u64)> {
        vec![(0x4000_0000, size, 0)]
    }
}

/// Shared peripheral interrupts.
pub const PINS: u32 = 96;
/// The serial port's interrupt.
pub const SERIAL_PIN: u32 = 1;
/// Interrupts for virtio-mmio devices.
pub const MMIO_PINS: [u32; 8] = [16, 17, 18, 19, 20, 21, 22, 23];
/// Interrupts that PCI functions with INTx share.
pub const INTX_PINS: [u32; 8] = [24, 25, 26, 27, 28, 29, 30, 31];

fn not_built() -> Fault {
    Fault::Host(
        "this build has no arm64 boot yet: run it on x86-64, or the guests on QEMU's \"virt\" machine".to_owned(),
    )
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn create_controllers(_vm: &VmFd) -> Result<(), Fault> {
    Err(not_built())
}

/// None.
#[must_use]
pub fn pin_routes() -> Vec<kvm_irq_routing_entry> {
    Vec::new()
}

/// What all vCPUs of a VM have in common.
pub struct Template;

impl Template {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn new(_kvm: &Kvm, _count: usize) -> Result<Self, Fault> {
        Err(not_built())
    }

    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn set_up(&self, _vcpu: &VcpuFd, _id: u8) -> Result<(), Fault> {
        Err(not_built())
    }
}

/// Where the guest starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {}

/// Refuses.
///
/// # Errors
/// Always.
pub fn load(_memory: &Memory, _images: Images, _machine: &acpi::Machine) -> Result<Entry, Fault> {
    Err(not_built())
}

/// There is no entry to take.
///
/// # Errors
/// Never.
pub fn enter(_vcpu: &VcpuFd, entry: Entry, _ram: &Guest) -> Result<(), Fault> {
    match entry {}
}

/// Where a vCPU stands: not known.
#[must_use]
pub fn program_counter(_vcpu: &VcpuFd) -> Option<u64> {
    None
}

/// Power is by PSCI, not by registers.
pub fn insert_power(_bus: &mut Bus, _ending: &Arc<Ending>) {}

/// The serial port.
pub fn insert_console(bus: &mut Bus, console: Arc<Console>) {
    bus.memory.insert(0x0900_0000, 0x0900_0007, console);
}

/// There are no ports.
pub fn insert_pci_ports(_bus: &mut Bus, _root: &Arc<Root>) {}
