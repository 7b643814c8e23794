//! The same [`Machine`] on a scenario: what happens when, and who is heard how loud.
//!
//! ```text
//!   scenario ─► Simulation: Machine::step for each step, Event::Tick at each Machine::next_deadline
//!                   │
//!                   ├─► entries  (steps, replies, connections, what is heard and why) ─► table, JSON
//!                   ├─► lanes    (gain of each source at each sink over time)         ─► SVG
//!                   └─► findings (expectations that fail, each with its place)
//! ```
//! Gains are the policy's: what is done to a source, not how loud its own samples are. Ramps are drawn as the engine makes them:
//! linear in amplitude, from where the gain is at that moment. A decision takes effect here at once; in the engine at its next
//! period's edge.

mod action;
pub mod cast;
mod expect;
mod lane;
pub mod scenario;
mod steps;
mod svg;
mod table;
pub(crate) mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::command::ConnectionState;
use crate::effect::{CauseKind, Effect};
use crate::report::Diagnostic;
use crate::routing_command::DomainRequest;
use crate::{Db10, Event, MUTE, Machine, Model, Time};
use world::World;

pub use cast::Cast;
pub use lane::{Lane, Turn};
pub use scenario::{Action, Expectation, Scenario, Step};
pub use svg::svg;
pub use table::table;

/// Deadlines served without time going on: a machine that asks for more is broken.
const MOST_TICKS: usize = 10_000;

/// Why a gain is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// [`CauseKind::name`].
    pub cause: &'static str,
    /// Because of this source.
    pub by: Option<String>,
    /// What it takes, 0.1 dB.
    pub tenths_db: Db10,
    /// Line of the policy.
    pub line: Option<u32>,
}

impl Reason {
    /// In words.
    pub fn text(&self) -> String {
        let by = self.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let by = if self.cause == "delayed" || self.cause == "paused" {
            by.replacen(" by ", " for ", 1)
        } else {
            by
        };
        let line = self.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        format!("{}{by}{line}", self.cause)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// A step of the scenario.
    Step {
        /// As the scenario says it.
        step: String,
        /// Line of the scenario.
        line: u32,
    },
    /// The answer to a call.
    Reply {
        /// AudioManager's code.
        code: i16,
    },
    /// A connection is in another state.
    Connection {
        /// mainConnectionID.
        id: u16,
        /// Source.
        source: String,
        /// Sink.
        sink: String,
        /// `connected`, `suspended`, `disconnected`, …
        state: &'static str,
    },
    /// A source heads for another gain at a sink, or for the same for another reason.
    Heard {
        /// Source.
        source: String,
        /// Sink.
        sink: String,
        /// 0.1 dB; `None` = silence.
        tenths_db: Option<Db10>,
        /// Time it takes, ms.
        ramp_ms: u32,
        /// Strongest first; empty = nothing is taken away, or the source itself is silent.
        reasons: Vec<Reason>,
    },
    /// A rule did something.
    Rule {
        /// Its name.
        rule: String,
        /// Line of the policy.
        line: u32,
    },
    /// A domain is asked for something, or to give it up.
    Asked {
        /// Its name.
        domain: String,
        /// What.
        request: String,
    },
    /// A guest's control elements are set.
    Control {
        /// Source.
        source: String,
        /// 0.1 dB.
        tenths_db: Db10,
        /// Muted.
        muted: bool,
    },
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// ms.
    pub at: Time,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What came of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    /// The scenario's title.
    pub title: String,
    /// In the order of time.
    pub entries: Vec<Entry>,
    /// Every source at every sink where it was heard at some time.
    pub lanes: Vec<Lane>,
    /// Its end, ms.
    pub end: Time,
    /// Expectations and replies, and how many of them failed.
    pub expected: usize,
    /// See `expected`.
    pub failed: usize,
    /// What failed: for a report on the scenario's text.
    #[serde(skip)]
    pub findings: Vec<Diagnostic>,
}

/// What a source does at a sink, as far as it is shown: heading for a gain, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    gain: Option<Db10>,
    reasons: Vec<Reason>,
}

/// A connection, with the indices of model and cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connected {
    pub id: u16,
    pub source: usize,
    pub sink: usize,
    pub state: ConnectionState,
}

/// A source, a sink, and which of its channels: 0 those of no group, then its channel groups.
type Spot = (usize, usize, usize);

/// A machine whose time is the scenario's.
#[derive(Clone, Debug)]
pub struct Simulation {
    machine: Machine,
    now: Time,
    world: World,
    entries: Vec<Entry>,
    fight: Option<String>,
    shown: BTreeMap<Spot, Shown>,
    connections: BTreeMap<u16, Connected>,
    lanes: BTreeMap<Spot, Lane>,
}

