//! The control half of one guest's sound device: vhost-user messages, control queue, event queue.
//!
//! A [`Session`] is driven from outside and never blocks: it is told which descriptors are readable and what time it is,
//! and says what to keep, what the policy should know and when to come back. An answer that must wait for the engine is
//! parked; meanwhile only what it blocks (the connection, or the control queue) waits.
//!
//! ```text
//!  on_ready, poll ─► control queue ─► vhost-user messages ─► rings started and stopped ─► events ─► faults told
//!                        │ decided           │ rings must stop
//!                        ▼                   ▼
//!                     cmd_seq raised … engine acknowledges … poll ─► answered
//! ```
//! Whatever a successor must know is in the [`DeviceBlock`] (`words`), in kept descriptors, in the guest's rings or on the
//! socket: a request is decided in the block before it is carried out, a message stays on the socket until it is answered.
//! The caller must carry outputs out before it calls again: a message whose descriptors are to be kept is taken off the
//! socket in the next call.

mod connection;
pub mod controls;
mod events;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
mod messages;
mod output;
pub mod pcm;
mod queue;
mod request;
mod rings;
mod serve;
mod words;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, SeqCst};

use controls::Element;
pub use output::{Interest, Level, Output, Slot, StreamChange, Token};
use queue::OwnQueue;
use words::Decided;

use crate::block::{CONTROLQ, DeviceBlock, EVENTQ, QUEUES, ring_state, stream_state};
use crate::config::DeviceConfig;
use crate::link::{GuestLink, Way};
use crate::memory::{Call, EventFd, GuestMemory, MemoryWarning};
use crate::ring::store::put32;
use crate::shared::Shared;

/// Control requests answered, and messages handled, in one call; the rest has to wait for the next.
const BUDGET: usize = 64;
/// Most jacks of a device.
pub const MAX_JACKS: usize = 32;
/// Lines that guests can cause in the log, a second.
const LOG_LINES: u32 = 20;

#[derive(Default)]
struct QueueFds {
    kick: Option<EventFd>,
    call: Option<Call>,
    err: Option<EventFd>,
}

/// One guest's device. See the module.
pub struct Session {
    config: DeviceConfig,
    block: Arc<Shared<DeviceBlock>>,
    elements: Vec<Element>,
    listener: Option<OwnedFd>,
    way: Way,
    socket: Option<Box<dyn GuestLink>>,
    fds: [QueueFds; QUEUES],
    memory: Option<GuestMemory>,
    own: [OwnQueue; 2],
    link: connection::State,
    greetings: bool,
    /// The last accept failed: nobody is accepted until the next poll.
    deaf: bool,
    /// The next control request waits until the rings it is about run.
    postponed: bool,
    soon: bool,
    now: u64,
    lines: u32,
    lines_since: u64,
}

impl Session {
    /// The device of a guest that nobody has served yet: `block` is fresh (all zero). `listener` is a listening AF_UNIX
    /// stream socket; it is made non-blocking.
    pub fn new(config: DeviceConfig, block: Arc<Shared<DeviceBlock>>, listener: Option<OwnedFd>) -> Self {
        block.configure(&config);
        for (jack, state) in config.jacks.iter().enumerate().take(MAX_JACKS) {
            if state.connected {
                words::raise(&block, words::CONNECTED, jack);
            }
        }
        Self::build(config, block, listener)
    }

    /// Carries on where a predecessor stopped, at whatever instruction: from its block and the descriptors it had kept.
    /// What is true of streams and volumes is put out once more by the next call.
    pub fn restore(
        config: DeviceConfig,
        block: Arc<Shared<DeviceBlock>>,
        listener: Option<OwnedFd>,
        kept: impl IntoIterator<Item = (Slot, OwnedFd)>,
    ) -> Self {
        block.configure(&config);
        let mut session = Self::build(config, block, listener);
        session.greetings = true;
        session.take_over(kept.into_iter().collect());
        if let Some(decided) = Decided::recorded(&session.block) {
            decided.carry_out(&session.block);
        }
        // What the predecessor last wished may not have reached its `cmd_seq`.
        session.raise();
        session
    }

