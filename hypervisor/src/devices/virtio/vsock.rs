//! virtio-vsock (5.10) by the host kernel's vhost-vsock: no byte of it passes through this process.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use vhost::vhost_kern::VhostKernBackend;
use vhost::vhost_kern::vhost_binding::{VHOST_VSOCK_SET_GUEST_CID, VHOST_VSOCK_SET_RUNNING};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::GuestMemoryBackend;
use vmm_sys_util::ioctl::ioctl_with_ref;

use super::{Driver, Kind, Ring, VERSION_1, VirtioDevice, read_bytes};
use crate::vm::error::Fault;
use crate::vm::memory::Guest;

/// Receive and transmit; the third queue (events) is never used by the host.
const KERNEL_QUEUES: usize = 2;
const QUEUE_SIZE: u16 = 128;

/// The device.
pub struct Vsock {
    vhost: Vhost,
    cid: u64,
    features: u64,
}

struct Vhost {
    fd: File,
    memory: Arc<Guest>,
}

impl AsRawFd for Vhost {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl VhostKernBackend for Vhost {
    type AS = Arc<Guest>;

    fn mem(&self) -> &Self::AS {
        &self.memory
    }
}

impl Vhost {
    fn set_running(&self, running: bool) -> Result<(), String> {
        let value = libc::c_int::from(running);
        // SAFETY: the call reads one int.
        if unsafe { ioctl_with_ref(&self.fd, VHOST_VSOCK_SET_RUNNING(), &value) } != 0 {
            return Err(std::io::Error::last_os_error().to_string());
        }
        Ok(())
    }

    fn start_ring(&self, ring: &Ring) -> Result<(), vhost::Error> {
        let config = VringConfigData {
            queue_max_size: QUEUE_SIZE,
            queue_size: ring.size,
            flags: 0,
            desc_table_addr: ring.descriptors,
            used_ring_addr: ring.used,
            avail_ring_addr: ring.available,
            log_addr: None,
        };
        self.set_vring_num(ring.index, ring.size)?;
        self.set_vring_addr(ring.index, &config)?;
        self.set_vring_base(ring.index, 0)?;
        self.set_vring_call(ring.index, &ring.call)?;
        self.set_vring_kick(ring.index, &ring.kick)
    }
}

impl Vsock {
    /// A guest with this CID, by an opened `/dev/vhost-vsock`.
    ///
    /// # Errors
    /// The kernel refused: the CID is taken, or the descriptor is of another kind.
    pub fn new(fd: OwnedFd, cid: u32, memory: &Guest) -> Result<Self, Fault> {
        let vhost = Vhost {
            fd: fd.into(),
            memory: Arc::new(memory.clone()),
        };
        let failed = |e: vhost::Error| Fault::Host(format!("vhost-vsock: {e}"));
        vhost.set_owner().map_err(failed)?;
        let offered = vhost.get_features().map_err(failed)?;
        let cid = u64::from(cid);
        // SAFETY: the call reads one 64-bit number.
        if unsafe { ioctl_with_ref(&vhost.fd, VHOST_VSOCK_SET_GUEST_CID(), &cid) } != 0 {
            let error = std::io::Error::last_os_error();
            return Err(Fault::host(
                format!("vsock CID {cid} (3 or more, of no other VM)"),
                error,
            ));
        }
        // Bits 0 to 23 are the device's, 28 and 29 the ring's; the rest is between the kernel and us.
        Ok(Self {
            vhost,
            cid,
            features: offered & 0x30ff_ffff,
        })
    }
}

impl VirtioDevice for Vsock {
    fn kind(&self) -> Kind {
        Kind(19, 0x02_8000, vec![QUEUE_SIZE; KERNEL_QUEUES + 1])
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_bytes(&self.cid.to_le_bytes(), offset, data);
    }

    fn activate(&mut self, driver: Driver) -> Result<(), String> {
        let text = |e: vhost::Error| e.to_string();
        self.vhost
            .set_features(driver.features & (self.features | VERSION_1))
            .map_err(text)?;
        let regions: Vec<_> = driver
            .memory
            .iter()
            .map(VhostUserMemoryRegionInfo::from_guest_region)
            .collect::<Result<_, _>>()
            .map_err(text)?;
        self.vhost.set_mem_table(&regions).map_err(text)?;
        for ring in driver.queues.iter().filter(|ring| ring.index < KERNEL_QUEUES) {
            self.vhost.start_ring(ring).map_err(text)?;
        }
        self.vhost.set_running(true)
    }

    fn reset(&mut self) {
        // It can only fail if it doesn't run.
        let _ = self.vhost.set_running(false);
    }
}
