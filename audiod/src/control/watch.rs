//! What the loop waits for besides the bus (guests' descriptors, the engine's bell, signals, time) as one descriptor that tokio's reactor knows.
//!
//! ```text
//!   guests, bell, signals, timer ── epoll set ──► AsyncFd ─┐
//!                                                          ├─► the loop wakes, and looks at the set again whoever woke it
//!   bus ── zbus, server (tasks of the same thread) ────────┘
//! ```
//! A set is never changed but made anew: the supervisor holds duplicates of guests' descriptors, and a descriptor that is closed here
//! stays in its set as long as there is a duplicate.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use vhost_sound::memory::EventFd;

use super::guests::{Entry, Guests};
use super::now_ms;

const TIMER: u64 = 0;
const SIGNALS: u64 = 1;
const BELL: u64 = 2;
/// And from here on guests' entries.
const ENTRIES: u64 = 3;
/// Looked at in a turn.
const MOST: usize = 64;
const NOTHING: libc::epoll_event = libc::epoll_event { events: 0, u64: 0 };

/// What a set was made of.
#[derive(PartialEq, Eq)]
struct Made {
    changes: u64,
    signals: RawFd,
    entries: Vec<(Entry, RawFd, u32)>,
}

struct Set {
    fd: AsyncFd<OwnedFd>,
    made: Made,
}

/// What is ready.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It is time.
    pub timer: bool,
    /// A signal waits.
    pub signals: bool,
    /// An engine rang: it counted something.
    pub bell: bool,
    /// Guests' descriptors.
    pub entries: Vec<Entry>,
}

/// See the module.
pub struct Watch {
    timer: OwnedFd,
    bell: EventFd,
    /// When it goes off, ms of the monotonic clock.
    armed: Option<u64>,
    set: Option<Set>,
}

impl Watch {
    /// Nothing yet; later, with all else, the engine's `bell`.
    ///
    /// # Errors
    /// When the timer can't be had.
    pub fn new(bell: EventFd) -> io::Result<Self> {
        // SAFETY: no pointers.
        let timer = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        Ok(Self {
            timer: owned(timer)?,
            bell,
            armed: None,
            set: None,
        })
    }

    /// From now on these guests, and `signals` (negative: none); within a tokio runtime.
    ///
    /// # Errors
    /// When a set can't be had.
    pub fn over(&mut self, guests: &Guests, signals: RawFd) -> io::Result<()> {
        let made = Made {
            changes: guests.changes(),
            signals,
            entries: guests.entries(),
        };
        if self.set.as_ref().is_some_and(|set| set.made == made) {
            return Ok(());
        }
        // SAFETY: no pointers.
        let set = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        add(&set, self.timer.as_raw_fd(), TIMER, libc::EPOLLIN.cast_unsigned())?;
        let bell = self.bell.as_fd().as_raw_fd();
        add(&set, bell, BELL, libc::EPOLLIN.cast_unsigned())?;
        if signals >= 0 {
            add(&set, signals, SIGNALS, libc::EPOLLIN.cast_unsigned())?;
        }
        for (number, (_, fd, events)) in made.entries.iter().enumerate() {
            add(&set, *fd, ENTRIES + number as u64, *events)?;
        }
        // SAFETY: the set is owned by the `AsyncFd`, which names the same descriptor until it closes it.
        let fd = unsafe { AsyncFd::register_with_interest(set, Interest::READABLE) }?;
        self.set = Some(Set { fd, made });
        Ok(())
    }

