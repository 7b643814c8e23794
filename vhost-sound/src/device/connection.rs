//! What vhost-user messages do to the device: rings, memory, descriptors, the end of a connection.
//!
//! ```text
//!  tx, rx:   STOPPED ──set up, enabled, kick given, memory mapped──► wanted RUNNING
//!               ▲                                                        │ GET_VRING_BASE, disabled, new table, closed
//!               └────────────── engine acknowledges ◄── wanted STOPPED ◄─┘
//! ```
//! Handling a message twice is handling it once, so one that must wait stays on the socket and is handled again.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::Acquire;

use super::words::{self, Decided, REPLYING};
use super::{BUDGET, Level, Output, Session, Slot};
use crate::block::{CONTROLQ, EVENTQ, QUEUES, RXQ, TXQ, fault, ring_state};
use crate::link::message::{F_PROTOCOL_FEATURES, MAX_CONFIG, MemoryRegion, VringAddress, protocol};
use crate::link::{Message, Peeked, Request, Socket};
use crate::memory::{EventFd, GuestMemory, RegionSpec};
use crate::ring::store::{put32, put64};
use crate::wire::{CONFIG_BYTES, F_CTLS, F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1, words as bytes_of};

/// How far the oldest message has come.
#[derive(Default)]
pub(super) struct State {
    /// Handled; taken off the socket, and answered, in the next call.
    done: Option<Done>,
    /// It must wait for the engine.
    parked: bool,
    /// It is not all there, or the peer does not read.
    half: bool,
    /// The predecessor's connection.
    pub(super) inherited: Option<OwnedFd>,
    /// tx and rx are to stay stopped while a message waits.
    hold: bool,
    /// This connection's control queue has not yet been started.
    fresh: bool,
    /// Kept files of regions that are in no table any more.
    pub(super) stale: Vec<usize>,
}

struct Done {
    len: usize,
    reply: Option<Vec<u8>>,
}

impl State {
    pub(super) fn waits(&self) -> bool {
        self.parked || self.half
    }

    pub(super) fn waits_for_engine(&self) -> bool {
        self.parked
    }

    pub(super) fn unfinished(&self) -> bool {
        self.done.is_some() && !self.half
    }
}

/// What handling a message came to.
enum Step {
    /// Done; with a reply, if the message has one of its own.
    Done(Option<Vec<u8>>),
    /// The engine has to do something first.
    Wait,
    /// It cannot be, and why.
    Refused(String),
}

const DONE: Step = Step::Done(None);

