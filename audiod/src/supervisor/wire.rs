//! How the supervisor and its children talk: fixed-size records over a `SOCK_SEQPACKET` pair, at most one descriptor each.
//!
//! A record is four little-endian words: verb, thing, index, sub-index. Nothing in it is parsed beyond that.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;

use vmm_sys_util::sock_ctrl_msg::ScmSocket;

/// A descriptor that outlives its users, by role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// The plan (JSON of the resolved system, sealed).
    Plan,
    /// The policy's saved state.
    Saved,
    /// Engine block of a codec.
    Engine(u32),
    /// Chime bank of a codec.
    ChimeBank(u32),
    /// Simulated card of a codec.
    Card(u32),
    /// Device block of a guest.
    Device(u32),
    /// Listening vhost-user socket of a guest.
    Listener(u32),
    /// Accepted vhost-user connection of a guest.
    Connection(u32),
    /// Memory region of a guest: guest, region.
    Region(u32, u32),
    /// Kick eventfd: guest, queue.
    Kick(u32, u32),
    /// Call eventfd: guest, queue.
    Call(u32, u32),
    /// Error eventfd: guest, queue.
    Err(u32, u32),
    /// Memory of a guest that is in another VM.
    Window(u32),
    /// Doorbell of such a guest, standing at the word of a queue: guest, queue.
    Bell(u32, u32),
    /// The folder of the file, for a reload.
    FileFolder,
    /// The folder that the state is kept in.
    StateFolder,
    /// The text that a reload put in place of the plan's, sealed.
    Text,
    /// The eventfd by which the engine wakes control.
    Rouse,
}

impl Thing {
    fn words(self) -> [u32; 3] {
        match self {
            Self::Plan => [0, 0, 0],
            Self::Saved => [1, 0, 0],
            Self::Engine(index) => [2, index, 0],
            Self::ChimeBank(index) => [3, index, 0],
            Self::Card(index) => [4, index, 0],
            Self::Device(guest) => [5, guest, 0],
            Self::Listener(guest) => [6, guest, 0],
            Self::Connection(guest) => [7, guest, 0],
            Self::Region(guest, region) => [8, guest, region],
            Self::Kick(guest, queue) => [9, guest, queue],
            Self::Call(guest, queue) => [10, guest, queue],
            Self::Err(guest, queue) => [11, guest, queue],
            Self::FileFolder => [12, 0, 0],
            Self::StateFolder => [13, 0, 0],
            Self::Text => [14, 0, 0],
            Self::Window(guest) => [15, guest, 0],
            Self::Bell(guest, queue) => [16, guest, queue],
            Self::Rouse => [17, 0, 0],
        }
    }

    /// `tag.index.sub`, as it stands on a command line.
    pub fn to_text(self) -> String {
        let [tag, index, sub] = self.words();
        format!("{tag}.{index}.{sub}")
    }

    /// Reads [`Self::to_text`] back.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = [0; 3];
        let mut parts = text.split('.');
        for word in &mut words {
            *word = parts.next()?.parse().ok()?;
        }
        if parts.next().is_some() {
            None
        } else {
            Self::from_words(words)
        }
    }

    fn from_words(words: [u32; 3]) -> Option<Self> {
        let [tag, index, sub] = words;
        Some(match tag {
            0 => Self::Plan,
            1 => Self::Saved,
            2 => Self::Engine(index),
            3 => Self::ChimeBank(index),
            4 => Self::Card(index),
            5 => Self::Device(index),
            6 => Self::Listener(index),
            7 => Self::Connection(index),
            8 => Self::Region(index, sub),
            9 => Self::Kick(index, sub),
            10 => Self::Call(index, sub),
            11 => Self::Err(index, sub),
            12 => Self::FileFolder,
            13 => Self::StateFolder,
            14 => Self::Text,
            15 => Self::Window(index),
            16 => Self::Bell(index, sub),
            17 => Self::Rouse,
            _ => return None,
        })
    }
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// With a descriptor. From a child: keep it. To a child: here it is.
    Have(Thing),
    /// Forget it.
    Drop(Thing),
    /// Everything kept so far was handed over.
    AllGiven,
    /// Guest's memory table of this generation is complete: guest, `mem_gen`.
    Memory(u32, u32),
    /// The child has finished its set-up.
    Up,
}

const BYTES: usize = 16;

