//! One stream's place in its front message, and what this engine remembers of it beyond the block.

use super::chain::{Context, Segment, Walk};
use super::journal::Queued;
use super::laps::Hold;
use super::message::HEADER;
use super::store::{guest_read, guest_write};
use crate::block::{direction, fault};
use crate::memory::GuestMemory;

/// Bytes on their way: out of a message, or into one.
pub(super) enum Io<'b> {
    /// tx: guest memory → caller.
    Pull(&'b mut [u8]),
    /// rx: caller → guest memory.
    Push(&'b [u8]),
}

impl Io<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Pull(bytes) => bytes.len(),
            Self::Push(bytes) => bytes.len(),
        }
    }

    fn copy(&mut self, memory: &GuestMemory, gpa: u64, at: usize, len: usize) -> bool {
        match self {
            Self::Pull(bytes) => guest_read(memory, gpa, &mut bytes[at..at + len]),
            Self::Push(bytes) => guest_write(memory, gpa, &bytes[at..at + len]),
        }
    }
}

/// A place in the front message's chain; reads each descriptor once as it goes.
struct Cursor {
    /// FIFO slot of the message it is open for.
    slot: u32,
    walk: Walk,
    segment: Segment,
    /// Bytes still to pass over: the header and what a predecessor consumed.
    skip: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Lane {
    cursor: Option<Cursor>,
    /// Payload bytes of all messages in the FIFO.
    pub queued: u64,
    /// In a starvation episode.
    pub starving: bool,
    /// The front message is consumed and held back.
    pub hold: Option<Hold>,
    /// Descriptors it may still read this period.
    pub budget: u32,
}

impl Lane {
    /// Forgets the place; the next copy finds it again from the block.
    pub(super) fn close(&mut self) {
        self.cursor = None;
    }

    /// Copies up to `want` bytes between `io[at..]` and the message's payload from byte `from` on. Returns fewer when the
    /// budget is used up.
    ///
    /// # Errors
    /// A `fault` code when the chain is not (any more) what it was when it was queued.
    pub(super) fn copy(
        &mut self,
        context: &Context<'_>,
        way: u32,
        message: &Queued,
        from: u32,
        io: &mut Io<'_>,
        (at, want): (usize, usize),
    ) -> Result<usize, u32> {
        let budget = &mut self.budget;
        let cursor = match self.cursor.take().filter(|cursor| cursor.slot == message.take) {
            Some(cursor) => self.cursor.insert(cursor),
            None => self.cursor.insert(Cursor::open(context, way, message, from)),
        };
        let mut done = 0;
        while done < want {
            if cursor.segment.len == 0 {
                if *budget == 0 {
                    break;
                }
                cursor.advance(context, way, budget)?;
                continue;
            }
            let here = u64::from(cursor.segment.len);
            if cursor.skip > 0 {
                let skipped = cursor.skip.min(here);
                cursor.skip -= skipped;
                cursor.pass(skipped as u32);
                continue;
            }
            let len = (cursor.segment.len as usize).min(want - done);
            if !io.copy(context.memory, cursor.segment.gpa, at + done, len) {
                return Err(fault::OUTSIDE_MEMORY);
            }
            cursor.pass(len as u32);
            done += len;
        }
        Ok(done)
    }
}

impl Cursor {
    fn open(context: &Context<'_>, way: u32, message: &Queued, from: u32) -> Self {
        let header = if way == direction::PLAYBACK { HEADER } else { 0 };
        Self {
            slot: message.take,
            walk: Walk::new(message.head, context.vring.size()),
            segment: Segment {
                gpa: 0,
                len: 0,
                writable: false,
            },
            skip: u64::from(header) + u64::from(from),
        }
    }

    fn pass(&mut self, len: u32) {
        self.segment.gpa = self.segment.gpa.wrapping_add(u64::from(len));
        self.segment.len -= len;
    }

    /// Goes to the next buffer of the payload's kind.
    fn advance(&mut self, context: &Context<'_>, way: u32, budget: &mut u32) -> Result<(), u32> {
        let mut reads = 0;
        let next = self.walk.next(context, &mut reads);
        *budget = budget.saturating_sub(reads);
        let segment = next?.ok_or(fault::CHAIN)?;
        match (way == direction::CAPTURE, segment.writable) {
            (true, true) | (false, false) => self.segment = segment,
            (true, false) => {}
            (false, true) => return Err(fault::CHAIN),
        }
        Ok(())
    }
}