fn slot_of(kind: Kind, queue: usize) -> Slot {
    match kind {
        Kind::Kick => Slot::Kick(queue),
        Kind::Call => Slot::Call(queue),
        Kind::Err => Slot::Err(queue),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Kick,
    Call,
    Err,
}

impl Session {
    fn offered(&self) -> u64 {
        let controls = if self.elements.is_empty() { 0 } else { F_CTLS };
        F_VERSION_1 | F_EVENT_IDX | F_INDIRECT_DESC | F_PROTOCOL_FEATURES | controls
    }

    fn protocol(&self, feature: u64) -> bool {
        self.block.session.protocol_features.load(Acquire) & feature != 0
    }

    pub(super) fn may_accept(&self) -> bool {
        self.socket.is_none() && self.link.inherited.is_none() && !self.deaf && !self.to_forget()
    }

    pub(super) fn accept(&mut self, out: &mut Vec<Output>) {
        let Some(listener) = self.listener.as_ref().filter(|_| self.may_accept()) else {
            return;
        };
        let accepted = Socket::accept(listener.as_fd());
        let kept = |socket: Socket| socket.as_fd().try_clone_to_owned().map(|fd| (socket, fd));
        match accepted.and_then(|socket| socket.map(kept).transpose()) {
            Ok(None) => {}
            Ok(Some((socket, fd))) => {
                let session = &self.block.session;
                put32(
                    &session.connection_gen,
                    session.connection_gen.load(Acquire).wrapping_add(1),
                );
                put32(&session.connected, 1);
                let slot = Slot::Connection;
                out.push(Output::Keep { slot, fd });
                out.push(Output::Connected);
                self.socket = Some(socket);
                self.link.fresh = true;
            }
            Err(error) => {
                // Out of descriptors, most likely: the caller would be told of the same connection at once again.
                self.deaf = true;
                self.log(out, Level::Warn, format!("a front end could not be accepted: {error}"));
            }
        }
    }

    /// The predecessor's connection, if it had not begun to close it.
    pub(super) fn greet_inherited(&mut self, out: &mut Vec<Output>) {
        let inherited = self.link.inherited.take();
        let connected = self.block.session.connected.load(Acquire) == 1;
        if self.socket.is_some() || (inherited.is_none() && !connected) {
            return;
        }
        let unmapped = self.memory.is_none() && self.block.region_count.load(Acquire) > 0;
        match inherited.filter(|_| connected).map(Socket::new) {
            Some(Ok(socket)) if !unmapped => self.socket = Some(socket),
            _ => self.close(out, "it did not outlive the control process".into()),
        }
    }

    /// Ends the connection. Streams stay as they are until a driver is seen to begin anew.
    fn close(&mut self, out: &mut Vec<Output>, reason: String) {
        put32(&self.block.session.connected, 0);
        self.socket = None;
        self.link = State::default();
        out.push(Output::Drop { slot: Slot::Connection });
        for queue in 0..QUEUES {
            let ring = &self.block.queues[queue];
            put32(&ring.enabled, 0);
            put32(&ring.started, 0);
            self.want(queue, ring_state::STOPPED);
            for kind in [Kind::Kick, Kind::Call, Kind::Err] {
                self.drop_fd(queue, kind, out);
            }
        }
        let session = &self.block.session;
        put64(&session.features, 0);
        put64(&session.protocol_features, 0);
        put32(&session.owned, 0);
        words::set(&self.block, words::FEATURES_SET, 0);
        words::set(&self.block, REPLYING, 0);
        out.push(Output::Closed { reason });
    }

    /// A closed connection's memory is still the engine's.
    pub(super) fn to_forget(&self) -> bool {
        let session = &self.block.session;
        session.connected.load(Acquire) == 0 && (self.block.region_count.load(Acquire) > 0 || !self.synced())
    }

    /// What a predecessor may have wanted to say of memory and could not.
    pub(super) fn say_memory(&mut self, out: &mut Vec<Output>) {
        let stale = std::mem::take(&mut self.link.stale);
        let block = &self.block;
        if !stale.is_empty() && block.region_count.load(Acquire) == 0 {
            put32(&block.mem_gen, block.mem_gen.load(Acquire).wrapping_add(1));
        }
        if !self.engine_has_memory() {
            out.push(Output::Memory {
                generation: self.block.mem_gen.load(Acquire),
            });
        }
        out.extend(stale.into_iter().map(|region| Output::Drop {
            slot: Slot::Region(region),
        }));
    }

    /// Gives a closed connection's memory up, once the engine has stopped its rings.
    pub(super) fn forget_connection(&mut self, out: &mut Vec<Output>) {
        if !self.to_forget() || self.link.inherited.is_some() || !self.synced() {
            return;
        }
        let count = self.block.region_count.load(Acquire) as usize;
        put32(&self.block.region_count, 0);
        let generation = self.block.mem_gen.load(Acquire).wrapping_add(1);
        put32(&self.block.mem_gen, generation);
        self.memory = None;
        out.push(Output::Memory { generation });
        out.extend((0..count).map(|region| Output::Drop {
            slot: Slot::Region(region),
        }));
    }

    /// Handles what lies on the socket.
    pub(super) fn serve_link(&mut self, out: &mut Vec<Output>) {
        self.link.hold = false;
        self.link.parked = false;
        self.link.half = false;
        for _ in 0..BUDGET {
            if let Some(done) = self.link.done.take() {
                match self.finish(&done) {
                    Ok(true) => continue,
                    Ok(false) => {
                        self.link.done = Some(done);
                        self.link.half = true;
                        return;
                    }
                    Err(error) => return self.close(out, format!("the reply could not be sent: {error}")),
                }
            }
            let Some(socket) = &self.socket else { return };
            match socket.peek() {
                Peeked::Nothing => return,
                Peeked::Half => {
                    self.link.half = true;
                    return;
                }
                Peeked::Closed => return self.close(out, "closed by the front end".into()),
                Peeked::Malformed(error) => return self.reject(out, error.to_string()),
                Peeked::Failed(error) => return self.reject(out, error),
                Peeked::Whole {
                    message,
                    fds,
                    len,
                    more,
                } => {
                    if !self.message(&message, fds, (len, more), out) {
                        return;
                    }
                }
            }
        }
        self.soon = true;
    }

    fn reject(&mut self, out: &mut Vec<Output>, why: String) {
        self.log(out, Level::Warn, format!("vhost-user connection closed: {why}"));
        self.close(out, why);
    }

    /// One message. True: the next one may be looked at.
    fn message(
        &mut self,
        message: &Message,
        fds: Vec<OwnedFd>,
        (len, more): (usize, bool),
        out: &mut Vec<Output>,
    ) -> bool {
        let before = out.len();
        let acknowledged = message.need_reply && self.protocol(protocol::REPLY_ACK);
        let reply = match self.handle(message, fds, out) {
            Step::Wait => {
                self.link.parked = true;
                return false;
            }
            Step::Done(None) => acknowledged.then(|| message.reply_u64(0)),
            Step::Done(reply) => reply,
            Step::Refused(why) if acknowledged => {
                self.log(
                    out,
                    Level::Warn,
                    format!("vhost-user message {} refused: {why}", message.number),
                );
                Some(message.reply_u64(1))
            }
            Step::Refused(why) => {
                self.reject(out, format!("message {}: {why}", message.number));
                return false;
            }
        };
        let reply = reply.filter(|_| !self.was_answered(more));
        self.link.done = Some(Done { len, reply });
        // Kept descriptors must be in other hands before the socket lets go of them.
        !out[before..].iter().any(|output| matches!(output, Output::Keep { .. }))
    }

    /// Whether a predecessor died between sending a reply and taking its message off. A peer that has read it and not yet
    /// gone on cannot be told from one that still waits; that one gets its reply.
    fn was_answered(&mut self, more: bool) -> bool {
        let doubt = words::get(&self.block, REPLYING) == 1;
        doubt && (more || self.socket.as_ref().is_some_and(Socket::unread))
    }

    /// Sends the reply and takes the message off; false when the peer has to read first.
    fn finish(&mut self, done: &Done) -> std::io::Result<bool> {
        let Some(socket) = &self.socket else {
            return Ok(true);
        };
        if let Some(reply) = &done.reply {
            words::set(&self.block, REPLYING, 1);
            if !socket.send(reply)? {
                words::set(&self.block, REPLYING, 0);
                return Ok(false);
            }
        }
        socket.take(done.len)?;
        words::set(&self.block, REPLYING, 0);
        Ok(true)
    }

    fn handle(&mut self, message: &Message, fds: Vec<OwnedFd>, out: &mut Vec<Output>) -> Step {
        let number = |value: u64| Step::Done(Some(message.reply_u64(value)));
        match &message.request {
            Request::GetFeatures => number(self.offered()),
            Request::SetFeatures(features) => self.set_features(*features),
            Request::SetOwner => {
                put32(&self.block.session.owned, 1);
                DONE
            }
            Request::ResetOwner => DONE,
            Request::SetMemTable(regions) => self.set_memory(regions, fds, out),
            Request::GetProtocolFeatures => number(protocol::OFFERED),
            Request::SetProtocolFeatures(features) if features & !protocol::OFFERED != 0 => {
                Step::Refused(format!("protocol features {features:#x} are not all offered"))
            }
            Request::SetProtocolFeatures(features) => {
                put64(&self.block.session.protocol_features, *features);
                DONE
            }
            Request::GetQueueNum => number(QUEUES as u64),
            Request::GetConfig(offset, size, flags) => {
                Step::Done(Some(message.reply(&self.config_bytes(*offset, *size, *flags))))
            }
            Request::SetConfig => Step::Refused("the configuration space is read-only".into()),
            Request::ResetDevice => self.reset(out),
            other => self.queue_message(other, message, fds, out),
        }
    }

    fn queue_message(
        &mut self,
        request: &Request,
        message: &Message,
        fds: Vec<OwnedFd>,
        out: &mut Vec<Output>,
    ) -> Step {
        let queue = match request {
            Request::SetVringNum(queue, _)
            | Request::SetVringAddr(queue, _)
            | Request::SetVringBase(queue, _)
            | Request::GetVringBase(queue)
            | Request::SetVringKick(queue, _)
            | Request::SetVringCall(queue, _)
            | Request::SetVringErr(queue, _)
            | Request::SetVringEnable(queue, _) => *queue as usize,
            _ => QUEUES,
        };
        if queue >= QUEUES {
            return Step::Refused(format!("there are {QUEUES} queues, it names queue {queue}"));
        }
        let fd = fds.into_iter().next();
        match request {
            Request::SetVringNum(_, size) => self.set_size(queue, *size),
            Request::SetVringAddr(_, address) => self.set_addresses(queue, address),
            Request::SetVringBase(_, base) => self.set_base(queue, *base),
            Request::GetVringBase(_) => self.get_base(queue, message, out),
            Request::SetVringKick(..) => self.set_fd(queue, Kind::Kick, fd, out),
            Request::SetVringCall(..) => self.set_fd(queue, Kind::Call, fd, out),
            Request::SetVringErr(..) => self.set_fd(queue, Kind::Err, fd, out),
            Request::SetVringEnable(_, on) => self.enable(queue, *on),
            _ => DONE,
        }
    }

    fn set_features(&mut self, features: u64) -> Step {
        let extra = features & !self.offered();
        if extra != 0 {
            return Step::Refused(format!("features {extra:#x} are not offered"));
        }
        let session = &self.block.session;
        let known = words::get(&self.block, words::FEATURES_SET) == 1;
        let changed = !known || session.features.load(Acquire) != features;
        if changed && (0..QUEUES).any(|queue| self.runs(queue)) {
            return Step::Refused("features cannot change under running queues".into());
        }
        put64(&session.features, features);
        put64(&self.block.ring_features, features & (F_EVENT_IDX | F_INDIRECT_DESC));
        words::set(&self.block, words::FEATURES_SET, 1);
        if changed && features & F_PROTOCOL_FEATURES == 0 {
            for queue in &self.block.queues {
                put32(&queue.enabled, 1);
            }
        }
        DONE
    }

    /// `virtio_vhost_user_config` and the bytes asked for; none of them when they are beyond any configuration space.
    fn config_bytes(&self, offset: u32, size: u32, flags: u32) -> Vec<u8> {
        let end = offset.checked_add(size).filter(|end| *end <= MAX_CONFIG);
        let size = if end.is_some() { size } else { 0 };
        let mut reply: Vec<u8> = [offset, size, flags]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let set = words::get(&self.block, words::FEATURES_SET) == 1;
        let controls = if set && self.features() & F_CTLS == 0 {
            0
        } else {
            self.elements.len()
        };
        let counts = [
            self.config.jacks.len().min(super::MAX_JACKS),
            self.config.streams.len(),
            self.config.channel_maps.len(),
            controls,
        ];
        let mut space = bytes_of(&counts.map(|count| count as u32));
        debug_assert_eq!(space.len(), CONFIG_BYTES);
        space.resize(MAX_CONFIG as usize, 0);
        reply.extend(&space[offset.min(MAX_CONFIG) as usize..][..size as usize]);
        reply
    }

    /// Whether the queue is served, or about to be.
    fn runs(&self, queue: usize) -> bool {
        let ring = &self.block.queues[queue];
        match queue {
            TXQ | RXQ => ring.wanted.load(Acquire) == ring_state::RUNNING,
            _ => ring.actual.load(Acquire) == ring_state::RUNNING,
        }
    }

    /// Wishes a state for a queue; own queues only stop here, `settle_rings` starts them.
    fn want(&mut self, queue: usize, state: u32) {
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
    fn stopped(&mut self, queue: usize) -> bool {
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

    /// Whether the queue's set-up may change.
    fn changeable(&mut self, queue: usize) -> Result<(), Step> {
        if self.runs(queue) {
            return Err(Step::Refused(format!("queue {queue} is running")));
        }
        if self.stopped(queue) { Ok(()) } else { Err(Step::Wait) }
    }

    fn set_size(&mut self, queue: usize, size: u32) -> Step {
        let most = u32::from(self.config.queue_size);
        if !size.is_power_of_two() || size > most {
            return Step::Refused(format!(
                "queue {queue}: a size of {size} is no power of two up to {most}"
            ));
        }
        match self.changeable(queue) {
            Err(step) => step,
            Ok(()) => {
                put32(&self.block.queues[queue].size, size);
                DONE
            }
        }
    }

    fn set_addresses(&mut self, queue: usize, address: &VringAddress) -> Step {
        let aligned =
            address.desc.is_multiple_of(16) && address.avail.is_multiple_of(2) && address.used.is_multiple_of(4);
        if !aligned {
            return Step::Refused(format!(
                "queue {queue}: its areas are not aligned as virtio 1.3 §2.7 demands"
            ));
        }
        match self.changeable(queue) {
            Err(step) => step,
            Ok(()) => {
                let ring = &self.block.queues[queue];
                put64(&ring.desc, address.desc);
                put64(&ring.avail, address.avail);
                put64(&ring.used, address.used);
                DONE
            }
        }
    }

    fn set_base(&mut self, queue: usize, base: u32) -> Step {
        if base > 0xffff {
            return Step::Refused(format!("queue {queue}: {base} is no index of an available ring"));
        }
        match self.changeable(queue) {
            Err(step) => step,
            Ok(()) => {
                put32(&self.block.queues[queue].last_avail, base);
                DONE
            }
        }
    }

    fn get_base(&mut self, queue: usize, message: &Message, out: &mut Vec<Output>) -> Step {
        let block = self.block.clone();
        let ring = &block.queues[queue];
        put32(&ring.started, 0);
        if !self.stopped(queue) {
            return Step::Wait;
        }
        self.drop_fd(queue, Kind::Kick, out);
        let base = ring.last_avail.load(Acquire) & 0xffff;
        let state: Vec<u8> = [queue as u32, base]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        Step::Done(Some(message.reply(&state)))
    }

    fn enable(&mut self, queue: usize, on: bool) -> Step {
        put32(&self.block.queues[queue].enabled, u32::from(on));
        if on || self.stopped(queue) { DONE } else { Step::Wait }
    }

    fn place(&mut self, queue: usize, kind: Kind) -> &mut Option<EventFd> {
        let fds = &mut self.fds[queue];
        match kind {
            Kind::Kick => &mut fds.kick,
            Kind::Call => &mut fds.call,
            Kind::Err => &mut fds.err,
        }
    }

    fn drop_fd(&mut self, queue: usize, kind: Kind, out: &mut Vec<Output>) {
        if self.place(queue, kind).take().is_some() {
            let slot = slot_of(kind, queue);
            self.note_fd(queue, kind, false);
            out.push(Output::Drop { slot });
        }
    }

    fn note_fd(&self, queue: usize, kind: Kind, there: bool) {
        let ring = &self.block.queues[queue];
        let (bit, fds) = (1 << kind as u32, ring.fds.load(Acquire));
        put32(&ring.fds, if there { fds | bit } else { fds & !bit });
        put32(&ring.fd_gen, ring.fd_gen.load(Acquire).wrapping_add(1));
    }

    fn set_fd(&mut self, queue: usize, kind: Kind, fd: Option<OwnedFd>, out: &mut Vec<Output>) -> Step {
        match fd {
            None => self.drop_fd(queue, kind, out),
            Some(fd) => {
                let kept = fd.try_clone();
                match (EventFd::take(fd), kept) {
                    (Ok(taken), Ok(fd)) => {
                        *self.place(queue, kind) = Some(taken);
                        self.note_fd(queue, kind, true);
                        let slot = slot_of(kind, queue);
                        out.push(Output::Keep { slot, fd });
                    }
                    (Err(error), _) => return Step::Refused(format!("queue {queue}: {error}")),
                    (_, Err(error)) => return Step::Refused(format!("queue {queue}: {error}")),
                }
            }
        }
        match kind {
            Kind::Kick => put32(&self.block.queues[queue].started, 1),
            Kind::Call if queue <= EVENTQ => self.own[queue].call_changed(),
            _ => {}
        }
        DONE
    }

    /// A new memory table: tx and rx stop, the table is swapped, they go on.
    fn set_memory(&mut self, regions: &[MemoryRegion], files: Vec<OwnedFd>, out: &mut Vec<Output>) -> Step {
        self.link.hold = true;
        let stopped = [TXQ, RXQ].map(|queue| self.stopped(queue));
        if stopped != [true, true] {
            return Step::Wait;
        }
        self.link.hold = false;
        let specs: Vec<RegionSpec> = regions
            .iter()
            .map(|region| RegionSpec {
                gpa: region.gpa,
                len: region.len,
                front_end_addr: region.user,
                file_offset: region.offset,
            })
            .collect();
        let generation = self.block.mem_gen.load(Acquire).wrapping_add(1);
        let memory = match GuestMemory::map_cold(generation, &specs, &files) {
            Ok(memory) => memory,
            Err(error) => return Step::Refused(error.to_string()),
        };
        for warning in memory.warnings() {
            self.log(out, Level::Info, warning.to_string());
        }
        self.memory = Some(memory);
        let before = self.block.region_count.load(Acquire) as usize;
        for (cell, spec) in self.block.regions.iter().zip(&specs) {
            put64(&cell.gpa, spec.gpa);
            put64(&cell.len, spec.len);
            put64(&cell.front_end_addr, spec.front_end_addr);
            put64(&cell.file_offset, spec.file_offset);
        }
        put32(&self.block.region_count, specs.len() as u32);
        put32(&self.block.mem_gen, generation);
        for (region, fd) in files.into_iter().enumerate() {
            let slot = Slot::Region(region);
            out.push(Output::Keep { slot, fd });
        }
        out.extend((specs.len()..before).map(|region| Output::Drop {
            slot: Slot::Region(region),
        }));
        out.push(Output::Memory { generation });
        DONE
    }

    fn reset(&mut self, out: &mut Vec<Output>) -> Step {
        for queue in 0..QUEUES {
            put32(&self.block.queues[queue].started, 0);
            put32(&self.block.queues[queue].enabled, 0);
        }
        let stopped = [CONTROLQ, EVENTQ, TXQ, RXQ].map(|queue| self.stopped(queue));
        if stopped.contains(&false) {
            return Step::Wait;
        }
        for queue in 0..QUEUES {
            put32(&self.block.queues[queue].own_base, 0);
            self.drop_fd(queue, Kind::Kick, out);
        }
        self.reset_streams(out);
        DONE
    }

    /// Whether the front end has said everything that a queue needs to run.
    fn ready(&self, queue: usize) -> bool {
        let ring = &self.block.queues[queue];
        let set = ring.size.load(Acquire) != 0 && ring.desc.load(Acquire) != 0;
        self.socket.is_some()
            && set
            && self.memory.is_some()
            && ring.enabled.load(Acquire) == 1
            && ring.started.load(Acquire) == 1
    }

    fn engine_has_memory(&self) -> bool {
        self.block.engine_mem_gen.load(Acquire) == self.block.mem_gen.load(Acquire)
    }

    /// Whether `settle_rings` has something to start, now or when the engine has mapped the memory.
    pub(super) fn ring_waits(&self) -> bool {
        let waits = |queue: usize| self.ready(queue) && !self.runs(queue) && !self.link.hold;
        [TXQ, RXQ].into_iter().any(waits)
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

    fn start_own(&mut self, queue: usize, out: &mut Vec<Output>) {
        let block = self.block.clone();
        let ring = &block.queues[queue];
        let features = self.features();
        let started = self.start_on(queue, out, features);
        if let Err(code) = started {
            self.own[queue].break_with(ring, code);
        }
    }

    fn start_on(&mut self, queue: usize, out: &mut Vec<Output>, features: u64) -> Result<(), u32> {
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
