//! The bus as a guest sees it.

use super::*;
use crate::devices::virtio::testing::{FakeHost, TestDevice, pci_device};
use proptest::prelude::*;

fn bus() -> Arc<Root> {
    let host = Arc::new(FakeHost::default());
    let device = pci_device(TestDevice::default(), host);
    Arc::new(Root::new(vec![Box::new(Space::new(HOST_BRIDGE)), Box::new(device)]).unwrap())
}

fn config(root: &Arc<Root>, slot: u32, offset: u32) -> u32 {
    let ports = ConfigPorts(Arc::clone(root));
    ports.write(0, &(0x8000_0000 | slot << 11 | offset).to_le_bytes());
    let mut data = [0xff; 4];
    ports.read(4, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn functions_are_found_by_both_ways_and_empty_slots_answer_with_ones() {
    let root = bus();

    let mut by_ecam = [0xff; 4];
    Ecam(Arc::clone(&root)).read(1 << 15, &mut by_ecam);

    assert_eq!(config(&root, 0, 0), 0x0008_1b36);
    assert_eq!(config(&root, 1, 0), u32::from_le_bytes(by_ecam));
    assert_eq!(config(&root, 1, 0) & 0xffff, 0x1af4);
    assert_eq!(config(&root, 2, 0), u32::MAX);
    // Another function, another bus.
    assert_eq!(config(&root, 1, 0x100), u32::MAX);
    assert_eq!(config(&root, 1 | 1 << 5, 0), u32::MAX);
}

#[test]
fn a_bar_answers_where_the_guest_moved_it_and_not_where_it_was() {
    let root = bus();
    let window = BarWindow {
        root: Arc::clone(&root),
        is_port: false,
        first: layout::PCI_MEMORY,
    };
    let ports = ConfigPorts(Arc::clone(&root));
    let read = |address: u64| {
        let mut data = [0xff; 4];
        window.read(address - layout::PCI_MEMORY, &mut data);
        u32::from_le_bytes(data)
    };
    let at = u64::from(config(&root, 1, 0x10));
    assert_eq!(read(at), u32::MAX, "not decoded before the guest enables memory");

    ports.write(0, &0x8000_0804_u32.to_le_bytes());
    ports.write(4, &2_u16.to_le_bytes());
    assert_eq!(read(at), 0, "device feature select");

    ports.write(0, &0x8000_0810_u32.to_le_bytes());
    ports.write(4, &0xd000_0000_u32.to_le_bytes());
    assert_eq!(read(0xd000_0000), 0);
    assert_eq!(read(at), u32::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any sequence of accesses of any size to ports, ECAM and windows: no panic, and the identity stays.
    #[test]
    fn no_access_breaks_the_bus(accesses in prop::collection::vec(
        (0_u8..4, any::<bool>(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..9)), 1..200)) {
        let root = bus();
        let places: [(Box<dyn Registers>, u64); 4] = [
            (Box::new(ConfigPorts(Arc::clone(&root))), 8),
            (Box::new(Ecam(Arc::clone(&root))), layout::ECAM_SIZE),
            (Box::new(BarWindow { root: Arc::clone(&root), is_port: false, first: layout::PCI_MEMORY }), 0x2_0000),
            (Box::new(BarWindow { root: Arc::clone(&root), is_port: true, first: layout::PCI_PORTS }), 0x4000),
        ];
        for (place, is_write, offset, mut data) in accesses {
            let (registers, size) = &places[usize::from(place)];
            if is_write { registers.write(offset % size, &data) } else { registers.read(offset % size, &mut data) }
        }
        prop_assert_eq!(config(&root, 1, 0) & 0xffff, 0x1af4);
    }
}
