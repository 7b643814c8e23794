//! Rows 5, 8, 25: when messages come back, against the clock.

use std::time::{Duration, Instant};

use super::pcm::find;
use super::{Outcome, Target, fail, judge, vacuous};
use crate::frontend::pcm::Pcm;
use crate::frontend::proto::{PcmInfo, S_NOT_SUPP, TXQ};
use crate::frontend::{Completion, FrontendError, SoundFrontend};

/// A stream played for a while with its ring kept full: when it started and what came back when.
struct Run {
    began: Instant,
    done: Vec<Completion>,
    pcm: Pcm,
}

impl Run {
    /// Seconds of audio that had come back by the end of `done[..=n]`, minus seconds since START: at least how much the
    /// device held unplayed at that moment.
    fn ahead(&self, n: usize) -> f64 {
        let bytes = (n as u64 + 1) * u64::from(self.pcm.params.period_bytes);
        self.pcm.params.seconds(bytes) - self.done.get(n).map_or(0.0, |c| (c.at - self.began).as_secs_f64())
    }
}

fn run(fe: &mut SoundFrontend, pcm: Pcm, time: Duration) -> Result<Run, FrontendError> {
    pcm.fill(fe)?;
    let began = pcm.start(fe)?;
    let end = began + time;
    let mut done = Vec::new();
    while Instant::now() < end {
        let back = fe.completions(TXQ, pcm.stream);
        for completion in &back {
            fe.post(completion.slot)?;
        }
        if back.is_empty() {
            fe.pause(TXQ, end);
        } else {
            fe.kick(TXQ);
        }
        done.extend(back);
        if done.len() > 200_000 {
            break;
        }
    }
    let _ended = pcm.stop(fe).and_then(|()| pcm.release(fe));
    Ok(Run { began, done, pcm })
}

/// Row 5: with a buffer of 400 ms and a full ring, the most that came back ahead of the clock is how much the device
/// holds itself. Less than a quarter of the buffer: it has no intermediate buffer but plays from the driver's, and the row
/// is vacuous; otherwise it must hold at least `buffer_bytes` (less 10 %).
pub fn intermediate_buffer(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some((stream, info)) = find(&mut fe, 0)? else {
        return vacuous("no output stream");
    };
    let pcm = Pcm::open(&mut fe, TXQ, stream, info.params(5, 480, 40))?;
    let wanted = pcm.params.seconds(u64::from(pcm.params.buffer_bytes));
    let run = run(&mut fe, pcm, Duration::from_millis(700))?;
    if run.done.is_empty() {
        return fail("no message came back in 700 ms".into());
    }
    let held = (0..run.done.len()).map(|n| run.ahead(n)).fold(0.0, f64::max);
    if held < wanted / 4.0 {
        return vacuous(&format!(
            "no intermediate buffer: at most {:.0} ms ahead of the clock",
            held * 1e3
        ));
    }
    judge(if held >= wanted * 0.9 {
        Vec::new()
    } else {
        vec![format!(
            "holds {:.0} ms of a buffer of {:.0} ms",
            held * 1e3,
            wanted * 1e3
        )]
    })
}

/// Shortest period that the device takes, in the offered format with the smallest frame, where a few bytes count most.
fn shortest(fe: &mut SoundFrontend, stream: u32, info: &PcmInfo) -> Result<Option<Pcm>, FrontendError> {
    for frames in [48, 96, 240, 480, 1024, 2048, 4800] {
        let narrow = PcmInfo {
            channels_max: info.channels_min,
            ..info.clone()
        };
        let params = narrow.params(info.smallest_format(), frames, (4800 / frames).clamp(4, 60));
        match Pcm::open(fe, TXQ, stream, params) {
            Err(FrontendError::Refused { status: S_NOT_SUPP, .. }) => {}
            other => return other.map(Some),
        }
    }
    Ok(None)
}

/// Row 8: messages of the shortest period the device takes, in its smallest frame, come back at the rate of all their
/// bytes: over 1.5 s in the steady state not more than 0.7 % (plus two batches as large as any seen) faster than the
/// sample rate. A device that leaves bytes of each message unread is faster by just those, one that completes when it
/// likes is faster still.
pub fn output_consumed(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some((stream, info)) = find(&mut fe, 0)? else {
        return vacuous("no output stream");
    };
    let Some(pcm) = shortest(&mut fe, stream, &info)? else {
        return fail("takes no period up to 4800 frames".into());
    };
    let run = run(&mut fe, pcm, Duration::from_millis(2000))?;
    let steady: Vec<_> = run
        .done
        .iter()
        .filter(|c| (c.at - run.began).as_millis() >= 500)
        .collect();
    let (Some(first), Some(last)) = (steady.first(), steady.last()) else {
        return fail("no message came back".into());
    };
    let elapsed = (last.at - first.at).as_secs_f64();
    let period = run.pcm.params.seconds(u64::from(run.pcm.params.period_bytes));
    let played = (steady.len() as f64 - 1.0) * period;
    let gap = steady
        .windows(2)
        .map(|w| (w[1].at - w[0].at).as_secs_f64())
        .fold(period, f64::max)
        .min(0.02);
    let excess = played - elapsed - 2.0 * gap.max(period);
    judge(if excess > elapsed * 0.007 {
        vec![format!(
            "{:.1} ms of audio in {:.1} ms, in messages of {} bytes",
            played * 1e3,
            elapsed * 1e3,
            first.slot.len
        )]
    } else {
        Vec::new()
    })
}

/// Row 25: `latency_bytes` lies between what must be unplayed at that moment (what came back, less the time since START)
/// and what can be (all that came back, and 150 ms more than the former), each with 30 ms and one period of tolerance.
pub fn latency(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some((stream, info)) = find(&mut fe, 0)? else {
        return vacuous("no output stream");
    };
    let pcm = Pcm::open(&mut fe, TXQ, stream, info.params(5, 480, 20))?;
    let run = run(&mut fe, pcm, Duration::from_millis(700))?;
    if run.done.is_empty() {
        return fail("no message came back in 700 ms".into());
    }
    let slack = 0.030 + run.pcm.params.seconds(u64::from(run.pcm.params.period_bytes));
    for (n, c) in run.done.iter().enumerate() {
        let told = run.pcm.params.seconds(u64::from(c.latency));
        let least = run.ahead(n).max(0.0);
        let most = run
            .pcm
            .params
            .seconds((n as u64 + 1) * u64::from(c.slot.len))
            .min(least + 0.150);
        if told + slack < least || told > most + slack {
            let (told, least, most) = (told * 1e3, least * 1e3, most * 1e3);
            return fail(format!(
                "message {n} says {told:.1} ms; it is between {least:.1} and {most:.1} ms"
            ));
        }
    }
    judge(Vec::new())
}
