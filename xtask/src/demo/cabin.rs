//! What a cabin heard: finds music, prompt and chime in the samples of a recording alone and judges them.
//!
//! ```text
//!   music level  ────────┐                   ┌────────┐  ┌─────────   before │ ducked │ restored │ under chime │ again
//!                        └───────────────────┘        └──┘
//!   prompt               ▇▇ ▇▇ ▇▇ ▇▇ ▇▇ ▇▇ ▇▇
//!   chime                                              ▇▅▃
//! ```
//! The bounds come from what was sent (measured by the same analyser) and from the system file, before the recording is looked at.
//! A check that has nothing to look at is not judged, and that is no pass.

use std::ops::Range;

use super::content;
use super::levels::{self, FLOOR_DB, Tone};

/// Depth and ramps of one matrix cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Duck {
    /// dB, negative.
    pub depth_db: f64,
    /// Seconds down.
    pub attack: f64,
    /// Seconds up.
    pub release: f64,
}

/// What should be heard.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The music as sent.
    pub music: Sent,
    /// The prompt as sent.
    pub prompt: Sent,
    /// The chime as sounded.
    pub chime: Sent,
    /// What the prompt does to the music.
    pub prompt_duck: Duck,
    /// What the chime does to the music.
    pub chime_duck: Duck,
}

/// One component as its file has it.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Highest level, dBFS.
    pub level_db: f64,
    /// Seconds it is found for.
    pub seconds: f64,
    /// Its loudest click, dBFS.
    pub click_db: f64,
}

/// Levels of everything over time.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    /// Middle of each window, seconds.
    pub time: Vec<f64>,
    /// dBFS.
    pub music: Vec<f64>,
    /// dBFS.
    pub prompt: Vec<f64>,
    /// dBFS.
    pub chime: Vec<f64>,
}

/// When each component was found, seconds of the recording.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Music.
    pub music: Option<Range<f64>>,
    /// Prompt.
    pub prompt: Option<Range<f64>>,
    /// Chime.
    pub chime: Option<Range<f64>>,
}

/// Outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "reason")]
pub enum Verdict {
    /// Measured within its bound.
    Pass,
    /// Measured, and outside of it.
    Fail,
    /// Nothing there to be measured.
    NotJudged(String),
}

/// One check.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Check {
    /// Short name.
    pub name: &'static str,
    /// Measured figure, with unit.
    pub measured: String,
    /// What it must be.
    pub bound: String,
    /// Outcome.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Everything found.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// Levels over time.
    pub levels: Levels,
    /// Components.
    pub found: Found,
    /// Judgement.
    pub checks: Vec<Check>,
}

impl Analysis {
    /// Whether every check was made and passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.verdict == Verdict::Pass)
    }
}

/// Below the level sent, dB, where a component counts as gone. The music's allows for being ducked.
const MUSIC_DEPTH: f64 = 32.0;
const PROMPT_DEPTH: f64 = 20.0;
const CHIME_DEPTH: f64 = 20.0;
const LEVEL_TOLERANCE: f64 = 0.5;
const DUCK_TOLERANCE: f64 = 0.5;
const RESTORED_TOLERANCE: f64 = 0.2;
const SECONDS_TOLERANCE: f64 = 0.1;
const SHIFT_LIMIT: f64 = 0.5;
/// Windows from a window's middle to its edge, and the change of level, dB, that is none.
const HALF_WINDOW: usize = 6;
const STEADY: f64 = 0.1;
/// The limit for clicks where the content itself has none.
const CLICK_LIMIT: f64 = -66.0;
const CLICK_MARGIN: f64 = 6.0;
/// A window's half and some more: no measurement closer to a change.
const SETTLE: f64 = 0.12;
/// Between the prompt's last sound and the guest's STOP, at most.
const STOP_LIMIT: f64 = 1.0;