/// Runs a scenario.
pub fn run(model: Model, scenario: &Scenario) -> Timeline {
    let mut simulation = Simulation::new(model, scenario.cast.clone(), |guest| !scenario.absent.contains(guest));
    let mut checked = expect::Checked::default();
    let mut expectations = scenario.expectations.iter().peekable();
    for step in &scenario.steps {
        while let Some(due) = expectations.next_if(|it| it.at < step.at) {
            simulation.pass(due.at);
            checked.expectation(&simulation, due);
        }
        let code = simulation.act(step.at, &step.action, step.line);
        checked.reply(step, code);
    }
    for due in expectations {
        simulation.pass(due.at);
        checked.expectation(&simulation, due);
    }
    simulation.pass(scenario.end);
    Timeline {
        title: scenario.title.clone(),
        lanes: simulation.lanes.into_values().filter(Lane::was_heard).collect(),
        entries: simulation.entries,
        end: scenario.end,
        expected: checked.count,
        failed: checked.findings.len(),
        findings: checked.findings,
    }
}

fn state_word(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Unknown => "unknown",
        ConnectionState::Connecting => "connecting",
        ConnectionState::Connected => "connected",
        ConnectionState::Disconnecting => "disconnecting",
        ConnectionState::Disconnected => "disconnected",
        ConnectionState::Suspended => "suspended",
    }
}

impl Simulation {
    /// A machine at its first start; `is_there` says of each guest whether it is there. No domain is, yet.
    pub fn new(model: Model, cast: Arc<Cast>, is_there: impl Fn(&str) -> bool) -> Self {
        let mut machine = Machine::new(model);
        for source in 0..machine.model().sources.len() {
            let guest = machine.source_name(source).and_then(scenario::guest_of).map(&is_there);
            if guest == Some(true) {
                machine.step(
                    Event::Available {
                        source,
                        available: true,
                    },
                    0,
                );
            }
        }
        Self {
            machine,
            now: 0,
            world: World::new(cast),
            entries: Vec::new(),
            fight: None,
            shown: BTreeMap::new(),
            connections: BTreeMap::new(),
            lanes: BTreeMap::new(),
        }
    }

    /// The machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What is around it.
    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// The time, ms.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Gain of a source at a sink at this moment, in its channels of no group (part 0) or of a group (from 1), linear; ramps included.
    pub fn amplitude(&self, source: usize, sink: usize, part: usize) -> f64 {
        self.lanes
            .get(&(source, sink, part))
            .map_or(0.0, |lane| lane.amplitude(self.now))
    }

    /// Lets time pass, and serves every deadline on the way.
    pub fn pass(&mut self, until: Time) {
        for _ in 0..MOST_TICKS {
            let Some(deadline) = self.machine.next_deadline().filter(|deadline| *deadline <= until) else {
                break;
            };
            self.now = self.now.max(deadline);
            self.step(Event::Tick);
        }
        self.now = self.now.max(until);
    }

    /// Does something at a time; the code of its answer, if it is answered. `line` is where the scenario says so.
    pub fn act(&mut self, at: Time, action: &Action, line: u32) -> Option<i16> {
        self.pass(at);
        let step = action.toml(self.machine.model(), &self.world.cast);
        self.note(What::Step { step, line });
        let mut code = None;
        for part in self.world.parts(&self.machine, action) {
            let event = self.world.event(&self.machine, part);
            code = self.step(event).or(code);
        }
        code
    }

    fn note(&mut self, what: What) {
        self.entries.push(Entry { at: self.now, what });
    }

    fn step(&mut self, event: Event) -> Option<i16> {
        let effects = self.machine.step(event, self.now);
        self.world.note(&self.machine, &effects);
        self.note_rules();
        let mut code = None;
        for effect in effects {
            match effect {
                Effect::Reply { reply, .. } => {
                    code = Some(reply.error);
                    self.note(What::Reply { code: reply.error });
                }
                Effect::GuestControl { source, gain, mute } => {
                    let source = self.source(source);
                    self.note(What::Control {
                        source,
                        tenths_db: gain,
                        muted: mute,
                    });
                }
                Effect::Domain { domain, request } => self.note_request(domain, &request),
                _ => {}
            }
        }
        self.note_connections();
        self.note_heard();
        code
    }

    fn note_rules(&mut self) {
        let rules = self.machine.model().rules.rules();
        let acted = self.machine.acted().iter();
        let acted = acted.filter_map(|it| {
            Some(What::Rule {
                rule: rules.get(it.rule)?.name.clone(),
                line: it.line,
            })
        });
        let acted: Vec<What> = acted.collect();
        acted.into_iter().for_each(|what| self.note(what));
        if self.fight.is_none() {
            self.fight = crate::prove::fight(&self.machine);
        }
    }

    /// How rules fought on an event so far, if they did.
    pub fn fight(&self) -> Option<String> {
        self.fight.clone()
    }

