//! Our end of the bus's socket. As zbus would have it, with two differences that a busy bus is full of:
//!
//! * It is watched for what comes alone. Watched for room as well, a thread that waits for its next call is woken each time that the
//!   bus has read the last answer.
//! * What came is read at once, as much as there is, and a read that leaves room in the buffer was the last: no other is made to
//!   learn that there is no more.
//!
//! No descriptors are passed: no call has any.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zbus::Message;
use zbus::address::Address;
use zbus::address::transport::{Transport, UnixSocket};
use zbus::connection::Builder;
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;

use super::BusAddress;

/// Read at once; more than most messages have.
const BUFFER: usize = 16 << 10;

/// A connection to be made.
///
/// # Errors
/// The address is none, or its socket can't be connected to.
pub(super) async fn builder(address: &BusAddress) -> zbus::Result<Builder<'static>> {
    let address: Address = match address {
        BusAddress::Session => Address::session()?,
        BusAddress::System => Address::system()?,
        BusAddress::At(address) => address.as_str().try_into()?,
    };
    let Some(path) = path(&address) else {
        return Ok(Builder::address(address));
    };
    let stream = tokio::net::UnixStream::connect(path).await?;
    Ok(Builder::socket(Stream(stream.into_std()?)))
}

/// Where the address's socket is, if it is a UNIX socket's; an abstract name begins with a zero.
fn path(address: &Address) -> Option<PathBuf> {
    let Transport::Unix(unix) = address.transport() else {
        return None;
    };
    match unix.path() {
        UnixSocket::File(path) => Some(path.clone()),
        UnixSocket::Abstract(name) => {
            let bytes = [b"\0", name.as_bytes()].concat();
            Some(OsStr::from_bytes(&bytes).into())
        }
        _ => None,
    }
}

/// See the module; without blocking.
#[derive(Debug)]
struct Stream(UnixStream);

impl Socket for Stream {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let copy = self.0.try_clone();
        let reader = Reader {
            stream: watch(self.0, Interest::READABLE),
            buffer: vec![0; BUFFER].into(),
            filled: 0..0,
        };
        Split::new(reader, Writer(copy))
    }
}

fn watch(stream: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: the stream is owned by the `AsyncFd` and names the same descriptor until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(stream, interest) }?)
}

/// An error that is told with each use.
fn told<T>(result: &io::Result<T>) -> io::Result<&T> {
    result
        .as_ref()
        .map_err(|error| io::Error::new(error.kind(), error.to_string()))
}

#[derive(Debug)]
struct Reader {
    stream: io::Result<AsyncFd<UnixStream>>,
    buffer: Box<[u8]>,
    /// What of the buffer came and was not taken.
    filled: std::ops::Range<usize>,
}

impl Reader {
    async fn fill(&mut self) -> io::Result<()> {
        let stream = told(&self.stream)?;
        loop {
            let mut ready = stream.readable().await?;
            let read = match ready.try_io(|stream| stream.get_ref().read(&mut self.buffer)) {
                Ok(read) => read?,
                Err(_nothing_yet) => continue,
            };
            if read == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if read < self.buffer.len() {
                // That was all; what comes from now on wakes again (epoll(7), edge-triggered).
                ready.clear_ready();
            }
            self.filled = 0..read;
            return Ok(());
        }
    }
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, into: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        if self.filled.is_empty() {
            self.fill().await?;
        }
        let count = into.len().min(self.filled.len());
        into[..count].copy_from_slice(&self.buffer[self.filled.start..][..count]);
        self.filled.start += count;
        Ok((count, Vec::new()))
    }
}

#[derive(Debug)]
struct Writer(io::Result<UnixStream>);

impl Writer {
    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut stream = told(&self.0)?;
        while !bytes.is_empty() {
            match stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => room(stream).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Until there is room: watched for it only now.
async fn room(stream: &UnixStream) -> io::Result<()> {
    let watched = watch(stream.try_clone()?, Interest::WRITABLE)?;
    watched.writable().await?.retain_ready();
    Ok(())
}

#[async_trait]
impl WriteHalf for Writer {
    async fn send_messages(&mut self, messages: &[Message]) -> zbus::Result<()> {
        match messages {
            [one] => self.write(one.data().bytes()).await?,
            all => {
                let bytes: Vec<u8> = all.iter().flat_map(|it| it.data().bytes()).copied().collect();
                self.write(&bytes).await?;
            }
        }
        Ok(())
    }

    async fn sendmsg(&mut self, bytes: &[u8], _none: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.write(bytes).await?;
        Ok(bytes.len())
    }

    async fn close(&mut self) -> io::Result<()> {
        told(&self.0)?.shutdown(Shutdown::Both)
    }
}
