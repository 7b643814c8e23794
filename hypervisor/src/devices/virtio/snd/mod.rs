//! virtio-sound (5.14) by a vhost-user back end that may come late, go away and come back.
//!
//! ```text
//!                  link                      DRIVER_OK, rings handed over
//!    ┌── Absent ─────────► Connected ─────────────────────────────────► Running
//!    │     │  ▲ link lost      │ ▲                                        │  │
//!    │     │  └────────────────┘ └──────────── driver reset ──────────────┘  │ link lost
//!    │     │ DRIVER_OK: the vCPU is held until a link comes                  │
//!    │     ▼                  │ link: handed over                            │
//!    │   Held ────────────────┴──► Running                                   │
//!    │     │ time over                ▲ link: rings go on at the used index  │
//!    │     ▼                          │                                      │
//!    └── StandIn ◄────────────────────┼──────────────────────────────────────┘
//!  driver reset    └──────────────────┘
//! ```
//! `StandIn` answers the control queue from the declared configuration and returns what the driver queues with IO_ERR, a
//! message of each queue every [`PACE`] ([`standin`]), so that a stream that runs goes on. What was with the back end when it
//! went away is taken to be the messages after the used index: a device that completes out of order over several streams
//! needs a back end that keeps its own record (ours does, in its supervisor, so that it needs no new link).

mod backend;
mod standin;
mod wire;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use vhost_sound::block::QUEUES;
use vhost_sound::wire::CONFIG_BYTES;
use vmm_sys_util::timerfd::TimerFd;

use self::backend::Backend;
use self::standin::StandIn;
use super::{Driver, EVENT_IDX, INDIRECT_DESC, Kind, VirtioDevice, read_bytes};
use crate::devices::lock;
use crate::plan::Sound;
use crate::vm::control::{Report, Reporter};
use crate::vm::poller::{Handler, Poller};

/// The poller's tokens of the socket and of the stand-in's timer.
const SOCKET: u32 = 0;
const TIMER: u32 = 1;
/// Between two turns of the stand-in. Linux (since 6.6) gives a stream up that has not moved for 100 ms; one that moved by its
/// whole ring between two looks has stood still to it.
const PACE: Duration = Duration::from_millis(20);

/// The transport's side of the device.
pub struct Snd(Arc<Link>);

/// The device's side of the back end.
pub struct Link {
    options: Sound,
    reporter: Reporter,
    poller: Arc<Poller>,
    me: Weak<Self>,
    inner: Mutex<Inner>,
    changed: Condvar,
    links: AtomicU64,
    losses: AtomicU64,
}

enum State {
    Absent,
    Connected(Backend),
    Held,
    Running(Backend),
    StandIn(StandIn),
}

struct Inner {
    state: State,
    /// The driver, while it is there.
    session: Option<Driver>,
    /// The stand-in's.
    timer: TimerFd,
    /// Features and configuration of the last back end, or the declared ones.
    features: u64,
    config: [u8; CONFIG_BYTES],
}

impl Snd {
    /// A device without a back end yet.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new(options: Sound, reporter: Reporter, poller: &Arc<Poller>) -> io::Result<Self> {
        let mut config = [0; CONFIG_BYTES];
        let streams = u32::try_from(options.declared.streams.len()).unwrap_or(0);
        config[4..8].copy_from_slice(&streams.to_le_bytes());
        let events = if options.declared.flags_only { 0 } else { EVENT_IDX };
        let inner = Inner {
            state: State::Absent,
            session: None,
            timer: TimerFd::new()?,
            features: INDIRECT_DESC | events,
            config,
        };
        Ok(Self(Arc::new_cyclic(|me| Link {
            options,
            reporter,
            poller: Arc::clone(poller),
            me: me.clone(),
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            links: AtomicU64::new(0),
            losses: AtomicU64::new(0),
        })))
    }

    /// Where links are given to the device.
    pub fn link(&self) -> Arc<Link> {
        Arc::clone(&self.0)
    }
}