    fn note_request(&mut self, domain: u16, request: &DomainRequest) {
        let (cast, model) = (&self.world.cast, self.machine.model());
        let what = match (request, self.world.understood(domain, request)) {
            (DomainRequest::Abort { .. }, _) => "give up what is late".to_owned(),
            (_, Some((_, ask))) => ask.text(model, cast),
            (_, None) => return,
        };
        let name = self.machine.domain(domain).map_or("?", |it| &it.name).to_owned();
        self.note(What::Asked {
            domain: name,
            request: what,
        });
    }

    /// By the index that the machine has for it.
    fn source(&self, index: usize) -> String {
        self.machine.source_name(index).unwrap_or("?").to_owned()
    }

    /// By the cast's index.
    fn name(&self, index: usize) -> String {
        self.world.cast.source_name(self.machine.model(), index).to_owned()
    }

    fn sink(&self, index: usize) -> String {
        self.world.cast.sink_name(self.machine.model(), index).to_owned()
    }

    /// `cabin`, or `cabin.front` of a channel group.
    fn part(&self, sink: usize, part: usize) -> String {
        let model = self.machine.model();
        let group = model.sinks.get(sink).zip(part.checked_sub(1));
        let group = group.and_then(|(sink, place)| model.groups_of(sink).nth(place));
        group.map_or_else(|| self.sink(sink), |group| format!("{}.{group}", self.sink(sink)))
    }

    /// All main connections, and segments in zones, with the cast's indices.
    pub(crate) fn connections(&self) -> impl Iterator<Item = Connected> + '_ {
        let built_in = self.machine.connections().map(|it| Connected {
            id: it.id,
            source: it.source,
            sink: it.sink,
            state: it.state,
        });
        built_in.chain(self.world.mains(&self.machine))
    }

    fn note_connections(&mut self) {
        let now: BTreeMap<u16, Connected> = self.connections().map(|it| (it.id, it)).collect();
        let before = std::mem::take(&mut self.connections);
        let gone = before.iter().filter(|(id, _)| !now.contains_key(id));
        let gone = gone.map(|(id, it)| (*id, *it, ConnectionState::Disconnected));
        let changed = now
            .iter()
            .filter(|(id, it)| before.get(id).map(|it| it.state) != Some(it.state));
        let changed = changed.map(|(id, it)| (*id, *it, it.state));
        for (id, it, state) in gone.chain(changed).collect::<Vec<_>>() {
            let (source, sink, state) = (self.name(it.source), self.sink(it.sink), state_word(state));
            self.note(What::Connection {
                id,
                source,
                sink,
                state,
            });
        }
        self.connections = now;
    }

    /// Where a source heads at a sink, and the ramp to it. A source that doesn't sound is at silence at once, and a route that it
    /// hasn't is nothing to tell of.
    fn shown_at(&self, (source, sink, part): Spot) -> (Shown, u32) {
        let sounds = self
            .machine
            .state_of(source)
            .is_some_and(|it| it.running || it.sounding);
        let tap = self
            .machine
            .heard()
            .sources
            .get(source)
            .and_then(|it| it.taps.get(sink)?.parts().nth(part));
        let Some(tap) = tap.filter(|_| sounds) else {
            return (Shown::default(), 0);
        };
        let routed = tap.causes.iter().all(|cause| cause.kind != CauseKind::NoRoute);
        if !routed {
            return (Shown::default(), tap.ramp_ms);
        }
        let reasons = tap.causes.iter().map(|cause| Reason {
            cause: cause.kind.name(),
            by: cause.kind.by().map(|by| self.source(by)),
            tenths_db: cause.gain,
            line: cause.line,
        });
        let gain = (tap.gain > MUTE).then_some(tap.gain);
        let reasons = reasons.collect();
        (Shown { gain, reasons }, tap.ramp_ms)
    }

    fn note_heard(&mut self) {
        let model = self.machine.model();
        let sinks = model.sinks.iter().enumerate();
        let parts: Vec<(usize, usize)> = sinks
            .flat_map(|(sink, it)| (0..=it.groups.len()).map(move |part| (sink, part)))
            .collect();
        let all =
            (0..model.sources.len()).flat_map(|source| parts.iter().map(move |(sink, part)| (source, *sink, *part)));
        for spot in all.collect::<Vec<Spot>>() {
            let (source, sink, part) = spot;
            let (shown, ramp_ms) = self.shown_at(spot);
            let before = self.shown.get(&spot).cloned().unwrap_or_default();
            if before == shown {
                continue;
            }
            let ramp_ms = if before.gain == shown.gain { 0 } else { ramp_ms };
            let names = (self.source(source), self.part(sink, part));
            let lane = self
                .lanes
                .entry(spot)
                .or_insert_with(|| Lane::new(names.0.clone(), names.1.clone()));
            lane.turn(self.now, &shown.reasons, shown.gain, ramp_ms, before.gain != shown.gain);
            self.note(What::Heard {
                source: names.0,
                sink: names.1,
                tenths_db: shown.gain,
                ramp_ms,
                reasons: shown.reasons.clone(),
            });
            self.shown.insert(spot, shown);
        }
    }
}
