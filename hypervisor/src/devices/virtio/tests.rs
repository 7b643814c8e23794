//! Both transports as a driver, and as a hostile one, sees them.

use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::mmio::MmioVirtio;
use super::testing::{DriverRing, FakeHost, TestDevice, Told, driver, memory, pci_device};
use super::*;
use crate::devices::pci::Function;
use crate::vm::bus::Registers;
use crate::vm::host::Host;
use crate::vm::poller::Poller;

fn write<const N: usize>(device: &mut dyn Function, offset: u64, bytes: [u8; N]) {
    device.bar_write(0, offset, &bytes);
}

fn read(device: &mut dyn Function, offset: u64, length: usize) -> u64 {
    let mut data = vec![0; length];
    device.bar_read(0, offset, &mut data);
    data.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Goes to DRIVER_OK with queue 0 at these addresses.
fn bring_up(device: &mut dyn Function, features: u64, size: u16, [desc, avail, used]: [u64; 3]) -> u64 {
    write(device, 0x14, [0]);
    write(device, 0x14, [3]);
    for half in 0..2_u32 {
        write(device, 0x08, half.to_le_bytes());
        write(device, 0x0c, ((features >> (32 * half)) as u32).to_le_bytes());
    }
    write(device, 0x14, [3 | FEATURES_OK]);
    write(device, 0x16, 0_u16.to_le_bytes());
    write(device, 0x18, size.to_le_bytes());
    for (at, value) in [(0x20, desc), (0x28, avail), (0x30, used)] {
        write(device, at, (value as u32).to_le_bytes());
        write(device, at + 4, ((value >> 32) as u32).to_le_bytes());
    }
    write(device, 0x1c, 1_u16.to_le_bytes());
    write(device, 0x14, [3 | FEATURES_OK | DRIVER_OK]);
    read(device, 0x14, 1)
}

const GOOD: [u64; 3] = [0x1000, 0x2000, 0x3000];

fn device() -> (PciDevice, Arc<Mutex<Vec<Told>>>) {
    let test = TestDevice::default();
    let told = Arc::clone(&test.told);
    (pci_device(test, Arc::new(FakeHost::default())), told)
}

type PciDevice = super::pci::PciVirtio;

#[test]
fn a_driver_that_follows_the_steps_gets_what_it_negotiated() {
    let (mut device, told) = device();

    let status = bring_up(&mut device, VERSION_1 | INDIRECT_DESC, 32, GOOD);

    assert_eq!(status, 15);
    assert_eq!(
        *told.lock().unwrap(),
        [Told::Activate(VERSION_1 | INDIRECT_DESC, vec![(0, 32)])]
    );
    write(&mut device, 0x14, [0]);
    assert_eq!(told.lock().unwrap().last(), Some(&Told::Reset));
    assert_eq!((read(&mut device, 0x14, 1), read(&mut device, 0x18, 2)), (0, 64));
}

#[test]
fn features_that_are_not_offered_or_lack_version_1_are_not_accepted() {
    for features in [VERSION_1 | 1, INDIRECT_DESC, VERSION_1 | 1 << 63] {
        let (mut device, told) = device();

        let status = bring_up(&mut device, features, 32, GOOD);

        assert_eq!(status, 3, "{features:#x}");
        assert_eq!(*told.lock().unwrap(), []);
    }
}

#[test]
fn rings_outside_shared_memory_or_misaligned_need_a_reset_and_never_reach_the_device() {
    let cases = [
        [0x1008, 0x2000, 0x3000],
        [0x1000, 0x2001, 0x3000],
        [0x1000, 0x2000, 0x3002],
        [0xf_ff00, 0x2000, 0x3000],
        [0x1000, u64::MAX - 1, 0x3000],
        [0x1000, 0x2000, 0xf_fffc],
    ];
    for addresses in cases {
        let (mut device, told) = device();

        let status = bring_up(&mut device, VERSION_1, 64, addresses);

        assert_ne!(status & u64::from(NEEDS_RESET), 0, "{addresses:x?}");
        assert_eq!(*told.lock().unwrap(), []);
    }
}

#[test]
fn a_queue_takes_no_size_that_is_no_power_of_two_or_too_large() {
    for size in [0, 3, 128, 0x8000] {
        let (mut device, told) = device();
        bring_up(&mut device, VERSION_1, size, GOOD);

        assert_eq!(
            *told.lock().unwrap(),
            [Told::Activate(VERSION_1, vec![(0, 64)])],
            "{size}"
        );
    }
}

#[test]
fn a_running_queue_can_not_be_changed() {
    let (mut device, _) = device();
    bring_up(&mut device, VERSION_1, 32, GOOD);

    write(&mut device, 0x20, 0xdead_0000_u32.to_le_bytes());
    write(&mut device, 0x18, 8_u16.to_le_bytes());

    assert_eq!((read(&mut device, 0x20, 4), read(&mut device, 0x18, 2)), (0x1000, 32));
}

#[test]
fn doorbells_are_where_the_bar_is_and_gone_when_it_is() {
    let host = Arc::new(FakeHost::default());
    let mut device = pci_device(TestDevice::default(), host.clone());
    let mut at = |address: u64| {
        let range = crate::devices::pci::bars::Decoded {
            bar: 0,
            is_port: false,
            address,
            size: 0x8000,
        };
        device.moved(if address == 0 {
            &[]
        } else {
            std::slice::from_ref(&range)
        });
        host.doorbells.lock().unwrap().clone()
    };

    assert_eq!(at(0xc000_0000), [(0xc000_4000, None), (0xc000_4004, None)]);
    assert_eq!(at(0xd000_0000), [(0xd000_4000, None), (0xd000_4004, None)]);
    assert_eq!(at(0), []);
}

#[test]
fn the_configuration_window_reaches_the_same_registers() {
    let (mut device, _) = device();
    let mut data = [0; 1];
    device.config_read(0x34, &mut data);
    let mut at = data[0];
    // The last capability is VIRTIO_PCI_CAP_PCI_CFG.
    loop {
        let mut head = [0; 4];
        device.config_read(at.into(), &mut head);
        if head[1] == 0 {
            break;
        }
        at = head[1];
    }
    let at = u16::from(at);

    device.config_write(at + 8, &0x2000_u32.to_le_bytes());
    device.config_write(at + 12, &4_u32.to_le_bytes());
    let mut word = [0; 4];
    device.config_read(at + 16, &mut word);

    assert_eq!(word, [1, 2, 3, 4]);
}

#[test]
fn mmio_has_the_same_device_behind_it() {
    let host: Arc<dyn Host> = Arc::new(FakeHost::default());
    let test = TestDevice::default();
    let told = Arc::clone(&test.told);
    let device = MmioVirtio::new(Box::new(test), memory(), &host, 0xfeb0_0000, 5).unwrap();
    let write = |offset: u64, value: u32| device.write(offset, &value.to_le_bytes());
    let read = |offset: u64| {
        let mut data = [0; 4];
        device.read(offset, &mut data);
        u32::from_le_bytes(data)
    };

    assert_eq!([read(0), read(4), read(8), read(0x100)], [MAGIC, 2, 25, 0x0403_0201]);
    write(0x70, 3);
    write(0x24, 1);
    write(0x20, 1);
    write(0x70, 3 | 8);
    write(0x30, 1);
    write(0x38, 16);
    for (at, value) in [(0x80, 0x1000), (0x90, 0x2000), (0xa0, 0x3000)] {
        write(at, value);
    }
    write(0x44, 1);
    write(0x70, 15);

    assert_eq!(read(0x70), 15);
    assert_eq!(*told.lock().unwrap(), [Told::Activate(VERSION_1, vec![(1, 16)])]);
}

const MAGIC: u32 = 0x7472_6976;

#[test]
fn entropy_fills_what_the_guest_offers_and_no_byte_more() {
    let memory = memory();
    let poller = Arc::new(Poller::new().unwrap());
    let mut rng = super::rng::Rng::new(&poller);
    let (mut ring, for_device) = DriverRing::new(&memory, 0, 0x1_0000);
    let kick = for_device.kick.try_clone().unwrap();
    rng.activate(driver(&memory, vec![for_device])).unwrap();

    ring.offer(&[(0x2_0000, 32, true)]);
    kick.write(1).unwrap();
    poller.turn().unwrap();

    let mut bytes = [0; 48];
    memory.read_slice(&mut bytes, GuestAddress(0x2_0000)).unwrap();
    assert_eq!(ring.used(), (1, 32));
    assert_ne!(bytes[..32], [0; 32]);
    assert_eq!(bytes[32..], [0; 16]);
}

/// A request on an image of 8 sectors, the second of them full of sevens, with the driver's bytes full of nines: what was said to be
/// written, the status, the driver's bytes, the image.
fn block_request(read_only: bool, kind: u32, sector: u64, length: u32) -> (u32, u8, Vec<u8>, Vec<u8>) {
    let memory = memory();
    let poller = Arc::new(Poller::new().unwrap());
    let (image, _) = crate::vm::memory::create("image", 4096, false).unwrap();
    let image = std::fs::File::from(image);
    image.write_all_at(&[7; 512], 512).unwrap();
    let mut blk = super::blk::Blk::new(image.try_clone().unwrap(), read_only, "disk-a", &poller).unwrap();
    let (mut ring, for_device) = DriverRing::new(&memory, 0, 0x1_0000);
    let kick = for_device.kick.try_clone().unwrap();
    blk.activate(driver(&memory, vec![for_device])).unwrap();
    memory.write_obj(kind, GuestAddress(0x3_0000)).unwrap();
    memory.write_obj(sector, GuestAddress(0x3_0008)).unwrap();
    memory.write_obj(0xff_u8, GuestAddress(0x3_0100)).unwrap();
    memory.write_slice(&[9; 512], GuestAddress(0x4_0000)).unwrap();

    ring.offer(&[
        (0x3_0000, 16, false),
        (0x4_0000, length, kind != 1),
        (0x3_0100, 1, true),
    ]);
    kick.write(1).unwrap();
    poller.turn().unwrap();

    let (mut data, mut whole) = (vec![0; 512], vec![0; 4096]);
    memory.read_slice(&mut data, GuestAddress(0x4_0000)).unwrap();
    image.read_exact_at(&mut whole, 0).unwrap();
    let status = memory.read_obj(GuestAddress(0x3_0100)).unwrap();
    (ring.used().1, status, data, whole)
}

#[test]
fn an_image_is_read_by_sectors_and_tells_its_serial_number() {
    let (written, status, data, _) = block_request(true, 0, 1, 512);
    assert_eq!((written, status, data), (513, 0, vec![7; 512]));
    let (_, status, data, _) = block_request(true, 8, 0, 20);
    assert_eq!((status, &data[..7]), (0, &b"disk-a\0"[..]));
}

#[test]
fn a_disk_that_is_not_read_only_is_written_by_sectors_and_flushed() {
    let (written, status, _, image) = block_request(false, 1, 2, 512);
    assert_eq!((written, status), (1, 0));
    assert_eq!(
        image,
        [vec![0; 512], vec![7; 512], vec![9; 512], vec![0; 2560]].concat()
    );
    assert_eq!(block_request(false, 4, 0, 512).1, 0);
}

#[test]
fn writes_to_a_read_only_image_and_accesses_beyond_an_image_are_refused_and_change_nothing() {
    let untouched = [vec![0; 512], vec![7; 512], vec![0; 3072]].concat();
    for (read_only, kind, sector, length, expected) in [
        (true, 1, 0, 512, 2),
        (true, 0, 8, 512, 1),
        (true, 0, u64::MAX, 512, 1),
        (true, 0, 0, 100, 1),
        (false, 1, 8, 512, 1),
        (false, 1, 7, 1024, 1),
        (false, 1, u64::MAX / 512, 512, 1),
        (false, 1, 0, 100, 1),
    ] {
        let (_, status, _, image) = block_request(read_only, kind, sector, length);
        assert_eq!(status, expected, "{kind} {sector} {length}");
        assert_eq!(image, untouched, "{kind} {sector} {length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any sequence of register accesses, by both transports: no panic, and the device only ever gets rings in memory.
    #[test]
    fn no_access_breaks_a_transport(accesses in prop::collection::vec(
        (any::<bool>(), any::<bool>(), prop_oneof![0_u64..0x40, 0_u64..0x8000, any::<u64>()],
         prop_oneof![Just(1_usize), Just(2), Just(4), Just(8)], any::<u64>()), 1..200)) {
        let (mut pci, _) = device();
        let host: Arc<dyn Host> = Arc::new(FakeHost::default());
        let mmio = MmioVirtio::new(Box::new(TestDevice::default()), memory(), &host, 0xfeb0_0000, 5).unwrap();
        for (is_write, by_pci, offset, length, value) in accesses {
            let mut data = value.to_le_bytes()[..length].to_vec();
            match (by_pci, is_write) {
                (true, true) => pci.bar_write(0, offset, &data),
                (true, false) => pci.bar_read(0, offset, &mut data),
                (false, true) => mmio.write(offset, &data),
                (false, false) => mmio.read(offset, &mut data),
            }
        }
    }

    /// Any content of rings and buffers: the block device ends its work and touches nothing but guest memory.
    #[test]
    fn no_ring_content_stops_a_worker(seed in prop::collection::vec(any::<u8>(), 0x2000), kicks in 1..4) {
        let memory = memory();
        let poller = Arc::new(Poller::new().unwrap());
        let (image, _) = crate::vm::memory::create("image", 1 << 20, false).unwrap();
        let mut blk = super::blk::Blk::new(image.into(), false, "", &poller).unwrap();
        let (_, for_device) = DriverRing::new(&memory, 0, 0x1_0000);
        let kick = for_device.kick.try_clone().unwrap();
        memory.write_slice(&seed, GuestAddress(0x1_0000)).unwrap();
        blk.activate(driver(&memory, vec![for_device])).unwrap();
        for _ in 0..kicks {
            kick.write(1).unwrap();
            poller.turn().unwrap();
        }
    }
}
