//! One virtqueue in the engine's hands: start and stop, sorting, publishing, calling.
//!
//! ```text
//!            wanted RUNNING, own_* differ: heads dropped        wanted STOPPED
//!  STOPPED ────────────────────────────────────────► RUNNING ─────────────────► STOPPED
//!            wanted RUNNING, own_* the same: resumed    │                          ▲
//!                                                       │ fault                    │ wanted STOPPED
//!                                                       ▼                          │
//!                                                    BROKEN ───────────────────────┘
//! ```
//! A stopped ring keeps its heads in the block. GET_VRING_BASE answers `last_avail`; a ring started again with the same
//! base, size and addresses, over a used ring that stands where we left it, goes on with them. Anything else (a reset, a
//! new driver, another front end) drops them: nobody waits for them any more.

use std::sync::atomic::Ordering::{Acquire, SeqCst};
use std::sync::atomic::fence;

use super::chain::Context;
use super::journal::{self, Move, Queued, done_count, queued, queued_count, write_done, write_queued};
use super::lane::Lane;
use super::laps::{Account, Sight};
use super::message::{Message, S_IO_ERR, SPLIT, STATUS, StatusPlace, inspect};
use super::store::{add64, count32, put32, put64};
use super::vring::{Layout, NO_INTERRUPT, NO_NOTIFY};
use crate::block::{MAX_QUEUE, MAX_STREAMS, QueueBlock, StreamBlock, fault, ring_state, stream_state};
use crate::memory::{Call, GuestMemory};

/// Descriptors a queue may read a period to sort and return messages; the message it runs out in is finished.
pub const SORT_BUDGET: u32 = 1024;

/// `own_base`: the `own_*` fields hold.
const VALID: u32 = 1 << 16;

/// Bit of `DeviceBlock::ring_features`.
const INDIRECT_DESC: u64 = 1 << 28;
/// Bit of `DeviceBlock::ring_features`.
const EVENT_IDX: u64 = 1 << 29;

/// How a message ends.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    /// `VIRTIO_SND_S_*`.
    pub code: u32,
    pub latency_bytes: u32,
    /// Payload bytes written for the guest.
    pub written: u32,
}

pub(super) struct Queue<'a> {
    block: &'a QueueBlock,
    streams: &'a [StreamBlock; MAX_STREAMS],
    way: u32,
    call: Option<Call>,
    in_flight: [u64; MAX_QUEUE / 64],
    sight: Sight,
    budget: u32,
    /// Descriptors read so far.
    pub reads: u64,
    /// A predecessor ran this ring; what it may have left half done is to be repeated first.
    taken_over: bool,
    /// This engine has served the ring, as it stands in the block, itself: its accounts of it hold.
    known: bool,
    /// The next call goes out whatever `used_event` says: our knowledge of what was signalled is not complete.
    call_anyway: bool,
    /// `avail_event` as last written.
    avail_event: Option<u16>,
    /// It broke, and nobody was told yet.
    pub broke: bool,
}

impl<'a> Queue<'a> {
    pub(super) fn new(block: &'a QueueBlock, streams: &'a [StreamBlock; MAX_STREAMS], way: u32) -> Self {
        journal::recover(block, streams);
        let mut queue = Self {
            block,
            streams,
            way,
            call: None,
            in_flight: [0; MAX_QUEUE / 64],
            sight: Sight::new(),
            budget: 0,
            reads: 0,
            taken_over: true,
            known: false,
            call_anyway: true,
            avail_event: None,
            broke: false,
        };
        queue.find_in_flight();
        queue
    }

    pub(super) fn set_call(&mut self, call: Option<Call>) -> Option<Call> {
        std::mem::replace(&mut self.call, call)
    }

    pub(super) fn running(&self) -> bool {
        self.block.actual.load(Acquire) == ring_state::RUNNING
    }

