//! Takes on the shortest rings, and whose the gaps in them are.
//!
//! ```text
//!   ShortRing::play ──► Played { gaps, each with its time }  ──ours(diary)──► gaps at which the witness was on time
//!        under Witness::with_diary(slack) ──► Diary ────────────▲
//! ```

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::coded::{self, Report};
use crate::frontend::pcm::Stats;
use crate::process;
use crate::rig::{Car, Player, Rig, Take};
use crate::witness::{Diary, Priority, STEP, Witness};

/// Periods kept in the card: the shortest.
const LEAD: u32 = 2;
const RATE: f64 = 48_000.0;
/// A gap's time is known to this: from START's answer to the first frame's play there are a few codec periods.
const VAGUE: Duration = Duration::from_millis(5);
/// For the engine's work in a period, the wake-up of the front end and its own work.
const WORK: Duration = Duration::from_micros(80);
/// In which the witness was on time or not.
const WINDOW: Duration = Duration::from_millis(10);
const ATTEMPTS: u32 = 3;
const SHOWN: usize = 12;

/// A stretch of silence in a take, frames from its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Where.
    pub at: usize,
    /// How long.
    pub frames: usize,
}

/// A take that was played: what its front end saw, and where its samples are.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Taken {
    /// Of its samples.
    pub seed: u64,
    /// Frames the card had played before it.
    pub from: usize,
    /// What the front end saw.
    pub stats: Stats,
}

impl Taken {
    /// Holds what was played against what the card played since `from`.
    ///
    /// # Errors
    /// What must not be on any machine: a message with an error or that stays away, a frame lost, changed or heard twice.
    pub fn silences(&self, take: Take, captured: &[u8]) -> anyhow::Result<Vec<Silence>> {
        let stats = &self.stats;
        if stats.lost + stats.errors > 0 {
            bail!("messages lost or with errors: {stats:?}");
        }
        let sent = Take {
            seed: self.seed,
            ..take
        }
        .bytes();
        let report = coded::compare(&sent, captured, 4);
        if !report.is_whole() {
            bail!("frames lost, repeated or changed on {:?}: {report:?}", take.ring);
        }
        Ok(silences(&report))
    }
}

/// Something that a busy machine, or we, cost on a short ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When.
    pub span: (Instant, Instant),
    /// Frames of silence in the file; 0 for a whole ring that came back between two looks of the front end (EIO in a stock driver).
    pub silence: usize,
}

