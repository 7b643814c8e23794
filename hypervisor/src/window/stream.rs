//! The two streams of a relay: messages that arrive in parts, bytes that leave as there is room.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use vmm_sys_util::sock_ctrl_msg::ScmSocket;

use crate::devices::make_nonblocking;

use super::wire::{HEADER, Header, MAX_PAYLOAD};

/// Most descriptors of one message.
pub(super) const MAX_FDS: usize = 32;

/// A stream and what is to be sent on it.
pub(super) struct Side {
    pub fd: OwnedFd,
    pub out: VecDeque<u8>,
}

struct Unix<'a>(&'a OwnedFd);

impl ScmSocket for Unix<'_> {
    fn socket_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Side {
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        make_nonblocking(fd.as_fd())?;
        Ok(Self {
            fd,
            out: VecDeque::new(),
        })
    }

    /// Sends what can be sent without waiting.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            let bytes = self.out.make_contiguous();
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // SAFETY: readable bytes.
            let sent = unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
            match usize::try_from(sent) {
                Ok(sent) => drop(self.out.drain(..sent)),
                Err(_) => {
                    let error = io::Error::last_os_error();
                    return if would_block(&error) { Ok(()) } else { Err(error) };
                }
            }
        }
        Ok(())
    }

    /// Reads up to what is missing of `want` bytes; `None`: the peer is gone.
    pub fn read(&self, into: &mut Incoming) -> io::Result<Option<()>> {
        loop {
            let missing = into.want.saturating_sub(into.bytes.len());
            if missing == 0 {
                return Ok(Some(()));
            }
            let mut part = vec![0; missing];
            let mut raw = [0; MAX_FDS];
            let mut parts = [libc::iovec {
                iov_base: part.as_mut_ptr().cast(),
                iov_len: part.len(),
            }];
            // SAFETY: the one part is writable and outlives the call.
            let received = unsafe { Unix(&self.fd).recv_with_fds(&mut parts, &mut raw) };
            let (got, count) = match received {
                Ok(received) => received,
                Err(error) => {
                    let error = io::Error::from_raw_os_error(error.errno());
                    return if would_block(&error) { Ok(Some(())) } else { Err(error) };
                }
            };
            // SAFETY: the kernel just made these for us.
            into.fds
                .extend(raw[..count].iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }));
            if got == 0 {
                return Ok(None);
            }
            into.bytes.extend_from_slice(&part[..got]);
            if into.bytes.len() == HEADER && into.want == HEADER {
                let size = into.header().map_or(0, |header| header.size as usize);
                if size > MAX_PAYLOAD {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("a payload of {size} bytes"),
                    ));
                }
                into.want = HEADER + size;
            }
        }
    }
}

pub(super) fn would_block(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR))
}

/// A message that is arriving. Descriptors come with its header: a read never goes beyond it.
pub(super) struct Incoming {
    bytes: Vec<u8>,
    pub fds: Vec<OwnedFd>,
    want: usize,
}

impl Incoming {
    pub fn new() -> Self {
        Self {
            bytes: Vec::new(),
            fds: Vec::new(),
            want: HEADER,
        }
    }

    fn header(&self) -> Option<Header> {
        self.bytes.first_chunk().map(Header::parse)
    }

    /// The whole message, if it is there.
    pub fn whole(&mut self) -> Option<(Header, Vec<u8>, Vec<OwnedFd>)> {
        let header = self.header().filter(|_| self.bytes.len() == self.want)?;
        let Self { mut bytes, fds, .. } = std::mem::replace(self, Self::new());
        Some((header, bytes.split_off(HEADER), fds))
    }
}
