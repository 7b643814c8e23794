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

use super::cast::{self, Ask, Cast};
use crate::command::ConnectionState;
use crate::effect::CauseKind;
use crate::effect::EXTERNAL;
use crate::file::{Document, Found, Table, code, listed};
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
struct Names<'m> {
    guests: Vec<&'m str>,
    sources: Vec<&'m str>,
    sinks: Vec<&'m str>,
    domains: Vec<&'m str>,
    /// How many are the model's.
    own: (usize, usize),
}

impl Names<'_> {
    /// The index of the source at this place.
    fn source(&self, place: usize) -> usize {
        place.checked_sub(self.own.0).map_or(place, |place| EXTERNAL + place)
    }

    fn sink(&self, place: usize) -> usize {
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

fn steps(root: &Table<'_>, names: &Names<'_>, absent: &BTreeSet<String>) -> Vec<Step> {
    let tables = root.tables("steps");
    let mut steps: Vec<Step> = Vec::new();
    let mut away = absent.clone();
    for table in &tables {
        let Some((at, action)) = step(table, names) else {
            continue;
        };
        if let Some(before) = steps.last().filter(|before| before.at > at.value) {
            let message = format!("this step is at {} ms, the one before it at {} ms", at.value, before.at);
            let found = Diagnostic::error(code::OUT_OF_RANGE, at.span, message).label("goes back in time");
            table.doc().push(found.help("give the steps in the order of time"));
        }
        presence(table, &action, names, &mut away);
        let reply = table.get("reply").and_then(|value| value.integer(0..=11));
        if let Some(reply) = reply.filter(|_| !action.is_call()) {
            let found = Diagnostic::error(code::CONFLICT, reply.span, "only a call is answered");
            table
                .doc()
                .push(found.label("this is something a guest does: nobody replies"));
        }
        steps.push(Step {
            at: at.value,
            action,
            reply: reply.map(|found| Found {
                value: found.value as i16,
                span: found.span,
            }),
            line: table.doc().line(at.span),
        });
    }
    steps
}

/// A guest that isn't there can't do anything.
fn presence(table: &Table<'_>, action: &Action, names: &Names<'_>, away: &mut BTreeSet<String>) {
    let source = match action {
        Action::Available { guest } => {
            away.remove(guest);
            return;
        }
        Action::Gone { guest } => {
            away.insert(guest.clone());
            return;
        }
        Action::Start { source } | Action::Stop { source } | Action::Release { source } => *source,
        Action::Control { source, .. } => *source,
        _ => return,
    };
    let guest = names
        .sources
        .get(source)
        .and_then(|name| guest_of(name))
        .unwrap_or_default();
    if away.contains(guest) {
        let found = Diagnostic::error(code::CONFLICT, table.span(), format!("guest `{guest}` isn't there"));
        let help = format!("let it come first: `available = \"{guest}\"`");
        table.doc().push(found.label("so it can't do this").help(help));
    }
}

const VERBS: [&str; 19] = [
    "available",
    "gone",
    "start",
    "stop",
    "release",
    "control",
    "sound",
    "silence",
    "connect",
    "disconnect",
    "volume",
    "gain",
    "mute",
    "unmute",
    "register",
    "lose",
    "ack",
    "interrupt",
    "interrupt_over",
];

fn time(table: &Table<'_>) -> Option<Found<Time>> {
    let at = table.need("at", "say when, in ms: `at = 1000`")?.integer(0..=LONGEST)?;
    Some(Found {
        value: at.value as Time,
        span: at.span,
    })
}

fn step(table: &Table<'_>, names: &Names<'_>) -> Option<(Found<Time>, Action)> {
    let at = time(table);
    let given: Vec<&'static str> = VERBS.into_iter().filter(|verb| table.get(verb).is_some()).collect();
    let [verb] = given.as_slice() else {
        let (kind, message) = match given.len() {
            0 => (code::MISSING_KEY, "this step does nothing".to_owned()),
            _ => (
                code::CONFLICT,
                format!("this step does several things: {}", listed(given.iter().copied())),
            ),
        };
        let found = Diagnostic::error(kind, table.span(), message);
        table.doc().push(found.label(format!("one of: {}", VERBS.join(", "))));
        return None;
    };
    let action = action(table, verb, names);
    Some((at?, action?))
}

fn action(table: &Table<'_>, verb: &'static str, names: &Names<'_>) -> Option<Action> {
    let source = |key| Some(names.source(table.get(key)?.name_of("source", "sources", &names.sources)?.value));
    let own = |key| {
        Some(
            table
                .get(key)?
                .name_of("source", "sources", &names.sources[..names.own.0])?
                .value,
        )
    };
    let sink = |key, cure: &str| Some(names.sink(table.need(key, cure)?.name_of("sink", "sinks", &names.sinks)?.value));
    let domain = |key| Some(table.get(key)?.name_of("domain", "domains", &names.domains)?.value);
    let guest = || {
        let found = table.get(verb)?.name_of("guest", "guests", &names.guests)?;
        names.guests.get(found.value).map(|guest| (*guest).to_owned())
    };
    let gain = || Some(table.need("db", "say how loud: `db = -6.0`")?.gain()?.value);
    Some(match verb {
        "available" => Action::Available { guest: guest()? },
        "gone" => Action::Gone { guest: guest()? },
        "start" => Action::Start {
            source: stream(table, verb, names)?,
        },
        "stop" => Action::Stop {
            source: stream(table, verb, names)?,
        },
        "release" => Action::Release {
            source: stream(table, verb, names)?,
        },
        "control" => {
            let (source, gain) = (stream(table, verb, names), gain());
            let mute = table.bool_or("muted", false);
            Action::Control {
                source: source?,
                gain: gain?,
                mute,
            }
        }
        "sound" | "silence" => Action::Sound {
            source: chime(table, verb, names)?,
            on: verb == "sound",
        },
        "connect" => {
            let (source, sink) = (source(verb), sink("to", "say where to: `to = \"cabin\"`"));
            Action::Connect {
                source: source?,
                sink: sink?,
            }
        }
        "disconnect" => {
            let (source, sink) = (source(verb), sink("from", "say where from: `from = \"cabin\"`"));
            Action::Disconnect {
                source: source?,
                sink: sink?,
            }
        }
        "volume" => {
            let sink = sink(verb, "");
            let value = table.need("value", "say how loud, in the zone's scale: `value = 50`");
            let value = value.and_then(|value| value.integer(i16::MIN.into()..=i16::MAX.into()));
            Action::Volume {
                sink: sink?,
                volume: value?.value as i16,
            }
        }
        "gain" => {
            let (source, gain) = (own(verb), gain());
            Action::Gain {
                source: source?,
                gain: gain?,
            }
        }
        "register" => Action::Register { domain: domain(verb)? },
        "lose" => Action::Lose { domain: domain(verb)? },
        "ack" => ack(table, domain(verb)?, names)?,
        "interrupt" | "interrupt_over" => Action::Interrupt {
            source: of_domain(table, verb, names)?,
            on: verb == "interrupt",
        },
        _ => mute(table, verb, names)?,
    })
}

/// A domain's source.
fn of_domain(table: &Table<'_>, key: &'static str, names: &Names<'_>) -> Option<usize> {
    let place = table.get(key)?.name_of(
        "source of a domain",
        "sources of domains",
        &names.sources[names.own.0..],
    )?;
    Some(EXTERNAL + place.value)
}

/// An ack: of the oldest request, or of the one that `request`, `source` and `sink` say.
fn ack(table: &Table<'_>, domain: usize, names: &Names<'_>) -> Option<Action> {
    let error = table.get("error").map(|value| value.integer(0..=11));
    let error = error.map_or(Some(0), |read| read.map(|found| found.value as u16))?;
    let Some(request) = table.get("request") else {
        return Some(Action::Ack {
            domain,
            ask: None,
            error,
        });
    };
    let kinds: Vec<(&'static str, usize)> = Ask::KINDS.into_iter().zip(0..).collect();
    let kind = request.word(&kinds)?.value;
    let sink = || {
        let sink = table.need("sink", "say which sink: `sink = \"speakers\"`")?;
        let sinks = &names.sinks[names.own.1..];
        Some(EXTERNAL + sink.name_of("sink of a domain", "sinks of domains", sinks)?.value)
    };
    let source = || {
        table.need("source", "say which source: `source = \"tuner\"`")?;
        of_domain(table, "source", names)
    };
    let ask = match kind {
        0 => Ask::Connect {
            source: source()?,
            sink: sink()?,
        },
        1 => Ask::Disconnect {
            source: source()?,
            sink: sink()?,
        },
        2 => Ask::State { source: source()? },
        _ if table.key_span("sink").is_some() => Ask::SinkVolume { sink: sink()? },
        _ => Ask::SourceVolume { source: source()? },
    };
    Some(Action::Ack {
        domain,
        ask: Some(ask),
        error,
    })
}

/// A stream of a guest.
fn stream(table: &Table<'_>, verb: &'static str, names: &Names<'_>) -> Option<usize> {
    let found = table
        .get(verb)?
        .name_of("source", "sources", &names.sources[..names.own.0])?;
    if guest_of(names.sources.get(found.value)?).is_none() {
        let wrong = Diagnostic::error(code::CONFLICT, found.span, "a chime has no stream");
        table
            .doc()
            .push(wrong.label("it begins with `sound` and ends with `silence`"));
        return None;
    }
    Some(found.value)
}

fn chime(table: &Table<'_>, verb: &'static str, names: &Names<'_>) -> Option<usize> {
    let found = table
        .get(verb)?
        .name_of("source", "sources", &names.sources[..names.own.0])?;
    if guest_of(names.sources.get(found.value)?).is_some() {
        let wrong = Diagnostic::error(code::CONFLICT, found.span, "this is a guest's stream, not a chime");
        table
            .doc()
            .push(wrong.label("it begins with `start` and ends with `stop`"));
        return None;
    }
    Some(found.value)
}

fn mute(table: &Table<'_>, verb: &'static str, names: &Names<'_>) -> Option<Action> {
    let mute = verb == "mute";
    let own = &names.sources[..names.own.0];
    let all: Vec<&str> = names.sinks.iter().chain(own).copied().collect();
    let found = table
        .get(verb)?
        .name_of("sink or source", "sinks and sources", &all)?
        .value;
    Some(match found.checked_sub(names.sinks.len()) {
        None => Action::MuteSink {
            sink: names.sink(found),
            mute,
        },
        Some(source) => Action::MuteSource { source, mute },
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
        gain: gain.map(|gain| (gain.value, within.map_or(TOLERANCE, |within| within.value))),
        because: because.map(|found| (found.value.name(), by.map(|by| names.source(by.value)))),
        state: state.map(|found| found.value),
        span: table.span(),
    })
}
