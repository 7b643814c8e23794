//! The engine's half of a device: tx and rx rings pulled in place, once a codec period.
//!
//! ```text
//!  begin_period   wishes made so ─► looks at used_event ─► held messages out ─► new chains sorted ─► RELEASE ─► acknowledged
//!  pull / push    bytes between the front message and the mix; a message completes with its last byte
//!  end_period     done list published, guest called at most once a queue
//! ```
//! All state that a guest will not tell again lives in the [`DeviceBlock`]; what is here can be found again from it at any
//! point (`journal`), so an engine that is killed is replaced by `DeviceRings::new` on the same block.
//!
//! Work a period is bounded whatever the guest does: [`SORT_BUDGET`] descriptors a queue to sort and return, plus one chain
//! of [`MAX_CHAIN`]; [`COPY_BUDGET`] a stream to copy. Faults: a malformed message is returned with IO_ERR (length 0 where
//! its status cannot be found); a ring whose indices cannot be trusted breaks, alone.

pub(crate) mod chain;
mod journal;
mod lane;
mod laps;
mod message;
mod news;
mod queue;
pub(crate) mod store;
pub(crate) mod vring;

use std::sync::atomic::Ordering::Acquire;

use chain::Context;
pub use chain::MAX_CHAIN;
use journal::{queued, queued_count};
use lane::{Io, Lane};
use laps::{Account, Hold};
use message::{S_IO_ERR, S_OK, SPLIT};
pub use queue::SORT_BUDGET;
use queue::{Ending, Queue, takes_messages};
#[cfg(any(test, feature = "testing"))]
pub use store::crash;
use store::{add64, count32, put32, put64};

use crate::block::{DeviceBlock, MAX_STREAMS, RXQ, StreamBlock, TXQ, direction, fault, ring_state, stream_state};
use crate::memory::{Call, GuestMemory};

/// Descriptors a stream may read a period to copy its bytes.
pub const COPY_BUDGET: u32 = 1024;

/// One stream as the engine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamView {
    /// `stream_state`, as applied.
    pub state: u32,
    /// `state` is RUNNING.
    pub running: bool,
    /// `block::direction`.
    pub direction: u32,
    /// `VIRTIO_SND_PCM_FMT_*`.
    pub format: u32,
    /// `VIRTIO_SND_PCM_RATE_*`.
    pub rate: u32,
    /// Channels.
    pub channels: u32,
    /// PCM feature bits.
    pub features: u32,
    /// Buffer size, bytes.
    pub buffer_bytes: u32,
    /// Period size, bytes.
    pub period_bytes: u32,
    /// Which START this is.
    pub start_gen: u32,
    /// Which SET_PARAMS this is.
    pub params_gen: u32,
}

/// The tx and rx rings of one device. See the module.
pub struct DeviceRings<'a> {
    block: &'a DeviceBlock,
    memory: Option<GuestMemory>,
    queues: [Queue<'a>; 2],
    lanes: [Lane; MAX_STREAMS],
    accounts: Box<[Account; MAX_STREAMS]>,
    news: bool,
}

impl<'a> DeviceRings<'a> {
    /// Takes the rings over from whoever had them: a new block, or that of an engine that died. Allocates; not for the
    /// real-time thread. Memory and call descriptors are to be set before the rings are served.
    pub fn new(block: &'a DeviceBlock) -> Self {
        put32(&block.engine_mem_gen, 0);
        let queue = |index: usize, way| Queue::new(&block.queues[index], &block.streams, way);
        let mut rings = Self {
            block,
            memory: None,
            queues: [queue(TXQ, direction::PLAYBACK), queue(RXQ, direction::CAPTURE)],
            lanes: Default::default(),
            accounts: Box::default(),
            // A predecessor may have counted something and died before control was told.
            news: true,
        };
        rings.count_queued();
        rings
    }

    /// The generation of the memory table control has and we have not: to be mapped elsewhere and set.
    pub fn memory_wanted(&self) -> Option<u32> {
        let wanted = self.block.mem_gen.load(Acquire);
        (wanted != self.block.engine_mem_gen.load(Acquire)).then_some(wanted)
    }

    /// Uses another memory table from now on; the old one is handed back, to be unmapped outside the real-time thread.
    /// For a table that cannot be mapped set [`GuestMemory::empty`].
    pub fn set_memory(&mut self, memory: GuestMemory) -> Option<GuestMemory> {
        let generation = memory.generation();
        let old = self.memory.replace(memory);
        put32(&self.block.engine_mem_gen, generation);
        old
    }

    /// Sets the call descriptor of queue `TXQ` or `RXQ`; the old one (or, for another queue, the new one) is handed back.
    pub fn set_call(&mut self, queue: usize, call: Option<Call>) -> Option<Call> {
        match queue {
            TXQ => self.queues[0].set_call(call),
            RXQ => self.queues[1].set_call(call),
            _ => call,
        }
    }

