//! Rings started and stopped, and the descriptors that belong to them.
//!
//! ```text
//!  tx, rx:   STOPPED ──set up, enabled, kick given, memory mapped──► wanted RUNNING
//!               ▲                                                        │ GET_VRING_BASE, disabled, new table, closed
//!               └────────────── engine acknowledges ◄── wanted STOPPED ◄─┘
//! ```
//! The control and event queues are ours: they start and stop at once, but that a decided request is answered first.

use std::sync::atomic::Ordering::Acquire;

use super::words::Decided;
use super::{Output, Session, Slot};
use crate::block::{CONTROLQ, EVENTQ, RXQ, TXQ, fault, ring_state};
use crate::memory::Call;
use crate::ring::store::put32;

pub(super) fn slot_of(kind: Kind, queue: usize) -> Slot {
    match kind {
        Kind::Kick => Slot::Kick(queue),
        Kind::Call => Slot::Call(queue),
        Kind::Err => Slot::Err(queue),
    }
}

/// What a queue's descriptor is for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Kick,
    Call,
    Err,
}

impl Session {
    /// Whether the queue is served, or about to be.
    pub(super) fn runs(&self, queue: usize) -> bool {
        let ring = &self.block.queues[queue];
        match queue {
            TXQ | RXQ => ring.wanted.load(Acquire) == ring_state::RUNNING,
            _ => ring.actual.load(Acquire) == ring_state::RUNNING,
        }
    }

    /// Wishes a state for a queue; own queues only stop here, `settle_rings` starts them.
    pub(super) fn want(&mut self, queue: usize, state: u32) {
        let block = self.block.clone();
        let ring = &block.queues[queue];
        match queue {
            CONTROLQ | EVENTQ if state == ring_state::STOPPED => self.own[queue].stop(ring),
            CONTROLQ | EVENTQ => {}
            _ if ring.wanted.load(Acquire) == state => {}
            _ => {
                put32(&ring.wanted, state);
                self.raise();
            }
        }
    }

    /// Stops a queue; false while somebody has still to let go of it.
    pub(super) fn stopped(&mut self, queue: usize) -> bool {
        match queue {
            // A decided request is answered first: the engine is at it.
            CONTROLQ if self.runs(CONTROLQ) && Decided::recorded(&self.block).is_some() => false,
            CONTROLQ | EVENTQ => {
                self.want(queue, ring_state::STOPPED);
                true
            }
            _ => {
                self.want(queue, ring_state::STOPPED);
                self.synced() && self.block.queues[queue].actual.load(Acquire) == ring_state::STOPPED
            }
        }
    }

    /// Puts a queue's descriptor in its place; whether there was one.
    pub(super) fn put(&mut self, queue: usize, kind: Kind, taken: Option<Call>) -> bool {
        let fds = &mut self.fds[queue];
        let place = match kind {
            Kind::Call => return std::mem::replace(&mut fds.call, taken).is_some(),
            Kind::Kick => &mut fds.kick,
            Kind::Err => &mut fds.err,
        };
        let event = match taken {
            Some(Call::Event(event)) => Some(event),
            _ => None,
        };
        std::mem::replace(place, event).is_some()
    }

    pub(super) fn drop_fd(&mut self, queue: usize, kind: Kind, out: &mut Vec<Output>) {
        if self.put(queue, kind, None) {
            let slot = slot_of(kind, queue);
            self.note_fd(queue, kind, false);
            out.push(Output::Drop { slot });
        }
    }

    pub(super) fn note_fd(&self, queue: usize, kind: Kind, there: bool) {
        let ring = &self.block.queues[queue];
        let (bit, fds) = (1 << kind as u32, ring.fds.load(Acquire));
        put32(&ring.fds, if there { fds | bit } else { fds & !bit });
        put32(&ring.fd_gen, ring.fd_gen.load(Acquire).wrapping_add(1));
    }

    /// Whether the front end has said everything that a queue needs to run.
    pub(super) fn ready(&self, queue: usize) -> bool {
        let ring = &self.block.queues[queue];
        let set = ring.size.load(Acquire) != 0 && ring.desc.load(Acquire) != 0;
        self.socket.is_some()
            && !self.link.unsure
            && set
            && self.memory.is_some()
            && ring.enabled.load(Acquire) == 1
            && ring.started.load(Acquire) == 1
    }

    pub(super) fn engine_has_memory(&self) -> bool {
        self.block.engine_mem_gen.load(Acquire) == self.block.mem_gen.load(Acquire)
    }

    /// Whether `settle_rings` has something to start, now or when the engine has mapped the memory.
    pub(super) fn ring_waits(&self) -> bool {
        let waits = |queue: usize| self.ready(queue) && !self.runs(queue) && !self.link.hold;
        [TXQ, RXQ].into_iter().any(waits)
    }

    /// Whether tx or rx is on its way to running.
    pub(super) fn rings_begin(&self) -> bool {
        self.link.hold || self.ring_waits() || !self.synced()
    }

    /// Starts the queues that are ready.
    pub(super) fn settle_rings(&mut self, out: &mut Vec<Output>) {
        for queue in [TXQ, RXQ] {
            if self.ready(queue) && !self.link.hold && self.engine_has_memory() {
                self.want(queue, ring_state::RUNNING);
            }
        }
        for queue in [CONTROLQ, EVENTQ] {
            let stopped = self.block.queues[queue].actual.load(Acquire) == ring_state::STOPPED;
            if stopped && self.ready(queue) {
                self.start_own(queue, out);
            }
        }
    }

    pub(super) fn start_own(&mut self, queue: usize, out: &mut Vec<Output>) {
        let block = self.block.clone();
        let ring = &block.queues[queue];
        let features = self.features();
        let started = self.start_on(queue, out, features);
        if let Err(code) = started {
            self.own[queue].break_with(ring, code);
        }
    }

    pub(super) fn start_on(&mut self, queue: usize, out: &mut Vec<Output>, features: u64) -> Result<(), u32> {
        let block = self.block.clone();
        let ring = &block.queues[queue];
        let memory = self.memory.as_ref().ok_or(fault::OUTSIDE_MEMORY)?;
        if queue == CONTROLQ {
            // A control queue from the beginning is a driver from the beginning. Before the queue runs: a successor that
            // finds it running takes the streams for what the driver knows.
            if !self.own[queue].resumes(ring, memory)? {
                self.reset_streams(out);
            } else if std::mem::take(&mut self.link.fresh) {
                self.say_what_is(out);
            }
        }
        let memory = self.memory.as_ref().ok_or(fault::OUTSIDE_MEMORY)?;
        self.own[queue].start(ring, memory, features)
    }
}
