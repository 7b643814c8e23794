//! The relay: vhost-user with descriptors on one side, the same messages without them on the other.
//!
//! ```text
//!  front (the device) ── request ──► translated ──► back (audiod, hostile)
//!        ▲                  │ kick descriptors kept, read ──► VRING_KICK messages
//!        │                  └ call descriptors kept ◄── bells, if the device's interrupt is not on the bell itself
//!        └── reply: the one that is due, of its length, in time ◄──┘   anything else ends the link
//! ```
//! One request is under way at a time: the next is read when the one before is answered or needs no answer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;
use serde::{Deserialize, Serialize};

use super::bounce::{Bounce, POLLED};
use vhost_sound::block::QUEUES;
use vhost_sound::framing::{Code, Header, INBAND_NOTIFICATIONS, Incoming, MAX_FDS, Side, code, dword, set_dword, word};

/// How long audiod may take over an answer: it waits for its engine 2 periods at most.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// Most bytes waiting to be sent to one side.
const MOST_WAITING: usize = 64 << 10;
/// In a vring message: no descriptor comes with it.
const NO_DESCRIPTOR: u64 = 1 << 8;

/// A range of the guest that is in the window.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Guest-physical address.
    pub guest: u64,
    /// Bytes.
    pub size: u64,
    /// Where it is in the window.
    pub offset: u64,
}

/// Why a link is over.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The device closed it.
    #[error("closed by the device")]
    Front,
    /// audiod, or its VM, is gone.
    #[error("closed by audiod")]
    Back,
    /// audiod sent what it may not.
    #[error("audiod broke the protocol: {0}")]
    Protocol(String),
    /// audiod did not answer.
    #[error("audiod did not answer message {0} in time")]
    Late(u32),
    /// The device sent what can't be passed on.
    #[error("the device's message can't be passed on: {0}")]
    Device(String),
    /// The system.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// An answer that is due.
struct Due {
    number: u32,
    size: usize,
    until: Instant,
}

/// What audiod has of the guest.
enum Shown {
    /// Its memory, or a part of it.
    Pieces(Vec<Piece>),
    /// Copies in a pool.
    Bounce(Box<Bounce>),
}

/// See the module.
pub struct Relay {
    front: Side,
    back: Side,
    shown: Shown,
    bells: Vec<OwnedFd>,
    kicks: [Option<OwnedFd>; QUEUES],
    calls: [Option<OwnedFd>; QUEUES],
    from_front: Incoming,
    from_back: Incoming,
    due: Option<Due>,
    patience: Duration,
}

impl Relay {
    /// Between a device (AF_UNIX, with descriptors) and audiod (a stream without). `pieces`: what of the guest the window
    /// shows. `bells`: eventfds of the doorbell's words, one a queue, to be passed on to the device's call descriptors; none
    /// when its interrupts hang on them already.
    ///
    /// # Errors
    /// What `fcntl` says.
    pub fn new(front: OwnedFd, back: OwnedFd, pieces: Vec<Piece>, bells: Vec<OwnedFd>) -> io::Result<Self> {
        Self::of(front, back, Shown::Pieces(pieces), bells)
    }

    /// The same with a pool of this memfd in between: audiod sees copies of what the guest queues, and nothing else of it.
    ///
    /// # Errors
    /// What `mmap` says, or a pool that is too small.
    pub fn bouncing(front: OwnedFd, back: OwnedFd, pool: OwnedFd, bells: Vec<OwnedFd>) -> io::Result<Self> {
        let bounce = Box::new(Bounce::new(pool)?);
        Self::of(front, back, Shown::Bounce(bounce), bells)
    }

    fn of(front: OwnedFd, back: OwnedFd, shown: Shown, bells: Vec<OwnedFd>) -> io::Result<Self> {
        Ok(Self {
            front: Side::new(front)?,
            back: Side::new(back)?,
            shown,
            bells,
            kicks: Default::default(),
            calls: Default::default(),
            from_front: Incoming::new(),
            from_back: Incoming::new(),
            due: None,
            patience: PATIENCE,
        })
    }

