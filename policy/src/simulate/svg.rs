//! The timeline as a picture: one lane a source at a sink, gain over time in dB with its ramps, shaded where something is taken
//! away, with the cause; steps are numbered lines, told below.
//!
//! ```text
//!  title
//!                     1        2                3
//!  ivi.media     0 dB ┌────────┐                ┌──────
//!  at cabin    -20 dB │        └────────────────┘
//!              silent ┘         ducked by cluster.prompt
//!                     0       1000      2000      3000   time, ms
//!  1  0 ms  start = "ivi.media"
//! ```

use std::fmt::Write;

use super::lane::decibels;
use super::{Lane, Timeline, Turn, What};
use crate::Time;

const WIDTH: f64 = 1100.0;
const LEFT: f64 = 200.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 70.0;
/// From 0 dB to the lowest gain shown.
const HEIGHT: f64 = 66.0;
/// Of a lane with its labels and the space to the next.
const LANE: f64 = 140.0;
/// Silence is drawn below the lowest gain shown.
const SILENT: f64 = 78.0;
/// Lowest gain shown, dB; what is lower is drawn there.
const LOWEST: f64 = -60.0;
/// Points of a ramp.
const POINTS: u32 = 24;
/// Width of a character of 11 px, about.
const CHARACTER: f64 = 6.3;

const COLOURS: [&str; 6] = ["#1b6ca8", "#b5541c", "#2f7d32", "#7b3fa0", "#a3195b", "#5c5c00"];

/// The picture; complete, no reference to anything outside.
pub fn svg(timeline: &Timeline) -> String {
    let picture = Picture { timeline };
    let steps = picture.steps();
    let lanes_end = TOP + LANE * timeline.lanes.len().max(1) as f64;
    let legend = lanes_end + 56.0;
    let height = legend + 18.0 * steps.len() as f64 + 20.0;
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\" fill=\"#222\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"17\" font-weight=\"bold\">{}</text>\n\
         <text x=\"20\" y=\"46\" fill=\"#555\">Gain of each source at each zone, dB, as the policy decides and the engine ramps</text>\n",
        escaped(if timeline.title.is_empty() {
            "Scenario"
        } else {
            &timeline.title
        })
    );
    picture.markers(&steps, lanes_end, &mut out);
    for (index, lane) in timeline.lanes.iter().enumerate() {
        picture.lane(index, lane, &mut out);
    }
    picture.time_axis(lanes_end, &mut out);
    for (number, (at, step)) in steps.iter().enumerate() {
        let y = legend + 18.0 * number as f64;
        let _ = writeln!(
            out,
            "<text x=\"20\" y=\"{y:.1}\">{}</text><text x=\"44\" y=\"{y:.1}\">{at} ms</text><text x=\"114\" y=\"{y:.1}\">{}</text>",
            number + 1,
            escaped(step)
        );
    }
    out + "</svg>\n"
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

struct Picture<'t> {
    timeline: &'t Timeline,
}

