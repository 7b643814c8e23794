//! A connection's life: accepted or taken over, its messages fetched, answered and taken off, closed, its memory given up.
//!
//! ```text
//!  nobody ──accept──► connected ──end, or a message that cannot be──► closed ──engine stopped tx and rx──► nobody
//!                        │  ▲                                        (streams stay as they are)   memory given up
//!           message ─────┘  └──── taken off, answered ◄── descriptors kept ◄── handled ◄── engine ready
//! ```
//! A driver that is seen to begin anew (its control queue starts from the beginning) finds the streams reset; one whose front
//! end came back with its rings kept goes on.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::Acquire;

use super::messages::Step;
use super::rings::Kind;
use super::words::{self, REPLYING};
use super::{BUDGET, Level, Output, Session, Slot};
use crate::block::{QUEUES, ring_state};
use crate::link::message::protocol;
use crate::link::{Message, Peeked, Request, Socket};
use crate::ring::store::{put32, put64};

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
    pub(super) hold: bool,
    /// This connection's control queue has not yet been started.
    pub(super) fresh: bool,
    /// Taken over, and not yet known whether the block's memory table and the kept files belong together: a predecessor may
    /// have died over a new table, which is then the oldest message.
    pub(super) unsure: bool,
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

impl Session {
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
        let way = &self.way;
        let kept = |socket: Socket| {
            let fd = socket.as_fd().try_clone_to_owned()?;
            Ok((way.link(socket.into())?, fd))
        };
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
        match inherited.filter(|_| connected).map(|fd| self.way.link(fd)) {
            Some(Ok(socket)) => self.socket = Some(socket),
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
        out.extend(stale.into_iter().map(|region| Output::Drop {
            slot: Slot::Region(region),
        }));
        if !self.engine_has_memory() {
            out.push(Output::Memory {
                generation: self.block.mem_gen.load(Acquire),
            });
        }
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
        out.extend((0..count).map(|region| Output::Drop {
            slot: Slot::Region(region),
        }));
        out.push(Output::Memory { generation });
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
            let peeked = socket.peek();
            if !self.sure(&peeked) {
                return self.reject(out, "its memory could not be mapped again".into());
            }
            match peeked {
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

    /// Settles whether the memory taken over is the memory. False: there should be some and it cannot be used.
    fn sure(&mut self, peeked: &Peeked) -> bool {
        let table =
            matches!(peeked, Peeked::Whole { message, .. } if matches!(message.request, Request::SetMemTable(_)));
        if table || !std::mem::take(&mut self.link.unsure) {
            return true;
        }
        self.memory.is_some() || self.block.region_count.load(Acquire) == 0
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
        doubt && (more || self.socket.as_ref().is_some_and(|link| link.unread()))
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
}
