//! The control queue answered, events sent, broken queues told of.

use std::sync::atomic::Ordering::Acquire;

use super::request::{Judge, Verdict};
use super::words::{self, Decided, Effect};
use super::{BUDGET, Level, Output, Session, events};
use crate::block::{CONTROLQ, EVENTQ, RXQ, TXQ, fault, ring_state};
use crate::ring::chain::Context;
use crate::wire::{self, F_CTLS, Status};

impl Session {
    /// Answers what can be answered on the control queue.
    pub(super) fn serve_control(&mut self, out: &mut Vec<Output>) {
        self.postponed = false;
        if self.link.unsure {
            return;
        }
        let block = self.block.clone();
        let ring = &block.queues[CONTROLQ];
        let rings_begin = self.rings_begin();
        // Out of `self` while its areas are borrowed.
        let memory = self.memory.take();
        let features = self.features();
        match self.own[CONTROLQ].context(ring, memory.as_ref(), features) {
            Ok(None) => {}
            Ok(Some(context)) => {
                let mut left = BUDGET;
                let done = loop {
                    match self.answer_next(&context, rings_begin, out) {
                        Ok(true) if left > 0 => left -= 1,
                        Ok(true) => {
                            self.soon = true;
                            break Ok(());
                        }
                        Ok(false) => {
                            let after = ring.last_avail.load(Acquire) as u16;
                            let more = self.own[CONTROLQ].ask_for_kick(ring, &context, after);
                            self.soon |= more && !self.parked();
                            break Ok(());
                        }
                        Err(code) => break Err(code),
                    }
                };
                self.own[CONTROLQ].notify(ring, &context, self.fds[CONTROLQ].call.as_ref());
                if let Err(code) = done {
                    self.own[CONTROLQ].break_with(ring, code);
                }
            }
            Err(code) => self.own[CONTROLQ].break_with(ring, code),
        }
        self.memory = memory;
    }

    /// One request. False: there is none, or it must wait for the engine.
    fn answer_next(&mut self, context: &Context<'_>, rings_begin: bool, out: &mut Vec<Output>) -> Result<bool, u32> {
        let block = self.block.clone();
        let ring = &block.queues[CONTROLQ];
        if let Some(decided) = Decided::recorded(&block) {
            return self.answer_decided(context, decided, out);
        }
        let Some(chain) = self.own[CONTROLQ].next(ring, context)? else {
            return Ok(false);
        };
        if chain.room() < 4 {
            self.own[CONTROLQ].used(ring, context, chain.head, 0);
            return Ok(true);
        }
        let judge = Judge {
            config: &self.config,
            block: &block,
            elements: &self.elements,
            controls: self.features() & F_CTLS != 0,
            avail: ring.last_avail.load(Acquire) as u16,
        };
        let verdict = if chain.fault == fault::NONE {
            judge.judge(&chain.request, chain.room())
        } else {
            Verdict::Answer(wire::words(&[Status::BadMsg as u32]))
        };
        let answer = match verdict {
            Verdict::Answer(answer) => answer,
            Verdict::Refused(status, why) => {
                self.log(out, Level::Warn, why);
                wire::words(&[status as u32])
            }
            Verdict::Written { element, changed } => {
                if changed {
                    words::raise(&block, words::ELEMENT, element);
                    out.push(self.user(self.elements[element].stream));
                }
                wire::words(&[Status::Ok as u32])
            }
            // It is about the messages made available before it, and they come by rings that do not run yet.
            Verdict::Decided(_) if rings_begin => {
                self.postponed = true;
                return Ok(false);
            }
            Verdict::Decided(decided) => {
                decided.record(&block);
                self.carry_out(decided, out);
                return Ok(true);
            }
        };
        let written = chain.write(context.memory, &answer);
        self.own[CONTROLQ].used(ring, context, chain.head, written);
        Ok(true)
    }

    fn carry_out(&mut self, decided: Decided, out: &mut Vec<Output>) {
        if decided.effect == Effect::Start {
            // A new driver run: its xruns start here.
            let stream = &self.block.streams[decided.stream];
            words::set(
                &self.block,
                words::xruns_seen(decided.stream),
                stream.xruns.load(Acquire),
            );
        }
        decided.carry_out(&self.block);
        self.raise();
        if decided.effect != Effect::Start {
            self.tell(decided, out);
        }
    }

