//! The vhost-user connection: negotiation, memory, rings. Protocol encoding is the `vhost` crate's.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserHeaderFlag};
use vhost::vhost_user::{Frontend, VhostUserFrontend, VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost::{VhostBackend, VringConfigData};

use super::memory::Ram;
use super::vring::Vring;
use super::{FrontendError, Options, proto};

/// What negotiation gave.
#[derive(Clone, Copy, Debug)]
pub struct Negotiated {
    /// Device features offered.
    pub offered: u64,
    /// Device features acknowledged.
    pub acked: u64,
    /// Protocol features acknowledged.
    pub protocol: VhostUserProtocolFeatures,
}

/// Connects, waiting for a back end that is (again) about to listen.
///
/// # Errors
/// The last error of `connect` after `wait`.
pub fn dial(path: &Path, wait: Duration, timeout: Duration) -> Result<UnixStream, FrontendError> {
    let end = Instant::now() + wait;
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(e)
                if Instant::now() < end && matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(e) => return Err(e.into()),
        }
    }
}

/// Ends a connection that has not done what it should in time: the `vhost` crate waits for an answer for ever.
#[derive(Debug)]
pub struct Deadline(#[expect(dead_code, reason = "its drop calls the deadline off")] Sender<()>);

impl Deadline {
    /// Shuts the connection down after `limit` unless dropped before.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn on(connection: &UnixStream, limit: Duration) -> std::io::Result<Self> {
        let connection = connection.try_clone()?;
        let (sender, receiver) = channel::<()>();
        std::thread::spawn(move || {
            if receiver.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let _already_gone = connection.shutdown(Shutdown::Both);
            }
        });
        Ok(Self(sender))
    }
}

/// The protocol end, for one statement: what is not answered in time ends the connection.
pub struct Armed<'a> {
    pub(super) frontend: &'a mut Frontend,
    pub(super) _deadline: Option<Deadline>,
}

impl Deref for Armed<'_> {
    type Target = Frontend;

    fn deref(&self) -> &Frontend {
        self.frontend
    }
}

impl DerefMut for Armed<'_> {
    fn deref_mut(&mut self) -> &mut Frontend {
        self.frontend
    }
}

/// Features and protocol features, in QEMU's order.
///
/// # Errors
/// A message refused, lost or late.
pub fn negotiate(frontend: &mut Frontend, options: &Options) -> Result<Negotiated, FrontendError> {
    let offered = frontend.get_features()?;
    let protocol_bit = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
    let mut wanted = proto::F_VERSION_1 | protocol_bit;
    wanted |= if options.event_idx { proto::F_EVENT_IDX } else { 0 };
    wanted |= if options.indirect { proto::F_INDIRECT } else { 0 };
    wanted |= if options.controls { proto::F_CTLS } else { 0 };
    let mut protocol = VhostUserProtocolFeatures::empty();
    if offered & protocol_bit != 0 {
        let known = VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::RESET_DEVICE;
        protocol = frontend.get_protocol_features()? & known;
        frontend.set_protocol_features(protocol)?;
    }
    frontend.set_owner()?;
    let acked = offered & wanted;
    frontend.set_features(acked)?;
    if protocol.contains(VhostUserProtocolFeatures::REPLY_ACK) {
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
    }
    Ok(Negotiated {
        offered,
        acked,
        protocol,
    })
}

/// Sends memory table and rings, enables them, and makes sure they are enabled before anything is kicked: a GET_FEATURES
/// round trip, since back ends read and drop the kick of a ring that isn't enabled yet.
///
/// # Errors
/// A message refused, lost or late.
pub fn set_up(frontend: &mut Frontend, ram: &Ram, queues: &[Vring]) -> Result<(), FrontendError> {
    frontend.set_mem_table(&ram.table())?;
    for (index, queue) in queues.iter().enumerate() {
        let addresses = VringConfigData {
            queue_max_size: queue.size,
            queue_size: queue.size,
            flags: 0,
            desc_table_addr: ram.user(queue.desc),
            used_ring_addr: ram.user(queue.used),
            avail_ring_addr: ram.user(queue.avail),
            log_addr: None,
        };
        frontend.set_vring_num(index, queue.size)?;
        frontend.set_vring_base(index, queue.used_index())?;
        frontend.set_vring_addr(index, &addresses)?;
        frontend.set_vring_call(index, &queue.call)?;
        frontend.set_vring_err(index, &queue.err)?;
        frontend.set_vring_kick(index, &queue.kick)?;
    }
    for index in 0..queues.len() {
        frontend.set_vring_enable(index, true)?;
    }
    frontend.get_features()?;
    Ok(())
}

/// `len` bytes of the configuration space.
///
/// # Errors
/// A back end without CONFIG, or a message refused, lost or late.
pub fn read_config(frontend: &mut Frontend, len: u32) -> Result<Vec<u8>, FrontendError> {
    let zeros = vec![0; len as usize];
    let (_, bytes) = frontend.get_config(0, len, VhostUserConfigFlags::empty(), &zeros)?;
    Ok(bytes)
}
