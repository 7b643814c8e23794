//! Everything the machine remembers. What is heard is not in here: it follows from it.

use std::collections::{BTreeMap, BTreeSet};

use super::domains::Routing;
use super::ids::Ids;
use super::ruled::Ruled;
use super::usage::Used;
use crate::command::ConnectionState;
use crate::effect::EXTERNAL;
use crate::model::{Duck, Model};
use crate::{Db10, MUTE, Time, curve};

/// Largest main connection ID (`AM_MAX_CONNECTIONS`).
pub(super) const MAX_CONNECTIONS: u16 = 4096;

/// No connection's order is beyond it: the last moment of all belongs to protected sources.
pub(super) const LAST_ORDER: u64 = u64::MAX - 1;

/// A refusal or a stop by the matrix, remembered until the stream stops or is connected again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Because of this source.
    pub by: usize,
    /// Its cell's ramps.
    pub duck: Duck,
    /// Its cell's line.
    pub line: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceState {
    pub available: bool,
    /// The guest's stream is started.
    pub running: bool,
    /// The chime sounds.
    pub sounding: bool,
    pub start_gen: u32,
    /// Wanted gain.
    pub gain: Db10,
    /// User mute.
    pub mute: bool,
    /// What the guest's control elements show.
    pub shown: (Db10, bool),
    /// By sink.
    pub refused: BTreeMap<usize, Refusal>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SinkState {
    pub volume: i16,
    pub mute: bool,
}

/// Where a connection stands in the matrix of its sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Place {
    /// Its stream is not running: it is nobody's holder and nobody's newcomer.
    Idle,
    /// The matrix refused it at its last start.
    Refused,
    /// It waits since this moment of the order of events for holders to end.
    Waiting(u64),
    /// It is there since this moment of the order of events: heard, or paused by a newer one.
    Admitted(u64),
    /// A rule suspended it.
    Held {
        /// Of the rule's action.
        line: u32,
        /// Since when it was there, in the order of events.
        order: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub source: usize,
    pub sink: usize,
    /// Made by a stream's start, ends with its release.
    pub automatic: bool,
    pub state: ConnectionState,
    pub since: Time,
    pub place: Place,
    /// It is a main connection itself, not only a segment of others.
    pub direct: bool,
    /// Main connections over domains it is a segment of.
    pub held: BTreeSet<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub now: Time,
    /// Counts arrivals: who came first.
    pub order: u64,
    pub last_connection: u16,
    pub sources: Vec<SourceState>,
    pub sinks: Vec<SinkState>,
    pub connections: BTreeMap<u16, Connection>,
    pub ids: Ids,
    pub routing: Routing,
    /// What rules hold.
    pub ruled: Ruled,
    /// mainVolumes that classes have of their own, by class and name of the sink.
    pub class_volumes: BTreeMap<(usize, String), i16>,
    /// System properties, by type.
    pub system: BTreeMap<i16, i16>,
    /// mainVolumes of before the boot that rules haven't heard of yet: sink and volume.
    pub stored: Vec<(usize, i16)>,
    /// What was to outlive the boot is lost.
    pub store_lost: bool,
    /// What was active, and what is yet to be connected.
    pub used: Used,
}

/// A chime's name says so (`chime.NAME`); it has no guest that could be away.
fn is_chime(name: &str) -> bool {
    name.starts_with("chime.")
}

/// A wanted gain inside its range.
pub(super) fn clamp_gain(gain: Db10) -> Db10 {
    gain.clamp(MUTE, 0)
}

impl State {
    pub fn new(model: &Model) -> Self {
        let source = |index: usize| {
            let source = &model.sources[index];
            let gain = if model.protected(index) {
                0
            } else {
                clamp_gain(source.gain)
            };
            SourceState {
                available: is_chime(&source.name),
                running: false,
                sounding: false,
                start_gen: 0,
                gain,
                mute: false,
                shown: (gain, false),
                refused: BTreeMap::new(),
            }
        };
        Self {
            now: 0,
            order: 0,
            last_connection: 0,
            sources: (0..model.sources.len()).map(source).collect(),
            sinks: model
                .sinks
                .iter()
                .map(|sink| SinkState {
                    volume: curve::clamp(&sink.curve, sink.main_volume),
                    mute: sink.muted,
                })
                .collect(),
            connections: BTreeMap::new(),
            ids: Ids::new(model, Ids::default()),
            routing: Routing::default(),
            ruled: Ruled::default(),
            class_volumes: BTreeMap::new(),
            system: model.system_properties.iter().map(|it| (it.kind, it.value)).collect(),
            stored: Vec::new(),
            store_lost: false,
            used: Used::new(model),
        }
    }

    /// The next moment in the order of events.
    pub fn tick_order(&mut self) -> u64 {
        self.order = self.order.saturating_add(1).min(LAST_ORDER);
        self.order
    }

    /// A protected source that sounds now: its stream runs or its chime sounds.
    pub fn sounds(&self, source: usize) -> bool {
        self.sources
            .get(source)
            .is_some_and(|source| source.running || source.sounding)
    }

    /// Domains' sources that sound on their own and are connected nowhere, so perhaps everywhere: what causes call them, and
    /// their classes.
    pub fn interrupts(&self) -> Vec<(usize, usize)> {
        let interrupts = self.routing.interrupts().into_iter();
        let known =
            interrupts.filter_map(|(id, class)| Some((EXTERNAL + usize::from(id), self.ids.classes.index(class)?)));
        known.collect()
    }

    pub fn connection_between(&self, source: usize, sink: usize) -> Option<u16> {
        let mut pairs = self.connections.iter();
        pairs
            .find(|(_, c)| c.source == source && c.sink == sink)
            .map(|(id, _)| *id)
    }

    pub fn connections_of(&self, source: usize) -> Vec<u16> {
        let of_source = self.connections.iter().filter(|(_, c)| c.source == source);
        of_source.map(|(id, _)| *id).collect()
    }

    /// The next free main connection ID: counts on from the last one, wraps, skips those in use.
    pub fn free_connection_id(&self) -> Option<u16> {
        let after = self.last_connection % MAX_CONNECTIONS + 1;
        (after..=MAX_CONNECTIONS).chain(1..after).find(|id| {
            let pushed = self.ruled.pushed.contains_key(id);
            !pushed && !self.connections.contains_key(id) && !self.routing.has_main(*id)
        })
    }
}