impl Gap {
    fn of(silence: Silence, started: Instant) -> Self {
        let time = |at: usize| started + Duration::from_secs_f64(at as f64 / RATE);
        Self {
            span: (time(silence.at), time(silence.at + silence.frames)),
            silence: silence.frames,
        }
    }
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
    /// The gaps that no late witness explains: neither one lateness just then, nor two in a row within a ring of `ring`'s length that
    /// ended in it (the engine's and then the front end's, or the other way round).
    #[must_use]
    pub fn ours(&self, diary: &Diary, ring: Duration) -> Vec<Gap> {
        let unexplained = |gap: &&Gap| {
            let (from, to) = (gap.span.0 - VAGUE, gap.span.1 + VAGUE);
            !diary.late_between(from, to) && !diary.late_in_a_row(from - ring, to, ring)
        };
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

    /// The card's file.
    #[must_use]
    pub fn wav(&self) -> PathBuf {
        self.rig.wav()
    }

    /// Plays so long, each take other samples, until the card has played it. In its middle the engine's process stands still for
    /// `halt`.
    ///
    /// # Errors
    /// It does not start, or the card stands still.
    pub fn take(&mut self, seconds: f64, halt: Duration) -> anyhow::Result<Taken> {
        self.takes += 1;
        let (take, from) = (self.samples(seconds), self.rig.played()?);
        let player = Player::start(&self.rig.socket(0), take)?;
        if halt > Duration::ZERO {
            std::thread::sleep(Duration::from_secs_f64(seconds / 2.0));
            let engine = self.rig.process("engine", None)?;
            process::signal(engine, libc::SIGSTOP)?;
            std::thread::sleep(halt);
            process::signal(engine, libc::SIGCONT)?;
        }
        let (_, stats) = player.finish()?;
        self.rig.settle()?;
        let seed = take.seed;
        Ok(Taken { seed, from, stats })
    }

    fn samples(&self, seconds: f64) -> Take {
        Take {
            ring: self.ring,
            seconds,
            seed: self.takes,
            ..Take::default()
        }
    }

    /// Plays so long, each take other samples; the gaps.
    ///
    /// # Errors
    /// As [`ShortRing::take`] and [`Taken::silences`].
    pub fn play(&mut self, seconds: f64) -> anyhow::Result<Played> {
        let taken = self.take(seconds, Duration::ZERO)?;
        let silences = taken.silences(self.samples(seconds), &self.rig.recorded(0)?[4 * taken.from..])?;
        let started = taken.stats.started.context("the take was never started")?;
        let mut gaps: Vec<_> = silences.into_iter().map(|silence| Gap::of(silence, started)).collect();
        // An XRUN event comes by way of the control process, at no certain time: the silence in the file stands for it.
        gaps.extend(taken.stats.laps.iter().map(|at| Gap {
            span: (*at, *at),
            silence: 0,
        }));
        let end = started + Duration::from_secs_f64(taken.stats.wall_ms / 1e3);
        Ok(Played {
            span: (started, end),
            gaps,
        })
    }

    fn length(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.ring.0 * self.ring.1) / RATE)
    }

    /// Plays so long under a witness with a diary; the gaps, and how much of the time the witness was on time, 0 to 1.
    fn witnessed(&mut self, seconds: f64) -> anyhow::Result<(Played, Diary, f64)> {
        let witness = Witness::with_diary(Priority::Engine, self.slack());
        let played = self.play(seconds);
        let (diary, played) = (witness.diary(), played?);
        let good = diary.on_time(played.span.0, played.span.1, WINDOW, self.length());
        Ok((played, diary, good))
    }

    /// Plays so long; how many gaps there were and how often the witness was on time, in words. Nothing is said of whose the gaps are.
    ///
    /// # Errors
    /// As [`ShortRing::play`].
    pub fn play_whole(&mut self, seconds: f64) -> anyhow::Result<String> {
        let (played, _, good) = self.witnessed(seconds)?;
        let (gaps, share) = (played.gaps.len(), 100.0 * good);
        Ok(format!(
            "{seconds} s: no frame lost; {gaps} gaps, the witness on time in {share:.1} % of the windows"
        ))
    }

    /// Plays so long under a witness with a diary, and again where the machine was too busy: more than half of all windows of a
    /// hundredth of a second had a late witness. What there was, in words.
    ///
    /// # Errors
    /// As [`ShortRing::play`]; a gap while the witness was on time; a machine too busy three times.
    pub fn play_without_a_gap_of_ours(&mut self, seconds: f64) -> anyhow::Result<String> {
        let (slack, mut good) = (self.slack(), 0.0);
        for _ in 0..ATTEMPTS {
            let (played, diary, on_time) = self.witnessed(seconds)?;
            good = on_time;
            // A witness that looks eight times a millisecond can't explain each gap on a machine that mostly stands still.
            if good < 0.5 {
                continue;
            }
            let ours = played.ours(&diary, self.length());
            if !ours.is_empty() {
                let when = |gap: &Gap| (gap.span.0 - played.span.0, gap.silence);
                let ours: Vec<_> = ours.iter().map(when).collect();
                bail!(
                    "{} of {} gaps while the witness was late by at most {slack:?}, once or in a row (on time in {good:.3}): {:?}",
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
fn silences(report: &Report) -> Vec<Silence> {
    let first = report.runs.first().map_or(0, |run| run.at);
    let between = report.runs.windows(2).filter_map(|pair| {
        let end = pair[0].at + pair[0].frames;
        (pair[1].at > end).then(|| Silence {
            at: end - first,
            frames: pair[1].at - end,
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
            gaps: silences(&coded::compare(&sent, &captured, 4))
                .into_iter()
                .map(|silence| Gap::of(silence, started))
                .collect(),
        };

        assert_eq!(played.gaps.iter().map(|gap| gap.silence).collect::<Vec<_>>(), [16]);
        let (ms, us) = (Duration::from_millis, Duration::from_micros);
        let ours = |late: &[(Duration, Duration)]| {
            let late: Vec<_> = late.iter().map(|(at, length)| (started + *at, *length)).collect();
            played.ours(&Diary::of(us(670), &late), ms(2))
        };
        assert_eq!(ours(&[]), played.gaps);
        assert_eq!(ours(&[(ms(102), ms(1))]), []);
        assert_eq!(ours(&[(ms(110), ms(1))]), played.gaps);
        assert_eq!(ours(&[(ms(90), ms(1))]), played.gaps);
        assert_eq!(ours(&[(ms(94), us(400)), (ms(95), us(400))]), [], "in a row, before it");
        assert_eq!(
            ours(&[(ms(94), us(400)), (ms(97), us(400))]),
            played.gaps,
            "not in a row"
        );
        assert_eq!(ours(&[(ms(106), us(400)), (ms(107), us(400))]), played.gaps, "after it");
    }
}
