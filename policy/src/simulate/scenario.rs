//! The scenario's file: steps and expectations, read with all mistakes at once.
//!
//! ```toml
//! version = 1
//! policy = "../simple-car.toml"         # relative to this file
//! title = "A prompt ducks the music"
//! absent = ["cluster"]                  # guests that are not there at the start; all others are
//!
//! steps = [                             # in the order of time, ms
//!   { at = 0, start = "ivi.media" },
//!   { at = 900, available = "cluster" },
//!   { at = 1000, start = "cluster.prompt" },
//!   { at = 2000, connect = "ivi.media", to = "rear", reply = 0 },
//! ]
//! expect = [
//!   { at = 1500, source = "ivi.media", sink = "cabin", db = -14.0, because = "ducked", by = "cluster.prompt" },
//!   { at = 1500, source = "ivi.media", sink = "cabin", state = "connected" },
//! ]
//! ```
//!
//! | step | is | with |
//! |---|---|---|
//! | `available`, `gone` | a guest comes or goes | |
//! | `start`, `stop`, `release` | its stream, as its driver says | |
//! | `control` | its volume control is moved in the guest | `db`, `muted` |
//! | `sound`, `silence` | a chime begins and ends | |
//! | `connect`, `disconnect` | a client's call: a source | `to` or `from` a sink, `reply` |
//! | `volume` | a client's call: a sink | `value`, `reply` |
//! | `gain` | a client's call: a source | `db`, `reply` |
//! | `mute`, `unmute` | a client's call: a sink or a source | `reply` |
//! | `register`, `lose` | a domain of another process registers, or leaves the bus | |
//! | `ack` | a domain acknowledges its oldest request, or a certain one | `request` (`connect`, `disconnect`, `state`, `volume`) with its `source` and `sink`, `error` |
//! | `interrupt`, `interrupt_over` | a domain's source begins or ends to sound on its own | |
//!
//! Domains are declared, and are there once they `register`; what isn't acknowledged is late after 5 s, as in the daemon:
//! ```toml
//! [[domains]]
//! name = "amplifier"
//! sources = [{ name = "tuner", class = "media" }, { name = "amplifier input", class = "media" }]
//! sinks = ["speakers"]
//! gateways = [{ from = "cabin", to = "amplifier input" }]
//! ```
//! Their sources and sinks can be connected and disconnected as others, and the state of such a connection be expected; how
//! loud they are is their domain's.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cast::{self, Cast};
use super::steps::steps;
use crate::command::ConnectionState;
use crate::effect::CauseKind;
use crate::effect::EXTERNAL;
use crate::file::{Document, Found, Table, code};
use crate::report::{Diagnostic, Span};
use crate::{Db10, Model, Time};

pub use super::action::Action;

/// Longest scenario, ms: a day.
const LONGEST: i64 = 86_400_000;
/// Shown after the last step or expectation, ms.
const AFTERWARDS: Time = 500;
/// How far a gain may be from an expected one, 0.001 dB, where the file doesn't say.
const TOLERANCE: u32 = 100;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, ms.
    pub at: Time,
    /// What.
    pub action: Action,
    /// The code it must be answered with.
    pub reply: Option<Found<i16>>,
    /// Line of the scenario.
    pub line: u32,
}

/// What must be true of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// There is none.
    None,
    /// There is one in this state.
    State(ConnectionState),
}

/// Something that must be true at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// When, ms: after the steps and deadlines of that time.
    pub at: Time,
    /// Source.
    pub source: usize,
    /// Sink.
    pub sink: usize,
    /// Which of its channels: 0 those of no group, then its channel groups.
    pub part: usize,
    /// Gain in 0.1 dB, and how far it may be from it, 0.001 dB.
    pub gain: Option<(Db10, u32)>,
    /// A cause it must have (its name), and because of whom.
    pub because: Option<(&'static str, Option<usize>)>,
    /// Its connection.
    pub state: Option<Wanted>,
    /// Where it stands.
    pub span: Span,
}

