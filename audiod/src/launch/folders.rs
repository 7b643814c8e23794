//! Folders that control works in later, when it may no longer be able to reach them by name: the file's, for reloads, and the
//! one the state is kept in. Without them sound goes on as well, so what can't be had is told and nothing more.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::plan::Plan;
use crate::supervisor::wire::Thing;

/// Opens what can be opened.
pub fn open(plan: &Plan) -> Vec<(Thing, OwnedFd)> {
    let mut things = Vec::new();
    if let Some(folder) = plan.path.parent() {
        match folder_at(folder, libc::O_PATH) {
            Ok(fd) => things.push((Thing::FileFolder, fd)),
            Err(error) => eprintln!("audiod: {}: {error}; the file can't be reloaded", folder.display()),
        }
    }
    if let Some(folder) = plan.state.as_deref().and_then(Path::parent) {
        // For reading, since only such a descriptor can be synchronised.
        match folder_at(folder, 0) {
            Ok(fd) => things.push((Thing::StateFolder, fd)),
            Err(error) => complain(folder, &error),
        }
    }
    things
}

/// Says so, now that we are who we will be, if nothing can be written there.
pub fn check(things: &[(Thing, OwnedFd)], plan: &Plan) {
    let state = things.iter().find(|(thing, _)| *thing == Thing::StateFolder);
    let Some((_, fd)) = state else { return };
    // SAFETY: a valid C string and a descriptor we own.
    let done = unsafe { libc::faccessat(fd.as_raw_fd(), c".".as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) };
    if done < 0 {
        let folder = plan.state.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        complain(folder, &io::Error::last_os_error());
    }
}

fn complain(folder: &Path, error: &io::Error) {
    eprintln!(
        "audiod: state: {}: {error}; volumes and connections will not outlive this daemon (make the folder, writable for its user)",
        folder.display()
    );
}

fn folder_at(path: &Path, flags: libc::c_int) -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_DIRECTORY | flags);
    Ok(options.open(path)?.into())
}
