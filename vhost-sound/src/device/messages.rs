//! What each vhost-user message does. Handling one twice is handling it once, so one that must wait for the engine stays on
//! the socket and is handled again.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Acquire;

use super::rings::{Kind, slot_of};
use super::{Level, Output, Session, Slot, words};
use crate::block::{CONTROLQ, EVENTQ, QUEUES, RXQ, TXQ};
use crate::link::message::{F_PROTOCOL_FEATURES, MAX_CONFIG, MemoryRegion, VringAddress, protocol};
use crate::link::{Message, Request, Way};
use crate::memory::{Call, EventFd, EventFdError, GuestMemory, RegionSpec};
use crate::ring::store::{put32, put64};
use crate::wire::{CONFIG_BYTES, F_CTLS, F_EVENT_IDX, F_INDIRECT_DESC, F_VERSION_1, words as bytes_of};

/// What handling a message came to.
pub(super) enum Step {
    /// Done; with a reply, if the message has one of its own.
    Done(Option<Vec<u8>>),
    /// The engine has to do something first.
    Wait,
    /// It cannot be, and why.
    Refused(String),
}

const DONE: Step = Step::Done(None);

impl Session {
    fn offered(&self) -> u64 {
        let controls = if self.elements.is_empty() { 0 } else { F_CTLS };
        F_VERSION_1 | F_EVENT_IDX | F_INDIRECT_DESC | F_PROTOCOL_FEATURES | controls
    }

    fn offered_protocol(&self) -> u64 {
        protocol::OFFERED | self.way.protocol()
    }

    /// Kicks of this connection are messages.
    pub(super) fn kicked_in_band(&self) -> bool {
        self.block.session.protocol_features.load(Acquire) & protocol::INBAND_NOTIFICATIONS != 0
    }

    pub(super) fn handle(&mut self, message: &Message, fds: Vec<OwnedFd>, out: &mut Vec<Output>) -> Step {
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
            Request::GetProtocolFeatures => number(self.offered_protocol()),
            Request::SetProtocolFeatures(features) if features & !self.offered_protocol() != 0 => {
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
            Request::VringKick(_) if !self.kicked_in_band() => {
                Step::Refused("kicks by message were not negotiated".into())
            }
            // Own queues are looked at after every message; tx and rx are looked at every period.
            Request::VringKick(_) => DONE,
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

    fn set_fd(&mut self, queue: usize, kind: Kind, fd: Option<OwnedFd>, out: &mut Vec<Output>) -> Step {
        match fd {
            None => self.drop_fd(queue, kind, out),
            Some(fd) => {
                let kept = fd.try_clone();
                match (self.taken(kind, fd), kept) {
                    (Ok(taken), Ok(fd)) => {
                        self.put(queue, kind, Some(taken));
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

    /// Over AF_UNIX all are eventfds; calls of a window are words of its doorbell, which the link put there itself.
    fn taken(&self, kind: Kind, fd: OwnedFd) -> Result<Call, EventFdError> {
        match (&self.way, kind) {
            (Way::Window(_), Kind::Call) => Call::take(fd),
            _ => EventFd::take(fd).map(Call::Event),
        }
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
        self.link.unsure = false;
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
}
