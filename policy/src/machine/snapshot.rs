//! The machine's memory as JSON, by names: what a new process, or the same one with a changed file, goes on from.
//!
//! Elements the file no longer has are left out with their connections, but keep their IDs in case they come back. Times are those
//! of the same monotonic clock: a snapshot is for the same boot.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Machine;
use super::domains::Routing;
use super::ids::{self, Ids};
use super::ruled::{Overruns, SavedRuled};
use super::state::{Connection, LAST_ORDER, MAX_CONNECTIONS, Place, Refusal, State, clamp_gain};
use super::usage::{SavedUsed, Used};
use super::volumes::class_volumes;
use crate::command::ConnectionState;
use crate::effect::{Cause, Heard, Tap};
use crate::model::{Duck, Model, Source};
use crate::{Db10, Time, curve};

#[cfg(test)]
use super::tests::mutant::{self, Mutant};

const VERSION: u32 = 2;

/// Why a snapshot can't be taken up; the cure is to start with [`Machine::new`].
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Not a snapshot, or one cut short.
    #[error("policy snapshot is not readable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Made by another version.
    #[error("policy snapshot has version {found}, this program reads version {reads}")]
    Version {
        /// Its version.
        found: u32,
        /// Which one is read.
        reads: u32,
    },
    /// It contradicts itself.
    #[error("policy snapshot contradicts itself: {0}")]
    Contradiction(String),
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Snapshot<'a> {
    version: u32,
    now: Time,
    order: u64,
    last_connection: u16,
    source_ids: Cow<'a, BTreeMap<String, u16>>,
    sink_ids: Cow<'a, BTreeMap<String, u16>>,
    class_ids: Cow<'a, BTreeMap<String, u16>>,
    sources: BTreeMap<String, SavedSource>,
    sinks: BTreeMap<String, SavedSink>,
    connections: BTreeMap<u16, SavedConnection>,
    /// IDs of domains, gateways, converters, crossfaders.
    #[serde(default, skip_serializing_if = "no_names")]
    domain_ids: [BTreeMap<String, u16>; 4],
    /// By IDs, which names keep.
    #[serde(default, skip_serializing_if = "is_new")]
    routing: Cow<'a, Routing>,
    /// What rules hold.
    #[serde(default, skip_serializing_if = "SavedRuled::is_empty")]
    ruled: SavedRuled,
    #[serde(default, skip_serializing_if = "SavedUsed::is_empty")]
    used: SavedUsed,
    /// System properties.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    system: BTreeMap<i16, i16>,
    /// What was to outlive the boot is lost.
    #[serde(default)]
    store_lost: bool,
    /// mainVolumes that classes have of their own: class, sink, volume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    class_volumes: Vec<(String, String, i16)>,
}

fn is_new(routing: &Routing) -> bool {
    routing.is_new()
}

fn no_names(ids: &[BTreeMap<String, u16>; 4]) -> bool {
    ids.iter().all(BTreeMap::is_empty)
}

#[derive(Serialize, Deserialize)]
struct SavedSource {
    available: bool,
    running: bool,
    sounding: bool,
    start_gen: u32,
    gain: Db10,
    mute: bool,
    shown: (Db10, bool),
    refused: BTreeMap<String, SavedRefusal>,
    fades_until: Option<Time>,
    taps: BTreeMap<String, SavedTap>,
}

