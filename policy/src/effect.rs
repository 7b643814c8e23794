//! What comes out of a step.

use crate::command::{Reply, Signal};
use crate::routing_command::{DomainRequest, RoutingReply};
use crate::{Db10, Time};

/// One effect, to be carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The answer to a call.
    Reply {
        /// The call's token.
        token: u64,
        /// The answer.
        reply: Reply,
    },
    /// To every client on the bus.
    Signal(Signal),
    /// A guest's control elements must show this (only where it differs from what the guest set).
    GuestControl {
        /// Source.
        source: usize,
        /// Wanted gain, 0.1 dB.
        gain: Db10,
        /// User mute.
        mute: bool,
    },
    /// The answer to a domain's call.
    RoutingReply {
        /// The call's token.
        token: u64,
        /// The answer.
        reply: RoutingReply,
    },
    /// To a domain of another process ([`crate::Machine::domain`] says where it is).
    Domain {
        /// domainID.
        domain: u16,
        /// What is asked of it.
        request: DomainRequest,
    },
    /// What is heard from now on, whole; at most one a step, the last effect.
    Heard(Heard),
}

/// Index of the domains' source with sourceID 0, were there one: see [`CauseKind`].
pub const EXTERNAL: usize = 1 << 16;

/// What the engine does with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Pulled and thrown away.
    Discard,
    /// Pulled and heard where a tap has a gain.
    Play,
    /// Not pulled.
    Stall,
}

/// Everything heard: one entry a source of the model, by index.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Heard {
    /// By source index.
    pub sources: Vec<SourceHeard>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHeard {
    /// What happens to its stream.
    pub mode: Mode,
    /// The latest `start_gen` this answers. Of a source that doesn't run the one before it: after a pause it goes on under the same
    /// number, and its frames wait until that is decided too.
    pub decided: u32,
    /// By sink index.
    pub taps: Vec<Tap>,
}

/// One source at one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Effective gain (wanted with main volume, limits, ducks, mutes), 0.1 dB; [`crate::MUTE`] = silent.
    pub gain: Db10,
    /// Ramp to it, ms.
    pub ramp_ms: u32,
    /// Why it is not 0 dB, strongest first; for a silent tap why it is silent.
    pub causes: Vec<Cause>,
    /// The same for each of the sink's channel groups ([`crate::model::Sink::groups`]), in their order; all of the above is of the
    /// channels of no group then. Without groups of their own.
    pub groups: Vec<Tap>,
}

impl Tap {
    /// Channels of no group, then each group.
    pub fn parts(&self) -> impl Iterator<Item = &Tap> {
        std::iter::once(self).chain(&self.groups)
    }

    /// The gain where it is heard most, 0.1 dB.
    pub fn loudest(&self) -> Db10 {
        self.parts().map(|part| part.gain).max().unwrap_or(self.gain)
    }
}

/// One reason for a gain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What takes away loudness.
    pub kind: CauseKind,
    /// How much it takes, 0.1 dB, at most 0.
    pub gain: Db10,
    /// Since when.
    pub since: Time,
    /// Line of the file that says so, if any.
    pub line: Option<u32>,
}

/// See [`Cause`]. Indices are the model's; [`EXTERNAL`] and more are sources of domains: the rest is the sourceID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CauseKind {
    /// No connection to this sink.
    NoRoute,
    /// The matrix refused it because of this source.
    Rejected {
        /// The holder.
        by: usize,
    },
    /// Its connection waits for this source to end.
    Delayed {
        /// The holder.
        by: usize,
    },
    /// Paused for this source.
    Paused {
        /// The newcomer.
        by: usize,
    },
    /// Ducked by this source.
    Ducked {
        /// Who is ducked for.
        by: usize,
    },
    /// The sink is muted.
    SinkMuted,
    /// The sink's main volume.
    MainVolume,
    /// The user (or guest) muted the source.
    UserMuted,
    /// The user's (or guest's) wanted gain.
    UserGain,
    /// The stream is not running.
    NotRunning,
    /// A rule holds it down.
    Limited,
    /// A rule silences it.
    RuleMuted,
    /// A rule suspended its connection.
    RuleSuspended,
}

impl CauseKind {
    /// A short word for it, stable: what people and snapshots read.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no route",
            Self::Rejected { .. } => "rejected",
            Self::Delayed { .. } => "delayed",
            Self::Paused { .. } => "paused",
            Self::Ducked { .. } => "ducked",
            Self::SinkMuted => "sink muted",
            Self::MainVolume => "main volume",
            Self::UserMuted => "user mute",
            Self::UserGain => "user gain",
            Self::NotRunning => "not running",
            Self::Limited => "limited",
            Self::RuleMuted => "muted by rule",
            Self::RuleSuspended => "suspended by rule",
        }
    }

    /// The source it is because of, if it is because of one.
    pub fn by(self) -> Option<usize> {
        match self {
            Self::Rejected { by } | Self::Delayed { by } | Self::Paused { by } | Self::Ducked { by } => Some(by),
            _ => None,
        }
    }
}
