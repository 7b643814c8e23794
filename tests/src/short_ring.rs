//! Takes on the shortest rings, and whose the gaps in them are.
//!
//! ```text
//!   ShortRing::play ──► Played { gaps, each with its time }  ──ours(diary)──► gaps at which the witness was on time
//!        under Witness::with_diary(slack) ──► Diary ────────────▲
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::coded::{self, Report};
use crate::rig::{Car, Player, Rig, Take};
use crate::witness::{Diary, Priority, STEP, Witness};

/// Periods kept in the card: the shortest.
const LEAD: u32 = 2;
const RATE: f64 = 48_000.0;
/// A gap's time is known to this: from START's answer to the first frame's play there are a few codec periods.
const VAGUE: Duration = Duration::from_millis(5);
/// For the engine's work in a period, the wake-up of the front end and its own work.
const WORK: Duration = Duration::from_micros(80);
const ATTEMPTS: u32 = 3;
const SHOWN: usize = 12;

/// Something that a busy machine, or we, cost on a short ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When.
    pub span: (Instant, Instant),
    /// Frames of silence in the file; 0 for a whole ring that came back between two looks of the front end (EIO in a stock driver).
    pub silence: usize,
}

/// A take that is over.
#[derive(Clone, Debug)]
pub struct Played {
    /// From START's answer to the last completion.
    pub span: (Instant, Instant),
    /// In no order.
    pub gaps: Vec<Gap>,
}

impl Played {
    /// The gaps that no late witness explains.
    #[must_use]
    pub fn ours(&self, diary: &Diary) -> Vec<Gap> {
        let unexplained = |gap: &&Gap| !diary.late_between(gap.span.0 - VAGUE, gap.span.1 + VAGUE);
        self.gaps.iter().filter(unexplained).copied().collect()
    }
}

/// A daemon with the shortest lead, for takes on a short ring.
pub struct ShortRing {
    rig: Rig,
    period: u32,
    ring: (u32, u32),
    takes: u64,
}

impl ShortRing {
    /// Starts it at a codec period of frames; `ring` is a period in frames and how many of them.
    ///
    /// # Errors
    /// The daemon does not start.
    pub fn start(period: u32, ring: (u32, u32)) -> anyhow::Result<Self> {
        let car = Car {
            period,
            lead: LEAD,
            ..Car::default()
        };
        Ok(Self {
            rig: Rig::start("ring", car)?,
            period,
            ring,
            takes: 0,
        })
    }

    /// How late the witness may be before a gap can be the machine's. The engine aims an eighth of a period behind the time at
    /// which a period fits, so a halt of 7/8 of a period can be heard; the witness sees it shorter by up to a step, and the
    /// work of both ends has its share.
    #[must_use]
    pub fn slack(&self) -> Duration {
        let periods = f64::from(LEAD - 1) - 0.125;
        Duration::from_secs_f64(f64::from(self.period) * periods / RATE).saturating_sub(STEP + WORK)
    }

    /// Plays so long, each take other samples; the gaps.
    ///
    /// # Errors
    /// What must not be on any machine: a message with an error or that stays away, a frame lost, changed or heard twice.
    pub fn play(&mut self, seconds: f64) -> anyhow::Result<Played> {
        self.takes += 1;
        let (ring, seed) = (self.ring, self.takes);
        let take = Take {
            ring,
            seconds,
            seed,
            ..Take::default()
        };
        let from = self.rig.recorded(0)?.len();
        let (sent, stats) = Player::start(&self.rig.socket(0), take)?.finish()?;
        if stats.lost + stats.errors > 0 {
            bail!("messages lost or with errors: {stats:?}");
        }
        let report = coded::compare(&sent, &self.rig.settled(0)?[from..], 4);
        if !report.is_whole() {
            bail!("frames lost, repeated or changed on {ring:?}: {report:?}");
        }
        let started = stats.started.context("the take was never started")?;
        let mut gaps = silences(&report, started);
        // An XRUN event comes by way of the control process, at no certain time: the silence in the file stands for it.
        gaps.extend(stats.laps.iter().map(|at| Gap {
            span: (*at, *at),
            silence: 0,
        }));
        let end = started + Duration::from_secs_f64(stats.wall_ms / 1e3);
        Ok(Played {
            span: (started, end),
            gaps,
        })
    }

    /// Plays so long under a witness with a diary, and again where the machine was too busy: more than half of all windows of a
    /// hundredth of a second had a late witness. What there was, in words.
    ///
    /// # Errors
    /// As [`ShortRing::play`]; a gap while the witness was on time; a machine too busy three times.
    pub fn play_without_a_gap_of_ours(&mut self, seconds: f64) -> anyhow::Result<String> {
        let slack = self.slack();
        let mut good = 0.0;
        for _ in 0..ATTEMPTS {
            let witness = Witness::with_diary(Priority::Engine, slack);
            let played = self.play(seconds);
            let (diary, played) = (witness.diary(), played?);
            good = diary.on_time(played.span.0, played.span.1, Duration::from_millis(10));
            // A witness that looks eight times a millisecond can't explain each gap on a machine that mostly stands still.
            if good < 0.5 {
                continue;
            }
            let ours = played.ours(&diary);
            if !ours.is_empty() {
                let when = |gap: &Gap| (gap.span.0 - played.span.0, gap.silence);
                let ours: Vec<_> = ours.iter().map(when).collect();
                bail!(
                    "{} of {} gaps while the witness was late by at most {slack:?} (on time in {good:.3}): {:?}",
                    ours.len(),
                    played.gaps.len(),
                    &ours[..ours.len().min(SHOWN)]
                );
            }
            let (all, share) = (played.gaps.len(), 100.0 * good);
            return Ok(format!(
                "{seconds} s: no gap of ours; {all} at a late witness, which was on time in {share:.1} % of the windows"
            ));
        }
        bail!(
            "machine too busy {ATTEMPTS} times: the witness was on time in {:.1} % of the windows only",
            100.0 * good
        )
    }
}

/// The stretches of silence between the first frame and the last.
fn silences(report: &Report, started: Instant) -> Vec<Gap> {
    let first = report.runs.first().map_or(0, |run| run.at);
    let time = |at: usize| started + Duration::from_secs_f64((at - first) as f64 / RATE);
    let between = report.runs.windows(2).filter_map(|pair| {
        let end = pair[0].at + pair[0].frames;
        (pair[1].at > end).then(|| Gap {
            span: (time(end), time(pair[1].at)),
            silence: pair[1].at - end,
        })
    });
    between.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_ours_unless_the_witness_was_late_just_then() {
        let sent = coded::generate(5, 2, 9_600, 3, 0).unwrap_or_default();
        let (head, tail) = sent.split_at(4 * 4_800);
        let captured = [&[0; 40], head, &[0; 64], tail].concat();
        let started = Instant::now();
        let played = Played {
            span: (started, started + Duration::from_millis(200)),
            gaps: silences(&coded::compare(&sent, &captured, 4), started),
        };

        assert_eq!(played.gaps.iter().map(|gap| gap.silence).collect::<Vec<_>>(), [16]);
        assert_eq!(played.ours(&Diary::default()), played.gaps);
        let late = |ms| Diary::of(started + Duration::from_millis(ms), Duration::from_millis(1));
        assert_eq!(played.ours(&late(102)), []);
        assert_eq!(played.ours(&late(110)), played.gaps);
        assert_eq!(played.ours(&late(90)), played.gaps);
    }
}
