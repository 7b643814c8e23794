//! The picture of a scene: waveform, level of each component, and routing, on one time axis.
//!
//! Colours are Okabe and Ito's, told apart by people with any colour vision; each line has its own dash and its name as well.

use std::ops::Range;

use super::cabin::{Analysis, Expected, Verdict};
use super::content::RATE;
use super::svg::{Anchor, Pen, Svg};
use super::timeline::{Event, Span, Timeline};

const WIDTH: f64 = 1280.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 170.0;
const TOP: f64 = 96.0;
const WAVE: f64 = 170.0;
const LEVEL: f64 = 250.0;
const LANE: f64 = 24.0;
const GAP: f64 = 34.0;
const ROW: f64 = 17.0;
/// Units a number takes.
const LABEL: f64 = 30.0;
const LOWEST_DB: f64 = -50.0;

const INK: &str = "#222222";
const GREY: &str = "#d5d5d5";
const MUSIC: Pen = Pen {
    colour: "#0072b2",
    width: 2.2,
    dash: "",
};
const PROMPT: Pen = Pen {
    colour: "#d55e00",
    width: 2.0,
    dash: "7 3",
};
const CHIME: Pen = Pen {
    colour: "#007a5a",
    width: 2.0,
    dash: "2 3",
};
const GRID: Pen = Pen {
    colour: GREY,
    width: 1.0,
    dash: "",
};
const EXPECTED: Pen = Pen {
    colour: "#777777",
    width: 1.0,
    dash: "1 4",
};
const MOMENT: Pen = Pen {
    colour: "#888888",
    width: 1.0,
    dash: "3 4",
};
const TITLE: &str = "font-size:20px;font-weight:bold;fill:#222222";
const PLAIN: &str = "font-size:12px;fill:#222222";
const SMALL: &str = "font-size:11px;fill:#444444";
const PANEL: &str = "font-size:13px;font-weight:bold;fill:#222222";

/// What is drawn.
pub struct Picture<'a> {
    /// Heading.
    pub title: &'a str,
    /// The recording, one channel.
    pub samples: &'a [f32],
    /// What was found in it.
    pub analysis: &'a Analysis,
    /// What should be found.
    pub expected: &'a Expected,
    /// What happened.
    pub timeline: &'a Timeline,
}

/// Draws it.
#[must_use]
pub fn draw(picture: &Picture<'_>) -> String {
    let axis = Axis::of(picture);
    let events: Vec<(usize, &Event)> = (1..)
        .zip(&picture.timeline.events)
        .filter(|(_, e)| axis.range.contains(&e.time))
        .collect();
    let lanes = lanes(&picture.timeline.spans, &axis);
    let wave = TOP;
    let level = wave + WAVE + GAP;
    let routing = level + LEVEL + GAP;
    let bottom = routing + LANE * lanes.len().max(1) as f64;
    let list = bottom + 62.0;
    let rows = events.len().div_ceil(2) as f64;
    let height = list + ROW * rows + 24.0;
    let mut svg = Svg::new(
        WIDTH,
        height,
        picture.title,
        "Waveform, levels of music, prompt and chime, and routing over time",
    );
    svg.text((LEFT, 32.0), Anchor::Start, TITLE, picture.title);
    svg.text((LEFT, 54.0), Anchor::Start, PLAIN, &verdict(picture.analysis));
    axis.draw(&mut svg, wave, bottom);
    moments(&mut svg, &axis, &events, bottom);
    waveform(&mut svg, &axis, picture.samples, wave);
    levels(&mut svg, &axis, picture, level);
    routes(&mut svg, &axis, &lanes, routing);
    legend(&mut svg, &events, list);
    svg.finish()
}

fn verdict(analysis: &Analysis) -> String {
    let passed = analysis
        .checks
        .iter()
        .filter(|check| check.verdict == Verdict::Pass)
        .count();
    let all = analysis.checks.len();
    let open: Vec<&str> = analysis
        .checks
        .iter()
        .filter(|check| check.verdict != Verdict::Pass)
        .map(|check| check.name)
        .collect();
    match open.as_slice() {
        [] => format!("all {all} checks of the samples passed"),
        open => format!(
            "{passed} of {all} checks of the samples passed; not: {}",
            open.join(", ")
        ),
    }
}

/// Seconds to units.
struct Axis {
    range: Range<f64>,
}

impl Axis {
    /// From a little before the first sound to a little after the last.
    fn of(picture: &Picture<'_>) -> Self {
        let found = &picture.analysis.found;
        let spans = [&found.music, &found.prompt, &found.chime].into_iter().flatten();
        let (start, end) = spans.fold((f64::INFINITY, 0.0_f64), |(start, end), span| {
            (start.min(span.start), end.max(span.end))
        });
        let length = picture.samples.len() as f64 / f64::from(RATE);
        let range = if start < end {
            (start - 0.8).max(0.0)..(end + 1.0).min(length.max(end))
        } else {
            0.0..length.max(1.0)
        };
        Self { range }
    }

