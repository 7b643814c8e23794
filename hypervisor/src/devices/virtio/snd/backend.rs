//! One connection to a vhost-user back end, as its front end (QEMU docs/interop/vhost-user.rst).
//!
//! Every request waits for its acknowledgement, and none longer than [`PATIENCE`]: a back end that doesn't answer is one
//! that isn't there.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserHeaderFlag, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

use super::super::{Ring, VERSION_1, host_address};
use super::{CONFIG_SIZE, QUEUES};
use crate::vm::memory::Guest;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_millis(400);
/// VHOST_USER_F_PROTOCOL_FEATURES.
const PROTOCOL_FEATURES: u64 = 1 << 30;

/// A back end that told what it can do.
pub struct Backend {
    frontend: Frontend,
    socket: UnixStream,
    /// What it offers, without [`VERSION_1`] and the protocol's own bit.
    pub features: u64,
    /// Its configuration space.
    pub config: [u8; CONFIG_SIZE],
}

impl Backend {
    /// Asks a freshly connected back end for features and configuration; it must offer what a driver has acknowledged
    /// already.
    pub fn new(socket: OwnedFd, acknowledged: Option<u64>) -> Result<Self, String> {
        let text = |e: vhost::Error| e.to_string();
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(false).map_err(|e| e.to_string())?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        socket.set_write_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
        let ours = socket.try_clone().map_err(|e| e.to_string())?;
        let mut frontend = Frontend::from_stream(socket, QUEUES as u64);
        frontend.set_owner().map_err(text)?;
        let offered = frontend.get_features().map_err(text)?;
        let needed = acknowledged.unwrap_or(0) | VERSION_1 | PROTOCOL_FEATURES;
        if offered & needed != needed {
            return Err(format!("the back end offers features {offered:#x}, {needed:#x} are needed"));
        }
        let wanted = VhostUserProtocolFeatures::CONFIG | VhostUserProtocolFeatures::REPLY_ACK;
        let protocol = frontend.get_protocol_features().map_err(text)?;
        if !protocol.contains(wanted) {
            return Err(format!("the back end lacks protocol features {:?}", wanted - protocol));
        }
        let chosen = protocol & (wanted | VhostUserProtocolFeatures::MQ);
        frontend.set_protocol_features(chosen).map_err(text)?;
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        let config = read_config(&mut frontend)?;
        let features = offered & !(VERSION_1 | PROTOCOL_FEATURES);
        Ok(Self { frontend, socket: ours, features, config })
    }

    /// Hands memory and rings over, from where each used index stands.
    pub fn start(&self, features: u64, memory: &Guest, queues: &[Ring]) -> Result<(), String> {
        let text = |e: vhost::Error| e.to_string();
        self.frontend.set_features(features | PROTOCOL_FEATURES).map_err(text)?;
        let regions: Vec<_> = memory
            .iter()
            .map(VhostUserMemoryRegionInfo::from_guest_region)
            .collect::<Result<_, _>>()
            .map_err(text)?;
        self.frontend.set_mem_table(&regions).map_err(text)?;
        for ring in queues {
            self.start_ring(memory, ring)?;
        }
        Ok(())
    }

    fn start_ring(&self, memory: &Guest, ring: &Ring) -> Result<(), String> {
        let text = |e: vhost::Error| e.to_string();
        let Ring { index, size, .. } = *ring;
        let at = |address: u64| host_address(memory, address).ok_or("a ring is outside shared memory");
        let config = VringConfigData {
            queue_max_size: size,
            queue_size: size,
            flags: 0,
            desc_table_addr: at(ring.descriptors)?,
            used_ring_addr: at(ring.used)?,
            avail_ring_addr: at(ring.available)?,
            log_addr: None,
        };
        let mut frontend = self.frontend.clone();
        frontend.set_vring_num(index, size).map_err(text)?;
        frontend.set_vring_addr(index, &config).map_err(text)?;
        frontend.set_vring_base(index, used_index(memory, ring)?).map_err(text)?;
        frontend.set_vring_call(index, &ring.call).map_err(text)?;
        frontend.set_vring_kick(index, &ring.kick).map_err(text)?;
        frontend.set_vring_enable(index, true).map_err(text)?;
        // Kicks of the time without a back end are lost; it finds out by itself if there is nothing.
        let _ = ring.kick.write(1);
        Ok(())
    }

    /// Takes the rings back: when this returns the back end touches none.
    pub fn stop(&self, queues: &[Ring]) -> Result<(), String> {
        for ring in queues {
            self.frontend.get_vring_base(ring.index).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Why the connection is of no use any more, if so.
    pub fn is_over(&self) -> Option<String> {
        let mut byte = 0_u8;
        let (fd, flags) = (self.as_raw_fd(), libc::MSG_PEEK | libc::MSG_DONTWAIT);
        // SAFETY: room for one byte.
        match unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, flags) } {
            0 => Some("the back end hung up".to_owned()),
            1 => Some("the back end spoke unasked".to_owned()),
            _ => match std::io::Error::last_os_error() {
                e if e.kind() == std::io::ErrorKind::WouldBlock => None,
                e => Some(e.to_string()),
            },
        }
    }
}

impl AsRawFd for Backend {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The whole space, or the part all back ends have (without the number of controls).
fn read_config(frontend: &mut Frontend) -> Result<[u8; CONFIG_SIZE], String> {
    let mut config = [0; CONFIG_SIZE];
    let mut ask = |size: usize| frontend.get_config(0, size as u32, VhostUserConfigFlags::WRITABLE, &vec![0; size]);
    let (_, bytes) = ask(CONFIG_SIZE).or_else(|_| ask(CONFIG_SIZE - 4)).map_err(|e| e.to_string())?;
    config[..bytes.len()].copy_from_slice(&bytes);
    Ok(config)
}

/// The device ring's index in guest memory: how far everything was answered.
pub fn used_index(memory: &Guest, ring: &Ring) -> Result<u16, String> {
    let index: u16 = memory.read_obj(GuestAddress(ring.used + 2)).map_err(|e| e.to_string())?;
    Ok(u16::from_le(index))
}
