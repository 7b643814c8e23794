//! Handles of requests to domains: 1 to 1023, in a space of their own for each peer.
//!
//! ```text
//!   free ──issue──► open ──ack, or given up──► resting ──twice the ack time-out since it was issued──► free
//! ```
//!
//! A handle rests so that an ack that comes too late can't be taken for another request's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Time;

/// Largest handle: 10 bits.
pub const LAST: u16 = 1023;

/// The handles of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handles {
    last: u16,
    /// Open ones, and those that rest: when they were issued.
    issued: BTreeMap<u16, Time>,
}

impl Handles {
    /// Forgets those that have rested, but for those that are `open`.
    pub fn rest(&mut self, now: Time, rest: Time, open: impl Fn(u16) -> bool) {
        self.issued
            .retain(|handle, at| open(*handle) || at.saturating_add(rest) > now);
    }

    /// How many could be issued now.
    pub fn free(&self) -> usize {
        usize::from(LAST).saturating_sub(self.issued.len())
    }

    /// Whether this one is open or rests.
    pub fn is_issued(&self, handle: u16) -> bool {
        self.issued.contains_key(&handle)
    }

    /// When the first of them has rested.
    pub fn next_free(&self, rest: Time) -> Option<Time> {
        self.issued.values().min().map(|at| at.saturating_add(rest))
    }

    /// The next one, `None` when all are open or rest.
    pub fn issue(&mut self, now: Time) -> Option<u16> {
        let after = self.last % LAST + 1;
        let handle = (after..=LAST)
            .chain(1..after)
            .find(|it| !self.issued.contains_key(it))?;
        self.last = handle;
        self.issued.insert(handle, now);
        Some(handle)
    }
}
