//! A virtqueue that control serves itself: the control queue and the event queue. One chain at a time, in order.
//!
//! ```text
//!  next (walked, not taken) ─► answer written ─► used element ─► guest's used index ─► our used_idx, last_avail
//! ```
//! Killed before the guest's index moves, the successor finds the chain in the available ring again; killed after, it
//! sees the guest's index one ahead of ours ([`OwnQueue::recover`]). `last_avail` always stands `done_base` ahead of
//! `used_idx`, so one number tells where we are.

use std::sync::atomic::Ordering::{Acquire, SeqCst};
use std::sync::atomic::fence;

use crate::block::{QueueBlock, fault, ring_state};
use crate::memory::{Call, GuestMemory};
use crate::ring::chain::{Context, Walk};
use crate::ring::store::{add64, guest_read, guest_write, put32, put64};
use crate::ring::vring::{Layout, NO_INTERRUPT};
use crate::wire::{F_EVENT_IDX, F_INDIRECT_DESC};

/// Longest request read; longer ones are cut, and judged by what was read.
const MAX_REQUEST: usize = 4096;
/// Longest answer given. A driver's descriptors may claim any length; what is made for them is bounded by this.
const MAX_ANSWER: u64 = 64 << 10;
/// `own_base`: the `own_*` fields hold.
const VALID: u32 = 1 << 16;

/// A chain, walked.
pub(super) struct Chain {
    pub head: u16,
    /// What the driver wrote for us.
    pub request: Vec<u8>,
    /// Where it wants the answer.
    writable: Vec<(u64, u32)>,
    /// The walk's fault, or `fault::NONE`.
    pub fault: u32,
}

impl Chain {
    /// Bytes there are for an answer, as far as they matter.
    pub fn room(&self) -> usize {
        let room: u64 = self.writable.iter().map(|(_, len)| u64::from(*len)).sum();
        room.min(MAX_ANSWER) as usize
    }

    /// Writes an answer; the bytes written, 0 when some of it would be outside of memory.
    pub fn write(&self, memory: &GuestMemory, answer: &[u8]) -> u32 {
        let mut rest = answer;
        for &(gpa, len) in &self.writable {
            let (now, later) = rest.split_at(rest.len().min(len as usize));
            if !now.is_empty() && !guest_write(memory, gpa, now) {
                return 0;
            }
            rest = later;
        }
        (answer.len() - rest.len()) as u32
    }
}

/// What this process knows of such a queue beyond the block.
pub(super) struct OwnQueue {
    taken_over: bool,
    call_anyway: bool,
    avail_event: Option<u16>,
}

impl OwnQueue {
    pub fn new() -> Self {
        Self {
            taken_over: true,
            call_anyway: true,
            avail_event: None,
        }
    }

