//! What `org.carillon.Audio1.History` returns, as JSON: the last decisions, filled by the control process, shown by
//! `audioctl history`.
//!
//! ```text
//!   event ─► step ─► decision: what it changed, what was answered ─► batch of gains ─► each codec: taken at the edge of `period`
//! ```

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Decisions that are kept.
pub const KEPT: u32 = 10_000;

/// Some decisions, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Number of the oldest that is kept.
    pub first: u32,
    /// Number that the next decision will get.
    pub next: u32,
    /// From the number asked for on, without a gap; fewer than asked for where they are large: ask on from the last.
    pub decisions: Vec<Decision>,
}

/// One decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Free-running, the daemon's first is 0.
    pub number: u32,
    /// When, ms of the monotonic clock.
    pub time_ms: u64,
    /// What was decided about, in words; a client's call with its unique name.
    pub about: String,
    /// `am_Error_e` of the answer, if somebody waited for one.
    pub error: Option<i16>,
    /// So many more calls of its caller were refused after it: from the 17th in a row on they are counted only.
    #[serde(default)]
    pub more: u32,
    /// What it changed: events as `audioctl monitor` prints them.
    pub changes: Vec<Value>,
    /// They were too many or it is too old: there were more.
    pub changes_lost: bool,
    /// Where what is heard changed: when each codec began with it. Empty where nothing did.
    pub effects: Vec<Effect>,
}

/// When a codec began with what was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Its name.
    pub codec: String,
    /// Number of the batch of gains.
    pub batch: u32,
    /// The period that had begun when the batch lay there: it takes effect with the next, or with this one if this one's edge
    /// was just then.
    pub queued: u64,
    /// The period it takes effect with; `None` = not yet, or nobody saw it.
    pub period: Option<u64>,
    /// That period's first frame: ramps begin there.
    pub frame: Option<u64>,
}

impl Decision {
    /// For people: a line, and one for each change and codec below it.
    pub fn text(&self) -> String {
        let (seconds, ms) = (self.time_ms / 1000, self.time_ms % 1000);
        let mut text = format!("#{} at {seconds}.{ms:03} s: {}", self.number, self.about);
        match self.error {
            None | Some(policy::command::error::OK) => {}
            Some(code) => {
                let _ = write!(text, ": {} ({code})", crate::client::error_name(code));
            }
        }
        if self.more > 0 {
            let _ = write!(text, ", and {} more of its caller refused", self.more);
        }
        text.push('\n');
        for change in &self.changes {
            let _ = writeln!(text, "    {}", words(change));
        }
        if self.changes_lost {
            text.push_str("    and more that is no longer kept\n");
        }
        for effect in &self.effects {
            let _ = match (effect.period, effect.frame) {
                (Some(period), Some(frame)) => {
                    writeln!(text, "    {}: from period {period} on, frame {frame}", effect.codec)
                }
                _ => writeln!(
                    text,
                    "    {}: not taken by its engine, as far as was seen",
                    effect.codec
                ),
            };
        }
        text
    }
}

/// An event's name and fields, without those that are empty.
fn words(event: &Value) -> String {
    let mut text = event["event"].as_str().unwrap_or("?").to_owned();
    for (key, value) in event.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(value) if key != "event" => {
                let _ = write!(text, " {key}={value}");
            }
            Value::String(_) => {}
            value => {
                let _ = write!(text, " {key}={value}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_decision_reads_as_what_was_asked_what_it_did_and_when() {
        let decision = Decision {
            number: 7,
            time_ms: 12_034,
            about: "Connect ivi.media to cabin, for :1.4".into(),
            error: Some(7),
            more: 2,
            changes: vec![json!({"event": "duck-begin", "source": "ivi.media", "gain_db": -14.0, "line": null})],
            changes_lost: true,
            effects: vec![
                Effect {
                    codec: "main".into(),
                    batch: 3,
                    queued: 11,
                    period: Some(12),
                    frame: Some(576),
                },
                Effect {
                    codec: "rear".into(),
                    ..Effect::default()
                },
            ],
        };

        let text = decision.text();

        let expected = "#7 at 12.034 s: Connect ivi.media to cabin, for :1.4: E_NOT_POSSIBLE (7), \
            and 2 more of its caller refused\n    \
            duck-begin gain_db=-14.0 source=ivi.media\n    and more that is no longer kept\n    \
            main: from period 12 on, frame 576\n    rear: not taken by its engine, as far as was seen\n";
        assert_eq!(text, expected);
    }
}