/// Measures a component in its own file.
#[must_use]
pub fn sent(samples: &[f32], frequencies: &[f64], depth: Depth) -> Sent {
    // Silence around it, as a recording has.
    let silence = vec![0.0; content::RATE as usize / 4];
    let samples = [&silence, samples, &silence].concat();
    let level = levels::level(&levels::follow_all(&samples, frequencies));
    let highest = level.iter().copied().fold(FLOOR_DB, f64::max);
    let span = span(&level, highest - depth.decibel());
    Sent {
        level_db: highest,
        seconds: span.map_or(0.0, |span| span.end - span.start),
        click_db: loudest_click(&samples, &(0.0..f64::INFINITY)),
    }
}

/// Which component, for its threshold.
#[derive(Clone, Copy, Debug)]
pub enum Depth {
    /// Music.
    Music,
    /// Prompt.
    Prompt,
    /// Chime.
    Chime,
}

impl Depth {
    fn decibel(self) -> f64 {
        match self {
            Self::Music => MUSIC_DEPTH,
            Self::Prompt => PROMPT_DEPTH,
            Self::Chime => CHIME_DEPTH,
        }
    }
}

/// Analyses a recording (one channel, [`content::RATE`]).
#[must_use]
pub fn analyse(samples: &[f32], expected: &Expected) -> Analysis {
    let music = levels::follow_all(samples, &content::MUSIC);
    let of = |frequencies: &[f64]| levels::level(&levels::follow_all(samples, frequencies));
    let levels = Levels {
        music: levels::level(&music),
        prompt: of(&content::PROMPT),
        chime: of(&content::CHIME),
        time: (0..music[0].amplitude.len()).map(levels::time_of).collect(),
    };
    let found = Found {
        music: span(&levels.music, expected.music.level_db - MUSIC_DEPTH),
        prompt: span(&levels.prompt, expected.prompt.level_db - PROMPT_DEPTH),
        chime: span(&levels.chime, expected.chime.level_db - CHIME_DEPTH),
    };
    let judge = Judge {
        samples,
        expected,
        levels: &levels,
        found: &found,
        tones: &music,
    };
    let checks = judge.all();
    Analysis { levels, found, checks }
}

/// From the first to the last window above a threshold.
fn span(level: &[f64], threshold: f64) -> Option<Range<f64>> {
    let first = level.iter().position(|db| *db > threshold)?;
    let last = level.iter().rposition(|db| *db > threshold)?;
    Some(levels::time_of(first)..levels::time_of(last))
}

fn loudest_click(samples: &[f32], within: &Range<f64>) -> f64 {
    let inside = levels::clicks(samples)
        .into_iter()
        .filter(|(time, _)| within.contains(time));
    inside.fold(FLOOR_DB, |worst, (_, db)| worst.max(db))
}

struct Judge<'a> {
    samples: &'a [f32],
    expected: &'a Expected,
    levels: &'a Levels,
    found: &'a Found,
    tones: &'a [Tone],
}

/// Why a check could not be made.
type Missing = String;

