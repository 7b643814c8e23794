//! How a VM's end is told from the thread that learns of it to the one that clears up. The first word counts.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::{Exit, Fault};

/// Set once.
pub struct Ending {
    outcome: OnceLock<Result<Exit, Fault>>,
    wake: EventFd,
}

impl Ending {
    /// Not yet.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            outcome: OnceLock::new(),
            wake: EventFd::new(EFD_NONBLOCK)?,
        })
    }

    /// The VM is over; a second word is not heard.
    pub fn set(&self, outcome: Result<Exit, Fault>) {
        if self.outcome.set(outcome).is_ok() {
            // A full counter has woken the other side already.
            let _ = self.wake.write(1);
        }
    }

    /// Is it over?
    pub fn is_set(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// What was said.
    pub fn outcome(&self) -> Option<Result<Exit, Fault>> {
        self.outcome.get().cloned()
    }
}

impl AsRawFd for Ending {
    fn as_raw_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }
}
