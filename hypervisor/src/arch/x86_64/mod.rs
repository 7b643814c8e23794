//! x86-64: in-kernel APICs, ports, bzImage and PVH entries, ACPI.

mod entry;
pub mod layout;
mod vcpu;

use kvm_bindings::{
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQCHIP_IOAPIC, KVM_PIT_SPEAKER_DUMMY, kvm_irq_routing_entry, kvm_irq_routing_irqchip,
    kvm_pit_config,
};
use std::sync::Arc;

use kvm_ioctls::{VcpuFd, VmFd};

use crate::acpi::{self, RESET_PORT, SLEEP_PORT};
use crate::boot::{self, Images};
use crate::devices::pci::{BarWindow, ConfigPorts, Root};
use crate::devices::power::{KeyboardReset, Power};
use crate::devices::serial::{self, Console};
use crate::vm::bus::Bus;
use crate::vm::ending::Ending;
use crate::vm::error::{Fault, host};
use crate::vm::memory::Memory;

pub use entry::{Entry, enter};
pub use vcpu::Template;

/// Pins of the I/O APIC.
pub const PINS: u32 = 24;
/// The serial port's pin.
pub const SERIAL_PIN: u32 = 4;
/// Pins for virtio-mmio devices.
pub const MMIO_PINS: [u32; 8] = [5, 6, 7, 10, 11, 12, 14, 15];
/// Pins that PCI functions with INTx share.
pub const INTX_PINS: [u32; 8] = [16, 17, 18, 19, 20, 21, 22, 23];

/// APICs, PIC and PIT, in the kernel.
///
/// # Errors
/// KVM refused.
pub fn create_controllers(vm: &VmFd) -> Result<(), Fault> {
    vm.set_tss_address(layout::TSS).map_err(host("KVM_SET_TSS_ADDR"))?;
    vm.create_irq_chip().map_err(host("KVM_CREATE_IRQCHIP"))?;
    let pit = kvm_pit_config {
        flags: KVM_PIT_SPEAKER_DUMMY,
        ..Default::default()
    };
    vm.create_pit2(pit).map_err(host("KVM_CREATE_PIT2"))
}

/// KVM's default routes: pins of the I/O APIC (the timer on pin 2) and of the PIC.
pub fn pin_routes() -> Vec<kvm_irq_routing_entry> {
    let route = |gsi, irqchip, pin| {
        let mut entry = kvm_irq_routing_entry {
            gsi,
            type_: KVM_IRQ_ROUTING_IRQCHIP,
            ..Default::default()
        };
        entry.u.irqchip = kvm_irq_routing_irqchip { irqchip, pin };
        entry
    };
    let apic = (0..PINS).map(|gsi| route(gsi, KVM_IRQCHIP_IOAPIC, if gsi == 0 { 2 } else { gsi }));
    apic.chain((0..16).map(|gsi| route(gsi, gsi / 8, gsi % 8))).collect()
}

/// Loads kernel, initial RAM disk, command line and tables.
///
/// # Errors
/// The kernel is of no known kind, or something doesn't fit into the RAM.
pub fn load(memory: &Memory, images: Images, machine: &acpi::Machine) -> Result<Entry, Fault> {
    let tables = acpi::tables(machine, layout::TABLES);
    boot::write(&memory.ram, layout::TABLES, &tables, "ACPI tables")?;
    boot::load(memory, images, layout::TABLES)
}

/// Where a vCPU stands.
pub fn program_counter(vcpu: &VcpuFd) -> Option<u64> {
    vcpu.get_regs().ok().map(|regs| regs.rip)
}

/// The devices every VM of this architecture has, on its ports.
pub fn insert_power(bus: &mut Bus, ending: &Arc<Ending>) {
    let power = Arc::new(Power(Arc::clone(ending)));
    bus.ports.insert(SLEEP_PORT.into(), RESET_PORT.into(), power);
    bus.ports
        .insert(0x64, 0x64, Arc::new(KeyboardReset(Arc::clone(ending))));
}

/// The serial port.
pub fn insert_console(bus: &mut Bus, console: Arc<Console>) {
    bus.ports
        .insert(serial::PORT.into(), (serial::PORT + 7).into(), console);
}

/// PCI configuration by ports, and the window of I/O BARs.
pub fn insert_pci_ports(bus: &mut Bus, root: &Arc<Root>) {
    bus.ports.insert(0xcf8, 0xcff, Arc::new(ConfigPorts(Arc::clone(root))));
    let window = BarWindow {
        root: Arc::clone(root),
        is_port: true,
        first: layout::PCI_PORTS,
    };
    bus.ports
        .insert(layout::PCI_PORTS, layout::PCI_PORTS_LAST, Arc::new(window));
}
