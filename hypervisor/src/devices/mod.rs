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
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a thread that panicked with the lock held leaves a device whose state is its own and still bounded.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a descriptor non-blocking. Its other flags stay: a file that is appended to goes on being so.
pub(crate) fn make_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain calls on an open descriptor.
    let done = unsafe {
        let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
        flags >= 0 && libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) >= 0
    };
    done.then_some(()).ok_or_else(io::Error::last_os_error)
}
