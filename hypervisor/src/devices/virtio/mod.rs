//! virtio devices (virtio 1.3) and what both transports have in common.
//!
//! The device status is the state machine (2.1, 3.1.1):
//!
//! ```text
//!            ACKNOWLEDGE, DRIVER      FEATURES_OK               DRIVER_OK
//!  reset(0) ─────────────────► known ─────────────► negotiated ───────────► active
//!    ▲                                  │ bit stays 0: not                   │ rings are not in shared memory,
//!    │                                  │ our features, or no VERSION_1      │ or the device refused
//!    └── write 0, from any state ◄──────┴────────────────────────────────────▼
//!                                                                      NEEDS_RESET
//! ```
//! Features can be changed before FEATURES_OK only, a queue's registers before it is enabled only; everything else a
//! driver writes is thrown away.

pub mod blk;
pub mod mmio;
pub mod pci;
pub mod rng;
pub mod snd;
pub mod vsock;
pub mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::vm::memory::Guest;

pub use vhost_sound::wire::{F_EVENT_IDX as EVENT_IDX, F_INDIRECT_DESC as INDIRECT_DESC, F_VERSION_1 as VERSION_1};
/// The largest queue.
pub const QUEUE_SIZE_MAX: u16 = 1024;

const ACKNOWLEDGE_DRIVER: u8 = 3;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const NEEDS_RESET: u8 = 0x40;
const FAILED: u8 = 0x80;

/// Device ID (5), class code of its PCI function, the largest size of each queue.
pub struct Kind(pub u16, pub u32, pub Vec<u16>);

/// A device, without its transport.
pub trait VirtioDevice: Send {
    /// What it is.
    fn kind(&self) -> Kind;

    /// Features but [`VERSION_1`], which every device has.
    fn features(&self) -> u64;

    /// A read of the device's configuration; what lies behind its end stays as it is (zeros).
    fn read_config(&self, offset: u64, data: &mut [u8]);

    /// The driver is there.
    ///
    /// # Errors
    /// The device can't work: it needs a reset.
    fn activate(&mut self, driver: Driver) -> Result<(), String>;

    /// The driver is gone: no ring is touched after this.
    fn reset(&mut self);
}

/// What a device gets of its driver.
pub struct Driver {
    /// Negotiated features.
    pub features: u64,
    /// Where the rings and buffers are.
    pub memory: Guest,
    /// The enabled queues.
    pub queues: Vec<Ring>,
    /// For changes of the configuration.
    pub config: ConfigEvent,
}

/// An enabled queue; its three parts were found inside shared memory.
#[derive(Debug)]
pub struct Ring {
    /// Number of the queue.
    pub index: usize,
    /// Entries.
    pub size: u16,
    /// Descriptor table.
    pub descriptors: u64,
    /// Driver ring.
    pub available: u64,
    /// Device ring.
    pub used: u64,
    /// Signalled by the driver.
    pub kick: EventFd,
    /// To be signalled for the driver.
    pub call: EventFd,
}

/// Tells the driver that the configuration changed.
#[derive(Debug)]
pub struct ConfigEvent {
    event: EventFd,
    status: Arc<AtomicU8>,
    generation: Arc<AtomicU8>,
}

impl ConfigEvent {
    /// Tells it.
    pub fn signal(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        self.status.fetch_or(2, Ordering::Release);
        // A full counter is an interrupt already pending.
        let _ = self.event.write(1);
    }

    fn duplicate(&self) -> io::Result<Self> {
        let (status, generation) = (Arc::clone(&self.status), Arc::clone(&self.generation));
        Ok(Self {
            event: self.event.try_clone()?,
            status,
            generation,
        })
    }
}

/// Registers of a queue.
struct Queue {
    size_max: u16,
    size: u16,
    is_enabled: bool,
    /// Addresses: descriptor table, driver ring, device ring.
    areas: [u64; 3],
    kick: EventFd,
    call: EventFd,
}

