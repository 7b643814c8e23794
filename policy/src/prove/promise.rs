//! What every state has to keep, judged from outside: from what was done and what the machine shows, not from how it decides.

mod domains;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::command::{ConnectionState, error};
use crate::effect::{Cause, CauseKind, EXTERNAL, Heard, Tap};
use crate::rules::action::{Action as Ruled, Live};
use crate::simulate::Action;
use crate::simulate::world::World;
use crate::text::decibels;
use crate::{MUTE, Machine, Model, Time, curve};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// Nothing reaches a safety source.
    Safety,
    /// While a safety source sounds, every other one heard there is at or below the ceiling its class states.
    Ceiling,
    /// No duck, mute or fade outlasts its cause and the ramp.
    Lasting,
    /// Every accepted request reaches a final state if time goes on.
    Answered,
    /// No two rules want different things on one event, none set each other off without end, and nothing moves by itself.
    Fights,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Safety, Self::Ceiling, Self::Lasting, Self::Answered, Self::Fights];

    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Safety => "nothing reaches a safety source",
            Self::Ceiling => "while a safety source sounds, all others there are at or below its ceiling",
            Self::Lasting => "no duck, pause or mute outlasts its cause and ramp",
            Self::Answered => "every accepted request reaches a final state",
            Self::Fights => "no two rules fight, and no gain moves without anything happening",
        }
    }
}

/// A promise that is not kept, and how.
pub(super) type Breach = (Promise, String);

/// What of a model the promises speak of.
pub(super) struct Watch {
    /// Longest ramp of the file, ms.
    longest: Time,
}

/// What a decision takes until the engine has it, ms, at most; see `machine::heard`.
const HAND_OVER_MS: Time = 25;

impl Watch {
    pub fn new(model: &Model) -> Self {
        let cells = model.cells.values().map(|cell| cell.duck).chain([model.default_duck]);
        let ramps = cells.flat_map(|duck| [duck.attack_ms, duck.release_ms]);
        let longest = ramps.chain(model.sinks.iter().map(|sink| sink.ramp_ms)).max();
        Self {
            longest: longest.unwrap_or(0).into(),
        }
    }

    /// All that a state breaks, of the promises in `wanted`.
    pub fn state(&self, machine: &Machine, wanted: &[Promise], breaches: &mut Vec<Breach>) {
        for promise in wanted {
            let found = match promise {
                Promise::Safety => safety(machine),
                Promise::Ceiling => ceiling(machine),
                Promise::Lasting => lasting(machine)
                    .or_else(|| domains::held_down(machine))
                    .or_else(|| self.fade(machine)),
                Promise::Answered => answered(machine).or_else(|| domains::on_the_way(machine)),
                Promise::Fights => None,
            };
            breaches.extend(found.map(|what| (*promise, what)));
        }
    }

    /// What an answer breaks.
    pub fn reply(machine: &Machine, world: &World, action: &Action, code: Option<i16>) -> Option<Breach> {
        let broken = |what: &str| Some((Promise::Answered, what.to_owned()));
        match (action, code) {
            (_, None) if action.is_call() => broken("a call is not answered"),
            (Action::Connect { source, sink }, Some(error::OK)) => {
                if world.connection(machine, *source, *sink).is_some() {
                    None
                } else {
                    broken("Connect is answered 0, and there is no connection")
                }
            }
            _ => None,
        }
    }

    /// What time alone breaks: between `before` and now nothing happened.
    pub fn time(before: &Heard, machine: &Machine) -> Option<Breach> {
        let names = (0..before.sources.len()).map(|source| machine.source_name(source).unwrap_or("?"));
        let rows = before.sources.iter().zip(&machine.heard().sources).zip(names);
        for ((old, new), name) in rows {
            let gains = |taps: &[Tap]| taps.iter().flat_map(Tap::parts).map(|it| it.gain).collect::<Vec<_>>();
            if gains(&old.taps) != gains(&new.taps) {
                return Some((
                    Promise::Fights,
                    format!("{name} changes its gain, and nothing happened"),
                ));
            }
        }
        None
    }

