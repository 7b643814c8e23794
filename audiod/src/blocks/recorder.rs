//! The flight recorder: the engine's last events, readable from outside at any time, also after the engine's death.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

const EVENTS: usize = 4096;

/// What happened. Codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// An engine took over; `value` = its pid.
    EngineUp = 1,
    /// The codec ran dry; `value` = frames lost.
    Underrun = 2,
    /// A stream's state changed; `subject` = source, `value` = its `doing`.
    Stream = 3,
    /// A stream was starved; `subject` = source, `value` = frames missing.
    Starved = 4,
    /// A batch of gains was taken at a period's edge; `subject` = batch, `value` = number of the period.
    Gains = 5,
    /// A chime began; `subject` = chime.
    ChimeBegun = 6,
    /// A chime ended; `subject` = chime.
    ChimeEnded = 7,
    /// A guest broke a rule; `subject` = guest, `value` = fault code.
    Violation = 8,
    /// The codec stands still (1) or runs again (0).
    Stalled = 9,
}

/// One event as read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Free-running number of the event.
    pub number: u64,
    /// Codec frame being written when it happened.
    pub frame: u64,
    /// `Kind` as its number.
    pub kind: u32,
    /// See `Kind`.
    pub subject: u32,
    /// See `Kind`.
    pub value: u64,
}

#[repr(C)]
struct Cell {
    number: AtomicU64,
    frame: AtomicU64,
    value: AtomicU64,
    kind: AtomicU32,
    subject: AtomicU32,
}

/// A ring of events with one writer.
#[repr(C)]
pub struct Recorder {
    next: AtomicU64,
    cells: [Cell; EVENTS],
}

impl Recorder {
    /// Engine: records an event. Wait-free; the oldest event is overwritten.
    pub fn record(&self, frame: u64, kind: Kind, subject: u32, value: u64) {
        let number = self.next.load(Relaxed);
        let cell = &self.cells[number as usize % EVENTS];
        cell.number.store(u64::MAX, Relaxed);
        std::sync::atomic::fence(Release);
        cell.frame.store(frame, Relaxed);
        cell.value.store(value, Relaxed);
        cell.kind.store(kind as u32, Relaxed);
        cell.subject.store(subject, Relaxed);
        cell.number.store(number, Release);
        self.next.store(number + 1, Release);
    }

    /// The number the next event will get.
    pub fn next(&self) -> u64 {
        self.next.load(Acquire)
    }

    /// Reads event `number`; `None` when it is overwritten or not there yet.
    pub fn get(&self, number: u64) -> Option<Event> {
        let cell = &self.cells[number as usize % EVENTS];
        if cell.number.load(Acquire) != number || number >= self.next() {
            return None;
        }
        let event = Event {
            number,
            frame: cell.frame.load(Relaxed),
            kind: cell.kind.load(Relaxed),
            subject: cell.subject.load(Relaxed),
            value: cell.value.load(Relaxed),
        };
        std::sync::atomic::fence(Acquire);
        (cell.number.load(Relaxed) == number).then_some(event)
    }
}
