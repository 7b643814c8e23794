//! Rows 6, 7, 9, 22-24, 26-28: messages of PCM streams.

use std::time::{Duration, Instant};

use super::{Outcome, Target, fail, judge, vacuous};
use crate::frontend::pcm::Pcm;
use crate::frontend::proto::{PcmInfo, RXQ, S_IO_ERR, S_OK, TXQ, code, word};
use crate::frontend::{FrontendError, Options, SoundFrontend};

const EVT_XRUN_BIT: u32 = 1 << 4;
const POLLING_BIT: u32 = 1 << 2;
const OUTPUT: u8 = 0;
const INPUT: u8 = 1;

/// The first stream of a direction.
pub(super) fn find(fe: &mut SoundFrontend, direction: u8) -> Result<Option<(u32, PcmInfo)>, FrontendError> {
    let infos = fe.pcm_info()?;
    Ok(infos
        .into_iter()
        .enumerate()
        .find(|(_, i)| i.direction == direction)
        .map(|(n, i)| (n as u32, i)))
}

fn output(fe: &mut SoundFrontend, frames: u32, periods: u32) -> Result<Option<Pcm>, FrontendError> {
    let Some((stream, info)) = find(fe, OUTPUT)? else {
        return Ok(None);
    };
    Pcm::open(fe, TXQ, stream, info.params(5, frames, periods)).map(Some)
}

fn input(fe: &mut SoundFrontend, frames: u32, periods: u32) -> Result<Option<Pcm>, FrontendError> {
    let Some((stream, info)) = find(fe, INPUT)? else {
        return Ok(None);
    };
    Pcm::open(fe, RXQ, stream, info.params(5, frames, periods)).map(Some)
}

/// Row 6: messages queued before START, and messages put into the ring just before RELEASE without a kick of their own,
/// have all come back within a second of RELEASE; so have those of a stream stopped in mid-play, and of a capture stream.
pub fn release_completes(target: &Target) -> Outcome {
    let mut complaints = Vec::new();
    for (name, direction, started, late) in [
        ("queued before START", OUTPUT, false, false),
        ("still in the available ring", OUTPUT, false, true),
        ("stopped in mid-play", OUTPUT, true, true),
        ("capture", INPUT, true, false),
    ] {
        let mut fe = target.connect()?;
        let opened = if direction == OUTPUT {
            output(&mut fe, 4800, 6)?
        } else {
            input(&mut fe, 4800, 6)?
        };
        let Some(pcm) = opened else { continue };
        let queue = crate::frontend::pcm::queue_of(direction);
        pcm.fill(&mut fe)?;
        if started {
            pcm.start(&mut fe)?;
            pcm.stop(&mut fe)?;
        }
        let mut expected = pcm.slots.len();
        if late {
            let extra = fe.slots(queue, pcm.stream, pcm.params.period_bytes, 2)?;
            expected += extra.len();
            for slot in extra {
                fe.post(slot)?;
            }
        }
        pcm.release(&mut fe)?;
        let back = fe
            .wait_completions(queue, pcm.stream, expected, Duration::from_secs(1))
            .len();
        if back < expected {
            complaints.push(format!("{name}: {back} of {expected} came back"));
        }
    }
    judge(complaints)
}

/// Row 7: when the answer to RELEASE is seen, every message that was queued before has been seen as used already.
pub fn release_waits(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some(pcm) = output(&mut fe, 4800, 8)? else {
        return vacuous("no output stream");
    };
    for round in 0..5 {
        if round > 0 {
            pcm.prepare(&mut fe)?;
        }
        pcm.fill(&mut fe)?;
        pcm.release(&mut fe)?;
        let back = fe.completions(TXQ, pcm.stream).len();
        if back < pcm.slots.len() {
            return fail(format!(
                "round {round}: RELEASE answered with {back} of {} messages back",
                pcm.slots.len()
            ));
        }
    }
    judge(Vec::new())
}