    /// Descriptors read so far: what a guest's messages cost.
    pub fn descriptors_read(&self) -> u64 {
        self.queues[0].reads + self.queues[1].reads
    }

    /// One stream; all zero for a stream that doesn't exist.
    pub fn state(&self, stream: usize) -> StreamView {
        let block = self.stream(stream);
        let word = |cell: fn(&StreamBlock) -> &std::sync::atomic::AtomicU32| block.map_or(0, |b| cell(b).load(Acquire));
        let state = word(|b| &b.actual);
        StreamView {
            state,
            running: state == stream_state::RUNNING,
            direction: word(|b| &b.direction),
            format: word(|b| &b.format),
            rate: word(|b| &b.rate),
            channels: word(|b| &b.channels),
            features: word(|b| &b.features),
            buffer_bytes: word(|b| &b.buffer_bytes),
            period_bytes: word(|b| &b.period_bytes),
            start_gen: word(|b| &b.start_gen),
            params_gen: word(|b| &b.params_gen),
        }
    }

    fn stream(&self, stream: usize) -> Option<&'a StreamBlock> {
        self.block.streams.get(stream)
    }

    /// Begins a period: see the module. At most one call a queue (for a ring that stops here).
    pub fn begin_period(&mut self) {
        let seq = self.block.cmd_seq.load(Acquire);
        let mut settled = self.memory_wanted().is_none();
        for way in 0..2 {
            settled &= self.settle_ring(way);
        }
        for stream in self.streams() {
            self.lanes[stream].budget = COPY_BUDGET;
            self.enter_state(stream);
        }
        for way in 0..2 {
            let caught_up = self.serve(way);
            settled &= self.release(way, caught_up);
        }
        if settled && self.block.ack_seq.load(Acquire) != seq {
            // The guest's request is answered from here on: what it had made available before is back by then, if it goes back.
            self.publish(0);
            self.publish(1);
            put32(&self.block.ack_seq, seq);
        }
    }

    /// Those the config knows.
    fn streams(&self) -> std::ops::Range<usize> {
        0..(self.block.stream_count.load(Acquire) as usize).min(MAX_STREAMS)
    }

    fn features(&self) -> u64 {
        self.block.ring_features.load(Acquire)
    }

    fn settle_ring(&mut self, way: usize) -> bool {
        let before = self.queues[way].running();
        let features = self.features();
        let none_comes = self.memory_wanted().is_none();
        let settled = self.queues[way].settle(self.memory.as_ref(), none_comes, features);
        if before != self.queues[way].running() {
            self.lanes.iter_mut().for_each(Lane::close);
            self.count_queued();
        }
        settled
    }

    fn count_queued(&mut self) {
        for (lane, stream) in self.lanes.iter_mut().zip(&self.block.streams) {
            let messages = (0..queued_count(stream)).filter_map(|nth| queued(stream, nth));
            lane.queued = messages.map(|message| u64::from(message.len)).sum();
        }
    }

    /// PREPARE, START, STOP and whatever else keeps the messages.
    fn enter_state(&mut self, stream: usize) {
        let block = &self.block.streams[stream];
        let (wanted, actual) = (block.wanted.load(Acquire), block.actual.load(Acquire));
        let releasing = block.release_gen.load(Acquire) != block.released_gen.load(Acquire);
        if wanted == actual || releasing || !takes_messages(wanted) {
            return;
        }
        match wanted {
            stream_state::PREPARED => {
                self.accounts[stream].restart();
                put64(&block.bytes, 0);
            }
            stream_state::STOPPED => self.end_recording(stream),
            _ => {}
        }
        self.lanes[stream].starving = false;
        put32(&block.actual, wanted);
    }

    /// Capture ends: a part-filled message goes out with what it has.
    fn end_recording(&mut self, stream: usize) {
        let block = &self.block.streams[stream];
        let written = block.front_bytes.load(Acquire);
        if block.direction.load(Acquire) == direction::CAPTURE && written > 0 {
            self.end_front(stream, S_OK, block.latency_bytes.load(Acquire));
        }
    }

    /// Ends the front message with what was moved of it.
    fn end_front(&mut self, stream: usize, code: u32, latency_bytes: u32) {
        let block = &self.block.streams[stream];
        let Some(way) = way_of(block) else { return };
        let features = self.features();
        let queue = &mut self.queues[way];
        let Some(context) = queue.context(self.memory.as_ref(), features) else {
            return;
        };
        if let Some(message) = queued(block, 0) {
            let written = if way == 1 { block.front_bytes.load(Acquire) } else { 0 };
            let ending = Ending {
                code,
                latency_bytes,
                written,
            };
            let lane = (&mut self.lanes[stream], &mut self.accounts[stream]);
            queue.finish(&context, stream, &message, ending, lane);
        }
    }

    /// Looks at one ring; true when every message the driver had made available is sorted.
    fn serve(&mut self, way: usize) -> bool {
        let features = self.features();
        let queue = &mut self.queues[way];
        let Some(context) = queue.context(self.memory.as_ref(), features) else {
            return true;
        };
        if queue.begin(&context, &mut self.accounts) {
            for (stream, block) in self.block.streams.iter().enumerate() {
                if way_of(block) == Some(way) {
                    let buffer = u64::from(block.buffer_bytes.load(Acquire));
                    self.accounts[stream].inherit(self.lanes[stream].queued, buffer);
                }
            }
        }
        let caught_up = queue.sort(&context, &mut self.lanes);
        for stream in self.streams() {
            if way_of(&self.block.streams[stream]) == Some(way) {
                self.let_go(stream);
            }
        }
        caught_up
    }

    /// Completes a message that was held back, once the driver has looked or the time is up.
    fn let_go(&mut self, stream: usize) {
        let block = &self.block.streams[stream];
        let Some(message) = queued(block, 0).filter(|message| block.front_bytes.load(Acquire) >= message.len) else {
            return;
        };
        let buffer = u64::from(block.buffer_bytes.load(Acquire));
        let lane = &mut self.lanes[stream];
        let hold = lane.hold.get_or_insert_with(Hold::default);
        hold.periods += 1;
        if hold.over(buffer) || self.accounts[stream].may_complete(message.len, lane.queued, buffer) {
            self.end_front(stream, S_OK, block.latency_bytes.load(Acquire));
            count32(&block.periods);
            self.news |= news::asked_for_periods(block);
        }
    }

    /// Returns the messages of streams that keep none, and settles those streams. False while some are left.
    fn release(&mut self, way: usize, caught_up: bool) -> bool {
        let waits = self.queues[way].running() && (self.memory.is_none() || !caught_up);
        let mut settled = true;
        for stream in self.streams() {
            let block = &self.block.streams[stream];
            if way_of(block) != Some(way) {
                continue;
            }
            let release = block.release_gen.load(Acquire);
            let releasing = release != block.released_gen.load(Acquire);
            let wanted = block.wanted.load(Acquire);
            let idle = block.actual.load(Acquire) == wanted && queued_count(block) == 0;
            if !releasing && (takes_messages(wanted) || idle) {
                continue;
            }
            if waits || !self.return_all(stream) {
                settled = false;
                continue;
            }
            self.publish(way);
            put32(&block.actual, wanted);
            if releasing {
                put32(&block.released_gen, release);
            }
        }
        settled
    }

    /// True when nothing is left that could be returned.
    fn return_all(&mut self, stream: usize) -> bool {
        let block = &self.block.streams[stream];
        while let Some(way) = way_of(block).filter(|way| self.queues[*way].running() && queued_count(block) > 0) {
            if !self.queues[way].may_return() {
                return false;
            }
            self.end_front(stream, S_OK, 0);
        }
        true
    }

    fn publish(&mut self, way: usize) {
        let features = self.features();
        if let Some(context) = self.queues[way].context(self.memory.as_ref(), features) {
            self.queues[way].publish(&context);
        }
    }

    /// Bytes that `pull` can give now; 0 unless the stream runs.
    pub fn readable(&self, stream: usize) -> usize {
        self.movable(stream, direction::PLAYBACK)
    }

    /// Bytes that `push` can take now; 0 unless the stream runs.
    pub fn writable(&self, stream: usize) -> usize {
        self.movable(stream, direction::CAPTURE)
    }

    fn movable(&self, stream: usize, way: u32) -> usize {
        let Some(block) = self.stream(stream).filter(|block| served(block, way)) else {
            return 0;
        };
        let ring = &self.block.queues[if way == direction::CAPTURE { RXQ } else { TXQ }];
        if ring.actual.load(Acquire) != ring_state::RUNNING || self.memory.is_none() {
            return 0;
        }
        let left = self.lanes[stream]
            .queued
            .saturating_sub(u64::from(block.front_bytes.load(Acquire)));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Copies the stream's oldest bytes out of guest memory; fewer than asked for is an xrun, counted once until a pull is
    /// filled again. To be asked for what the period needs even when `readable` says less. A message is returned with its
    /// last byte and carries `latency_bytes`: this stream's bytes pulled and not yet played.
    pub fn pull(&mut self, stream: usize, into: &mut [u8], latency_bytes: u32) -> usize {
        self.transfer(stream, direction::PLAYBACK, Io::Pull(into), latency_bytes)
    }

    /// Copies recorded bytes into the stream's oldest buffers; the counterpart of [`DeviceRings::pull`].
    pub fn push(&mut self, stream: usize, from: &[u8], latency_bytes: u32) -> usize {
        self.transfer(stream, direction::CAPTURE, Io::Push(from), latency_bytes)
    }

    fn transfer(&mut self, stream: usize, way: u32, mut io: Io<'_>, latency_bytes: u32) -> usize {
        let Some(block) = self.stream(stream).filter(|block| served(block, way)) else {
            return 0;
        };
        let features = self.features();
        let queue = usize::from(way == direction::CAPTURE);
        let periods = block.periods.load(Acquire);
        let mut moved = 0;
        if let Some(context) = self.queues[queue].context(self.memory.as_ref(), features) {
            let mut step = Step {
                context: &context,
                queue: &mut self.queues[queue],
                lane: &mut self.lanes[stream],
                account: &mut self.accounts[stream],
                block,
                stream,
                way,
                latency_bytes,
            };
            while moved < io.len() {
                match step.take(&mut io, moved) {
                    Some(more) => moved += more,
                    None => break,
                }
            }
        }
        let lane = &mut self.lanes[stream];
        let short = moved < io.len();
        if let Some(hold) = lane.hold.as_mut() {
            hold.asked += (io.len() - moved) as u64;
        }
        if short && !lane.starving {
            count32(&block.xruns);
            self.news = true;
        }
        self.news |= block.periods.load(Acquire) != periods && news::asked_for_periods(block);
        lane.starving = short;
        if moved > 0 {
            add64(&block.bytes, moved as u64);
        }
        put32(&block.latency_bytes, latency_bytes);
        moved
    }

    /// Ends a period: publishes what is done and calls the guest, at most once a queue.
    pub fn end_period(&mut self) {
        let features = self.features();
        for queue in &mut self.queues {
            if let Some(context) = queue.context(self.memory.as_ref(), features) {
                queue.publish(&context);
                queue.notify(&context);
            }
        }
    }
}

