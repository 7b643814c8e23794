//! The socket between a VMM process and its parents: one JSON message a packet (SOCK_SEQPACKET), at most one descriptor
//! with it (SCM_RIGHTS).
//!
//! ```text
//!   parent ── Request ──► door: Hello, HandBack, Relay     ──► VM: Stop, Stats, Link (with a connected vhost-user socket)
//!   parent ◄── Report ─── door: Here, Kept, Ended          ◄── VM: Running, LinkUp, LinkLost, Stats
//! ```
//! The door ([`crate::parent::door`]) answers what is its own and passes everything else on.
//!
//! When the parent goes away the VM runs on; only [`Request::Link`] can't come any more.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use serde::{Deserialize, Serialize};
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

use vhost_sound::framing::receive;

/// The largest message in bytes.
pub const MESSAGE_MAX: usize = 16 << 10;

/// What a parent asks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// End now; the guest isn't asked.
    Stop,
    /// Send [`Report::Stats`].
    Stats,
    /// The descriptor with this message is a connected vhost-user socket for the sound device of this name.
    Link {
        /// `name` of the device in the plan.
        device: String,
    },
    /// Who is there? Asks for [`Report::Here`].
    Hello,
    /// The descriptor with this message is one side of a link between the device and audiod, to be relayed; the other one
    /// comes or came too.
    Relay {
        /// audiod's side, or the device's.
        back: bool,
    },
    /// A second descriptor of this shared memory is wanted: [`Report::Kept`].
    HandBack {
        /// Its name.
        name: String,
    },
}

/// What a VMM process tells.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum Report {
    /// The vCPUs run.
    Running {
        /// From [`run`](super::run)'s first line to here, in microseconds.
        setup_us: u64,
    },
    /// A sound device's back end answers.
    LinkUp {
        /// Name of the device.
        device: String,
    },
    /// A sound device has no back end: a new socket is wanted.
    LinkLost {
        /// Name of the device.
        device: String,
        /// What happened.
        cause: String,
    },
    /// Counters since the start.
    Stats {
        /// A map of counters for each vCPU: `exits` and `user-*` are the VMM's own, the others KVM's by KVM's names.
        vcpus: Vec<BTreeMap<String, u64>>,
        /// Counters of devices, as "snd0.kicks".
        devices: BTreeMap<String, u64>,
    },
    /// Who is there.
    Here {
        /// Process.
        pid: u32,
        /// Since when it has been there, milliseconds.
        age_ms: u64,
        /// What its set-up took, microseconds; none while the guest doesn't run yet.
        setup_us: Option<u64>,
        /// Sound devices that have no back end.
        wanting: BTreeSet<String>,
        /// Shared memory it can hand back.
        keeps: Vec<String>,
    },
    /// The descriptor with this message is the one asked for.
    Kept {
        /// Its name.
        name: String,
    },
    /// The VM has ended; the process is about to.
    Ended {
        /// Exit code.
        code: u8,
        /// Why, if it failed.
        cause: Option<String>,
    },
}

/// One end of the socket. Neither end ever waits for the other.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl ScmSocket for Channel {
    fn socket_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl Channel {
    /// Two connected ends, for the parent to make.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok((Self(ours), theirs))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The other end is gone, or doesn't read (`WouldBlock`).
    pub fn send<T: Serialize>(&self, message: &T, fd: Option<&OwnedFd>) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let fds: Vec<RawFd> = fd.iter().map(|fd| fd.as_raw_fd()).collect();
        self.send_with_fds(&[&bytes[..]], &fds)?;
        Ok(())
    }

    /// Takes the next message; `None` when there is none now.
    ///
    /// # Errors
    /// `UnexpectedEof` when the other end is gone; `InvalidData` for what is no message.
    pub fn receive<T: for<'a> Deserialize<'a>>(&self) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        let mut bytes = vec![0; MESSAGE_MAX];
        let (length, mut received) = match receive(&self.0, &mut bytes) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            other => other?,
        };
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let message = serde_json::from_slice(&bytes[..length])?;
        Ok(Some((message, received.pop())))
    }
}

/// Tells the parent, if there is one. What a parent that doesn't read has no room for is lost: it asks for
/// [`Report::Stats`] when it is back.
#[derive(Clone, Debug, Default)]
pub struct Reporter(Option<Arc<Channel>>);

impl Reporter {
    /// Over this channel, or to nobody.
    #[must_use]
    pub fn new(channel: Option<Arc<Channel>>) -> Self {
        Self(channel)
    }

    /// Tells it.
    pub fn tell(&self, report: &Report) {
        if let Some(channel) = &self.0 {
            let _ = channel.send(report, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_its_descriptor_arrive_and_an_empty_socket_gives_none() {
        let (parent, other) = Channel::pair().unwrap();
        let vmm = Channel::from(other);
        let (gift, _kept) = Channel::pair().unwrap();

        parent
            .send(
                &Request::Link {
                    device: "snd0".to_owned(),
                },
                Some(&gift.0),
            )
            .unwrap();
        let (request, fd) = vmm.receive::<Request>().unwrap().unwrap();

        assert_eq!(
            request,
            Request::Link {
                device: "snd0".to_owned()
            }
        );
        assert!(fd.is_some());
        assert!(vmm.receive::<Request>().unwrap().is_none());
    }

    #[test]
    fn the_other_end_gone_is_told_apart_from_nothing_to_read() {
        let (parent, other) = Channel::pair().unwrap();
        drop(parent);

        let error = Channel::from(other).receive::<Request>().unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