/// The state both transports show in registers of their own.
struct Core {
    device: Box<dyn VirtioDevice>,
    memory: Guest,
    status: u8,
    features: u64,
    device_select: u32,
    driver_select: u32,
    queue_select: u16,
    queues: Vec<Queue>,
    config: ConfigEvent,
}

/// The half that a select register names: 0 is the low one, 1 the high one, others are none.
fn selected(register: u64, select: u32) -> u32 {
    register.checked_shr(select.saturating_mul(32)).unwrap_or(0) as u32
}

fn set_selected(register: &mut u64, select: u32, value: u32) {
    if let Some(mask) = u64::from(u32::MAX).checked_shl(select.saturating_mul(32)) {
        *register = *register & !mask | u64::from(value) << (32 * select);
    }
}

impl Core {
    /// `call` gives each queue's eventfd, `config_event` the one for the configuration.
    fn new(
        device: Box<dyn VirtioDevice>,
        memory: Guest,
        config_event: EventFd,
        mut call: impl FnMut(usize) -> io::Result<EventFd>,
    ) -> io::Result<Self> {
        let queues = device
            .kind()
            .2
            .into_iter()
            .enumerate()
            .map(|(index, size)| {
                Ok(Queue {
                    size_max: size,
                    size,
                    is_enabled: false,
                    areas: [0; 3],
                    kick: EventFd::new(EFD_NONBLOCK)?,
                    call: call(index)?,
                })
            })
            .collect::<io::Result<Vec<_>>>()?;
        let config = ConfigEvent {
            event: config_event,
            status: Arc::default(),
            generation: Arc::default(),
        };
        Ok(Self {
            device,
            memory,
            status: 0,
            features: 0,
            device_select: 0,
            driver_select: 0,
            queue_select: 0,
            queues,
            config,
        })
    }

    fn offered(&self) -> u64 {
        self.device.features() | VERSION_1
    }

    fn device_features(&self) -> u32 {
        selected(self.offered(), self.device_select)
    }

    fn driver_features(&self) -> u32 {
        selected(self.features, self.driver_select)
    }

    fn set_driver_features(&mut self, value: u32) {
        if self.status & FEATURES_OK == 0 {
            set_selected(&mut self.features, self.driver_select, value);
        }
    }

    fn generation(&self) -> u8 {
        self.config.generation.load(Ordering::Acquire)
    }

    fn set_status(&mut self, value: u8) {
        if value == 0 {
            return self.reset();
        }
        // Bits are only ever added; NEEDS_RESET is the device's.
        let mut added = value & !self.status & !NEEDS_RESET;
        if added & FEATURES_OK != 0 {
            let known = self.status | added;
            let acceptable = self.features & !self.offered() == 0 && self.features & VERSION_1 != 0;
            if known & ACKNOWLEDGE_DRIVER != ACKNOWLEDGE_DRIVER || !acceptable {
                added &= !FEATURES_OK;
            }
        }
        if added & DRIVER_OK != 0 {
            if self.status & FEATURES_OK == 0 || self.status & (NEEDS_RESET | FAILED) != 0 {
                added &= !DRIVER_OK;
            } else if self.activate().is_err() {
                added |= NEEDS_RESET;
            }
        }
        self.status |= added;
        if added & NEEDS_RESET != 0 {
            self.config.signal();
        }
    }

    fn activate(&mut self) -> Result<(), String> {
        let queues = self
            .queues
            .iter()
            .enumerate()
            .filter(|(_, queue)| queue.is_enabled)
            .map(|(index, queue)| ring(index, queue, &self.memory))
            .collect::<Result<_, _>>()?;
        let config = self.config.duplicate().map_err(|e| e.to_string())?;
        let driver = Driver {
            features: self.features,
            memory: self.memory.clone(),
            queues,
            config,
        };
        self.device.activate(driver)
    }

