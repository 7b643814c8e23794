//! The run folder of a system: where a later parent finds what an earlier one started.
//!
//! | name | what |
//! |---|---|
//! | `parent` | socket of the parent that watches |
//! | `P.vm` | door of partition P's VMM process |
//! | `P.pid` | its process and that process's start time |
//! | `P.log`, `P.console` | what it says, what its guest says |
//! | `manifest` | where the manifest lies that it runs by |

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

/// A run folder.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// A process, told from later ones of the same number by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Number.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub start: u64,
}

impl Folder {
    /// The folder of a system for this user.
    pub fn of(system: &str) -> Self {
        let user = Uid::effective();
        let base = match std::env::var_os("XDG_RUNTIME_DIR") {
            _ if user.is_root() => PathBuf::from("/run"),
            Some(folder) => PathBuf::from(folder),
            None => std::env::temp_dir().join(format!("hypervisor-{user}")),
        };
        Self(base.join("hypervisor").join(system))
    }

    /// This folder.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, for this user alone.
    ///
    /// # Errors
    /// What the system says; `PermissionDenied` when it is somebody else's.
    pub fn make(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let owner = fs::symlink_metadata(&self.0)?;
        if !owner.is_dir() || owner.uid() != Uid::effective().as_raw() || owner.mode() & 0o077 != 0 {
            let text = format!("{} must be a folder of this user alone (mode 0700)", self.0.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(())
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The parent's socket.
    pub fn parent(&self) -> PathBuf {
        self.file("parent")
    }

    /// A partition's door.
    pub fn door(&self, partition: &str) -> PathBuf {
        self.file(&format!("{partition}.vm"))
    }

    /// Notes a partition's process.
    ///
    /// # Errors
    /// What the system says.
    pub fn note(&self, partition: &str, pid: i32) -> io::Result<Process> {
        let start = start_time(pid)?;
        fs::write(self.file(&format!("{partition}.pid")), format!("{pid} {start}\n"))?;
        Ok(Process { pid, start })
    }

    /// A partition's process, if it is still there.
    pub fn process(&self, partition: &str) -> Option<Process> {
        let text = fs::read_to_string(self.file(&format!("{partition}.pid"))).ok()?;
        let (pid, start) = text.trim().split_once(' ')?;
        let process = Process {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        };
        process.alive().then_some(process)
    }

    /// Partitions that have a door.
    pub fn doors(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut names: Vec<String> = names
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".vm")?.to_owned()))
            .collect();
        names.sort();
        names
    }
}

impl Process {
    /// Whether it is still that process, and not a zombie.
    pub fn alive(self) -> bool {
        start_time(self.pid).is_ok_and(|start| start == self.start)
    }

    /// Kills it.
    pub fn kill(self) {
        if self.alive() {
            // It may be gone meanwhile.
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }
}

/// Field 22 of `/proc/PID/stat`; an error for a zombie.
fn start_time(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything: fields are counted behind it.
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let mut fields = fields.split(' ');
    if fields.next() == Some("Z") {
        return Err(io::ErrorKind::NotFound.into());
    }
    fields
        .nth(18)
        .and_then(|field| field.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