    /// Wakes at `deadline`, ms, at the latest. One set to an earlier time is left: it wakes for nothing once, which costs less than
    /// setting it again and again.
    ///
    /// # Errors
    /// What `timerfd_settime` says.
    pub fn until(&mut self, deadline: u64) -> io::Result<()> {
        if self.armed.is_some_and(|armed| armed <= deadline) {
            return Ok(());
        }
        let at = libc::timespec {
            tv_sec: (deadline / 1000).cast_signed(),
            // All zero would disarm it.
            tv_nsec: (deadline % 1000 * 1_000_000).cast_signed() + 1,
        };
        let spec = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: at,
        };
        let (timer, absolute) = (self.timer.as_raw_fd(), libc::TFD_TIMER_ABSTIME);
        // SAFETY: `spec` is valid for the call, the old value isn't asked for.
        if unsafe { libc::timerfd_settime(timer, absolute, &raw const spec, std::ptr::null_mut()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        self.armed = Some(deadline);
        Ok(())
    }

    /// What is ready, as soon as anything is. Cancel-safe; never, before [`Self::over`].
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn ready(&mut self) -> io::Result<Seen> {
        loop {
            match &self.set {
                Some(set) => drop(set.fd.readable().await?),
                None => std::future::pending().await,
            }
            let seen = self.look()?;
            if seen != Seen::default() {
                return Ok(seen);
            }
        }
    }

    /// What is ready now.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn look(&mut self) -> io::Result<Seen> {
        let mut seen = Seen::default();
        let Some(set) = &self.set else { return Ok(seen) };
        let mut events = [NOTHING; MOST];
        let count = wait(set.fd.get_ref(), &mut events)?;
        for event in &events[..count] {
            match event.u64 {
                TIMER => seen.timer = true,
                SIGNALS => seen.signals = true,
                BELL => seen.bell = self.bell.drain()? > 0,
                other => seen.entries.extend(set.made.entry(other)),
            }
        }
        if seen.timer {
            // Setting it anew, before the next wait, takes its ring back.
            self.armed = None;
        }
        if !seen.signals && seen.entries.is_empty() {
            // Nothing is left that would have to be looked at again; what comes from now on rings again.
            let _ = set
                .fd
                .try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        }
        Ok(seen)
    }

    /// In `wait` ms.
    ///
    /// # Errors
    /// As [`Self::until`].
    pub fn within(&mut self, wait: u64) -> io::Result<()> {
        self.until(now_ms() + wait)
    }
}

impl Made {
    fn entry(&self, number: u64) -> Option<Entry> {
        let number = usize::try_from(number.checked_sub(ENTRIES)?).ok()?;
        self.entries.get(number).map(|it| it.0)
    }
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn add(set: &OwnedFd, fd: RawFd, number: u64, events: u32) -> io::Result<()> {
    let mut event = libc::epoll_event { events, u64: number };
    // SAFETY: `event` is valid for the call.
    if unsafe { libc::epoll_ctl(set.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// How many are ready, without waiting.
fn wait(set: &OwnedFd, events: &mut [libc::epoll_event]) -> io::Result<usize> {
    let most = libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: `events` is a valid array of that length.
    let count = unsafe { libc::epoll_wait(set.as_raw_fd(), events.as_mut_ptr(), most, 0) };
    match usize::try_from(count) {
        Ok(count) => Ok(count),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::time::Duration;

    use super::*;

    fn watch() -> (Watch, EventFd) {
        let bell = EventFd::new().unwrap();
        let mut watch = Watch::new(bell.try_clone().unwrap()).unwrap();
        watch.over(&Guests::none(), -1).unwrap();
        (watch, bell)
    }

    async fn soon(watch: &mut Watch) -> Seen {
        let seen = tokio::time::timeout(Duration::from_secs(5), watch.ready()).await;
        seen.expect("nothing is seen").unwrap()
    }

    #[tokio::test]
    async fn each_ring_is_seen_once_also_one_from_before_the_watch() {
        let (mut watch, bell) = watch();
        for _ in 0..3 {
            bell.signal().unwrap();
            bell.signal().unwrap();

            let seen = soon(&mut watch).await;

            assert!(seen.bell && !seen.timer && seen.entries.is_empty(), "{seen:?}");
            let again = tokio::time::timeout(Duration::from_millis(20), watch.ready()).await;
            assert!(again.is_err(), "{again:?}");
        }
        bell.signal().unwrap();
        let mut successor = Watch::new(bell).unwrap();
        successor.over(&Guests::none(), -1).unwrap();
        assert!(soon(&mut successor).await.bell);
    }
}