impl Record {
    fn encode(self) -> [u8; BYTES] {
        let words = match self {
            Self::Have(thing) => with_verb(1, thing.words()),
            Self::Drop(thing) => with_verb(2, thing.words()),
            Self::AllGiven => [3, 0, 0, 0],
            Self::Memory(guest, generation) => [4, guest, generation, 0],
            Self::Up => [5, 0, 0, 0],
        };
        let mut bytes = [0; BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut words = [0_u32; 4];
        if bytes.len() != BYTES {
            return None;
        }
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes(chunk.try_into().ok()?);
        }
        let [verb, first, second, third] = words;
        Some(match verb {
            1 => Self::Have(Thing::from_words([first, second, third])?),
            2 => Self::Drop(Thing::from_words([first, second, third])?),
            3 => Self::AllGiven,
            4 => Self::Memory(first, second),
            5 => Self::Up,
            _ => return None,
        })
    }
}

fn with_verb(verb: u32, rest: [u32; 3]) -> [u32; 4] {
    [verb, rest[0], rest[1], rest[2]]
}

/// One end of a pair.
pub struct Link(UnixDatagram);

impl Link {
    /// A connected pair; both ends close on exec.
    ///
    /// # Errors
    /// What `socketpair` says.
    pub fn pair() -> io::Result<(Self, Self)> {
        let mut ends = [-1; 2];
        // SAFETY: `ends` is two writable ints.
        let made = unsafe {
            libc::socketpair(
                libc::AF_UNIX,
                libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC,
                0,
                ends.as_mut_ptr(),
            )
        };
        if made < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: two fresh descriptors nobody else owns.
        let [left, right] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        Ok((Self(left.into()), Self(right.into())))
    }

    /// Takes over an inherited end.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    /// Makes `send` and `receive` return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// What `fcntl` says.
    pub fn set_nonblocking(&self, yes: bool) -> io::Result<()> {
        self.0.set_nonblocking(yes)
    }

    /// Sends a record, with a descriptor if there is one.
    ///
    /// # Errors
    /// `WouldBlock` on a full non-blocking socket, `BrokenPipe` when the other end is gone.
    pub fn send(&self, record: Record, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = record.encode();
        let fds: Vec<RawFd> = fd.iter().map(AsRawFd::as_raw_fd).collect();
        self.0.send_with_fds(&[&bytes[..]], &fds).map_err(io::Error::from)?;
        Ok(())
    }

    /// Receives the next record; `None` when the other end is gone.
    ///
    /// # Errors
    /// `WouldBlock`, or `InvalidData` for anything that is not a record.
    pub fn receive(&self) -> io::Result<Option<(Record, Option<OwnedFd>)>> {
        let mut bytes = [0_u8; BYTES];
        let mut fds = [-1; 1];
        let mut parts = [libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        }];
        // SAFETY: the iovec covers `bytes`, which outlives the call.
        let (got, fd_count) = unsafe { self.0.recv_with_fds(&mut parts, &mut fds) }.map_err(io::Error::from)?;
        // SAFETY: the kernel just installed this descriptor for us alone.
        let fd = (fd_count == 1).then(|| unsafe { OwnedFd::from_raw_fd(fds[0]) });
        if got == 0 {
            return Ok(None);
        }
        match Record::decode(&bytes[..got]) {
            Some(record) => Ok(Some((record, fd))),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "not a record")),
        }
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn every_record_survives_the_wire() {
        let things = [
            Thing::Plan,
            Thing::Engine(1),
            Thing::Region(3, 7),
            Thing::Call(2, 3),
            Thing::Connection(9),
            Thing::FileFolder,
            Thing::StateFolder,
            Thing::Text,
            Thing::Rouse,
        ];
        let records = things.map(Record::Have).into_iter().chain(things.map(Record::Drop));
        for record in records.chain([Record::AllGiven, Record::Memory(4, 5), Record::Up]) {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn a_descriptor_travels_with_its_record() {
        let (left, right) = Link::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        left.send(Record::Have(Thing::Plan), Some(file.as_fd())).unwrap();
        let (record, fd) = right.receive().unwrap().unwrap();
        assert_eq!(record, Record::Have(Thing::Plan));
        assert!(fd.is_some());
    }

    #[test]
    fn a_closed_end_reads_as_none() {
        let (left, right) = Link::pair().unwrap();
        drop(left);
        assert!(right.receive().unwrap().is_none());
    }
}
