//! The bus side of the control process: one ordered dispatcher over raw messages.
//!
//! ```text
//!            messages                     Request                     Effect
//!   bus ──────────────► decode, queue a ──────────► control ─► policy ───┐
//!    ▲                  sender, round robin                              │
//!    └──────────────────────────── encode ◄───────────── Out ◄───────────┘
//! ```
//!
//! * Calls of one sender keep their order; senders take turns. A sender has at most [`SENDER_LIMIT`] calls unanswered and all
//!   together [`TOTAL_LIMIT`]; what is over is answered `org.freedesktop.DBus.Error.LimitsExceeded`, the greediest sender first.
//! * Replies, signals and events leave in the order they were handed over.
//! * A call with wrong types is answered `InvalidArgs` once and leaves no trace.
//! * The bus may be absent, die, come back, or the name be another's: tried again each second, told once, never given up.
//!   While there is no bus, what is handed over is dropped: nobody is there to hear it.

use policy::command::{Call, Reply, Signal};

/// Calls of one sender that may be unanswered (queued here or with the control process).
pub const SENDER_LIMIT: usize = 256;
/// Calls of all senders that may be unanswered.
pub const TOTAL_LIMIT: usize = 2048;

/// Which bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusAddress {
    /// `DBUS_SESSION_BUS_ADDRESS`.
    Session,
    /// The system bus.
    System,
    /// A D-Bus address (`unix:path=…`).
    At(String),
}

impl From<&str> for BusAddress {
    /// `session`, `system`, or an address.
    fn from(text: &str) -> Self {
        match text {
            "session" => Self::Session,
            "system" => Self::System,
            address => Self::At(address.to_owned()),
        }
    }
}

impl std::fmt::Display for BusAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session => f.write_str("session"),
            Self::System => f.write_str("system"),
            Self::At(address) => f.write_str(address),
        }
    }
}

/// One call, to be answered by exactly one [`Out::Reply`] (for [`What::Command`]) or [`Out::OwnReply`] (for [`What::Own`])
/// with its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names the call; never reused while the process lives.
    pub token: u64,
    /// Unique bus name of the caller, empty on a connection without a bus.
    pub sender: String,
    /// What is asked.
    pub what: What,
}

/// See [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// For the policy.
    Command(Call),
    /// For the control process itself.
    Own(OwnCall),
}

/// Calls of `org.carillon.Audio1` that are not the policy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnCall {
    /// `Status() -> s`: JSON of [`crate::status::Status`].
    Status,
    /// `Chime(s name) -> n error, s text`: sound a chime of the bank.
    Chime {
        /// Name in the bank.
        name: String,
    },
}

/// Answer to an [`OwnCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnReply {
    /// To [`OwnCall::Status`].
    Json(String),
    /// To all others.
    Result {
        /// `am_Error_e`.
        error: i16,
        /// Why, for people; empty when it is OK.
        text: String,
    },
}

/// What the control process hands to the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// Answer to a [`What::Command`].
    Reply {
        /// The request's.
        token: u64,
        /// Its body's kind must fit the call.
        reply: Reply,
    },
    /// Answer to a [`What::Own`].
    OwnReply {
        /// The request's.
        token: u64,
        /// Its kind must fit the call.
        reply: OwnReply,
    },
    /// A signal of the command interface.
    Signal(Signal),
    /// A JSON line for `audioctl monitor`: the signal `org.carillon.Audio1.Event(s)`.
    Event(String),
}
