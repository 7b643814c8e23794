//! Who is there at a sink, oldest first, and who is paused or ducked by whom.

use super::state::{Place, State};
use crate::matrix::{Arrival, Verdict};
use crate::model::{Holder, Model};
use crate::{MUTE, matrix};

#[cfg(test)]
use super::tests::mutant::{self, Mutant};

/// A source that is there at a sink: admitted by the matrix, or protected and sounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Present {
    pub source: usize,
    /// Since when in the order of events; a protected source counts as newer than everyone.
    pub order: u64,
}

/// Those there at `sink`, oldest first, protected ones last.
pub(super) fn present_at(model: &Model, state: &State, sink: usize) -> Vec<Present> {
    let mut present = Vec::new();
    for connection in state.connections.values().filter(|c| c.sink == sink) {
        #[cfg(test)]
        if connection.place == Place::Idle && mutant::is(Mutant::IdleIsThere) {
            let (source, order) = (connection.source, super::state::LAST_ORDER);
            present.push(Present { source, order });
        }
        if let Place::Admitted(order) = connection.place {
            present.push(Present {
                source: connection.source,
                order,
            });
        }
    }
    present.sort_by_key(|it| it.order);
    for (source, described) in model.sources.iter().enumerate() {
        if described.safety_sinks.contains(&sink) && state.sounds(source) {
            present.push(Present {
                source,
                order: u64::MAX,
            });
        }
    }
    present
}

/// Why `newcomer` may not simply play where `present` are: a refusal before a delay, of the oldest that says so.
pub(super) fn blocker(model: &Model, present: &[Present], newcomer: usize) -> Option<(usize, Verdict<Arrival>)> {
    let verdict = |wanted: Arrival| {
        let others = present.iter().filter(|it| it.source != newcomer);
        let mut verdicts = others.map(|it| (it.source, model.arrival(it.source, newcomer)));
        verdicts.find(|(_, verdict)| verdict.action == wanted)
    };
    verdict(Arrival::Reject).or_else(|| verdict(Arrival::Delay))
}

/// The newest source that pauses `holder`. A pauser that is itself paused still counts: it is there, and goes on later.
pub(super) fn pauser(model: &Model, present: &[Present], holder: Present) -> Option<(usize, Verdict<Holder>)> {
    #[cfg(test)]
    if mutant::is(Mutant::NeverPauses) {
        return None;
    }
    let newer = present.iter().rev().filter(|it| it.order > holder.order);
    let mut verdicts = newer.map(|it| (it.source, model.pressure(holder.source, it.source)));
    verdicts.find(|(_, verdict)| verdict.action == Holder::Pause)
}

/// The duck of `source` at a sink: of all ducks by others *heard* there the deepest alone, of equal ones the oldest's. Ducks
/// don't add up: two prompts at once are no reason to lose the music twice. `interrupts` are domains' sources that sound on their
/// own, and their classes. In the channels of no group, or of this one (index in the model).
pub(super) fn ducker(
    model: &Model,
    state: &State,
    (heard, interrupts): (&[Present], &[(usize, usize)]),
    source: Present,
    group: Option<usize>,
) -> Option<(usize, matrix::Verdict<()>)> {
    #[cfg(test)]
    if mutant::is(Mutant::ForgetsDucks) {
        return None;
    }
    let mut deepest: Option<(usize, Verdict<()>)> = None;
    for other in heard
        .iter()
        .filter(|it| it.source != source.source && audible(model, state, it.source))
    {
        let ducked = if other.order > source.order {
            let verdict = model.pressure(source.source, other.source);
            (verdict.action == Holder::Duck).then_some((verdict.duck, verdict.line))
        } else {
            let verdict = model.arrival(other.source, source.source);
            (verdict.action == Arrival::Ducked).then_some((verdict.duck, verdict.line))
        };
        let ducked = ducked.map(|(duck, line)| (duck.within(group), line));
        let Some((duck, line)) = ducked.filter(|(duck, _)| duck.depth < 0) else {
            continue;
        };
        if deepest.is_none_or(|(_, verdict)| duck.depth < verdict.duck.depth) {
            let action = ();
            deepest = Some((other.source, Verdict { action, duck, line }));
        }
    }
    let own = model.sources.get(source.source).map_or(usize::MAX, |it| it.class);
    for (by, class) in interrupts {
        let Verdict { action, duck, line } = model.class_pressure(own, *class);
        let duck = duck.within(group);
        if action == Holder::Duck && duck.depth < deepest.map_or(0, |(_, verdict)| verdict.duck.depth) {
            let action = ();
            deepest = Some((*by, Verdict { action, duck, line }));
        }
    }
    deepest
}

/// A source its user muted is no reason to duck anyone.
fn audible(model: &Model, state: &State, source: usize) -> bool {
    model.protected(source) || state.sources.get(source).is_some_and(|it| !it.mute && it.gain > MUTE)
}
