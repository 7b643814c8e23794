//! The stock driver sees no full lap.
//!
//! Linux learns from an interrupt *that* messages completed and moves its position by their number modulo the buffer. Did
//! all of a buffer complete between two of its looks, it sees no movement and the player gets EIO. So the bytes completed
//! and possibly not yet seen never add up to the whole buffer; the message that would is held back (a gap, so an xrun).
//!
//! What the driver has seen is judged by two signs, each only ever too low:
//! * `used_event`: Linux writes its own used index there after taking a message. It counts only when it *changed* since we
//!   last looked and then lies between what was seen and what was published: a stale word or one set ahead never does.
//! * the avail ring: nobody queues a buffer twice, so unseen + queued ≤ buffer.
//!
//! A driver that shows neither gets its last message after about one more buffer time ([`Hold`]), or draining would hang.

use crate::block::{MAX_QUEUE, MAX_STREAMS};

/// Periods after which a held message goes out though nobody asks the stream for bytes.
const HOLD_PERIODS: u32 = 4096;

/// One stream's account. All counts are bytes and only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    completed: u64,
    seen: u64,
    /// `completed` when this engine took over; seen with the queue's `Sight::inherited`.
    inherited: u64,
}

impl Account {
    /// A predecessor completed an unknown number of messages: as many as can be.
    pub(super) fn inherit(&mut self, queued: u64, buffer: u64) {
        self.completed = buffer.saturating_sub(queued);
        self.inherited = self.completed;
        self.seen = 0;
    }

    /// PREPARE: everything before was returned and waited for.
    pub(super) fn restart(&mut self) {
        self.seen = self.completed;
    }

    pub(super) fn complete(&mut self, bytes: u32) -> u64 {
        self.completed += u64::from(bytes);
        self.completed
    }

    /// Whether a message of `bytes` may complete, with `queued` bytes (itself included) in the FIFO.
    pub(super) fn may_complete(&mut self, bytes: u32, queued: u64, buffer: u64) -> bool {
        self.seen = self
            .seen
            .max((self.completed + queued).saturating_sub(buffer).min(self.completed));
        let unseen = self.completed - self.seen;
        buffer == 0 || unseen == 0 || unseen + u64::from(bytes) < buffer
    }
}

/// A message held back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hold {
    /// Bytes asked for meanwhile.
    pub asked: u64,
    /// Periods gone by meanwhile.
    pub periods: u32,
}

impl Hold {
    /// Whether it has lasted about one buffer.
    pub(super) fn over(&self, buffer: u64) -> bool {
        self.asked >= buffer || self.periods >= HOLD_PERIODS
    }
}

#[derive(Clone, Copy, Default)]
struct Record {
    stream: u8,
    completed: u64,
}

/// What one queue's driver has shown of its used index.
pub(super) struct Sight {
    /// Used index up to which the driver has seen.
    seen: u16,
    /// `used_event` when last looked at.
    last: u16,
    /// Used index at take-over, until seen.
    inherited: Option<u16>,
    records: Box<[Record; MAX_QUEUE]>,
}

impl Sight {
    pub(super) fn new() -> Self {
        Self {
            seen: 0,
            last: 0,
            inherited: None,
            records: Box::new([Record::default(); MAX_QUEUE]),
        }
    }

    /// A ring is taken over or started; `event` is what `used_event` holds now.
    pub(super) fn restart(&mut self, used: u16, event: u16, inherited: bool) {
        self.seen = used.wrapping_sub(if inherited { MAX_QUEUE as u16 } else { 0 });
        self.last = event;
        self.inherited = inherited.then_some(used);
        // What a predecessor published says nothing about bytes: records of stream 255 are skipped.
        self.records.fill(Record {
            stream: u8::MAX,
            completed: 0,
        });
    }

    /// The message that will be published at used index `at`.
    pub(super) fn record(&mut self, at: u16, stream: Option<usize>, completed: u64) {
        self.records[usize::from(at) % MAX_QUEUE] = Record {
            stream: stream.map_or(u8::MAX, |stream| stream as u8),
            completed,
        };
    }

    /// Looks at `used_event` and credits the streams with what it shows.
    pub(super) fn look(&mut self, event: u16, used: u16, accounts: &mut [Account; MAX_STREAMS]) {
        let changed = event != self.last;
        self.last = event;
        let ahead = event.wrapping_sub(self.seen);
        if !changed || ahead == 0 || ahead > used.wrapping_sub(self.seen) {
            return;
        }
        if self
            .inherited
            .is_some_and(|at| used.wrapping_sub(at) >= used.wrapping_sub(event))
        {
            self.inherited = None;
            for account in accounts.iter_mut() {
                account.seen = account.seen.max(account.inherited);
            }
        }
        for back in 0..ahead.min(MAX_QUEUE as u16) {
            let record = self.records[usize::from(event.wrapping_sub(1 + back)) % MAX_QUEUE];
            if let Some(account) = accounts.get_mut(usize::from(record.stream)) {
                account.seen = account.seen.max(record.completed.min(account.completed));
            }
        }
        self.seen = event;
    }
}
