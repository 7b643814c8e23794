//! The engine's helper: everything about the engine that allocates, frees or maps, on a thread of its own.
//!
//! ```text
//!   helper thread                     real-time thread, at a period's edge
//!   set_memory, set_call, converters ──commands──► swaps them in
//!   drops them, makes converters     ◄──returns─── what was replaced; what it needs
//! ```

use rtrb::{Consumer, Producer, RingBuffer};
use vhost_sound::memory::{Call, EventFd, GuestMemory};

use super::resample::{Convert, capture_converter, converter};

const COMMANDS: usize = 256;

/// To the real-time thread.
pub(super) enum Command {
    Memory(usize, GuestMemory),
    Call(usize, usize, Option<Call>),
    Converter(Wanted, Option<Box<dyn Convert>>, Vec<f32>, Vec<u8>),
}

/// A converter that a source needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub source: usize,
    pub params_gen: u32,
    pub rate: u32,
    pub channels: usize,
    /// From the codec's rate to the stream's.
    pub capture: bool,
}

/// From the real-time thread. What it carries is dropped here.
#[allow(dead_code, reason = "the fields are carried here to be dropped")]
pub(super) enum Return {
    Memory(Option<GuestMemory>),
    Call(Option<Call>),
    Converter(Option<Box<dyn Convert>>, Vec<f32>, Vec<u8>),
    Wanted(Wanted),
}

/// The real-time thread's ends.
pub(super) struct Mailbox {
    pub commands: Consumer<Command>,
    returns: Producer<Return>,
    /// Rung when something was sent, so that the helper need not look by itself.
    pub bell: Option<EventFd>,
    news: bool,
}

impl Mailbox {
    /// Whether a return can be sent.
    pub fn has_room(&self) -> bool {
        self.returns.slots() > 0
    }

    /// Sends to the helper; `false` when there is no room.
    pub fn send(&mut self, back: Return) -> bool {
        let sent = self.returns.push(back).is_ok();
        self.news |= sent;
        sent
    }

    /// Tells the helper of what was sent, once a period at most.
    pub fn ring(&mut self) {
        if std::mem::take(&mut self.news)
            && let Some(bell) = &self.bell
        {
            // A bell that is gone means that the helper is gone, and the process with it.
            let _ = bell.signal();
        }
    }
}

/// The helper's end of one engine. Call [`EngineHandle::serve`] when the engine's bell rings, and while [`EngineHandle::busy`].
pub struct EngineHandle {
    commands: Producer<Command>,
    returns: Consumer<Return>,
    waiting: std::collections::VecDeque<Command>,
    codec_rate: u32,
    period: usize,
}

pub(super) fn pair(codec_rate: u32, period: usize) -> (Mailbox, EngineHandle) {
    let (to_engine, commands) = RingBuffer::new(COMMANDS);
    let (returns, from_engine) = RingBuffer::new(2 * COMMANDS);
    let handle = EngineHandle {
        commands: to_engine,
        returns: from_engine,
        waiting: std::collections::VecDeque::new(),
        codec_rate,
        period,
    };
    let mailbox = Mailbox {
        commands,
        returns,
        bell: None,
        news: false,
    };
    (mailbox, handle)
}

impl EngineHandle {
    /// Guest `guest` gets another memory table (the empty one if it could not be mapped).
    pub fn set_memory(&mut self, guest: usize, memory: GuestMemory) {
        self.send(Command::Memory(guest, memory));
    }

    /// Guest `guest` gets another call descriptor for `queue`.
    pub fn set_call(&mut self, guest: usize, queue: usize, call: Option<Call>) {
        self.send(Command::Call(guest, queue, call));
    }

    /// Whether something waits for room in the engine's mailbox.
    pub fn busy(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Passes on what is waiting, frees what came back, makes the converters that streams need.
    pub fn serve(&mut self) {
        while let Ok(returned) = self.returns.pop() {
            if let Return::Wanted(wanted) = returned {
                let made = self.make(wanted);
                self.waiting.push_back(made);
            }
        }
        self.flush();
    }

    fn make(&self, wanted: Wanted) -> Command {
        let made = if wanted.capture {
            capture_converter(self.codec_rate, wanted.rate, wanted.channels, self.period)
        } else {
            converter(wanted.rate, self.codec_rate, wanted.channels, self.period)
        };
        let at_the_streams_rate = made.as_ref().map_or(0, |made| {
            if wanted.capture {
                made.makes_at_most()
            } else {
                made.needs_at_most()
            }
        });
        // Room for any later parameters at the codec's own rate too, which ask for no converter.
        let frames = at_the_streams_rate.max(self.period);
        let samples = vec![0.0; frames * mix::MAX_CHANNELS];
        // One frame more: what is left over of a message that ended inside a frame.
        let bytes = vec![0; (frames + 1) * mix::MAX_CHANNELS * super::WIDEST];
        Command::Converter(wanted, made, samples, bytes)
    }

    fn send(&mut self, command: Command) {
        self.waiting.push_back(command);
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if let Err(rtrb::PushError::Full(command)) = self.commands.push(command) {
                self.waiting.push_front(command);
                return;
            }
        }
    }
}