/// What moving bytes of one stream needs.
struct Step<'s, 'a, 'm> {
    context: &'s Context<'m>,
    queue: &'s mut Queue<'a>,
    lane: &'s mut Lane,
    account: &'s mut Account,
    block: &'a StreamBlock,
    stream: usize,
    way: u32,
    latency_bytes: u32,
}

impl Step<'_, '_, '_> {
    /// Moves bytes of the front message; `None` when no more can be moved now.
    fn take(&mut self, io: &mut Io<'_>, at: usize) -> Option<usize> {
        let message = queued(self.block, 0)?;
        let from = self.block.front_bytes.load(Acquire);
        let want = (io.len() - at).min(message.len.saturating_sub(from) as usize);
        // A split status costs a walk to find again: within the queue's budget only.
        if want == 0 || (message.status == SPLIT && !self.queue.may_return()) {
            return None;
        }
        let before = self.lane.budget;
        let copied = self.lane.copy(self.context, self.way, &message, from, io, (at, want));
        self.queue.reads += u64::from(before - self.lane.budget);
        if self.context.memory.gone() {
            self.queue.break_with(fault::MEMORY_GONE);
            return None;
        }
        match copied {
            Ok(0) => None,
            Ok(copied) => {
                let now = from + copied as u32;
                put32(&self.block.front_bytes, now);
                if now == message.len && self.may_end(message.len) {
                    count32(&self.block.periods);
                    self.end(&message, S_OK, now);
                }
                Some(copied)
            }
            Err(code) => {
                put32(&self.block.fault, code);
                count32(&self.block.refused);
                self.end(&message, S_IO_ERR, from);
                Some(0)
            }
        }
    }

    /// Whether the message just consumed may complete now; if not, it is held.
    fn may_end(&mut self, len: u32) -> bool {
        let buffer = u64::from(self.block.buffer_bytes.load(Acquire));
        let may = self.account.may_complete(len, self.lane.queued, buffer);
        if !may {
            self.lane.hold = Some(Hold::default());
            count32(&self.block.laps_held);
        }
        may
    }

    fn end(&mut self, message: &journal::Queued, code: u32, moved: u32) {
        let ending = Ending {
            code,
            latency_bytes: self.latency_bytes,
            written: if self.way == direction::CAPTURE { moved } else { 0 },
        };
        self.queue
            .finish(self.context, self.stream, message, ending, (self.lane, self.account));
    }
}

/// Which of `DeviceRings::queues` a stream belongs to.
fn way_of(stream: &StreamBlock) -> Option<usize> {
    match stream.direction.load(Acquire) {
        direction::PLAYBACK => Some(0),
        direction::CAPTURE => Some(1),
        _ => None,
    }
}

fn served(stream: &StreamBlock, way: u32) -> bool {
    stream.direction.load(Acquire) == way && stream.actual.load(Acquire) == stream_state::RUNNING
}