#[derive(Serialize, Deserialize)]
struct SavedRefusal {
    by: String,
    depth: Db10,
    attack_ms: u32,
    release_ms: u32,
    line: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct SavedSink {
    volume: i16,
    mute: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct SavedConnection {
    pub source: String,
    pub sink: String,
    pub automatic: bool,
    pub state: ConnectionState,
    pub since: Time,
    pub place: Place,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub direct: bool,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub held: BTreeSet<u16>,
}

fn yes() -> bool {
    true
}

fn is_yes(yes: &bool) -> bool {
    *yes
}

/// What of a tap doesn't follow from the rest.
#[derive(Serialize, Deserialize)]
struct SavedTap {
    ramp_ms: u32,
    causes: Vec<SavedCause>,
    /// Of channel groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, SavedTap>,
}

#[derive(Serialize, Deserialize)]
struct SavedCause {
    kind: String,
    by: Option<String>,
    gain: Db10,
    since: Time,
}

impl Machine {
    /// All that [`Machine::restore`] needs to go on.
    pub fn snapshot(&self) -> Vec<u8> {
        let state = &self.state;
        let snapshot = Snapshot {
            version: VERSION,
            now: state.now,
            order: state.order,
            last_connection: state.last_connection,
            source_ids: Cow::Borrowed(&state.ids.sources.known),
            sink_ids: Cow::Borrowed(&state.ids.sinks.known),
            class_ids: Cow::Borrowed(&state.ids.classes.known),
            sources: self.save_sources(),
            sinks: self.save_sinks(),
            connections: self.save_connections(),
            domain_ids: state.ids.of_domains().map(Clone::clone),
            routing: Cow::Borrowed(&state.routing),
            ruled: self.save_ruled(),
            used: state.used.save(&self.model),
            system: state.system.clone(),
            store_lost: state.store_lost,
            class_volumes: self.save_class_volumes(),
        };
        // Strings, numbers and maps with string or number keys: there is nothing serde_json can't write.
        serde_json::to_vec(&snapshot).unwrap_or_default()
    }

    fn save_sources(&self) -> BTreeMap<String, SavedSource> {
        let sources = self.model.sources.iter().zip(&self.state.sources).enumerate();
        let saved = sources.map(|(index, (described, source))| {
            let refused = source.refused.iter().map(|(sink, refusal)| {
                let saved = SavedRefusal {
                    by: self.model.sources[refusal.by].name.clone(),
                    depth: refusal.duck.depth,
                    attack_ms: refusal.duck.attack_ms,
                    release_ms: refusal.duck.release_ms,
                    line: refusal.line,
                };
                (self.model.sinks[*sink].name.clone(), saved)
            });
            let saved = SavedSource {
                available: source.available,
                running: source.running,
                sounding: source.sounding,
                start_gen: source.start_gen,
                gain: source.gain,
                mute: source.mute,
                shown: source.shown,
                refused: refused.collect(),
                fades_until: self.fades.get(index).copied().flatten(),
                taps: self.save_taps(index),
            };
            (described.name.clone(), saved)
        });
        saved.collect()
    }

    fn save_taps(&self, source: usize) -> BTreeMap<String, SavedTap> {
        let taps = self
            .heard
            .sources
            .get(source)
            .map(|it| it.taps.as_slice())
            .unwrap_or_default();
        let saved = taps
            .iter()
            .zip(&self.model.sinks)
            .map(|(tap, sink)| (sink.name.clone(), self.save_tap(tap, &sink.groups)));
        saved.collect()
    }

    fn save_tap(&self, tap: &Tap, groups: &[usize]) -> SavedTap {
        let groups = tap.groups.iter().zip(groups);
        let groups = groups.filter_map(|(tap, group)| Some((tap, self.model.groups.get(*group)?)));
        SavedTap {
            ramp_ms: tap.ramp_ms,
            causes: tap.causes.iter().map(|cause| self.save_cause(cause)).collect(),
            groups: groups
                .map(|(tap, name)| (name.clone(), self.save_tap(tap, &[])))
                .collect(),
        }
    }

    fn save_sinks(&self) -> BTreeMap<String, SavedSink> {
        let sinks = self.model.sinks.iter().zip(&self.state.sinks);
        let saved = sinks.map(|(described, sink)| {
            let saved = SavedSink {
                volume: sink.volume,
                mute: sink.mute,
            };
            (described.name.clone(), saved)
        });
        saved.collect()
    }

    fn save_connections(&self) -> BTreeMap<u16, SavedConnection> {
        let saved = self.state.connections.iter().map(|(id, connection)| {
            let saved = SavedConnection {
                source: self.model.sources[connection.source].name.clone(),
                sink: self.model.sinks[connection.sink].name.clone(),
                automatic: connection.automatic,
                state: connection.state,
                since: connection.since,
                place: connection.place,
                direct: connection.direct,
                held: connection.held.clone(),
            };
            (*id, saved)
        });
        saved.collect()
    }

    /// Goes on from a snapshot with the same or a changed model: what the model still has keeps its ID, volume, connections and
    /// running streams. The caller then tells by events what happened meanwhile (guests gone, streams ended).
    ///
    /// # Errors
    /// The snapshot is unreadable, of another version, or contradicts itself.
    pub fn restore(mut model: Model, snapshot: &[u8]) -> Result<Self, RestoreError> {
        model.compile();
        let header: Header = serde_json::from_slice(snapshot)?;
        if header.version != VERSION {
            return Err(RestoreError::Version {
                found: header.version,
                reads: VERSION,
            });
        }
        let saved: Snapshot<'_> = serde_json::from_slice(snapshot)?;
        let state = restore_state(&model, &saved)?;
        let fades_until = |source: &Source| saved.sources.get(&source.name).and_then(|it| it.fades_until);
        let mut machine = Self {
            fades: model.sources.iter().map(fades_until).collect(),
            model,
            state,
            heard: Heard::default(),
            standings: Vec::new(),
            overruns: Overruns::default(),
            acted: Vec::new(),
            ramps: Vec::new(),
            undecided: false,
            reloads: 0,
        };
        machine.fit_system();
        machine.fit_domains();
        machine.restore_ruled(&saved.ruled);
        // With a changed file some may wait for nobody now; clients of a new process ask for the lists anyway.
        machine.settle(&mut Vec::new());
        machine.listen();
        machine.restore_taps(&saved);
        Ok(machine)
    }

    fn restore_taps(&mut self, saved: &Snapshot<'_>) {
        let mut heard = std::mem::take(&mut self.heard);
        for (row, source) in heard.sources.iter_mut().zip(&self.model.sources) {
            let Some(saved) = saved.sources.get(&source.name) else {
                continue;
            };
            for (tap, sink) in row.taps.iter_mut().zip(&self.model.sinks) {
                let Some(saved) = saved.taps.get(&sink.name) else {
                    continue;
                };
                self.restore_tap(tap, saved);
                for (tap, group) in tap.groups.iter_mut().zip(&sink.groups) {
                    if let Some(saved) = self.model.groups.get(*group).and_then(|name| saved.groups.get(name)) {
                        self.restore_tap(tap, saved);
                    }
                }
            }
        }
        self.heard = heard;
    }

    fn restore_tap(&self, tap: &mut Tap, saved: &SavedTap) {
        let mut known = 0;
        for cause in &mut tap.causes {
            let now = self.save_cause(cause);
            let same = |it: &&SavedCause| it.kind == now.kind && it.by == now.by && it.gain == now.gain;
            if let Some(same) = saved.causes.iter().find(same) {
                cause.since = same.since;
                known += 1;
            }
        }
        if known == tap.causes.len() && known == saved.causes.len() {
            tap.ramp_ms = saved.ramp_ms;
        }
    }

    fn save_cause(&self, cause: &Cause) -> SavedCause {
        SavedCause {
            kind: cause.kind.name().to_owned(),
            by: cause.kind.by().and_then(|by| self.source_name(by)).map(str::to_owned),
            gain: cause.gain,
            since: cause.since,
        }
    }
}

pub(super) fn contradiction(what: String) -> RestoreError {
    RestoreError::Contradiction(what)
}

fn restore_state(model: &Model, saved: &Snapshot<'_>) -> Result<State, RestoreError> {
    if saved.order >= LAST_ORDER {
        return Err(contradiction(format!(
            "{} arrivals is more than there can be",
            saved.order
        )));
    }
    let mut state = State::new(model);
    state.now = saved.now;
    state.order = saved.order;
    state.last_connection = saved.last_connection.min(MAX_CONNECTIONS);
    check_ids("source", &saved.source_ids, |name| saved.sources.contains_key(name))?;
    check_ids("sink", &saved.sink_ids, |name| saved.sinks.contains_key(name))?;
    check_ids("class", &saved.class_ids, |_| true)?;
    for known in &saved.domain_ids {
        check_ids("element of a domain", known, |_| false)?;
    }
    let mut before = Ids::known(
        saved.source_ids.clone().into_owned(),
        saved.sink_ids.clone().into_owned(),
        saved.class_ids.clone().into_owned(),
    );
    before.set_of_domains(saved.domain_ids.clone());
    state.ids = Ids::new(model, before);
    state.routing = saved.routing.clone().into_owned();
    state.used = Used::restored(model, &saved.used);
    state.system.clone_from(&saved.system);
    state.store_lost = saved.store_lost;
    state.class_volumes = class_volumes(model, &saved.class_volumes);
    for (index, source) in model.sources.iter().enumerate() {
        if let Some(saved) = saved.sources.get(&source.name) {
            restore_source(model, &mut state, index, saved);
        }
    }
    for (sink, state) in model.sinks.iter().zip(&mut state.sinks) {
        if let Some(saved) = saved.sinks.get(&sink.name) {
            state.volume = curve::clamp(&sink.curve, saved.volume);
            state.mute = saved.mute;
        }
    }
    for (id, connection) in &saved.connections {
        restore_connection(model, &mut state, *id, connection)?;
    }
    Ok(state)
}

/// Each name an ID of its own; those of domains' elements may be static.
pub(super) fn check_ids(
    kind: &str,
    known: &BTreeMap<String, u16>,
    built_in: impl Fn(&str) -> bool,
) -> Result<(), RestoreError> {
    let mut seen = BTreeSet::new();
    for (name, id) in known {
        let first = if built_in(name) { ids::FIRST } else { 1 };
        if !(first..=ids::LAST).contains(id) || !seen.insert(id) {
            return Err(contradiction(format!(
                "{kind} `{name}` has ID {id}, out of range or another's"
            )));
        }
    }
    Ok(())
}

fn source_index(model: &Model, name: &str) -> Option<usize> {
    model.sources.iter().position(|source| source.name == name)
}

fn sink_index(model: &Model, name: &str) -> Option<usize> {
    model.sinks.iter().position(|sink| sink.name == name)
}

fn restore_source(model: &Model, state: &mut State, index: usize, saved: &SavedSource) {
    let protected = model.protected(index);
    let source = &mut state.sources[index];
    source.available = saved.available;
    source.running = saved.running;
    source.sounding = saved.sounding && protected;
    source.start_gen = saved.start_gen;
    source.shown = saved.shown;
    if protected {
        return;
    }
    source.gain = clamp_gain(saved.gain);
    source.mute = saved.mute;
    let refusals = saved.refused.iter().filter_map(|(sink, refusal)| {
        let refused = Refusal {
            by: source_index(model, &refusal.by)?,
            duck: Duck {
                depth: refusal.depth,
                attack_ms: refusal.attack_ms,
                release_ms: refusal.release_ms,
                ..Duck::default()
            },
            line: refusal.line,
        };
        Some((sink_index(model, sink)?, refused))
    });
    source.refused = refusals.collect();
}

pub(super) fn restore_connection(
    model: &Model,
    state: &mut State,
    id: u16,
    saved: &SavedConnection,
) -> Result<(), RestoreError> {
    if !(1..=MAX_CONNECTIONS).contains(&id) {
        return Err(contradiction(format!(
            "connection ID {id} is not one of 1 to {MAX_CONNECTIONS}"
        )));
    }
    let (Some(source), Some(sink)) = (source_index(model, &saved.source), sink_index(model, &saved.sink)) else {
        return Ok(());
    };
    if model.protected(source) {
        return Ok(());
    }
    if state.connection_between(source, sink).is_some() {
        let pair = format!("{} and {}", saved.source, saved.sink);
        return Err(contradiction(format!("two connections between {pair}")));
    }
    let own = &mut state.sources[source];
    let place = match saved.place {
        _ if !own.running => Place::Idle,
        // Whoever refused it is no longer there, or the file changed: it waits for its turn, which may be now.
        Place::Refused if !own.refused.contains_key(&sink) => Place::Waiting(0),
        Place::Idle => Place::Waiting(0),
        Place::Waiting(order) => Place::Waiting(order.min(state.order)),
        Place::Admitted(order) => Place::Admitted(order.min(state.order)),
        Place::Refused => Place::Refused,
        Place::Held { line, order } if model.rules.has_line(line) => Place::Held {
            line,
            order: order.min(state.order),
        },
        Place::Held { order, .. } => Place::Waiting(order.min(state.order)),
    };
    #[cfg(test)]
    let place = if mutant::is(Mutant::ForgetsWhoWasFirst) && matches!(place, Place::Admitted(_)) {
        Place::Admitted(0)
    } else {
        place
    };
    let connection = Connection {
        source,
        sink,
        automatic: saved.automatic,
        state: saved.state,
        since: saved.since,
        place,
        direct: saved.direct,
        held: saved.held.clone(),
    };
    state.connections.insert(id, connection);
    Ok(())
}
