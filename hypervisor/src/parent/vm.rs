//! One VM as its parent sees it: its process, its door, the sound links that want connecting.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::time::{Duration, Instant};

use super::folder::Process;
use super::life::{End, Life};
use super::orders::State;
use super::socket::{connect_stream, connect_vsock, connected};
use crate::manifest::{Manifest, Partition};
use crate::vm::control::{Channel, Report, Request};

/// Between two attempts to connect a link.
const AGAIN: Duration = Duration::from_millis(20);
/// How long a VM asked to stop may take before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// A partition of the manifest.
pub(super) struct Vm {
    pub name: String,
    pub life: Life,
    pub up: Option<Up>,
    /// When it is to be started.
    pub due: Option<Instant>,
    pub given_up: bool,
    /// How it ended last.
    pub last: Option<String>,
}

/// A VMM process.
pub(super) struct Up {
    pub channel: Channel,
    pub process: Process,
    /// Ours; one taken over is not.
    child: Option<Child>,
    since: Instant,
    setup_us: Option<u64>,
    wanting: BTreeMap<String, Attempt>,
    ended: Option<(u8, Option<String>)>,
    /// It was asked to stop.
    asked: bool,
    /// Then it is killed.
    pub kill_at: Option<Instant>,
    /// It is started anew when it has stopped.
    pub again: bool,
    pub closed: bool,
    /// Why its links were lost, for the log; the same cause is told once.
    lost: Vec<String>,
    last_lost: Option<String>,
}

struct Attempt {
    next: Instant,
    begun: Option<OwnedFd>,
}

/// A link to audiod that is to be connected.
pub(super) enum Way<'m> {
    /// On this host.
    Socket(&'m std::path::Path),
    /// In the service VM.
    Port(u32, u32),
}

impl<'m> Way<'m> {
    pub fn of(manifest: &'m Manifest, partition: &'m Partition) -> Option<Self> {
        if let Some(socket) = &partition.sound.as_ref()?.socket {
            return Some(Self::Socket(&socket.value));
        }
        let window = manifest.window_of(&partition.name.value)?;
        Some(Self::Port(manifest.service()?.vsock_cid?.value, window.port.value))
    }

    fn begin(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Socket(path) => connect_stream(path),
            Self::Port(cid, port) => connect_vsock(*cid, *port),
        }
    }
}

impl Up {
    pub fn new(fd: OwnedFd, process: Process, child: Option<Child>) -> Self {
        Self {
            channel: Channel::from(fd),
            process,
            child,
            since: Instant::now(),
            setup_us: None,
            wanting: BTreeMap::new(),
            ended: None,
            asked: false,
            kill_at: None,
            again: false,
            closed: false,
            lost: Vec::new(),
            last_lost: None,
        }
    }

    pub fn ask(&self, request: &Request) -> io::Result<()> {
        self.channel.send(request, None)
    }

    /// Takes the next answer, with the descriptor that came with it.
    pub fn answer(&self) -> io::Result<Option<(Report, Option<OwnedFd>)>> {
        self.channel.receive()
    }

    /// Reads everything that was said; false when the door is closed. A process that talks nonsense is as good as gone.
    pub fn hear(&mut self) -> bool {
        loop {
            match self.answer() {
                Ok(None) => return true,
                Ok(Some((report, _))) => self.note(report),
                Err(_) => {
                    self.closed = true;
                    self.kill_at = self.kill_at.or_else(|| Instant::now().checked_add(GRACE));
                    return false;
                }
            }
        }
    }

    pub fn note(&mut self, report: Report) {
        let now = Instant::now();
        match report {
            Report::Here {
                age_ms,
                setup_us,
                wanting,
                ..
            } => {
                self.since = now.checked_sub(Duration::from_millis(age_ms)).unwrap_or(now);
                self.setup_us = setup_us;
                let attempt = |device| (device, Attempt { next: now, begun: None });
                self.wanting = wanting.into_iter().map(attempt).collect();
            }
            Report::Ended { code, cause } => self.ended = Some((code, cause)),
            Report::Running { setup_us } => self.setup_us = Some(setup_us),
            Report::LinkUp { device } => {
                self.wanting.remove(&device);
                self.last_lost = None;
            }
            Report::LinkLost { device, cause } => {
                let words = format!("{device}: no link to audiod: {cause}");
                if self.last_lost.as_ref() != Some(&words) {
                    self.lost.push(words.clone());
                    self.last_lost = Some(words);
                }
                self.wanting.entry(device).or_insert(Attempt { next: now, begun: None });
            }
            _ => {}
        }
    }

