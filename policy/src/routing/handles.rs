//! Handles of requests to domains: 1 to 1023, in a space of their own for each peer.
//!
//! ```text
//!   free ──issue──► open ──ack, or given up──► resting ──twice the ack time-out since it was issued──► free
//! ```
//!
//! A handle rests so that an ack that comes too late can't be taken for another request's. Those that follow each other within [`GRAIN_MS`]
//! rest until the last of them has: what is remembered of a busy domain's is a few runs, not hundreds of times.

use serde::{Deserialize, Serialize};

use crate::Time;

/// Largest handle: 10 bits.
pub const LAST: u16 = 1023;
/// Issued within this time of each other, handles are one run, ms.
const GRAIN_MS: Time = 16;

/// The handles of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handles {
    last: u16,
    /// Open ones, and those that rest; no handle is in two.
    issued: Vec<Run>,
}

/// Handles that were issued one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    first: u16,
    last: u16,
    /// When the first was.
    since: Time,
    /// When the last was.
    until: Time,
}

impl Run {
    fn of(handle: u16, at: Time) -> Self {
        Self {
            first: handle,
            last: handle,
            since: at,
            until: at,
        }
    }

    fn has_rested(&self, now: Time, rest: Time) -> bool {
        self.until.saturating_add(rest) <= now
    }

    /// Those of it for which this is so, each by itself.
    fn only(self, is: impl Fn(u16) -> bool) -> impl Iterator<Item = Self> {
        let handles = (self.first..=self.last).filter(move |it| is(*it));
        handles.map(move |it| Self {
            first: it,
            last: it,
            ..self
        })
    }
}

impl Handles {
    /// Forgets those that have rested, but for those that are `open`.
    pub fn rest(&mut self, now: Time, rest: Time, open: impl Fn(u16) -> bool) {
        if !self.issued.iter().any(|run| run.has_rested(now, rest)) {
            return;
        }
        let (rested, mut left): (Vec<Run>, Vec<Run>) = self.issued.iter().partition(|run| run.has_rested(now, rest));
        left.splice(0..0, rested.into_iter().flat_map(|run| run.only(&open)));
        self.issued = left;
    }

    /// How many could be issued now.
    pub fn free(&self) -> usize {
        let issued = self
            .issued
            .iter()
            .map(|run| usize::from(run.last.saturating_sub(run.first)) + 1);
        usize::from(LAST).saturating_sub(issued.sum())
    }

    /// When the first of them has rested.
    pub fn next_free(&self, rest: Time) -> Option<Time> {
        self.issued.iter().map(|run| run.until.saturating_add(rest)).min()
    }

    /// The next one, `None` when all are open or rest.
    pub fn issue(&mut self, now: Time) -> Option<u16> {
        let after = self.last % LAST + 1;
        let is_issued = |it: u16| self.issued.iter().any(|run| (run.first..=run.last).contains(&it));
        let handle = (after..=LAST).chain(1..after).find(|it| !is_issued(*it))?;
        let newest = self.issued.last_mut();
        match newest.filter(|run| run.last.checked_add(1) == Some(handle) && now.saturating_sub(run.since) < GRAIN_MS) {
            Some(run) => (run.last, run.until) = (handle, now),
            None => self.issued.push(Run::of(handle, now)),
        }
        self.last = handle;
        Some(handle)
    }
}
