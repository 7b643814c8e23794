//! What is to be written next, and when; no clock, no disk. Times are since any fixed moment.

use std::time::Duration;

/// Changes are gathered this long at most; with what writing takes, up to 100 ms, less than 500 ms are ever lost.
pub(super) const GATHER: Duration = Duration::from_millis(350);
/// After a failure the same is tried again so much later.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Slot {
    next: Option<Vec<u8>>,
    /// When it is to be written at the latest.
    due: Option<Duration>,
    pub(super) ending: bool,
}

/// What the writer does now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Waits so long, or until something is offered; `None`: only for that.
    Wait(Option<Duration>),
    /// Writes this.
    Write(Vec<u8>),
    /// Writes what is left, and ends.
    End(Option<Vec<u8>>),
}

impl Slot {
    /// Has this written, unless something newer comes: at the latest when the oldest change that is not written is [`GATHER`] old.
    pub(super) fn offer(&mut self, body: Vec<u8>, now: Duration) {
        self.next = Some(body);
        let latest = now + GATHER;
        self.due = Some(self.due.map_or(latest, |due| due.min(latest)));
    }

    /// It could not be written: tried again, unless there is something newer by now.
    pub(super) fn put_back(&mut self, body: Vec<u8>, now: Duration) {
        if self.next.is_none() {
            self.next = Some(body);
            self.due = Some(now + AGAIN);
        }
    }

    pub(super) fn turn(&mut self, now: Duration) -> Turn {
        if self.ending {
            return Turn::End(self.next.take());
        }
        let wait = self.due.map(|due| due.saturating_sub(now));
        match self.next.take_if(|_| wait.is_some_and(|wait| wait.is_zero())) {
            Some(body) => {
                self.due = None;
                Turn::Write(body)
            }
            None => Turn::Wait(wait),
        }
    }
}
