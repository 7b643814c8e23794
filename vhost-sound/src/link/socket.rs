//! The connection: messages are looked at where they lie and taken off when they are done with.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::GuestLink;
use super::message::{HEADER, MAX_FDS, MAX_PAYLOAD, Message, ParseError, payload_bytes};

/// The oldest message.
pub enum Peeked {
    /// All of it, with its descriptors.
    Whole {
        /// What it says.
        message: Message,
        /// Duplicates of its descriptors.
        fds: Vec<OwnedFd>,
        /// Bytes it takes on the socket.
        len: usize,
        /// Bytes behind it: the sender went on, so it had its answer.
        more: bool,
    },
    /// Some of it; the rest may come.
    Half,
    /// None.
    Nothing,
    /// The peer is gone.
    Closed,
    /// Something that is no message.
    Malformed(ParseError),
    /// The socket or the descriptors failed.
    Failed(String),
}

/// A connection, non-blocking.
pub struct Socket(OwnedFd);

/// Room for `MAX_FDS` descriptors and one more, so that too many are seen as such.
const CONTROL_BYTES: usize = 256;

impl Socket {
    /// Takes a connected stream socket.
    ///
    /// # Errors
    /// What `fcntl` says.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        set_nonblocking(fd.as_fd())?;
        Ok(Self(fd))
    }

    /// Takes the next connection off a listening socket; `None` when there is none.
    ///
    /// # Errors
    /// What `accept4` says.
    pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: a valid descriptor; no address is asked for.
        let fd = unsafe { libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags) };
        if fd >= 0 {
            // SAFETY: a fresh descriptor that nobody else owns.
            return Ok(Some(Self(unsafe { OwnedFd::from_raw_fd(fd) })));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // Gone again before we looked, or nobody there.
            Some(libc::EAGAIN | libc::ECONNABORTED | libc::EINTR) => Ok(None),
            _ => Err(error),
        }
    }

    /// Looks at these bytes, and only if asked for at their descriptors: the kernel hands those of the first bytes that carry
    /// some, even if they lie behind what is looked at. Fewer bytes: no more are there yet.
    fn look_at(&self, into: &mut [u8], mut fds: Option<&mut Vec<OwnedFd>>) -> io::Result<usize> {
        let mut from = 0;
        while from < into.len() {
            // A look ends at bytes with descriptors; the next begins behind them.
            if from > 0 {
                self.peek_from(from as libc::c_int)?;
            }
            let got = self.look(&mut into[from..], fds.as_deref_mut());
            if from > 0 {
                self.peek_from(-1)?;
            }
            match got {
                Ok(0) => break,
                Ok(got) => from += got,
                Err(error) if from > 0 && error.raw_os_error() == Some(libc::EAGAIN) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(from)
    }

    /// `MSG_PEEK`; with `fds`, duplicates of the descriptors that lie at these bytes are appended.
    fn look(&self, into: &mut [u8], fds: Option<&mut Vec<OwnedFd>>) -> io::Result<usize> {
        #[repr(align(8))]
        struct Control([u8; CONTROL_BYTES]);
        let mut control = Control([0; CONTROL_BYTES]);
        let mut part = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: into.len(),
        };
        // SAFETY: an all-zero msghdr is valid.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &mut part;
        header.msg_iovlen = 1;
        if fds.is_some() {
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES;
        }
        let flags = libc::MSG_PEEK | libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
        // SAFETY: the header points at a writable part and control buffer that outlive the call.
        let got = unsafe { libc::recvmsg(self.0.as_raw_fd(), &mut header, flags) };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        if let Some(fds) = fds {
            // SAFETY: the kernel filled `header` and its control buffer, which is still there.
            unsafe { take_descriptors(&header, fds) };
            if fds.len() > MAX_FDS || header.msg_flags & libc::MSG_CTRUNC != 0 {
                return Err(io::Error::other(format!(
                    "more than {MAX_FDS} descriptors in a message, or more than this process may hold"
                )));
            }
        }
        Ok(got as usize)
    }

    fn peek_from(&self, offset: libc::c_int) -> io::Result<()> {
        // SAFETY: an option that takes one int.
        let rc = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEEK_OFF,
                std::ptr::from_ref(&offset).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if rc < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Bytes that have arrived.
    fn waiting(&self) -> usize {
        self.count(libc::FIONREAD)
    }

    fn count(&self, request: libc::Ioctl) -> usize {
        let mut count: libc::c_int = 0;
        // SAFETY: both requests write one int.
        let rc = unsafe { libc::ioctl(self.0.as_raw_fd(), request, &mut count) };
        if rc < 0 { 0 } else { usize::try_from(count).unwrap_or(0) }
    }

    /// `MSG_PEEK` at bytes that carry no descriptors.
    pub(super) fn glance(&self, into: &mut [u8]) -> io::Result<usize> {
        self.look(into, None)
    }

    /// Half a message is there; will the rest ever come?
    pub(super) fn half(&self) -> Peeked {
        let mut entry = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLRDHUP,
            revents: 0,
        };
        // SAFETY: one valid pollfd, no waiting.
        let ready = unsafe { libc::poll(&mut entry, 1, 0) };
        if ready > 0 { Peeked::Closed } else { Peeked::Half }
    }
}