impl Link {
    /// Name of the device.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Counters: links made, links lost.
    pub fn counters(&self) -> [(&'static str, u64); 2] {
        [
            ("links", self.links.load(Ordering::Relaxed)),
            ("losses", self.losses.load(Ordering::Relaxed)),
        ]
    }

    /// A new back end: takes the place of one that is there.
    pub fn connect(&self, socket: OwnedFd) {
        let mut inner = lock(&self.inner);
        let socket_fd = socket.as_raw_fd();
        let result = Backend::new(socket, inner.session.as_ref().map(|session| session.features)).and_then(|backend| {
            self.drop_backend(&mut inner);
            self.take(&mut inner, backend)
        });
        match result {
            Ok(()) => {
                self.links.fetch_add(1, Ordering::Relaxed);
                if let Err(cause) = self.watch_socket(socket_fd) {
                    return self.lose(&mut inner, &cause);
                }
                self.reporter.tell(&Report::LinkUp {
                    device: self.options.name.clone(),
                });
                self.changed.notify_all();
            }
            Err(cause) => self.report_loss(cause),
        }
    }

    fn watch(&self, fd: RawFd, token: u32) -> io::Result<()> {
        let me = self.me.upgrade().ok_or(io::ErrorKind::NotFound)?;
        self.poller.add(fd, me, token)
    }

    fn watch_socket(&self, fd: RawFd) -> Result<(), String> {
        self.watch(fd, SOCKET).map_err(|e| e.to_string())
    }

    fn take(&self, inner: &mut Inner, mut backend: Backend) -> Result<(), String> {
        inner.features = backend.features;
        let changed = inner.config != backend.config;
        inner.config = backend.config;
        let state = std::mem::replace(&mut inner.state, State::Absent);
        let Some(session) = &inner.session else {
            inner.state = State::Connected(backend);
            return Ok(());
        };
        if let State::StandIn(_) = state {
            // It leaves the device rings where the back end is to go on.
            self.poller.remove(inner.timer.as_raw_fd());
        }
        let started = backend.start(session.features, &session.memory, &session.queues);
        if let Err(cause) = started {
            inner.state = State::StandIn(self.stand_in(session, &mut inner.timer));
            return Err(cause);
        }
        if changed {
            session.config.signal();
        }
        inner.state = State::Running(backend);
        Ok(())
    }

    /// Takes a back end that is there out of the loop and closes it.
    fn drop_backend(&self, inner: &mut Inner) {
        if let State::Connected(backend) | State::Running(backend) = &inner.state {
            self.poller.remove(backend.as_raw_fd());
            inner.state = State::Absent;
        }
    }

    fn lose(&self, inner: &mut Inner, cause: &str) {
        self.losses.fetch_add(1, Ordering::Relaxed);
        self.drop_backend(inner);
        if let Some(session) = &inner.session
            && !matches!(inner.state, State::StandIn(_))
        {
            inner.state = State::StandIn(self.stand_in(session, &mut inner.timer));
        }
        self.report_loss(cause.to_owned());
    }

    fn report_loss(&self, cause: String) {
        self.reporter.tell(&Report::LinkLost {
            device: self.options.name.clone(),
            cause,
        });
    }

    fn stand_in(&self, session: &Driver, timer: &mut TimerFd) -> StandIn {
        // A timer can always be set and watched.
        let _ = timer.reset(PACE, None).map(|()| self.watch(timer.as_raw_fd(), TIMER));
        StandIn::new(&self.options.declared, session)
    }

    /// The driver is there: hands the rings over, after waiting for a back end at most as long as the plan says.
    fn activate(&self, driver: Driver) {
        let mut inner = lock(&self.inner);
        inner.session = Some(driver);
        match std::mem::replace(&mut inner.state, State::Held) {
            State::Connected(backend) => {
                let fd = backend.as_raw_fd();
                // Out of the loop while it may be closed.
                self.poller.remove(fd);
                let taken = self.take(&mut inner, backend).and_then(|()| self.watch_socket(fd));
                if let Err(cause) = taken {
                    self.lose(&mut inner, &cause);
                }
            }
            _ => self.hold(inner),
        }
    }

    fn hold(&self, inner: MutexGuard<'_, Inner>) {
        let is_held = |inner: &mut Inner| matches!(inner.state, State::Held);
        let most = Duration::from_millis(self.options.hold_ms);
        let waited = self.changed.wait_timeout_while(inner, most, is_held);
        let (mut guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        if is_held(inner)
            && let Some(session) = &inner.session
        {
            inner.state = State::StandIn(self.stand_in(session, &mut inner.timer));
        }
    }

    fn reset(&self) {
        let mut guard = lock(&self.inner);
        let inner = &mut *guard;
        let Some(session) = inner.session.take() else { return };
        inner.state = match std::mem::replace(&mut inner.state, State::Absent) {
            State::Running(mut backend) => match backend.stop(&session.queues) {
                Ok(()) => State::Connected(backend),
                Err(cause) => {
                    self.poller.remove(backend.as_raw_fd());
                    self.losses.fetch_add(1, Ordering::Relaxed);
                    self.report_loss(cause);
                    State::Absent
                }
            },
            State::StandIn(_) => {
                self.poller.remove(inner.timer.as_raw_fd());
                State::Absent
            }
            other => other,
        };
    }
}

impl Handler for Link {
    fn ready(&self, token: u32) {
        let mut guard = lock(&self.inner);
        let inner = &mut *guard;
        if token == SOCKET {
            // A back end says nothing unasked: this is the end of it, or a breach of the protocol.
            if let State::Connected(backend) | State::Running(backend) = &inner.state
                && let Some(cause) = backend.is_over()
            {
                self.lose(inner, &cause);
            }
        } else if let (State::StandIn(standin), Some(session)) = (&mut inner.state, &inner.session) {
            let _ = inner.timer.reset(PACE, None);
            standin.turn(&session.memory, &session.queues);
        }
    }
}

impl VirtioDevice for Snd {
    fn kind(&self) -> Kind {
        Kind(25, 0x04_0100, vec![self.0.options.queue_size; QUEUES])
    }

    fn features(&self) -> u64 {
        lock(&self.0.inner).features
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_bytes(&lock(&self.0.inner).config, offset, data);
    }

    fn activate(&mut self, driver: Driver) -> Result<(), String> {
        self.0.activate(driver);
        Ok(())
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests;
