//! What a session says and is told: descriptors by name, and what the caller has to do.

use std::os::fd::OwnedFd;

/// What a descriptor is to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Token {
    /// The listening socket: somebody wants to connect.
    Listener,
    /// The connection: a message.
    Connection,
    /// The control queue's kick.
    ControlKick,
    /// The event queue's kick.
    EventKick,
}

/// What to wait for on a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Readable (level-triggered).
    Readable,
    /// Nothing but the other end's going away: its next message waits.
    Hangup,
}

/// Descriptors that somebody else must keep, so that they outlive this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    /// The vhost-user connection.
    Connection,
    /// File of a memory region.
    Region(usize),
    /// Kick of a queue.
    Kick(usize),
    /// Call of a queue.
    Call(usize),
    /// Error descriptor of a queue.
    Err(usize),
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is not as the operator wants it.
    Warn,
    /// Worth knowing.
    Info,
    /// For finding faults.
    Debug,
}

/// What happened to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamChange {
    /// SET_PARAMS: parameters are in the block.
    Params,
    /// PREPARE.
    Prepared,
    /// START, or goes on after a pause (`start_gen` is then the old one).
    Started {
        /// `StreamBlock::start_gen`: which START this is.
        start_gen: u32,
    },
    /// STOP: paused.
    Stopped,
    /// RELEASE, or the device was reset.
    Released,
}

/// What the caller has to do, in order, before it calls again.
#[derive(Debug)]
pub enum Output {
    /// Keep this descriptor (in place of the one kept there).
    Keep {
        /// As what.
        slot: Slot,
        /// A duplicate.
        fd: OwnedFd,
    },
    /// Close the kept descriptor.
    Drop {
        /// Which.
        slot: Slot,
    },
    /// The memory table in the block is complete and its files are kept: the engine is to map it.
    Memory {
        /// `DeviceBlock::mem_gen`.
        generation: u32,
    },
    /// A stream changed its state.
    Stream {
        /// Stream id.
        stream: usize,
        /// How.
        what: StreamChange,
    },
    /// The guest set a stream's volume or mute switch (also said once after `restore`).
    User {
        /// Stream id.
        stream: usize,
        /// 0.1 dB, at most 0.
        gain_db10: i16,
        /// Muted.
        mute: bool,
    },
    /// A front end connected.
    Connected,
    /// The connection was closed; all streams are as good as stopped.
    Closed {
        /// By whom and why.
        reason: String,
    },
    /// For the log.
    Log {
        /// How loud.
        level: Level,
        /// What.
        text: String,
    },
}
