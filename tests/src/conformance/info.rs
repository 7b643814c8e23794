//! Rows 1-4, 10, 11, 19: what the INFO requests say.

use super::{Outcome, Target, fail, judge, vacuous};
use crate::frontend::proto::{INFO_SIZE, PcmInfo, S_OK, code, word};
use crate::frontend::{FrontendError, SoundFrontend};

const FEATURES: u32 = 0x1f;
const FORMATS: u64 = (1 << 25) - 1;
const RATES: u64 = (1 << 14) - 1;

/// All items of one kind; an empty list when the configuration space says there are none.
fn items(fe: &mut SoundFrontend, request: u32, count: u32) -> Result<Vec<Vec<u8>>, FrontendError> {
    let size = INFO_SIZE
        .iter()
        .find(|(c, _)| *c == request)
        .map_or(4, |(_, size)| *size);
    if count == 0 {
        return Ok(Vec::new());
    }
    let reply = fe.info(request, 0, count, size)?;
    if reply.status() != S_OK {
        return Err(FrontendError::Refused {
            what: format!("INFO {request:#x}"),
            status: reply.status(),
        });
    }
    Ok(reply.bytes[4..].chunks(size as usize).map(<[u8]>::to_vec).collect())
}

fn each(target: &Target, request: u32, config: usize, check: impl Fn(&[u8]) -> Option<String>) -> Outcome {
    let mut fe = target.connect()?;
    let count = fe.config[config];
    if count == 0 {
        return vacuous("the device has none");
    }
    let items = items(&mut fe, request, count)?;
    judge(
        items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| Some(format!("item {i}: {}", check(item)?)))
            .collect(),
    )
}

/// Row 1: each jack's `features` has no bit but REMAP.
pub fn jack_features(target: &Target) -> Outcome {
    each(target, code::JACK_INFO, 0, |b| {
        (word(b, 4) & !1 != 0).then(|| format!("features {:#x}", word(b, 4)))
    })
}

/// Row 2: each jack's seven padding bytes are 0 (the buffer held 0xa5 before).
pub fn jack_padding(target: &Target) -> Outcome {
    each(target, code::JACK_INFO, 0, |b| {
        b[17..24]
            .iter()
            .any(|p| *p != 0)
            .then(|| format!("padding {:?}", &b[17..24]))
    })
}

/// Row 3: masks and direction hold defined values only, also after a driver has named undefined feature bits in SET_PARAMS.
pub fn pcm_defined(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let infos = fe.pcm_info()?;
    let mut complaints = undefined(&infos, "");
    let Some(first) = infos.first() else {
        return vacuous("no streams");
    };
    let mut params = first.params(5, 4800, 4);
    params.features = 0xff03;
    let _status = fe.set_params(0, &params)?;
    let again = fe.pcm_info()?;
    complaints.extend(undefined(&again, " after SET_PARAMS with features 0xff03"));
    judge(complaints)
}

fn undefined(infos: &[PcmInfo], when: &str) -> Vec<String> {
    let wrong = |i: &PcmInfo| {
        i.features & !FEATURES != 0 || i.formats & !FORMATS != 0 || i.rates & !RATES != 0 || i.direction > 1
    };
    let say = |(n, i): (usize, &PcmInfo)| {
        format!(
            "stream {n}{when}: features {:#x} formats {:#x} rates {:#x} direction {}",
            i.features, i.formats, i.rates, i.direction
        )
    };
    infos.iter().enumerate().filter(|(_, i)| wrong(i)).map(say).collect()
}

/// Row 4: each stream's five padding bytes are 0 (the buffer held 0xa5 before).
pub fn pcm_padding(target: &Target) -> Outcome {
    let infos = target.connect()?.pcm_info()?;
    let bad = infos.iter().enumerate().filter(|(_, i)| i.padding != [0; 5]);
    judge(
        bad.map(|(n, i)| format!("stream {n}: padding {:?}", i.padding))
            .collect(),
    )
}

/// Row 10: each channel map's direction is output or input.
pub fn chmap_direction(target: &Target) -> Outcome {
    each(target, code::CHMAP_INFO, 2, |b| {
        (b[4] > 1).then(|| format!("direction {}", b[4]))
    })
}

/// Row 11: each channel map has at most 18 channels.
pub fn chmap_channels(target: &Target) -> Outcome {
    each(target, code::CHMAP_INFO, 2, |b| {
        (b[5] > 18).then(|| format!("{} channels", b[5]))
    })
}

/// Row 19: PCM_INFO of all streams with a stride of 64 gives the same items, 64 bytes apart, and a used length to match.
pub fn stride(target: &Target) -> Outcome {
    let mut fe = target.connect()?;
    let count = fe.config[1];
    let near = items(&mut fe, code::PCM_INFO, count)?;
    let reply = fe.info(code::PCM_INFO, 0, count, 64)?;
    if reply.status() != S_OK {
        return fail(format!("size 64: status {:#x}", reply.status()));
    }
    let mut complaints = Vec::new();
    for (i, item) in near.iter().enumerate() {
        if reply.bytes.get(4 + 64 * i..4 + 64 * i + 32) != Some(item) {
            complaints.push(format!("item {i} is not at 4 + 64 * {i}"));
        }
    }
    if reply.used < 4 + 64 * count.saturating_sub(1) + 32 {
        complaints.push(format!("used length {} for {count} items of 64", reply.used));
    }
    judge(complaints)
}
