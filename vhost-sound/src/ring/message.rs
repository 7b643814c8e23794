//! One PCM I/O message (virtio 1.3 §5.14.6.8): header, payload, status, whatever descriptors they are cut into.
//!
//! ```text
//!  tx:  [ stream_id | payload ...... ]  readable   [ status | latency_bytes ]  writable
//!  rx:  [ stream_id ]                   readable   [ payload ...... | status | latency_bytes ]  writable
//! ```

use super::chain::{Context, Segment, Walk};
use super::store::{guest_read, guest_write};
use crate::block::{direction, fault};
use crate::memory::GuestMemory;

/// `VIRTIO_SND_S_OK`.
pub(super) const S_OK: u32 = 0x8000;
/// `VIRTIO_SND_S_IO_ERR`.
pub(super) const S_IO_ERR: u32 = 0x8003;
/// Bytes of the header.
pub(super) const HEADER: u32 = 4;
/// Bytes of the status.
pub(super) const STATUS: u32 = 8;
/// `StreamBlock::fifo_status` of a message whose status is not one run of addresses.
pub(super) const SPLIT: u64 = u64::MAX;

/// Where the status goes: at most eight runs of at least one byte.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StatusPlace {
    runs: [(u64, u8); 9],
    count: usize,
    bytes: u32,
}

impl StatusPlace {
    pub(super) fn at(gpa: u64) -> Self {
        let mut place = Self::default();
        place.push(gpa, STATUS);
        place
    }

    fn push(&mut self, gpa: u64, len: u32) {
        self.runs[self.count] = (gpa, len as u8);
        self.count += 1;
        self.bytes += len;
    }

    /// Keeps the first eight bytes seen.
    fn keep_first(&mut self, segment: Segment) {
        let len = segment.len.min(STATUS - self.bytes);
        if len > 0 {
            self.push(segment.gpa, len);
        }
    }

    /// Keeps the last eight bytes seen.
    fn keep_last(&mut self, segment: Segment) {
        let len = segment.len.min(STATUS);
        if len == 0 {
            return;
        }
        let mut over = (self.bytes + len).saturating_sub(STATUS);
        while over > 0 {
            let (gpa, first) = self.runs[0];
            let cut = over.min(u32::from(first));
            over -= cut;
            self.bytes -= cut;
            if cut == u32::from(first) {
                self.runs.copy_within(1..self.count, 0);
                self.count -= 1;
            } else {
                self.runs[0] = (gpa.wrapping_add(u64::from(cut)), first - cut as u8);
            }
        }
        self.push(segment.gpa.wrapping_add(u64::from(segment.len - len)), len);
    }

    pub(super) fn complete(&self) -> bool {
        self.bytes == STATUS
    }

    /// What `fifo_status` records.
    pub(super) fn recorded(&self) -> u64 {
        if self.count == 1 { self.runs[0].0 } else { SPLIT }
    }

    /// Writes the status; false when there is no room for it in guest memory.
    pub(super) fn write(&self, memory: &GuestMemory, code: u32, latency_bytes: u32) -> bool {
        let mut bytes = [0; STATUS as usize];
        bytes[..4].copy_from_slice(&code.to_le_bytes());
        bytes[4..].copy_from_slice(&latency_bytes.to_le_bytes());
        let mut done = 0;
        self.complete()
            && self.runs[..self.count].iter().all(|&(gpa, len)| {
                let from = done;
                done += usize::from(len);
                guest_write(memory, gpa, &bytes[from..done])
            })
    }
}

/// A message as its descriptors tell it.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The header, once all of it was read.
    pub stream: Option<u32>,
    /// Payload bytes.
    pub payload: u32,
    /// Where the status goes, if complete.
    pub status: StatusPlace,
    /// The first fault found, or `NONE`.
    pub fault: u32,
}

/// Walks a whole chain. Bounded by `MAX_CHAIN`; `reads` counts descriptors.
pub(super) fn inspect(context: &Context<'_>, head: u16, way: u32, reads: &mut u32) -> Message {
    let mut sizes = Sizes::default();
    let mut message = Message::default();
    let mut walk = Walk::new(head, context.vring.size());
    loop {
        match walk.next(context, reads) {
            Ok(Some(segment)) => add(context, segment, way, &mut sizes, &mut message),
            Ok(None) => break,
            Err(code) => {
                note(&mut message, code);
                if way == direction::CAPTURE {
                    // The end was not seen, so neither was the status.
                    message.status = StatusPlace::default();
                }
                break;
            }
        }
    }
    let header = u64::from(HEADER);
    let status = u64::from(STATUS);
    if sizes.header == HEADER {
        message.stream = Some(u32::from_le_bytes(sizes.stream));
    } else {
        note(&mut message, fault::HEADER);
    }
    if sizes.writable < status {
        note(&mut message, fault::STATUS);
    }
    let payload = if way == direction::CAPTURE {
        sizes.writable.saturating_sub(status)
    } else {
        sizes.readable.saturating_sub(header)
    };
    match u32::try_from(payload) {
        Ok(0) => note(&mut message, fault::EMPTY),
        Ok(payload) => message.payload = payload,
        Err(_) => note(&mut message, fault::CHAIN),
    }
    message
}

#[derive(Default)]
struct Sizes {
    stream: [u8; HEADER as usize],
    header: u32,
    readable: u64,
    writable: u64,
}

fn add(context: &Context<'_>, segment: Segment, way: u32, sizes: &mut Sizes, message: &mut Message) {
    if !context.memory.contains(segment.gpa, segment.len as usize) {
        note(message, fault::OUTSIDE_MEMORY);
    }
    if segment.writable {
        sizes.writable += u64::from(segment.len);
        if way == direction::CAPTURE {
            message.status.keep_last(segment);
        } else {
            message.status.keep_first(segment);
        }
        return;
    }
    sizes.readable += u64::from(segment.len);
    let want = (HEADER - sizes.header).min(segment.len);
    let into = &mut sizes.stream[sizes.header as usize..(sizes.header + want) as usize];
    if guest_read(context.memory, segment.gpa, into) {
        sizes.header += want;
    }
}

fn note(message: &mut Message, code: u32) {
    if message.fault == fault::NONE {
        message.fault = code;
    }
}
