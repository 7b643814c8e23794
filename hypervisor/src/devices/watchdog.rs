//! The watchdog of bare-metal partitions: one 32-bit port.
//!
//! ```text
//!            write ms > 0            time over
//! off ─────────────────────► armed ───────────► the VM ends as "watchdog"
//!  ▲                          │ ▲ write ms > 0: armed anew
//!  └────────── write 0 ───────┘─┘
//! ```
//! Read: milliseconds of the last write, 0 when off.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vmm_sys_util::timerfd::TimerFd;

use super::lock;
use crate::vm::Exit;
use crate::vm::bus::Registers;
use crate::vm::ending::Ending;
use crate::vm::poller::Handler;

/// The port.
pub const PORT: u16 = 0x510;

/// The port's device.
pub struct Watchdog {
    ending: Arc<Ending>,
    state: Mutex<State>,
    fd: RawFd,
}

struct State {
    timer: TimerFd,
    milliseconds: u32,
}

impl Watchdog {
    /// Off.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn new(ending: Arc<Ending>) -> io::Result<Self> {
        let timer = TimerFd::new()?;
        let fd = timer.as_raw_fd();
        Ok(Self {
            ending,
            state: Mutex::new(State { timer, milliseconds: 0 }),
            fd,
        })
    }
}

impl AsRawFd for Watchdog {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

impl Registers for Watchdog {
    fn read(&self, offset: u64, data: &mut [u8]) {
        if offset == 0 && data.len() == 4 {
            data.copy_from_slice(&lock(&self.state).milliseconds.to_le_bytes());
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let Ok(bytes) = data.try_into() else { return };
        if offset != 0 {
            return;
        }
        let mut state = lock(&self.state);
        state.milliseconds = u32::from_le_bytes(bytes);
        let time = Duration::from_millis(state.milliseconds.into());
        let set = if time.is_zero() {
            state.timer.clear()
        } else {
            state.timer.reset(time, None)
        };
        if let Err(e) = set {
            self.ending
                .set(Err(crate::vm::Fault::runtime(format!("watchdog: {e}"))));
        }
    }
}

impl Handler for Watchdog {
    fn ready(&self, _token: u32) {
        let mut state = lock(&self.state);
        // The guest may have written between the event and this lock.
        if state.milliseconds != 0 && state.timer.is_armed().is_ok_and(|armed| !armed) {
            state.milliseconds = 0;
            self.ending.set(Ok(Exit::Watchdog));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::poller::Poller;

    #[test]
    fn a_guest_that_stops_writing_is_given_up_and_one_that_says_0_is_not() {
        let ending = Arc::new(Ending::new().unwrap());
        let device = Arc::new(Watchdog::new(Arc::clone(&ending)).unwrap());
        let poller = Poller::new().unwrap();
        poller.add(device.as_raw_fd(), device.clone(), 0).unwrap();

        device.write(0, &1_u32.to_le_bytes());
        device.write(0, &0_u32.to_le_bytes());
        device.ready(0);
        assert!(!ending.is_set());

        device.write(0, &1_u32.to_le_bytes());
        poller.turn().unwrap();
        assert_eq!(ending.outcome().unwrap().unwrap(), Exit::Watchdog);
    }
}