    /// What is to be said of links that were lost.
    pub fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lost)
    }

    pub fn stop(&mut self, again: bool) {
        // One that isn't listening is killed.
        let _ = self.ask(&Request::Stop);
        self.kill_at = Instant::now().checked_add(GRACE);
        (self.asked, self.again) = (true, again);
    }

    /// Whether its process is gone; kills it when its time is up.
    pub fn gone(&mut self, now: Instant) -> bool {
        let gone = match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => !self.process.alive(),
        };
        if !gone && self.kill_at.is_some_and(|at| now >= at) {
            self.process.kill();
        }
        gone
    }

    /// How it ended, and in words.
    pub fn end(&mut self) -> (End, String) {
        let status = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        let code = self.ended.as_ref().map(|(code, _)| *code);
        let code = code.or_else(|| u8::try_from(status?.code()?).ok());
        let stopped = self.asked;
        let words = match (code, self.ended.take().and_then(|(_, cause)| cause)) {
            _ if stopped => "stopped".into(),
            (_, Some(cause)) => cause,
            (Some(0), _) => "powered off".into(),
            (Some(10), _) => "reset".into(),
            (Some(11), _) => "panicked".into(),
            (Some(12), _) => "its watchdog ran out".into(),
            (Some(code), _) => format!("exit code {code}"),
            (None, _) => status.map_or_else(|| "killed".into(), |status| status.to_string()),
        };
        (if stopped { End::Stopped } else { End::of(code) }, words)
    }

    /// Goes on with links; true when one is still wanting.
    pub fn links(&mut self, way: Option<&Way<'_>>, now: Instant) -> bool {
        let Some(way) = way.filter(|_| self.setup_us.is_some()) else {
            return false;
        };
        for (device, attempt) in &mut self.wanting {
            if attempt.next > now {
                continue;
            }
            attempt.next = now + AGAIN;
            let fd = match attempt.begun.take() {
                Some(fd) => Ok(fd),
                None => way.begin(),
            };
            // Nobody there yet is no news.
            let Ok(fd) = fd else { continue };
            match connected(fd.as_fd()) {
                Ok(None) => attempt.begun = Some(fd),
                Ok(Some(())) => {
                    // A link that can't be handed over is tried again.
                    let Ok(fd) = relayed(&self.channel, way, fd) else {
                        continue;
                    };
                    let link = Request::Link { device: device.clone() };
                    let _ = self.channel.send(&link, Some(&fd));
                    // Until it is told to be up or lost: no second one on the way.
                    attempt.next = now + GRACE;
                }
                Err(_) => {}
            }
        }
        !self.wanting.is_empty()
    }

    /// When a link is to be tried again.
    pub fn next(&self) -> Option<Instant> {
        let link = self
            .wanting
            .values()
            .map(|attempt| attempt.next)
            .min()
            .filter(|_| self.setup_us.is_some());
        [link, self.kill_at].into_iter().flatten().min()
    }
}

/// What the device is given: the socket itself, or its side of a relay whose other side is the stream to another VM.
fn relayed(channel: &Channel, way: &Way<'_>, fd: OwnedFd) -> io::Result<OwnedFd> {
    if matches!(way, Way::Socket(_)) {
        return Ok(fd);
    }
    let (device, relay) = std::os::unix::net::UnixStream::pair()?;
    channel.send(&Request::Relay { back: true }, Some(&fd))?;
    channel.send(&Request::Relay { back: false }, Some(&relay.into()))?;
    Ok(device.into())
}

impl Vm {
    pub fn new(partition: &Partition) -> Self {
        Self {
            name: partition.name.value.clone(),
            life: Life::new(partition.restart),
            up: None,
            due: None,
            given_up: false,
            last: None,
        }
    }

    pub fn stop(&mut self) {
        self.due = None;
        self.up.iter_mut().for_each(|up| up.stop(false));
    }

    pub fn state(&self) -> State {
        let up = self.up.as_ref();
        let state = match up {
            Some(up) if up.setup_us.is_some() => "running",
            Some(_) => "starting",
            None if self.due.is_some() => "waiting",
            None if self.given_up => "given-up",
            None => "down",
        };
        State {
            partition: self.name.clone(),
            state: state.into(),
            pid: up.map(|up| up.process.pid),
            age_ms: up.map(|up| u64::try_from(up.since.elapsed().as_millis()).unwrap_or(u64::MAX)),
            setup_us: up.and_then(|up| up.setup_us),
            restarts: Some(self.life.restarts()),
            wanting: up.map(|up| up.wanting.keys().cloned().collect()).unwrap_or_default(),
            last: self.last.clone(),
        }
    }
}
