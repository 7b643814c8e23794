//! The real `audiod` on a private bus, in a folder of its own, with `audioctl` and its monitor.
//!
//! ```text
//!  Daemon::start(folder, bus address → system file) ──► `ready` ──► audioctl / monitor / process_of ──► terminate, or drop
//! ```
//! `audiod` and `audioctl` are taken from where this program was built.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dbus_api::private_bus::PrivateBus;

use crate::process;

const START_LIMIT: Duration = Duration::from_secs(30);
const END_LIMIT: Duration = Duration::from_secs(20);

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A program is not where it should be.
    #[error("{}: not there; build it: `cargo build -p audiod -p dbus-api`", .0.display())]
    NotBuilt(PathBuf),
    /// A file or process could not be used.
    #[error("{what}: {source}")]
    System {
        /// Which one.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// The daemon ended or did not become ready.
    #[error("audiod: {what}; its log, {}, says:\n{tail}", log.display())]
    Daemon {
        /// What happened.
        what: String,
        /// Its output.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// `audioctl` failed.
    #[error("audioctl {arguments}: {message}")]
    Control {
        /// Its arguments.
        arguments: String,
        /// What it said.
        message: String,
    },
}

fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> DaemonError {
    let what = what.into();
    |source| DaemonError::System { what, source }
}

/// A program built with this one.
///
/// # Errors
/// It was not built.
pub fn program(name: &str) -> Result<PathBuf, DaemonError> {
    let own = std::env::current_exe().map_err(system("this program's place"))?;
    let mut folders = own.ancestors().skip(1);
    let found = folders
        .find(|folder| !folder.ends_with("deps"))
        .unwrap_or(Path::new("."));
    let path = found.join(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(DaemonError::NotBuilt(path))
    }
}

/// A running daemon; dropped, it and all it started are killed.
pub struct Daemon {
    /// Holds its bus, log, system file and whatever the system file puts there.
    pub folder: PathBuf,
    bus: PrivateBus,
    child: Child,
}

impl Daemon {
    /// Starts a private bus and `audiod run`; returns when engine and control are up. `file` makes the system file's text from
    /// the bus's address.
    ///
    /// # Errors
    /// A program is missing, or the daemon did not become ready.
    pub fn start(folder: &Path, file: impl FnOnce(&str) -> String) -> Result<Self, DaemonError> {
        let bus = PrivateBus::start(folder).map_err(system("private bus"))?;
        let path = folder.join("system.toml");
        std::fs::write(&path, file(bus.address())).map_err(system(path.display().to_string()))?;
        let log = folder.join("audiod.log");
        let output = std::fs::File::create(&log).map_err(system(log.display().to_string()))?;
        let child = Command::new(program("audiod")?)
            .arg("run")
            .arg(&path)
            .args(["--ready-fd", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(output)
            .spawn()
            .map_err(system("starting audiod"))?;
        let folder = folder.to_path_buf();
        let mut daemon = Self { folder, bus, child };
        daemon.wait_ready()?;
        Ok(daemon)
    }

    fn wait_ready(&mut self) -> Result<(), DaemonError> {
        let Some(output) = self.child.stdout.take() else {
            return Ok(());
        };
        let mut ready = libc::pollfd {
            fd: std::os::fd::AsRawFd::as_raw_fd(&output.as_fd()),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd.
        let answered = unsafe { libc::poll(&raw mut ready, 1, START_LIMIT.as_millis() as i32) };
        if answered < 1 {
            return Err(self.failure(format!("not ready within {START_LIMIT:?}")));
        }
        let mut line = String::new();
        match BufReader::new(output).read_line(&mut line) {
            Ok(size) if size > 0 => Ok(()),
            _ => {
                let status = self
                    .child
                    .wait()
                    .map_or_else(|e| e.to_string(), |status| status.to_string());
                Err(self.failure(format!("ended at start ({status})")))
            }
        }
    }

    /// An error of the daemon's, with the end of its log.
    #[must_use]
    pub fn failure(&self, what: String) -> DaemonError {
        let log = self.folder.join("audiod.log");
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        DaemonError::Daemon { what, log, tail }
    }

    /// Address of its bus.
    #[must_use]
    pub fn bus(&self) -> &str {
        self.bus.address()
    }

    /// Runs `audioctl` to its end.
    ///
    /// # Errors
    /// It can't be started or failed.
    pub fn audioctl(&self, arguments: &[&str]) -> Result<String, DaemonError> {
        let output = self.try_audioctl(arguments)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(DaemonError::Control {
            arguments: arguments.join(" "),
            message: format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
        })
    }

    /// Runs `audioctl` to its end, whatever its status.
    ///
    /// # Errors
    /// It can't be started.
    pub fn try_audioctl(&self, arguments: &[&str]) -> Result<Output, DaemonError> {
        Command::new(program("audioctl")?)
            .args(["--bus", self.bus()])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(system("starting audioctl"))
    }

    /// `audioctl status --json`.
    ///
    /// # Errors
    /// As [`Self::audioctl`], or it is no JSON.
    pub fn status(&self) -> Result<serde_json::Value, DaemonError> {
        let text = self.audioctl(&["--json", "status"])?;
        serde_json::from_str(&text).map_err(|error| DaemonError::Control {
            arguments: "--json status".to_owned(),
            message: format!("{error}: {text}"),
        })
    }

    /// Starts `audioctl monitor`; returns when it listens.
    ///
    /// # Errors
    /// It can't be started, or ended.
    pub fn monitor(&self) -> Result<Monitor, DaemonError> {
        let child = Command::new(program("audioctl")?)
            .args(["--bus", self.bus(), "monitor"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(system("starting audioctl monitor"))?;
        let monitor = Monitor::read(child);
        monitor.wait_for("listening", START_LIMIT, |line| line.contains("\"listening\""))?;
        Ok(monitor)
    }

    /// Process ID of the supervisor.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Process ID of a child: `control`, `engine`, `card`.
    #[must_use]
    pub fn process_of(&self, role: &str) -> Option<u32> {
        let name = format!("audiod-{role}");
        let children = process::descendants(self.pid()).into_iter();
        children
            .filter(|pid| process::state(*pid).is_some_and(|state| state != 'Z'))
            .find(|pid| process::arguments(*pid).starts_with(&name))
    }

    /// SIGTERM, as a service manager would.
    ///
    /// # Errors
    /// It did not end in time.
    pub fn terminate(mut self) -> Result<ExitStatus, DaemonError> {
        process::signal(self.pid(), libc::SIGTERM).map_err(system("ending audiod"))?;
        let end = Instant::now() + END_LIMIT;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().map_err(system("waiting for audiod"))? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(self.failure(format!("SIGTERM did not end it within {END_LIMIT:?}")))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let children = process::descendants(self.pid());
        // All fail only for processes that are already gone.
        let _ = self.child.kill();
        for pid in children {
            let _ = process::signal(pid, libc::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

type Lines = Arc<(Mutex<Vec<String>>, Condvar)>;

/// A running `audioctl monitor`.
pub struct Monitor {
    child: Child,
    lines: Lines,
}

impl Monitor {
    fn read(mut child: Child) -> Self {
        let lines = Lines::default();
        if let Some(output) = child.stdout.take() {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let (list, changed) = &*lines;
                    list.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    changed.notify_all();
                }
            });
        }
        Self { child, lines }
    }

    /// Everything heard so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line, also one heard before; returns it. `what` names it in the error.
    ///
    /// # Errors
    /// None came in time.
    pub fn wait_for(&self, what: &str, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<String, DaemonError> {
        let end = Instant::now() + limit;
        let (list, changed) = &*self.lines;
        let mut lines = list.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return Ok(line.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let heard = lines.join("\n");
                return Err(DaemonError::Control {
                    arguments: "monitor".to_owned(),
                    message: format!("{what} did not come within {limit:?}; heard:\n{heard}"),
                });
            }
            lines = changed
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // Both fail only if it is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
