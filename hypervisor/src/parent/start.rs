//! Starting a VMM process: its door made, its descriptors opened, the plan handed over.
//!
//! ```text
//!  parent: listen P.vm, open descriptors ─► exec `vm P`, fd 3 = packets ─► Given (name + descriptor) ... Go (plan)
//!  child:  limits, descriptors, user, door ─► vm::run, filter on
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::folder::{Folder, Process};
use super::memory::Made;
use super::resolve::{Resolved, Source, WindowLink};
use super::socket::listen;
use crate::plan::Plan;
use crate::vm::control::Channel;

/// The child's end of the packets.
pub const START_FD: i32 = 3;

/// What a child is handed, one packet each.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "start", rename_all = "kebab-case")]
pub enum Hand {
    /// The descriptor with this packet is the plan's of this name; `keep`: the door hands it back to later parents.
    Given {
        /// Its name.
        name: String,
        /// The door keeps a second one.
        keep: bool,
    },
    /// That was all.
    Go(Box<Go>),
}

/// What a child runs.
#[derive(Debug, Deserialize, Serialize)]
pub struct Go {
    /// The VM.
    pub plan: Plan,
    /// As whom.
    pub user: Option<String>,
    /// Whose calls the door takes.
    pub owner: u32,
    /// Its side of its window.
    pub link: Option<WindowLink>,
}

/// Why a VM could not be started: what could not be had, and why.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct StartError {
    /// What was wanted.
    pub what: String,
    /// What the system said.
    pub source: io::Error,
}

fn because(what: impl Into<String>) -> impl FnOnce(io::Error) -> StartError {
    let what = what.into();
    move |source| StartError { what, source }
}

/// Starts a partition's VMM process and leaves it to itself: it is no child to wait for, it outlives this one.
///
/// # Errors
/// The first descriptor that can't be had; exec.
pub fn start(
    folder: &Folder,
    resolved: &Resolved,
    made: &mut Made,
    user: Option<String>,
) -> Result<(Child, Process), StartError> {
    let name = &resolved.plan.name;
    let mut descriptors: BTreeMap<String, (OwnedFd, bool)> = BTreeMap::new();
    for (want, source) in &resolved.wants {
        let fd = obtain(folder, name, source, made).map_err(because(format!("{name}: {}", described(source))))?;
        let keep = matches!(source, Source::Memory(..) | Source::Event(_));
        descriptors.insert(want.clone(), (fd, keep));
    }
    let door = listen(&folder.door(name)).map_err(because(folder.door(name).display().to_string()))?;
    descriptors.insert("door".into(), (door, false));
    let (ours, theirs) = Channel::pair().map_err(because("a socketpair"))?;
    let child = spawn(folder, name, theirs).map_err(because(format!("{name}: its process")))?;
    let noted = folder.note(name, child.id().cast_signed());
    let process = noted.map_err(because(format!("{name}: its pid file")))?;
    for (name, (fd, keep)) in descriptors {
        let what = format!("handing over {name}");
        ours.send(&Hand::Given { name, keep }, Some(&fd))
            .map_err(because(what))?;
    }
    let go = Go {
        plan: resolved.plan.clone(),
        user,
        owner: Uid::effective().as_raw(),
        link: resolved.link.clone(),
    };
    ours.send(&Hand::Go(Box::new(go)), None)
        .map_err(because("handing over the plan"))?;
    Ok((child, process))
}

fn described(source: &Source) -> String {
    match source {
        Source::Open(path, _) => path.display().to_string(),
        Source::Memory(name, size, huge) => {
            format!(
                "{} of {}memory ({name})",
                crate::manifest::words::sized(*size),
                if *huge { "huge-page " } else { "" }
            )
        }
        Source::Event(name) => format!("an eventfd ({name})"),
        Source::Log => "its console's file".into(),
        Source::Output | Source::Input => "standard input or output".into(),
    }
}

fn obtain(folder: &Folder, partition: &str, source: &Source, made: &mut Made) -> io::Result<OwnedFd> {
    match source {
        Source::Open(path, write) => {
            let path = if path.ends_with("iommu_group") {
                group(path)?
            } else {
                path.clone()
            };
            Ok(OpenOptions::new().read(true).write(*write).open(path)?.into())
        }
        Source::Memory(name, size, huge) => made.get(name, *size, *huge)?.try_clone(),
        Source::Event(name) => made.event(name)?.try_clone(),
        Source::Log => Ok(log(&folder.file(&format!("{partition}.console")))?.into()),
        Source::Output => io::stdout().as_fd().try_clone_to_owned(),
        Source::Input => io::stdin().as_fd().try_clone_to_owned(),
    }
}

fn group(link: &Path) -> io::Result<std::path::PathBuf> {
    let target = fs::read_link(link)?;
    Ok(Path::new("/dev/vfio").join(target.file_name().ok_or(io::ErrorKind::NotFound)?))
}

fn log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn spawn(folder: &Folder, name: &str, theirs: OwnedFd) -> io::Result<Child> {
    let said = log(&folder.file(&format!("{name}.log")))?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["vm", name]).env_clear();
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
    let from = theirs.as_raw_fd();
    // SAFETY: between fork and exec only system calls are made. A session of its own: no signal of this terminal ends it.
    unsafe {
        command.pre_exec(move || {
            let moved = if from == START_FD {
                libc::fcntl(from, libc::F_SETFD, 0)
            } else {
                libc::dup2(from, START_FD)
            };
            // Nor does it inherit what somebody left open above us.
            let others = (START_FD + 1) as libc::c_uint;
            let closed = libc::syscall(
                libc::SYS_close_range,
                others,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            );
            if moved < 0 || closed < 0 || libc::setsid() < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    command.spawn()
}
