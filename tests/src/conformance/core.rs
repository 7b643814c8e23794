//! Rows 29-33: configuration space, errors, reset, used chains, event queue.

use std::time::Duration;

use vhost::vhost_user::message::VhostUserConfigFlags;
use vhost::vhost_user::{VhostUserFrontend, VhostUserProtocolFeatures};

use super::{Outcome, Target, judge, vacuous};
use crate::frontend::pcm::Pcm;
use crate::frontend::proto::{CONTROLQ, F_CTLS, F_EVENT_IDX, S_OK, TXQ, code, words};
use crate::frontend::vring::{NEXT, Seg};
use crate::frontend::{FrontendError, Options, SoundFrontend, link};

/// Row 29: after SET_CONFIG (refused, or the connection closed on it) the four words are what they were; `controls` is 0 without CTLS.
pub fn config(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    if !fe.negotiated.protocol.contains(VhostUserProtocolFeatures::CONFIG) {
        return vacuous("the back end doesn't serve the configuration space");
    }
    let controls = fe.negotiated.acked & F_CTLS != 0;
    let before = link::read_config(&mut fe.frontend(), 16)?;
    let _refused = fe.frontend().set_config(0, VhostUserConfigFlags::WRITABLE, &[9; 12]);
    let after = match link::read_config(&mut fe.frontend(), 16) {
        Ok(after) => after,
        Err(_closed) => link::read_config(&mut target.connect()?.frontend(), 16)?,
    };
    let mut complaints = Vec::new();
    if before != after {
        complaints.push(format!("a driver's write changed it: {before:?} to {after:?}"));
    }
    if !controls && after.get(12..16) != Some(&[0; 4]) {
        complaints.push("controls without VIRTIO_SND_F_CTLS".into());
    }
    judge(complaints)
}

