//! Sockets the parent makes: doors of packets, and the ways to audiod. VMM processes make none.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const FLAGS: libc::c_int = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn socket(family: libc::c_int, kind: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; a fresh descriptor is ours.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::socket(family, kind | FLAGS, 0))?)) }
}

fn unix(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: all zero is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = OsStr::as_bytes(path.as_os_str());
    if bytes.len() >= address.sun_path.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path of a socket has at most 107 bytes",
        ));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    Ok((address, size_of::<libc::sockaddr_un>() as libc::socklen_t))
}

/// A listening socket of packets at a path that nothing lives at any more.
///
/// # Errors
/// `AddrInUse` when somebody listens there; what the system says.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    match connect(path) {
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let fd = socket(libc::AF_UNIX, libc::SOCK_SEQPACKET)?;
    let (address, length) = unix(path)?;
    // SAFETY: `address` is valid for `length` bytes.
    checked(unsafe { libc::bind(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) })?;
    // SAFETY: no pointers.
    checked(unsafe { libc::listen(fd.as_raw_fd(), 16) })?;
    Ok(fd)
}

/// Connects to a socket of packets.
///
/// # Errors
/// What the system says.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    connect_unix(path, libc::SOCK_SEQPACKET)
}

/// Connects to a vhost-user socket.
///
/// # Errors
/// What the system says.
pub fn connect_stream(path: &Path) -> io::Result<OwnedFd> {
    connect_unix(path, libc::SOCK_STREAM)
}

fn connect_unix(path: &Path, kind: libc::c_int) -> io::Result<OwnedFd> {
    let fd = socket(libc::AF_UNIX, kind)?;
    let (address, length) = unix(path)?;
    // SAFETY: `address` is valid for `length` bytes.
    checked(unsafe { libc::connect(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) })?;
    Ok(fd)
}

/// Begins to connect to a vsock port; [`connected`] says how it went.
///
/// # Errors
/// What the system says, but `EINPROGRESS`.
pub fn connect_vsock(cid: u32, port: u32) -> io::Result<OwnedFd> {
    let fd = socket(libc::AF_VSOCK, libc::SOCK_STREAM)?;
    // SAFETY: all zero is a valid sockaddr_vm.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    (address.svm_cid, address.svm_port) = (cid, port);
    let length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    // SAFETY: `address` is valid for `length` bytes.
    match checked(unsafe { libc::connect(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(fd),
    }
}

/// Whether a connection that was begun stands: `None` while it is open.
///
/// # Errors
/// Why it doesn't.
pub fn connected(fd: BorrowedFd<'_>) -> io::Result<Option<()>> {
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one valid pollfd, no waiting.
    if checked(unsafe { libc::poll(&mut entry, 1, 0) })? == 0 {
        return Ok(None);
    }
    let (mut error, mut length) = (0, size_of::<libc::c_int>() as libc::socklen_t);
    let to = std::ptr::from_mut(&mut error).cast();
    // SAFETY: `to` has room for the one int.
    checked(unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR, to, &mut length) })?;
    if error == 0 {
        Ok(Some(()))
    } else {
        Err(io::Error::from_raw_os_error(error))
    }
}

/// Takes the next connection; `None` when there is none.
///
/// # Errors
/// What `accept4` says.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    // SAFETY: a valid descriptor; no address is asked for.
    let fd = unsafe { libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), FLAGS) };
    match checked(fd) {
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(fd) => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) })),
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EAGAIN | libc::ECONNABORTED | libc::EINTR)
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Process and user at the other end, as they were when it was connected or began to listen.
///
/// # Errors
/// What `getsockopt` says.
pub fn peer(fd: BorrowedFd<'_>) -> io::Result<(i32, u32)> {
    let mut who = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    let to = std::ptr::from_mut(&mut who).cast();
    // SAFETY: `to` has room for a ucred.
    checked(unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, to, &mut length) })?;
    Ok((who.pid, who.uid))
}

/// Waits until one of the descriptors is readable or gone, at most so many milliseconds; which are.
///
/// # Errors
/// What `poll` says, but `EINTR`.
pub fn wait(fds: &[BorrowedFd<'_>], timeout_ms: Option<u64>) -> io::Result<Vec<bool>> {
    let entry = |fd: &BorrowedFd<'_>| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut entries: Vec<libc::pollfd> = fds.iter().map(entry).collect();
    let timeout = timeout_ms.map_or(-1, |ms| libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX));
    // SAFETY: `entries` is valid for its length.
    match checked(unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        Err(_) => Ok(vec![false; fds.len()]),
        Ok(_) => Ok(entries.iter().map(|entry| entry.revents != 0).collect()),
    }
}
