//! Samples and buffers at the edge of what is legal: the device has to go on playing.

use std::time::Duration;

use super::{Case, Rig, case};
use crate::frontend::FrontendError;
use crate::frontend::pcm::Pcm;
use crate::frontend::proto::TXQ;

const FLOAT: u8 = 19;
const FLOAT64: u8 = 20;

fn play(r: &mut Rig, format: u8, pattern: &[u8]) -> Result<(), FrontendError> {
    let (stream, info) = r.output()?;
    if info.formats >> format & 1 == 0 {
        return Err(FrontendError::Refused {
            what: format!("format {format} is not offered"),
            status: 0,
        });
    }
    let pcm = Pcm::open(&mut r.fe, TXQ, stream, info.params(format, 2400, 4))?;
    for slot in &pcm.slots {
        let bytes: Vec<u8> = pattern.iter().copied().cycle().take(slot.len as usize).collect();
        r.fe.ram.write(slot.data, &bytes);
    }
    pcm.fill(&mut r.fe)?;
    pcm.start(&mut r.fe)?;
    r.fe.wait_completions(TXQ, stream, 4, Duration::from_millis(500));
    Ok(())
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The cases.
pub const CASES: &[Case] = &[
    case("samples NaN, both signs", |r| {
        play(r, FLOAT, &floats(&[f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001)]))
    }),
    case("samples infinite", |r| {
        play(r, FLOAT, &floats(&[f32::INFINITY, f32::NEG_INFINITY]))
    }),
    case("samples denormal", |r| {
        play(r, FLOAT, &floats(&[1e-42, -1e-45, f32::MIN_POSITIVE / 2.0]))
    }),
    case("samples of 3e38", |r| play(r, FLOAT, &floats(&[f32::MAX, f32::MIN]))),
    case("float64 samples beyond float", |r| {
        play(r, FLOAT64, &[f64::MAX.to_le_bytes(), f64::NAN.to_le_bytes()].concat())
    }),
    case("buffer of 10 s in one message, a descriptor a page", |r| {
        let (stream, info) = r.output()?;
        let mut params = info.params(5, 480_000, 2);
        // 240 descriptors of a page each: 5 s of S16 stereo.
        params.period_bytes = 240 * 4096;
        params.buffer_bytes = 2 * params.period_bytes;
        let pcm = Pcm::open(&mut r.fe, TXQ, stream, params)?;
        pcm.fill(&mut r.fe)?;
        pcm.start(&mut r.fe)?;
        r.fe.wait_completions(TXQ, stream, 1, Duration::from_millis(300));
        pcm.stop(&mut r.fe)?;
        pcm.release(&mut r.fe)
    }),
    case("a ring full of messages of one frame", |r| {
        let pcm = r.prepared()?;
        let slots = r.fe.slots(TXQ, pcm.stream, pcm.params.frame_bytes(), 60)?;
        for slot in slots {
            r.fe.post(slot)?;
        }
        r.fe.kick(TXQ);
        pcm.start(&mut r.fe)?;
        r.fe.wait_completions(TXQ, pcm.stream, 60, Duration::from_millis(500));
        Ok(())
    }),
    case("200 cycles of prepare, fill, start, stop, release", |r| {
        let pcm = r.prepared()?;
        for _ in 0..200 {
            pcm.prepare(&mut r.fe)?;
            pcm.fill(&mut r.fe)?;
            pcm.start(&mut r.fe)?;
            pcm.stop(&mut r.fe)?;
            pcm.release(&mut r.fe)?;
            r.fe.wait_completions(TXQ, pcm.stream, pcm.slots.len(), Duration::from_millis(200));
        }
        Ok(())
    }),
];
