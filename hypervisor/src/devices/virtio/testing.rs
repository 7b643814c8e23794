//! A host without KVM, a device that notes what it is told, and a driver's side of a ring.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::pci::PciVirtio;
use super::*;
use crate::devices::lock;
use crate::plan::{Fds, Locked, Region, RegionKind};
use crate::vm::host::{Host, Message};
use crate::vm::memory::{Memory, create};

/// Keeps routes, attachments and doorbells as KVM would.
#[derive(Default)]
pub struct FakeHost {
    next: AtomicU32,
    routes: Mutex<BTreeMap<u32, Message>>,
    attached: Mutex<BTreeMap<u32, EventFd>>,
    /// Watched doorbells.
    pub doorbells: Mutex<Vec<(u64, Option<u32>)>>,
}

impl FakeHost {
    /// The messages that were sent since the last call: of attached sources with an event.
    pub fn raised(&self) -> Vec<Message> {
        let (routes, attached) = (lock(&self.routes), lock(&self.attached));
        attached
            .iter()
            .filter(|(_, event)| event.read().is_ok())
            .map(|(gsi, _)| routes[gsi])
            .collect()
    }
}

impl Host for FakeHost {
    fn new_gsi(&self) -> io::Result<u32> {
        Ok(24 + self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn route(&self, changes: &[(u32, Message)]) -> io::Result<()> {
        lock(&self.routes).extend(changes.iter().copied());
        Ok(())
    }

    fn attach(&self, gsi: u32, event: &EventFd) -> io::Result<()> {
        lock(&self.attached).insert(gsi, event.try_clone()?);
        Ok(())
    }

    fn detach(&self, gsi: u32, _event: &EventFd) -> io::Result<()> {
        lock(&self.attached).remove(&gsi);
        Ok(())
    }

    fn attach_level(&self, pin: u32, event: &EventFd, _resample: &EventFd) -> io::Result<()> {
        self.attach(pin, event)
    }

    fn watch(&self, address: u64, value: Option<u32>, _event: &EventFd) -> io::Result<()> {
        lock(&self.doorbells).push((address, value));
        Ok(())
    }

    fn unwatch(&self, address: u64, _event: &EventFd) -> io::Result<()> {
        lock(&self.doorbells).retain(|doorbell| *doorbell != (address, None));
        Ok(())
    }

    fn new_slot(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    unsafe fn map(&self, _slot: u32, _guest: u64, _host: usize, _size: u64) -> io::Result<()> {
        Ok(())
    }
}

/// 1 MiB of guest memory at 0.
pub fn memory() -> Guest {
    let mut fds = Fds::default();
    fds.insert("ram", create("test", 1 << 20, false).unwrap().0);
    let region = Region {
        guest_address: 0,
        size: 1 << 20,
        fd: "ram".to_owned(),
        offset: 0,
        kind: RegionKind::Ram,
        shared: true,
        dma: false,
        locked: Locked::No,
    };
    Memory::map(&[region], &fds).unwrap().shared.unwrap()
}

/// What a device was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Told {
    /// Features, and number and size of the enabled queues.
    Activate(u64, Vec<(usize, u16)>),
    Reset,
}

/// A device with two queues that notes what it is told.
#[derive(Clone, Default)]
pub struct TestDevice {
    pub told: Arc<Mutex<Vec<Told>>>,
}

impl VirtioDevice for TestDevice {
    fn kind(&self) -> Kind {
        Kind(25, 0xff_0000, vec![64, 64])
    }

    fn features(&self) -> u64 {
        INDIRECT_DESC
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_bytes(&[1, 2, 3, 4], offset, data);
    }

    fn activate(&mut self, driver: Driver) -> Result<(), String> {
        let queues = driver.queues.iter().map(|ring| (ring.index, ring.size)).collect();
        lock(&self.told).push(Told::Activate(driver.features, queues));
        Ok(())
    }

    fn reset(&mut self) {
        lock(&self.told).push(Told::Reset);
    }
}

/// A device on PCI.
pub fn pci_device(device: TestDevice, host: Arc<FakeHost>) -> PciVirtio {
    PciVirtio::new(Box::new(device), memory(), host).unwrap()
}

/// The driver's side of a ring in [`memory`]: one chain at a time.
pub struct DriverRing {
    pub memory: Guest,
    size: u16,
    base: u64,
    next: u16,
}

impl DriverRing {
    /// A ring at `base` (0x2000 bytes) and what a device gets of it.
    pub fn new(memory: &Guest, index: usize, base: u64) -> (Self, Ring) {
        let ring = Ring {
            index,
            size: 16,
            descriptors: base,
            available: base + 0x1000,
            used: base + 0x1800,
            kick: EventFd::new(EFD_NONBLOCK).unwrap(),
            call: EventFd::new(EFD_NONBLOCK).unwrap(),
        };
        (
            Self {
                memory: memory.clone(),
                size: 16,
                base,
                next: 0,
            },
            ring,
        )
    }

    /// Makes a chain of (address, bytes, device writes) available.
    pub fn offer(&mut self, parts: &[(u64, u32, bool)]) {
        for (index, (address, length, is_writable)) in parts.iter().enumerate() {
            let at = GuestAddress(self.base + 16 * index as u64);
            let is_last = index + 1 == parts.len();
            let flags = u16::from(!is_last) | u16::from(*is_writable) << 1;
            let mut bytes = address.to_le_bytes().to_vec();
            bytes.extend(length.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend((index as u16 + 1).to_le_bytes());
            self.memory.write_slice(&bytes, at).unwrap();
        }
        let slot = self.base + 0x1004 + 2 * u64::from(self.next % self.size);
        self.memory.write_obj(0_u16, GuestAddress(slot)).unwrap();
        self.next = self.next.wrapping_add(1);
        self.memory
            .write_obj(self.next, GuestAddress(self.base + 0x1002))
            .unwrap();
    }

    /// How many chains were used, and the bytes written to the last.
    pub fn used(&self) -> (u16, u32) {
        let index: u16 = self.memory.read_obj(GuestAddress(self.base + 0x1802)).unwrap();
        let last = self.base + 0x1804 + 8 * u64::from(index.wrapping_sub(1) % self.size);
        (index, self.memory.read_obj(GuestAddress(last + 4)).unwrap())
    }
}

/// A driver with these rings.
pub fn driver(memory: &Guest, queues: Vec<Ring>) -> Driver {
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    let config = ConfigEvent {
        event,
        status: Arc::default(),
        generation: Arc::default(),
    };
    Driver {
        features: VERSION_1,
        memory: memory.clone(),
        queues,
        config,
    }
}