    fn x(&self, time: f64) -> f64 {
        let part = (time - self.range.start) / (self.range.end - self.range.start);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn draw(&self, svg: &mut Svg, top: f64, bottom: f64) {
        svg.open("time");
        let whole = self.range.start.ceil() as i64..=self.range.end.floor() as i64;
        for second in whole {
            let x = self.x(second as f64);
            svg.line(&[(x, top), (x, bottom)], GRID);
            svg.text((x, bottom + 16.0), Anchor::Middle, PLAIN, &second.to_string());
        }
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        svg.text(
            (middle, bottom + 36.0),
            Anchor::Middle,
            PANEL,
            "time in the recording, s",
        );
        svg.close();
    }
}

/// A line for each event; those too close for a number each share one label.
fn moments(svg: &mut Svg, axis: &Axis, events: &[(usize, &Event)], bottom: f64) {
    svg.open("events");
    let mut groups: Vec<(f64, usize, usize)> = Vec::new();
    for (number, event) in events {
        let x = axis.x(event.time);
        svg.line(&[(x, TOP - 4.0), (x, bottom)], MOMENT);
        match groups.last_mut() {
            Some((first, _, last)) if x - *first < LABEL => *last = *number,
            _ => groups.push((x, *number, *number)),
        }
    }
    for (x, first, last) in groups {
        let text = if first == last {
            first.to_string()
        } else {
            format!("{first}\u{2013}{last}")
        };
        svg.text((x, TOP - 8.0), Anchor::Middle, SMALL, &text);
    }
    svg.close();
}

fn waveform(svg: &mut Svg, axis: &Axis, samples: &[f32], top: f64) {
    svg.open("waveform");
    let peak = samples.iter().fold(0.05_f32, |peak, sample| peak.max(sample.abs()));
    let scale = (f64::from(peak) * 10.0).ceil() / 10.0;
    let y = |value: f64| top + WAVE / 2.0 - value / scale * (WAVE / 2.0);
    for value in [-scale, -scale / 2.0, 0.0, scale / 2.0, scale] {
        svg.line(&[(LEFT, y(value)), (WIDTH - RIGHT, y(value))], GRID);
        svg.text((LEFT - 8.0, y(value) + 4.0), Anchor::End, PLAIN, &format!("{value:.2}"));
    }
    let columns = (WIDTH - LEFT - RIGHT) as usize * 2;
    let (mut upper, mut lower) = (Vec::new(), Vec::new());
    let frame = |column: usize| {
        let time = axis.range.start + (axis.range.end - axis.range.start) * column as f64 / columns as f64;
        ((time * f64::from(RATE)) as usize).min(samples.len())
    };
    for column in 0..columns {
        let part = &samples[frame(column)..frame(column + 1)];
        let x = LEFT + column as f64 / 2.0;
        let (low, high) = part
            .iter()
            .fold((0.0_f32, 0.0_f32), |(low, high), s| (low.min(*s), high.max(*s)));
        upper.push((x, y(f64::from(high))));
        lower.push((x, y(f64::from(low))));
    }
    lower.reverse();
    svg.area(&[upper, lower].concat(), "#8a8f98");
    svg.upward((LEFT - 56.0, top + WAVE / 2.0), PANEL, "waveform");
    svg.upward((LEFT - 40.0, top + WAVE / 2.0), SMALL, "full scale = 1");
    svg.close();
}

fn levels(svg: &mut Svg, axis: &Axis, picture: &Picture<'_>, top: f64) {
    svg.open("levels");
    let y = |db: f64| top + (db.clamp(LOWEST_DB, 0.0) / LOWEST_DB) * LEVEL;
    for db in (0..=5).map(|n| f64::from(n * -10)) {
        svg.line(&[(LEFT, y(db)), (WIDTH - RIGHT, y(db))], GRID);
        svg.text((LEFT - 8.0, y(db) + 4.0), Anchor::End, PLAIN, &format!("{db:.0}"));
    }
    let full = picture.expected.music.level_db;
    let mut wanted = vec![(full, "music as sent")];
    wanted.push((full + picture.expected.prompt_duck.depth_db, "under the prompt"));
    wanted.push((full + picture.expected.chime_duck.depth_db, "under the chime"));
    for (db, name) in wanted {
        svg.line(&[(LEFT, y(db)), (WIDTH - RIGHT, y(db))], EXPECTED);
        svg.text(
            (WIDTH - RIGHT + 6.0, y(db) + 4.0),
            Anchor::Start,
            SMALL,
            &format!("{name} {db:.1}"),
        );
    }
    let levels = &picture.analysis.levels;
    let lines = [(&levels.chime, CHIME), (&levels.prompt, PROMPT), (&levels.music, MUSIC)];
    for (level, pen) in lines {
        for part in above(&levels.time, level, &axis.range) {
            let points: Vec<(f64, f64)> = part.iter().map(|(time, db)| (axis.x(*time), y(*db))).collect();
            svg.line(&points, pen);
        }
    }
    let found = &picture.analysis.found;
    let names = [
        ("music", &found.music, MUSIC),
        ("prompt", &found.prompt, PROMPT),
        ("chime", &found.chime, CHIME),
    ];
    let mut x = LEFT;
    for (name, found, pen) in names {
        svg.line(&[(x, top - 10.0), (x + 30.0, top - 10.0)], pen);
        let text = if found.is_some() {
            name.to_owned()
        } else {
            format!("{name} (not found)")
        };
        svg.text((x + 36.0, top - 6.0), Anchor::Start, PLAIN, &text);
        x += 150.0;
    }
    svg.upward((LEFT - 56.0, top + LEVEL / 2.0), PANEL, "level of each component");
    svg.upward((LEFT - 40.0, top + LEVEL / 2.0), SMALL, "dBFS, windows of 100 ms");
    svg.close();
}

/// The stretches of a level above the panel's lower edge.
fn above(time: &[f64], level: &[f64], range: &Range<f64>) -> Vec<Vec<(f64, f64)>> {
    let mut parts = vec![Vec::new()];
    for (time, db) in time.iter().zip(level).filter(|(time, _)| range.contains(time)) {
        if *db > LOWEST_DB {
            if let Some(part) = parts.last_mut() {
                part.push((*time, *db));
            }
        } else if parts.last().is_some_and(|part| !part.is_empty()) {
            parts.push(Vec::new());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn lanes<'a>(spans: &'a [Span], axis: &Axis) -> Vec<(&'a str, Vec<&'a Span>)> {
    let mut lanes: Vec<(&str, Vec<&Span>)> = Vec::new();
    let seen = |span: &&Span| span.start < axis.range.end && span.end.is_none_or(|end| end > axis.range.start);
    for span in spans.iter().filter(seen) {
        match lanes.iter_mut().find(|(name, _)| *name == span.lane) {
            Some((_, list)) => list.push(span),
            None => lanes.push((&span.lane, vec![span])),
        }
    }
    lanes
}

fn routes(svg: &mut Svg, axis: &Axis, lanes: &[(&str, Vec<&Span>)], top: f64) {
    svg.open("routing");
    svg.text((LEFT, top - 8.0), Anchor::Start, PANEL, "routing");
    if lanes.is_empty() {
        svg.text((LEFT, top + 16.0), Anchor::Start, PLAIN, "no routing events");
    }
    for (row, (name, spans)) in lanes.iter().enumerate() {
        let y = top + LANE * row as f64;
        svg.line(&[(LEFT, y + LANE), (WIDTH - RIGHT, y + LANE)], GRID);
        svg.text((LEFT - 8.0, y + 16.0), Anchor::End, PLAIN, name);
        let fill = colour_of(name);
        for span in spans {
            let (start, end) = (axis.x(span.start), axis.x(span.end.unwrap_or(axis.range.end)));
            svg.rectangle((start, y + 3.0), ((end - start).max(2.0), LANE - 6.0), fill);
            let wide = end - start > 7.0 * span.text.len() as f64;
            let place = if wide {
                (start + 6.0, y + 16.0)
            } else {
                (end + 5.0, y + 16.0)
            };
            svg.text(
                place,
                Anchor::Start,
                if wide { "font-size:12px;fill:#ffffff" } else { PLAIN },
                &span.text,
            );
        }
    }
    svg.close();
}

/// A lane has the colour of the component it is about.
fn colour_of(lane: &str) -> &'static str {
    match lane {
        lane if lane.starts_with("chime") => CHIME.colour,
        lane if lane.contains("prompt") => PROMPT.colour,
        lane if lane.contains("media") => MUSIC.colour,
        _ => INK,
    }
}

/// The numbered events in two columns.
fn legend(svg: &mut Svg, events: &[(usize, &Event)], top: f64) {
    svg.open("legend");
    let half = events.len().div_ceil(2);
    for (n, (number, event)) in events.iter().enumerate() {
        let x = if n < half { LEFT - 100.0 } else { LEFT + 480.0 };
        let y = top + ROW * (n % half.max(1)) as f64;
        let text = format!("{number}   {:.3} s   {}: {}", event.time, event.from, event.text);
        svg.text((x, y), Anchor::Start, SMALL, &text);
    }
    svg.close();
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
