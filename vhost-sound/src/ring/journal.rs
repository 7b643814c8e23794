//! Where a head is, so that an engine killed at any instruction loses and repeats none.
//!
//! ```text
//!               Accepted               Finished               publish
//!  avail ring ───────────► stream FIFO ─────────► done list ───────────► used ring
//!       └──────────────────────────────────────────▲
//!                         Refused
//! ```
//! A move changes two or three words of the block. It is first written to `QueueBlock::journal` in absolute values (one
//! atomic store, the point of no return), then carried out, then struck out. [`recover`] carries out again what stands in
//! the journal: setting the same values twice changes nothing.
//!
//! Publishing needs no journal. The done list is valid only while `done_base == used_idx`; the order is elements, the
//! guest's index, our `used_idx`. Killed before the last store, the successor publishes the same entries at the same
//! places again; after it, the list is void by itself.

use std::sync::atomic::Ordering::Acquire;

use super::store::{put32, put64};
use crate::block::{MAX_QUEUE, MAX_STREAMS, QueueBlock, StreamBlock};

const ACCEPTED: u64 = 1;
const REFUSED: u64 = 2;
const FINISHED: u64 = 3;

/// One move of one head; every number is the value before the move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// From the avail ring (`avail` = `last_avail`) to slot `fill` of a stream's FIFO.
    Accepted { stream: usize, avail: u16, fill: u32 },
    /// From the avail ring to slot `slot` of the done list.
    Refused { avail: u16, slot: u16 },
    /// From slot `take` of a stream's FIFO to slot `slot` of the done list.
    Finished { stream: usize, take: u32, slot: u16 },
}

impl Move {
    fn encode(self) -> u64 {
        let word = |kind: u64, stream: usize, middle: u16, low: u32| {
            kind << 56 | (stream as u64) << 48 | u64::from(middle) << 32 | u64::from(low)
        };
        match self {
            Self::Accepted { stream, avail, fill } => word(ACCEPTED, stream, avail, fill),
            Self::Refused { avail, slot } => word(REFUSED, 0, avail, u32::from(slot)),
            Self::Finished { stream, take, slot } => word(FINISHED, stream, slot, take),
        }
    }

    fn decode(word: u64) -> Option<Self> {
        let (stream, middle, low) = ((word >> 48 & 0xff) as usize, (word >> 32) as u16, word as u32);
        match word >> 56 {
            ACCEPTED => Some(Self::Accepted {
                stream,
                avail: middle,
                fill: low,
            }),
            REFUSED => Some(Self::Refused {
                avail: middle,
                slot: low as u16,
            }),
            FINISHED => Some(Self::Finished {
                stream,
                take: low,
                slot: middle,
            }),
            _ => None,
        }
    }

    /// Makes the move.
    pub(super) fn make(self, queue: &QueueBlock, streams: &[StreamBlock; MAX_STREAMS]) {
        put64(&queue.journal, self.encode());
        self.carry_out(queue, streams);
        put64(&queue.journal, 0);
    }

    fn carry_out(self, queue: &QueueBlock, streams: &[StreamBlock; MAX_STREAMS]) {
        match self {
            Self::Accepted { stream, avail, fill } => {
                put32(&queue.last_avail, u32::from(avail.wrapping_add(1)));
                put32(&streams[stream % MAX_STREAMS].fifo_fill, fill.wrapping_add(1));
            }
            Self::Refused { avail, slot } => {
                put32(&queue.last_avail, u32::from(avail.wrapping_add(1)));
                lengthen(queue, slot);
            }
            Self::Finished { stream, take, slot } => {
                let stream = &streams[stream % MAX_STREAMS];
                lengthen(queue, slot);
                put32(&stream.front_bytes, 0);
                put32(&stream.fifo_take, take.wrapping_add(1));
            }
        }
    }
}

/// Finishes the move a killed engine was at.
pub(super) fn recover(queue: &QueueBlock, streams: &[StreamBlock; MAX_STREAMS]) {
    if let Some(unfinished) = Move::decode(queue.journal.load(Acquire)) {
        unfinished.carry_out(queue, streams);
    }
    put64(&queue.journal, 0);
}

/// Entries completed and not yet published.
pub(super) fn done_count(queue: &QueueBlock) -> u16 {
    if queue.done_base.load(Acquire) == queue.used_idx.load(Acquire) {
        queue.done_count.load(Acquire).min(MAX_QUEUE as u32) as u16
    } else {
        0
    }
}

/// Writes the next entry of the done list; it counts only after the move. `None` when the list is full, which distinct
/// heads cannot make it.
pub(super) fn write_done(queue: &QueueBlock, head: u16, len: u32) -> Option<u16> {
    let slot = done_count(queue);
    let entry = queue.done.get(usize::from(slot))?;
    put32(&entry.head, u32::from(head));
    put32(&entry.len, len);
    Some(slot)
}

fn lengthen(queue: &QueueBlock, slot: u16) {
    if slot == 0 {
        put32(&queue.done_count, 0);
        put32(&queue.done_base, queue.used_idx.load(Acquire));
    }
    put32(&queue.done_count, u32::from(slot) + 1);
}

/// A message in a stream's FIFO.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    /// Slot number, free running.
    pub take: u32,
    pub head: u16,
    /// Payload bytes.
    pub len: u32,
    /// See `StreamBlock::fifo_status`.
    pub status: u64,
}

/// Messages in a stream's FIFO.
pub(super) fn queued_count(stream: &StreamBlock) -> u32 {
    let count = stream
        .fifo_fill
        .load(Acquire)
        .wrapping_sub(stream.fifo_take.load(Acquire));
    count.min(MAX_QUEUE as u32)
}

/// The message `nth` from the front.
pub(super) fn queued(stream: &StreamBlock, nth: u32) -> Option<Queued> {
    if nth >= queued_count(stream) {
        return None;
    }
    let take = stream.fifo_take.load(Acquire).wrapping_add(nth);
    let slot = take as usize % MAX_QUEUE;
    Some(Queued {
        take,
        head: stream.fifo[slot].load(Acquire) as u16,
        len: stream.fifo_len[slot].load(Acquire),
        status: stream.fifo_status[slot].load(Acquire),
    })
}

/// Writes a message into the next slot of a stream's FIFO; it counts only after the move.
pub(super) fn write_queued(stream: &StreamBlock, head: u16, avail: u16, len: u32, status: u64) -> u32 {
    let fill = stream.fifo_fill.load(Acquire);
    let slot = fill as usize % MAX_QUEUE;
    put32(&stream.fifo[slot], u32::from(head) | u32::from(avail) << 16);
    put32(&stream.fifo_len[slot], len);
    put64(&stream.fifo_status[slot], status);
    fill
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_move_survives_its_encoding() {
        let moves = [
            Move::Accepted {
                stream: 15,
                avail: u16::MAX,
                fill: u32::MAX,
            },
            Move::Refused { avail: 7, slot: 1023 },
            Move::Finished {
                stream: 3,
                take: 0x1234_5678,
                slot: 9,
            },
        ];
        for one in moves {
            assert_eq!(Move::decode(one.encode()), Some(one));
        }
        assert_eq!(Move::decode(0), None);
    }
}
