//! What happened when, on the recording's time axis: the lines of `audioctl monitor` and what the demo itself did.

use serde_json::Value;

use super::content::RATE;

/// One row of the table.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Event {
    /// Seconds of the recording.
    pub time: f64,
    /// Who tells: `demo` (an action of ours) or `audiod`.
    pub from: &'static str,
    /// In words.
    pub text: String,
}

/// Something that lasts: a connection, a duck, a chime.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Span {
    /// What it is about, a lane of the picture.
    pub lane: String,
    /// Written on it.
    pub text: String,
    /// Seconds of the recording.
    pub start: f64,
    /// Open at the end of the recording: `None`.
    pub end: Option<f64>,
}

/// An action of the demo, by the monotonic clock.
#[derive(Clone, Debug)]
pub struct Action {
    /// Milliseconds.
    pub time_ms: u64,
    /// In words.
    pub text: String,
}

/// Events in order, and what lasted.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Timeline {
    /// Rows of the table.
    pub events: Vec<Event>,
    /// Bars of the picture.
    pub spans: Vec<Span>,
}

impl Timeline {
    /// From the monitor's lines (others are passed over) and our actions. Actions find their place by the nearest line, which
    /// carries both the clock's time and the codec's frame; without any line there is no time axis and no row for them.
    #[must_use]
    pub fn new(lines: &[String], actions: &[Action]) -> Self {
        let lines: Vec<Value> = lines.iter().filter_map(|line| event_of(line)).collect();
        let mut timeline = Self::default();
        for line in &lines {
            timeline.take(line);
        }
        for action in actions {
            if let Some(time) = place(&lines, action.time_ms) {
                let (from, text) = ("demo", action.text.clone());
                timeline.events.push(Event { time, from, text });
            }
        }
        timeline.events.sort_by(|a, b| a.time.total_cmp(&b.time));
        timeline
    }

    fn take(&mut self, line: &Value) {
        let Some(time) = frame(line).map(|frame| frame / f64::from(RATE)) else {
            return;
        };
        if let Some(text) = words(line) {
            self.events.push(Event {
                time,
                from: "audiod",
                text,
            });
        }
        let field = |name| line[name].as_str().unwrap_or("?").to_owned();
        match line["event"].as_str() {
            Some("route") => {
                let lane = format!("{} \u{2192} {}", field("source"), field("zone"));
                match state(line).as_str() {
                    "connected" => self.begin(lane, "connected".to_owned(), time),
                    "disconnected" | "disconnecting" | "suspended" => self.end(&lane, time),
                    _ => {}
                }
            }
            Some("duck-begin") => {
                let text = format!("{} dB by {}", decibels(line), field("by"));
                self.begin(format!("{} ducked", field("source")), text, time);
            }
            Some("duck-end") => self.end(&format!("{} ducked", field("source")), time),
            Some("chime-begin") => self.begin(format!("chime {}", field("chime")), "sounds".to_owned(), time),
            Some("chime-end") => self.end(&format!("chime {}", field("chime")), time),
            _ => {}
        }
    }

    fn begin(&mut self, lane: String, text: String, start: f64) {
        self.end(&lane, start);
        let end = None;
        self.spans.push(Span { lane, text, start, end });
    }

    fn end(&mut self, lane: &str, end: f64) {
        let open = self
            .spans
            .iter_mut()
            .rev()
            .find(|span| span.lane == lane && span.end.is_none());
        if let Some(span) = open {
            span.end = Some(end);
        }
    }

    /// The table, a row a line.
    #[must_use]
    pub fn table(&self) -> String {
        let rows = self.events.iter().enumerate();
        let row = |(n, event): (usize, &Event)| {
            format!("{:3}  {:8.3} s  {:6}  {}\n", n + 1, event.time, event.from, event.text)
        };
        rows.map(row).collect()
    }
}

/// The event of a line: `{"event": {"event": NAME, …}}`. Signals, the other lines, say the same in AudioManager's words.
#[must_use]
pub fn event_of(line: &str) -> Option<Value> {
    let mut line: Value = serde_json::from_str(line).ok()?;
    let event = line.get_mut("event")?.take();
    event.is_object().then_some(event)
}

fn frame(line: &Value) -> Option<f64> {
    line["frame"].as_f64()
}

/// Seconds of the recording at a time of the clock, by the nearest line.
fn place(lines: &[Value], time_ms: u64) -> Option<f64> {
    let stamps = lines
        .iter()
        .filter_map(|line| Some((line["time_ms"].as_u64()?, frame(line)?)));
    let (stamp, frame) = stamps.min_by_key(|(stamp, _)| stamp.abs_diff(time_ms))?;
    let apart = time_ms as f64 - stamp as f64;
    Some(frame / f64::from(RATE) + apart / 1000.0)
}

