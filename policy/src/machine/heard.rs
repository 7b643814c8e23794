//! What is heard: a pure function of connections, sounding protected sources, user volumes. Computed anew at each step, so no
//! action ever has to undo another.
//!
//! One source at one sink: gain = wanted gain + gain of the sink's main volume + the deepest duck; silent where muted or where
//! its [`Standing`] says so. Only the ramp to a gain, the fade at its end and a cause's `since` look at what was before.
//!
//! A protected source is at 0 dB at its sinks and nowhere else, whatever the rest says.

use std::collections::BTreeMap;

use super::presence::{Present, blocker, ducker, pauser, present_at};
use super::ruled::limits;
use super::state::{Place, State};
use super::volumes::zone_volume;
use crate::effect::{Cause, CauseKind, Heard, Mode, SourceHeard, Tap};
use crate::model::{Duck, Model, Unrouted};
use crate::usage::Fade;
use crate::{Db10, MUTE, Time, curve};

#[cfg(test)]
use super::tests::mutant::{self, Mutant};

/// Because of a source, by a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct By {
    pub source: usize,
    pub duck: Duck,
    pub line: Option<u32>,
}

/// Why one that is heard is held down: ducked, or by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Down {
    pub kind: CauseKind,
    pub duck: Duck,
    pub line: Option<u32>,
}

impl From<By> for Down {
    fn from(by: By) -> Self {
        Self {
            kind: CauseKind::Ducked { by: by.source },
            duck: by.duck,
            line: by.line,
        }
    }
}

/// What holds one that is heard at a sink down: in its channels of no group, then in each of its channel groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Downs {
    rest: Option<Down>,
    groups: Vec<Option<Down>>,
}

impl Downs {
    fn at(&self, part: Part) -> Option<Down> {
        match part {
            Part::Rest => self.rest,
            Part::Group(place) => self.groups.get(place).copied().flatten(),
        }
    }
}

/// Which of a sink's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Those of no group.
    Rest,
    /// Those of a group, by its place among the sink's.
    Group(usize),
}

/// What is done at domains' sinks to a stream that is heard there over a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Far {
    pub paused: Option<By>,
    /// Suspended there by the rule in this line.
    pub held: Option<u32>,
    pub ducked: Option<By>,
}

/// By source and sink.
pub(super) type Beyond = BTreeMap<(usize, usize), Far>;

/// How one source stands at one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Outside the policy's reach.
    Protected,
    /// Its stream is not running; has it a connection?
    Idle { routed: bool },
    /// Running without a connection.
    NoRoute,
    /// The matrix refused or stopped it.
    Refused(By),
    /// It waits for another to end.
    Waiting(By),
    /// Paused for another.
    Paused(By),
    /// Suspended by the rule in this line.
    Held(u32),
    /// Heard, perhaps ducked or limited.
    Heard(Downs),
}

/// Standings by source, then by sink.
pub(super) type Standings = Vec<Vec<Standing>>;

/// How everyone stands.
pub(super) fn standings(model: &Model, state: &State, beyond: &Beyond) -> Standings {
    let mut all = vec![Vec::with_capacity(model.sinks.len()); model.sources.len()];
    for sink in 0..model.sinks.len() {
        let scene = Scene::at(model, state, sink, beyond);
        for (source, row) in all.iter_mut().enumerate() {
            row.push(standing(model, state, source, &scene));
        }
    }
    all
}

/// One sink, as all sources there need it.
struct Scene {
    sink: usize,
    places: BTreeMap<usize, Place>,
    present: Vec<Present>,
    heard: Vec<Present>,
    interrupts: Vec<(usize, usize)>,
    beyond: BTreeMap<usize, Far>,
}

impl Scene {
    fn at(model: &Model, state: &State, sink: usize, beyond: &Beyond) -> Self {
        let present = present_at(model, state, sink);
        let here = beyond.iter().filter(|it| it.0.1 == sink);
        let beyond: BTreeMap<usize, Far> = here.map(|((source, _), far)| (*source, *far)).collect();
        let paused = |it: &Present| {
            let far = beyond.get(&it.source);
            far.is_some_and(|far| far.paused.is_some() || far.held.is_some())
        };
        let silenced = |it: &Present| !model.protected(it.source) && limits::silenced(state, it.source, sink);
        let heard = |it: &&Present| !paused(it) && !silenced(it) && pauser(model, &present, **it).is_none();
        let connections = state.connections.values().filter(|c| c.sink == sink);
        Self {
            sink,
            places: connections.map(|c| (c.source, c.place)).collect(),
            heard: present.iter().filter(heard).copied().collect(),
            present,
            interrupts: state.interrupts(),
            beyond,
        }
    }
}