/// Row 9: while a capture stream runs, no message comes back with less than its whole buffer recorded.
pub fn input_full(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some(pcm) = input(&mut fe, 1200, 12)? else {
        return vacuous("no input stream");
    };
    pcm.fill(&mut fe)?;
    pcm.start(&mut fe)?;
    let back = fe.wait_completions(RXQ, pcm.stream, 8, Duration::from_secs(2));
    let short = back
        .iter()
        .filter(|c| c.status != S_OK || c.used != 8 + c.slot.len)
        .count();
    let _ended = pcm.stop(&mut fe).and_then(|()| pcm.release(&mut fe));
    if back.len() < 8 {
        return fail(format!("{} of 8 messages came back in 2 s", back.len()));
    }
    judge(if short > 0 {
        vec![format!("{short} of {} came back part-filled", back.len())]
    } else {
        Vec::new()
    })
}

/// Row 22: messages queued after PREPARE stay queued until START, then are played with OK in less than twice their time.
pub fn prebuffer(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some(pcm) = output(&mut fe, 2400, 4)? else {
        return vacuous("no output stream");
    };
    pcm.fill(&mut fe)?;
    let early = fe.wait_completions(TXQ, pcm.stream, 1, Duration::from_millis(250));
    if !early.is_empty() {
        return fail(format!("a message came back before START with {:#x}", early[0].status));
    }
    pcm.start(&mut fe)?;
    let back = fe.wait_completions(TXQ, pcm.stream, 4, Duration::from_millis(700));
    let wrong = back.iter().filter(|c| c.status != S_OK).count();
    let _ended = pcm.stop(&mut fe).and_then(|()| pcm.release(&mut fe));
    if back.len() < 4 || wrong > 0 {
        return fail(format!("{} of 4 came back, {wrong} not OK", back.len()));
    }
    judge(Vec::new())
}

/// Row 23: between STOP and START no message comes back (after 300 ms of grace for what was already in the host's
/// buffer), and after START all the others come back with OK.
pub fn pause(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some(pcm) = output(&mut fe, 2400, 16)? else {
        return vacuous("no output stream");
    };
    pcm.fill(&mut fe)?;
    pcm.start(&mut fe)?;
    let mut seen = fe.wait_completions(TXQ, pcm.stream, 2, Duration::from_secs(1));
    pcm.stop(&mut fe)?;
    seen.extend(fe.wait_completions(TXQ, pcm.stream, 16, Duration::from_millis(300)));
    if seen.len() == 16 {
        return fail("all 16 messages of 50 ms came back within 350 ms and a STOP".into());
    }
    let silent = fe.wait_completions(TXQ, pcm.stream, 1, Duration::from_millis(200));
    pcm.start(&mut fe)?;
    let rest = 16 - seen.len() - silent.len();
    let after = fe.wait_completions(TXQ, pcm.stream, rest, Duration::from_millis(1600));
    let wrong = seen.iter().chain(&after).filter(|c| c.status != S_OK).count();
    let _ended = pcm.stop(&mut fe).and_then(|()| pcm.release(&mut fe));
    if !silent.is_empty() || after.len() < rest || wrong > 0 {
        let (n, m) = (silent.len(), after.len());
        return fail(format!(
            "{n} came back while paused; {m} of {rest} after START; {wrong} not OK"
        ));
    }
    judge(Vec::new())
}

/// Row 24: the status of every message that comes back is OK or IO_ERR: played ones, ones for an idle stream and for a
/// stream that isn't there. (Whether those come back at all is row 30 and 32.)
pub fn io_status(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some(pcm) = output(&mut fe, 2400, 4)? else {
        return vacuous("no output stream");
    };
    pcm.fill(&mut fe)?;
    pcm.start(&mut fe)?;
    let mut back = fe.wait_completions(TXQ, pcm.stream, 2, Duration::from_secs(1));
    let _ended = pcm.stop(&mut fe).and_then(|()| pcm.release(&mut fe));
    back.extend(fe.wait_completions(TXQ, pcm.stream, 2, Duration::from_millis(200)));
    for stream in [pcm.stream, 99] {
        let slots = fe.slots(TXQ, stream, 64, 1)?;
        fe.post(slots[0])?;
        fe.kick(TXQ);
        back.extend(fe.wait_completions(TXQ, stream, 1, Duration::from_millis(300)));
    }
    let wrong = back.iter().filter(|c| c.status != S_OK && c.status != S_IO_ERR);
    judge(
        wrong
            .map(|c| format!("stream {}: status {:#x}", c.slot.stream, c.status))
            .collect(),
    )
}