    /// This device's front end comes by this way; to be said before anything is served.
    #[must_use]
    pub fn by(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    fn build(config: DeviceConfig, block: Arc<Shared<DeviceBlock>>, listener: Option<OwnedFd>) -> Self {
        if let Some(listener) = &listener {
            // A listener that cannot be set so is one that `accept` will speak about.
            let _ = crate::link::set_nonblocking(listener.as_fd());
        }
        Self {
            elements: controls::elements(&config),
            config,
            block,
            listener,
            way: Way::Unix,
            socket: None,
            fds: Default::default(),
            memory: None,
            own: [OwnQueue::new(), OwnQueue::new()],
            link: connection::State::default(),
            greetings: false,
            deaf: false,
            postponed: false,
            soon: false,
            now: 0,
            lines: 0,
            lines_since: 0,
        }
    }

    fn take_over(&mut self, kept: BTreeMap<Slot, OwnedFd>) {
        let mut files = BTreeMap::new();
        for (slot, fd) in kept {
            match slot {
                Slot::Connection => self.link.inherited = Some(fd),
                Slot::Region(region) => {
                    files.insert(region, fd);
                }
                // They were checked before they were kept.
                Slot::Kick(queue) if queue < QUEUES => self.fds[queue].kick = EventFd::take(fd).ok(),
                Slot::Call(queue) if queue < QUEUES => self.fds[queue].call = Call::take(fd).ok(),
                Slot::Err(queue) if queue < QUEUES => self.fds[queue].err = EventFd::take(fd).ok(),
                _ => {}
            }
        }
        let count = self.block.region_count.load(Acquire) as usize;
        self.link.stale = files.keys().copied().filter(|region| *region >= count).collect();
        let files: Vec<OwnedFd> = files
            .into_iter()
            .take_while(|(n, _)| *n < count)
            .map(|(_, fd)| fd)
            .collect();
        if count > 0 {
            self.link.unsure = true;
            self.memory = GuestMemory::map_block_cold(&self.block, &files).ok();
        }
    }

    /// What is to be said of the guest's memory, as it is mapped now.
    pub fn memory_warnings(&self) -> &[MemoryWarning] {
        self.memory.as_ref().map_or(&[], GuestMemory::warnings)
    }

    /// The device's configuration.
    pub fn config(&self) -> &DeviceConfig {
        &self.config
    }

    /// The descriptors to wait for now; ask again after every call.
    pub fn fds(&self) -> Vec<(Token, BorrowedFd<'_>, Interest)> {
        let mut fds = Vec::new();
        if let Some(listener) = self.listener.as_ref().filter(|_| self.may_accept()) {
            fds.push((Token::Listener, listener.as_fd(), Interest::Readable));
        }
        if let Some(socket) = &self.socket {
            let interest = if self.link.waits() {
                Interest::Hangup
            } else {
                Interest::Readable
            };
            fds.push((Token::Connection, socket.fd(), interest));
        }
        for (queue, token) in [(CONTROLQ, Token::ControlKick), (EVENTQ, Token::EventKick)] {
            let runs = self.block.queues[queue].actual.load(Acquire) == ring_state::RUNNING;
            if let Some(kick) = self.fds[queue].kick.as_ref().filter(|_| runs) {
                fds.push((token, kick.as_fd(), Interest::Readable));
            }
        }
        fds
    }

    /// A descriptor is readable (or its other end gone).
    pub fn on_ready(&mut self, token: Token, out: &mut Vec<Output>) {
        match token {
            Token::Listener => {
                // The connection must be in other hands before anything is read from it.
                self.accept(out);
                self.soon = true;
                return;
            }
            Token::Connection => {}
            Token::ControlKick | Token::EventKick => {
                let queue = if token == Token::ControlKick { CONTROLQ } else { EVENTQ };
                if self.fds[queue].kick.as_ref().is_some_and(|kick| kick.drain().is_err()) {
                    self.fds[queue].kick = None;
                    self.log(out, Level::Warn, format!("queue {queue}: its kick cannot be read"));
                }
            }
        }
        self.run(out);
    }

    /// Time has passed, or the engine acknowledged or has news ([`crate::ring::DeviceRings::take_news`]): whatever can go on goes on.
    /// `now_ms`: any monotonic clock.
    pub fn poll(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.now = now_ms;
        self.deaf = false;
        self.run(out);
    }

    /// In how many milliseconds [`Session::poll`] should be called if nothing else happens; `None`: not needed.
    pub fn next_poll(&self) -> Option<u64> {
        if self.soon || self.greetings || self.link.unfinished() || self.link.inherited.is_some() {
            return Some(0);
        }
        let connected = self.socket.is_some();
        if self.parked() || self.link.waits_for_engine() || self.to_forget() || self.ring_waits() {
            return Some(1);
        }
        if self.link.waits() {
            return Some(5);
        }
        let polled = |queue: usize| {
            let ring = &self.block.queues[queue];
            ring.actual.load(Acquire) == ring_state::RUNNING && self.fds[queue].kick.is_none() && !self.kicked_in_band()
        };
        if connected && (polled(CONTROLQ) || polled(EVENTQ) && events::pending(&self.block)) {
            return Some(10);
        }
        if self.deaf {
            return Some(100);
        }
        (self.lines > LOG_LINES).then_some(1000)
    }

    /// The policy set a stream's gain (0.1 dB, at most 0) and mute: the guest's control elements show it, and the guest is
    /// told if they changed. Streams without elements take no notice.
    pub fn set_user_gain(&mut self, stream: usize, gain_db10: i16, mute: bool) {
        let Some(block) = self.block.streams.get(stream) else {
            return;
        };
        let news = [
            (
                controls::Kind::Volume,
                &block.user_gain,
                i32::from(gain_db10.min(0)) as u32,
            ),
            (controls::Kind::Switch, &block.user_mute, u32::from(mute)),
        ];
        for (kind, cell, value) in news {
            let element = self.elements.iter().position(|e| e.stream == stream && e.kind == kind);
            if let Some(element) = element.filter(|_| cell.load(Acquire) != value) {
                put32(cell, value);
                words::raise(&self.block, words::ELEMENT, element);
                self.soon = true;
            }
        }
    }

    /// A jack was plugged in or out: the guest is told if that is news.
    pub fn set_jack(&mut self, jack: usize, connected: bool) {
        let known = jack < self.config.jacks.len().min(MAX_JACKS);
        if !known || (words::get(&self.block, words::CONNECTED) >> jack & 1 == 1) == connected {
            return;
        }
        if connected {
            words::raise(&self.block, words::CONNECTED, jack);
        } else {
            words::lower(&self.block, words::CONNECTED, jack);
        }
        words::raise(&self.block, words::JACK, jack);
        self.soon = true;
    }

    fn run(&mut self, out: &mut Vec<Output>) {
        self.soon = false;
        if self.now.saturating_sub(self.lines_since) >= 1000 {
            let over = self.lines.saturating_sub(LOG_LINES);
            (self.lines, self.lines_since) = (0, self.now);
            if over > 0 {
                self.log(out, Level::Warn, format!("{over} more lines were left out"));
            }
        }
        if std::mem::take(&mut self.greetings) {
            self.say_what_is(out);
            self.say_memory(out);
        }
        self.greet_inherited(out);
        self.serve_control(out);
        self.serve_link(out);
        self.forget_connection(out);
        self.settle_rings(out);
        self.serve_control(out);
        events::collect(&self.block);
        self.serve_events();
        self.tell_faults(out);
    }

    fn log(&mut self, out: &mut Vec<Output>, level: Level, text: String) {
        self.lines = self.lines.saturating_add(1);
        if self.lines <= LOG_LINES {
            out.push(Output::Log { level, text });
        }
    }

    /// Tells the engine that something is wished.
    fn raise(&self) {
        put32(&self.block.cmd_seq, self.block.cmd_seq.load(Acquire).wrapping_add(1));
    }

    /// The engine has made everything so.
    fn synced(&self) -> bool {
        // SeqCst: what the engine wrote before its acknowledgement is read after it.
        self.block.ack_seq.load(SeqCst) == self.block.cmd_seq.load(Acquire)
    }

    /// Whether a control request waits for the engine.
    fn parked(&self) -> bool {
        self.postponed || Decided::recorded(&self.block).is_some()
    }

    fn features(&self) -> u64 {
        self.block.session.features.load(Acquire)
    }

    /// What a successor of the policy's process must hear again.
    fn say_what_is(&mut self, out: &mut Vec<Output>) {
        for stream in 0..self.config.streams.len() {
            if let Some(what) = self.change(stream, self.block.streams[stream].wanted.load(Acquire)) {
                out.push(Output::Stream { stream, what });
            }
            if self.elements.iter().any(|element| element.stream == stream) {
                out.push(self.user(stream));
            }
        }
    }

    fn change(&self, stream: usize, state: u32) -> Option<StreamChange> {
        match state {
            stream_state::PARAMS => Some(StreamChange::Params),
            stream_state::PREPARED => Some(StreamChange::Prepared),
            stream_state::RUNNING => Some(StreamChange::Started {
                start_gen: self.block.streams[stream].start_gen.load(Acquire),
            }),
            stream_state::STOPPED => Some(StreamChange::Stopped),
            stream_state::RELEASED => Some(StreamChange::Released),
            _ => None,
        }
    }

    fn user(&self, stream: usize) -> Output {
        let block = &self.block.streams[stream];
        let gain = block.user_gain.load(Acquire) as i32;
        Output::User {
            stream,
            gain_db10: gain.clamp(i32::from(i16::MIN), 0) as i16,
            mute: block.user_mute.load(Acquire) != 0,
        }
    }

    /// Every stream back to where a new driver finds it; the engine returns what is queued.
    fn reset_streams(&mut self, out: &mut Vec<Output>) {
        let mut raised = false;
        for stream in 0..self.config.streams.len() {
            let block = &self.block.streams[stream];
            let before = block.wanted.load(Acquire);
            if before == stream_state::IDLE {
                continue;
            }
            put32(&block.release_gen, block.release_gen.load(Acquire).wrapping_add(1));
            put32(&block.features, 0);
            put32(&block.wanted, stream_state::IDLE);
            raised = true;
            if before != stream_state::RELEASED {
                let what = StreamChange::Released;
                out.push(Output::Stream { stream, what });
            }
        }
        Decided::strike(&self.block);
        events::forget(&self.block);
        if raised {
            self.raise();
        }
    }
}
