//! What is remembered of domains and of connections over them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::remembered::Remembered;
use crate::command::{ConnectionState, Notification, Property};
use crate::routing::handles::Handles;
use crate::routing::{Hop, Registry, Route};
use crate::routing_command::End;
use crate::rules::action::Ramp;
use crate::{Db10, Time};

/// Main connections over domains at a time.
pub(in crate::machine) const MAX_MAINS: usize = 256;
/// Largest connection ID (`AM_MAX_CONNECTIONS`).
pub(super) const MAX_SEGMENTS: u16 = 4096;

/// What is to become of a main connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Goal {
    /// Connected, or suspended where the matrix says so.
    Up,
    /// Disconnected and kept: an end was unavailable. Connecting again raises it.
    Parked,
    /// Disconnected and kept until the one that stopped it is connected.
    Displaced { by: u16 },
    /// Disconnected and removed.
    Gone,
}

/// A main connection over domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Main {
    pub source: u16,
    pub sink: u16,
    pub class: u16,
    pub route: Route,
    pub state: ConnectionState,
    pub since: Time,
    /// When it arrived at its sink, in the order of events.
    pub order: u64,
    /// It waits for others at its sink to end.
    pub waiting: bool,
    pub goal: Goal,
    /// Its sink is muted until it is connected.
    pub hold: bool,
    /// Something of it was refused or timed out.
    pub failed: bool,
    /// Clients see it.
    pub shown: bool,
    /// As last told.
    pub delay: i16,
    /// A rule suspended it: line of its action.
    #[serde(default)]
    pub held: Option<u32>,
    /// It takes the place of one that was heard at its sink: it ducks others as if it were connected already, so that they don't
    /// come up between the two.
    #[serde(default)]
    pub covers: bool,
}

impl Main {
    /// Whether this source and sink are one of its segments.
    pub fn uses(&self, source: u16, sink: u16) -> bool {
        self.route.iter().any(|hop| hop.source == source && hop.sink == sink)
    }

    pub fn uses_source(&self, source: u16) -> bool {
        self.route.iter().any(|hop| hop.source == source)
    }
}

/// A segment: asked for, or acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub hop: Hop,
    pub up: bool,
    /// ms, -1 = unknown.
    pub delay: i16,
}

/// What a request is about: one at a time for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Target {
    Segment(u16),
    SourceState(u16),
    SinkVolume(u16),
    SourceVolume(u16),
    SinkSound(u16),
    SourceSound(u16),
    SinkNotification(u16),
    SourceNotification(u16),
    Transfer(u16),
    CrossFade(u16),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    Connect {
        segment: u16,
    },
    Disconnect {
        segment: u16,
    },
    SourceState {
        source: u16,
        state: i16,
    },
    SinkVolume {
        sink: u16,
        volume: Db10,
        main_volume: i16,
        mute: bool,
        ramp: Ramp,
    },
    SourceVolume {
        source: u16,
        volume: Db10,
        ramp: Ramp,
    },
    SinkSound {
        sink: u16,
        properties: Vec<Property>,
    },
    SourceSound {
        source: u16,
        properties: Vec<Property>,
    },
    SinkNotification {
        sink: u16,
        notification: Notification,
    },
    SourceNotification {
        source: u16,
        notification: Notification,
    },
    Transfer {
        main: u16,
        domain: u16,
    },
    CrossFade {
        crossfader: u16,
        /// The input to be heard.
        hot_sink: i16,
    },
    /// Volumes of several sinks and sources of one domain at once.
    Volumes(Vec<What>),
}

impl What {
    /// What it is about; of several volumes the first.
    pub fn target(&self) -> Target {
        match *self {
            Self::Connect { segment } | Self::Disconnect { segment } => Target::Segment(segment),
            Self::SourceState { source, .. } => Target::SourceState(source),
            Self::SinkVolume { sink, .. } => Target::SinkVolume(sink),
            Self::SourceVolume { source, .. } => Target::SourceVolume(source),
            Self::SinkSound { sink, .. } => Target::SinkSound(sink),
            Self::SourceSound { source, .. } => Target::SourceSound(source),
            Self::SinkNotification { sink, .. } => Target::SinkNotification(sink),
            Self::SourceNotification { source, .. } => Target::SourceNotification(source),
            Self::Transfer { main, .. } => Target::Transfer(main),
            Self::CrossFade { crossfader, .. } => Target::CrossFade(crossfader),
            Self::Volumes(ref all) => all.first().map_or(Target::SinkVolume(0), Self::target),
        }
    }

    /// Whether it is about this.
    pub fn is_about(&self, target: Target) -> bool {
        match self {
            Self::Volumes(all) => all.iter().any(|it| it.is_about(target)),
            one => one.target() == target,
        }
    }

    /// The value that was refused, if it is.
    pub fn value(&self) -> i16 {
        match *self {
            Self::SourceState { state, .. } => state,
            Self::SinkVolume { volume, .. } | Self::SourceVolume { volume, .. } => volume,
            Self::CrossFade { hot_sink, .. } => hot_sink,
            _ => 0,
        }
    }
}

/// A request without its ack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub domain: u16,
    pub what: What,
    pub deadline: Time,
    /// It took too long; its domain was told to give it up.
    pub aborted: bool,
}

/// How long all domains may take to register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Registration {
    /// None has confirmed yet that it is ready.
    #[default]
    New,
    /// Until then.
    Until(Time),
    /// They were in time.
    Done,
    /// They were not.
    Late,
}

