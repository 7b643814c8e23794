//! One connection: the guest's end, the end it is carried to, and what is on its way between them.
//!
//! An end is read when nothing that it said is waiting, so a slow reader holds back its own writer and takes no memory. It is seen
//! to have ended once all it said has been handed on.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{self, MsgFlags};
use nix::unistd;

use super::address::connected;
use super::frames::Frames;
use super::port::Target;
use super::sign_in::{self, Refused, SignIn};

/// Most bytes on their way in one direction.
pub const MOST_WAITING: usize = 16 << 10;
/// Until it must be through: signed in, or connected on the other side.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How far a connection has come.
enum Way {
    /// It talks to us.
    SignIn(SignIn),
    /// The other end is being connected to.
    Begun(OwnedFd),
    Open(OwnedFd),
}

/// See the module.
pub struct Pair {
    guest: OwnedFd,
    way: Way,
    to_guest: Waiting,
    to_other: Waiting,
    /// What goes to a bus is looked at.
    frames: Option<Frames>,
    /// When it is given up, unless it is open by then.
    until: Instant,
}

/// Bytes on their way.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    sent: usize,
}

/// It is over; with a cause that is worth telling.
#[derive(Debug)]
pub struct Over(pub Option<String>);

impl From<Refused> for Over {
    fn from(refused: Refused) -> Self {
        Self(Some(refused.to_string()))
    }
}

impl Pair {
    /// Of a guest that was let in.
    ///
    /// # Errors
    /// The other end can't be connected to.
    pub fn new(guest: OwnedFd, target: &Target) -> io::Result<Self> {
        let way = match target {
            Target::Address(address) => Way::Begun(address.connect()?),
            Target::Bus(_) => Way::SignIn(SignIn::default()),
        };
        Ok(Self {
            guest,
            way,
            to_guest: Waiting::default(),
            to_other: Waiting::default(),
            frames: matches!(target, Target::Bus(_)).then(Frames::default),
            until: Instant::now() + PATIENCE,
        })
    }

    /// What is waited for: at the guest's end, at the other.
    pub fn waits(&self) -> [Option<(BorrowedFd<'_>, PollFlags)>; 2] {
        let guest = flags(self.to_other.is_empty(), !self.to_guest.is_empty());
        let guest = guest.map(|flags| (self.guest.as_fd(), flags));
        match &self.way {
            Way::SignIn(_) => [guest, None],
            Way::Begun(other) => [None, Some((other.as_fd(), PollFlags::POLLOUT))],
            Way::Open(other) => {
                let flags = flags(self.to_guest.is_empty(), !self.to_other.is_empty());
                [guest, flags.map(|flags| (other.as_fd(), flags))]
            }
        }
    }

    /// When it is given up.
    pub fn until(&self) -> Option<Instant> {
        (!matches!(self.way, Way::Open(_))).then_some(self.until)
    }

    /// Does what can be done without waiting, one read a direction.
    ///
    /// # Errors
    /// It is over.
    pub fn go_on(&mut self, target: &Target) -> Result<(), Over> {
        match &mut self.way {
            Way::SignIn(_) => self.sign_in(target),
            Way::Begun(_) => self.begin(),
            Way::Open(other) => {
                carry(&self.guest, other, &mut self.to_other, self.frames.as_mut())?;
                carry(other, &self.guest, &mut self.to_guest, None)
            }
        }
    }

    fn begin(&mut self) -> Result<(), Over> {
        let Way::Begun(other) = &self.way else { return Ok(()) };
        connected(other).map_err(|error| Over(Some(format!("not carried on: {error}"))))?;
        if let Way::Begun(other) = std::mem::replace(&mut self.way, Way::SignIn(SignIn::default())) {
            self.way = Way::Open(other);
        }
        Ok(())
    }

    fn sign_in(&mut self, target: &Target) -> Result<(), Over> {
        let (Way::SignIn(talk), Target::Bus(path)) = (&mut self.way, target) else {
            return Ok(());
        };
        // Its answers are few: they are not read while it talks on.
        if self.to_guest.is_empty() {
            let mut said = [0; 1024];
            let read = read(&self.guest, &mut said)?;
            let through = talk.take(&said[..read], &mut self.to_guest.bytes, || sign_in::connect(path))?;
            if let Some((bus, rest)) = through {
                look(self.frames.as_mut(), &rest)?;
                self.to_other.bytes = rest;
                self.way = Way::Open(UnixStream::into(bus));
            }
        }
        self.to_guest.send(&self.guest)
    }
}

fn flags(read: bool, write: bool) -> Option<PollFlags> {
    let read = if read { PollFlags::POLLIN } else { PollFlags::empty() };
    let write = if write { PollFlags::POLLOUT } else { PollFlags::empty() };
    Some(read | write).filter(|flags| !flags.is_empty())
}

/// Bytes read, 0 for none yet.
fn read(from: &OwnedFd, into: &mut [u8]) -> Result<usize, Over> {
    match unistd::read(from, into) {
        Ok(0) => Err(Over(None)),
        Ok(count) => Ok(count),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
        Err(_) => Err(Over(None)),
    }
}

fn look(frames: Option<&mut Frames>, bytes: &[u8]) -> Result<(), Over> {
    let looked = frames.map_or(Ok(()), |frames| frames.take(bytes));
    looked.map_err(|cause| Over(Some(cause.to_owned())))
}

fn carry(from: &OwnedFd, to: &OwnedFd, waiting: &mut Waiting, frames: Option<&mut Frames>) -> Result<(), Over> {
    if waiting.is_empty() {
        waiting.bytes.resize(MOST_WAITING, 0);
        let count = read(from, &mut waiting.bytes);
        waiting.bytes.truncate(*count.as_ref().unwrap_or(&0));
        count?;
        look(frames, &waiting.bytes)?;
    }
    waiting.send(to)
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn send(&mut self, to: &OwnedFd) -> Result<(), Over> {
        while self.sent < self.bytes.len() {
            // No SIGPIPE: the other end may be gone.
            match socket::send(to.as_raw_fd(), &self.bytes[self.sent..], MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(_) => return Err(Over(None)),
            }
        }
        self.bytes.clear();
        self.sent = 0;
        Ok(())
    }
}
