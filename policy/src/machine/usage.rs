//! Volume groups, activation windows, mirrors and start-up connections at work (see [`crate::usage`]).
//!
//! * *Groups* follow: what a client, a guest or a rule sets at one member is set at the others.
//! * A *window* bounds the mainVolume at the moment of an arrival, no longer: a user may leave it at once.
//! * A *mirror* is connected with whatever is connected to its original, as if by itself: it ends with the stream, and with the
//!   original's connection.
//! * *Start-up* connections are made once, as soon as both ends are there, as if a client had asked; a boot that brings connections
//!   back makes none between guests and zones.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::connections::Finding;
use super::state::State;
use super::{Machine, signal};
use crate::command::{Call, Signal};
use crate::curve;
use crate::effect::Effect;
use crate::model::Model;
use crate::routing_command::Kind;
use crate::usage::{Activation, Pair};

/// Nobody's: the answer is thrown away.
const TOKEN: u64 = 0;

/// What was active where, and what is yet to be connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// By sink; kept only where there are windows.
    pub active: Vec<Active>,
    /// Start-up connections that wait for an end.
    pub startup: BTreeSet<Pair>,
}

/// At one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Active {
    /// The last source that arrived.
    pub last: Option<usize>,
    /// Classes of which one arrived since the boot.
    pub classes: BTreeSet<usize>,
}

/// The same by names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedUsed {
    active: Vec<(String, Option<String>, Vec<String>)>,
    startup: BTreeSet<Pair>,
}

impl SavedUsed {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Used {
    pub fn new(model: &Model) -> Self {
        let windows = !model.usage.windows.is_empty();
        Self {
            active: vec![Active::default(); if windows { model.sinks.len() } else { 0 }],
            startup: model.usage.startup.iter().cloned().collect(),
        }
    }

    pub fn save(&self, model: &Model) -> SavedUsed {
        let name = |source: usize| model.sources.get(source).map(|it| it.name.clone());
        let class = |class: &usize| model.classes.get(*class).map(|it| it.name.clone());
        let active = self.active.iter().zip(&model.sinks);
        let active = active.filter(|(it, _)| **it != Active::default());
        SavedUsed {
            active: active
                .map(|(it, sink)| {
                    let classes = it.classes.iter().filter_map(class).collect();
                    (sink.name.clone(), it.last.and_then(name), classes)
                })
                .collect(),
            startup: self.startup.clone(),
        }
    }

    /// What of it the model still has.
    pub fn restored(model: &Model, saved: &SavedUsed) -> Self {
        let mut used = Self::new(model);
        used.startup.retain(|pair| saved.startup.contains(pair));
        for (sink, last, classes) in &saved.active {
            let index = model.sinks.iter().position(|it| it.name == *sink);
            let Some(active) = index.and_then(|index| used.active.get_mut(index)) else {
                continue;
            };
            active.last = (last.as_ref()).and_then(|last| model.sources.iter().position(|it| it.name == *last));
            let class = |name: &String| model.classes.iter().position(|it| it.name == *name);
            active.classes = classes.iter().filter_map(class).collect();
        }
        used
    }

    /// A boot brought the user's connections back: what it can bring back is not made anew.
    pub fn came_back(&mut self, model: &Model) {
        let source = |pair: &Pair| model.sources.iter().any(|it| it.name == pair.source);
        let sink = |pair: &Pair| model.sinks.iter().any(|it| it.name == pair.sink);
        self.startup.retain(|pair| !source(pair) || !sink(pair));
    }
}

/// What a call is about, as it stood before.
pub(super) type Before = Option<(usize, usize)>;

impl Machine {
    /// Another model: what is new in it starts as at a start, what was connected at the start is not again.
    pub(super) fn refit_usage(&mut self, old: &Model) {
        let mut used = Used::restored(&self.model, &self.state.used.save(old));
        let begun = old
            .usage
            .startup
            .iter()
            .filter(|pair| !self.state.used.startup.contains(pair));
        for pair in begun {
            used.startup.remove(pair);
        }
        used.startup.extend(
            (self.model.usage.startup.iter())
                .filter(|pair| !old.usage.startup.contains(pair))
                .cloned(),
        );
        self.state.used = used;
    }