impl GuestLink for Socket {
    fn peek(&self) -> Peeked {
        let mut bytes = [0; HEADER + MAX_PAYLOAD];
        let header = match self.look_at(&mut bytes[..HEADER], None) {
            Ok(0) => return Peeked::Closed,
            Ok(got) => got,
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return Peeked::Nothing,
            Err(error) => return Peeked::Failed(error.to_string()),
        };
        let size = match payload_bytes(&bytes[..header]) {
            Ok(Some(size)) => size,
            Ok(None) => return self.half(),
            Err(error) => return Peeked::Malformed(error),
        };
        let len = HEADER + size;
        match self.look_at(&mut bytes[..len], None) {
            Ok(got) if got == len => {}
            Ok(_) => return self.half(),
            Err(error) => return Peeked::Failed(error.to_string()),
        }
        let message = match Message::parse(&bytes[..len]) {
            Ok(message) => message,
            Err(error) => return Peeked::Malformed(error),
        };
        let mut fds = Vec::new();
        if message.request.descriptors() > 0
            && let Err(error) = self.look_at(&mut bytes[..len], Some(&mut fds))
        {
            return Peeked::Failed(error.to_string());
        }
        if let Err(error) = message.came_with(fds.len()) {
            return Peeked::Malformed(error);
        }
        Peeked::Whole {
            message,
            fds,
            len,
            more: self.waiting() > len,
        }
    }

    fn take(&self, len: usize) -> io::Result<()> {
        let mut bytes = [0; HEADER + MAX_PAYLOAD];
        let mut left = len.min(bytes.len());
        while left > 0 {
            // SAFETY: `left` writable bytes; without a control buffer the kernel closes the descriptors.
            let got = unsafe { libc::recv(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), left, libc::MSG_DONTWAIT) };
            match usize::try_from(got) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => left -= got,
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> io::Result<bool> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: readable bytes. A stream socket of this family takes so few bytes at once or not at all.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
        match usize::try_from(sent) {
            Ok(sent) if sent == bytes.len() => Ok(true),
            Ok(_) => Err(io::ErrorKind::WriteZero.into()),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.raw_os_error() == Some(libc::EAGAIN) {
                    Ok(false)
                } else {
                    Err(error)
                }
            }
        }
    }

    fn unread(&self) -> bool {
        self.count(libc::TIOCOUTQ) > 0
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0
    }
}

/// # Safety
/// `header` was filled by `recvmsg` and its control buffer is alive.
unsafe fn take_descriptors(header: &libc::msghdr, fds: &mut Vec<OwnedFd>) {
    // SAFETY: by the contract of this function; the macros stay inside the control buffer.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !at.is_null() {
        // SAFETY: `at` is a header inside the control buffer.
        let (level, kind, len) = unsafe { ((*at).cmsg_level, (*at).cmsg_type, (*at).cmsg_len) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            // SAFETY: plain arithmetic.
            let lead = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = len.saturating_sub(lead) / size_of::<libc::c_int>();
            // SAFETY: as above.
            let data = unsafe { libc::CMSG_DATA(at) };
            for n in 0..count {
                // SAFETY: the kernel wrote `count` descriptors there, installed for us alone.
                fds.push(unsafe {
                    let raw = data
                        .add(n * size_of::<libc::c_int>())
                        .cast::<libc::c_int>()
                        .read_unaligned();
                    OwnedFd::from_raw_fd(raw)
                });
            }
        }
        // SAFETY: as above.
        at = unsafe { libc::CMSG_NXTHDR(header, at) };
    }
}

/// Sets `O_NONBLOCK`.
///
/// # Errors
/// What `fcntl` says.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain calls on a valid descriptor.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    // SAFETY: as above.
    if flags < 0 || unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
