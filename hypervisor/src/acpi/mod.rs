//! Hardware-reduced ACPI: what a stock kernel needs to find processors, devices, power-off and reset.
//!
//! ```text
//! RSDP ─► XSDT ─► FADT ─► DSDT: _S5, COM1, PCI0, virtio-mmio, panic notifier
//!              ├► MADT: local APICs, I/O APIC
//!              └► MCFG: PCI configuration, memory-mapped
//! ```
//! No fixed hardware, no FACS, no SCI: sleep control is port 0x600 (SLP_TYP 5 = soft off), reset is 1 to port 0x604
//! (ACPI 6.5, 4.1 "Hardware-Reduced ACPI").

mod dsdt;

use acpi_tables::Aml;
use acpi_tables::madt::{EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic};
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;

use crate::arch::layout;

/// What the tables tell of a VM, besides the serial port and the PCI bus that each has.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Number of processors.
    pub vcpus: u8,
    /// virtio-mmio devices: address, pin.
    pub mmio: Vec<(u32, u32)>,
    /// PCI functions with INTx: slot, pin.
    pub intx: Vec<(u8, u32)>,
    /// Is there a panic notifier?
    pub has_pvpanic: bool,
}

/// Port of the sleep control register; the status register is the next one.
pub const SLEEP_PORT: u16 = 0x600;
/// Port of the reset register.
pub const RESET_PORT: u16 = 0x604;
/// What resets when written to [`RESET_PORT`].
pub const RESET_VALUE: u8 = 1;
/// SLP_TYP of soft off.
pub const SLEEP_TYPE_OFF: u8 = 5;

const OEM: [u8; 6] = *b"CARILL";
const TABLE: [u8; 8] = *b"PARTITIO";
const LOCAL_APIC: u32 = 0xfee0_0000;
const IO_APIC: u32 = 0xfec0_0000;

/// The tables, to be put at `base`, where the RSDP is.
pub fn tables(machine: &Machine, base: u64) -> Vec<u8> {
    let mut image = Image {
        base,
        bytes: vec![0; 64],
    };
    let dsdt = image.append(&dsdt::table(machine));
    let mut entries = vec![image.append(&fadt(dsdt)), image.append(&madt(machine))];
    let mut mcfg = MCFG::new(OEM, TABLE, 1);
    mcfg.add_ecam(layout::ECAM, 0, 0, 0);
    entries.push(image.append(&bytes_of(&mcfg)));
    let mut xsdt = XSDT::new(OEM, TABLE, 1);
    for entry in entries {
        xsdt.add_entry(entry);
    }
    let xsdt = image.append(&bytes_of(&xsdt));
    let rsdp = bytes_of(&Rsdp::new(OEM, xsdt));
    image.bytes[..rsdp.len()].copy_from_slice(&rsdp);
    image.bytes
}

struct Image {
    base: u64,
    bytes: Vec<u8>,
}

impl Image {
    /// Appends a table, 64-byte aligned, and gives its address.
    fn append(&mut self, table: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(64), 0);
        let at = self.base + self.bytes.len() as u64;
        self.bytes.extend_from_slice(table);
        at
    }
}

