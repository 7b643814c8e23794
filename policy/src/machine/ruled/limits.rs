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
use crate::model::{Duck, Model};
use crate::rules::Decided;
use crate::rules::action::{Level, Limit, Spot};
use crate::{Db10, MUTE, curve};

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

/// Limits held at a time; more are not.
pub(in crate::machine) const MAX_LIMITS: usize = 1024;

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

    /// How much it takes, 0.1 dB, at most 0.
    fn depth(&self, model: &Model, state: &State, source: usize, sink: usize) -> Db10 {
        let wanted = i32::from(state.sources[source].gain);
        let there = i32::from(curve::gain(&model.sinks[sink].curve, state.sinks[sink].volume));
        let depth = match self.level {
            Level::Silent => MUTE.into(),
            Level::AtMost(gain) => i32::from(gain) - wanted - there,
            Level::Below(step) => {
                // A domain's source is at the gain its domain gives it; what that is here nobody knows: 0 dB.
                let cause = self.cause.and_then(|cause| state.sources.get(cause));
                i32::from(step) + cause.map_or(0, |cause| i32::from(cause.gain)) - wanted
            }
        };
        i16::try_from(depth.clamp(MUTE.into(), 0)).unwrap_or(MUTE)
    }
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
    (source, sink): (usize, usize),
    duck: Option<By>,
    safety: impl FnOnce() -> Option<By>,
) -> Option<Down> {
    let held = || {
        state
            .ruled
            .limits
            .iter()
            .filter(|it| it.covers(source, sink) && it.counts(state))
    };
    let Some((depth, limit)) = held()
        .map(|it| (it.depth(model, state, source, sink), it))
        .min_by_key(|(depth, _)| *depth)
    else {
        return duck.map(Down::from);
    };
    let duck = if held().any(|it| it.overrides) {
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
        let there = source < self.model.sources.len() && sink < self.model.sinks.len();
        let limits = self
            .state
            .ruled
            .limits
            .iter()
            .filter(|it| there && it.covers(source, sink));
        let counting = limits.filter(|it| it.counts(&self.state));
        let depths = counting.map(|it| it.depth(&self.model, &self.state, source, sink));
        depths.min().unwrap_or(0)
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
            let same =
                |it: &Held| (it.source, it.sink, it.cause, it.line) == (held.source, held.sink, held.cause, held.line);
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