/// A connection's state by name; AudioManager's numbers are understood too.
fn state(line: &Value) -> String {
    match &line["state"] {
        Value::Number(number) => match number.as_i64() {
            Some(1) => "connecting",
            Some(2) => "connected",
            Some(3) => "disconnecting",
            Some(4) => "disconnected",
            Some(5) => "suspended",
            _ => "?",
        }
        .to_owned(),
        other => other.as_str().unwrap_or("?").to_ascii_lowercase(),
    }
}

fn decibels(line: &Value) -> String {
    line["gain_db"]
        .as_f64()
        .map_or("?".to_owned(), |gain| format!("{gain:+.1}"))
}

/// A line in words; `None` for what a table of the scene need not tell.
fn words(line: &Value) -> Option<String> {
    let field = |name| line[name].as_str().unwrap_or("?");
    let text = match line["event"].as_str()? {
        "guest-connected" => format!("guest {} is there", field("guest")),
        "guest-closed" => format!("guest {} is gone", field("guest")),
        "stream-started" => format!("{} starts", field("source")),
        "stream-stopped" => format!("{} stops", field("source")),
        "stream-released" | "stream" => return None,
        "route" => format!("{} \u{2192} {}: {}", field("source"), field("zone"), state(line)),
        "duck-begin" => format!("{} ducked {} dB by {}", field("source"), decibels(line), field("by")),
        "duck-end" => format!("{} no longer ducked by {}", field("source"), field("by")),
        "heard" => format!(
            "{} heard in {} at {} dB",
            field("source"),
            field("zone"),
            decibels(line)
        ),
        "silent" => format!("{} silent in {}: {}", field("source"), field("zone"), field("cause")),
        "underrun" => format!("engine late: {} frames since the start were silence", line["frames"]),
        "xrun" => format!("{}: its guest was late", field("source")),
        "chime-begin" => format!("chime {} begins", field("chime")),
        "chime-end" => format!("chime {} ends", field("chime")),
        _ => line.to_string(),
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<String> {
        [
            r#"{"event":{"event":"guest-connected","time_ms":1000,"frame":48000,"guest":"ivi"}}"#,
            "not a line of ours",
            r#"{"event":{"event":"route","time_ms":2000,"frame":96000,"connection":1,"source":"ivi.media","zone":"cabin","state":"connected"}}"#,
            r#"{"event":{"event":"duck-begin","time_ms":3000,"frame":144000,"source":"ivi.media","zone":"cabin","by":"cluster.prompt","gain_db":-14.0,"ramp_ms":50,"line":23}}"#,
            r#"{"event":{"event":"duck-end","time_ms":3500,"frame":168000,"source":"ivi.media","zone":"cabin","by":"cluster.prompt","gain_db":-14.0,"ramp_ms":500,"line":23}}"#,
            r#"{"event":{"event":"route","time_ms":5000,"frame":240000,"connection":1,"source":"ivi.media","zone":"cabin","state":"disconnected"}}"#,
        ]
        .map(String::from)
        .to_vec()
    }

    #[test]
    fn lines_and_actions_stand_in_the_order_of_the_recording() {
        let actions = [Action {
            time_ms: 2950,
            text: "prompt asked for".to_owned(),
        }];

        let timeline = Timeline::new(&lines(), &actions);

        let rows: Vec<(f64, &str)> = timeline.events.iter().map(|event| (event.time, event.from)).collect();
        let audiod = |time| (time, "audiod");
        assert_eq!(
            rows,
            [
                audiod(1.0),
                audiod(2.0),
                (2.95, "demo"),
                audiod(3.0),
                audiod(3.5),
                audiod(5.0)
            ]
        );
        assert!(
            timeline.table().contains("ivi.media ducked -14.0 dB by cluster.prompt"),
            "{}",
            timeline.table()
        );
    }

    #[test]
    fn connections_and_ducks_last_from_their_begin_to_their_end() {
        let timeline = Timeline::new(&lines(), &[]);

        let spans: Vec<(&str, f64, Option<f64>)> = timeline
            .spans
            .iter()
            .map(|span| (span.lane.as_str(), span.start, span.end))
            .collect();
        let expected = [
            ("ivi.media \u{2192} cabin", 2.0, Some(5.0)),
            ("ivi.media ducked", 3.0, Some(3.5)),
        ];
        assert_eq!(spans, expected);
    }
}
