//! Moves everything as far as it goes without an ack.

use super::matrix::Found;
use super::requests::Sent;
use super::state::{Goal, Target, What};
use crate::command::{ConnectionState, Signal};
use crate::effect::Effect;
use crate::machine::{Machine, signal};
use crate::routing_command::source_state::{OFF, UNKNOWN};

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

/// Moves a connection may make in a step: its states, a request for each element of its route.
const MOVES_EACH: usize = 64;

impl Machine {
    /// Moves until nothing moves. Bounded: a connection only goes on, and each request goes out once.
    pub(in crate::machine) fn settle_domains(&mut self, effects: &mut Vec<Effect>) {
        if self.state.routing.is_new() {
            return;
        }
        self.state.routing.starved = false;
        self.settle_remembered(effects);
        let most = MOVES_EACH * (1 + self.state.routing.mains.len());
        for _ in 0..most {
            let mut moved = self.settle_displaced();
            moved |= self.admit_waiting();
            for id in self.main_ids() {
                moved |= self.advance(id, effects);
            }
            moved |= self.settle_levels(effects);
            moved |= self.settle_crossfaders(effects);
            moved |= self.settle_states(effects);
            moved |= self.settle_orphans(effects);
            moved |= self.settle_offers(effects);
            if !moved {
                break;
            }
        }
        self.settle_delays(effects);
        self.expire_registration();
    }

    pub(super) fn main_ids(&self) -> Vec<u16> {
        self.state.routing.mains.keys().copied().collect()
    }

    /// Those that were stopped are over once the one that stopped them is connected, and back if it will never be.
    fn settle_displaced(&mut self) -> bool {
        let mut moved = false;
        #[cfg(test)]
        if mutant::is(Mutant::ForgetsDisplaced) {
            return false;
        }
        for id in self.main_ids() {
            let mains = &self.state.routing.mains;
            let Some((main, by)) = mains.get(&id).and_then(|main| match main.goal {
                Goal::Displaced { by } => Some((main, by)),
                _ => None,
            }) else {
                continue;
            };
            let goal = match mains.get(&by).map(|it| (it.goal, it.state)) {
                // Connected, or held up by a newer one: it has its place.
                Some((Goal::Up, ConnectionState::Connected | ConnectionState::Suspended)) => Goal::Gone,
                Some((Goal::Up | Goal::Displaced { .. }, _)) => continue,
                _ => match self.find_at((main.class, &main.route), main.sink, Some(id)) {
                    Found::Closed => Goal::Gone,
                    _ => Goal::Up,
                },
            };
            if goal == Goal::Up {
                // It asks anew for what the one that failed was refused.
                let sink = main.sink;
                self.state.routing.forgive(Target::SinkVolume(sink));
            }
            let Some(main) = self.state.routing.mains.get(&id) else {
                continue;
            };
            let waiting = self.find_at((main.class, &main.route), main.sink, Some(id)) == Found::Busy;
            if let Some(main) = self.state.routing.mains.get_mut(&id) {
                main.goal = goal;
                main.waiting = waiting && goal == Goal::Up;
            }
            moved = true;
        }
        moved
    }

    /// The one that waits longest with nobody in its way arrives.
    fn admit_waiting(&mut self) -> bool {
        let waiting = self
            .state
            .routing
            .mains
            .iter()
            .filter(|it| it.1.waiting && it.1.goal == Goal::Up);
        let mut waiting: Vec<_> = waiting.map(|(id, it)| (it.order, *id, it)).collect();
        waiting.sort_unstable_by_key(|it| (it.0, it.1));
        let mut free = waiting
            .into_iter()
            .filter(|(_, id, it)| self.find_at((it.class, &it.route), it.sink, Some(*id)) == Found::Free)
            .map(|it| it.1);
        match free.next() {
            Some(id) => {
                self.admit_main(id);
                true
            }
            None => false,
        }
    }

    /// What an ack brought after nobody wanted it any more: segments that are up, sources that are on.
    fn settle_orphans(&mut self, effects: &mut Vec<Effect>) -> bool {
        #[cfg(test)]
        if mutant::is(Mutant::ForgetsOrphans) {
            return false;
        }
        let patience = self.model.routing.undo_ms;
        let routing = &self.state.routing;
        let lone = routing.segments.iter().filter(|(id, it)| {
            it.up
                && routing.under_way(Target::Segment(**id)).is_none()
                && !routing.mains.values().any(|main| main.uses(it.hop.source, it.hop.sink))
        });
        let lone: Vec<(u16, u16)> = lone.map(|(id, it)| (*id, it.hop.domain)).collect();
        let mut moved = false;
        for (segment, domain) in lone {
            moved |= self.send(domain, What::Disconnect { segment }, patience, effects) == Sent::Yes;
        }
        for source in self.state.routing.driven.clone() {
            moved |= self.settle_driven(source, effects);
        }
        moved
    }

    fn settle_driven(&mut self, id: u16, effects: &mut Vec<Effect>) -> bool {
        #[cfg(test)]
        if mutant::is(Mutant::SkipsOff) {
            return false;
        }
        let routing = &mut self.state.routing;
        let target = Target::SourceState(id);
        if routing.mains.values().any(|main| main.uses_source(id)) || routing.under_way(target).is_some() {
            return false;
        }
        let source = routing
            .registry
            .sources
            .get(&id)
            .filter(|it| it.state != OFF && it.state != UNKNOWN);
        let Some(domain) = source.map(|it| it.domain).filter(|_| !routing.is_refused(target, OFF)) else {
            routing.driven.remove(&id);
            return false;
        };
        let what = What::SourceState { source: id, state: OFF };
        self.send(domain, what, self.model.routing.undo_ms, effects) == Sent::Yes
    }

    /// Tells clients where the sum of a route's delays changed.
    fn settle_delays(&mut self, effects: &mut Vec<Effect>) {
        for id in self.main_ids() {
            let routing = &mut self.state.routing;
            let delay = routing.mains.get(&id).map_or(-1, |main| routing.delay_of(&main.route));
            let Some(main) = routing.mains.get_mut(&id) else {
                continue;
            };
            if std::mem::replace(&mut main.delay, delay) != delay && main.shown {
                signal(effects, Signal::TimingInformationChanged { connection: id, delay });
            }
        }
    }
}