    /// Makes the start-up connections whose ends are there.
    pub(super) fn start_up(&mut self, effects: &mut Vec<Effect>) {
        if self.state.used.startup.is_empty() {
            return;
        }
        for pair in self.state.used.startup.clone() {
            let ends = (
                self.id_of_name(Kind::Source, &pair.source),
                self.id_of_name(Kind::Sink, &pair.sink),
            );
            let (Some(source), Some(sink)) = ends else { continue };
            self.state.used.startup.remove(&pair);
            let mut done = Vec::new();
            self.call(TOKEN, &Call::Connect { source, sink }, &mut done);
            done.retain(|effect| !matches!(effect, Effect::Reply { .. }));
            effects.extend(done);
        }
    }

    /// The source and zone of a connection that a call may end.
    pub(super) fn before(&self, call: &Call) -> Before {
        match *call {
            Call::Disconnect { connection } if !self.model.usage.mirrors.is_empty() => {
                let connection = self.state.connections.get(&connection)?;
                Some((connection.source, connection.sink))
            }
            _ => None,
        }
    }

    /// What else is to be done because of a call that was answered.
    pub(super) fn follow(&mut self, call: &Call, before: Before, effects: &mut Vec<Effect>) {
        match *call {
            Call::SetVolume { sink, .. } | Call::VolumeStep { sink, .. } | Call::SetSinkMuteState { sink, .. } => {
                self.follow_sink(sink, effects);
            }
            Call::SetSourceGain { source, .. } | Call::SetSourceMute { source, .. } => {
                if let Some(source) = self.state.ids.sources.index(source) {
                    self.follow_source(source, effects);
                }
            }
            Call::Connect { source, sink } if !self.model.usage.mirrors.is_empty() => {
                let ends = (self.state.ids.sources.index(source), self.state.ids.sinks.index(sink));
                if let (Some(source), Some(sink)) = ends
                    && self.state.connection_between(source, sink).is_some()
                {
                    self.mirror(source, sink, effects);
                }
            }
            Call::Disconnect { .. } => {
                if let Some((source, sink)) = before.filter(|it| self.state.connection_between(it.0, it.1).is_none()) {
                    self.end_mirrors(source, sink, effects);
                }
            }
            _ => {}
        }
    }

    /// mainVolume and mute of the others of a sink's group.
    fn follow_sink(&mut self, id: u16, effects: &mut Vec<Effect>) {
        let usage = &self.model.usage;
        let (group, (volume, mute)) = match self.state.ids.sinks.index(id) {
            Some(sink) => {
                let state = self.state.sinks.get(sink).map(|it| (it.volume, it.mute));
                (usage.group_of_sink(sink), state.unwrap_or_default())
            }
            None => match self.state.routing.registry.sinks.get(&id) {
                Some(sink) => {
                    let wanted = (sink.wanted_volume, sink.wanted_mute);
                    (usage.group_of_external(&sink.name), wanted)
                }
                None => return,
            },
        };
        let Some(group) = group.cloned() else { return };
        for sink in group.sinks {
            self.put_volume(sink, volume, effects);
            self.put_mute(sink, mute, effects);
        }
        for name in &group.external {
            self.put_domain_volume(name, volume, mute);
        }
    }

    /// Sets a zone's mainVolume and tells of it.
    fn put_volume(&mut self, sink: usize, volume: i16, effects: &mut Vec<Effect>) {
        let (Some(described), Some(state)) = (self.model.sinks.get(sink), self.state.sinks.get_mut(sink)) else {
            return;
        };
        let volume = curve::clamp(&described.curve, volume);
        let changed = std::mem::replace(&mut state.volume, volume) != volume;
        if let Some(id) = self.state.ids.sinks.id(sink).filter(|_| changed && described.visible) {
            signal(effects, Signal::VolumeChanged { sink: id, volume });
        }
    }

    fn put_mute(&mut self, sink: usize, mute: bool, effects: &mut Vec<Effect>) {
        let (Some(described), Some(state)) = (self.model.sinks.get(sink), self.state.sinks.get_mut(sink)) else {
            return;
        };
        let changed = std::mem::replace(&mut state.mute, mute) != mute;
        if let Some(id) = self.state.ids.sinks.id(sink).filter(|_| changed && described.visible) {
            let state = if mute { 1 } else { 2 };
            signal(effects, Signal::SinkMuteStateChanged { sink: id, state });
        }
    }

