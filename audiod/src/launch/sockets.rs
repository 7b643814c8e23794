//! The guests' listening sockets. A socket file that nobody listens on is a dead daemon's and is replaced; anything else in
//! its place is somebody's and stays.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::sandbox;
use crate::supervisor::wire::Thing;
use crate::system::System;

/// The processes of a daemon that was just killed hold its sockets until the kernel is done with them.
const DYING: Duration = Duration::from_secs(2);

/// Binds every guest's socket: mode 0660, owned by the user that the daemon will be.
///
/// # Errors
/// `InTheWay` when somebody listens there or something else is there; otherwise what the system says, with the path.
pub fn listen(system: &System) -> Result<Vec<(Thing, OwnedFd)>, Failure> {
    let owner = match &system.user {
        Some(user) => Some(sandbox::look_up(user).map_err(Failure::when(format!("user {user}")))?),
        None => None,
    };
    (0..)
        .zip(&system.guests)
        .map(|(index, guest)| {
            let listener = match guest.window.as_ref().and_then(|window| window.port) {
                Some(port) => bind_vsock(port),
                None => {
                    clear(&guest.socket)?;
                    bind(&guest.socket, owner)
                }
            };
            let listener = listener.map_err(Failure::when(format!("guest {}: {}", guest.name, guest.place())))?;
            Ok((Thing::Listener(index), listener))
        })
        .collect()
}

fn clear(path: &Path) -> Result<(), Failure> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(Failure::InTheWay(format!(
            "{} is there and is no socket; move it away",
            path.display()
        )));
    }
    let patience = Instant::now() + DYING;
    while somebody_listens(path) {
        if Instant::now() > patience {
            return Err(Failure::InTheWay(format!(
                "{}: another process listens there (is audiod running already?)",
                path.display()
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::remove_file(path).map_err(Failure::when(format!("removing {}", path.display())))
}

/// Without waiting: a listener that is stopped, or whose queue is full, listens too.
fn somebody_listens(path: &Path) -> bool {
    // SAFETY: plain calls; `address` is initialised before use and valid for the call.
    unsafe {
        let raw = libc::socket(
            libc::AF_UNIX,
            libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            0,
        );
        if raw < 0 {
            return false;
        }
        let socket = OwnedFd::from_raw_fd(raw);
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        let bytes = path.as_os_str().as_bytes();
        if bytes.len() >= address.sun_path.len() {
            return false;
        }
        for (to, &from) in address.sun_path.iter_mut().zip(bytes) {
            *to = from as libc::c_char;
        }
        let len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
        let refused = libc::connect(socket.as_raw_fd(), (&raw const address).cast(), len) < 0
            && io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock;
        !refused
    }
}

fn bind(path: &Path, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    // Not even for a moment open to others; the launcher has one thread.
    // SAFETY: plain calls.
    let before = unsafe { libc::umask(0o117) };
    let listener = UnixListener::bind(path);
    // SAFETY: as above.
    unsafe { libc::umask(before) };
    let listener = listener?;
    listener.set_nonblocking(true)?;
    // SAFETY: always succeeds.
    if let Some((user, group)) = owner.filter(|_| unsafe { libc::geteuid() } == 0) {
        std::os::unix::fs::chown(path, Some(user), Some(group))?;
    }
    Ok(listener.into())
}

/// A port that any VM's host may connect to; whoever else does is turned away when it is accepted.
fn bind_vsock(port: u32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: plain calls; `address` is initialised before use and valid for the call; a fresh descriptor is ours.
    unsafe {
        let raw = libc::socket(libc::AF_VSOCK, kind, 0);
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = OwnedFd::from_raw_fd(raw);
        let mut address: libc::sockaddr_vm = std::mem::zeroed();
        address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
        (address.svm_cid, address.svm_port) = (libc::VMADDR_CID_ANY, port);
        let len = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
        let bound = libc::bind(raw, (&raw const address).cast(), len) == 0 && libc::listen(raw, 1) == 0;
        if bound {
            Ok(socket)
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn place(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("audiod-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn a_dead_daemons_socket_is_replaced() {
        let path = place("dead");
        drop(UnixListener::bind(&path).unwrap());

        clear(&path).unwrap();
        let bound = bind(&path, None);

        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::remove_file(&path).unwrap();
        assert!(bound.is_ok());
        assert_eq!(mode & 0o777, 0o660);
    }

    #[test]
    fn a_live_listener_and_a_plain_file_stay() {
        let (path, file) = (place("live"), place("file"));
        let listener = UnixListener::bind(&path).unwrap();
        fs::write(&file, "mine").unwrap();

        let outcomes = (clear(&path), clear(&file));

        assert!(matches!(
            outcomes,
            (Err(Failure::InTheWay(_)), Err(Failure::InTheWay(_)))
        ));
        assert!(path.exists());
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        drop(listener);
        fs::remove_file(&path).unwrap();
        fs::remove_file(&file).unwrap();
    }
}