    /// Another patience than [`PATIENCE`].
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Passes messages on until the link is over; both connections are closed then.
    pub fn run(mut self) -> Ended {
        loop {
            if let Err(ended) = self.turn() {
                return ended;
            }
        }
    }

    /// Waits until there is something to do, and does it once.
    ///
    /// # Errors
    /// The link is over.
    pub fn turn(&mut self) -> Result<(), Ended> {
        let ready = self.wait()?;
        if ready.back {
            self.hear_back()?;
        }
        if self.due.as_ref().is_some_and(|due| Instant::now() >= due.until) {
            return Err(Ended::Late(self.due.as_ref().map_or(0, |due| due.number)));
        }
        // Before requests are passed on: what is to be played was made available before START.
        if matches!(self.shown, Shown::Bounce(_)) {
            POLLED.iter().try_for_each(|queue| self.forward(*queue))?;
        }
        for (queue, _) in ready.kicks.iter().enumerate().filter(|(_, ready)| **ready) {
            self.kicked(queue)?;
        }
        for (queue, _) in ready.bells.iter().enumerate().filter(|(_, ready)| **ready) {
            self.called(queue)?;
        }
        if let Shown::Bounce(bounce) = &mut self.shown {
            bounce.refresh();
        }
        if ready.front {
            self.hear_front()?;
        }
        // A side that doesn't read its messages is as good as gone.
        self.back.flush().map_err(|_| Ended::Back)?;
        self.front.flush().map_err(|_| Ended::Front)
    }

