//! Volumes towards domains: a sink's main volume and mute, a source's ducks.

use super::requests::Sent;
use super::state::{Target, What};
use crate::command::Signal;
use crate::effect::Effect;
use crate::machine::{Machine, signal};
use crate::{Db10, MUTE, curve};

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

impl Machine {
    /// Sends what differs from what was acknowledged: whether anything moved.
    pub(super) fn settle_levels(&mut self, effects: &mut Vec<Effect>) -> bool {
        let sinks: Vec<u16> = self.state.routing.registry.sinks.keys().copied().collect();
        let sources: Vec<u16> = self.state.routing.registry.sources.keys().copied().collect();
        let mut moved = false;
        for sink in sinks {
            moved |= self.settle_sink(sink, effects);
        }
        for source in sources {
            moved |= self.settle_source(source, effects);
        }
        moved
    }

    fn settle_sink(&mut self, id: u16, effects: &mut Vec<Effect>) -> bool {
        let target = Target::SinkVolume(id);
        if !self.is_idle(target) {
            return false;
        }
        let mut mains = self.state.routing.mains.iter().filter(|(_, it)| it.sink == id);
        let held = mains.any(|(main, it)| self.holds(*main, it));
        let rules = &self.model.routing;
        let Some(sink) = self.state.routing.registry.sinks.get_mut(&id) else {
            return false;
        };
        let mute = sink.wanted_mute || held;
        #[cfg(test)]
        let mute = mute || (sink.mute && mutant::is(Mutant::ForgetsHold));
        if mute == sink.mute && (mute || sink.wanted_volume == sink.main_volume) {
            // Nothing to be heard: the domain learns of a new volume when it is unmuted.
            let changed = std::mem::replace(&mut sink.main_volume, sink.wanted_volume) != sink.wanted_volume;
            let volume = sink.main_volume;
            if changed && sink.visible {
                signal(effects, Signal::VolumeChanged { sink: id, volume });
            }
            return changed;
        }
        let main_volume = sink.wanted_volume;
        let volume = if mute {
            MUTE
        } else {
            curve::gain(rules.curve_of(&sink.name), main_volume)
        };
        let (domain, patience) = (sink.domain, rules.ack_ms);
        if self.state.routing.is_refused(target, volume) {
            return false;
        }
        let what = What::SinkVolume {
            sink: id,
            volume,
            main_volume,
            mute,
        };
        self.send(domain, what, patience, effects) == Sent::Yes
    }

    fn settle_source(&mut self, id: u16, effects: &mut Vec<Effect>) -> bool {
        let target = Target::SourceVolume(id);
        if !self.is_idle(target) {
            return false;
        }
        let duck = self.duck_of(id);
        let (ramp_ms, patience) = (self.model.routing.ramp_ms, self.model.routing.ack_ms);
        let Some(source) = self.state.routing.registry.sources.get_mut(&id) else {
            return false;
        };
        let depth = duck.map_or(0, |it| it.depth);
        let volume: Db10 = source.base_volume.saturating_add(depth).max(MUTE);
        if volume == source.volume {
            return false;
        }
        let ramp_ms = match duck {
            Some(duck) if volume < source.volume => to_ramp(duck.attack_ms),
            _ => source.release_ms.unwrap_or(ramp_ms),
        };
        source.release_ms = duck.map(|it| to_ramp(it.release_ms)).or(source.release_ms);
        let domain = source.domain;
        if self.state.routing.is_refused(target, volume) {
            return false;
        }
        let what = What::SourceVolume {
            source: id,
            volume,
            ramp_ms,
        };
        self.send(domain, what, patience, effects) == Sent::Yes
    }
}

fn to_ramp(ms: u32) -> u16 {
    u16::try_from(ms).unwrap_or(u16::MAX)
}
