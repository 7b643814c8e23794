//! Devices. Whatever the guest writes to them is hostile: every offset, length and value has an answer.

pub mod doorbell;
pub mod panic;
pub mod pci;
pub mod ports;
pub mod power;
pub mod serial;
pub mod virtio;
pub mod watchdog;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a thread that panicked with the lock held leaves a device whose state is its own and still bounded.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
