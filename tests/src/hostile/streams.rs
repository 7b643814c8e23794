//! PCM messages that no driver sends.

use super::{Case, Rig, case};
use crate::frontend::FrontendError;
use crate::frontend::proto::{RXQ, TXQ, words};
use crate::frontend::vring::Seg;

const WILD: u64 = 0x7fff_0000_0000;

/// Posts one message of 64 bytes for `stream` to `queue`.
fn message(r: &mut Rig, queue: usize, stream: u32) -> Result<(), FrontendError> {
    let slot = r.fe.slots(queue, stream, 64, 1)?[0];
    r.fe.post(slot)?;
    r.kick(queue);
    Ok(())
}

/// Posts a chain on a running tx ring: `build` gets the address of the stream's header with 4 KiB behind it.
fn running(r: &mut Rig, build: impl FnOnce(u64) -> Vec<Seg>) -> Result<(), FrontendError> {
    let pcm = r.running()?;
    let mut bytes = words(&[pcm.stream]);
    bytes.resize(4096, 0);
    let at = r.buffer(&bytes)?;
    r.chain(TXQ, &build(at));
    Ok(())
}

/// As `running`, on a recording rx ring.
fn recording(r: &mut Rig, build: impl FnOnce(u64) -> Vec<Seg>) -> Result<(), FrontendError> {
    let pcm = r.recording()?;
    let mut bytes = words(&[pcm.stream]);
    bytes.resize(4096, 0);
    let at = r.buffer(&bytes)?;
    r.chain(RXQ, &build(at));
    Ok(())
}

/// The cases.
pub const CASES: &[Case] = &[
    case("TX with stream id 99", |r| message(r, TXQ, 99)),
    case("TX with stream id 2^32 - 1", |r| message(r, TXQ, u32::MAX)),
    case("TX on the input stream", |r| {
        let stream = r.input()?.0;
        message(r, TXQ, stream)
    }),
    case("RX on the output stream", |r| {
        let stream = r.output()?.0;
        message(r, RXQ, stream)
    }),
    case("TX before SET_PARAMS", |r| {
        let stream = r.output()?.0;
        message(r, TXQ, stream)
    }),
    case("TX after RELEASE", |r| {
        let pcm = r.prepared()?;
        pcm.release(&mut r.fe)?;
        message(r, TXQ, pcm.stream)
    }),
    case("TX while stopped", |r| {
        let pcm = r.running()?;
        pcm.stop(&mut r.fe)?;
        message(r, TXQ, pcm.stream)
    }),
    case("2-byte TX header", |r| {
        running(r, |at| vec![Seg::ro(at, 2), Seg::wo(at + 128, 8)])
    }),
    case("TX header split over four descriptors", |r| {
        running(r, |at| {
            let mut segs: Vec<_> = (0..4).map(|i| Seg::ro(at + i, 1)).collect();
            segs.extend([Seg::ro(at + 64, 64), Seg::wo(at + 128, 8)]);
            segs
        })
    }),
    case("TX buffer outside of memory", |r| {
        running(r, |at| vec![Seg::ro(at, 4), Seg::ro(WILD, 9600), Seg::wo(at + 128, 8)])
    }),
    case("TX header outside of memory", |r| {
        running(r, |at| vec![Seg::ro(WILD, 4), Seg::wo(at + 128, 8)])
    }),
    case("TX with no status", |r| {
        running(r, |at| vec![Seg::ro(at, 4), Seg::ro(at + 64, 64)])
    }),
    case("TX with a 4-byte status", |r| {
        running(r, |at| vec![Seg::ro(at, 4), Seg::ro(at + 64, 64), Seg::wo(at + 128, 4)])
    }),
    case("TX with its status outside of memory", |r| {
        running(r, |at| vec![Seg::ro(at, 4), Seg::ro(at + 64, 64), Seg::wo(WILD, 8)])
    }),
    case("TX with only a status", |r| running(r, |at| vec![Seg::wo(at, 8)])),
    case("TX of 4 GiB", |r| {
        running(r, |at| {
            vec![Seg::ro(at, 4), Seg::ro(at + 64, u32::MAX), Seg::wo(at + 128, 8)]
        })
    }),
    case("TX whose lengths add up to more than 4 GiB", |r| {
        running(r, |at| {
            let mut segs = vec![Seg::ro(at, 4)];
            segs.extend((0..4).map(|_| Seg::ro(at + 64, 0x7fff_ffff)));
            segs.push(Seg::wo(at + 128, 8));
            segs
        })
    }),
    case("TX without samples", |r| {
        running(r, |at| vec![Seg::ro(at, 4), Seg::wo(at + 128, 8)])
    }),
    case("TX of 3 bytes", |r| {
        running(r, |at| vec![Seg::ro(at, 4), Seg::ro(at + 64, 3), Seg::wo(at + 128, 8)])
    }),
    case("TX of more than its period", |r| {
        let pcm = r.running()?;
        let slot = r.fe.slots(TXQ, pcm.stream, 3 * pcm.params.period_bytes, 1)?[0];
        r.fe.post(slot)?;
        r.kick(TXQ);
        Ok(())
    }),
    case("TX of 400 one-byte descriptors", |r| {
        running(r, |at| {
            let mut segs = vec![Seg::ro(at, 4)];
            segs.extend((0..400).map(|i| Seg::ro(at + 64 + i, 1)));
            segs.push(Seg::wo(at + 1024, 8));
            segs
        })
    }),
    case("TX whose payload is the ring itself", |r| {
        let ring = r.fe.queues[TXQ].avail;
        running(r, |at| vec![Seg::ro(at, 4), Seg::ro(ring, 128), Seg::wo(at + 128, 8)])
    }),
    case("TX whose status is the used ring", |r| {
        let ring = r.fe.queues[TXQ].used;
        running(r, |at| vec![Seg::ro(at, 4), Seg::ro(at + 64, 64), Seg::wo(ring, 8)])
    }),
    case("RX status of 4 bytes", |r| {
        recording(r, |at| vec![Seg::ro(at, 4), Seg::wo(at + 64, 4)])
    }),
    case("RX of 1 byte", |r| {
        recording(r, |at| vec![Seg::ro(at, 4), Seg::wo(at + 64, 1), Seg::wo(at + 128, 8)])
    }),
    case("RX smaller than its period (CVE-2024-7730)", |r| {
        recording(r, |at| vec![Seg::ro(at, 4), Seg::wo(at + 64, 32), Seg::wo(at + 128, 8)])
    }),
    case("RX without writable part", |r| {
        recording(r, |at| vec![Seg::ro(at, 4), Seg::ro(at + 64, 64)])
    }),
    case("RX outside of memory", |r| {
        recording(r, |at| vec![Seg::ro(at, 4), Seg::wo(WILD, 9600), Seg::wo(at + 128, 8)])
    }),
    case("RX of 4 GiB", |r| {
        recording(r, |at| {
            vec![Seg::ro(at, 4), Seg::wo(at + 64, u32::MAX), Seg::wo(at + 128, 8)]
        })
    }),
];