/// Everything about domains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::machine) struct Routing {
    pub registry: Registry,
    pub(super) mains: BTreeMap<u16, Main>,
    pub(super) segments: BTreeMap<u16, Segment>,
    pub(super) last_segment: u16,
    /// By peer.
    pub(super) handles: BTreeMap<String, Handles>,
    /// By peer, then handle.
    pub(super) open: BTreeMap<String, BTreeMap<u16, Open>>,
    /// What was refused or never acknowledged, and so is not sent again.
    pub(super) refused: Vec<(Target, i16)>,
    /// Sources switched on or paused from here.
    pub(super) driven: BTreeSet<u16>,
    /// Connections that are offered, and to which domains yet.
    pub(super) offers: BTreeMap<u16, Vec<u16>>,
    /// Domains that were asked to go on without the daemon and haven't said yet that they do, and until when that is waited for.
    pub(super) asked_to_stay: BTreeMap<u16, Time>,
    pub(super) registration: Registration,
    /// What was there before the boot, or before a domain was lost.
    pub(in crate::machine) remembered: Remembered,
    /// Sources and sinks that have just registered.
    #[serde(skip)]
    pub(super) fresh: Vec<End>,
    /// Something has just registered.
    #[serde(skip)]
    pub(super) news: bool,
    /// Sinks at which somebody who was heard has left in this step.
    #[serde(skip)]
    pub(super) left: BTreeSet<u16>,
    /// Something waits for a handle.
    pub(super) starved: bool,
    /// Acks that were too late, of nobody's request, or another's.
    pub(super) dropped_acks: u64,
}

impl Routing {
    pub fn is_new(&self) -> bool {
        *self == Self::default()
    }

    /// What [`crate::Machine::lasting`] has of it; not how far connections are.
    pub fn lasting_is_same(&self, other: &Self) -> bool {
        let kept = |(id, main): (&u16, &Main)| (*id, main.goal == Goal::Gone);
        let mains = self.mains.iter().map(kept).eq(other.mains.iter().map(kept));
        let routes = |it: &Self| {
            it.mains
                .values()
                .map(|main| &main.route)
                .eq(other.mains.values().map(|main| &main.route))
        };
        mains && routes(self) && self.remembered == other.remembered && self.registry == other.registry
    }

    /// A step is over: who comes from now on takes nobody's place.
    pub fn decided(&mut self) {
        self.left.clear();
    }

    /// Whether this main connection ID is taken.
    pub fn has_main(&self, id: u16) -> bool {
        self.mains.contains_key(&id)
    }

    /// Sources that sound on their own and have no connection: sourceID and classID.
    pub fn interrupts(&self) -> Vec<(u16, u16)> {
        let sounding = self.registry.sources.iter().filter(|(_, it)| it.interrupts());
        let lone = sounding.filter(|(id, _)| !self.mains.values().any(|main| main.source == **id));
        lone.map(|(id, it)| (*id, it.class)).collect()
    }

    /// See [`crate::Machine::hands_over`].
    pub fn hands_over(&self) -> bool {
        !self.offers.is_empty()
    }

    /// A source interrupts, or a connection of it is up.
    pub fn sounds(&self, source: u16) -> bool {
        let interrupts = self.registry.sources.get(&source).is_some_and(|it| it.interrupts());
        let up = |main: &Main| main.source == source && main.state == ConnectionState::Connected;
        interrupts || self.mains.values().any(up)
    }

    /// When a main connection arrived, in the order of events.
    pub fn order_of(&self, main: u16) -> u64 {
        self.mains.get(&main).map_or(0, |main| main.order)
    }

    /// A main connection's format at its source.
    pub fn format_of(&self, main: u16) -> Option<u16> {
        self.mains.get(&main)?.route.first().map(|hop| hop.format)
    }

    /// See [`crate::Machine::dropped_acks`].
    pub fn dropped_acks(&self) -> u64 {
        self.dropped_acks
    }

    pub(super) fn all_open(&self) -> impl Iterator<Item = &Open> {
        self.open.values().flat_map(BTreeMap::values)
    }

    /// What is under way for a target.
    pub(super) fn under_way(&self, target: Target) -> Option<&Open> {
        self.all_open().find(|open| open.what.is_about(target))
    }

    pub(super) fn segment_of(&self, hop: &Hop) -> Option<(u16, &Segment)> {
        let mut segments = self.segments.iter();
        segments
            .find(|(_, it)| it.hop.source == hop.source && it.hop.sink == hop.sink)
            .map(|(id, it)| (*id, it))
    }

    pub(super) fn free_segment(&self) -> Option<u16> {
        let after = self.last_segment % MAX_SEGMENTS + 1;
        (after..=MAX_SEGMENTS)
            .chain(1..after)
            .find(|id| !self.segments.contains_key(id))
    }

    pub(super) fn is_refused(&self, target: Target, value: i16) -> bool {
        self.refused.contains(&(target, value))
    }

    pub(super) fn refuse(&mut self, target: Target, value: i16) {
        self.refused.retain(|it| it.0 != target);
        self.refused.push((target, value));
    }

    /// Someone asks anew.
    pub(super) fn forgive(&mut self, target: Target) {
        self.refused.retain(|it| it.0 != target);
    }

    /// The sum over a route, -1 where anything is unknown.
    pub(super) fn delay_of(&self, route: &[Hop]) -> i16 {
        let mut sum: i16 = 0;
        for hop in route {
            match self.segment_of(hop) {
                Some((_, segment)) if segment.up && segment.delay >= 0 => sum = sum.saturating_add(segment.delay),
                _ => return -1,
            }
        }
        sum
    }
}