/// A way to break the rules on a fresh connection.
type Offence = (&'static str, fn(&mut SoundFrontend) -> Result<(), FrontendError>);

fn post_control(fe: &mut SoundFrontend, segs: &[Seg]) {
    let _head = fe.queues[CONTROLQ].submit(segs);
    fe.queues[CONTROLQ].force_kick();
}

const OFFENCES: [Offence; 6] = [
    ("unknown request code", |fe| {
        let _answer = fe.control(&words(&[0x7777, 0]), 4)?;
        Ok(())
    }),
    ("request without a response buffer", |fe| {
        let at = fe.slots(TXQ, 0, 16, 1)?[0].data;
        fe.ram.write(at, &words(&[code::PREPARE, 0]));
        post_control(fe, &[Seg::ro(at, 8)]);
        Ok(())
    }),
    ("descriptor loop", |fe| {
        let at = fe.slots(TXQ, 0, 16, 1)?[0].data;
        let queue = &mut fe.queues[CONTROLQ];
        queue.write_desc(5, at, 8, NEXT, 6);
        queue.write_desc(6, at, 8, NEXT, 5);
        queue.push_avail(5);
        queue.force_kick();
        Ok(())
    }),
    ("buffer outside of memory", |fe| {
        post_control(fe, &[Seg::ro(0x7fff_0000_0000, 8), Seg::wo(0x7fff_0000_0000, 4)]);
        Ok(())
    }),
    ("PCM message for stream 99", |fe| {
        let slot = fe.slots(TXQ, 99, 64, 1)?[0];
        fe.post(slot)?;
        fe.queues[TXQ].force_kick();
        Ok(())
    }),
    ("START before PREPARE", |fe| {
        let _answer = fe.stream(code::START, 0)?;
        Ok(())
    }),
];

/// Row 30: after each of six offences, each on its own connection, the device still answers PCM_INFO on that connection,
/// or has closed it or rung a ring's error eventfd (over vhost-user the forms of "needs reset"). Silence on an open connection fails.
pub fn never_silent(target: &Target) -> Outcome {
    let mut complaints = Vec::new();
    for (name, offence) in OFFENCES {
        let mut fe = target.connect()?;
        let answered = offence(&mut fe);
        let alive = answered.and_then(|()| fe.pcm_info());
        let closed = fe.is_closed() || fe.queues.iter().any(|q| q.err.read().is_ok());
        if alive.is_err() && !closed {
            complaints.push(format!("silent after: {name}"));
        }
    }
    judge(complaints)
}

/// Row 31: a new connection, made while a stream was running and messages queued, finds a stream that takes SET_PARAMS,
/// PREPARE and START from the beginning, and none of the old messages in its rings.
pub fn reset(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let Some((stream, info)) = super::pcm::find(&mut fe, 0)? else {
        return vacuous("no output stream");
    };
    let pcm = Pcm::open(&mut fe, TXQ, stream, info.params(5, 4800, 4))?;
    pcm.fill(&mut fe)?;
    pcm.start(&mut fe)?;
    drop(fe);
    let mut fe = target.connect()?;
    let mut complaints = Vec::new();
    let stale = fe.queues.iter().map(|q| q.used_index()).sum::<u16>();
    if stale != 0 {
        complaints.push(format!("{stale} chains used in fresh rings"));
    }
    for (what, status) in [
        ("SET_PARAMS", fe.set_params(stream, &pcm.params)?),
        ("PREPARE", fe.stream(code::PREPARE, stream)?),
        ("START", fe.stream(code::START, stream)?),
    ] {
        if status != S_OK {
            complaints.push(format!("{what} on the new connection: {status:#x}"));
        }
    }
    let _ended = fe.stream(code::STOP, stream);
    judge(complaints)
}

/// Row 32: used lengths of INFO, simple answers and PCM messages are what was written; a 2-byte request, a PCM message
/// without status and one with 4 bytes of status come back too (each on a connection of its own).
pub fn returned(target: &Target) -> Outcome {
    let mut complaints = used_lengths(target)?;
    type Build = fn(u64) -> Vec<Seg>;
    let cases: [(&str, usize, Build); 3] = [
        ("2-byte request", CONTROLQ, |at| {
            vec![Seg::ro(at, 2), Seg::wo(at + 64, 4)]
        }),
        ("PCM message without status", TXQ, |at| {
            vec![Seg::ro(at, 4), Seg::ro(at + 64, 64)]
        }),
        ("PCM message with 4 bytes of status", TXQ, |at| {
            vec![Seg::ro(at, 4), Seg::ro(at + 64, 64), Seg::wo(at + 128, 4)]
        }),
    ];
    for (name, queue, build) in cases {
        let mut fe = target.connect()?;
        let at = fe.slots(TXQ, 0, 4096, 1)?[0].data;
        let before = fe.queues[queue].used_index();
        let _head = fe.queues[queue].submit(&build(at));
        fe.queues[queue].force_kick();
        let end = std::time::Instant::now() + Duration::from_secs(1);
        while fe.queues[queue].used_index() == before && std::time::Instant::now() < end {
            fe.pause(queue, end);
        }
        if fe.queues[queue].used_index() == before {
            complaints.push(format!("never returned: {name}"));
        }
    }
    judge(complaints)
}

fn used_lengths(target: &Target) -> Result<Vec<String>, FrontendError> {
    let mut fe = target.connect()?;
    let mut complaints = Vec::new();
    let count = fe.config[1];
    let info = fe.info(code::PCM_INFO, 0, count, 32)?;
    if info.used != 4 + 32 * count {
        complaints.push(format!("PCM_INFO of {count}: used length {}", info.used));
    }
    let Some((stream, offer)) = super::pcm::find(&mut fe, 0)? else {
        return Ok(complaints);
    };
    let params = offer.params(5, 2400, 4);
    let simple = fe.control(&params.request(stream), 4)?;
    if simple.used != 4 {
        complaints.push(format!("SET_PARAMS: used length {}", simple.used));
    }
    let pcm = Pcm::open(&mut fe, TXQ, stream, params)?;
    pcm.fill(&mut fe)?;
    pcm.start(&mut fe)?;
    let back = fe.wait_completions(TXQ, stream, 2, Duration::from_secs(1));
    let _ended = pcm.stop(&mut fe).and_then(|()| pcm.release(&mut fe));
    complaints.extend(
        back.iter()
            .filter(|c| c.used != 8)
            .map(|c| format!("PCM message: used length {}", c.used))
            .take(1),
    );
    Ok(complaints)
}

/// Row 33: with EVENT_IDX negotiated and 16 event buffers offered and kicked, control requests go on being answered.
pub fn event_idx(target: &Target) -> Outcome {
    let mut fe = target.connect_with(Options {
        event_idx: true,
        ..Options::default()
    })?;
    if fe.negotiated.acked & F_EVENT_IDX == 0 {
        return vacuous("EVENT_IDX is not offered");
    }
    let mut complaints = Vec::new();
    for round in 0..3 {
        fe.queues[crate::frontend::proto::EVENTQ].force_kick();
        if let Err(e) = fe.pcm_info() {
            complaints.push(format!("round {round}: {e}"));
            break;
        }
    }
    judge(complaints)
}
