//! The steps of a scenario's file: see [`scenario`](super::scenario).

use std::collections::BTreeSet;

use super::action::Action;
use super::cast::Ask;
use super::scenario::{Names, Step, guest_of, time};
use crate::Time;
use crate::effect::EXTERNAL;
use crate::file::{Found, Table, code, listed};
use crate::report::Diagnostic;

/// In the order of the file, which has to be that of time.
pub(super) fn steps(root: &Table<'_>, names: &Names<'_>, absent: &BTreeSet<String>) -> Vec<Step> {
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
