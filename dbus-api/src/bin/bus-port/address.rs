//! Where connections come from and go to, and who is at the other end.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::str::FromStr;

use nix::errno::Errno;
use nix::libc::VMADDR_CID_ANY;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, UnixAddr, VsockAddr, sockopt};

const FLAGS: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);
/// Connections that may wait to be looked at: other guests' attempts, too, until they are turned away.
const BACKLOG: i32 = 128;

/// A socket's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `vsock:PORT`, to listen at; `vsock:CID:PORT`, to connect to.
    Vsock(u32, u32),
    /// `unix:PATH`
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("vsock", place)) => match place.split_once(':') {
                Some((cid, port)) => Ok(Self::Vsock(number(cid)?, number(port)?)),
                None => Ok(Self::Vsock(VMADDR_CID_ANY, number(place)?)),
            },
            _ => Err("an address is vsock:PORT, vsock:CID:PORT or unix:PATH".to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock(VMADDR_CID_ANY, port) => write!(out, "vsock:{port}"),
            Self::Vsock(cid, port) => write!(out, "vsock:{cid}:{port}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// Listens there. A socket file that is in the place is replaced.
    pub fn listen(&self) -> io::Result<OwnedFd> {
        if let Self::Unix(path) = self {
            let _ = std::fs::remove_file(path);
        }
        let (fd, address) = self.socket()?;
        socket::bind(fd.as_raw_fd(), &*address)?;
        socket::listen(&fd, Backlog::new(BACKLOG)?)?;
        Ok(fd)
    }

    /// Begins to connect; once it can be written to, [`connected`] says how it went.
    pub fn connect(&self) -> io::Result<OwnedFd> {
        let (fd, address) = self.socket()?;
        match socket::connect(fd.as_raw_fd(), &*address) {
            Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
            Err(error) => Err(error.into()),
        }
    }

    fn socket(&self) -> nix::Result<(OwnedFd, Box<dyn SockaddrLike>)> {
        let (family, address): (_, Box<dyn SockaddrLike>) = match self {
            Self::Vsock(cid, port) => (AddressFamily::Vsock, Box::new(VsockAddr::new(*cid, *port))),
            Self::Unix(path) => (AddressFamily::Unix, Box::new(UnixAddr::new(path)?)),
        };
        Ok((socket::socket(family, SockType::Stream, FLAGS, None)?, address))
    }

    /// Lets the next connection in, with its peer's CID or user; `None` when there is none.
    pub fn accept(&self, listener: BorrowedFd<'_>) -> io::Result<Option<(OwnedFd, u32)>> {
        let fd = match socket::accept4(listener, FLAGS) {
            Err(Errno::EAGAIN | Errno::ECONNABORTED | Errno::EINTR) => return Ok(None),
            other => other?,
        };
        let peer = match self {
            Self::Vsock(..) => socket::getpeername::<VsockAddr>(fd.as_raw_fd()).map(|peer| peer.cid()),
            Self::Unix(_) => socket::getsockopt(&fd, sockopt::PeerCredentials).map(|peer| peer.uid()),
        };
        // One that is gone already is nobody.
        Ok(Some((fd, peer.unwrap_or(u32::MAX))))
    }
}

/// Whether a connection that was begun and can be written to stands.
pub fn connected(fd: &OwnedFd) -> io::Result<()> {
    match socket::getsockopt(&fd.as_fd(), sockopt::SocketError)? {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written_and_others_are_refused() {
        for text in ["vsock:6000", "vsock:3:6000", "unix:/run/bus"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "unix:", "vsock:", "vsock:3:", "vsock:a:1", "tcp:1", "vsock:3:4:5"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
