//! The framing of vhost-user (QEMU `docs/interop/vhost-user.rst`): a sound device's front end and the relay to a service VM use it.
//! No call waits.

mod message;
mod stream;

pub use message::{
    Code, F_EVENT_IDX, F_INDIRECT_DESC, Header, INBAND_NOTIFICATIONS, NEED_REPLY, QUEUES, code, dword, set_dword, word,
};
pub use stream::{Incoming, MAX_FDS, Side, receive};
