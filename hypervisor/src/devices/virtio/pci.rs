//! virtio over PCI (4.1): one memory BAR for all structures, MSI-X for all interrupts. There is no INTx: a driver without
//! MSI-X can only poll.
//!
//! ```text
//! BAR 0  0x0000 common configuration   0x1000 ISR status   0x2000 device configuration
//!        0x4000 + 4 * queue: notification (an eventfd without an exit)
//!        0x6000 MSI-X table (vector 0: configuration, 1 + n: queue n, as the driver chooses)   0x7000 pending bits
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Core, Kind as Device, VirtioDevice};
use crate::devices::pci::Function;
use crate::devices::pci::bars::{Decoded, Kind};
use crate::devices::pci::config::{Identity, Space};
use crate::devices::pci::msix::Msix;
use crate::vm::host::Host;
use crate::vm::memory::Guest;

const BAR: u8 = 0;
const BAR_SIZE: u64 = 0x8000;
const COMMON: u64 = 0;
const COMMON_SIZE: u64 = 0x38;
const ISR: u64 = 0x1000;
const DEVICE: u64 = 0x2000;
const DEVICE_SIZE: u64 = 0x1000;
const NOTIFY: u64 = 0x4000;
const NOTIFY_STEP: u64 = 4;
const TABLE: u64 = 0x6000;
const PENDING: u64 = 0x7000;

/// VIRTIO_PCI_CAP_*_CFG.
const CAP_COMMON: u8 = 1;
const CAP_NOTIFY: u8 = 2;
const CAP_ISR: u8 = 3;
const CAP_DEVICE: u8 = 4;
const CAP_PCI: u8 = 5;

/// A virtio device as a PCI function.
pub struct PciVirtio {
    core: Core,
    space: Space,
    msix: Msix,
    msix_at: usize,
    window_at: usize,
    host: Arc<dyn Host>,
    doorbells: Option<u64>,
}

impl PciVirtio {
    /// Puts a device on the bus.
    ///
    /// # Errors
    /// No interrupt numbers or descriptors left.
    pub fn new(device: Box<dyn VirtioDevice>, memory: Guest, host: Arc<dyn Host>) -> io::Result<Self> {
        let Device(id, class, queues) = device.kind();
        let queues = queues.len();
        let vectors = u16::try_from(queues + 1).map_err(io::Error::other)?;
        // Sources: the queues, then the configuration.
        let msix = Msix::new(Arc::clone(&host), vectors, queues + 1)?;
        let event = |source: usize| {
            msix.event(source)
                .ok_or(io::ErrorKind::NotFound.into())
                .and_then(vmm_sys_util::eventfd::EventFd::try_clone)
        };
        let core = Core::new(device, memory, event(queues)?, event)?;
        let device = 0x1040 + id;
        let identity = Identity {
            vendor: 0x1af4,
            device,
            revision: 1,
            class,
            subsystem: (0x1af4, device),
        };
        let mut space = Space::new(identity);
        space.bars.add(BAR, Kind::Memory32, BAR_SIZE);
        let [size_low, size_high] = (vectors - 1).to_le_bytes();
        let mut msix_bytes = vec![size_low, size_high];
        msix_bytes.extend((TABLE as u32 | u32::from(BAR)).to_le_bytes());
        msix_bytes.extend((PENDING as u32 | u32::from(BAR)).to_le_bytes());
        let msix_at = space.add_capability(0x11, &msix_bytes, &[0, 0xc0]);
        let notify_size = NOTIFY_STEP * queues as u64;
        for (kind, at, size) in [
            (CAP_COMMON, COMMON, COMMON_SIZE),
            (CAP_ISR, ISR, 1),
            (CAP_DEVICE, DEVICE, DEVICE_SIZE),
        ] {
            space.add_capability(9, &vendor_capability(16, kind, at, size), &[]);
        }
        let mut notify = vendor_capability(20, CAP_NOTIFY, NOTIFY, notify_size);
        notify.extend((NOTIFY_STEP as u32).to_le_bytes());
        space.add_capability(9, &notify, &[]);
        let mut window = vendor_capability(20, CAP_PCI, 0, 0);
        window.extend([0; 4]);
        // BAR, offset, length and data are the driver's (4.1.4.9).
        let mut writable = [0xff; 18];
        writable[..6].copy_from_slice(&[0, 0, 0xff, 0, 0, 0]);
        let window_at = space.add_capability(9, &window, &writable);
        Ok(Self {
            core,
            space,
            msix,
            msix_at,
            window_at,
            host,
            doorbells: None,
        })
    }

    fn queue_count(&self) -> usize {
        self.core.queues.len()
    }

    fn common_read(&self, offset: u64, data: &mut [u8]) {
        let core = &self.core;
        let queue = core.selected();
        let value: u64 = match (offset, data.len()) {
            (0x00, 4) => core.device_select.into(),
            (0x04, 4) => core.device_features().into(),
            (0x08, 4) => core.driver_select.into(),
            (0x0c, 4) => core.driver_features().into(),
            (0x10, 2) => self.msix.vector(self.queue_count()).into(),
            (0x12, 2) => self.queue_count() as u64,
            (0x14, 1) => core.status.into(),
            (0x15, 1) => core.generation().into(),
            (0x16, 2) => core.queue_select.into(),
            (0x18, 2) => queue.map_or(0, |queue| queue.size).into(),
            (0x1a, 2) => self.msix.vector(core.queue_select.into()).into(),
            (0x1c, 2) => queue.is_some_and(|queue| queue.is_enabled).into(),
            (0x1e, 2) => core.queue_select.into(),
            (0x20..0x38, _) if offset & 3 == 0 => {
                let address = queue.map_or(0, |queue| queue.areas[(offset as usize - 0x20) / 8]);
                if offset & 4 == 0 { address } else { address >> 32 }
            }
            _ => 0,
        };
        let length = data.len();
        data.copy_from_slice(&value.to_le_bytes()[..length]);
    }

