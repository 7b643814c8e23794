//! vhost-user messages as the front end sends them (QEMU docs/interop/vhost-user.rst, "Message Specification").
//!
//! The `vhost` crate's front end waits for ever for a back end that doesn't answer, and a vCPU would wait with it. Here every
//! exchange has a deadline.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::parent::socket::wait;
use vhost_sound::framing::{Code, Header, Incoming, NEED_REPLY, Side};

/// The socket.
pub struct Wire {
    side: Side,
    /// When the exchanges of this round must be over.
    pub deadline: Instant,
}

impl Wire {
    /// Over a connected socket.
    pub fn new(socket: OwnedFd, deadline: Instant) -> io::Result<Self> {
        let side = Side::new(socket)?;
        Ok(Self { side, deadline })
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
        let message = [&Header::request(code, flags, body.len()).bytes(), body].concat();
        self.side.send(&message, fds)
    }

    fn receive(&self, code: Code) -> io::Result<Vec<u8>> {
        let failed = |what: &str| Err(io::Error::other(format!("the back end {what} {code:?}")));
        let mut incoming = Incoming::new();
        loop {
            let Some(()) = self.side.read(&mut incoming)? else {
                return failed("hung up at");
            };
            match incoming.whole() {
                Some((header, body, _)) if header.replies(code.into()) => return Ok(body),
                Some(_) => return failed("says what is no answer to"),
                None => {}
            }
            // Rounded up: the last millisecond isn't spun through.
            let left = self.deadline.saturating_duration_since(Instant::now()).as_millis() as u64;
            if left == 0 {
                return failed("doesn't answer");
            }
            wait(&[self.side.fd.as_fd()], Some(left + 1))?;
        }
    }

    /// Why the connection is of no use any more, if so: a back end says nothing unasked.
    pub fn is_over(&self) -> Option<String> {
        match recv(self.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Some("the back end hung up".to_owned()),
            Ok(_) => Some("the back end spoke unasked".to_owned()),
            Err(Errno::EAGAIN) => None,
            Err(error) => Some(error.to_string()),
        }
    }
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        self.side.fd.as_raw_fd()
    }
}