fn standing(model: &Model, state: &State, source: usize, scene: &Scene) -> Standing {
    if is_protected(model, source) {
        let there = model.sources[source].safety_sinks.contains(&scene.sink);
        return if there { Standing::Protected } else { Standing::NoRoute };
    }
    let place = scene.places.get(&source);
    let own = &state.sources[source];
    if !own.running {
        return Standing::Idle {
            routed: place.is_some(),
        };
    }
    if let Some(refusal) = own.refused.get(&scene.sink) {
        return Standing::Refused(by_cell(refusal.by, refusal.duck, refusal.line));
    }
    match place {
        None | Some(Place::Idle | Place::Refused) => Standing::NoRoute,
        Some(Place::Held { line, .. }) => Standing::Held(*line),
        Some(Place::Waiting(_)) => match blocker(model, &scene.present, source) {
            Some((by, verdict)) => Standing::Waiting(by_cell(by, verdict.duck, verdict.line)),
            None => Standing::NoRoute,
        },
        Some(Place::Admitted(order)) => {
            let own = Present { source, order: *order };
            if let Some((by, verdict)) = pauser(model, &scene.present, own) {
                return Standing::Paused(by_cell(by, verdict.duck, verdict.line));
            }
            let far = scene.beyond.get(&source);
            if let Some(by) = far.and_then(|far| far.paused) {
                return Standing::Paused(by);
            }
            if let Some(line) = far.and_then(|far| far.held) {
                return Standing::Held(line);
            }
            let groups = model.sinks[scene.sink].groups.iter();
            let down = |group| scene.down(model, state, own, group);
            Standing::Heard(Downs {
                rest: down(None),
                groups: groups.map(|group| down(Some(*group))).collect(),
            })
        }
    }
}

impl Scene {
    /// What takes most from one that is heard here: of the whole sink, or in a channel group (index in the model).
    fn down(&self, model: &Model, state: &State, own: Present, group: Option<usize>) -> Option<Down> {
        let duck_by = |heard: &[Present], interrupts: &[(usize, usize)]| {
            let ducked = ducker(model, state, (heard, interrupts), own, group);
            ducked.map(|(by, verdict)| by_cell(by, verdict.duck, verdict.line))
        };
        let for_safety = || {
            let protected = self.heard.iter().filter(|it| model.protected(it.source));
            duck_by(&protected.copied().collect::<Vec<_>>(), &[])
        };
        let here = duck_by(&self.heard, &self.interrupts);
        let far = self.beyond.get(&own.source).and_then(|far| far.ducked);
        let far = far.map(|by| By {
            duck: by.duck.within(group),
            ..by
        });
        let at = (own.source, self.sink);
        limits::strictest(model, state, at, deeper(here, far), for_safety)
    }
}

/// The deeper of two ducks, the first of equal ones.
fn deeper(one: Option<By>, other: Option<By>) -> Option<By> {
    match (one, other) {
        (Some(one), Some(other)) if other.duck.depth < one.duck.depth => Some(other),
        (None, other) => other,
        (one, _) => one,
    }
}

fn is_protected(model: &Model, source: usize) -> bool {
    #[cfg(test)]
    if mutant::is(Mutant::PolicesSafety) {
        return false;
    }
    model.protected(source)
}

fn by_cell(source: usize, duck: Duck, line: Option<u32>) -> By {
    By { source, duck, line }
}

/// Until when each source that is heard nowhere any more is still pulled, so that it fades instead of being cut.
pub(super) type Fades = Vec<Option<Time>>;

/// What a batch takes at most until the engine applies it (its longest period is 22 ms): a fade ends no earlier.
const HAND_OVER_MS: Time = 25;

/// What was before, as far as it matters.
#[derive(Clone, Copy)]
pub(super) struct Before<'a> {
    pub heard: &'a Heard,
    pub standings: &'a Standings,
    pub fades: &'a Fades,
}

