//! The DSDT: devices that can't be found by looking.

use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Device, EISAName, IO, Interrupt, Memory32Fixed, Name, ONE, PackageBuilder,
    ResourceTemplate, Scope, ZERO,
};
use acpi_tables::sdt::Sdt;
use acpi_tables::{Aml, AmlSink};

use super::{Machine, OEM, SLEEP_TYPE_OFF, TABLE, bytes_of};
use crate::arch::layout;

pub(super) fn table(machine: &Machine) -> Vec<u8> {
    let mut content = Vec::new();
    let mut soft_off = PackageBuilder::new();
    soft_off.add_element(&SLEEP_TYPE_OFF);
    soft_off.add_element(&0_u8);
    Name::new("_S5_".into(), &soft_off).to_aml_bytes(&mut content);
    let mut devices = vec![Raw(serial_port())];
    for (index, (address, pin)) in machine.mmio.iter().enumerate() {
        devices.push(Raw(virtio_mmio(index, *address, *pin)));
    }
    devices.push(Raw(pci_bus(&machine.intx)));
    if machine.has_pvpanic {
        devices.push(Raw(panic_notifier()));
    }
    let children = devices.iter().map(|device| device as &dyn Aml).collect();
    Scope::new("_SB_".into(), children).to_aml_bytes(&mut content);
    let mut table = Sdt::new(*b"DSDT", 36, 6, OEM, TABLE, 1);
    table.append_slice(&content);
    table.as_slice().to_vec()
}

/// AML made already.
struct Raw(Vec<u8>);

impl Aml for Raw {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

fn device(path: &str, id: &dyn Aml, number: usize, resources: Vec<&dyn Aml>, more: &[&dyn Aml]) -> Vec<u8> {
    let resources = ResourceTemplate::new(resources);
    let id = Name::new("_HID".into(), id);
    let number = Name::new("_UID".into(), &number);
    let resources = Name::new("_CRS".into(), &resources);
    let mut children: Vec<&dyn Aml> = vec![&id, &number, &resources];
    children.extend(more);
    bytes_of(&Device::new(path.into(), children))
}

fn serial_port() -> Vec<u8> {
    let ports = IO::new(0x3f8, 0x3f8, 0, 8);
    let pin = Interrupt::new(true, true, false, false, crate::arch::SERIAL_PIN);
    device("COM1", &EISAName::new("PNP0501"), 0, vec![&ports, &pin], &[])
}

/// A virtio-mmio device (virtio 1.3, 4.2), cache-coherent.
fn virtio_mmio(index: usize, address: u32, pin: u32) -> Vec<u8> {
    let registers = Memory32Fixed::new(true, address, layout::VIRTIO_MMIO_STEP as u32);
    let pin = Interrupt::new(true, true, false, false, pin);
    let coherent = Name::new("_CCA".into(), &ONE);
    device(
        &format!("VR{index:02}"),
        &"LNRO0005",
        index,
        vec![&registers, &pin],
        &[&coherent],
    )
}

fn panic_notifier() -> Vec<u8> {
    let port = crate::devices::panic::PORT;
    let ports = IO::new(port, port, 1, 1);
    let here = Name::new("_STA".into(), &0xf_u8);
    device("PEVT", &"QEMU0001", 0, vec![&ports], &[&here])
}

/// The host bridge: configuration by ports 0xcf8 to 0xcff and ECAM, one window of memory and one of ports; interrupts of
/// functions without MSI.
fn pci_bus(intx: &[(u8, u32)]) -> Vec<u8> {
    let buses = AddressSpace::new_bus_number(0_u16, 0_u16);
    let config = IO::new(0xcf8, 0xcf8, 1, 8);
    let memory = AddressSpace::new_memory(
        AddressSpaceCacheable::NotCacheable,
        true,
        layout::PCI_MEMORY as u32,
        (layout::PCI_MEMORY_END - 1) as u32,
        None,
    );
    let ports = AddressSpace::new_io(layout::PCI_PORTS as u16, layout::PCI_PORTS_LAST as u16, None);
    let mut routes = PackageBuilder::new();
    for (slot, pin) in intx {
        let mut route = PackageBuilder::new();
        route.add_element(&(u32::from(*slot) << 16 | 0xffff));
        route.add_element(&ZERO);
        route.add_element(&ZERO);
        route.add_element(pin);
        routes.add_element(&route);
    }
    let routes = Name::new("_PRT".into(), &routes);
    let segment = Name::new("_SEG".into(), &ZERO);
    let coherent = Name::new("_CCA".into(), &ONE);
    let resources: Vec<&dyn Aml> = vec![&buses, &config, &memory, &ports];
    let bus = device(
        "PCI0",
        &EISAName::new("PNP0A03"),
        0,
        resources,
        &[&routes, &segment, &coherent],
    );
    // Linux takes MCFG only for a range that a motherboard device reserves.
    let ecam = Memory32Fixed::new(true, layout::ECAM as u32, layout::ECAM_SIZE as u32);
    let board = device("MBRD", &EISAName::new("PNP0C02"), 0, vec![&ecam], &[]);
    [bus, board].concat()
}
