//! The reference device's answers on the control queue (but RELEASE, which needs the rings).

use super::Mutation;
use super::device::Inner;
use super::stream::State;
use crate::frontend::proto::{Params, S_BAD_MSG, S_NOT_SUPP, S_OK, code, word, words};

/// `VIRTIO_SND_PCM_F_EVT_XRUNS`.
pub const F_EVT_XRUNS: u32 = 1 << 4;
const F_MSG_POLLING: u32 = 1 << 2;
const FEATURES: u32 = F_MSG_POLLING | F_EVT_XRUNS;
const FORMATS: u64 = 1 << 4 | 1 << 5 | 1 << 15 | 1 << 17 | 1 << 19;
const RATES: u64 = 1 << 6 | 1 << 7;
const TLV: [u32; 4] = [1, 8, 0xffff_d8f0, 100];

/// The answer to a request of at least 4 bytes, as long as it is or fits into `room`.
pub fn answer(inner: &mut Inner, request: &[u8], room: usize, mutation: Mutation) -> Vec<u8> {
    let code = word(request, 0);
    let mut out = match code {
        code::JACK_INFO | code::PCM_INFO | code::CHMAP_INFO | code::CTL_INFO => info(inner, request, room, mutation),
        code::SET_PARAMS => words(&[set_params(inner, request, mutation)]),
        code::PREPARE | code::START | code::STOP => words(&[simple(inner, request, mutation)]),
        code::CTL_READ..=code::CTL_TLV_COMMAND => element(inner, request, room, mutation),
        _ => words(&[S_NOT_SUPP]),
    };
    out.truncate(room);
    out
}

fn simple(inner: &mut Inner, request: &[u8], mutation: Mutation) -> u32 {
    match inner.streams.get_mut(word(request, 4) as usize) {
        Some(stream) if request.len() >= 8 => stream.request(word(request, 0), mutation),
        _ => S_BAD_MSG,
    }
}

fn info(inner: &Inner, request: &[u8], room: usize, mutation: Mutation) -> Vec<u8> {
    if request.len() < 16 {
        return words(&[S_BAD_MSG]);
    }
    let (kind, start, count, size) = (
        word(request, 0),
        word(request, 4),
        word(request, 8),
        word(request, 12) as usize,
    );
    let available = match kind {
        code::JACK_INFO => 1,
        _ => 2,
    };
    let fits = u64::from(start) + u64::from(count) <= available && 4 + u64::from(count) * size as u64 <= room as u64;
    if !fits {
        return words(&[S_BAD_MSG]);
    }
    let mut out = words(&[S_OK]);
    for id in start..start + count {
        let mut item = match kind {
            code::JACK_INFO => jack(mutation),
            code::PCM_INFO => pcm(inner, id, mutation),
            code::CHMAP_INFO => chmap(id, mutation),
            _ => control(id, mutation),
        };
        item.resize(if mutation.breaks(19) { item.len() } else { size }, 0);
        out.extend(item);
    }
    out
}

fn jack(mutation: Mutation) -> Vec<u8> {
    let mut item = words(&[0, if mutation.breaks(1) { 2 } else { 0 }, 0x0101_0000, 4]);
    item.extend([1, u8::from(mutation.breaks(2)), 0, 0, 0, 0, 0, 0]);
    item
}

fn pcm(inner: &Inner, id: u32, mutation: Mutation) -> Vec<u8> {
    let echoed = inner.streams[id as usize & 1].echoed;
    let mut item = words(&[
        0,
        if mutation.breaks(3) {
            FEATURES | echoed
        } else {
            FEATURES
        },
    ]);
    item.extend(FORMATS.to_le_bytes());
    item.extend(RATES.to_le_bytes());
    item.extend([id as u8, 1, 2, 0, 0, 0, 0, u8::from(mutation.breaks(4))]);
    item
}

fn chmap(id: u32, mutation: Mutation) -> Vec<u8> {
    let direction = if mutation.breaks(10) { 7 } else { id as u8 };
    let channels = if mutation.breaks(11) { 19 } else { 2 };
    let mut item = words(&[0]);
    item.extend([direction, channels, 3, 4]);
    item.resize(24, 0);
    item
}

fn control(id: u32, mutation: Mutation) -> Vec<u8> {
    // 0: a volume of -100..0 dB; 1: a switch.
    let (role, kind, access) = if id == 0 { (1, 1, 0x13) } else { (2, 0, 0x3) };
    let role = if mutation.breaks(12) { 9 } else { role };
    let count = u32::from(!mutation.breaks(13));
    let mut item = words(&[0, role, kind, access, count, 0]);
    let name = match (id, mutation) {
        (1, Mutation(14)) => "",
        (1, m) if !m.breaks(15) => "Master Playback Switch",
        _ => "Master Playback Volume",
    };
    item.extend(name.as_bytes());
    item.resize(72, 0);
    item.extend(words(&[0, 100, 1]));
    item.resize(96, 0);
    item
}

fn set_params(inner: &mut Inner, request: &[u8], mutation: Mutation) -> u32 {
    let Some(stream) = inner
        .streams
        .get_mut(word(request, 4) as usize)
        .filter(|_| request.len() >= 24)
    else {
        return S_BAD_MSG;
    };
    let params = Params {
        buffer_bytes: word(request, 8),
        period_bytes: word(request, 12),
        features: word(request, 16),
        channels: request[20],
        format: request[21],
        rate: request[22],
    };
    stream.echoed = params.features;
    if matches!(stream.state, State::Running | State::Stopped) {
        return S_NOT_SUPP;
    }
    let offered = |mask: u64, bit: u8| bit < 64 && mask >> bit & 1 == 1;
    let period = params.period_bytes;
    let divides = period > 0 && (params.buffer_bytes.is_multiple_of(period) || mutation.breaks(20));
    if !(1..=2).contains(&params.channels) || !divides || period > params.buffer_bytes {
        return S_BAD_MSG;
    }
    if !offered(FORMATS, params.format) || !offered(RATES, params.rate) || params.features & !FEATURES != 0 {
        return S_NOT_SUPP;
    }
    stream.params = Some(params);
    stream.state = State::Set;
    S_OK
}

fn element(inner: &mut Inner, request: &[u8], room: usize, mutation: Mutation) -> Vec<u8> {
    let id = word(request, 4);
    let Some(value) = inner.values.get_mut(id as usize).filter(|_| request.len() >= 8) else {
        return words(&[S_BAD_MSG]);
    };
    match word(request, 0) {
        code::CTL_READ => {
            let mut out = words(&[S_OK, *value]);
            out.resize(4 + 512, 0);
            out
        }
        code::CTL_WRITE => {
            let mask = if mutation.breaks(17) { 8 } else { 1 };
            if *value != word(request, 8) {
                *value = word(request, 8);
                inner.events.push((code::EVT_CTL_NOTIFY, id | mask << 16));
            }
            words(&[S_OK])
        }
        code::CTL_TLV_READ if id == 0 && mutation.breaks(16) && room < 4 + 16 => words(&[S_BAD_MSG]),
        code::CTL_TLV_READ if id == 0 => [words(&[S_OK]), words(&TLV)].concat(),
        _ => words(&[S_NOT_SUPP]),
    }
}