    /// What rules did to each other on the last event.
    pub fn rules(machine: &Machine) -> Option<Breach> {
        let overruns = machine.overruns();
        if overruns.count > 0 {
            let rules = overruns.rules.join(", ");
            return Some((
                Promise::Fights,
                format!("rules set each other off without end: {rules}"),
            ));
        }
        clash(machine).map(|what| (Promise::Fights, what))
    }

    /// A fade ends, and no ramp is longer than the file's longest.
    fn fade(&self, machine: &Machine) -> Option<String> {
        let now = machine.now();
        // What a domain owes is another promise's.
        let due = machine
            .next_deadline()
            .filter(|due| Some(*due) != machine.ack_deadline())?;
        if due <= now {
            return Some(format!("a fade that was over at {due} ms goes on"));
        }
        let longest = self.longest + HAND_OVER_MS;
        (due > now + longest).then(|| format!("a fade takes {} ms, longer than any ramp of the file", due - now))
    }
}

/// Two rules that want different things of one target on one event.
fn clash(machine: &Machine) -> Option<String> {
    let mut set: BTreeMap<String, (usize, u32, String)> = BTreeMap::new();
    for decided in machine.acted() {
        for (target, value) in targets(machine, &decided.action) {
            let (rule, line) = (decided.rule, decided.line);
            let (first, first_line, wanted) = set.entry(target.clone()).or_insert((rule, line, value.clone()));
            if *first != rule && *wanted != value {
                return Some(format!(
                    "lines {first_line} and {line} want different things of {target} on one event"
                ));
            }
        }
    }
    None
}

/// What an action sets, and to what.
fn targets(machine: &Machine, action: &Ruled) -> Vec<(String, String)> {
    let source = |index: usize| machine.source_name(index).unwrap_or("?").to_owned();
    let sink = |index: usize| {
        machine
            .model()
            .sinks
            .get(index)
            .map_or("?", |sink| &sink.name)
            .to_owned()
    };
    let pair = |from: usize, to: usize| format!("{} at {}", source(from), sink(to));
    let live = |all: &[Live], what: &str| -> Vec<(String, String)> {
        all.iter()
            .map(|it| (pair(it.source.source(), it.sink), what.to_owned()))
            .collect()
    };
    match action {
        Ruled::Connect { pairs, .. } => {
            let pairs = pairs
                .iter()
                .map(|(from, to)| (pair(from.source(), *to), "connected".to_owned()));
            pairs.collect()
        }
        Ruled::Disconnect(all) => live(all, "disconnected"),
        Ruled::Push(all) => live(all, "pushed"),
        Ruled::Suspend(all) => live(all, "suspended"),
        Ruled::SetMainVolume { sinks, change, .. } => {
            let sinks = sinks
                .iter()
                .map(|it| (format!("the volume of {}", sink(*it)), format!("{change:?}")));
            sinks.collect()
        }
        Ruled::SetGain { sources, change, .. } => {
            let sources = sources
                .iter()
                .map(|it| (format!("the gain of {}", source(it.source())), format!("{change:?}")));
            sources.collect()
        }
        // Limits don't fight: the strictest counts. Properties and notifications are not heard.
        _ => Vec::new(),
    }
}

/// Every source at every sink, with its tap; and with that in each of the sink's channel groups.
fn taps(machine: &Machine) -> impl Iterator<Item = (usize, usize, &Tap)> {
    let rows = machine.heard().sources.iter().enumerate();
    let taps = rows.flat_map(|(source, row)| row.taps.iter().enumerate().map(move |(sink, tap)| (source, sink, tap)));
    taps.flat_map(|(source, sink, tap)| tap.parts().map(move |part| (source, sink, part)))
}

