//! Every store the engine makes into the block or into guest memory goes through here.
//!
//! The order of these stores is what makes a kill at any instruction recoverable (see `journal`), so block stores are
//! `Release`, and tests can stop the engine before any one of them ([`crash`]).

use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use vm_memory::Bytes;

use crate::memory::GuestMemory;

#[cfg(any(test, feature = "testing"))]
pub mod crash {
    //! Stops the engine in mid-period, as `kill -9` would, for tests.

    use std::cell::Cell;

    thread_local! {
        static STORES_LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    }

    /// What [`run`] found.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Outcome {
        /// The code ran to its end.
        Finished,
        /// It was stopped before one of its stores.
        Killed,
    }

    struct Kill;

    /// Runs `work`, stopping it before store number `stores` (0 = before the first). A stop unwinds: what `work` borrowed
    /// is as the kill left it, and must be thrown away as a dead process's memory is.
    pub fn run(stores: u64, work: impl FnOnce()) -> Outcome {
        STORES_LEFT.set(stores);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        STORES_LEFT.set(u64::MAX);
        match result {
            Ok(()) => Outcome::Finished,
            Err(payload) if payload.is::<Kill>() => Outcome::Killed,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    pub(crate) fn point() {
        let left = STORES_LEFT.get();
        if left == 0 {
            STORES_LEFT.set(u64::MAX);
            std::panic::resume_unwind(Box::new(Kill));
        }
        if left != u64::MAX {
            STORES_LEFT.set(left - 1);
        }
    }
}

#[inline]
pub(crate) fn crash_point() {
    #[cfg(any(test, feature = "testing"))]
    crash::point();
}

pub(crate) fn put32(cell: &AtomicU32, value: u32) {
    crash_point();
    cell.store(value, Release);
}

pub(crate) fn put64(cell: &AtomicU64, value: u64) {
    crash_point();
    cell.store(value, Release);
}

/// Adds to a counter that only the engine writes.
pub(crate) fn count32(cell: &AtomicU32) {
    put32(cell, cell.load(Acquire).wrapping_add(1));
}

/// As [`count32`].
pub(crate) fn add64(cell: &AtomicU64, more: u64) {
    put64(cell, cell.load(Acquire).wrapping_add(more));
}

/// Copies out of guest memory; false when some of it is outside.
pub(crate) fn guest_read(memory: &GuestMemory, gpa: u64, into: &mut [u8]) -> bool {
    let (mut at, mut done) = (gpa, 0);
    while done < into.len() {
        let Some(run) = memory.physical(at, into.len() - done) else {
            return false;
        };
        let len = run.len();
        if run.read_slice(&mut into[done..done + len], 0).is_err() {
            return false;
        }
        done += len;
        at = at.wrapping_add(len as u64);
    }
    true
}

/// Copies into guest memory; false when some of it is outside.
pub(crate) fn guest_write(memory: &GuestMemory, gpa: u64, from: &[u8]) -> bool {
    crash_point();
    let (mut at, mut done) = (gpa, 0);
    while done < from.len() {
        let Some(run) = memory.physical(at, from.len() - done) else {
            return false;
        };
        let len = run.len();
        if run.write_slice(&from[done..done + len], 0).is_err() {
            return false;
        }
        done += len;
        at = at.wrapping_add(len as u64);
    }
    true
}
