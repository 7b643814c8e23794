//! The framing of vhost-user (QEMU `docs/interop/vhost-user.rst`): header, words, streams of messages with descriptors. Both ends
//! use it: the device here, the hypervisor's front end and its relay to a service VM. No call waits.

mod message;
mod stream;

pub use crate::link::set_nonblocking;
pub use message::{
    Code, HEADER, Header, INBAND_NOTIFICATIONS, MAX_FDS, MAX_PAYLOAD, NEED_REPLY, REPLY, VERSION, code, dword,
    set_dword, word,
};
pub use stream::{Incoming, Side, receive};
