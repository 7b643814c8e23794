//! Rows 18, 20, 21: statuses, parameters, life cycle.

use super::{Outcome, Target, judge, vacuous};
use crate::frontend::proto::{Params, S_BAD_MSG, S_NOT_SUPP, S_OK, code, words};
use crate::frontend::{FrontendError, SoundFrontend};

/// Runs requests one after the other and collects complaints; an unanswered one costs a new connection.
struct Asker<'a> {
    target: &'a Target,
    fe: SoundFrontend,
    complaints: Vec<String>,
}

impl<'a> Asker<'a> {
    fn new(target: &'a Target) -> Result<Self, FrontendError> {
        Ok(Self {
            target,
            fe: target.connect()?,
            complaints: Vec::new(),
        })
    }

    fn ask(
        &mut self,
        what: &str,
        request: &[u8],
        response: usize,
        accept: impl Fn(u32) -> bool,
    ) -> Result<(), FrontendError> {
        match self.fe.control(request, response) {
            Ok(reply) if accept(reply.status()) => {}
            Ok(reply) => self.complaints.push(format!("{what}: status {:#x}", reply.status())),
            Err(FrontendError::Timeout { .. }) => {
                self.complaints.push(format!("{what}: no answer"));
                self.fe = reconnected(self.target, &mut self.fe)?;
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

fn reconnected(target: &Target, old: &mut SoundFrontend) -> Result<SoundFrontend, FrontendError> {
    // The old connection has to be gone before the new one: many back ends serve one at a time.
    old.disconnect();
    target.connect_with(old.options().clone())
}

/// Row 18: malformed requests (short, unknown stream, INFO out of range) get BAD_MSG; a format not offered NOT_SUPP; an
/// unknown code either of the two (the text leaves open which it is).
pub fn statuses(target: &Target) -> Outcome {
    let mut asker = Asker::new(target)?;
    let infos = asker.fe.pcm_info()?;
    let Some(first) = infos.first() else {
        return vacuous("no streams");
    };
    let streams = infos.len() as u32;
    let bad = |s| s == S_BAD_MSG;
    asker.ask("unknown code 0x7777", &words(&[0x7777, 0]), 4, |s| {
        s == S_NOT_SUPP || s == S_BAD_MSG
    })?;
    asker.ask("2-byte request", &[0, 1], 4, bad)?;
    asker.ask("PREPARE without a stream id", &words(&[code::PREPARE]), 4, bad)?;
    asker.ask(
        "PREPARE of an unknown stream",
        &words(&[code::PREPARE, streams + 5]),
        4,
        bad,
    )?;
    asker.ask(
        "PCM_INFO beyond the last",
        &words(&[code::PCM_INFO, streams, 1, 32]),
        36,
        bad,
    )?;
    let mut params = first.params(5, 4800, 4);
    if let Some(format) = (3..20u8).find(|f| first.formats >> f & 1 == 0) {
        params.format = format;
        asker.ask("SET_PARAMS of a format not offered", &params.request(0), 4, |s| {
            s == S_NOT_SUPP
        })?;
    }
    judge(asker.complaints)
}

/// Row 20: each parameter that is wrong in itself or not offered is refused, and the right ones are accepted afterwards.
pub fn params_checked(target: &Target) -> Outcome {
    let mut asker = Asker::new(target)?;
    let infos = asker.fe.pcm_info()?;
    let Some(first) = infos.first() else {
        return vacuous("no streams");
    };
    let good = first.params(5, 4800, 4);
    let cases: [(&str, Params); 9] = [
        ("channels 0", Params { channels: 0, ..good }),
        (
            "channels above the maximum",
            Params {
                channels: first.channels_max.saturating_add(1),
                ..good
            },
        ),
        ("channels 255", Params { channels: 255, ..good }),
        ("format 69", Params { format: 69, ..good }),
        ("rate 71", Params { rate: 71, ..good }),
        (
            "undefined features",
            Params {
                features: 0xff00,
                ..good
            },
        ),
        (
            "period 0",
            Params {
                period_bytes: 0,
                ..good
            },
        ),
        (
            "a period that doesn't divide the buffer",
            Params {
                buffer_bytes: good.buffer_bytes + 4,
                ..good
            },
        ),
        (
            "a period above the buffer",
            Params {
                period_bytes: good.buffer_bytes * 2,
                ..good
            },
        ),
    ];
    for (what, params) in cases {
        asker.ask(what, &params.request(0), 4, |s| s != S_OK)?;
    }
    asker.ask("good parameters", &good.request(0), 4, |s| s == S_OK)?;
    judge(asker.complaints)
}

/// Row 21: every transition of the life cycle that the text draws is accepted, every other one refused (and answered).
/// SET_PARAMS after RELEASE and PREPARE after RELEASE are both drawn.
pub fn lifecycle(target: &Target) -> Outcome {
    use code::{PREPARE, RELEASE, SET_PARAMS, START, STOP};
    const PATH: [(u32, bool); 26] = [
        (START, false),
        (SET_PARAMS, true),
        (START, false),
        (SET_PARAMS, true),
        (PREPARE, true),
        (PREPARE, true),
        (STOP, false),
        (SET_PARAMS, true),
        (PREPARE, true),
        (START, true),
        (START, false),
        (PREPARE, false),
        (RELEASE, false),
        (SET_PARAMS, false),
        (STOP, true),
        (STOP, false),
        (START, true),
        (STOP, true),
        (RELEASE, true),
        (START, false),
        (PREPARE, true),
        (RELEASE, true),
        (SET_PARAMS, true),
        (PREPARE, true),
        (START, true),
        (STOP, true),
    ];
    let mut asker = Asker::new(target)?;
    let Some(first) = asker.fe.pcm_info()?.first().cloned() else {
        return vacuous("no streams");
    };
    let params = first.params(5, 4800, 4);
    let mut before = 0;
    for (step, (request, legal)) in PATH.into_iter().enumerate() {
        let bytes = if request == SET_PARAMS {
            params.request(0)
        } else {
            words(&[request, 0])
        };
        let what = format!(
            "step {step}: {request:#x} after {before:#x} must be {}",
            if legal { "OK" } else { "refused" }
        );
        asker.ask(&what, &bytes, 4, |s| (s == S_OK) == legal)?;
        if !asker.complaints.is_empty() {
            break;
        }
        before = request;
    }
    judge(asker.complaints)
}
