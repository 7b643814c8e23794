//! The service thread's event loop: descriptors and who is called when one is ready.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex};

use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::devices::lock;

/// Is called on the service thread.
pub trait Handler: Send + Sync {
    /// The descriptor added with this token can be read, or its other end is gone. Must not block.
    fn ready(&self, token: u32);
}

/// A handler and its token.
type Watched = (Arc<dyn Handler>, u32);

/// One epoll descriptor.
pub struct Poller {
    epoll: Epoll,
    watched: Mutex<BTreeMap<RawFd, Watched>>,
}

impl Poller {
    /// Nothing is watched yet.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new()?,
            watched: Mutex::default(),
        })
    }

    /// Watches a descriptor; the handler is called with the token.
    ///
    /// # Errors
    /// It can't be watched (an ordinary file).
    pub fn add(&self, fd: RawFd, handler: Arc<dyn Handler>, token: u32) -> io::Result<()> {
        let event = EpollEvent::new(EventSet::IN | EventSet::READ_HANG_UP, fd as u64);
        let mut watched = lock(&self.watched);
        self.epoll.ctl(ControlOperation::Add, fd, event)?;
        watched.insert(fd, (handler, token));
        Ok(())
    }

    /// Watches it no longer; must be called before the descriptor is closed.
    pub fn remove(&self, fd: RawFd) {
        lock(&self.watched).remove(&fd);
        // It is as good as removed if it wasn't there.
        let _ = self.epoll.ctl(ControlOperation::Delete, fd, EpollEvent::default());
    }

    /// Waits for the next events and calls their handlers.
    ///
    /// # Errors
    /// The descriptor is broken.
    pub fn turn(&self) -> io::Result<()> {
        let mut events = [EpollEvent::default(); 16];
        let count = match self.epoll.wait(-1, &mut events) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        for event in &events[..count] {
            let found = lock(&self.watched).get(&(event.data() as RawFd)).cloned();
            if let Some((handler, token)) = found {
                handler.ready(token);
            }
        }
        Ok(())
    }
}
