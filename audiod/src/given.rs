//! What a child process is given over its link before it starts to work.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use vhost_sound::memory::EventFd;
use vhost_sound::shared::{Block, Shared};

use crate::plan::Plan;
use crate::supervisor::LINK_FD;
use crate::supervisor::wire::{Link, Record, Thing};

/// See the module.
pub struct Given {
    /// To the supervisor.
    pub link: Link,
    /// Descriptors by role.
    pub things: BTreeMap<Thing, OwnedFd>,
    /// Guests whose memory table is complete, with its generation.
    pub tables: Vec<(u32, u32)>,
}

impl Given {
    /// Takes everything up to `AllGiven` from the inherited link.
    ///
    /// # Errors
    /// When this is no child of a supervisor, or the supervisor died.
    pub fn receive() -> io::Result<Self> {
        // SAFETY: a plain query; it fails for a number that is not open.
        if unsafe { libc::fcntl(LINK_FD, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::other("this command is for the supervisor only"));
        }
        // SAFETY: the supervisor put the link at this number for us; nobody else in this process uses it.
        let link = Link::from_fd(unsafe { OwnedFd::from_raw_fd(LINK_FD) });
        let (mut things, mut tables) = (BTreeMap::new(), Vec::new());
        while let Some((record, fd)) = link.receive()? {
            match (record, fd) {
                (Record::Have(thing), Some(fd)) => {
                    things.insert(thing, fd);
                }
                (Record::Drop(thing), _) => {
                    things.remove(&thing);
                }
                (Record::Memory(guest, generation), _) => tables.push((guest, generation)),
                (Record::AllGiven, _) => return Ok(Self { link, things, tables }),
                (Record::Have(_) | Record::Up, _) => {}
            }
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    /// Takes one out.
    ///
    /// # Errors
    /// `NotFound` when it was not given.
    pub fn take(&mut self, thing: Thing) -> io::Result<OwnedFd> {
        self.things
            .remove(&thing)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{thing:?} was not handed over")))
    }

    /// Takes an eventfd.
    ///
    /// # Errors
    /// When it was not given or is none.
    pub fn event(&mut self, thing: Thing) -> io::Result<EventFd> {
        EventFd::take(self.take(thing)?).map_err(io::Error::other)
    }

    /// Takes and maps a block that lives as long as the process.
    ///
    /// # Errors
    /// When it was not given or is no such block.
    pub fn block<T: Block>(&mut self, thing: Thing) -> io::Result<&'static T> {
        let shared = Shared::<T>::map(self.take(thing)?)?;
        Ok(&**Box::leak(Box::new(shared)))
    }

    /// The plan.
    ///
    /// # Errors
    /// When it was not given or can't be read.
    pub fn plan(&mut self) -> io::Result<Plan> {
        Plan::thaw(self.take(Thing::Plan)?)
    }
}
