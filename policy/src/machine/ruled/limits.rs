//! Limits and mutes that rules hold: each belongs to a cause and counts while that sounds, unless it is sticky.
//!
//! | | counts | is forgotten |
//! |---|---|---|
//! | with a cause | while that sounds | once that neither sounds nor is connected |
//! | sticky | always | by unlimit or unmute |
//!
//! They don't add up, neither with each other nor with the matrix's duck: the strictest counts alone. One whose rule overrides goes
//! before the duck for an ordinary source also where that is deeper; never before that for a protected one.

use crate::effect::{CauseKind, EXTERNAL};
use crate::machine::Machine;
use crate::machine::heard::{By, Down};
use crate::machine::ruled::{Pushed, Ruled};
use crate::machine::state::State;
use crate::machine::volumes::zone_volume;
use crate::model::{Duck, Model};
use crate::rules::Decided;
use crate::rules::action::{Level, Limit, Spot};
use crate::{Db10, MUTE, curve};

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

/// Limits held at a time; more are not.
pub(in crate::machine) const MAX_LIMITS: usize = 256;

/// One limit at one spot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::machine) struct Held {
    /// This source, or any.
    pub source: Option<usize>,
    /// At this sink, or at any.
    pub sink: Option<usize>,
    pub level: Level,
    pub pattern: u32,
    pub ramp_ms: u32,
    pub cause: Option<usize>,
    pub sticky: bool,
    pub overrides: bool,
    /// Its index.
    pub rule: usize,
    /// Of the action.
    pub line: u32,
}

impl Held {
    fn covers(&self, source: usize, sink: usize) -> bool {
        self.source.is_none_or(|own| own == source) && self.sink.is_none_or(|own| own == sink)
    }

    fn counts(&self, state: &State) -> bool {
        #[cfg(test)]
        if mutant::is(Mutant::LimitsOutliveTheirCause) {
            return true;
        }
        #[cfg(test)]
        if self.level == Level::Silent && mutant::is(Mutant::RulesMuteForGood) {
            return true;
        }
        let below = matches!(self.level, Level::Below(_));
        self.sticky && !below || self.cause.is_some_and(|cause| sounds(state, cause))
    }

    /// How much it takes from a source of this wanted gain at a sink of this one, 0.1 dB, at most 0.
    fn depth(&self, state: &State, wanted: Db10, there: Db10) -> Db10 {
        let wanted = i32::from(wanted);
        let depth = match self.level {
            Level::Silent => MUTE.into(),
            Level::AtMost(gain) => i32::from(gain) - wanted - i32::from(there),
            Level::Below(step) => {
                let cause = self.cause.and_then(|cause| wanted_gain(state, cause));
                i32::from(step) + i32::from(cause.unwrap_or(0)) - wanted
            }
        };
        i16::try_from(depth.clamp(MUTE.into(), 0)).unwrap_or(MUTE)
    }
}

/// A source's own gain, without ducks and limits.
fn wanted_gain(state: &State, source: usize) -> Option<Db10> {
    match external(source) {
        Some(id) => state.routing.registry.sources.get(&id).map(|it| it.base_volume),
        None => state.sources.get(source).map(|it| it.gain),
    }
}

/// What a sink's mainVolume means.
fn sink_gain(model: &Model, state: &State, (source, sink): (usize, usize)) -> Option<Db10> {
    match external(sink) {
        Some(id) => {
            let sink = state.routing.registry.sinks.get(&id)?;
            Some(curve::gain(model.routing.curve_of(&sink.name), sink.wanted_volume))
        }
        None => {
            let volume = zone_volume(model, state, (source, sink))?;
            Some(curve::gain(&model.sinks.get(sink)?.curve, volume))
        }
    }
}

/// Of all limits that count for a source at a sink the strictest, how much it takes, and whether any goes before a duck.
fn of_limits<'a>(model: &Model, state: &'a State, (source, sink): (usize, usize)) -> Option<(Db10, &'a Held, bool)> {
    let (wanted, there) = (wanted_gain(state, source)?, sink_gain(model, state, (source, sink))?);
    let limits = state.ruled.limits.iter();
    let counting = || limits.clone().filter(|it| it.covers(source, sink) && it.counts(state));
    let strictest = counting()
        .map(|it| (it.depth(state, wanted, there), it))
        .min_by_key(|(depth, _)| *depth)?;
    Some((strictest.0, strictest.1, counting().any(|it| it.overrides)))
}

/// A source sounds: its stream runs, its chime sounds; a domain's is connected or interrupts.
fn sounds(state: &State, source: usize) -> bool {
    match external(source) {
        Some(id) => state.routing.sounds(id),
        None => state.sounds(source),
    }
}

fn external(source: usize) -> Option<u16> {
    source.checked_sub(EXTERNAL).and_then(|id| u16::try_from(id).ok())
}

