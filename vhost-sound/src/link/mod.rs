//! How rings reach us: vhost-user over AF_UNIX, or over a stream with the guest's memory as a window.
//!
//! A [`GuestLink`] is the connection: it looks at the oldest message without taking it, so that a message stays with the
//! kernel until it is answered, and a control process that dies over it leaves it to its successor whole, descriptors
//! included. [`Message`] is what the bytes say. What the messages do is `device`'s affair; it doesn't know which link it is.
//!
//! ```text
//!  bytes arrive ─► peek: half ──────────► Half (come again later; the peer gone: Closed)
//!                    │ whole
//!                    ▼
//!                 Message ─► carried out ─► descriptors kept ─► reply sent ─► taken off the socket
//! ```
//! - [`Socket`]: the standard one. Regions, kicks and calls are descriptors that came with the message.
//! - [`WindowLink`]: the service VM's. Nothing but bytes crosses from another VM: see [`window`].

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

pub mod message;
mod socket;
pub mod window;

pub use message::{Message, ParseError, Request};
pub use socket::set_nonblocking;
pub use socket::{Peeked, Socket};
pub use window::{Window, WindowLink};

/// A front end's connection.
pub trait GuestLink: Send {
    /// Looks at the oldest message.
    fn peek(&self) -> Peeked;

    /// Takes the oldest `len` bytes off, with whatever descriptors they carry.
    ///
    /// # Errors
    /// What `recv` says.
    fn take(&self, len: usize) -> io::Result<()>;

    /// Sends a reply whole; false when the peer's queue is full.
    ///
    /// # Errors
    /// What `send` says, but `EAGAIN`.
    fn send(&self, bytes: &[u8]) -> io::Result<bool>;

    /// Whether the peer has yet to read something we sent; false where that can't be told.
    fn unread(&self) -> bool;

    /// The connection's descriptor.
    fn fd(&self) -> BorrowedFd<'_>;
}

/// Which link a guest's connections are.
#[derive(Clone, Debug, Default)]
pub enum Way {
    /// vhost-user with descriptors.
    #[default]
    Unix,
    /// A window.
    Window(Arc<Window>),
}

impl Way {
    /// Makes a link of a connection.
    ///
    /// # Errors
    /// As [`Socket::new`] and [`WindowLink::new`].
    pub fn link(&self, fd: OwnedFd) -> io::Result<Box<dyn GuestLink>> {
        Ok(match self {
            Self::Unix => Box::new(Socket::new(fd)?),
            Self::Window(window) => Box::new(WindowLink::new(fd, window.clone())?),
        })
    }

    /// Protocol features that this way adds.
    pub(crate) fn protocol(&self) -> u64 {
        match self {
            Self::Unix => 0,
            Self::Window(_) => message::protocol::INBAND_NOTIFICATIONS,
        }
    }
}
