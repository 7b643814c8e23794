//! Crossfaders: two inputs, one output, and one fade from what leaves to what comes.
//!
//! ```text
//!  holder ─► sink A ─┐                        a newcomer that would stop or pause the holder takes the other input:
//!                    ├─ crossfader ─► … sink  segments ► sources ON ► asyncCrossFade ──ack──► CONNECTED
//!  newcomer ► sink B ┘                        only then the holder goes (or is suspended): never a gap
//! ```
//!
//! Which input is hot follows from the main connections, as everything here: that of those that are to be heard; both
//! (`HS_INTERMEDIATE`) where two are mixed; as it was where there is none. So a fade that failed, or whose newcomer failed after
//! it, is faded back by nobody's wanting it any more.

use super::requests::Sent;
use super::state::{Goal, Main, Target, What};
use crate::command::ConnectionState;
use crate::effect::Effect;
use crate::machine::Machine;
#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};
use crate::routing::{BUILT_IN, Hop};
use crate::routing_command::hot_sink::{INTERMEDIATE, SINK_A, SINK_B};
use crate::routing_command::source_state::{ON, UNKNOWN};

impl Machine {
    /// The crossfaders a route goes through, and by which input.
    pub(super) fn crossfaders_of(&self, route: &[Hop]) -> Vec<(u16, i16)> {
        let crossfaders = &self.state.routing.registry.crossfaders;
        let pairs = route.windows(2).filter_map(|hops| match hops {
            [from, to] => Some((from.sink, to.source)),
            _ => None,
        });
        let through = pairs.flat_map(|(sink, source)| {
            let of_source = crossfaders.iter().filter(move |(_, it)| it.source == source);
            of_source.filter_map(move |(id, it)| match sink {
                sink if sink == it.sink_a => Some((*id, SINK_A)),
                sink if sink == it.sink_b => Some((*id, SINK_B)),
                _ => None,
            })
        });
        through.collect()
    }

    /// Both go to one sink by different inputs of one crossfader.
    fn fade(&self, leaving: &Main, coming: &Main) -> bool {
        let inputs = self.crossfaders_of(&coming.route);
        leaving.sink == coming.sink
            && self
                .crossfaders_of(&leaving.route)
                .iter()
                .any(|(id, input)| inputs.iter().any(|(other, it)| other == id && it != input))
    }

    /// This one stays as it is until it has been faded to the one that takes its place.
    pub(super) fn stays_for_fade(&self, main: &Main) -> bool {
        if main.state != ConnectionState::Connected {
            return false;
        }
        let coming = match main.goal {
            Goal::Displaced { by } => self.state.routing.mains.get(&by),
            Goal::Up => self.pausing(main).map(|it| it.1),
            _ => None,
        };
        coming.is_some_and(|it| {
            let comes = !matches!(it.state, ConnectionState::Connected | ConnectionState::Suspended);
            comes && self.aims_up(it) && self.fade(main, it)
        })
    }

    /// Whether a newcomer need not wait for this one to go.
    pub(super) fn is_faded_to(&self, leaving: &Main, coming: &Main) -> bool {
        leaving.state == ConnectionState::Connected && self.fade(leaving, coming)
    }

    /// All of it is up but for fades.
    fn is_ready(&self, main: &Main) -> bool {
        let routing = &self.state.routing;
        main.route.iter().all(|hop| {
            let up = routing.segment_of(hop).is_some_and(|(_, it)| it.up);
            let source = routing.registry.sources.get(&hop.source);
            hop.domain == BUILT_IN || up && source.is_none_or(|it| it.state == ON || it.state == UNKNOWN)
        })
    }

    /// The hot input a crossfader is to have, if anybody is to be heard through it.
    fn wanted_hot(&self, crossfader: u16) -> Option<i16> {
        let mains = self.state.routing.mains.values();
        let heard = mains.filter(|it| self.aims_up(it) && self.is_ready(it));
        let inputs = heard.flat_map(|it| self.crossfaders_of(&it.route));
        let inputs = inputs.filter(|it| it.0 == crossfader).map(|it| it.1);
        inputs.reduce(|one, other| if one == other { one } else { INTERMEDIATE })
    }

    /// Whether a route's fades are done; `None`: one was refused.
    pub(super) fn is_faded_in(&self, main: &Main) -> Option<bool> {
        let mut done = true;
        for (id, input) in self.crossfaders_of(&main.route) {
            let hot = self.state.routing.registry.crossfaders.get(&id).map(|it| it.hot_sink);
            let wanted = self.wanted_hot(id).unwrap_or(input);
            // Both are hot only where both are to be.
            if hot == Some(input) || hot == Some(INTERMEDIATE) && wanted == INTERMEDIATE {
                continue;
            }
            if self.state.routing.is_refused(Target::CrossFade(id), wanted) {
                return None;
            }
            done = false;
        }
        Some(done)
    }

    /// Fades where another input is to be heard than the one that is.
    pub(super) fn settle_crossfaders(&mut self, effects: &mut Vec<Effect>) -> bool {
        #[cfg(test)]
        if mutant::is(Mutant::NeverFades) {
            return false;
        }
        let all = self.state.routing.registry.crossfaders.iter();
        let all: Vec<(u16, u16, i16)> = all.map(|(id, it)| (*id, it.domain, it.hot_sink)).collect();
        let mut moved = false;
        for (id, domain, hot) in all {
            let target = Target::CrossFade(id);
            let Some(wanted) = self
                .wanted_hot(id)
                .filter(|wanted| *wanted != hot && self.is_idle(target))
            else {
                continue;
            };
            if self.state.routing.is_refused(target, wanted) {
                continue;
            }
            let what = What::CrossFade {
                crossfader: id,
                hot_sink: wanted,
            };
            moved |= self.send(domain, what, self.ack_ms(domain), effects) == Sent::Yes;
        }
        moved
    }

    /// How many of a route's crossfader inputs others use.
    pub(super) fn inputs_in_use(&self, source: u16, route: &[Hop]) -> usize {
        let crossfaders = self.crossfaders_of(route);
        let mains = self.state.routing.mains.values();
        let others: Vec<(u16, i16)> = mains
            .filter(|it| it.source != source && it.state != ConnectionState::Disconnected)
            .flat_map(|it| self.crossfaders_of(&it.route))
            .collect();
        crossfaders.iter().filter(|it| others.contains(it)).count()
    }
}