    /// The queue's areas, while it runs.
    ///
    /// # Errors
    /// A `fault` code: they are not there (any more).
    pub fn context<'m>(
        &mut self,
        block: &QueueBlock,
        memory: Option<&'m GuestMemory>,
        features: u64,
    ) -> Result<Option<Context<'m>>, u32> {
        if block.actual.load(Acquire) != ring_state::RUNNING {
            return Ok(None);
        }
        let memory = memory.ok_or(fault::OUTSIDE_MEMORY)?;
        if memory.gone() {
            return Err(fault::MEMORY_GONE);
        }
        let vring = Layout::own(block).and_then(|layout| layout.open(memory));
        let context = Context {
            memory,
            vring: vring.ok_or(fault::OUTSIDE_MEMORY)?,
            indirect: features & F_INDIRECT_DESC != 0,
            event_idx: features & F_EVENT_IDX != 0,
        };
        if std::mem::take(&mut self.taken_over) {
            self.recover(block, &context)?;
        }
        Ok(Some(context))
    }

    /// Finishes what a predecessor had published and not recorded.
    fn recover(&mut self, block: &QueueBlock, context: &Context<'_>) -> Result<(), u32> {
        let (ours, theirs) = (block.used_idx.load(Acquire) as u16, context.vring.used_idx());
        if theirs.wrapping_sub(ours) > 1 {
            return Err(fault::USED_TAMPERED);
        }
        self.stand_at(block, theirs);
        self.call_anyway = true;
        Ok(())
    }

    fn stand_at(&self, block: &QueueBlock, used: u16) {
        put32(&block.used_idx, u32::from(used));
        let ahead = block.done_base.load(Acquire) as u16;
        put32(&block.last_avail, u32::from(used.wrapping_add(ahead)));
    }

    /// Whether the queue, as control's wishes describe it, goes on where it was stopped, over a used ring that stands where
    /// we left it. Otherwise a driver begins from the beginning.
    ///
    /// # Errors
    /// A `fault` code: its areas are not there.
    pub fn resumes(&self, block: &QueueBlock, memory: &GuestMemory) -> Result<bool, u32> {
        let layout = Layout::wanted(block).ok_or(fault::INDEX)?;
        let vring = layout.open(memory).ok_or(fault::OUTSIDE_MEMORY)?;
        let base = VALID | block.last_avail.load(Acquire) & 0xffff;
        let same = block.own_base.load(Acquire) == base && Layout::own(block) == Some(layout);
        let ours = block.used_idx.load(Acquire) as u16;
        Ok(same && vring.used_idx().wrapping_sub(ours) <= 1)
    }

    /// Starts the queue.
    ///
    /// # Errors
    /// A `fault` code: its areas are not there.
    pub fn start(&mut self, block: &QueueBlock, memory: &GuestMemory, features: u64) -> Result<(), u32> {
        let resumed = self.resumes(block, memory)?;
        let layout = Layout::wanted(block).ok_or(fault::INDEX)?;
        let vring = layout.open(memory).ok_or(fault::OUTSIDE_MEMORY)?;
        let theirs = vring.used_idx();
        if resumed {
            self.stand_at(block, theirs);
        } else {
            let base = block.last_avail.load(Acquire) as u16;
            put32(&block.own_base, 0);
            put32(&block.used_idx, u32::from(theirs));
            put32(&block.done_base, u32::from(base.wrapping_sub(theirs)));
            put32(&block.signalled, u32::from(theirs));
            put64(&block.own_desc, layout.desc);
            put64(&block.own_avail, layout.avail);
            put64(&block.own_used, layout.used);
            put32(&block.own_size, u32::from(layout.size));
            put32(&block.own_base, VALID | u32::from(base));
        }
        self.taken_over = false;
        self.call_anyway = true;
        self.avail_event = None;
        vring.set_used_flags(0);
        if features & F_EVENT_IDX != 0 {
            vring.set_avail_event(block.last_avail.load(Acquire) as u16);
        }
        put32(&block.fault, fault::NONE);
        put32(&block.actual, ring_state::RUNNING);
        Ok(())
    }

    pub fn stop(&mut self, block: &QueueBlock) {
        if block.actual.load(Acquire) == ring_state::RUNNING {
            put32(&block.own_base, VALID | block.last_avail.load(Acquire) & 0xffff);
        }
        put32(&block.actual, ring_state::STOPPED);
    }

    /// The queue can no longer be trusted.
    pub fn break_with(&mut self, block: &QueueBlock, code: u32) {
        put32(&block.fault, code);
        put32(&block.own_base, 0);
        put32(&block.actual, ring_state::BROKEN);
    }

    /// The oldest chain that is not answered, walked afresh.
    ///
    /// # Errors
    /// A `fault` code that breaks the queue.
    pub fn next(&self, block: &QueueBlock, context: &Context<'_>) -> Result<Option<Chain>, u32> {
        let next = block.last_avail.load(Acquire) as u16;
        let waiting = context.vring.avail_idx().wrapping_sub(next);
        if waiting == 0 {
            return Ok(None);
        }
        let head = context.vring.avail_head(next);
        match (waiting > context.vring.size(), head >= context.vring.size()) {
            (true, _) => Err(fault::AVAIL_JUMP),
            (_, true) => Err(fault::INDEX),
            _ => Ok(Some(walk(context, head))),
        }
    }

    /// Gives the oldest chain back.
    pub fn used(&self, block: &QueueBlock, context: &Context<'_>, head: u16, len: u32) {
        let used = block.used_idx.load(Acquire) as u16;
        context.vring.set_used_element(used, u32::from(head), len);
        context.vring.set_used_idx(used.wrapping_add(1));
        self.stand_at(block, used.wrapping_add(1));
        add64(&block.returned, 1);
    }

    /// Asks for a kick with the next chain. True when one has come already.
    pub fn ask_for_kick(&mut self, block: &QueueBlock, context: &Context<'_>, after: u16) -> bool {
        if context.event_idx && self.avail_event != Some(after) {
            context.vring.set_avail_event(after);
            self.avail_event = Some(after);
        }
        // The event index must be visible before we look a last time (§2.7.10).
        fence(SeqCst);
        context.vring.avail_idx() != block.last_avail.load(Acquire) as u16
    }

    /// Calls the guest if it wants to know of what was given back since the last call.
    pub fn notify(&mut self, block: &QueueBlock, context: &Context<'_>, call: Option<&Call>) {
        let used = block.used_idx.load(Acquire) as u16;
        let before = block.signalled.load(Acquire) as u16;
        let Some(call) = call.filter(|_| used != before) else {
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
            add64(&block.calls, 1);
            self.call_anyway = false;
        }
        put32(&block.signalled, u32::from(used));
    }

    /// Another call descriptor: what went to the old one may be lost.
    pub fn call_changed(&mut self) {
        self.call_anyway = true;
    }
}

fn walk(context: &Context<'_>, head: u16) -> Chain {
    let mut chain = Chain {
        head,
        request: Vec::new(),
        writable: Vec::new(),
        fault: fault::NONE,
    };
    let (mut walk, mut reads) = (Walk::new(head, context.vring.size()), 0);
    loop {
        match walk.next(context, &mut reads) {
            Ok(Some(segment)) if segment.writable => chain.writable.push((segment.gpa, segment.len)),
            Ok(Some(segment)) => {
                let had = chain.request.len();
                chain
                    .request
                    .resize(had + (segment.len as usize).min(MAX_REQUEST - had), 0);
                if !guest_read(context.memory, segment.gpa, &mut chain.request[had..]) {
                    chain.request.truncate(had);
                    chain.fault = fault::OUTSIDE_MEMORY;
                }
            }
            Ok(None) => return chain,
            Err(code) => {
                chain.fault = code;
                return chain;
            }
        }
    }
}
