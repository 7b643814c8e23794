//! A vhost-user sound front end: the other side of the wire, for tests of any back end.
//!
//! ```text
//!  Player / Recorder   stock driver's order: SET_PARAMS, PREPARE, fill, START, refill, STOP, RELEASE
//!        │
//!  SoundFrontend       control requests with time-out, events, PCM messages
//!        │
//!  Vring · Ram         split rings in memfd regions        link   vhost-user messages (crate `vhost`)
//! ```
//! Nothing here trusts the device: every wait ends, every index read back is bounded.

pub mod link;
pub mod memory;
pub mod pcm;
pub mod proto;
mod sound;
pub mod vring;

pub use sound::{Completion, Reply, Slot, SoundFrontend};

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// What to negotiate and how long to wait.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ask for VIRTIO_RING_F_EVENT_IDX.
    pub event_idx: bool,
    /// Ask for VIRTIO_RING_F_INDIRECT_DESC.
    pub indirect: bool,
    /// Ask for VIRTIO_SND_F_CTLS.
    pub controls: bool,
    /// Sleep on the call eventfds; otherwise poll the used rings.
    pub eventfd: bool,
    /// Entries of each queue (QEMU's are 64).
    pub queue_size: u16,
    /// Longest wait for the answer to a control or protocol message (Linux: 1 s).
    pub timeout: Duration,
    /// Longest wait for the socket to accept.
    pub dial: Duration,
    /// Bytes of guest memory for samples and messages.
    pub data_bytes: usize,
    /// Guest memory lies in this file, [`memory::WINDOW`] bytes long, instead of in memfds of its own.
    pub memory: Option<Arc<File>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            event_idx: true,
            indirect: true,
            controls: true,
            eventfd: true,
            queue_size: 64,
            timeout: Duration::from_secs(1),
            dial: Duration::from_secs(3),
            data_bytes: 32 << 20,
            memory: None,
        }
    }
}

/// What can go wrong on the front end's side.
#[derive(Debug, thiserror::Error)]
pub enum FrontendError {
    /// A system call.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The vhost-user connection: refused, closed or silent.
    #[error("vhost-user: {0}")]
    Vhost(#[from] vhost::Error),
    /// Guest memory is used up.
    #[error("guest memory is used up")]
    OutOfMemory,
    /// The queue has no free descriptors.
    #[error("queue {0} has no free descriptors")]
    QueueFull(usize),
    /// The device did not return a message in time.
    #[error("no answer to {what} within {waited:?}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// The device refused a request that the caller needs.
    #[error("{what}: status {status:#x}")]
    Refused {
        /// Which request.
        what: String,
        /// The status it gave.
        status: u32,
    },
}