    fn tell(&self, decided: Decided, out: &mut Vec<Output>) {
        if let Some(what) = self.change(decided.stream, decided.state) {
            out.push(Output::Stream {
                stream: decided.stream,
                what,
            });
        }
    }

    /// Answers the decided request, if the engine has done its part.
    ///
    /// Only an answered START is told on: the engine pulls nothing before somebody has decided about it, so that a driver that
    /// waits for the answer still has its whole ring when it goes on.
    fn answer_decided(&mut self, context: &Context<'_>, decided: Decided, out: &mut Vec<Output>) -> Result<bool, u32> {
        let block = self.block.clone();
        let ring = &block.queues[CONTROLQ];
        let answered = ring.last_avail.load(Acquire) as u16 != decided.avail;
        if !answered && !self.synced() {
            return Ok(false);
        }
        if decided.effect == Effect::Start {
            self.tell(decided, out);
        }
        if answered {
            // By a predecessor that died before it struck it out.
            Decided::strike(&block);
            return Ok(true);
        }
        let Some(chain) = self.own[CONTROLQ].next(ring, context)? else {
            return Err(fault::AVAIL_JUMP);
        };
        let written = chain.write(context.memory, &wire::words(&[Status::Ok as u32]));
        self.own[CONTROLQ].used(ring, context, chain.head, written);
        Decided::strike(&block);
        Ok(true)
    }

    /// Puts pending events into the buffers that are there.
    pub(super) fn serve_events(&mut self) {
        if self.link.unsure {
            return;
        }
        let block = self.block.clone();
        let ring = &block.queues[EVENTQ];
        let memory = self.memory.take();
        let features = self.features();
        let result = match self.own[EVENTQ].context(ring, memory.as_ref(), features) {
            Ok(Some(context)) => {
                let done = self.send_events(&context);
                self.own[EVENTQ].notify(ring, &context, self.fds[EVENTQ].call.as_ref());
                done
            }
            Ok(None) => Ok(()),
            Err(code) => Err(code),
        };
        if let Err(code) = result {
            self.own[EVENTQ].break_with(ring, code);
        }
        self.memory = memory;
    }

    fn send_events(&mut self, context: &Context<'_>) -> Result<(), u32> {
        let block = self.block.clone();
        let ring = &block.queues[EVENTQ];
        for _ in 0..BUDGET {
            let Some((event, bit)) = events::next(&block) else {
                return Ok(());
            };
            let Some(chain) = self.own[EVENTQ].next(ring, context)? else {
                let after = context.vring.avail_idx();
                self.soon |= self.own[EVENTQ].ask_for_kick(ring, context, after);
                return Ok(());
            };
            // A buffer that is too small goes back empty, and the next one is tried.
            let fits = chain.room() >= wire::EVENT_BYTES && chain.fault == fault::NONE;
            let written = if fits {
                chain.write(context.memory, &wire::words(&event))
            } else {
                0
            };
            self.own[EVENTQ].used(ring, context, chain.head, written);
            if written > 0 {
                events::told(&block, bit);
            }
        }
        self.soon |= events::pending(&block);
        Ok(())
    }

    /// Says once of each broken queue that it is: in the log, and to the front end.
    pub(super) fn tell_faults(&mut self, out: &mut Vec<Output>) {
        for queue in [CONTROLQ, EVENTQ, TXQ, RXQ] {
            let ring = &self.block.queues[queue];
            let broken = ring.actual.load(Acquire) == ring_state::BROKEN;
            let told = words::get(&self.block, words::TOLD) >> queue & 1 == 1;
            if broken == told {
                continue;
            }
            if !broken {
                words::lower(&self.block, words::TOLD, queue);
                continue;
            }
            words::raise(&self.block, words::TOLD, queue);
            if let Some(err) = &self.fds[queue].err {
                // Nobody listens, nobody is told.
                let _ = err.signal();
            }
            let code = ring.fault.load(Acquire);
            self.log(
                out,
                Level::Warn,
                format!("queue {queue} is broken (fault {code}); the guest has to reset its sound device"),
            );
        }
    }
}