/// All that is heard and all that fades, from how everyone stands and what was `before` (for ramps, fades and `since` only).
pub(super) fn heard(model: &Model, state: &State, standings: &Standings, before: Before<'_>) -> (Heard, Fades) {
    let mut heard = Heard::default();
    let mut fades = Fades::new();
    for (source, row) in standings.iter().enumerate() {
        let old = before.heard.sources.get(source);
        let old_row = before.standings.get(source);
        let taps = row.iter().enumerate().map(|(sink, standing)| {
            let old = old.and_then(|it| it.taps.get(sink));
            let old = old.zip(old_row.and_then(|it| it.get(sink)));
            let part = |part: Part| {
                let tap = tap(model, state, (source, sink), standing, part);
                let Some((old, old_standing)) = old else { return tap };
                let class = model.sources[source].class;
                let fade = model.usage.fades.get(&class).copied().unwrap_or_default();
                let ramp = ramp_ms((old_standing, standing), part, model.sinks[sink].ramp_ms, fade);
                let old = match part {
                    Part::Rest => Some(old),
                    Part::Group(place) => old.groups.get(place),
                };
                match old {
                    Some(old) => carry_on(tap, old, ramp),
                    None => tap,
                }
            };
            let groups = 0..model.sinks[sink].groups.len();
            Tap {
                groups: groups.map(|place| part(Part::Group(place))).collect(),
                ..part(Part::Rest)
            }
        });
        let taps: Vec<Tap> = taps.collect();
        let pulled = row.iter().any(|it| matches!(it, Standing::Heard(_))) || !state.sources[source].running;
        let fading = before.fades.get(source).copied().flatten();
        let fade = if pulled {
            None
        } else {
            fade(state.now, old, &taps, fading)
        };
        heard.sources.push(SourceHeard {
            mode: mode(model, source, row, fade.is_some()),
            decided: decided(state, source),
            taps,
        });
        fades.push(fade);
    }
    (heard, fades)
}

/// The fade of a running source that is heard nowhere: it begins with the longest ramp to silence, and ends.
fn fade(now: Time, old: Option<&SourceHeard>, taps: &[Tap], fading: Option<Time>) -> Option<Time> {
    let old = old.filter(|it| it.mode == Mode::Play).map_or(&[][..], |it| &it.taps);
    let fell_silent = (old.iter().zip(taps))
        .flat_map(|(old, new)| old.parts().zip(new.parts()))
        .filter(|(old, new)| old.gain > MUTE && new.gain == MUTE);
    let longest = fell_silent.map(|(_, new)| new.ramp_ms).max().filter(|ramp| *ramp > 0);
    let begins = longest.map(|ramp| now.saturating_add(Time::from(ramp) + HAND_OVER_MS));
    #[cfg(test)]
    if mutant::is(Mutant::FadesForEver) {
        return begins.or(fading);
    }
    begins.or(fading).filter(|until| *until > now)
}

/// Every start is decided in the step that tells of it; what doesn't run owes its next one.
fn decided(state: &State, source: usize) -> u32 {
    let source = &state.sources[source];
    let start_gen = source.start_gen.wrapping_sub(u32::from(!source.running));
    #[cfg(test)]
    if mutant::is(Mutant::OwesDecisions) {
        return start_gen.wrapping_sub(1);
    }
    start_gen
}

/// Play where anything is heard or fades; not pulled while it waits or is paused; else the rule for unrouted streams.
fn mode(model: &Model, source: usize, row: &[Standing], fades: bool) -> Mode {
    let is = |wanted: fn(&Standing) -> bool| row.iter().any(wanted);
    if fades || model.protected(source) || is(|it| matches!(it, Standing::Heard(_))) {
        return Mode::Play;
    }
    if is(|it| matches!(it, Standing::Waiting(_) | Standing::Paused(_) | Standing::Held(_))) {
        return Mode::Stall;
    }
    match model.sources[source].unrouted {
        Unrouted::Discard => Mode::Discard,
        Unrouted::Stall => Mode::Stall,
    }
}

/// One tap in a part of its sink, as if nothing had been before: no ramp, every cause since now.
fn tap(model: &Model, state: &State, at: (usize, usize), standing: &Standing, part: Part) -> Tap {
    let silent = |kind, line| vec![cause(kind, MUTE, state.now, line)];
    let causes = match standing {
        Standing::Protected => Vec::new(),
        Standing::Idle { routed: true } => silent(CauseKind::NotRunning, None),
        Standing::Idle { routed: false } | Standing::NoRoute => silent(CauseKind::NoRoute, None),
        Standing::Refused(by) => silent(CauseKind::Rejected { by: by.source }, by.line),
        Standing::Waiting(by) => silent(CauseKind::Delayed { by: by.source }, by.line),
        Standing::Paused(by) => silent(CauseKind::Paused { by: by.source }, by.line),
        Standing::Held(line) => silent(CauseKind::RuleSuspended, Some(*line)),
        Standing::Heard(downs) => heard_causes(model, state, at, downs.at(part)),
    };
    let sum: i32 = causes.iter().map(|cause| i32::from(cause.gain)).sum();
    Tap {
        gain: i16::try_from(sum).unwrap_or(MUTE).max(MUTE),
        ramp_ms: 0,
        causes,
        groups: Vec::new(),
    }
}

