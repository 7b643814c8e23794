//! The service thread's event loop: descriptors and who is called when one is ready.

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

/// One epoll descriptor.
pub struct Poller {
    epoll: Epoll,
    handlers: Mutex<Vec<Arc<dyn Handler>>>,
}

/// A handler's number.
#[derive(Clone, Copy, Debug)]
pub struct HandlerId(u32);

impl Poller {
    /// Nothing is watched yet.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new()?,
            handlers: Mutex::default(),
        })
    }

    /// Makes a handler known; at set-up only, it stays.
    pub fn register(&self, handler: Arc<dyn Handler>) -> HandlerId {
        let mut handlers = lock(&self.handlers);
        handlers.push(handler);
        HandlerId(u32::try_from(handlers.len() - 1).unwrap_or(u32::MAX))
    }

    /// Watches a descriptor.
    ///
    /// # Errors
    /// It can't be watched (an ordinary file).
    pub fn add(&self, fd: RawFd, handler: HandlerId, token: u32) -> io::Result<()> {
        let data = u64::from(handler.0) << 32 | u64::from(token);
        self.epoll.ctl(
            ControlOperation::Add,
            fd,
            EpollEvent::new(EventSet::IN | EventSet::READ_HANG_UP, data),
        )
    }

    /// Watches it no longer; must be called before the descriptor is closed.
    pub fn remove(&self, fd: RawFd) {
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
            let index = (event.data() >> 32) as usize;
            let handler = lock(&self.handlers).get(index).cloned();
            if let Some(handler) = handler {
                handler.ready(event.data() as u32);
            }
        }
        Ok(())
    }
}