impl Judge<'_> {
    fn all(&self) -> Vec<Check> {
        vec![
            self.music(),
            self.ducked(
                "ducked by the prompt",
                &self.found.prompt,
                "prompt",
                self.expected.prompt_duck,
            ),
            self.restored(
                "restored after the prompt",
                &self.found.prompt,
                "prompt",
                self.expected.prompt_duck,
            ),
            self.prompt(),
            self.chime(),
            self.ducked(
                "ducked by the chime",
                &self.found.chime,
                "chime",
                self.expected.chime_duck,
            ),
            self.restored(
                "restored after the chime",
                &self.found.chime,
                "chime",
                self.expected.chime_duck,
            ),
            self.length(),
            self.unbroken(),
            self.clicks(),
        ]
    }

    /// Music alone, before anything else sounds.
    fn before(&self) -> Result<f64, Missing> {
        let music = self.found.music.as_ref().ok_or("no music in the samples")?;
        let others = [&self.found.prompt, &self.found.chime];
        let next = others
            .into_iter()
            .flatten()
            .map(|span| span.start)
            .fold(music.end, f64::min);
        let window = music.start + 3.0 * SETTLE..next - SETTLE;
        self.median(&window)
            .ok_or_else(|| "music never sounds alone at first".to_owned())
    }

    fn median(&self, window: &Range<f64>) -> Option<f64> {
        let windows = self.levels.time.iter().zip(&self.levels.music);
        let mut inside: Vec<f64> = windows
            .filter(|(time, _)| window.contains(time))
            .map(|(_, db)| *db)
            .collect();
        inside.sort_by(f64::total_cmp);
        inside.get(inside.len() / 2).copied()
    }

    fn music(&self) -> Check {
        let sent = self.expected.music.level_db;
        let bound = format!("{sent:.1} dBFS as sent, ± {LEVEL_TOLERANCE} dB");
        let Ok(level) = self.before() else {
            return check("music is there", "none found".to_owned(), bound, false);
        };
        check(
            "music is there",
            format!("{level:.2} dBFS"),
            bound,
            (level - sent).abs() <= LEVEL_TOLERANCE,
        )
    }

    fn ducked(&self, name: &'static str, by: &Option<Range<f64>>, what: &str, duck: Duck) -> Check {
        let bound = format!("{:.1} dB ± {DUCK_TOLERANCE} dB", duck.depth_db);
        let depth = || {
            let before = self.before()?;
            let by = by.as_ref().ok_or(format!("no {what} in the samples that could duck"))?;
            let window = by.start + duck.attack + SETTLE..by.end - SETTLE / 2.0;
            let level = self
                .median(&window)
                .ok_or(format!("{what} too short to measure the music below it"))?;
            Ok(level - before)
        };
        let within = |depth: &f64| (depth - duck.depth_db).abs() <= DUCK_TOLERANCE;
        judged(name, bound, depth(), |depth| format!("{depth:+.2} dB"), within)
    }

    /// Back at the level before, at the latest when ramp and guest's STOP are over, until something else begins.
    fn restored(&self, name: &'static str, by: &Option<Range<f64>>, what: &str, duck: Duck) -> Check {
        let bound = format!(
            "0 dB ± {RESTORED_TOLERANCE} dB within {:.2} s",
            duck.release + STOP_LIMIT
        );
        let change = || {
            let before = self.before()?;
            let (by, music) = (by.as_ref(), self.found.music.as_ref());
            let (by, music) = by
                .zip(music)
                .ok_or(format!("no {what} in the samples to recover from"))?;
            let start = by.end + duck.release + STOP_LIMIT;
            let others = [&self.found.prompt, &self.found.chime].into_iter().flatten();
            let next = others.map(|span| span.start).filter(|other| *other > by.end);
            let end = next.fold(music.end - 4.0 * SETTLE, f64::min) - SETTLE;
            let level = self
                .median(&(start..end))
                .ok_or(format!("nothing of the music left after the {what}"))?;
            Ok(level - before)
        };
        let within = |change: &f64| change.abs() <= RESTORED_TOLERANCE;
        judged(name, bound, change(), |change| format!("{change:+.2} dB"), within)
    }

    fn prompt(&self) -> Check {
        present(
            "prompt is there",
            &self.levels.prompt,
            &self.found.prompt,
            &self.expected.prompt,
        )
    }

    fn chime(&self) -> Check {
        present(
            "chime is there",
            &self.levels.chime,
            &self.found.chime,
            &self.expected.chime,
        )
    }

    fn length(&self) -> Check {
        let sent = self.expected.music.seconds;
        let seconds = self.found.music.as_ref().map(|music| music.end - music.start);
        let seconds = seconds.ok_or_else(|| "no music in the samples".to_owned());
        let within = |seconds: &f64| (seconds - sent).abs() <= SECONDS_TOLERANCE;
        let bound = format!("{sent:.2} s as sent, ± {SECONDS_TOLERANCE} s");
        judged(
            "music is whole",
            bound,
            seconds,
            |seconds| format!("{seconds:.2} s"),
            within,
        )
    }

    /// Phase of each of the music's tones against its start: a frame lost, repeated or put in shifts all that follow.
    fn unbroken(&self) -> Check {
        let within = |shift: &f64| *shift <= SHIFT_LIMIT;
        let bound = format!("at most {SHIFT_LIMIT} frames");
        let text = |shift| format!("phase off by {shift:.2} frames");
        judged("music is unbroken", bound, self.shift(), text, within)
    }

    /// Largest shift, frames.
    fn shift(&self) -> Result<f64, Missing> {
        let music = self.found.music.as_ref().ok_or("no music in the samples")?;
        let inside = music.start + 3.0 * SETTLE..music.end - 4.0 * SETTLE;
        let all = 0..self.levels.time.len();
        let clear = all.filter(|window| inside.contains(&self.levels.time[*window]) && self.clear(*window));
        let windows: Vec<usize> = clear.collect();
        let first = *windows.first().ok_or("music too short")?;
        let frames = |tone: &Tone, window: usize| {
            let turn = tone.phase[window] - tone.phase[first];
            wrapped(turn).abs() * f64::from(content::RATE) / (std::f64::consts::TAU * tone.hz)
        };
        let shifts = self
            .tones
            .iter()
            .flat_map(|tone| windows.iter().map(move |window| frames(tone, *window)));
        Ok(shifts.fold(0.0, f64::max))
    }

    /// Where a phase can be told: a strike of the chime or a ramp smears the tones into each other.
    fn clear(&self, window: usize) -> bool {
        let music = &self.levels.music;
        let around = music
            .get(window.saturating_sub(HALF_WINDOW))
            .zip(music.get(window + HALF_WINDOW));
        let steady = around.is_some_and(|(before, after)| (before - after).abs() < STEADY);
        steady && self.levels.chime[window] < self.expected.chime.level_db - 40.0
    }

    fn clicks(&self) -> Check {
        let sent = [&self.expected.music, &self.expected.prompt, &self.expected.chime]
            .map(|sent| sent.click_db + CLICK_MARGIN);
        let limit = sent.into_iter().fold(CLICK_LIMIT, f64::max);
        let music = self
            .found
            .music
            .clone()
            .ok_or_else(|| "no music in the samples".to_owned());
        let worst = music.map(|music| loudest_click(self.samples, &music));
        let within = |worst: &f64| *worst <= limit;
        let bound = format!("at most {limit:.0} dBFS above 9 kHz");
        judged(
            "no clicks or gaps",
            bound,
            worst,
            |worst| format!("{worst:.0} dBFS"),
            within,
        )
    }
}

