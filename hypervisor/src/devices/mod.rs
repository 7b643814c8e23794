//! Devices. Whatever the guest writes to them is hostile: every offset, length and value has an answer.

pub mod doorbell;
pub mod panic;
pub mod pci;
pub mod ports;
pub mod power;
pub mod serial;
pub mod virtio;
pub mod watchdog;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Locks; a thread that panicked with the lock held leaves a device whose state is its own and still bounded.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a descriptor non-blocking. Its other flags stay: a file that is appended to goes on being so.
pub(crate) fn make_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