    fn common_write(&mut self, offset: u64, data: &[u8]) {
        if data.len() == 8 && matches!(offset, 0x20 | 0x28 | 0x30) {
            self.common_write(offset, &data[..4]);
            return self.common_write(offset + 4, &data[4..]);
        }
        let mut bytes = [0; 4];
        if data.len() > 4 {
            return;
        }
        bytes[..data.len()].copy_from_slice(data);
        let value = u32::from_le_bytes(bytes);
        match (offset, data.len()) {
            (0x00, 4) => self.core.device_select = value,
            (0x08, 4) => self.core.driver_select = value,
            (0x0c, 4) => self.core.set_driver_features(value),
            (0x10, 2) => self.msix.set_vector(self.queue_count(), value as u16),
            (0x14, 1) => self.set_status(value as u8),
            (0x16, 2) => self.core.queue_select = value as u16,
            (0x18, 2) => self.core.set_queue_size(value as u16),
            (0x1a, 2) if usize::from(self.core.queue_select) < self.queue_count() => {
                self.msix.set_vector(self.core.queue_select.into(), value as u16);
            }
            (0x1c, 2) if value == 1 => self.core.enable_queue(),
            (0x20..0x38, 4) if offset & 3 == 0 => self.core.set_queue_address(offset - 0x20, 8, value),
            _ => {}
        }
    }

    fn set_status(&mut self, status: u8) {
        self.core.set_status(status);
        if status == 0 {
            self.msix.reset_vectors();
        }
    }

    /// The access the driver described in the configuration capability (4.1.4.9): BAR 0, 1, 2 or 4 bytes.
    fn window_target(&self) -> Option<(u64, usize)> {
        let (bar, offset) = (
            self.space.half(self.window_at + 4) as u8,
            self.space.word(self.window_at + 8),
        );
        let length = self.space.word(self.window_at + 12) as usize;
        let offset = u64::from(offset);
        let fits = bar == BAR && matches!(length, 1 | 2 | 4) && offset % length as u64 == 0;
        (fits && offset + length as u64 <= BAR_SIZE).then_some((offset, length))
    }

    /// Is this access to the data of that capability?
    fn is_window(&self, offset: u16, length: usize) -> bool {
        let at = self.window_at + 16;
        usize::from(offset) >= at && usize::from(offset) + length <= at + 4
    }
}

/// `struct virtio_pci_cap` without id and link (4.1.4).
fn vendor_capability(size: u8, kind: u8, at: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![size, kind, BAR, 0, 0, 0];
    bytes.extend((at as u32).to_le_bytes());
    bytes.extend((length as u32).to_le_bytes());
    bytes
}

impl Function for PciVirtio {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        if self.is_window(offset, data.len())
            && let Some((at, length)) = self.window_target()
        {
            let mut window = [0; 4];
            self.bar_read(BAR, at, &mut window[..length]);
            self.space.put(self.window_at + 16, &window);
        }
        self.space.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.space.write(offset, data);
        let control = self.space.half(self.msix_at + 2);
        if control & 0xc000 != self.msix.control() & 0xc000 {
            self.msix.set_control(control);
        }
        if self.is_window(offset, data.len())
            && let Some((at, length)) = self.window_target()
        {
            let word = self.space.word(self.window_at + 16).to_le_bytes();
            self.bar_write(BAR, at, &word[..length]);
        }
    }

    fn space(&mut self) -> &mut Space {
        &mut self.space
    }

    /// Doorbells move with the BAR. Where KVM takes none, a kick comes as an exit.
    fn moved(&mut self, decoded: &[Decoded]) {
        let now = decoded.first().map(|range| range.address + NOTIFY);
        if now == self.doorbells {
            return;
        }
        for (index, queue) in self.core.queues.iter().enumerate() {
            let offset = NOTIFY_STEP * index as u64;
            if let Some(at) = self.doorbells {
                let _ = self.host.unwatch(at + offset, &queue.kick);
            }
            if let Some(at) = now {
                let _ = self.host.watch(at + offset, None, &queue.kick);
            }
        }
        self.doorbells = now;
    }

    fn bar_read(&mut self, _bar: u8, offset: u64, data: &mut [u8]) {
        data.fill(0);
        match offset {
            COMMON..COMMON_SIZE => self.common_read(offset, data),
            ISR => data[0] = self.core.config.status.swap(0, Ordering::AcqRel),
            DEVICE..NOTIFY => self.core.device.read_config(offset - DEVICE, data),
            TABLE..PENDING => self.msix.table_read(offset - TABLE, data),
            PENDING..BAR_SIZE => self.msix.pending_read(offset - PENDING, data),
            _ => {}
        }
    }

    fn bar_write(&mut self, _bar: u8, offset: u64, data: &[u8]) {
        match offset {
            COMMON..COMMON_SIZE => self.common_write(offset, data),
            NOTIFY..TABLE => self.core.kick((offset - NOTIFY) / NOTIFY_STEP),
            TABLE..PENDING => self.msix.table_write(offset - TABLE, data),
            _ => {}
        }
    }
}