    /// The ring's areas, if it runs and they are there; a running ring whose areas are not breaks.
    pub(super) fn context<'m>(&mut self, memory: Option<&'m GuestMemory>, features: u64) -> Option<Context<'m>> {
        let memory = memory?;
        if !self.running() {
            return None;
        }
        if memory.gone() {
            self.break_with(fault::MEMORY_GONE);
            return None;
        }
        let Some(vring) = Layout::own(self.block).and_then(|layout| layout.open(memory)) else {
            self.break_with(fault::OUTSIDE_MEMORY);
            return None;
        };
        Some(Context {
            memory,
            vring,
            indirect: features & INDIRECT_DESC != 0,
            event_idx: features & EVENT_IDX != 0,
        })
    }

    pub(super) fn break_with(&mut self, code: u32) {
        put32(&self.block.fault, code);
        put32(&self.block.own_base, 0);
        put32(&self.block.actual, ring_state::BROKEN);
        self.broke = true;
    }

    /// Makes `actual` what control wants. False while it must wait for memory to be mapped (unless `none_comes`).
    pub(super) fn settle(&mut self, memory: Option<&GuestMemory>, none_comes: bool, features: u64) -> bool {
        let wanted = self.block.wanted.load(Acquire);
        match (wanted, self.block.actual.load(Acquire)) {
            (ring_state::RUNNING, ring_state::STOPPED) => match memory {
                Some(memory) => self.start(memory, features),
                None if none_comes => self.break_with(fault::OUTSIDE_MEMORY),
                None => return false,
            },
            (ring_state::STOPPED, ring_state::STOPPED) => {}
            (ring_state::STOPPED, _) => self.stop(memory, features),
            _ => {}
        }
        true
    }

    fn start(&mut self, memory: &GuestMemory, features: u64) {
        let Some(layout) = Layout::wanted(self.block) else {
            return self.break_with(fault::INDEX);
        };
        let Some(vring) = layout.open(memory) else {
            return self.break_with(fault::OUTSIDE_MEMORY);
        };
        let base = VALID | self.block.last_avail.load(Acquire) & 0xffff;
        let ours = self.block.used_idx.load(Acquire) as u16;
        let theirs = vring.used_idx();
        let left_so = theirs == ours || theirs == ours.wrapping_add(done_count(self.block));
        let resumed = self.block.own_base.load(Acquire) == base && Layout::own(self.block) == Some(layout) && left_so;
        if !resumed {
            put32(&self.block.own_base, 0);
            self.drop_heads();
            put32(&self.block.used_idx, u32::from(theirs));
            put32(&self.block.done_base, u32::from(theirs));
            put32(&self.block.signalled, u32::from(theirs));
            put64(&self.block.own_desc, layout.desc);
            put64(&self.block.own_avail, layout.avail);
            put64(&self.block.own_used, layout.used);
            put32(&self.block.own_size, u32::from(layout.size));
            put32(&self.block.own_base, base);
        }
        put32(&self.block.fault, fault::NONE);
        self.find_in_flight();
        self.taken_over = resumed && !self.known;
        self.call_anyway = true;
        if !resumed {
            self.sight.restart(theirs, vring.used_event(), false);
            self.known = true;
        }
        vring.set_used_flags(if features & EVENT_IDX == 0 { NO_NOTIFY } else { 0 });
        self.avail_event = None;
        put32(&self.block.actual, ring_state::RUNNING);
    }

    fn stop(&mut self, memory: Option<&GuestMemory>, features: u64) {
        if let Some(context) = self.context(memory, features) {
            self.publish(&context);
            context.vring.set_used_flags(0);
            if context.event_idx {
                context
                    .vring
                    .set_avail_event(self.block.last_avail.load(Acquire) as u16);
            }
            self.notify(&context);
        }
        if self.running() {
            put32(
                &self.block.own_base,
                VALID | self.block.last_avail.load(Acquire) & 0xffff,
            );
        }
        put32(&self.block.actual, ring_state::STOPPED);
    }

    fn drop_heads(&mut self) {
        put64(&self.block.journal, 0);
        put32(&self.block.done_count, 0);
        for stream in self.my_streams() {
            put32(&stream.front_bytes, 0);
            put32(&stream.fifo_take, stream.fifo_fill.load(Acquire));
        }
    }

    fn my_streams(&self) -> impl Iterator<Item = &'a StreamBlock> + use<'a> {
        let way = self.way;
        self.streams
            .iter()
            .filter(move |stream| stream.direction.load(Acquire) == way)
    }

    fn find_in_flight(&mut self) {
        self.in_flight = [0; MAX_QUEUE / 64];
        for stream in self.my_streams() {
            for nth in 0..queued_count(stream) {
                if let Some(message) = queued(stream, nth) {
                    self.mark(message.head, true);
                }
            }
        }
        for entry in &self.block.done[..usize::from(done_count(self.block))] {
            self.mark(entry.head.load(Acquire) as u16, true);
        }
    }

    fn mark(&mut self, head: u16, in_flight: bool) {
        let (word, bit) = (usize::from(head) / 64 % self.in_flight.len(), 1 << (head % 64));
        if in_flight {
            self.in_flight[word] |= bit;
        } else {
            self.in_flight[word] &= !bit;
        }
    }

    fn is_in_flight(&self, head: u16) -> bool {
        self.in_flight[usize::from(head) / 64 % self.in_flight.len()] & 1 << (head % 64) != 0
    }

    /// A period begins: new budget, and what a predecessor left half done. True the first time after a take-over.
    pub(super) fn begin(&mut self, context: &Context<'_>, accounts: &mut [Account; MAX_STREAMS]) -> bool {
        self.budget = SORT_BUDGET;
        let first = std::mem::take(&mut self.taken_over);
        if first {
            // Before any head is sorted: the driver may have seen these already and use them again.
            self.publish(context);
            let used = self.block.used_idx.load(Acquire) as u16;
            self.sight.restart(used, context.vring.used_event(), true);
            self.known = true;
        } else {
            let used = self.block.used_idx.load(Acquire) as u16;
            self.sight.look(context.vring.used_event(), used, accounts);
        }
        first
    }

    /// Takes new messages to their streams, within the budget. True when the avail ring (as of now) is empty.
    pub(super) fn sort(&mut self, context: &Context<'_>, lanes: &mut [Lane; MAX_STREAMS]) -> bool {
        let mut next = self.block.last_avail.load(Acquire) as u16;
        let end = context.vring.avail_idx();
        if end.wrapping_sub(next) > context.vring.size() {
            self.break_with(fault::AVAIL_JUMP);
            return true;
        }
        while next != end && self.budget > 0 {
            let head = context.vring.avail_head(next);
            if head >= context.vring.size() {
                self.break_with(fault::INDEX);
                return true;
            }
            if self.is_in_flight(head) {
                self.break_with(fault::DUPLICATE_HEAD);
                return true;
            }
            let message = self.inspect(context, head);
            self.place(context, head, next, &message, lanes);
            next = next.wrapping_add(1);
        }
        self.hush(context, end);
        next == end
    }

    fn inspect(&mut self, context: &Context<'_>, head: u16) -> Message {
        let mut reads = 0;
        let message = inspect(context, head, self.way, &mut reads);
        self.budget = self.budget.saturating_sub(reads.max(1));
        self.reads += u64::from(reads);
        message
    }

    fn place(
        &mut self,
        context: &Context<'_>,
        head: u16,
        avail: u16,
        message: &Message,
        lanes: &mut [Lane; MAX_STREAMS],
    ) {
        self.mark(head, true);
        let index = message.stream.map_or(usize::MAX, |stream| stream as usize);
        let stream = self
            .streams
            .get(index)
            .filter(|stream| stream.direction.load(Acquire) == self.way);
        let code = match stream {
            _ if message.fault != fault::NONE => message.fault,
            None => fault::HEADER,
            Some(stream) if !takes_messages(stream.actual.load(Acquire)) => fault::STATE,
            Some(stream) => {
                let fill = write_queued(stream, head, avail, message.payload, message.status.recorded());
                let stream = index;
                Move::Accepted { stream, avail, fill }.make(self.block, self.streams);
                lanes[index].queued += u64::from(message.payload);
                return;
            }
        };
        match stream {
            Some(stream) => {
                put32(&stream.fault, code);
                count32(&stream.refused);
            }
            None => put32(&self.block.fault, code),
        }
        let told = message.status.write(context.memory, S_IO_ERR, 0);
        if let Some(slot) = write_done(self.block, head, if told { STATUS } else { 0 }) {
            self.record(slot, None, 0);
            Move::Refused { avail, slot }.make(self.block, self.streams);
        }
    }

    fn record(&mut self, slot: u16, stream: Option<usize>, completed: u64) {
        let at = (self.block.used_idx.load(Acquire) as u16).wrapping_add(slot);
        self.sight.record(at, stream, completed);
    }

    /// Keeps the driver from kicking: we come by anyway. Under EVENT_IDX, by an event index that is always just behind.
    fn hush(&mut self, context: &Context<'_>, end: u16) {
        let behind = end.wrapping_sub(1);
        if context.event_idx && self.avail_event != Some(behind) {
            context.vring.set_avail_event(behind);
            self.avail_event = Some(behind);
        }
    }

    /// Ends a stream's front message. Its status is written now, the guest sees it when it is published.
    pub(super) fn finish(
        &mut self,
        context: &Context<'_>,
        stream: usize,
        message: &Queued,
        ending: Ending,
        (lane, account): (&mut Lane, &mut Account),
    ) {
        let place = if message.status == SPLIT {
            self.inspect(context, message.head).status
        } else {
            StatusPlace::at(message.status)
        };
        let told = place.write(context.memory, ending.code, ending.latency_bytes);
        let len = if told { STATUS + ending.written } else { 0 };
        lane.close();
        lane.hold = None;
        lane.queued = lane.queued.saturating_sub(u64::from(message.len));
        let completed = account.complete(message.len);
        if let Some(slot) = write_done(self.block, message.head, len) {
            self.record(slot, Some(stream), completed);
            let take = message.take;
            Move::Finished { stream, take, slot }.make(self.block, self.streams);
        }
    }

    /// Whether messages may still be returned this period.
    pub(super) fn may_return(&self) -> bool {
        self.budget > 0
    }

    /// Shows the guest what is done.
    pub(super) fn publish(&mut self, context: &Context<'_>) {
        let count = done_count(self.block);
        if count == 0 {
            return;
        }
        let used = self.block.used_idx.load(Acquire) as u16;
        for slot in 0..count {
            let entry = &self.block.done[usize::from(slot)];
            let head = entry.head.load(Acquire);
            context
                .vring
                .set_used_element(used.wrapping_add(slot), head, entry.len.load(Acquire));
            self.mark(head as u16, false);
        }
        context.vring.set_used_idx(used.wrapping_add(count));
        put32(&self.block.used_idx, u32::from(used.wrapping_add(count)));
        add64(&self.block.returned, u64::from(count));
    }

    /// Calls the guest if it wants to know of what was published since the last call.
    pub(super) fn notify(&mut self, context: &Context<'_>) {
        let used = self.block.used_idx.load(Acquire) as u16;
        let before = self.block.signalled.load(Acquire) as u16;
        let Some(call) = self.call.as_ref().filter(|_| used != before) else {
            return;
        };
        // The used index must be visible before we look whether the driver wants to be told (§2.7.7.2).
        fence(SeqCst);
        let wanted = if context.event_idx {
            let passed = used.wrapping_sub(context.vring.used_event()).wrapping_sub(1);
            self.call_anyway || passed < used.wrapping_sub(before)
        } else {
            context.vring.avail_flags() & NO_INTERRUPT == 0
        };
        if wanted {
            // Nothing can be done about a broken descriptor here; the driver's own time-outs speak.
            let _ = call.signal();
            add64(&self.block.calls, 1);
            self.call_anyway = false;
        }
        put32(&self.block.signalled, u32::from(used));
    }
}

/// Whether a stream in this state keeps messages.
pub(super) fn takes_messages(state: u32) -> bool {
    matches!(
        state,
        stream_state::PREPARED | stream_state::RUNNING | stream_state::STOPPED
    )
}
