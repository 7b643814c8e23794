//! A stream: messages that arrive in parts, bytes that leave as there is room.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

use crate::link::set_nonblocking;

use super::message::{HEADER, Header, MAX_FDS, MAX_PAYLOAD};

/// A stream and what is to be sent on it.
pub struct Side {
    /// The stream.
    pub fd: OwnedFd,
    /// What is to be sent.
    pub out: VecDeque<u8>,
}

struct Socket<'a, S>(&'a S);

impl<S: AsRawFd> ScmSocket for Socket<'_, S> {
    fn socket_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Bytes with their descriptors; `WouldBlock`: there are none now.
///
/// # Errors
/// What `recvmsg` says.
pub fn receive(from: &impl AsRawFd, into: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut raw = [0; MAX_FDS];
    let mut parts = [libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    }];
    // SAFETY: the one part is writable and outlives the call; any bytes are good for it.
    let (got, count) = match unsafe { Socket(from).recv_with_fds(&mut parts, &mut raw) } {
        Ok(received) => received,
        Err(e) if matches!(e.errno(), libc::EAGAIN | libc::EINTR) => return Err(io::ErrorKind::WouldBlock.into()),
        Err(e) => return Err(e.into()),
    };
    // SAFETY: the kernel just made these for us.
    let fds = raw[..count].iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) });
    Ok((got, fds.collect()))
}

impl Side {
    /// A connected stream, made non-blocking.
    ///
    /// # Errors
    /// What `fcntl` says.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        set_nonblocking(fd.as_fd())?;
        Ok(Self {
            fd,
            out: VecDeque::new(),
        })
    }

    /// Sends what can be sent without waiting.
    ///
    /// # Errors
    /// What `send` says.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.fd.as_raw_fd(), self.out.make_contiguous(), flags) {
                Ok(sent) => drop(self.out.drain(..sent)),
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends a whole message with descriptors.
    ///
    /// # Errors
    /// `WriteZero` when there is no room for all of it; what `sendmsg` says.
    pub fn send(&self, message: &[u8], fds: &[RawFd]) -> io::Result<()> {
        match Socket(&self.fd).send_with_fds(&[message], fds) {
            Ok(sent) if sent == message.len() => Ok(()),
            Ok(_) => Err(io::ErrorKind::WriteZero.into()),
            Err(e) => Err(e.into()),
        }
    }

    /// Reads up to what is missing of a message; `None`: the peer is gone.
    ///
    /// # Errors
    /// `InvalidData` for a payload that is too long; what `recvmsg` says.
    pub fn read(&self, into: &mut Incoming) -> io::Result<Option<()>> {
        loop {
            let missing = into.want.saturating_sub(into.bytes.len());
            if missing == 0 {
                return Ok(Some(()));
            }
            let mut part = vec![0; missing];
            let (got, fds) = match receive(&self.fd, &mut part) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(())),
                other => other?,
            };
            into.fds.extend(fds);
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

/// A message that is arriving. Descriptors come with its header: a read never goes beyond it.
pub struct Incoming {
    bytes: Vec<u8>,
    /// Descriptors that came so far.
    pub fds: Vec<OwnedFd>,
    want: usize,
}

impl Default for Incoming {
    fn default() -> Self {
        Self::new()
    }
}

impl Incoming {
    /// Nothing of it yet.
    #[must_use]
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
        let Self { mut bytes, fds, .. } = std::mem::take(self);
        Some((header, bytes.split_off(HEADER), fds))
    }
}
