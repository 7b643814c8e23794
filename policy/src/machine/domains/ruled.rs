//! What rules do to connections and volumes over domains beside what clients can.

use super::state::{Goal, Target};
use crate::effect::EXTERNAL;
use crate::machine::Machine;
use crate::rules::action::{Change, Ramp};
use crate::{Db10, MUTE};

/// The ID of a domain's element.
fn external(index: usize) -> Option<u16> {
    index.checked_sub(EXTERNAL).and_then(|id| u16::try_from(id).ok())
}

impl Machine {
    /// Disconnects a connection and keeps it for pop.
    pub(in crate::machine) fn park_main(&mut self, id: u16) {
        let order = self.state.tick_order();
        if let Some(main) = self.state.routing.mains.get_mut(&id)
            && main.goal != Goal::Gone
        {
            main.goal = Goal::Parked;
            main.order = order;
            main.waiting = false;
        }
    }

    /// Suspends a connection until it is resumed. It keeps its place.
    pub(in crate::machine) fn hold_main(&mut self, id: u16, line: u32) {
        if let Some(main) = self.state.routing.mains.get_mut(&id)
            && main.goal == Goal::Up
        {
            main.held = Some(line);
        }
    }

    /// A domain's source without ducks, within what the file allows: whether it is a domain's.
    pub(in crate::machine) fn set_domain_gain(&mut self, source: usize, change: Change<Db10>) -> bool {
        let Some(id) = external(source) else { return false };
        self.state.routing.forgive(Target::SourceVolume(id));
        let rules = &self.model.routing;
        if let Some(source) = self.state.routing.registry.sources.get_mut(&id) {
            let known = rules.known.sources.get(&source.name);
            let gain = match change {
                Change::To(gain) => gain,
                Change::By(step) => source.base_volume.saturating_add(step),
                Change::Restore => known.and_then(|it| it.volume).unwrap_or(0),
            };
            source.base_volume = rules.clamp_volume(&source.name, gain.clamp(MUTE, 0));
        }
        true
    }

    /// The mainVolume that the file gives a domain's sink.
    pub(in crate::machine) fn known_main_volume(&self, sink: u16) -> Option<i16> {
        let name = &self.state.routing.registry.sinks.get(&sink)?.name;
        self.model.routing.known.sinks.get(name)?.main_volume
    }

    /// The ramp of the next change of a sink's volume.
    pub(in crate::machine) fn ramp_sink(&mut self, sink: usize, ramp: Ramp) {
        match external(sink).map(|id| self.state.routing.registry.sinks.get_mut(&id)) {
            Some(Some(sink)) => sink.ramp = ramp,
            Some(None) => {}
            None => self.ramps.extend(ramp.ms.map(|ms| (None, Some(sink), ms))),
        }
    }

    /// As for sinks.
    pub(in crate::machine) fn ramp_source(&mut self, source: usize, ramp: Ramp) {
        match external(source).map(|id| self.state.routing.registry.sources.get_mut(&id)) {
            Some(Some(source)) => source.ramp = ramp,
            Some(None) => {}
            None => self.ramps.extend(ramp.ms.map(|ms| (Some(source), None, ms))),
        }
    }
}