/// A scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// What it shows.
    pub title: String,
    /// Guests that are not there at the start.
    pub absent: BTreeSet<String>,
    /// Domains of other processes.
    pub cast: Arc<Cast>,
    /// In the order of time.
    pub steps: Vec<Step>,
    /// In the order of time.
    pub expectations: Vec<Expectation>,
    /// When it ends, ms.
    pub end: Time,
}

/// The policy's file, as the scenario names it.
pub fn policy_of<'d>(doc: &'d Document<'d>) -> Option<Found<&'d str>> {
    doc.root()
        .need("policy", "name the policy's file, as `policy = \"../simple-car.toml\"`")?
        .text()
}

/// The guest of a source; chimes have none.
pub fn guest_of(name: &str) -> Option<&str> {
    name.split_once('.')
        .map(|(guest, _)| guest)
        .filter(|guest| *guest != "chime")
}

/// The guests of a model, each once, in its order.
pub fn guests(model: &Model) -> Vec<&str> {
    let mut guests: Vec<&str> = Vec::new();
    for guest in model.sources.iter().filter_map(|source| guest_of(&source.name)) {
        if !guests.contains(&guest) {
            guests.push(guest);
        }
    }
    guests
}

/// The model's names first, then the cast's.
pub(super) struct Names<'m> {
    pub guests: Vec<&'m str>,
    pub sources: Vec<&'m str>,
    pub sinks: Vec<&'m str>,
    pub domains: Vec<&'m str>,
    /// Channel groups of the model's sinks.
    pub groups: Vec<Vec<&'m str>>,
    /// How many are the model's.
    pub own: (usize, usize),
}

impl Names<'_> {
    /// The index of the source at this place.
    pub fn source(&self, place: usize) -> usize {
        place.checked_sub(self.own.0).map_or(place, |place| EXTERNAL + place)
    }

    pub fn sink(&self, place: usize) -> usize {
        place.checked_sub(self.own.1).map_or(place, |place| EXTERNAL + place)
    }
}

/// Reads a scenario for a policy. What it says is meaningless when the document turns out to have errors.
pub fn read(doc: &Document<'_>, model: &Model) -> Scenario {
    let root = doc.root();
    if let Some(version) = root.need("version", "begin the file with `version = 1`") {
        version.integer(1..=1);
    }
    policy_of_again(&root);
    let cast = cast::read(&root, model);
    let of_domains = cast.sources().map(|it| it.2.name.as_str());
    let sinks_of_domains = cast.sinks().map(|it| it.2);
    let names = Names {
        guests: guests(model),
        sources: model
            .sources
            .iter()
            .map(|it| it.name.as_str())
            .chain(of_domains)
            .collect(),
        sinks: model
            .sinks
            .iter()
            .map(|it| it.name.as_str())
            .chain(sinks_of_domains)
            .collect(),
        domains: cast.domains.iter().map(|it| it.name.as_str()).collect(),
        groups: model.sinks.iter().map(|sink| model.groups_of(sink).collect()).collect(),
        own: (model.sources.len(), model.sinks.len()),
    };
    let title = root.get("title").and_then(|value| value.text());
    let absent = root
        .get("absent")
        .map(|value| value.names_of("guest", "guests", &names.guests));
    let absent: BTreeSet<String> = absent
        .unwrap_or_default()
        .iter()
        .filter_map(|found| names.guests.get(found.value).map(|guest| (*guest).to_owned()))
        .collect();
    let steps = steps(&root, &names, &absent);
    let mut expectations: Vec<Expectation> = (root.tables("expect").iter())
        .filter_map(|table| expectation(table, &names))
        .collect();
    expectations.sort_by_key(|it| it.at);
    let last = steps.last().map_or(0, |step| step.at);
    let last = expectations.last().map_or(0, |it| it.at).max(last);
    let end = root.integer("until", 0..=LONGEST).map(|found| found.value as Time);
    Scenario {
        title: title.map_or("", |found| found.value).to_owned(),
        absent,
        cast: Arc::new(cast.clone()),
        steps,
        expectations,
        end: end.unwrap_or(last + AFTERWARDS).max(last),
    }
}

/// The key is known, whoever read it.
fn policy_of_again(root: &Table<'_>) {
    root.get("policy");
}

