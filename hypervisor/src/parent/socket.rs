//! Sockets the parent makes: doors of packets, and the ways to audiod. VMM processes make none.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, UnixAddr, VsockAddr, sockopt};

use crate::vm::control::Channel;

const FLAGS: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);

fn unix(path: &Path) -> io::Result<UnixAddr> {
    UnixAddr::new(path).map_err(|error| match error {
        Errno::ENAMETOOLONG => io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path of a socket has at most 107 bytes",
        ),
        other => other.into(),
    })
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
    let fd = socket::socket(AddressFamily::Unix, SockType::SeqPacket, FLAGS, None)?;
    socket::bind(fd.as_raw_fd(), &unix(path)?)?;
    socket::listen(&fd, Backlog::new(16)?)?;
    Ok(fd)
}

/// Connects to a socket of packets.
///
/// # Errors
/// What the system says.
pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    Ok(connect_to(AddressFamily::Unix, SockType::SeqPacket, &unix(path)?)?)
}

/// Connects to a vhost-user socket.
///
/// # Errors
/// What the system says.
pub fn connect_stream(path: &Path) -> io::Result<OwnedFd> {
    Ok(connect_to(AddressFamily::Unix, SockType::Stream, &unix(path)?)?)
}

/// Begins to connect to a vsock port; [`connected`] says how it went.
///
/// # Errors
/// What the system says.
pub fn connect_vsock(cid: u32, port: u32) -> io::Result<OwnedFd> {
    let address = VsockAddr::new(cid, port);
    Ok(connect_to(AddressFamily::Vsock, SockType::Stream, &address)?)
}

fn connect_to(family: AddressFamily, kind: SockType, address: &dyn SockaddrLike) -> nix::Result<OwnedFd> {
    let fd = socket::socket(family, kind, FLAGS, None)?;
    match socket::connect(fd.as_raw_fd(), address) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
        Err(error) => Err(error),
    }
}

/// Whether a connection that was begun stands: `None` while it is open.
///
/// # Errors
/// Why it doesn't.
pub fn connected(fd: BorrowedFd<'_>) -> io::Result<Option<()>> {
    if poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PollTimeout::ZERO)? == 0 {
        return Ok(None);
    }
    match socket::getsockopt(&fd, sockopt::SocketError)? {
        0 => Ok(Some(())),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Lets the next connection in, if its user is `owner` or root; `None` when there is none.
///
/// # Errors
/// What `accept4` or `getsockopt` says.
pub fn admit(listener: BorrowedFd<'_>, owner: u32) -> io::Result<Option<Channel>> {
    let client = match socket::accept4(listener, FLAGS) {
        Err(Errno::EAGAIN | Errno::ECONNABORTED | Errno::EINTR) => return Ok(None),
        other => other?,
    };
    // As it was when it connected.
    let user = socket::getsockopt(&client, sockopt::PeerCredentials)?.uid();
    Ok([0, owner].contains(&user).then(|| client.into()))
}

/// Waits until one of the descriptors is readable or gone, at most so many milliseconds; which are.
///
/// # Errors
/// What `poll` says, but `EINTR`.
pub fn wait(fds: &[BorrowedFd<'_>], timeout_ms: Option<u64>) -> io::Result<Vec<bool>> {
    let entries = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN));
    let mut entries: Vec<PollFd<'_>> = entries.collect();
    let timeout = timeout_ms.map(|ms| PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
    match poll(&mut entries, timeout) {
        Err(Errno::EINTR) => Ok(vec![false; fds.len()]),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(entries.iter().map(|entry| entry.any() != Some(false)).collect()),
    }
}
