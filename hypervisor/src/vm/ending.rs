//! How a VM's end is told from the thread that learns of it to the one that clears up. The first word counts.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::{Exit, Fault};
use crate::devices::lock;

/// Set once.
pub struct Ending {
    outcome: Mutex<Option<Result<Exit, Fault>>>,
    is_set: AtomicBool,
    wake: EventFd,
}

impl Ending {
    /// Not yet.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            outcome: Mutex::default(),
            is_set: AtomicBool::new(false),
            wake: EventFd::new(EFD_NONBLOCK)?,
        })
    }

    /// The VM is over; a second word is not heard.
    pub fn set(&self, outcome: Result<Exit, Fault>) {
        let mut slot = lock(&self.outcome);
        if slot.is_none() {
            *slot = Some(outcome);
            self.is_set.store(true, Ordering::Release);
            // A full counter has woken the other side already.
            let _ = self.wake.write(1);
        }
    }

    /// Is it over?
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// What was said.
    pub fn take(&self) -> Option<Result<Exit, Fault>> {
        lock(&self.outcome).take()
    }
}

impl AsRawFd for Ending {
    fn as_raw_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }
}
