//! The supervisor: small, parses nothing from outside, keeps every descriptor that must outlive a crash, restarts the others.
//!
//! ```text
//!            ┌────────── exits: wait 10 ms · 2^n (at most 1 s; n forgets after 10 s of life) ─────────┐
//!            ▼                                                                                        │
//!  spawn ─► give all kept descriptors ─► AllGiven ─► Up ─► running (Keep, Drop, Memory as they come) ─┘
//! ```
//! What control asks to be kept is passed on to the engine at once when the engine uses it (regions, calls), so a new memory
//! table needs no third party. A child that is stopped or slow holds nobody up: its records wait in a bounded queue here.

mod child;
mod kept;
pub mod wire;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use child::{Child, Role};
use kept::Kept;
use wire::{Record, Thing};

/// What the launcher leaves behind for the supervisor: descriptors by role.
pub struct Inheritance {
    /// Kept from the start.
    pub things: Vec<(Thing, OwnedFd)>,
    /// Codecs that are simulated cards.
    pub cards: Vec<u32>,
}

/// Runs until SIGTERM or SIGINT; then ends the children in the order control, engine, card and returns.
///
/// # Errors
/// When a child can't be started at all or a system call of the loop fails.
pub fn run(inheritance: Inheritance) -> io::Result<()> {
    let signals = block_signals()?;
    let mut kept = Kept::default();
    for (thing, fd) in inheritance.things {
        kept.keep(thing, fd);
    }
    let mut children: Vec<Child> = inheritance
        .cards
        .iter()
        .map(|&codec| Role::Card(codec))
        .chain([Role::Engine, Role::Control])
        .map(Child::new)
        .collect();
    let watchdog = watchdog_period();
    loop {
        for child in &mut children {
            child.start_if_due(&kept)?;
        }
        let wait = children.iter().filter_map(Child::due_in).chain(watchdog).min();
        let ready = wait_ready(&signals, &children, wait)?;
        if ready.signal && ends(&signals)? {
            break;
        }
        let mut forward = Vec::new();
        for (child, readable) in children.iter_mut().zip(ready.children) {
            child.flush();
            if readable {
                serve(child, &mut kept, &mut forward);
            }
            child.reap();
        }
        for (record, thing) in forward {
            if let Some(engine) = children.iter_mut().find(|child| child.role == Role::Engine) {
                engine.send(record, thing.and_then(|thing| kept.get(thing)));
            }
        }
        report(&children, watchdog.is_some());
    }
    notify("STOPPING=1");
    stop_all(&mut children);
    Ok(())
}

/// Takes all records a child has sent.
fn serve(child: &mut Child, kept: &mut Kept, forward: &mut Vec<(Record, Option<Thing>)>) {
    while let Some((record, fd)) = child.receive() {
        match (record, fd) {
            (Record::Have(thing), Some(fd)) => {
                kept.keep(thing, fd);
                if kept::engine_uses(thing) {
                    forward.push((record, Some(thing)));
                }
            }
            (Record::Drop(thing), _) => {
                kept.forget(thing);
                if kept::engine_uses(thing) {
                    forward.push((record, None));
                }
            }
            (Record::Memory(guest, generation), _) => {
                kept.memory(guest, generation);
                forward.push((record, None));
            }
            (Record::Up, _) => child.came_up(),
            (Record::Have(_) | Record::AllGiven, _) => {}
        }
    }
}

struct Ready {
    signal: bool,
    children: Vec<bool>,
}

fn wait_ready(signals: &OwnedFd, children: &[Child], wait: Option<Duration>) -> io::Result<Ready> {
    let mut polls: Vec<libc::pollfd> = Vec::with_capacity(1 + 2 * children.len());
    polls.push(poll_for(signals.as_raw_fd(), libc::POLLIN));
    for child in children {
        polls.push(poll_for(
            child.link_fd(),
            if child.backlog() {
                libc::POLLIN | libc::POLLOUT
            } else {
                libc::POLLIN
            },
        ));
        polls.push(poll_for(child.pid_fd(), libc::POLLIN));
    }
    let timeout = wait.map_or(-1, |wait| {
        i32::try_from(wait.as_millis()).unwrap_or(i32::MAX).saturating_add(1)
    });
    // SAFETY: `polls` is a valid array for the call; negative descriptors are ignored by the kernel.
    let count = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, timeout) };
    if count < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(Ready {
        signal: polls[0].revents != 0,
        children: polls[1..].chunks_exact(2).map(|pair| pair[0].revents != 0).collect(),
    })
}

fn poll_for(fd: libc::c_int, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}

/// SIGTERM, SIGINT and SIGCHLD come through a descriptor.
fn block_signals() -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialised by sigemptyset before use; plain calls otherwise.
    let fd = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD, libc::SIGHUP] {
            libc::sigaddset(&mut set, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Drains the signal descriptor; `true` when one of them asks for the end.
fn ends(signals: &OwnedFd) -> io::Result<bool> {
    let mut end = false;
    loop {
        // SAFETY: the structure is plain data of exactly the size read.
        let (got, info) = unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            (libc::read(signals.as_raw_fd(), (&raw mut info).cast(), size), info)
        };
        if got <= 0 {
            return Ok(end);
        }
        end |= matches!(info.ssi_signo as i32, libc::SIGTERM | libc::SIGINT | libc::SIGHUP);
    }
}

/// Ends control first (it saves), then the engine, then the cards (they finish their files).
fn stop_all(children: &mut [Child]) {
    children.sort_by_key(|child| match child.role {
        Role::Control => 0,
        Role::Engine => 1,
        Role::Card(_) => 2,
    });
    for child in children {
        child.stop(Duration::from_secs(2));
    }
}

fn notify(state: &str) {
    // Without NOTIFY_SOCKET this does nothing; a lost message is systemd's to time out.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Custom(state)]);
}

fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|period| period / 2)
}

/// READY once everybody is up; the watchdog is fed only while the engine lives.
fn report(children: &[Child], watchdog: bool) {
    let up = children.iter().all(|child| child.is_up());
    if up && children.iter().any(Child::first_time_up) {
        notify("READY=1\nSTATUS=engine and control are up");
    }
    for child in children {
        child.told();
    }
    if watchdog && children.iter().any(|child| child.role == Role::Engine && child.is_up()) {
        notify("WATCHDOG=1");
    }
}
