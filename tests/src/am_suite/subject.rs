//! The daemon under test: any program that owns AudioManager's name on the bus it finds in its environment.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use dbus_api::private_bus::PrivateBus;

use crate::daemon::program;

/// The suite's configuration, in our file's form; docs/am-suite.md says it in prose.
pub const CONFIGURATION: &str = include_str!("../../am-suite.toml");
/// For SIGTERM.
const END: Duration = Duration::from_secs(20);

/// See the module.
pub struct Subject {
    folder: PathBuf,
    command: String,
    bus: PrivateBus,
    child: Option<Child>,
}

impl Subject {
    /// Starts a private bus in `folder` and the daemon; returns at once. `command` is a shell's; without one it is the audiod that was
    /// built with this program, with [`CONFIGURATION`].
    ///
    /// # Errors
    /// One of them can't be started.
    pub fn start(folder: &Path, command: Option<&str>) -> Result<Self> {
        let bus = PrivateBus::start(folder).context("a private bus")?;
        let command = match command {
            Some(command) => command.to_owned(),
            None => {
                let file = folder.join("am-suite.toml");
                std::fs::write(&file, CONFIGURATION).with_context(|| file.display().to_string())?;
                format!("'{}' run '{}'", program("audiod")?.display(), file.display())
            }
        };
        let mut subject = Self {
            folder: folder.to_owned(),
            command,
            bus,
            child: None,
        };
        subject.begin()?;
        Ok(subject)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// Starts the daemon (again).
    ///
    /// # Errors
    /// It can't be started.
    pub fn begin(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let child = Command::new("sh")
            .args(["-c", &format!("exec {}", self.command)])
            .current_dir(&self.folder)
            .env("DBUS_SESSION_BUS_ADDRESS", self.bus.address())
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", self.command))?;
        self.child = Some(child);
        Ok(())
    }

    /// Process ID of what was started.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Process ID of the bus.
    #[must_use]
    pub fn bus_pid(&self) -> Option<u32> {
        self.bus.pid()
    }

    /// Address of the bus.
    #[must_use]
    pub fn address(&self) -> &str {
        self.bus.address()
    }

    /// The end of what the daemon said, and whether it has ended.
    pub fn state(&mut self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(10)..].join("\n");
        match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => format!("the daemon has ended ({status}); it said:\n{tail}"),
            _ => format!("the daemon said:\n{tail}"),
        }
    }

    /// SIGTERM, without waiting.
    pub fn ask_to_end(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Waits for the end after [`Self::ask_to_end`].
    ///
    /// # Errors
    /// It doesn't end.
    pub fn ended(&mut self) -> Result<()> {
        let until = Instant::now() + END;
        let Some(child) = &mut self.child else { return Ok(()) };
        while child.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("SIGTERM did not end the daemon within {END:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.child = None;
        Ok(())
    }

    fn signal(&self, signal: i32) {
        let Some(child) = &self.child else { return };
        if let Ok(group) = i32::try_from(child.id()) {
            // SAFETY: kill has no preconditions; the group is the child's own, which has not been waited for.
            unsafe { libc::kill(-group, signal) };
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}
