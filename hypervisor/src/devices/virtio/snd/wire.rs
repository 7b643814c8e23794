//! vhost-user messages as the front end sends them (QEMU docs/interop/vhost-user.rst, "Message Specification").
//!
//! The `vhost` crate's front end waits for ever for a back end that doesn't answer, and a vCPU would wait with it. Here every
//! exchange has a deadline.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// Request codes.
pub use vhost::vhost_user::message::FrontendReq as Code;
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

const VERSION: u32 = 1;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;
const HEADER: usize = 12;
/// No answer of a sound device is longer.
const ANSWER_MAX: usize = 256;

/// The socket.
pub struct Wire {
    socket: UnixStream,
    /// When the exchanges of this round must be over.
    pub deadline: Instant,
}

impl Wire {
    /// Over a connected socket.
    pub fn new(socket: OwnedFd, deadline: Instant) -> io::Result<Self> {
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self { socket, deadline })
    }

    /// Sends a request that has no answer.
    pub fn tell(&self, code: Code, body: &[u8]) -> io::Result<()> {
        self.send(code, 0, body, &[])
    }

    /// Sends a request and waits for its acknowledgement (VHOST_USER_PROTOCOL_F_REPLY_ACK).
    pub fn order(&self, code: Code, body: &[u8], fds: &[RawFd]) -> io::Result<()> {
        self.send(code, NEED_REPLY, body, fds)?;
        let answer = self.receive(code)?;
        if answer == [0; 8] {
            return Ok(());
        }
        Err(io::Error::other(format!("the back end refused {code:?}")))
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&self, code: Code, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send(code, 0, body, &[])?;
        self.receive(code)
    }

    /// As [`Wire::ask`], for a 64-bit number.
    pub fn ask_number(&self, code: Code) -> io::Result<u64> {
        let answer = self.ask(code, &[])?;
        let bytes = answer
            .try_into()
            .map_err(|_| io::Error::other(format!("the answer to {code:?} is no number")))?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn send(&self, code: Code, flags: u32, body: &[u8], fds: &[RawFd]) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let mut message = [code as u32, VERSION | flags, length].map(u32::to_ne_bytes).concat();
        message.extend_from_slice(body);
        match self.socket.send_with_fds(&[&message[..]], fds) {
            Ok(sent) if sent == message.len() => Ok(()),
            Ok(_) => Err(io::Error::other(format!("the back end doesn't take {code:?}"))),
            Err(e) => Err(e.into()),
        }
    }

    fn receive(&self, code: Code) -> io::Result<Vec<u8>> {
        let mut header = [0; HEADER];
        self.read(&mut header, code)?;
        let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let length = word(8) as usize;
        if word(0) != code as u32 || word(4) & REPLY == 0 || length > ANSWER_MAX {
            return Err(io::Error::other(format!(
                "what the back end says is no answer to {code:?}"
            )));
        }
        let mut body = vec![0; length];
        self.read(&mut body, code)?;
        Ok(body)
    }

    fn read(&self, buffer: &mut [u8], code: Code) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match (&self.socket).read(&mut buffer[filled..]) {
                Ok(0) => return Err(io::Error::other(format!("the back end hung up at {code:?}"))),
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.wait(code)?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn wait(&self, code: Code) -> io::Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now()).as_millis();
        let mut poll = libc::pollfd {
            fd: self.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // Rounded up: the last millisecond isn't spun through.
        let milliseconds = i32::try_from(left + 1).unwrap_or(i32::MAX);
        // SAFETY: one descriptor, as the count says.
        let ready = left > 0 && unsafe { libc::poll(&mut poll, 1, milliseconds) } != 0;
        if ready {
            Ok(())
        } else {
            Err(io::Error::other(format!("the back end doesn't answer {code:?}")))
        }
    }

    /// Why the connection is of no use any more, if so: a back end says nothing unasked.
    pub fn is_over(&self) -> Option<String> {
        let mut byte = 0_u8;
        let (fd, flags) = (self.as_raw_fd(), libc::MSG_PEEK | libc::MSG_DONTWAIT);
        // SAFETY: room for one byte.
        match unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, flags) } {
            0 => Some("the back end hung up".to_owned()),
            1 => Some("the back end spoke unasked".to_owned()),
            _ => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::WouldBlock => None,
                e => Some(e.to_string()),
            },
        }
    }
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
