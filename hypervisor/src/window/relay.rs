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
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::bounce::{Bounce, POLLED};
use super::stream::{Incoming, MAX_FDS, Side, would_block};
use super::wire::{Header, INBAND_NOTIFICATIONS, QUEUES, dword, number, set_dword, word};

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
        let entry = |fd: BorrowedFd<'_>, events| libc::pollfd {
            fd: fd.as_raw_fd(),
            events,
            revents: 0,
        };
        let writes = |side: &Side| if side.out.is_empty() { 0 } else { libc::POLLOUT };
        // Answers first, and no more than fits.
        let listens = if self.due.is_none() && self.back.out.len() < MOST_WAITING {
            libc::POLLIN
        } else {
            0
        };
        let mut entries = vec![
            entry(self.front.fd.as_fd(), listens | writes(&self.front) | libc::POLLRDHUP),
            entry(self.back.fd.as_fd(), libc::POLLIN | writes(&self.back)),
        ];
        let kicks: Vec<usize> = (0..QUEUES).filter(|queue| self.kicks[*queue].is_some()).collect();
        entries.extend(
            kicks
                .iter()
                .filter_map(|queue| Some(entry(self.kicks[*queue].as_ref()?.as_fd(), libc::POLLIN))),
        );
        entries.extend(self.bells.iter().map(|bell| entry(bell.as_fd(), libc::POLLIN)));
        let left = self
            .due
            .as_ref()
            .map(|due| due.until.saturating_duration_since(Instant::now()).as_millis());
        let left = left.map(|ms| libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX).saturating_add(1));
        let tick = match &self.shown {
            Shown::Bounce(bounce) => bounce.tick_ms(),
            Shown::Pieces(_) => None,
        };
        let timeout = [left, tick].into_iter().flatten().min().unwrap_or(-1);
        // SAFETY: valid pollfds.
        if unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error.into());
            }
            entries.iter_mut().for_each(|entry| entry.revents = 0);
        }
        let mut ready = Ready {
            front: entries[0].revents & !libc::POLLOUT != 0,
            back: entries[1].revents & !libc::POLLOUT != 0,
            kicks: [false; QUEUES],
            bells: entries[2 + kicks.len()..]
                .iter()
                .map(|entry| entry.revents != 0)
                .collect(),
        };
        for (queue, entry) in kicks.iter().zip(&entries[2..]) {
            ready.kicks[*queue] = entry.revents != 0;
        }
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
            let header = Header::request(number::VRING_KICK, 8).bytes();
            self.back.out.extend(header);
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
        let started = (header.number == number::SET_VRING_KICK).then(|| dword(&payload, 0) as usize & 0xff);
        self.back.out.extend(header.bytes());
        self.back.out.extend(payload);
        // What the guest made available before.
        started.map_or(Ok(()), |queue| self.forward(queue))
    }

    /// Descriptors out of a message, offsets into it.
    fn translate(&mut self, header: Header, payload: &mut Vec<u8>, fds: Vec<OwnedFd>) -> Result<(), Ended> {
        match header.number {
            number::SET_MEM_TABLE => self.table(payload, fds),
            number::SET_VRING_KICK | number::SET_VRING_CALL | number::SET_VRING_ERR => {
                let value = dword(payload, 0);
                let queue = (value & 0xff) as usize;
                let there = (value & NO_DESCRIPTOR == 0).then(|| fds.into_iter().next()).flatten();
                let place = match header.number {
                    number::SET_VRING_KICK => self.kicks.get_mut(queue),
                    number::SET_VRING_CALL => self.calls.get_mut(queue),
                    _ => None,
                };
                if let Some(place) = place {
                    *place = there;
                }
                set_dword(payload, 0, value | NO_DESCRIPTOR);
                if let (Shown::Bounce(bounce), number::SET_VRING_KICK) = (&mut self.shown, header.number) {
                    bounce.start(queue)?;
                }
                Ok(())
            }
            number::SET_FEATURES | number::SET_VRING_NUM | number::SET_VRING_ADDR | number::SET_VRING_BASE => {
                if let Shown::Bounce(bounce) = &mut self.shown {
                    bounce.set(header.number, payload)?;
                }
                Ok(())
            }
            number::SET_PROTOCOL_FEATURES => {
                let wanted = dword(payload, 0) | INBAND_NOTIFICATIONS;
                set_dword(payload, 0, wanted);
                Ok(())
            }
            _ => Ok(()),
        }
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
            return Err(Ended::Protocol(format!(
                "message {} that nobody waits for",
                header.number
            )));
        };
        // A back end refuses GET_CONFIG by an empty answer.
        if payload.len() != due.size && !(due.number == number::GET_CONFIG && payload.len() == 12) {
            return Err(Ended::Protocol(format!(
                "{} bytes for message {}",
                payload.len(),
                due.number
            )));
        }
        if due.number == number::GET_PROTOCOL_FEATURES {
            let offered = dword(&payload, 0);
            if offered & INBAND_NOTIFICATIONS == 0 {
                return Err(Ended::Protocol(
                    "kicks by message are not offered: the guest is no window there".into(),
                ));
            }
            set_dword(&mut payload, 0, offered & !INBAND_NOTIFICATIONS);
        }
        if let Shown::Bounce(bounce) = &mut self.shown {
            bounce.answered(due.number, &mut payload);
        }
        self.front.out.extend(header.bytes());
        self.front.out.extend(payload);
        Ok(())
    }
}

struct Ready {
    front: bool,
    back: bool,
    kicks: [bool; QUEUES],
    bells: Vec<bool>,
}

/// Takes an eventfd's count; false when it can't be read.
fn drain(event: &OwnedFd) -> bool {
    let mut count = [0u8; 8];
    // SAFETY: eight writable bytes. Ready to be read, so it doesn't wait; if somebody else took the count meanwhile and it
    // is a blocking one, the device's next kick ends the wait.
    let got = unsafe { libc::read(event.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    got == 8 || (got < 0 && would_block(&io::Error::last_os_error()))
}

fn signal(call: &OwnedFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight readable bytes. A call nobody reads is no call.
    unsafe { libc::write(call.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}
