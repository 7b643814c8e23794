//! Event descriptors from a front end: taken only if they are what they claim to be.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Why a descriptor was not taken as kick or call.
#[derive(Debug, thiserror::Error)]
pub enum EventFdError {
    /// A pipe, a socket, a file: something that could block or be large.
    #[error("the descriptor is {what:?}, not an eventfd")]
    NotAnEventFd {
        /// What `/proc/self/fd` calls it.
        what: String,
    },
    /// It could not be looked at or set to non-blocking.
    #[error("{call}: {source}")]
    System {
        /// Which call.
        call: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// An eventfd, non-blocking.
///
/// `O_NONBLOCK` belongs to the open file, which the front end shares: one that clears it again *and* fills the counter
/// would block its writer. Linux offers no way of writing to an eventfd that excludes it; the heartbeat then stops and
/// the supervisor acts.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// One of our own, at zero.
    ///
    /// # Errors
    /// When no descriptor can be had.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor is ours.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(raw) }))
    }

    /// Another descriptor of the same event.
    ///
    /// # Errors
    /// When no descriptor can be had.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Takes a descriptor that came from outside.
    ///
    /// # Errors
    /// [`EventFdError`]; the descriptor is closed then.
    pub fn take(fd: OwnedFd) -> Result<Self, EventFdError> {
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let what = std::fs::read_link(link).map_err(|source| EventFdError::System {
            call: "readlink",
            source,
        })?;
        // The kernel gives this name to nothing else: a path starts with a slash.
        if what.as_os_str() != "anon_inode:[eventfd]" {
            return Err(EventFdError::NotAnEventFd {
                what: what.to_string_lossy().into_owned(),
            });
        }
        let failed = || EventFdError::System {
            call: "fcntl",
            source: io::Error::last_os_error(),
        };
        // SAFETY: plain calls on a descriptor we own.
        let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
        if flags < 0 {
            return Err(failed());
        }
        // SAFETY: as above.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
            return Err(failed());
        }
        Ok(Self(fd))
    }

    /// Adds one. A full counter is no error: the reader has not looked since, it will.
    ///
    /// # Errors
    /// Whatever `write` says but `EAGAIN`.
    pub fn signal(&self) -> io::Result<()> {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight readable bytes.
        let written = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        if written < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EAGAIN) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes the count and sets it to zero; 0 when nothing was signalled.
    ///
    /// # Errors
    /// Whatever `read` says but `EAGAIN`.
    pub fn drain(&self) -> io::Result<u64> {
        let mut count = [0u8; 8];
        // SAFETY: eight writable bytes.
        let got = unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        if got < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::EAGAIN) {
                Ok(0)
            } else {
                Err(error)
            };
        }
        Ok(u64::from_ne_bytes(count))
    }
}

impl From<EventFd> for OwnedFd {
    fn from(event: EventFd) -> Self {
        event.0
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw_eventfd(count: u32, flags: libc::c_int) -> OwnedFd {
        // SAFETY: the call has no preconditions; a fresh descriptor is ours.
        unsafe { OwnedFd::from_raw_fd(libc::eventfd(count, flags)) }
    }

    #[test]
    fn what_was_signalled_is_drained_once() {
        let event = EventFd::take(raw_eventfd(0, 0)).unwrap();
        event.signal().unwrap();
        event.signal().unwrap();
        assert_eq!((event.drain().unwrap(), event.drain().unwrap()), (2, 0));
    }

    #[test]
    fn a_clone_rings_the_same_bell() {
        let bell = EventFd::new().unwrap();
        bell.try_clone().unwrap().signal().unwrap();
        let counted = EventFd::take(bell.into()).unwrap().drain().unwrap();
        assert_eq!(counted, 1);
    }

    #[test]
    fn a_full_blocking_eventfd_does_not_block_the_writer() {
        let fd = raw_eventfd(0, 0);
        let full = (u64::MAX - 1).to_ne_bytes();
        // SAFETY: eight readable bytes.
        assert_eq!(unsafe { libc::write(fd.as_raw_fd(), full.as_ptr().cast(), 8) }, 8);
        EventFd::take(fd).unwrap().signal().unwrap();
    }

    #[test]
    fn pipes_and_files_are_no_eventfds() {
        let (_reader, writer) = io::pipe().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for fd in [OwnedFd::from(writer), file.into()] {
            assert!(matches!(EventFd::take(fd), Err(EventFdError::NotAnEventFd { .. })));
        }
    }
}