/// What takes most from a source that is heard at a sink: the duck, or a limit. `safety` is the duck for a protected source, of
/// which nothing may take away.
pub(in crate::machine) fn strictest(
    model: &Model,
    state: &State,
    at: (usize, usize),
    duck: Option<By>,
    safety: impl FnOnce() -> Option<By>,
) -> Option<Down> {
    let Some((depth, limit, overrides)) = of_limits(model, state, at) else {
        return duck.map(Down::from);
    };
    let duck = if overrides {
        #[cfg(test)]
        let safety = || safety().filter(|_| !mutant::is(Mutant::RulesOverrideSafety));
        safety()
    } else {
        duck
    };
    if depth >= duck.map_or(0, |by| by.duck.depth) {
        return duck.map(Down::from);
    }
    Some(Down {
        kind: if limit.level == Level::Silent {
            CauseKind::RuleMuted
        } else {
            CauseKind::Limited
        },
        duck: Duck {
            depth,
            attack_ms: limit.ramp_ms,
            release_ms: limit.ramp_ms,
            ..Duck::default()
        },
        line: Some(limit.line),
    })
}

/// Whether a rule silences a source at a sink: it is no reason then to duck anyone.
pub(in crate::machine) fn silenced(state: &State, source: usize, sink: usize) -> bool {
    let mut limits = state.ruled.limits.iter();
    limits.any(|it| it.level == Level::Silent && it.covers(source, sink) && it.counts(state))
}

impl Machine {
    /// The strictest limit of a source at a sink, 0.1 dB, 0 = none.
    pub(super) fn held_to(&self, source: usize, sink: usize) -> Db10 {
        of_limits(&self.model, &self.state, (source, sink)).map_or(0, |it| it.0)
    }

    /// What takes most from a domain's source that goes to these sinks (by ID): its duck, or a limit. No duck there is for a
    /// protected source.
    pub(in crate::machine) fn strictest_beyond(&self, source: u16, sinks: &[u16], duck: Option<Duck>) -> Option<Duck> {
        let index = |id: u16| EXTERNAL + usize::from(id);
        let built_in = |sink: u16| self.state.ids.sinks.index(sink);
        let limits = sinks.iter().filter_map(|sink| {
            let sink = built_in(*sink).unwrap_or(index(*sink));
            of_limits(&self.model, &self.state, (index(source), sink))
        });
        let Some((depth, limit, overrides)) = limits.min_by_key(|it| it.0) else {
            return duck;
        };
        let duck = duck.filter(|_| !overrides);
        if depth >= duck.map_or(0, |it| it.depth) {
            return duck;
        }
        Some(Duck {
            depth,
            attack_ms: limit.ramp_ms,
            release_ms: limit.ramp_ms,
            ..Duck::default()
        })
    }

    /// Remembers a limit, in place of the same one.
    pub(super) fn limit_to(&mut self, limit: &Limit, decided: &Decided) {
        for spot in &limit.spots {
            let held = Held {
                source: spot.source.map(|it| it.source()),
                sink: spot.sink,
                level: limit.level,
                pattern: limit.pattern,
                ramp_ms: limit.ramp_ms,
                cause: limit.cause,
                sticky: limit.sticky,
                overrides: limit.overrides,
                rule: decided.rule,
                line: decided.line,
            };
            let limits = &mut self.state.ruled.limits;
            let same = |it: &Held| {
                let key = |it: &Held| (it.source, it.sink, it.cause, it.rule, it.line, it.pattern);
                key(it) == key(&held) && (it.level == Level::Silent) == (held.level == Level::Silent)
            };
            limits.retain(|it| !same(it));
            if limits.len() < MAX_LIMITS {
                limits.push(held);
            }
        }
    }

    /// Forgets limits or mutes at these spots whose pattern is covered.
    pub(super) fn unlimit(&mut self, spots: &[Spot], mutes: bool, mask: u32) {
        let covered = |it: &Held| {
            let there = spots.iter().any(|spot| {
                spot.source.is_none_or(|own| Some(own.source()) == it.source)
                    && spot.sink.is_none_or(|own| Some(own) == it.sink || it.sink.is_none())
            });
            there && (it.level == Level::Silent) == mutes && it.pattern & !mask == 0
        };
        self.state.ruled.limits.retain(|it| !covered(it));
    }

    /// Forgets limits whose cause is gone, and pushed connections that are there again or whose guest is gone.
    pub(super) fn end_held(&mut self) {
        let state = &self.state;
        let remains = |it: &Held| {
            let connected = |cause: usize| match external(cause) {
                Some(id) => state.routing.registry.sources.contains_key(&id),
                None => !state.connections_of(cause).is_empty(),
            };
            let of_cause = |cause: usize| sounds(state, cause) || connected(cause);
            it.sticky || it.cause.is_some_and(of_cause)
        };
        let kept: Vec<Held> = state.ruled.limits.iter().filter(|it| remains(it)).cloned().collect();
        let waits = |it: &Pushed| {
            let own = state.sources.get(it.source);
            own.is_some_and(|own| own.available || own.running)
                && state.connection_between(it.source, it.sink).is_none()
        };
        let pushed = state.ruled.pushed.iter().filter(|(_, it)| waits(it));
        let pushed = pushed.map(|(id, it)| (*id, it.clone())).collect();
        self.state.ruled = Ruled { limits: kept, pushed };
    }
}
