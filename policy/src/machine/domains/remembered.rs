//! What outlives a boot of domains' elements and of connections over them, by names: it waits until its domain registers.
//!
//! ```text
//!  boot ─► kept ──element registers──► volume, mute, lasting main sound properties: as before, over what the file says
//!       └► due  ──both ends there, their domains complete──► Connect, as a client
//!  loss of a domain ─► lost: kept for the next boot, whichever of the two goes first at the end
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::state::{Goal, Main};
use crate::Db10;
use crate::command::{Property, error};
use crate::curve;
use crate::effect::{EXTERNAL, Effect};
use crate::machine::Machine;
use crate::machine::essence::Sum;
use crate::machine::system::SOUND_RESTORED;
use crate::routing::BUILT_IN;
use crate::routing_command::{End, Kind};

/// Names that are remembered of a kind.
const MOST: usize = 256;
/// Nobody's: the answer is thrown away.
const TOKEN: u64 = 0;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::machine) struct Remembered {
    sinks: BTreeMap<String, KeptSink>,
    sources: BTreeMap<String, KeptSource>,
    lost: BTreeSet<(String, String)>,
    due: BTreeSet<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KeptSink {
    volume: i16,
    mute: bool,
    sound: BTreeMap<i16, i16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KeptSource {
    gain: Db10,
    sound: BTreeMap<i16, i16>,
}

impl Remembered {
    /// For those who look at all states of one boot: what comes back when a domain does, by its names' order. Sound properties
    /// decide nothing that is heard, and what is kept for the next boot is another's.
    pub fn tell(&self, sum: &mut Sum) {
        let Self {
            sinks,
            sources,
            lost: _,
            due,
        } = self;
        for KeptSink { volume, mute, sound: _ } in sinks.values() {
            sum.all([20, u32::from(*volume as u16) << 1 | u32::from(*mute)]);
        }
        for KeptSource { gain, sound: _ } in sources.values() {
            sum.all([21, u32::from(*gain as u16)]);
        }
        sum.all([22, due.len() as u32]);
    }

    /// What of it comes back after a boot.
    pub fn after_boot(mut self, volumes: bool, connections: bool) -> Self {
        if !volumes {
            self.sinks.clear();
            self.sources.clear();
        }
        let mut due = std::mem::take(&mut self.due);
        due.append(&mut self.lost);
        self.due = if connections { due } else { BTreeSet::new() };
        self.due = self.due.into_iter().take(MOST).collect();
        self
    }
}

fn keep<T>(all: &mut BTreeMap<String, T>, name: &str, kept: T) {
    if all.len() < MOST || all.contains_key(name) {
        all.insert(name.to_owned(), kept);
    }
}

impl Machine {
    /// All that is to be known after a boot.
    pub(in crate::machine) fn remembered(&self) -> Remembered {
        let mut all = self.state.routing.remembered.clone();
        let registry = &self.state.routing.registry;
        for sink in registry.sinks.values() {
            let kept = KeptSink {
                volume: sink.wanted_volume,
                mute: sink.wanted_mute,
                sound: self.lasting_sound(&sink.lists.main_sound),
            };
            keep(&mut all.sinks, &sink.name, kept);
        }
        for source in registry.sources.values() {
            let kept = KeptSource {
                gain: source.base_volume,
                sound: self.lasting_sound(&source.lists.main_sound),
            };
            keep(&mut all.sources, &source.name, kept);
        }
        let stays = |it: &&Main| it.goal != Goal::Gone;
        let mains = self.state.routing.mains.values().filter(stays);
        all.due.extend(mains.filter_map(|it| self.names_of(it)));
        all
    }

    fn lasting_sound(&self, list: &[Property]) -> BTreeMap<i16, i16> {
        let lasting = list.iter().filter(|it| self.model.routing.main_sound(it.0).lasting);
        lasting.copied().collect()
    }

    /// Names of a connection's ends.
    fn names_of(&self, main: &Main) -> Option<(String, String)> {
        let mut route = self.named(&main.route).into_iter();
        let first = route.next()?;
        let last = route.next_back().map_or_else(|| first.1.clone(), |it| it.1);
        Some((first.0, last)).filter(|it| !it.0.is_empty() && !it.1.is_empty())
    }

    /// A domain takes these connections with it.
    pub(super) fn remember_lost(&mut self, mains: &[u16]) {
        let all = mains.iter().filter_map(|id| self.state.routing.mains.get(id));
        let names: Vec<(String, String)> = all.filter_map(|it| self.names_of(it)).collect();
        let lost = &mut self.state.routing.remembered.lost;
        lost.extend(names);
        while lost.len() > MOST {
            lost.pop_first();
        }
    }

    /// Elements that have just registered get what is remembered of them; connections whose ends are there now are connected.
    pub(super) fn settle_remembered(&mut self, effects: &mut Vec<Effect>) {
        let fresh = std::mem::take(&mut self.state.routing.fresh);
        for end in &fresh {
            self.bring_back(*end, effects);
        }
        if std::mem::take(&mut self.state.routing.news) && !self.state.routing.remembered.due.is_empty() {
            self.connect_due(effects);
        }
    }

    fn bring_back(&mut self, end: End, effects: &mut Vec<Effect>) {
        let rules = &self.model.routing;
        let routing = &mut self.state.routing;
        let sound = match end {
            End::Sink(id) => {
                let Some(sink) = routing.registry.sinks.get_mut(&id) else {
                    return;
                };
                let Some(kept) = routing.remembered.sinks.get(&sink.name) else {
                    return;
                };
                sink.wanted_volume = curve::clamp(rules.curve_of(&sink.name), kept.volume);
                sink.wanted_mute = kept.mute;
                self.state.stored.push((EXTERNAL + usize::from(id), sink.wanted_volume));
                kept.sound.clone()
            }
            End::Source(id) => {
                let Some(source) = routing.registry.sources.get_mut(&id) else {
                    return;
                };
                let Some(kept) = routing.remembered.sources.get(&source.name) else {
                    return;
                };
                source.base_volume = rules.clamp_volume(&source.name, kept.gain);
                kept.sound.clone()
            }
        };
        let Some(lists) = self.lists_of(end) else { return };
        let sound: Vec<Property> = sound
            .into_iter()
            .filter(|it| lists.main_sound.iter().any(|own| own.0 == it.0))
            .collect();
        if sound.is_empty() {
            return;
        }
        let mut signals = Vec::new();
        // Refused, it stays as the domain says.
        let _reply = self.set_main_properties(end, &sound, &mut signals, effects);
        effects.extend(signals.into_iter().map(Effect::Signal));
        // A property that the file doesn't have is none.
        let _: i16 = self.set_system(&[(SOUND_RESTORED, 1)], false, effects);
    }

    fn end_of_name(&self, kind: Kind, name: &str) -> Option<u16> {
        let id = self.id_of_name(kind, name)?;
        let end = if kind == Kind::Source {
            End::Source(id)
        } else {
            End::Sink(id)
        };
        let domain = self.domain_of(end)?;
        let complete = self
            .state
            .routing
            .registry
            .domains
            .get(&domain)
            .is_some_and(|it| it.complete);
        (domain == BUILT_IN || complete || self.domains_are_late()).then_some(id)
    }

    fn connect_due(&mut self, effects: &mut Vec<Effect>) {
        for pair in self.state.routing.remembered.due.clone() {
            let ends = self
                .end_of_name(Kind::Source, &pair.0)
                .zip(self.end_of_name(Kind::Sink, &pair.1));
            let Some(ends) = ends.filter(|it| self.is_over_domains(it.0, it.1)) else {
                continue;
            };
            let mut done = Vec::new();
            self.connect_over_domains(TOKEN, ends, None, &mut done);
            let refused = |it: &Effect| matches!(it, Effect::Reply { reply, .. } if reply.error == error::NOT_POSSIBLE);
            // Without a route yet: what it needs may register later.
            if !done.iter().any(refused) {
                self.state.routing.remembered.due.remove(&pair);
            }
            effects.extend(done.into_iter().filter(|it| !matches!(it, Effect::Reply { .. })));
        }
    }
}
