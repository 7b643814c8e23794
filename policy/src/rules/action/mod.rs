//! What rules decided, ready to be carried out: everything is looked up, and nothing of a protected source can be in it.

use std::collections::BTreeMap;

mod decide;

pub(super) use decide::decide;

use super::ast::Expr;
use super::keys::{Key, Verb};
use super::kind::Element;
use super::view::View;
use crate::Db10;

/// A source that rules may touch. The only way to one leads past [`View::protected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(usize);

impl Target {
    /// A source as a target; nothing if it is protected.
    pub fn of(view: &(impl View + ?Sized), source: usize) -> Option<Self> {
        (!view.protected(source)).then_some(Self(source))
    }

    /// The source; see [`Element`].
    pub fn source(self) -> usize {
        self.0
    }
}

/// A main connection of a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// mainConnectionID.
    pub id: u16,
    /// Its source.
    pub source: Target,
    /// Its sink; see [`Element`].
    pub sink: usize,
}

/// Where a limit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// This source, or any.
    pub source: Option<Target>,
    /// At this sink, or at any.
    pub sink: Option<usize>,
}

/// How loud a limit lets its sources be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Level {
    /// At most this, 0.1 dB at the sink.
    AtMost(Db10),
    /// This (0.1 dB, at most 0) against the cause.
    Below(Db10),
    /// Not at all.
    Silent,
}

/// A limit or mute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Where.
    pub spots: Vec<Spot>,
    /// How loud.
    pub level: Level,
    /// Which of several limits; an unlimit ends those covered by its own.
    pub pattern: u32,
    /// Ramp in and out, ms.
    pub ramp_ms: u32,
    /// It holds while this source sounds.
    pub cause: Option<usize>,
    /// It holds until it is ended.
    pub sticky: bool,
    /// It goes before the matrix's duck, also where that is deeper.
    pub overrides: bool,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// Set to.
    To(T),
    /// Changed by.
    By(T),
    /// Back to what the file says.
    Restore,
}

/// Ramp of a change of volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Ramp {
    /// `am_RampType_t`, for domains: the mixer's are linear in dB.
    pub kind: Option<u16>,
    /// Its time, ms.
    pub ms: Option<u32>,
}

/// Kind of an element that can be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Part {
    Source,
    Sink,
    Gateway,
}

/// What a rule wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect, pop or resume these pairs.
    Connect {
        /// Source and sink.
        pairs: Vec<(Target, usize)>,
        /// Connection format at the source; only over domains.
        format: Option<u16>,
    },
    /// End them.
    Disconnect(Vec<Live>),
    /// End them and keep them for pop.
    Push(Vec<Live>),
    /// Pause them until resume.
    Suspend(Vec<Live>),
    /// mainVolume of sinks.
    SetMainVolume {
        /// See [`Element`].
        sinks: Vec<usize>,
        /// In the scale of the sink's curve.
        change: Change<i16>,
        /// If not the sink's.
        ramp: Ramp,
    },
    /// Wanted gain of sources.
    SetGain {
        /// Which.
        sources: Vec<Target>,
        /// 0.1 dB.
        change: Change<Db10>,
        /// If not the usual one.
        ramp: Ramp,
    },
    /// Limit or mute.
    Limit(Limit),
    /// End limits or mutes.
    Unlimit {
        /// Where; a spot with neither source nor sink is everywhere.
        spots: Vec<Spot>,
        /// Of mutes, not of limits.
        mutes: bool,
        /// Those whose pattern is covered by it.
        mask: u32,
    },
    /// Main sound properties of elements.
    SetProperties {
        /// Sources (never protected ones) and sinks.
        of: Vec<Element>,
        /// Type and value.
        properties: Vec<(i16, i16)>,
    },
    /// System properties.
    SetSystemProperties(Vec<(i16, i16)>),
    /// A debug value.
    SetDebug((i16, i16)),
    /// A main notification of elements.
    SetNotification {
        /// Sources (never protected ones) and sinks.
        of: Vec<Element>,
        /// Type, status, parameter.
        notification: (i16, i16, i16),
    },
    /// Register elements that the file describes, by name.
    Register(Vec<(Part, String)>),
    /// Hand over to domains that outlive this process.
    Transfer,
}

/// An action with its keys as checked expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub verb: Verb,
    /// Line of the file.
    pub line: u32,
    /// How.
    pub keys: BTreeMap<Key, Expr>,
}

/// Ramp of limits and mutes that give none, ms (AudioManager's default).
pub const RAMP_MS: u32 = 200;
