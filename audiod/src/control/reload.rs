//! The file read again, while it sounds.
//!
//! ```text
//!   read ─► checked? ─► same system? ─► text kept by the supervisor ─► Machine::reload ─► saved, one batch, signals
//!     │         │ no         │ no
//!     └─────────┴────────────┴──► the report goes back, nothing has changed
//! ```
//! A control that dies in between leaves the old text with the old policy or the new text with the old snapshot, which its successor
//! restores with the new policy: both are a whole one.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use policy::command::error;
use policy::file::MAX_BYTES;
use policy::report::Report;

use super::{Control, history, now_ms};
use crate::config::{self, Loaded, swap};
use crate::control::monitor::Happening;
use crate::failure::Failure;
use crate::given::Given;
use crate::plan::{self, Plan};
use crate::supervisor::wire::Thing;

/// The file that runs, and where it came from.
pub struct Running {
    /// As it was last taken up.
    pub loaded: Loaded,
    folder: Option<OwnedFd>,
    path: PathBuf,
}

impl Running {
    /// The plan's file, or what a reload put in its place before the predecessor died.
    ///
    /// # Errors
    /// The plan's own text has mistakes.
    pub fn of(plan: &Plan, given: &mut Given) -> Result<Self, Failure> {
        let launched = config::parse(&plan.text, &plan.path);
        let launched = launched.map_err(|report| Failure::Config(report.to_string()))?;
        let reloaded = given
            .things
            .remove(&Thing::Text)
            .and_then(|fd| successor(fd, &launched));
        Ok(Self {
            loaded: reloaded.unwrap_or(launched),
            folder: given.things.remove(&Thing::FileFolder),
            path: plan.path.clone(),
        })
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// Everything that is wrong with it, or that needs a restart.
    fn read(&self) -> Result<Loaded, Report> {
        let unreadable = |error: io::Error| config::unreadable(&self.path, &format!("it can't be read: {error}"));
        let bytes = self.bytes().map_err(unreadable)?;
        let text = config::text_of(bytes, &self.path)?;
        let loaded = config::parse(&text, &self.path)?;
        swap::swappable(&self.loaded, &loaded)?;
        Ok(loaded)
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let folder = self
            .folder
            .as_ref()
            .ok_or_else(|| io::Error::other("its folder could not be opened at the start"))?;
        let name = self.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let name = CString::new(name.as_bytes()).map_err(io::Error::other)?;
        // A pipe in its place must not keep us waiting.
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: a valid C string and a descriptor we own.
        let raw = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor.
        let file = unsafe { File::from_raw_fd(raw) };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The text of a reload before this process; only one that could have been taken up counts.
fn successor(fd: OwnedFd, launched: &Loaded) -> Option<Loaded> {
    let read = || {
        let file = File::from(fd);
        let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    };
    let told =
        |error: &dyn std::fmt::Display| tracing::error!("the reloaded file is lost, going on with the first: {error}");
    let text = read().inspect_err(|error| told(error)).ok()?;
    let loaded = config::parse(&text, Path::new(&launched.path))
        .inspect_err(|report| told(report))
        .ok()?;
    swap::swappable(launched, &loaded)
        .inspect_err(|report| told(report))
        .ok()?;
    Some(loaded)
}

impl Control {
    /// Takes the file up again: `am_Error_e` and words. Anything but 0 has changed nothing.
    pub(super) fn reload(&mut self) -> (i16, String) {
        let (code, text) = match self.running.read() {
            Ok(loaded) => self.swap(loaded),
            Err(report) => {
                let restart = |found: &policy::report::Diagnostic| found.code == policy::file::code::RESTART;
                let only_restart = report.findings().iter().all(restart);
                let code = if only_restart {
                    error::NOT_POSSIBLE
                } else {
                    error::WRONG_FORMAT
                };
                (code, report.to_string())
            }
        };
        if code == error::OK {
            tracing::info!("reloaded {}", self.running.path.display());
        } else {
            tracing::error!("not reloaded, nothing has changed:\n{text}");
        }
        self.tell(Happening::new("reload").with("error", code).with("text", text.as_str()));
        (code, text)
    }

    /// All or nothing: the machine is another only once the text is kept.
    fn swap(&mut self, loaded: Loaded) -> (i16, String) {
        let mut machine = self.machine.clone();
        let effects = match machine.reload(loaded.model.clone(), now_ms()) {
            Ok(effects) => effects,
            Err(refusal) => return (error::NOT_POSSIBLE, refusal.to_string()),
        };
        let kept = plan::freeze(c"carillon-text", loaded.text.as_bytes()).and_then(|fd| self.guests.keep_text(&fd));
        if let Err(error) = kept {
            return (
                error::NOT_POSSIBLE,
                format!("the file can't be kept for the next control process: {error}"),
            );
        }
        let warnings = loaded.warnings.to_string();
        self.machine = machine;
        self.running.loaded = loaded;
        self.history.open(now_ms(), history::reload());
        self.carry_out(effects);
        self.bus.flush();
        (error::OK, warnings)
    }
}
