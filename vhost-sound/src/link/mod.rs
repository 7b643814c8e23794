//! How rings reach us: vhost-user over AF_UNIX.
//!
//! [`Socket`] is the connection: it looks at the oldest message without taking it, so that a message stays with the
//! kernel until it is answered, and a control process that dies over it leaves it to its successor whole, descriptors
//! included. [`Message`] is what the bytes say. What the messages do is `device`'s affair.
//!
//! ```text
//!  bytes arrive ─► peek: half ──────────► Half (come again later; the peer gone: Closed)
//!                    │ whole
//!                    ▼
//!                 Message ─► carried out ─► descriptors kept ─► reply sent ─► taken off the socket
//! ```

pub mod message;
mod socket;

pub use message::{Message, ParseError, Request};
pub(crate) use socket::set_nonblocking;
pub use socket::{Peeked, Socket};