/// Row 26: a capture message's used length is 8 plus what was recorded: whole ones, those returned by RELEASE, and nothing
/// is written behind it.
pub fn rx_used(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some(pcm) = input(&mut fe, 2400, 10)? else {
        return vacuous("no input stream");
    };
    for slot in &pcm.slots {
        fe.ram.write(slot.data, &vec![0x5A; slot.len as usize]);
    }
    pcm.fill(&mut fe)?;
    pcm.start(&mut fe)?;
    let mut back = fe.wait_completions(RXQ, pcm.stream, 3, Duration::from_secs(2));
    let full = back.iter().filter(|c| c.used == 8 + c.slot.len).count();
    pcm.stop(&mut fe)?;
    pcm.release(&mut fe)?;
    back.extend(fe.wait_completions(RXQ, pcm.stream, 7, Duration::from_millis(500)));
    let mut complaints = Vec::new();
    for c in &back {
        let recorded = c.used.saturating_sub(8);
        let rest = fe.ram.read(
            c.slot.data + u64::from(recorded),
            c.slot.len.saturating_sub(recorded) as usize,
        );
        if c.used < 8 || recorded > c.slot.len || rest.iter().any(|b| *b != 0x5A) {
            complaints.push(format!("used {} of 8 + {}", c.used, c.slot.len));
        }
    }
    if full == 0 {
        complaints.push("no whole message".into());
    }
    judge(complaints)
}

/// Row 27: with EVT_XRUNS requested, a stream that starts with an empty ring gets an XRUN event with its id within a
/// second. Vacuous if no output stream offers it.
pub fn events(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some((stream, info)) = find(&mut fe, OUTPUT)? else {
        return vacuous("no output stream");
    };
    if info.features & EVT_XRUN_BIT == 0 {
        return vacuous("no stream offers EVT_XRUNS; no event can be asked for");
    }
    let mut params = info.params(5, 2400, 4);
    params.features = EVT_XRUN_BIT;
    let pcm = Pcm::open(&mut fe, TXQ, stream, params)?;
    fe.post(pcm.slots[0])?;
    fe.kick(TXQ);
    pcm.start(&mut fe)?;
    let end = Instant::now() + Duration::from_secs(1);
    let mut seen = Vec::new();
    while Instant::now() < end && !seen.contains(&(code::EVT_XRUN, stream)) {
        fe.pause(crate::frontend::proto::EVENTQ, end);
        seen.extend(fe.events());
    }
    let _ended = pcm.stop(&mut fe).and_then(|()| pcm.release(&mut fe));
    judge(if seen.contains(&(code::EVT_XRUN, stream)) {
        Vec::new()
    } else {
        vec![format!("no XRUN event; {seen:?}")]
    })
}

/// Row 28: with MSG_POLLING requested, messages made available without any kick after START are played.
pub fn polling(target: &Target) -> Outcome {
    let mut fe = target.connect_with(Options {
        eventfd: false,
        event_idx: target.event_idx,
        ..Options::default()
    })?;
    let Some((stream, info)) = find(&mut fe, OUTPUT)? else {
        return vacuous("no output stream");
    };
    if info.features & POLLING_BIT == 0 {
        return vacuous("MSG_POLLING is not offered");
    }
    let mut params = info.params(5, 2400, 4);
    params.features = POLLING_BIT;
    let pcm = Pcm::open(&mut fe, TXQ, stream, params)?;
    fe.post(pcm.slots[0])?;
    fe.kick(TXQ);
    pcm.start(&mut fe)?;
    for slot in &pcm.slots[1..] {
        fe.post(*slot)?;
    }
    let back = fe.wait_completions(TXQ, stream, 4, Duration::from_secs(1));
    let _ended = pcm.stop(&mut fe).and_then(|()| pcm.release(&mut fe));
    let fine = back.iter().filter(|c| c.status == S_OK).count();
    let first = back.first().map_or(0, |c| word(&c.status.to_le_bytes(), 0));
    judge(if fine == 4 {
        Vec::new()
    } else {
        vec![format!("{fine} of 4 played, first status {first:#x}")]
    })
}