    fn wait(&self) -> Result<Ready, Ended> {
        let writes = |side: &Side| match side.out.is_empty() {
            true => PollFlags::empty(),
            false => PollFlags::POLLOUT,
        };
        let mut front = writes(&self.front) | PollFlags::from_bits_retain(libc::POLLRDHUP);
        front.set(
            PollFlags::POLLIN,
            self.due.is_none() && self.back.out.len() < MOST_WAITING,
        );
        let back = writes(&self.back) | PollFlags::POLLIN;
        let kicks = self.kicks.iter().enumerate();
        let kicks: Vec<_> = kicks
            .filter_map(|(queue, kick)| Some((queue, kick.as_ref()?)))
            .collect();
        let mut entries = vec![
            PollFd::new(self.front.fd.as_fd(), front),
            PollFd::new(self.back.fd.as_fd(), back),
        ];
        let events = kicks.iter().map(|(_, kick)| *kick).chain(&self.bells);
        entries.extend(events.map(|event| PollFd::new(event.as_fd(), PollFlags::POLLIN)));
        let left = self
            .due
            .as_ref()
            .map(|due| due.until.saturating_duration_since(Instant::now()));
        let left = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1));
        let tick = match &self.shown {
            Shown::Bounce(bounce) => bounce.tick_ms(),
            Shown::Pieces(_) => None,
        };
        let timeout = [left, tick].into_iter().flatten().min();
        let timeout = timeout.map(|ms| PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
        let mut ready = Ready::default();
        match poll(&mut entries, timeout) {
            Err(Errno::EINTR) => return Ok(ready),
            other => other.map_err(io::Error::from)?,
        };
        // None: POLLRDHUP, which nix has no name for.
        let can_be_read = |entry: &PollFd| match entry.revents() {
            Some(events) => !(events - PollFlags::POLLOUT).is_empty(),
            None => true,
        };
        (ready.front, ready.back) = (can_be_read(&entries[0]), can_be_read(&entries[1]));
        for ((queue, _), entry) in kicks.iter().zip(&entries[2..]) {
            ready.kicks[*queue] = can_be_read(entry);
        }
        ready.bells = entries[2 + kicks.len()..].iter().map(can_be_read).collect();
        Ok(ready)
    }

    /// A word of the doorbell was rung.
    fn called(&mut self, queue: usize) -> Result<(), Ended> {
        if let Some(bell) = self.bells.get(queue) {
            drain(bell);
        }
        let mut wanted = [false; QUEUES];
        match &mut self.shown {
            Shown::Pieces(_) => wanted[queue.min(QUEUES - 1)] = true,
            Shown::Bounce(bounce) => wanted = bounce.take_back()?,
        }
        for (call, _) in self.calls.iter().zip(wanted).filter(|(_, wanted)| *wanted) {
            call.iter().for_each(signal);
        }
        // What had no room may have it now.
        self.forward(queue)
    }

    /// Chains that the guest made available, in `bounce`.
    fn forward(&mut self, queue: usize) -> Result<(), Ended> {
        let Shown::Bounce(bounce) = &mut self.shown else {
            return Ok(());
        };
        if bounce.forward(queue)? {
            self.kick_back(queue);
        }
        Ok(())
    }

    fn kicked(&mut self, queue: usize) -> Result<(), Ended> {
        let gone = self.kicks[queue].as_ref().is_some_and(|kick| !drain(kick));
        if gone {
            self.kicks[queue] = None;
        }
        match &self.shown {
            Shown::Pieces(_) => self.kick_back(queue),
            Shown::Bounce(_) => self.forward(queue)?,
        }
        Ok(())
    }

    fn kick_back(&mut self, queue: usize) {
        // A back end that is so far behind will look at its queues anyway.
        if self.back.out.len() < MOST_WAITING {
            self.back.out.extend(Header::request(Code::VRING_KICK, 0, 8).bytes());
            self.back.out.extend((queue as u64).to_ne_bytes());
        }
    }

    fn hear_front(&mut self) -> Result<(), Ended> {
        let invalid = |error: io::Error| Ended::Device(error.to_string());
        let read = self.front.read(&mut self.from_front).map_err(invalid)?;
        if read.is_none() {
            return Err(Ended::Front);
        }
        let Some((header, mut payload, fds)) = self.from_front.whole() else {
            return Ok(());
        };
        self.translate(header, &mut payload, fds)?;
        // Another table may be of another length.
        let header = Header {
            size: payload.len() as u32,
            ..header
        };
        if let Some(size) = header.answer(&payload) {
            let until = Instant::now() + self.patience;
            self.due = Some(Due {
                number: header.number,
                size,
                until,
            });
        }
        let started = (code(header.number) == Some(Code::SET_VRING_KICK)).then(|| dword(&payload, 0) as usize & 0xff);
        self.back.out.extend(header.bytes());
        self.back.out.extend(payload);
        // What the guest made available before.
        started.map_or(Ok(()), |queue| self.forward(queue))
    }

    /// Descriptors out of a message, offsets into it.
    fn translate(&mut self, header: Header, payload: &mut Vec<u8>, fds: Vec<OwnedFd>) -> Result<(), Ended> {
        let Some(code) = code(header.number) else { return Ok(()) };
        match code {
            Code::SET_MEM_TABLE => self.table(payload, fds)?,
            Code::SET_VRING_KICK | Code::SET_VRING_CALL | Code::SET_VRING_ERR => {
                let value = dword(payload, 0);
                let queue = (value & 0xff) as usize;
                let there = (value & NO_DESCRIPTOR == 0).then(|| fds.into_iter().next()).flatten();
                let place = match code {
                    Code::SET_VRING_KICK => self.kicks.get_mut(queue),
                    Code::SET_VRING_CALL => self.calls.get_mut(queue),
                    _ => None,
                };
                if let Some(place) = place {
                    *place = there;
                }
                set_dword(payload, 0, value | NO_DESCRIPTOR);
                if let (Shown::Bounce(bounce), Code::SET_VRING_KICK) = (&mut self.shown, code) {
                    bounce.start(queue)?;
                }
            }
            Code::SET_FEATURES | Code::SET_VRING_NUM | Code::SET_VRING_ADDR | Code::SET_VRING_BASE => {
                if let Shown::Bounce(bounce) = &mut self.shown {
                    bounce.set(code, payload)?;
                }
            }
            Code::SET_PROTOCOL_FEATURES => {
                let wanted = dword(payload, 0) | INBAND_NOTIFICATIONS;
                set_dword(payload, 0, wanted);
            }
            _ => {}
        }
        Ok(())
    }

    /// Each region as an offset in the window; one that the window doesn't show ends the link.
    fn table(&mut self, payload: &mut Vec<u8>, fds: Vec<OwnedFd>) -> Result<(), Ended> {
        let pieces = match &mut self.shown {
            Shown::Pieces(pieces) => pieces,
            Shown::Bounce(bounce) => {
                *payload = bounce.set_memory(payload, fds)?;
                return Ok(());
            }
        };
        let count = word(payload, 0) as usize;
        for region in 0..count.min(MAX_FDS) {
            let at = 8 + 32 * region;
            let (guest, size) = (dword(payload, at), dword(payload, at + 8));
            let inside = |piece: &&Piece| {
                let from = guest.checked_sub(piece.guest);
                from.and_then(|from| from.checked_add(size))
                    .is_some_and(|end| end <= piece.size)
            };
            let Some(piece) = pieces.iter().find(inside) else {
                return Err(Ended::Device(format!(
                    "{size:#x} bytes at {guest:#x} are not in the window"
                )));
            };
            set_dword(payload, at + 24, piece.offset + (guest - piece.guest));
        }
        Ok(())
    }

    fn hear_back(&mut self) -> Result<(), Ended> {
        let invalid = |error: io::Error| match error.kind() {
            io::ErrorKind::InvalidData => Ended::Protocol(error.to_string()),
            _ => Ended::Back,
        };
        let read = self.back.read(&mut self.from_back).map_err(invalid)?;
        if !self.from_back.fds.is_empty() {
            return Err(Ended::Protocol("a descriptor".into()));
        }
        let Some((header, mut payload, _)) = self.from_back.whole() else {
            return read.ok_or(Ended::Back);
        };
        let Some(due) = self.due.take().filter(|due| header.replies(due.number)) else {
            let what = format!("message {} that nobody waits for", header.number);
            return Err(Ended::Protocol(what));
        };
        let (code, size) = (code(due.number), payload.len());
        // A back end refuses GET_CONFIG by an empty answer.
        if size != due.size && !(code == Some(Code::GET_CONFIG) && size == 12) {
            return Err(Ended::Protocol(format!("{size} bytes for message {}", due.number)));
        }
        if code == Some(Code::GET_PROTOCOL_FEATURES) {
            let offered = dword(&payload, 0);
            if offered & INBAND_NOTIFICATIONS == 0 {
                let what = "kicks by message are not offered: the guest is no window there";
                return Err(Ended::Protocol(what.into()));
            }
            set_dword(&mut payload, 0, offered & !INBAND_NOTIFICATIONS);
        }
        if let Shown::Bounce(bounce) = &mut self.shown {
            bounce.answered(code, &mut payload);
        }
        self.front.out.extend(header.bytes());
        self.front.out.extend(payload);
        Ok(())
    }
}

#[derive(Default)]
struct Ready {
    front: bool,
    back: bool,
    kicks: [bool; QUEUES],
    bells: Vec<bool>,
}

/// Takes an eventfd's count; false when it can't be read. Ready to be read, so it doesn't wait; if somebody else took the count
/// meanwhile and it is a blocking one, the device's next kick ends the wait.
fn drain(event: &OwnedFd) -> bool {
    matches!(
        unistd::read(event, &mut [0; 8]),
        Ok(8) | Err(Errno::EAGAIN | Errno::EINTR)
    )
}

fn signal(call: &OwnedFd) {
    // A call nobody reads is no call.
    let _ = unistd::write(call, &1u64.to_ne_bytes());
}