fn at(machine: &Machine, source: usize, sink: usize) -> String {
    let sink = machine.model().sinks.get(sink).map_or("?", |sink| &sink.name);
    format!("{} at {sink}", machine.source_name(source).unwrap_or("?"))
}

fn safety(machine: &Machine) -> Option<String> {
    let model = machine.model();
    let mut protected = taps(machine).filter(|(source, ..)| model.protected(*source));
    let reached = protected.find(|(source, sink, tap)| {
        let there = model.sources[*source].safety_sinks.contains(sink);
        let gain = if there { 0 } else { MUTE };
        tap.gain != gain || (there && !tap.causes.is_empty()) || machine.wanted(*source) != Some((0, false))
    });
    if let Some((source, sink, tap)) = reached {
        return Some(format!(
            "{} is a safety source, and is {}",
            at(machine, source, sink),
            decibels(tap.gain)
        ));
    }
    let connected = machine.connections().find(|it| model.protected(it.source))?;
    Some(format!(
        "{} is a safety source, and is routed",
        at(machine, connected.source, connected.sink)
    ))
}

/// Whether a source makes itself heard at a sink, or would if it weren't held up.
fn is_there(machine: &Machine, source: usize, sink: usize) -> bool {
    let Some(state) = machine.state_of(source) else {
        return domains::is_there(machine, source);
    };
    if state.protected {
        let model = machine.model();
        return (state.running || state.sounding) && model.sources[source].safety_sinks.contains(&sink);
    }
    state.running && machine.connections().any(|it| (it.source, it.sink) == (source, sink))
}

fn is_heard(machine: &Machine, source: usize, sink: usize) -> bool {
    if source >= EXTERNAL {
        return domains::is_there(machine, source);
    }
    let protected = machine.state_of(source).is_some_and(|it| it.protected);
    let connected = |source, sink| {
        let mut all = machine
            .connections()
            .filter(|it| (it.source, it.sink) == (source, sink));
        all.any(|it| it.state == ConnectionState::Connected)
    };
    let muted = machine.wanted(source).is_none_or(|(gain, mute)| mute || gain <= MUTE);
    let takes_over = || machine.source_id(source).is_some_and(|id| machine.takes_over(id));
    let there = is_there(machine, source, sink) && (protected || (connected(source, sink) && !muted));
    there || takes_over()
}

fn ceiling(machine: &Machine) -> Option<String> {
    let model = machine.model();
    for (warning, described) in model.sources.iter().enumerate() {
        let class = model.classes.get(described.class)?;
        let Some(ceiling) = class.others_at_most.filter(|_| model.protected(warning)) else {
            continue;
        };
        for &sink in &described.safety_sinks {
            if !is_there(machine, warning, sink) {
                continue;
            }
            let mut there = taps(machine).filter(|(source, at, _)| *at == sink && !model.protected(*source));
            let loud =
                there.find(|(_, _, tap)| tap.gain > MUTE && duck(tap) > ceiling.into() && !limited(tap, ceiling));
            if let Some((source, _, tap)) = loud {
                let ducked = match duck(tap) {
                    0 => "not ducked".to_owned(),
                    duck => format!("ducked to {:.1} dB only", f64::from(duck) / 10.0),
                };
                return Some(format!(
                    "{} is {ducked} while {} sounds; {} is the most that class {} allows (line {})",
                    at(machine, source, sink),
                    described.name,
                    decibels(ceiling),
                    class.name,
                    class.line
                ));
            }
        }
    }
    None
}

/// What ducks take from a tap, 0.1 dB: whatever volumes and the user's gain take is not the matrix's merit.
fn duck(tap: &Tap) -> i32 {
    let ducks = tap
        .causes
        .iter()
        .filter(|cause| matches!(cause.kind, CauseKind::Ducked { .. }));
    ducks.map(|cause| i32::from(cause.gain)).sum()
}

/// A rule's limit is one of what is heard, volumes and all.
fn limited(tap: &Tap, ceiling: crate::Db10) -> bool {
    tap.gain <= ceiling && tap.causes.iter().any(|cause| cause.kind == CauseKind::Limited)
}

