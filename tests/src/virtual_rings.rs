//! Takes on short rings in the board's virtual time: the board's Linux runs the shipped daemon, a bus and our front end, nothing
//! else, and a gap is theirs.
//!
//! ```text
//!  the board: short-rings ──► audiod (supervisor, control, engine, card) ──► cabin.wav ──► console `wavN` ──┐
//!                 └─ our front end, SCHED_FIFO ──► a line a take ──► console `saysN` ─────────────────────── judged outside
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::coded;
use crate::rig::Take;
use crate::short_ring::{Silence, Taken};
use crate::virtual_board;

/// S16 stereo.
const FRAME: usize = 4;

/// Takes on one daemon.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// Codec period, frames; the lead is two of them.
    pub period: u32,
    /// The front end's period in frames, and how many of them its ring has.
    pub ring: (u32, u32),
    /// How many.
    pub takes: u32,
    /// How long each.
    pub seconds: f64,
    /// The fault planted in the middle of each: the engine stands still so many milliseconds.
    pub halt_ms: u32,
}

impl Course {
    fn take(&self) -> Take {
        Take {
            ring: self.ring,
            seconds: self.seconds,
            ..Take::default()
        }
    }

    fn line(&self, nth: usize) -> String {
        let (period, (frames, count), halt) = (self.period, self.ring, self.halt_ms);
        let (takes, seconds) = (self.takes, self.seconds);
        let ports = "/dev/virtio-ports";
        format!(
            "short-rings {period} {frames} {count} {takes} {seconds} {halt} {ports}/wav{nth} > {ports}/says{nth} || exit 1\n\
             echo \"rings: {nth} at $(uptime_s)\"\n"
        )
    }
}

/// What a course came to: no error, no message or frame lost, changed or heard twice.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Frames heard.
    pub frames: usize,
    /// Silence inside takes.
    pub silences: Vec<Silence>,
    /// Whole rings that came back between two looks of the front end.
    pub laps: u64,
    /// XRUN events.
    pub xruns: u64,
    /// Longest time between two completions, ms.
    pub longest_ms: f64,
}

impl Heard {
    /// Whether anything was late.
    #[must_use]
    pub fn is_without_a_gap(&self) -> bool {
        self.silences.is_empty() && self.laps + self.xruns == 0
    }

    fn judge(course: &Course, says: &str, captured: &[u8]) -> anyhow::Result<Self> {
        let lines = says.lines().map(serde_json::from_str);
        let takes: Vec<Taken> = lines.collect::<Result<_, _>>().context("what the front end said")?;
        if takes.len() != course.takes as usize {
            bail!("{} of {} takes", takes.len(), course.takes);
        }
        let mut heard = Self::default();
        let ends = takes.iter().skip(1).map(|next| next.from * FRAME);
        for (nth, (taken, end)) in takes.iter().zip(ends.chain([captured.len()])).enumerate() {
            let part = captured.get(taken.from * FRAME..end).context("the file is too short")?;
            let silences = taken.silences(course.take(), part);
            heard.silences.extend(silences.with_context(|| format!("take {nth}"))?);
            heard.laps += taken.stats.full_laps;
            heard.xruns += taken.stats.xruns;
            heard.longest_ms = heard.longest_ms.max(taken.stats.gap_ms.2);
            heard.frames += course.take().bytes().len() / FRAME;
        }
        Ok(heard)
    }
}

/// Runs the courses in `folder` on one board, one after the other, and prints what each came to.
///
/// # Errors
/// As [`virtual_board::run`]; a message or frame was lost or changed.
pub fn run(folder: &Path, courses: &[Course], limit: Duration) -> anyhow::Result<Vec<Heard>> {
    let lines = courses.iter().enumerate().map(|(nth, course)| course.line(nth));
    let consoles = (0..courses.len()).flat_map(|nth| [format!("wav{nth}"), format!("says{nth}")]);
    let (script, consoles) = (lines.collect::<String>(), consoles.collect::<Vec<_>>());
    let logs = virtual_board::run(folder, &["short-rings"], &script, &consoles, limit)?;
    let mut all = Vec::new();
    for (course, logs) in courses.iter().zip(logs.chunks_exact(2)) {
        let heard = Heard::judge(course, &logs[1].text(), &coded::samples(logs[0].path())?);
        let heard = heard.with_context(|| format!("{course:?}"))?;
        println!("{course:?}: {heard:?}");
        all.push(heard);
    }
    Ok(all)
}