impl Picture<'_> {
    fn x(&self, at: f64) -> f64 {
        LEFT + at / (self.timeline.end.max(1) as f64) * (WIDTH - LEFT - RIGHT)
    }

    fn steps(&self) -> Vec<(Time, &str)> {
        let steps = self.timeline.entries.iter().filter_map(|entry| match &entry.what {
            What::Step { step, .. } => Some((entry.at, step.as_str())),
            _ => None,
        });
        steps.collect()
    }

    fn markers(&self, steps: &[(Time, &str)], bottom: f64, out: &mut String) {
        let mut last = f64::MIN;
        for (number, (at, _)) in steps.iter().enumerate() {
            let x = self.x(*at as f64);
            // Numbers that would cover each other stand side by side.
            let at = x.max(last + 14.0);
            last = at;
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#ccc\" stroke-dasharray=\"2 3\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{}</text>",
                TOP - 8.0,
                TOP - 11.0,
                number + 1
            );
        }
    }

    fn lane(&self, index: usize, lane: &Lane, out: &mut String) {
        let top = TOP + LANE * index as f64;
        let colour = COLOURS[index % COLOURS.len()];
        let _ = writeln!(
            out,
            "<g class=\"lane\"><text x=\"20\" y=\"{:.1}\" font-size=\"13\" font-weight=\"bold\">{}</text>\
             <text x=\"20\" y=\"{:.1}\" fill=\"#555\">at {}</text>",
            top + 14.0,
            escaped(&lane.source),
            top + 30.0,
            escaped(&lane.sink)
        );
        for (label, y) in [
            ("0 dB", 0.0),
            ("-20 dB", 22.0),
            ("-40 dB", 44.0),
            ("-60 dB", 66.0),
            ("silent", SILENT),
        ] {
            let y = top + y;
            let _ = writeln!(
                out,
                "<line x1=\"{LEFT:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#eee\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#777\" font-size=\"9\">{label}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 3.0
            );
        }
        self.causes(lane, top, colour, out);
        let points: Vec<String> = self
            .points(lane, top)
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            out,
            "<polyline class=\"gain\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/></g>",
            points.join(" ")
        );
    }

    /// Stretches of one cause: from the turn that brings it to the one that doesn't have it.
    fn stretches<'l>(&self, lane: &'l Lane) -> Vec<(Time, Time, String, &'l Turn)> {
        let mut stretches: Vec<(Time, Time, String, &Turn)> = Vec::new();
        for (index, turn) in lane.turns.iter().enumerate() {
            let until = lane.turns.get(index + 1).map_or(self.timeline.end, |next| next.at);
            let plain =
                |it: &&super::Reason| !["main volume", "user gain"].contains(&it.cause) || turn.reasons.len() == 1;
            let Some(reason) = turn.reasons.iter().find(plain).filter(|_| until > turn.at) else {
                continue;
            };
            let text = reason.text();
            match stretches.last_mut() {
                Some(last) if last.1 == turn.at && last.2 == text => last.1 = until,
                _ => stretches.push((turn.at, until, text, turn)),
            }
        }
        stretches
    }

    fn causes(&self, lane: &Lane, top: f64, colour: &str, out: &mut String) {
        // Labels that would cover each other stand in different rows.
        let mut ends = [f64::MIN; 3];
        for (from, until, text, turn) in self.stretches(lane) {
            let (x, end) = (self.x(from as f64), self.x(until as f64));
            let target = turn
                .tenths_db
                .map_or_else(|| "silent".to_owned(), crate::text::decibels);
            let _ = writeln!(
                out,
                "<rect class=\"cause\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{SILENT:.1}\" fill=\"{colour}\" \
                 fill-opacity=\"0.10\"><title>{target}: {}</title></rect>",
                (end - x).max(1.0),
                escaped(&text)
            );
            let label = format!("{target}: {text}");
            let width = CHARACTER * label.chars().count() as f64;
            let start = x.min(WIDTH - RIGHT - width).max(LEFT);
            let free = ends.iter().position(|end| *end <= start);
            let row = free.unwrap_or_else(|| {
                (1..ends.len()).fold(0, |least, row| if ends[row] < ends[least] { row } else { least })
            });
            // Where no row is free it stands after the other: moved a little, but legible.
            let start = start.max(ends[row]);
            ends[row] = start + width + 8.0;
            let y = top + SILENT + 14.0 + 13.0 * row as f64;
            let _ = writeln!(
                out,
                "<text x=\"{start:.1}\" y=\"{y:.1}\" fill=\"{colour}\">{}</text>",
                escaped(&label)
            );
        }
    }

    fn points(&self, lane: &Lane, top: f64) -> Vec<(f64, f64)> {
        let y = |amplitude: f64| match decibels(amplitude) {
            None => top + SILENT,
            Some(gain) => top + gain.clamp(LOWEST, 0.0) / LOWEST * HEIGHT,
        };
        let mut points = vec![(self.x(0.0), y(0.0))];
        for (index, turn) in lane.turns.iter().enumerate() {
            let until = lane.turns.get(index + 1).map_or(self.timeline.end, |next| next.at);
            let last = points.last().map_or(0.0, |point| point.1);
            points.push((self.x(turn.at as f64), last));
            let alone = Lane {
                turns: vec![turn.clone()],
                ..lane.clone()
            };
            let ramp = f64::from(turn.ramp_ms).min(until.saturating_sub(turn.at) as f64);
            for point in 0..=if turn.ramp_ms > 0 { POINTS } else { 0 } {
                let later = ramp * f64::from(point) / f64::from(POINTS);
                let at = turn.at as f64 + later;
                let gone = if turn.ramp_ms > 0 {
                    later / f64::from(turn.ramp_ms)
                } else {
                    1.0
                };
                let to = alone.amplitude(Time::MAX);
                points.push((self.x(at), y(turn.from + (to - turn.from) * gone)));
            }
        }
        let last = points.last().map_or(0.0, |point| point.1);
        points.push((self.x(self.timeline.end as f64), last));
        points
    }

    fn time_axis(&self, y: f64, out: &mut String) {
        let end = self.timeline.end.max(1);
        let mut every = 1;
        for factor in [2, 5, 10].into_iter().cycle() {
            if end / every <= 10 {
                break;
            }
            let power = 10_u64.pow(every.ilog10());
            every = power * factor;
        }
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#222\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">time, ms</text>",
            WIDTH - RIGHT,
            WIDTH - RIGHT,
            y + 32.0
        );
        for tick in (0..=end / every).map(|number| number * every) {
            let x = self.x(tick as f64);
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#222\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
                y + 5.0,
                y + 18.0
            );
        }
    }
}
