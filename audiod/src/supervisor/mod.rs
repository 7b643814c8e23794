//! The supervisor: small, parses nothing from outside, keeps every descriptor that must outlive a crash, restarts the others.
//!
//! ```text
//!            ┌── exits, or its heart stops: wait 10 ms · 2^n (at most 1 s; n forgets after 10 s of life) ┐
//!            ▼                                                                                        │
//!  spawn ─► give all kept descriptors ─► AllGiven ─► Up ─► running (Keep, Drop, Memory as they come) ─┘
//! ```
//! What control asks to be kept is passed on to the engine at once when the engine uses it (regions, calls), so a new memory
//! table needs no third party. A child that is stopped or slow holds nobody up: its records wait in a bounded queue here.

mod child;
pub mod entry;
mod heart;
mod kept;
pub mod silence;
pub mod wire;

use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

pub use child::LINK_FD;
use child::{Child, Role};
use heart::Hearts;
use kept::Kept;
use silence::{Hold, Silencer};
use wire::{Record, Thing};

use crate::codec::alsa::{KernelPcm, Tail};
use crate::signals;

/// What the launcher leaves behind for the supervisor: descriptors by role.
#[derive(Default)]
pub struct Inheritance {
    /// Kept from the start.
    pub things: Vec<(Thing, OwnedFd)>,
    /// Codecs whose simulated card writes a file.
    pub cards: Vec<u32>,
    /// Codecs that are real cards (their PCM is among `things`): silenced ahead while no engine beats.
    pub holds: Vec<Hold>,
    /// Gets one line, `ready`, when everybody is up.
    pub ready: Option<OwnedFd>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As asked for.
    Asked,
    /// A child never came up; its exit code.
    NeverUp(u8),
}

/// Records taken from one child before the others have their turn.
const RECORDS_A_ROUND: usize = 256;

/// Runs until SIGTERM or SIGINT; SIGHUP is passed on to control, which reads the file again. Then ends the children in the order control, engine, card and returns.
///
/// # Errors
/// When a child can't be started at all or a system call of the loop fails.
pub fn run(inheritance: Inheritance) -> io::Result<End> {
    let mut supervisor = Supervisor::new(inheritance)?;
    let end = loop {
        if let Some(end) = supervisor.round()? {
            break end;
        }
    };
    notify("STOPPING=1");
    supervisor.stop_all();
    Ok(end)
}

struct Supervisor {
    signals: OwnedFd,
    kept: Kept,
    children: Vec<Child>,
    hearts: Hearts,
    silencers: Vec<(u32, Silencer<Tail<KernelPcm>>)>,
    ready: Option<OwnedFd>,
    watchdog: Option<Duration>,
    fed: Instant,
    /// A reload was asked for while control could not hear it.
    reload: bool,
}

impl Supervisor {
    fn new(inheritance: Inheritance) -> io::Result<Self> {
        let signals = signals::descriptor(&[libc::SIGTERM, libc::SIGINT, libc::SIGCHLD, libc::SIGHUP])?;
        let blocks = inheritance
            .things
            .iter()
            .filter(|(thing, _)| matches!(thing, Thing::Engine(_)));
        let hearts = Hearts::new(blocks.map(|(_, fd)| fd.try_clone()))?;
        let silencers = silencers(&inheritance)?;
        let mut kept = Kept::default();
        for (thing, fd) in inheritance.things {
            kept.keep(thing, fd);
        }
        let cards = inheritance.cards.iter().map(|&codec| Role::Card(codec));
        Ok(Self {
            signals,
            kept,
            children: cards.chain([Role::Engine, Role::Control]).map(Child::new).collect(),
            hearts,
            silencers,
            ready: inheritance.ready,
            watchdog: sd_notify::watchdog_enabled().map(|period| period / 4),
            fed: Instant::now(),
            reload: false,
        })
    }

    /// One turn of the loop; `Some` when it was the last.
    fn round(&mut self) -> io::Result<Option<End>> {
        for child in &mut self.children {
            if child.start_if_due(&self.kept)? && child.role == Role::Engine {
                self.hearts.reset();
            }
        }
        let ready = self.wait()?;
        if ready.signal {
            let seen = signals::drain(self.signals.as_raw_fd());
            if seen
                .iter()
                .any(|signal| matches!(*signal, libc::SIGTERM | libc::SIGINT))
            {
                return Ok(Some(End::Asked));
            }
            self.reload |= seen.contains(&libc::SIGHUP);
        }
        let mut forward = Vec::new();
        for (child, ready) in self.children.iter_mut().zip(ready.children) {
            child.flush();
            if ready.link {
                serve(child, &mut self.kept, &mut forward);
            }
            if ready.ended || child.is_ending() {
                child.reap();
            }
            if let Some(code) = child.hopeless() {
                return Ok(Some(End::NeverUp(code)));
            }
        }
        for (record, thing) in forward {
            if let Some(engine) = self.children.iter_mut().find(|child| child.role == Role::Engine) {
                engine.send(record, thing.and_then(|thing| self.kept.get(thing)));
            }
        }
        self.pass_on_reload();
        self.silence();
        self.check_heart();
        self.report();
        Ok(None)
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut polls: Vec<libc::pollfd> = Vec::with_capacity(1 + 2 * self.children.len());
        polls.push(signals::entry(self.signals.as_raw_fd(), libc::POLLIN));
        for child in &self.children {
            let backlog = if child.backlog() { libc::POLLOUT } else { 0 };
            polls.push(signals::entry(child.link_fd(), libc::POLLIN | backlog));
            polls.push(signals::entry(child.pid_fd(), libc::POLLIN));
        }
        let due = self.children.iter().filter_map(Child::due_in);
        let silence = (!self.silencers.is_empty()).then_some(silence::WATCH);
        let wait = due
            .chain([self.hearts.due_in()])
            .chain(self.watchdog)
            .chain(silence)
            .min();
        let wait = wait.unwrap_or_default().as_millis();
        signals::wait(&mut polls, i32::try_from(wait).unwrap_or(i32::MAX).saturating_add(1))?;
        Ok(Ready {
            signal: polls[0].revents != 0,
            children: polls[1..]
                .chunks_exact(2)
                .map(|pair| ReadyChild {
                    link: pair[0].revents != 0,
                    ended: pair[1].revents != 0,
                })
                .collect(),
        })
    }