pub(super) fn time(table: &Table<'_>) -> Option<Found<Time>> {
    let at = table.need("at", "say when, in ms: `at = 1000`")?.integer(0..=LONGEST)?;
    Some(Found {
        value: at.value as Time,
        span: at.span,
    })
}

/// Words for causes: those of [`CauseKind::name`] with `-` for a space.
const CAUSES: [(&str, CauseKind); 13] = [
    ("no-route", CauseKind::NoRoute),
    ("rejected", CauseKind::Rejected { by: 0 }),
    ("delayed", CauseKind::Delayed { by: 0 }),
    ("paused", CauseKind::Paused { by: 0 }),
    ("ducked", CauseKind::Ducked { by: 0 }),
    ("sink-muted", CauseKind::SinkMuted),
    ("main-volume", CauseKind::MainVolume),
    ("user-mute", CauseKind::UserMuted),
    ("user-gain", CauseKind::UserGain),
    ("not-running", CauseKind::NotRunning),
    ("limited", CauseKind::Limited),
    ("muted-by-rule", CauseKind::RuleMuted),
    ("suspended-by-rule", CauseKind::RuleSuspended),
];

const STATES: [(&str, Wanted); 4] = [
    ("connected", Wanted::State(ConnectionState::Connected)),
    ("connecting", Wanted::State(ConnectionState::Connecting)),
    ("suspended", Wanted::State(ConnectionState::Suspended)),
    ("none", Wanted::None),
];

fn expectation(table: &Table<'_>, names: &Names<'_>) -> Option<Expectation> {
    let at = time(table);
    let source = table.need("source", "say of whom: `source = \"ivi.media\"`");
    let source = source.and_then(|value| value.name_of("source", "sources", &names.sources));
    let sink = table.need("sink", "say where: `sink = \"cabin\"`");
    let sink = sink.and_then(|value| value.name_of("sink", "sinks", &names.sinks));
    let part = table.get("group").zip(sink).and_then(|(value, sink)| {
        let groups = names.groups.get(sink.value).map_or(&[][..], Vec::as_slice);
        Some(value.name_of("channel group", "its channel groups", groups)?.value + 1)
    });
    let gain = table.get("db").and_then(|value| value.gain());
    let within = table.get("within_db").and_then(|value| value.thousandths(0.0..=100.0));
    let because = table.word("because", &CAUSES);
    let by = table
        .get("by")
        .and_then(|value| value.name_of("source", "sources", &names.sources));
    let state = table.word("state", &STATES);
    for (key, other, there) in [
        ("by", "because", because.is_some()),
        ("within_db", "db", gain.is_some()),
    ] {
        if let Some(span) = table
            .key_span(key)
            .filter(|_| !there && table.key_span(other).is_none())
        {
            let found = Diagnostic::error(code::CONFLICT, span, format!("`{key}` goes with `{other}`"));
            table.doc().push(found.label(format!("there is no `{other}`")));
        }
    }
    if ["db", "because", "state"]
        .iter()
        .all(|key| table.key_span(key).is_none())
    {
        let found = Diagnostic::error(code::MISSING_KEY, table.span(), "nothing is expected here");
        table.doc().push(found.label("one at least of: db, because, state"));
    }
    let beyond = source.is_some_and(|it| it.value >= names.own.0) || sink.is_some_and(|it| it.value >= names.own.1);
    if let Some(span) = table.key_span("db").or(table.key_span("because")).filter(|_| beyond) {
        let found = Diagnostic::error(code::CONFLICT, span, "how loud a domain's element is, its domain says");
        table
            .doc()
            .push(found.label("not known here").help("expect its `state`"));
    }
    Some(Expectation {
        at: at?.value,
        source: names.source(source?.value),
        sink: names.sink(sink?.value),
        part: part.unwrap_or(0),
        gain: gain.map(|gain| (gain.value, within.map_or(TOLERANCE, |within| within.value))),
        because: because.map(|found| (found.value.name(), by.map(|by| names.source(by.value)))),
        state: state.map(|found| found.value),
        span: table.span(),
    })
}
