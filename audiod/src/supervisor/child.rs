//! One child process: spawn, hand-over, backlog, death.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use super::kept::Kept;
use super::wire::{Link, Record};

/// Which process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Messages, policy, D-Bus.
    Control,
    /// Sound.
    Engine,
    /// Simulated card of a codec.
    Card(u32),
}

impl Role {
    fn arguments(self) -> Vec<String> {
        match self {
            Self::Control => vec!["control".into()],
            Self::Engine => vec!["engine".into()],
            Self::Card(codec) => vec!["card".into(), codec.to_string()],
        }
    }
}

struct Running {
    process: std::process::Child,
    pid_fd: OwnedFd,
    link: Link,
    since: Instant,
}

/// Records that wait for a slow child.
const BACKLOG: usize = 4096;

/// See the module.
pub struct Child {
    /// Which process.
    pub role: Role,
    running: Option<Running>,
    due: Instant,
    failures: u32,
    up: bool,
    news: Cell<bool>,
    waiting: VecDeque<(Record, Option<OwnedFd>)>,
}

impl Child {
    /// A child to be started at once.
    pub fn new(role: Role) -> Self {
        let due = Instant::now();
        Self {
            role,
            running: None,
            due,
            failures: 0,
            up: false,
            news: Cell::new(false),
            waiting: VecDeque::new(),
        }
    }

    /// Starts the child when it isn't running and its time has come, and hands it everything kept for it.
    ///
    /// # Errors
    /// When the process can't be made.
    pub fn start_if_due(&mut self, kept: &Kept) -> io::Result<()> {
        if self.running.is_some() || Instant::now() < self.due {
            return Ok(());
        }
        self.running = Some(spawn(self.role)?);
        for (thing, fd) in kept.for_role(self.role) {
            self.send(Record::Have(thing), Some(fd));
        }
        if self.role == Role::Engine {
            for (guest, generation) in kept.tables() {
                self.send(Record::Memory(guest, generation), None);
            }
        }
        self.send(Record::AllGiven, None);
        Ok(())
    }

    /// How long until this child is to be started; `None` while it runs.
    pub fn due_in(&self) -> Option<Duration> {
        self.running
            .is_none()
            .then(|| self.due.saturating_duration_since(Instant::now()))
    }

    /// Sends a record, or queues it while the child is slow. A child that is not running gets it from `Kept` later.
    pub fn send(&mut self, record: Record, fd: Option<BorrowedFd<'_>>) {
        let Some(running) = &self.running else { return };
        if self.waiting.is_empty() && running.link.send(record, fd).is_ok() {
            return;
        }
        if self.waiting.len() < BACKLOG {
            self.waiting
                .push_back((record, fd.and_then(|fd| fd.try_clone_to_owned().ok())));
        } else {
            // A child that reads nothing for thousands of records is beyond help: its successor gets everything from `Kept`.
            self.kill();
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        let Some(running) = &self.running else { return };
        while let Some((record, fd)) = self.waiting.front() {
            if running.link.send(*record, fd.as_ref().map(AsFd::as_fd)).is_err() {
                return;
            }
            self.waiting.pop_front();
        }
    }

    /// The next record the child sent, if any.
    pub fn receive(&mut self) -> Option<(Record, Option<OwnedFd>)> {
        self.running
            .as_ref()
            .and_then(|running| running.link.receive().ok().flatten())
    }

    /// Notices the child's death and plans its successor.
    pub fn reap(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Ok(Some(status)) = running.process.try_wait() else {
            return;
        };
        let lived = running.since.elapsed();
        self.failures = if lived > Duration::from_secs(10) {
            0
        } else {
            self.failures.saturating_add(1)
        };
        let wait = Duration::from_millis(10 << self.failures.saturating_sub(1).min(7)).min(Duration::from_secs(1));
        eprintln!(
            "audiod: {:?} ended ({status}) after {} ms, next in {} ms",
            self.role,
            lived.as_millis(),
            wait.as_millis()
        );
        self.due = Instant::now() + if self.failures <= 1 { Duration::ZERO } else { wait };
        self.running = None;
        self.waiting.clear();
        self.up = false;
    }

    /// The child has finished its set-up.
    pub fn came_up(&mut self) {
        self.up = true;
        self.news.set(true);
    }

    /// Whether it has.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether it came up since the last `told`.
    pub fn first_time_up(&self) -> bool {
        self.news.get()
    }

    /// Its coming up was reported.
    pub fn told(&self) {
        self.news.set(false);
    }

    /// Asks it to end, and ends it after `patience`.
    pub fn stop(&mut self, patience: Duration) {
        let Some(mut running) = self.running.take() else { return };
        // SAFETY: a signal to our own child, which is not reaped yet.
        unsafe { libc::kill(running.process.id() as libc::pid_t, libc::SIGTERM) };
        let mut poll = libc::pollfd {
            fd: running.pid_fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd.
        let ended = unsafe { libc::poll(&mut poll, 1, patience.as_millis() as libc::c_int) };
        if ended <= 0 {
            let _ = running.process.kill();
        }
        let _ = running.process.wait();
    }

    /// Whether records wait.
    pub fn backlog(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// For poll; -1 when not running.
    pub fn link_fd(&self) -> RawFd {
        self.running.as_ref().map_or(-1, |running| running.link.as_raw_fd())
    }

    /// For poll; -1 when not running.
    pub fn pid_fd(&self) -> RawFd {
        self.running.as_ref().map_or(-1, |running| running.pid_fd.as_raw_fd())
    }

    fn kill(&mut self) {
        if let Some(running) = &mut self.running {
            let _ = running.process.kill();
        }
    }
}

/// Descriptor number at which a child finds its link.
pub const LINK_FD: RawFd = 3;

fn spawn(role: Role) -> io::Result<Running> {
    let (ours, theirs) = Link::pair()?;
    ours.set_nonblocking(true)?;
    let their_fd = theirs.as_raw_fd();
    let parent = std::process::id();
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(format!("audiod-{}", role.arguments().join("-")))
        .arg("child")
        .args(role.arguments());
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() as u32 != parent {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
            if their_fd == LINK_FD {
                libc::fcntl(LINK_FD, libc::F_SETFD, 0);
            } else if libc::dup2(their_fd, LINK_FD) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let process = command.spawn()?;
    // SAFETY: a plain system call about our own child.
    let pid_fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process.id(), 0) };
    if pid_fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor (close-on-exec by definition of pidfd_open).
    let pid_fd = unsafe { OwnedFd::from_raw_fd(pid_fd as RawFd) };
    Ok(Running {
        process,
        pid_fd,
        link: ours,
        since: Instant::now(),
    })
}
