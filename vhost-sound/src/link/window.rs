//! The second way: a front end in another VM. Its guest's memory is a window (a file or `/dev/daxN.0` that is mapped), the
//! messages are vhost-user's over a stream (AF_VSOCK; AF_UNIX in tests), and no descriptor can cross.
//!
//! | vhost-user | here |
//! |---|---|
//! | descriptor of a memory region | the window; the region's offset counts from its start |
//! | kick descriptor | VRING_KICK messages (`INBAND_NOTIFICATIONS`), for queues that asked to be kicked |
//! | call descriptor | one word of the doorbell a queue: word `first + queue` |
//! | error descriptor | none |
//!
//! A message that carries descriptors or regions beyond the window is refused; the device behind it sees a message as it
//! would have come over AF_UNIX, so it doesn't know the difference.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::message::{HEADER, MAX_PAYLOAD, Message, ParseError, Request, payload_bytes};
use super::{GuestLink, Peeked, Socket};
use crate::block::QUEUES;
use crate::memory::Doorbell;

/// What a guest's window is.
#[derive(Debug)]
pub struct Window {
    /// What is mapped: a memfd, a file of tmpfs, `/dev/daxN.0`.
    pub file: OwnedFd,
    /// Where the guest's part of it starts, bytes.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
    /// The doorbell's word of each queue ([`Window::words`]); a guest without them isn't called.
    pub doorbell: Vec<OwnedFd>,
}

impl Window {
    /// One open file of a doorbell for each queue, which stand at the words from `first` on. To be made by who may open it.
    ///
    /// # Errors
    /// What `open` says.
    pub fn words(doorbell: BorrowedFd<'_>, first: u32) -> io::Result<Vec<OwnedFd>> {
        (first..)
            .take(QUEUES)
            .map(|word| Doorbell::file(doorbell, word))
            .collect()
    }
}

/// A connection whose front end's memory is a window.
pub struct WindowLink {
    socket: Socket,
    window: Arc<Window>,
}

/// vsock's address of a VM's host.
const HOST: libc::c_uint = 2;

impl WindowLink {
    /// Takes a connected stream.
    ///
    /// # Errors
    /// `PermissionDenied` for a vsock peer that is not this VM's host; what `fcntl` says.
    pub fn new(fd: OwnedFd, window: Arc<Window>) -> io::Result<Self> {
        if vsock_peer(fd.as_fd())?.is_some_and(|cid| cid != HOST) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "only the host may connect to a guest's port",
            ));
        }
        Ok(Self {
            socket: Socket::new(fd)?,
            window,
        })
    }

    /// The message as it would have come with descriptors.
    fn with_descriptors(&self, message: &mut Message) -> Result<Vec<OwnedFd>, String> {
        let mut fds = Vec::new();
        let window = &self.window;
        match &mut message.request {
            Request::SetMemTable(regions) => {
                for region in regions {
                    let inside = region
                        .offset
                        .checked_add(region.len)
                        .is_some_and(|end| end <= window.len);
                    if !inside {
                        let (at, len) = (region.offset, region.len);
                        return Err(format!(
                            "a region of {len:#x} bytes at {at:#x} is not inside the window of {:#x}",
                            window.len
                        ));
                    }
                    region.offset = region.offset.saturating_add(window.offset);
                    fds.push(window.file.try_clone().map_err(|error| error.to_string())?);
                }
            }
            Request::SetVringCall(queue, there) => {
                if let Some(word) = window.doorbell.get(*queue as usize) {
                    fds.push(word.try_clone().map_err(|error| error.to_string())?);
                    *there = true;
                }
            }
            _ => {}
        }
        Ok(fds)
    }
}

impl GuestLink for WindowLink {
    fn peek(&self) -> Peeked {
        let mut bytes = [0; HEADER + MAX_PAYLOAD + 1];
        let got = match self.socket.glance(&mut bytes) {
            Ok(0) => return Peeked::Closed,
            Ok(got) => got,
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return Peeked::Nothing,
            Err(error) => return Peeked::Failed(error.to_string()),
        };
        let len = match payload_bytes(&bytes[..got]) {
            Ok(Some(size)) if HEADER + size <= got => HEADER + size,
            Ok(_) => return self.socket.half(),
            Err(error) => return Peeked::Malformed(error),
        };
        let mut message = match Message::parse(&bytes[..len]) {
            Ok(message) => message,
            Err(error) => return Peeked::Malformed(error),
        };
        // A descriptor that is announced can't have come.
        let wanted = match message.request {
            Request::SetMemTable(_) => 0,
            ref other => other.descriptors(),
        };
        if wanted > 0 {
            return Peeked::Malformed(ParseError::Descriptors {
                request: message.number,
                got: 0,
                wanted,
            });
        }
        match self.with_descriptors(&mut message) {
            Ok(fds) => Peeked::Whole {
                message,
                fds,
                len,
                more: got > len,
            },
            Err(why) => Peeked::Failed(why),
        }
    }

    fn take(&self, len: usize) -> io::Result<()> {
        self.socket.take(len)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<bool> {
        self.socket.send(bytes)
    }

    fn unread(&self) -> bool {
        self.socket.unread()
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The peer's CID, if this is a vsock.
fn vsock_peer(fd: BorrowedFd<'_>) -> io::Result<Option<libc::c_uint>> {
    // SAFETY: all zero is a valid sockaddr_vm.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    // SAFETY: `address` has room for `len` bytes; longer addresses are cut.
    let rc = unsafe { libc::getpeername(fd.as_raw_fd(), (&raw mut address).cast(), &mut len) };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    let vsock = address.svm_family == libc::AF_VSOCK as libc::sa_family_t;
    Ok(vsock.then_some(address.svm_cid))
}
