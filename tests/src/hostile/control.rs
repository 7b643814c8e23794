//! Control messages that no driver sends.

use super::{Case, case};
use crate::frontend::proto::{CONTROLQ, code, words};
use crate::frontend::vring::Seg;

fn with_tail(head: &[u32], tail: usize) -> Vec<u8> {
    let mut bytes = words(head);
    bytes.resize(bytes.len() + tail, 0xEE);
    bytes
}

/// The cases.
pub const CASES: &[Case] = &[
    case("unknown control code", |r| {
        r.ask(&words(&[0x7777, 0]));
        Ok(())
    }),
    case("CTL_INFO", |r| {
        r.ask_with(&words(&[code::CTL_INFO, 0, 1, 96]), 100);
        Ok(())
    }),
    case("2-byte request", |r| {
        r.ask(&[1, 1]);
        Ok(())
    }),
    case("request without readable part", |r| {
        r.ask(&[]);
        Ok(())
    }),
    case("request without reply buffer", |r| {
        let at = r.buffer(&words(&[code::PREPARE, 0]))?;
        r.chain(CONTROLQ, &[Seg::ro(at, 8)]);
        Ok(())
    }),
    case("reply buffer of 1 byte", |r| {
        r.ask_with(&words(&[code::PREPARE, 0]), 1);
        Ok(())
    }),
    case("reply before request in the chain", |r| {
        let at = r.buffer(&words(&[code::PREPARE, 0]))?;
        r.chain(CONTROLQ, &[Seg::wo(at + 32, 4), Seg::ro(at, 8)]);
        Ok(())
    }),
    case("START before PREPARE", |r| {
        r.ask(&words(&[code::START, 0]));
        Ok(())
    }),
    case("START twice", |r| {
        let pcm = r.running()?;
        r.ask(&words(&[code::START, pcm.stream]));
        Ok(())
    }),
    case("PREPARE while running", |r| {
        let pcm = r.running()?;
        r.ask(&words(&[code::PREPARE, pcm.stream]));
        Ok(())
    }),
    case("RELEASE while running", |r| {
        let pcm = r.running()?;
        r.ask(&words(&[code::RELEASE, pcm.stream]));
        Ok(())
    }),
    case("SET_PARAMS while running", |r| {
        let pcm = r.running()?;
        r.ask(&pcm.params.request(pcm.stream));
        Ok(())
    }),
    case("STOP before START", |r| {
        let pcm = r.prepared()?;
        r.ask(&words(&[code::STOP, pcm.stream]));
        Ok(())
    }),
    case("stream id 0xffffffff", |r| {
        r.ask(&words(&[code::PREPARE, u32::MAX]));
        Ok(())
    }),
    case("format 69", |r| r.params(|p| p.format = 69)),
    case("rate 71", |r| r.params(|p| p.rate = 71)),
    case("format and rate 255", |r| r.params(|p| (p.format, p.rate) = (255, 255))),
    case("channels 0", |r| r.params(|p| p.channels = 0)),
    case("channels 255", |r| r.params(|p| p.channels = 255)),
    case("one channel too many", |r| {
        let most = r.output()?.1.channels_max;
        r.params(|p| p.channels = most.saturating_add(1))
    }),
    case("period 0", |r| r.params(|p| p.period_bytes = 0)),
    case("buffer 0 and period 0", |r| {
        r.params(|p| (p.buffer_bytes, p.period_bytes) = (0, 0))
    }),
    case("period not dividing the buffer", |r| r.params(|p| p.buffer_bytes += 4)),
    case("period of half a frame", |r| {
        r.params(|p| (p.buffer_bytes, p.period_bytes) = (4802, 2401))
    }),
    case("buffer of 4 GiB", |r| {
        r.params(|p| (p.buffer_bytes, p.period_bytes) = (0xffff_fffc, 0x7fff_fffe))
    }),
    case("features 0xff03", |r| r.params(|p| p.features = 0xff03)),
    case("PCM_INFO of 2^32 - 1 items (CVE-2026-3196)", |r| {
        r.ask_with(&words(&[code::PCM_INFO, 0, u32::MAX, 32]), 4096);
        Ok(())
    }),
    case("PCM_INFO whose size times count wraps (CVE-2026-3196)", |r| {
        r.ask_with(&words(&[code::PCM_INFO, 0, 0x0800_0001, 32]), 4096);
        Ok(())
    }),
    case("PCM_INFO whose start plus count wraps", |r| {
        r.ask_with(&words(&[code::PCM_INFO, u32::MAX, 2, 32]), 128);
        Ok(())
    }),
    case("PCM_INFO of size 0", |r| {
        r.ask_with(&words(&[code::PCM_INFO, 0, 2, 0]), 128);
        Ok(())
    }),
    case("PCM_INFO of size 2^32 - 1", |r| {
        r.ask_with(&words(&[code::PCM_INFO, 0, 2, u32::MAX]), 128);
        Ok(())
    }),
    case("JACK_REMAP of a jack that isn't there", |r| {
        r.ask(&words(&[code::JACK_REMAP, 77, 1, 1]));
        Ok(())
    }),
    case("CHMAP_INFO beyond the last", |r| {
        r.ask_with(&words(&[code::CHMAP_INFO, 1000, 1000, 24]), 4096);
        Ok(())
    }),
    case("CTL_WRITE of an element that isn't there", |r| {
        r.ask(&with_tail(&[code::CTL_WRITE, 0xffff], 512));
        Ok(())
    }),
    case("CTL_WRITE cut short", |r| {
        r.ask(&words(&[code::CTL_WRITE, 0]));
        Ok(())
    }),
    case("CTL_WRITE of wild values", |r| {
        r.ask(&with_tail(&[code::CTL_WRITE, 0], 512));
        Ok(())
    }),
    case("CTL_TLV_COMMAND of 1000 bytes", |r| {
        r.ask(&with_tail(&[code::CTL_TLV_COMMAND, 0], 1000));
        Ok(())
    }),
];
