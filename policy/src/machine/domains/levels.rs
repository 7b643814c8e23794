//! Volumes towards domains: a sink's main volume and mute, a source's ducks. What changes at the same time in a domain that knows
//! `asyncSetVolumes` is one request; elsewhere each is one.

use std::collections::BTreeMap;

use super::requests::Sent;
use super::state::{Target, What};
use crate::command::Signal;
use crate::effect::Effect;
use crate::machine::{Machine, signal};
use crate::routing_command::{End, Kind};
use crate::rules::action::Ramp;
use crate::{Db10, MUTE, curve};

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

/// What a level needs.
enum Needs {
    Nothing,
    /// It was taken up without a request.
    Told,
    /// This, of its domain.
    Request(u16, What),
}

impl Machine {
    /// Sends what differs from what was acknowledged: whether anything moved.
    pub(super) fn settle_levels(&mut self, effects: &mut Vec<Effect>) -> bool {
        let registry = &self.state.routing.registry;
        let (sinks, sources) = (registry.ids(Kind::Sink), registry.ids(Kind::Source));
        let mut moved = false;
        let mut together: BTreeMap<u16, Vec<What>> = BTreeMap::new();
        let ends = sinks.into_iter().map(End::Sink);
        for end in ends.chain(sources.into_iter().map(End::Source)) {
            let needs = match end {
                End::Sink(sink) => self.sink_needs(sink, effects),
                End::Source(source) => self.source_needs(source),
            };
            match needs {
                Needs::Nothing => {}
                Needs::Told => moved = true,
                Needs::Request(domain, what) if self.sets_volumes(domain) => {
                    together.entry(domain).or_default().push(what);
                }
                Needs::Request(domain, what) => {
                    moved |= self.send(domain, what, self.ack_ms(domain), effects) == Sent::Yes;
                }
            }
        }
        for (domain, mut all) in together {
            let what = match all.pop() {
                Some(one) if all.is_empty() => one,
                last => {
                    all.extend(last);
                    What::Volumes(all)
                }
            };
            moved |= self.send(domain, what, self.ack_ms(domain), effects) == Sent::Yes;
        }
        moved
    }

    fn sets_volumes(&self, domain: u16) -> bool {
        let domain = self.state.routing.registry.domains.get(&domain);
        domain.is_some_and(|it| self.model.routing.set_volumes.contains(&it.name))
    }

    fn sink_needs(&mut self, id: u16, effects: &mut Vec<Effect>) -> Needs {
        let target = Target::SinkVolume(id);
        if !self.is_idle(target) {
            return Needs::Nothing;
        }
        let mut mains = self.state.routing.mains.iter().filter(|(_, it)| it.sink == id);
        let held = mains.any(|(main, it)| self.holds(*main, it));
        let of_class = self.class_volume_at(id);
        let rules = &self.model.routing;
        let Some(sink) = self.state.routing.registry.sinks.get_mut(&id) else {
            return Needs::Nothing;
        };
        let wanted_volume = of_class.unwrap_or(sink.wanted_volume);
        let mute = sink.wanted_mute || held;
        #[cfg(test)]
        let mute = mute || (sink.mute && mutant::is(Mutant::ForgetsHold));
        if mute == sink.mute && (mute || wanted_volume == sink.main_volume) {
            // Nothing to be heard: the domain learns of a new volume when it is unmuted.
            let changed = std::mem::replace(&mut sink.main_volume, wanted_volume) != wanted_volume;
            let volume = sink.main_volume;
            if changed && sink.visible {
                signal(effects, Signal::VolumeChanged { sink: id, volume });
            }
            return if changed { Needs::Told } else { Needs::Nothing };
        }
        let main_volume = wanted_volume;
        let volume = if mute {
            MUTE
        } else {
            curve::gain(rules.curve_of(&sink.name), main_volume)
        };
        let domain = sink.domain;
        if self.state.routing.refused.contains(&(target, volume)) {
            return Needs::Nothing;
        }
        let what = What::SinkVolume {
            sink: id,
            volume,
            main_volume,
            mute,
            ramp: std::mem::take(&mut sink.ramp),
        };
        Needs::Request(domain, what)
    }

    fn source_needs(&mut self, id: u16) -> Needs {
        let target = Target::SourceVolume(id);
        if !self.is_idle(target) {
            return Needs::Nothing;
        }
        let duck = self.duck_of(id);
        let ramp_ms = self.model.routing.ramp_ms;
        let Some(source) = self.state.routing.registry.sources.get_mut(&id) else {
            return Needs::Nothing;
        };
        let depth = duck.map_or(0, |it| it.depth);
        let volume: Db10 = source.base_volume.saturating_add(depth).max(MUTE);
        let undecided = self.undecided && volume > source.volume;
        #[cfg(test)]
        let undecided = undecided && !mutant::is(Mutant::LetsOthersUpBetween);
        if undecided || volume == source.volume || self.state.routing.refused.contains(&(target, volume)) {
            return Needs::Nothing;
        }
        let ramp_ms = match duck {
            Some(duck) if volume < source.volume => duck.attack_ms,
            _ => source.release_ms.unwrap_or(ramp_ms).into(),
        };
        source.release_ms = duck.map(|it| to_ramp(it.release_ms)).or(source.release_ms);
        let domain = source.domain;
        let own = std::mem::take(&mut source.ramp);
        let ramp = Ramp {
            kind: own.kind,
            ms: Some(own.ms.unwrap_or(ramp_ms)),
        };
        let what = What::SourceVolume {
            source: id,
            volume,
            ramp,
        };
        Needs::Request(domain, what)
    }
}

fn to_ramp(ms: u32) -> u16 {
    u16::try_from(ms).unwrap_or(u16::MAX)
}
