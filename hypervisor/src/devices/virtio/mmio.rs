//! virtio over memory-mapped registers (4.2.2), version 2. For guests without PCI; an interrupt costs two exits (status and
//! acknowledge).

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::{Core, VirtioDevice};
use crate::devices::lock;
use crate::vm::bus::Registers;
use crate::vm::host::Host;
use crate::vm::memory::Guest;

const MAGIC: u32 = 0x7472_6976;
const VENDOR: u32 = 0x4c52_4143;
const QUEUE_NOTIFY: u64 = 0x50;
const CONFIG: u64 = 0x100;

/// A virtio device with registers of its own.
pub struct MmioVirtio(Mutex<Core>);

impl MmioVirtio {
    /// Puts a device at `address`, with interrupts by an edge on `pin`.
    ///
    /// # Errors
    /// KVM refused, or no descriptors left.
    pub fn new(
        device: Box<dyn VirtioDevice>,
        memory: Guest,
        host: &Arc<dyn Host>,
        address: u64,
        pin: u32,
    ) -> io::Result<Self> {
        // One line for all: whatever signals it, the driver asks every queue.
        let line = EventFd::new(EFD_NONBLOCK)?;
        host.attach(pin, &line)?;
        let core = Core::new(device, memory, line.try_clone()?, |_| line.try_clone())?;
        for (index, queue) in core.queues.iter().enumerate() {
            host.watch(address + QUEUE_NOTIFY, u32::try_from(index).ok(), &queue.kick)?;
        }
        Ok(Self(Mutex::new(core)))
    }
}

impl Registers for MmioVirtio {
    fn read(&self, offset: u64, data: &mut [u8]) {
        let core = lock(&self.0);
        data.fill(0);
        if offset >= CONFIG {
            return core.device.read_config(offset - CONFIG, data);
        }
        let value = match offset {
            0x00 => MAGIC,
            0x04 => 2,
            0x08 => core.device.kind().0.into(),
            0x0c => VENDOR,
            0x10 => core.device_features(),
            0x34 => core.selected().map_or(0, |queue| queue.size_max).into(),
            0x44 => core.selected().is_some_and(|queue| queue.is_enabled).into(),
            // Back ends signal the line without a word to us, so a used buffer is always possible.
            0x60 => 1 | u32::from(core.config.status.load(Ordering::Acquire)),
            0x70 => core.status.into(),
            0xfc => core.generation().into(),
            _ => 0,
        };
        if data.len() == 4 {
            data.copy_from_slice(&value.to_le_bytes());
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let Ok(bytes) = data.try_into() else { return };
        let value = u32::from_le_bytes(bytes);
        let mut core = lock(&self.0);
        match offset {
            0x14 => core.device_select = value,
            0x20 => core.set_driver_features(value),
            0x24 => core.driver_select = value,
            0x30 => core.queue_select = u16::try_from(value).unwrap_or(u16::MAX),
            0x38 => core.set_queue_size(u16::try_from(value).unwrap_or(0)),
            0x44 if value == 1 => core.enable_queue(),
            // A driver takes a queue back by writing 0 while the device doesn't run.
            0x44 if value == 0 => core.disable_queue(),
            QUEUE_NOTIFY => core.kick(value.into()),
            0x64 => {
                core.config.status.fetch_and(!(value as u8), Ordering::AcqRel);
            }
            0x70 => core.set_status(value as u8),
            0x80 | 0x84 | 0x90 | 0x94 | 0xa0 | 0xa4 => core.set_queue_address(offset - 0x80, 16, value),
            _ => {}
        }
    }
}
