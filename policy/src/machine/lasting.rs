//! What outlives a boot, as JSON by names: volumes, mutes, wanted gains, connections that a client asked for, and IDs.
//!
//! Streams, what they made by themselves, what is refused or fading and all times are of one boot and not in it; so starts, stops
//! and ducks don't change these bytes, and whoever keeps them writes only when somebody turned a knob.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::domains::Remembered;
use super::ids::Ids;
use super::snapshot::{SavedConnection, check_ids, contradiction, restore_connection};
use super::state::{Place, State, clamp_gain};
use super::volumes::class_volumes;
use super::{Machine, RestoreError};
use crate::command::ConnectionState;
use crate::model::{Model, Restore};
use crate::{Db10, curve};

const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Lasting {
    version: u32,
    source_ids: BTreeMap<String, u16>,
    sink_ids: BTreeMap<String, u16>,
    class_ids: BTreeMap<String, u16>,
    /// Of domains, gateways, converters, crossfaders.
    domain_ids: [BTreeMap<String, u16>; 4],
    sources: BTreeMap<String, Wanted>,
    sinks: BTreeMap<String, Level>,
    connections: BTreeMap<u16, Pair>,
    /// System properties that are to last.
    #[serde(default)]
    system: BTreeMap<i16, i16>,
    /// Of domains.
    #[serde(default)]
    domains: Remembered,
    /// mainVolumes that classes have of their own: class, sink, volume.
    #[serde(default)]
    class_volumes: Vec<(String, String, i16)>,
}

#[derive(Serialize, Deserialize)]
struct Wanted {
    gain: Db10,
    mute: bool,
}

#[derive(Serialize, Deserialize)]
struct Level {
    volume: i16,
    mute: bool,
}

#[derive(Serialize, Deserialize)]
struct Pair {
    source: String,
    sink: String,
}

impl Machine {
    /// All that [`Machine::restore_lasting`] can bring back after a boot.
    pub fn lasting(&self) -> Vec<u8> {
        let (model, state) = (&self.model, &self.state);
        let sources = model.sources.iter().zip(&state.sources).enumerate();
        let sources = sources.filter(|(index, _)| !model.protected(*index));
        let sources = sources.map(|(_, (described, source))| {
            let wanted = Wanted {
                gain: source.gain,
                mute: source.mute,
            };
            (described.name.clone(), wanted)
        });
        let sinks = model.sinks.iter().zip(&state.sinks).map(|(described, sink)| {
            let level = Level {
                volume: sink.volume,
                mute: sink.mute,
            };
            (described.name.clone(), level)
        });
        let asked_for = state.connections.iter().filter(|(_, it)| !it.automatic && it.direct);
        let connections = asked_for.map(|(id, connection)| {
            let pair = Pair {
                source: model.sources[connection.source].name.clone(),
                sink: model.sinks[connection.sink].name.clone(),
            };
            (*id, pair)
        });
        let lasting = Lasting {
            version: VERSION,
            source_ids: state.ids.sources.known.clone(),
            sink_ids: state.ids.sinks.known.clone(),
            class_ids: state.ids.classes.known.clone(),
            domain_ids: state.ids.of_domains().map(Clone::clone),
            sources: sources.collect(),
            sinks: sinks.collect(),
            connections: connections.collect(),
            system: self.lasting_system(),
            domains: self.remembered(),
            class_volumes: self.save_class_volumes(),
        };
        // Strings, numbers and maps with string or number keys: there is nothing serde_json can't write.
        serde_json::to_vec(&lasting).unwrap_or_default()
    }

    fn lasting_system(&self) -> BTreeMap<i16, i16> {
        let lasting = self.model.system_properties.iter().filter(|it| it.lasting);
        lasting
            .filter_map(|it| Some((it.kind, self.system_value(it.kind)?)))
            .collect()
    }

    /// A machine after a boot, with what `restore` says of what was [lasting](Machine::lasting); IDs in any case. Guests' control
    /// elements don't show it yet: the caller has them show [`Machine::wanted`].
    ///
    /// # Errors
    /// The bytes are unreadable, of another version, or contradict themselves.
    pub fn restore_lasting(model: Model, bytes: &[u8], restore: Restore) -> Result<Self, RestoreError> {
        let header: Header = serde_json::from_slice(bytes)?;
        if header.version != VERSION {
            return Err(RestoreError::Version {
                found: header.version,
                reads: VERSION,
            });
        }
        let saved: Lasting = serde_json::from_slice(bytes)?;
        let mut state = restore_ids(&model, &saved)?;
        if restore.volumes {
            restore_levels(&model, &mut state, &saved);
        }
        restore_system(&model, &mut state, &saved);
        if restore.volumes {
            state.class_volumes = class_volumes(&model, &saved.class_volumes);
        }
        state.routing.remembered = saved.domains.clone().after_boot(restore.volumes, restore.connections);
        if restore.connections {
            restore_connections(&model, &mut state, saved.connections)?;
            state.used.came_back(&model);
        }
        Ok(Self::with_state(model, state))
    }
}

fn restore_ids(model: &Model, saved: &Lasting) -> Result<State, RestoreError> {
    check_ids("source", &saved.source_ids, |name| {
        saved.sources.contains_key(name) || model.sources.iter().any(|it| it.name == name)
    })?;
    check_ids("sink", &saved.sink_ids, |name| saved.sinks.contains_key(name))?;
    check_ids("class", &saved.class_ids, |_| true)?;
    for known in &saved.domain_ids {
        check_ids("element of a domain", known, |_| false)?;
    }
    let mut before = Ids::known(
        saved.source_ids.clone(),
        saved.sink_ids.clone(),
        saved.class_ids.clone(),
    );
    before.set_of_domains(saved.domain_ids.clone());
    let mut state = State::new(model);
    state.ids = Ids::new(model, before);
    Ok(state)
}

fn restore_levels(model: &Model, state: &mut State, saved: &Lasting) {
    for (index, described) in model.sources.iter().enumerate() {
        let Some(wanted) = saved.sources.get(&described.name).filter(|_| !model.protected(index)) else {
            continue;
        };
        let source = &mut state.sources[index];
        source.gain = clamp_gain(wanted.gain);
        source.mute = wanted.mute;
        source.shown = (source.gain, source.mute);
    }
    let mut stored = Vec::new();
    for (index, (described, sink)) in model.sinks.iter().zip(&mut state.sinks).enumerate() {
        if let Some(level) = saved.sinks.get(&described.name) {
            sink.volume = curve::clamp(&described.curve, level.volume);
            sink.mute = level.mute;
            stored.push((index, sink.volume));
        }
    }
    state.stored = stored;
}

fn restore_system(model: &Model, state: &mut State, saved: &Lasting) {
    for described in model.system_properties.iter().filter(|it| it.lasting) {
        if let Some(value) = saved.system.get(&described.kind) {
            state.system.insert(described.kind, *value);
        }
    }
}

fn restore_connections(model: &Model, state: &mut State, connections: BTreeMap<u16, Pair>) -> Result<(), RestoreError> {
    for (id, Pair { source, sink }) in connections {
        if source.is_empty() || sink.is_empty() {
            return Err(contradiction(format!("connection {id} has no name at one end")));
        }
        let connection = SavedConnection {
            source,
            sink,
            automatic: false,
            state: ConnectionState::Connected,
            since: 0,
            place: Place::Idle,
            direct: true,
            held: BTreeSet::new(),
        };
        restore_connection(model, state, id, &connection)?;
    }
    state.last_connection = state.connections.keys().next_back().copied().unwrap_or(0);
    Ok(())
}
