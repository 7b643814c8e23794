//! What happens, as JSON lines for `audioctl monitor`: one object an event, with `event`, `time_ms` (monotonic clock) and
//! `frame` (of the first codec: where in its sound the event falls, to the period being mixed).
//!
//! | `event` | further fields |
//! |---|---|
//! | `guest-connected`, `guest-closed` | `guest`, `reason` |
//! | `stream-started`, `stream-stopped`, `stream-released` | `source` |
//! | `route` | `connection`, `source`, `zone`, `state` |
//! | `duck-begin`, `duck-end` | `source`, `zone`, `by`, `gain_db`, `ramp_ms`, `line` (of the file, or null) |
//! | `heard` | `source`, `zone`, `gain_db` |
//! | `silent` | `source`, `zone`, `cause`, `by`, `line`: no longer heard, or still not and now for this cause |
//! | `volume`, `mute` | `zone`, `volume` or `muted` |
//! | `chime-begin`, `chime-end` | `chime` |
//! | `xrun` | `source`, `count` (since PREPARE) |
//! | `underrun` | `codec`, `frames` (since the start) |
//! | `violation` | `guest`, `text` |
//! | `reload` | `error` (0 = taken up), `text` (why not, or warnings) |
//! | `engine` | `codec`, `pid` (a new engine took over) |

use policy::effect::{Cause, CauseKind, Heard, Tap};
use serde_json::{Map, Value, json};

use crate::system::System;

/// One event that is not yet stamped.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    name: &'static str,
    fields: Map<String, Value>,
}

impl Happening {
    /// An event of this name.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            fields: Map::new(),
        }
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }

    /// Without a stamp, for the record of decisions.
    pub fn object(&self) -> String {
        let mut object = self.fields.clone();
        object.insert("event".into(), json!(self.name));
        Value::Object(object).to_string()
    }

    /// The line.
    pub fn line(self, time_ms: u64, frame: u64) -> String {
        let mut object = Map::new();
        object.insert("event".into(), json!(self.name));
        object.insert("time_ms".into(), json!(time_ms));
        object.insert("frame".into(), json!(frame));
        object.extend(self.fields);
        Value::Object(object).to_string()
    }
}

/// dB of a policy gain; nothing for silence.
pub fn decibels(gain: policy::Db10) -> Option<f32> {
    (gain > policy::MUTE).then(|| f32::from(gain) / 10.0)
}

/// Names of what a heard table's indices mean.
pub struct Names {
    /// By the policy's source index: guests' streams, then chimes.
    pub sources: Vec<String>,
    /// By sink index.
    pub sinks: Vec<String>,
}

impl Names {
    /// The policy's order: sources of the system, then the chimes; zones.
    pub fn new(system: &System) -> Self {
        let chimes = system.chimes.iter().map(|chime| format!("chime.{}", chime.name));
        Self {
            sources: system
                .sources
                .iter()
                .map(|source| source.name.clone())
                .chain(chimes)
                .collect(),
            sinks: system.zones.iter().map(|zone| zone.name.clone()).collect(),
        }
    }

    /// A source's name.
    pub fn source(&self, index: usize) -> &str {
        self.sources.get(index).map_or("?", String::as_str)
    }

    /// A sink's name.
    pub fn sink(&self, index: usize) -> &str {
        self.sinks.get(index).map_or("?", String::as_str)
    }
}

/// What changed between two decisions: ducks that began or ended, sources that became heard or silent.
pub fn differences(before: &Heard, after: &Heard, names: &Names) -> Vec<Happening> {
    let mut all = Vec::new();
    for (index, source) in after.sources.iter().enumerate() {
        for (sink, tap) in source.taps.iter().enumerate() {
            let old = before.sources.get(index).and_then(|source| source.taps.get(sink));
            let place = |happening: Happening| {
                happening
                    .with("source", names.source(index))
                    .with("zone", names.sink(sink))
            };
            all.extend(ducks(old, tap, names).into_iter().map(place));
            all.extend(audibility(old, tap, names).map(place));
        }
    }
    all
}

fn duck(tap: Option<&Tap>) -> Option<(usize, policy::Db10, Option<u32>)> {
    let causes = tap?.parts().flat_map(|part| &part.causes);
    let mut ducks = causes.filter_map(|cause| match cause.kind {
        CauseKind::Ducked { by } => Some((by, cause.gain, cause.line)),
        _ => None,
    });
    ducks.next()
}

fn ducks(old: Option<&Tap>, new: &Tap, names: &Names) -> Vec<Happening> {
    let (before, now) = (duck(old), duck(Some(new)));
    if before == now {
        return Vec::new();
    }
    let tell = |name, (by, gain, line): (usize, policy::Db10, Option<u32>)| {
        Happening::new(name)
            .with("by", names.source(by))
            .with("gain_db", decibels(gain))
            .with("ramp_ms", new.ramp_ms)
            .with("line", line)
    };
    let end = before.map(|duck| tell("duck-end", duck));
    let begin = now.map(|duck| tell("duck-begin", duck));
    end.into_iter().chain(begin).collect()
}