    fn reset(&mut self) {
        if self.status & DRIVER_OK != 0 {
            self.device.reset();
        }
        (self.status, self.features) = (0, 0);
        (self.device_select, self.driver_select, self.queue_select) = (0, 0, 0);
        self.config.status.store(0, Ordering::Release);
        for queue in &mut self.queues {
            queue.is_enabled = false;
            queue.size = queue.size_max;
            queue.areas = [0; 3];
        }
    }

    fn selected(&self) -> Option<&Queue> {
        self.queues.get(usize::from(self.queue_select))
    }

    /// The selected queue, while its registers may be written.
    fn open_queue(&mut self) -> Option<&mut Queue> {
        let is_open = self.status & DRIVER_OK == 0;
        self.queues
            .get_mut(usize::from(self.queue_select))
            .filter(|queue| is_open && !queue.is_enabled)
    }

    fn set_queue_size(&mut self, size: u16) {
        if let Some(queue) = self.open_queue()
            && size.is_power_of_two()
            && size <= queue.size_max
        {
            queue.size = size;
        }
    }

    /// The 32-bit word at `offset` of a transport's registers of addresses, `step` bytes apart.
    fn set_queue_address(&mut self, offset: u64, step: u64, value: u32) {
        if let Some(queue) = self.open_queue() {
            set_selected(
                &mut queue.areas[(offset / step) as usize],
                (offset >> 2 & 1) as u32,
                value,
            );
        }
    }

    fn enable_queue(&mut self) {
        if let Some(queue) = self.open_queue() {
            queue.is_enabled = true;
        }
    }

    fn disable_queue(&mut self) {
        let is_open = self.status & DRIVER_OK == 0;
        if let Some(queue) = self.queues.get_mut(usize::from(self.queue_select)).filter(|_| is_open) {
            queue.is_enabled = false;
        }
    }

    /// A kick that came as an exit, where no doorbell is watched.
    fn kick(&self, queue: u64) {
        if let Some(queue) = usize::try_from(queue).ok().and_then(|index| self.queues.get(index)) {
            // A full counter is a kick already there.
            let _ = queue.kick.write(1);
        }
    }
}

/// A queue's parts, if each is aligned and inside one region of shared memory.
fn ring(index: usize, queue: &Queue, memory: &Guest) -> Result<Ring, String> {
    let size = u64::from(queue.size);
    let parts = [
        ("descriptor table", 16 * size, 16),
        ("driver ring", 6 + 2 * size, 2),
        ("device ring", 6 + 8 * size, 4),
    ];
    for ((name, length, alignment), at) in parts.into_iter().zip(queue.areas) {
        if at % alignment != 0 || !is_shared(memory, at, length) {
            return Err(format!("queue {index}: its {name} at {at:#x} is not in shared memory"));
        }
    }
    let [descriptors, available, used] = queue.areas;
    let (kick, call) = (queue.kick.try_clone(), queue.call.try_clone());
    let (kick, call) = (kick.map_err(|e| e.to_string())?, call.map_err(|e| e.to_string())?);
    Ok(Ring {
        index,
        size: queue.size,
        descriptors,
        available,
        used,
        kick,
        call,
    })
}

/// Is the whole range in one region? (Back ends map regions one by one.)
fn is_shared(memory: &Guest, at: u64, length: u64) -> bool {
    let in_region = |region: &<Guest as GuestMemoryBackend>::R| {
        use vm_memory::Address;
        let offset = at - region.start_addr().raw_value();
        offset.checked_add(length).is_some_and(|end| end <= region.len())
    };
    memory.find_region(GuestAddress(at)).is_some_and(in_region)
}

/// Where the byte at `at` is in this process; the caller has made sure of the range.
fn host_address(memory: &Guest, at: u64) -> Option<u64> {
    memory
        .get_host_address(GuestAddress(at))
        .ok()
        .map(|pointer| pointer as u64)
}

/// Copies what of `bytes` lies at `offset` into `data`.
fn read_bytes(bytes: &[u8], offset: u64, data: &mut [u8]) {
    let Some(rest) = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)) else {
        return;
    };
    let count = rest.len().min(data.len());
    data[..count].copy_from_slice(&rest[..count]);
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