/// All that takes from a source that is heard, strongest first.
fn heard_causes(model: &Model, state: &State, at: (usize, usize), down: Option<Down>) -> Vec<Cause> {
    let (source, sink) = (&model.sources[at.0], &model.sinks[at.1]);
    let (own, there) = (&state.sources[at.0], &state.sinks[at.1]);
    let mut causes = Vec::new();
    let mut add = |kind, gain: Db10, line| {
        if gain != 0 {
            causes.push(cause(kind, gain, state.now, line));
        }
    };
    add(CauseKind::UserMuted, if own.mute { MUTE } else { 0 }, None);
    add(
        CauseKind::SinkMuted,
        if there.mute { MUTE } else { 0 },
        sink.muted.then_some(sink.line),
    );
    add(
        CauseKind::MainVolume,
        curve::gain(&sink.curve, zone_volume(model, state, at).unwrap_or(there.volume)),
        Some(sink.line),
    );
    add(
        CauseKind::UserGain,
        own.gain,
        (own.gain == source.gain).then_some(source.line),
    );
    if let Some(by) = down {
        add(by.kind, by.duck.depth, by.line);
    }
    causes.sort_by_key(|cause| (cause.gain, cause.kind));
    causes
}

fn cause(kind: CauseKind, gain: Db10, since: Time, line: Option<u32>) -> Cause {
    Cause {
        kind,
        gain,
        since,
        line,
    }
}

/// A tap's ramp and its causes' `since`, where there was one before.
fn carry_on(mut tap: Tap, old: &Tap, ramp_ms: u32) -> Tap {
    #[cfg(test)]
    if tap.gain > old.gain && mutant::is(Mutant::NeverComesUp) {
        return old.clone();
    }
    tap.ramp_ms = if tap.gain == old.gain { old.ramp_ms } else { ramp_ms };
    for cause in &mut tap.causes {
        let same = old
            .causes
            .iter()
            .find(|it| it.kind == cause.kind && it.gain == cause.gain);
        if let Some(same) = same {
            cause.since = same.since;
        }
    }
    tap
}

/// The ramp between two standings: a cell's attack when its duck, pause or stop begins or deepens, its release when that ends or
/// gets weaker; its class's fade where it comes or goes otherwise; without one none where a stream begins or ends by itself (its
/// first frame is heard); else the sink's own.
fn ramp_ms((old, new): (&Standing, &Standing), part: Part, sink_ms: u32, fade: Fade) -> u32 {
    match (old, new) {
        (Standing::Protected, _) | (_, Standing::Protected) => 0,
        (Standing::Idle { .. } | Standing::Waiting(_), Standing::Heard(_)) => fade.in_ms.unwrap_or(0),
        (Standing::NoRoute | Standing::Refused(_) | Standing::Held(_), Standing::Heard(_)) => {
            fade.in_ms.unwrap_or(sink_ms)
        }
        (Standing::Heard(_), Standing::NoRoute | Standing::Held(_)) => fade.out_ms.unwrap_or(sink_ms),
        (Standing::Idle { .. } | Standing::Waiting(_), _) | (_, Standing::Idle { .. }) => 0,
        (Standing::Heard(_), Standing::Paused(by) | Standing::Refused(by)) => by.duck.attack_ms,
        (Standing::Paused(by), Standing::Heard(_)) => by.duck.release_ms,
        (Standing::Heard(old), Standing::Heard(new)) => {
            let (old, new) = (old.at(part), new.at(part));
            let depth = |duck: Option<Down>| duck.map_or(0, |by| by.duck.depth);
            match (old, new) {
                (_, Some(by)) if depth(new) < depth(old) => by.duck.attack_ms,
                (Some(by), _) if depth(new) > depth(old) => by.duck.release_ms,
                _ => sink_ms,
            }
        }
        _ => sink_ms,
    }
}