fn bytes_of(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

/// Flags: no CMOS clock, no VGA to probe; hardware-reduced, reset register, no fixed buttons (ACPI 6.5, table 5.9).
fn fadt(dsdt: u64) -> Vec<u8> {
    let mut table = Sdt::new(*b"FACP", 276, 6, OEM, TABLE, 1);
    table.write_u16(109, 1 << 2 | 1 << 5);
    table.write_u32(112, 1 << 4 | 1 << 5 | 1 << 10 | 1 << 20);
    table.write_bytes(116, &port_register(RESET_PORT));
    table.write_u8(128, RESET_VALUE);
    table.write_u8(131, 5);
    table.write_u64(140, dsdt);
    table.write_bytes(244, &port_register(SLEEP_PORT));
    table.write_bytes(256, &port_register(SLEEP_PORT + 1));
    table.update_checksum();
    table.as_slice().to_vec()
}

/// A generic address structure of an 8-bit port.
fn port_register(port: u16) -> [u8; 12] {
    let [low, high] = port.to_le_bytes();
    [1, 8, 0, 1, low, high, 0, 0, 0, 0, 0, 0]
}

fn madt(machine: &Machine) -> Vec<u8> {
    let mut madt = MADT::new(OEM, TABLE, 1, LocalInterruptController::Address(LOCAL_APIC));
    for id in 0..machine.vcpus {
        madt.add_structure(ProcessorLocalApic::new(id, id, EnabledStatus::Enabled));
    }
    madt.add_structure(IoApic::new(machine.vcpus, IO_APIC, 0));
    bytes_of(&madt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u32_at(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    const BASE: u64 = 0xe_0000;

    /// All tables by their signature, found as a kernel finds them; each length and checksum is checked on the way.
    fn walk(image: &[u8]) -> Vec<(String, Vec<u8>)> {
        assert_eq!(&image[..8], b"RSD PTR ");
        assert_eq!((sum(&image[..20]), sum(&image[..36])), (0, 0));
        let table = |address: u64| {
            let at = usize::try_from(address - BASE).unwrap();
            let bytes = image[at..at + u32_at(image, at + 4)].to_vec();
            assert_eq!(sum(&bytes), 0, "checksum of {:?}", &bytes[..4]);
            (String::from_utf8(bytes[..4].to_vec()).unwrap(), bytes)
        };
        let xsdt = table(u64_at(image, 24)).1;
        let mut found: Vec<_> = xsdt[36..].chunks(8).map(|entry| table(u64_at(entry, 0))).collect();
        found.push(table(u64_at(&found[0].1, 140)));
        found
    }

    fn contains(haystack: &[u8], needle: &[u8]) -> bool {
        haystack.windows(needle.len()).any(|window| window == needle)
    }

    #[test]
    fn every_table_is_reached_and_its_checksum_is_right() {
        let machine = Machine {
            vcpus: 2,
            ..Machine::default()
        };

        let found = walk(&tables(&machine, BASE));

        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["FACP", "APIC", "MCFG", "DSDT"]);
    }

    #[test]
    fn the_machine_is_hardware_reduced_with_sleep_and_reset_registers() {
        let found = walk(&tables(
            &Machine {
                vcpus: 1,
                ..Machine::default()
            },
            BASE,
        ));

        let fadt = &found[0].1;
        assert_ne!(u32_at(fadt, 112) & 1 << 20, 0);
        assert_eq!(u64_at(fadt, 120), u64::from(RESET_PORT));
        assert_eq!(u64_at(fadt, 248), u64::from(SLEEP_PORT));
        assert!(contains(&found.last().unwrap().1, b"_S5_"));
    }

    #[test]
    fn each_processor_is_listed_once() {
        let madt = walk(&tables(
            &Machine {
                vcpus: 3,
                ..Machine::default()
            },
            BASE,
        ))
        .swap_remove(1)
        .1;

        let ids: Vec<u8> = (0..3).map(|i| madt[44 + 8 * i + 3]).collect();
        assert_eq!(ids, [0, 1, 2]);
        assert_eq!(madt.len(), 44 + 3 * 8 + 12);
    }

    #[test]
    fn only_devices_that_are_there_are_described() {
        let bare = walk(&tables(
            &Machine {
                vcpus: 1,
                ..Machine::default()
            },
            BASE,
        ))
        .pop()
        .unwrap()
        .1;
        let full = Machine {
            vcpus: 1,
            mmio: vec![(0xfeb0_0000, 5)],
            intx: vec![(3, 16)],
            has_pvpanic: true,
        };
        let full = walk(&tables(&full, BASE)).pop().unwrap().1;

        for (name, is_always) in [
            (&b"COM1"[..], true),
            (b"PCI0", true),
            (b"LNRO0005", false),
            (b"QEMU0001", false),
        ] {
            assert_eq!(contains(&bare, name), is_always);
            assert!(contains(&full, name), "{}", String::from_utf8_lossy(name));
        }
    }
}