    /// Wanted gain and mute of the others of a source's group.
    pub(super) fn follow_source(&mut self, source: usize, effects: &mut Vec<Effect>) {
        let Some(group) = self.model.usage.group_of_source(source).cloned() else {
            return;
        };
        let Some((gain, mute)) = self.state.sources.get(source).map(|it| (it.gain, it.mute)) else {
            return;
        };
        let others = group.sources.into_iter().filter(|it| *it != source);
        for other in others.collect::<Vec<_>>() {
            if self.model.protected(other) {
                continue;
            }
            if let Some(state) = self.state.sources.get_mut(other) {
                (state.gain, state.mute) = (gain, mute);
            }
            self.show_guest(other, effects);
        }
    }

    /// The mainVolume and mute of a domain's sink's group, as it registers.
    pub(super) fn group_volume(&self, name: &str) -> Option<(i16, bool)> {
        let group = self.model.usage.group_of_external(name)?;
        if let Some(sink) = group.sinks.first().and_then(|sink| self.state.sinks.get(*sink)) {
            return Some((sink.volume, sink.mute));
        }
        let mut there = self.state.routing.registry.sinks.values();
        let other = there.find(|it| it.name != name && group.external.contains(&it.name))?;
        Some((other.wanted_volume, other.wanted_mute))
    }

    /// A source became active at a zone: the mainVolume into the windows that say so, the first of the file first.
    pub(super) fn activate(&mut self, source: usize, sink: usize, effects: &mut Vec<Effect>) {
        let class = self.model.sources.get(source).map_or(usize::MAX, |it| it.class);
        let Some(active) = self.state.used.active.get_mut(sink) else {
            return;
        };
        let first = active.classes.insert(class);
        let another = active.last.replace(source) != Some(source);
        let due = |on| match on {
            Activation::Boot => first,
            Activation::Source => another,
            Activation::Playback => true,
        };
        let windows = self.model.usage.windows.iter();
        let windows = windows.filter(|it| due(it.on) && it.sinks.contains(&sink) && it.classes.contains(&class));
        let Some(before) = self.state.sinks.get(sink).map(|it| it.volume) else {
            return;
        };
        let volume = windows.fold(before, |volume, it| volume.clamp(it.least, it.most.max(it.least)));
        if volume != before {
            self.put_volume(sink, volume, effects);
            if let Some(id) = self.state.ids.sinks.id(sink) {
                self.follow_sink(id, effects);
            }
        }
    }

    /// Connects a source, as by itself, to what mirrors a zone it is connected to.
    pub(super) fn mirror(&mut self, source: usize, sink: usize, effects: &mut Vec<Effect>) {
        if self.model.protected(source) {
            return;
        }
        let running = self.state.sources.get(source).is_some_and(|it| it.running);
        for mirror in self.model.usage.mirrors_of(sink).collect::<Vec<_>>() {
            if self.state.connection_between(source, mirror).is_some() {
                continue;
            }
            let finding = if running {
                self.find(source, mirror)
            } else {
                Finding::Free
            };
            match finding {
                Finding::Closed(refusal) => {
                    self.state.sources[source].refused.insert(mirror, refusal);
                }
                finding => {
                    if let Some(id) = self.make((source, mirror), true, effects).filter(|_| running) {
                        self.arrive(id, &finding, effects);
                    }
                }
            }
        }
    }

    fn end_mirrors(&mut self, source: usize, sink: usize, effects: &mut Vec<Effect>) {
        for mirror in self.model.usage.mirrors_of(sink).collect::<Vec<_>>() {
            let id = self.state.connection_between(source, mirror);
            let Some(id) = id.filter(|id| self.state.connections.get(id).is_some_and(|it| it.automatic)) else {
                continue;
            };
            self.give_back(id, effects);
        }
    }
}

impl State {
    /// A machine's memory of what was active, for those who look at all of its states: sources by their places.
    pub(super) fn tell_used(&self, places: &[u32], mut add: impl FnMut(u32)) {
        let Used { active, startup } = &self.used;
        add(startup.len() as u32);
        for Active { last, classes } in active {
            add(last.map_or(0, |last| places.get(last).map_or(u32::MAX, |place| place + 1)));
            add(classes.len() as u32);
            classes.iter().for_each(|class| add(*class as u32));
        }
    }
}