fn wrapped(angle: f64) -> f64 {
    let turn = std::f64::consts::TAU;
    angle - turn * (angle / turn).round()
}

fn present(name: &'static str, level: &[f64], found: &Option<Range<f64>>, sent: &Sent) -> Check {
    let bound = format!(
        "{:.1} dBFS ± {LEVEL_TOLERANCE} dB for {:.2} s ± {SECONDS_TOLERANCE} s, as sent",
        sent.level_db, sent.seconds
    );
    let Some(found) = found else {
        return check(name, "none found".to_owned(), bound, false);
    };
    let highest = level.iter().copied().fold(FLOOR_DB, f64::max);
    let seconds = found.end - found.start;
    let good =
        (highest - sent.level_db).abs() <= LEVEL_TOLERANCE && (seconds - sent.seconds).abs() <= SECONDS_TOLERANCE;
    check(name, format!("{highest:.2} dBFS for {seconds:.2} s"), bound, good)
}

fn check(name: &'static str, measured: String, bound: String, good: bool) -> Check {
    let verdict = if good { Verdict::Pass } else { Verdict::Fail };
    Check {
        name,
        measured,
        bound,
        verdict,
    }
}

fn judged(
    name: &'static str,
    bound: String,
    figure: Result<f64, Missing>,
    text: impl Fn(f64) -> String,
    good: impl Fn(&f64) -> bool,
) -> Check {
    match figure {
        Ok(figure) => check(name, text(figure), bound, good(&figure)),
        Err(reason) => Check {
            name,
            measured: "-".to_owned(),
            bound,
            verdict: Verdict::NotJudged(reason),
        },
    }
}

#[cfg(test)]
#[path = "cabin_tests.rs"]
mod tests;