fn audibility(old: Option<&Tap>, new: &Tap, names: &Names) -> Option<Happening> {
    let audible = |tap: &Tap| tap.loudest() > policy::MUTE;
    let was = old.is_some_and(audible);
    match (was, audible(new)) {
        (false, true) => Some(Happening::new("heard").with("gain_db", decibels(new.loudest()))),
        (true, false) => Some(silent(new.causes.first(), names)),
        (false, false) => {
            let held = held_up(new).filter(|held| old.and_then(held_up).map(|it| it.kind) != Some(held.kind));
            held.map(|held| silent(Some(held), names))
        }
        (true, true) => None,
    }
}

/// The decision that lets nothing of it through.
fn held_up(tap: &Tap) -> Option<&Cause> {
    tap.causes.iter().find(|cause| {
        matches!(
            cause.kind,
            CauseKind::Rejected { .. }
                | CauseKind::Delayed { .. }
                | CauseKind::Paused { .. }
                | CauseKind::RuleSuspended
                | CauseKind::RuleMuted
        )
    })
}

fn silent(cause: Option<&Cause>, names: &Names) -> Happening {
    let by = cause
        .and_then(|cause| who(cause.kind))
        .map(|by| names.source(by).to_owned());
    Happening::new("silent")
        .with("cause", cause.map_or("", |cause| word(cause.kind)))
        .with("by", by)
        .with("line", cause.and_then(|cause| cause.line))
}

/// Who a cause is because of.
pub fn who(kind: CauseKind) -> Option<usize> {
    match kind {
        CauseKind::Rejected { by }
        | CauseKind::Delayed { by }
        | CauseKind::Paused { by }
        | CauseKind::Ducked { by } => Some(by),
        _ => None,
    }
}

/// A cause in a word.
pub fn word(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::NoRoute => "no route",
        CauseKind::Rejected { .. } => "rejected",
        CauseKind::Delayed { .. } => "delayed",
        CauseKind::Paused { .. } => "paused",
        CauseKind::Ducked { .. } => "ducked",
        CauseKind::SinkMuted => "zone muted",
        CauseKind::MainVolume => "main volume",
        CauseKind::UserMuted => "muted by user",
        CauseKind::UserGain => "volume set by user",
        CauseKind::NotRunning => "not running",
        CauseKind::Limited => "limited by rule",
        CauseKind::RuleMuted => "muted by rule",
        CauseKind::RuleSuspended => "suspended by rule",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::effect::{Mode, SourceHeard};

    fn heard(gain: i16, causes: &[(CauseKind, i16)]) -> Heard {
        let causes = causes.iter().map(|&(kind, gain)| Cause {
            kind,
            gain,
            since: 0,
            line: Some(7),
        });
        Heard {
            sources: vec![SourceHeard {
                mode: Mode::Play,
                decided: 1,
                taps: vec![Tap {
                    gain,
                    ramp_ms: 50,
                    causes: causes.collect(),
                    groups: Vec::new(),
                }],
            }],
        }
    }

    fn names() -> Names {
        Names {
            sources: vec!["ivi.media".into(), "cluster.prompt".into()],
            sinks: vec!["cabin".into()],
        }
    }

    #[test]
    fn a_duck_begins_and_ends_with_its_cause() {
        let (plain, ducked) = (heard(0, &[]), heard(-140, &[(CauseKind::Ducked { by: 1 }, -140)]));

        let begin = differences(&plain, &ducked, &names());
        let end = differences(&ducked, &plain, &names());

        let line = begin[0].clone().line(5, 48);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(begin.len(), 1);
        assert_eq!(
            (&value["event"], &value["by"], &value["gain_db"], &value["line"]),
            (&json!("duck-begin"), &json!("cluster.prompt"), &json!(-14.0), &json!(7))
        );
        assert_eq!(end.iter().map(|one| one.name).collect::<Vec<_>>(), ["duck-end"]);
    }

    #[test]
    fn what_stays_is_no_event() {
        let ducked = heard(-140, &[(CauseKind::Ducked { by: 1 }, -140)]);
        assert_eq!(differences(&ducked, &ducked.clone(), &names()), []);
    }

    #[test]
    fn who_is_refused_while_silent_is_told_once_with_the_line() {
        let idle = heard(policy::MUTE, &[(CauseKind::NotRunning, policy::MUTE)]);
        let refused = heard(policy::MUTE, &[(CauseKind::Rejected { by: 1 }, policy::MUTE)]);

        let told = differences(&idle, &refused, &names());
        let again = differences(&refused, &refused.clone(), &names());

        assert_eq!((told.len(), again.len()), (1, 0));
        let line = &told[0].fields["line"];
        assert_eq!(
            (told[0].name, &told[0].fields["cause"], line),
            ("silent", &json!("rejected"), &json!(7))
        );
    }

    #[test]
    fn silence_tells_its_cause() {
        let paused = heard(policy::MUTE, &[(CauseKind::Paused { by: 1 }, policy::MUTE)]);
        let silent = differences(&heard(0, &[]), &paused, &names());
        assert_eq!(
            (silent[0].name, &silent[0].fields["cause"]),
            ("silent", &json!("paused"))
        );
        assert_eq!(silent[0].fields["by"], json!("cluster.prompt"));
    }
}