    /// A control that is not up yet reads no signals.
    fn pass_on_reload(&mut self) {
        let mut up = self.children.iter().filter(|child| child.is_up());
        if self.reload
            && let Some(control) = up.find(|child| child.role == Role::Control)
        {
            control.signal(libc::SIGHUP);
            self.reload = false;
        }
    }

    /// Real cards go on in silence while nobody writes.
    fn silence(&mut self) {
        let engine = self
            .children
            .iter()
            .any(|child| child.role == Role::Engine && child.is_running());
        for (codec, silencer) in &mut self.silencers {
            let beat = self.hearts.beat(*codec);
            if let Some(error) = silencer.look(beat, engine, Instant::now()) {
                eprintln!("audiod: codec {codec}: no silence can be kept ahead: {error}");
            }
        }
    }

    /// An engine that lives but doesn't beat is replaced.
    fn check_heart(&mut self) {
        let Some(engine) = self.children.iter_mut().find(|child| child.role == Role::Engine) else {
            return;
        };
        if engine.is_running() && self.hearts.hang(engine.is_up()) {
            eprintln!(
                "audiod: the engine hangs (no period for {} ms): ended",
                heart::HANG.as_millis()
            );
            engine.kill();
            self.hearts.reset();
        }
    }

    /// READY once everybody is up; the watchdog is fed only while the engine's hearts beat.
    fn report(&mut self) {
        let up = self.children.iter().all(Child::is_up);
        if up
            && self
                .children
                .iter_mut()
                .map(Child::take_news)
                .fold(false, |any, one| any | one)
        {
            notify("READY=1\nSTATUS=engine and control are up");
            if let Some(fd) = self.ready.take() {
                // Who asked to be told may have gone.
                let _ = std::fs::File::from(fd).write_all(b"ready\n");
            }
        }
        let engine_up = self
            .children
            .iter()
            .any(|child| child.role == Role::Engine && child.is_up());
        if self.watchdog.is_some_and(|period| self.fed.elapsed() >= period) && engine_up && self.hearts.all_beat() {
            notify("WATCHDOG=1");
            self.fed = Instant::now();
        }
    }

    /// Ends control first (it saves), then the engine, then the cards (they finish their files).
    fn stop_all(&mut self) {
        self.children.sort_by_key(|child| match child.role {
            Role::Control => 0,
            Role::Engine => 1,
            Role::Card(_) => 2,
        });
        for child in &mut self.children {
            child.stop(Duration::from_secs(2));
        }
    }
}

fn silencers(inheritance: &Inheritance) -> io::Result<Vec<(u32, Silencer<Tail<KernelPcm>>)>> {
    let now = Instant::now();
    let mut silencers = Vec::new();
    for hold in &inheritance.holds {
        let card = inheritance
            .things
            .iter()
            .find(|(thing, _)| *thing == Thing::Card(hold.codec));
        let (_, fd) = card.ok_or(io::ErrorKind::NotFound)?;
        let lead = u64::from(hold.period) * u64::from(hold.lead);
        let tail = Tail::of(fd.try_clone()?, hold.rate, u64::from(hold.period), lead)?;
        silencers.push((hold.codec, Silencer::new(tail, hold.patience(), now)));
    }
    Ok(silencers)
}

struct Ready {
    signal: bool,
    children: Vec<ReadyChild>,
}

struct ReadyChild {
    /// It sent something, takes something more, or closed.
    link: bool,
    ended: bool,
}

/// Takes all records a child has sent.
fn serve(child: &mut Child, kept: &mut Kept, forward: &mut Vec<(Record, Option<Thing>)>) {
    for _ in 0..RECORDS_A_ROUND {
        let Some((record, fd)) = child.receive() else { return };
        match (record, fd) {
            (Record::Have(thing), Some(fd)) if kept::may_change(child.role, thing) => {
                kept.keep(thing, fd);
                if kept::engine_uses(thing) {
                    forward.push((record, Some(thing)));
                }
            }
            (Record::Drop(thing), _) if kept::may_change(child.role, thing) => {
                kept.forget(thing);
                if kept::engine_uses(thing) {
                    forward.push((record, None));
                }
            }
            (Record::Memory(guest, generation), _) if child.role == Role::Control => {
                kept.memory(guest, generation);
                forward.push((record, None));
            }
            (Record::Up, _) => child.came_up(),
            (record, _) => eprintln!("audiod: {:?} may not send {record:?}; not done", child.role),
        }
    }
}

fn notify(state: &str) {
    // Without NOTIFY_SOCKET this does nothing; a lost message is systemd's to time out.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Custom(state)]);
}
