//! One child process: spawn, hand-over, backlog, death.

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
    /// It closed its link: it is ending, or will be ended.
    closed: Option<Instant>,
}

/// Starts of a child that never comes up.
const ATTEMPTS: u32 = 3;
/// Time that a child which closed its link has to end.
const CLOSED: Duration = Duration::from_secs(1);
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
    ever_up: bool,
    news: bool,
    code: u8,
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
            ever_up: false,
            news: false,
            code: 1,
            waiting: VecDeque::new(),
        }
    }

    /// Starts the child when it isn't running and its time has come, and hands it everything kept for it. `true` if so.
    ///
    /// # Errors
    /// When the process can't be made.
    pub fn start_if_due(&mut self, kept: &Kept) -> io::Result<bool> {
        if self.running.is_some() || Instant::now() < self.due {
            return Ok(false);
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
        Ok(true)
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

    /// The next record the child sent, if any. One that speaks something else is ended.
    pub fn receive(&mut self) -> Option<(Record, Option<OwnedFd>)> {
        let running = self.running.as_mut()?;
        match running.link.receive() {
            Ok(Some(record)) => return Some(record),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(None) => {
                running.closed.get_or_insert_with(Instant::now);
            }
            Err(_) => self.kill(),
        }
        None
    }

    /// Notices the child's death and plans its successor.
    pub fn reap(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Ok(Some(status)) = running.process.try_wait() else {
            if running.closed.is_some_and(|since| since.elapsed() > CLOSED) {
                self.kill();
            }
            return;
        };
        let lived = running.since.elapsed();
        self.failures = if lived > Duration::from_secs(10) {
            0
        } else {
            self.failures.saturating_add(1)
        };
        let wait = Duration::from_millis(10 << self.failures.saturating_sub(1).min(7)).min(Duration::from_secs(1));
        let wait = if self.failures <= 1 { Duration::ZERO } else { wait };
        let (role, lived, next) = (self.role.arguments().join(" "), lived.as_millis(), wait.as_millis());
        eprintln!("audiod: {role} ended ({status}) after {lived} ms, next in {next} ms");
        self.due = Instant::now() + wait;
        self.code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        self.running = None;
        self.waiting.clear();
        self.up = false;
    }

    /// The exit code of a child that never once came up and has used up its attempts. One that did come up is started
    /// again for ever, once a second at most: sound that may come back is better than none.
    pub fn hopeless(&self) -> Option<u8> {
        (self.running.is_none() && !self.ever_up && self.failures >= ATTEMPTS).then_some(self.code.max(1))
    }

    /// Whether there is a process.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it closed its link and has still to end.
    pub fn is_ending(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.closed.is_some())
    }

    /// The child has finished its set-up.
    pub fn came_up(&mut self) {
        self.up = true;
        self.ever_up = true;
        self.news = true;
    }

    /// Whether it has.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether it came up since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Sends it a signal, if it runs.
    pub fn signal(&self, signal: libc::c_int) {
        if let Some(running) = &self.running {
            // SAFETY: a signal to our own child, which is not reaped yet.
            unsafe { libc::kill(running.process.id() as libc::pid_t, signal) };
        }
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
        let open = self.running.as_ref().filter(|running| running.closed.is_none());
        open.map_or(-1, |running| running.link.as_raw_fd())
    }

    /// For poll; -1 when not running.
    pub fn pid_fd(&self) -> RawFd {
        self.running.as_ref().map_or(-1, |running| running.pid_fd.as_raw_fd())
    }

    /// Ends it at once; `reap` will notice.
    pub fn kill(&mut self) {
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
            // A terminal's ^C goes to everybody; who ends when is the supervisor's to say.
            libc::signal(libc::SIGINT, libc::SIG_IGN);
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
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
        closed: None,
    })
}