fn lasting(machine: &Machine) -> Option<String> {
    for (source, sink, tap) in taps(machine) {
        if machine.model().protected(source) {
            continue;
        }
        let sum: i32 = tap.causes.iter().map(|cause| i32::from(cause.gain)).sum();
        if i32::from(tap.gain) != sum.max(MUTE.into()) {
            let gain = decibels(tap.gain);
            return Some(format!(
                "{} is {gain}, and nothing accounts for it",
                at(machine, source, sink)
            ));
        }
        let over = tap.causes.iter().find(|cause| !lives(machine, (source, sink), cause));
        if let Some(cause) = over {
            let by = cause.kind.by().and_then(|by| machine.source_name(by));
            let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
            let name = cause.kind.name();
            return Some(format!(
                "{} is still held down ({name}{by}), and the cause is gone",
                at(machine, source, sink)
            ));
        }
    }
    None
}

/// Whether a cause is there still.
fn lives(machine: &Machine, (source, sink): (usize, usize), cause: &Cause) -> bool {
    let Cause { kind, gain, line, .. } = *cause;
    let volume = machine.volume(sink);
    let wanted = machine.wanted(source);
    match kind {
        CauseKind::Ducked { by } => is_heard(machine, by, sink),
        CauseKind::Paused { by } | CauseKind::Delayed { by } => is_there(machine, by, sink),
        CauseKind::SinkMuted => volume.is_some_and(|(_, mute)| mute),
        CauseKind::MainVolume => {
            let curve = machine.model().sinks.get(sink).map(|sink| &sink.curve);
            curve
                .zip(volume)
                .is_some_and(|(curve, (volume, _))| curve::gain(curve, volume) == gain)
        }
        CauseKind::UserMuted => wanted.is_some_and(|(_, mute)| mute),
        CauseKind::UserGain => wanted.is_some_and(|(wanted, _)| wanted == gain),
        CauseKind::Limited | CauseKind::RuleMuted => machine.limit_lives((source, sink), line),
        CauseKind::NotRunning => machine.state_of(source).is_some_and(|it| !it.running),
        // A refusal is remembered until the stream asks again, a rule's suspension until a rule resumes it or the stream stops.
        CauseKind::NoRoute | CauseKind::Rejected { .. } | CauseKind::RuleSuspended => true,
    }
}

fn answered(machine: &Machine) -> Option<String> {
    for (source, row) in machine.heard().sources.iter().enumerate() {
        let name = || machine.source_name(source).unwrap_or("?");
        let Some(state) = machine.state_of(source) else {
            continue;
        };
        match (state.running, state.start_gen == row.decided) {
            (true, false) => return Some(format!("the start of {} is not decided", name())),
            (false, true) => return Some(format!("the start of {} is decided before it", name())),
            _ => {}
        }
    }
    for it in machine.connections() {
        let name = || at(machine, it.source, it.sink);
        let running = machine.state_of(it.source).is_some_and(|it| it.running);
        let tap = machine
            .heard()
            .sources
            .get(it.source)
            .and_then(|row| row.taps.get(it.sink));
        let first = tap.and_then(|tap| tap.causes.first()).map(|cause| cause.kind);
        let held = matches!(
            first,
            Some(
                CauseKind::Paused { .. }
                    | CauseKind::Delayed { .. }
                    | CauseKind::Rejected { .. }
                    | CauseKind::RuleSuspended
            )
        );
        match it.state {
            ConnectionState::Connected if running && (held || first == Some(CauseKind::NoRoute)) => {
                return Some(format!("{} is connected and running, and is not heard", name()));
            }
            ConnectionState::Connected => {}
            ConnectionState::Suspended if held => {}
            ConnectionState::Suspended => return Some(format!("{} waits for nobody", name())),
            state => return Some(format!("{} stays {state:?}", name())),
        }
    }
    None
}
