//! The engine thread: rings served once a codec period by the clock, into memory instead of a codec.

use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use vhost_sound::block::direction;
use vhost_sound::memory::{Call, GuestMemory};
use vhost_sound::ring::{DeviceRings, StreamView};
use vhost_sound::wire::{RATES, sample_bytes};

use super::Common;

pub(super) enum Order {
    Memory(usize, GuestMemory),
    Call(usize, usize, Option<Call>),
    Replace,
}

/// Most bytes kept of a stream.
const KEPT: usize = 16 << 20;

/// One stream's share of a period.
#[derive(Clone, Default)]
struct Flow {
    /// Frames due, times the codec's rate.
    due: u64,
    /// Next value to record.
    counter: u32,
    buffer: Vec<u8>,
}

pub(super) fn run(common: &Common, inbox: &Receiver<Order>, haste: u32) {
    let (frames, rate) = common
        .devices
        .first()
        .map_or((48, 48_000), |device| device.codec_period);
    let period = Duration::from_secs(1) * frames / rate / haste;
    let make = || {
        common
            .blocks
            .iter()
            .map(|block| DeviceRings::new(block))
            .collect::<Vec<_>>()
    };
    let mut rings = make();
    let mut flows: Vec<Vec<Flow>> = common
        .devices
        .iter()
        .map(|d| vec![Flow::default(); d.streams.len()])
        .collect();
    let mut acks = vec![0; rings.len()];
    let mut next = Instant::now();
    while !common.stop.load(Ordering::Acquire) {
        while let Ok(order) = inbox.try_recv() {
            match order {
                Order::Memory(guest, memory) => drop(rings[guest].set_memory(memory)),
                Order::Call(guest, queue, call) => drop(rings[guest].set_call(queue, call)),
                Order::Replace => rings = make(),
            }
        }
        let turn = common.turn.lock();
        for (guest, (rings, flows)) in rings.iter_mut().zip(&mut flows).enumerate() {
            rings.begin_period();
            for (stream, flow) in flows.iter_mut().enumerate() {
                let view = rings.state(stream);
                if view.running {
                    flow.due += u64::from(frames) * u64::from(RATES.get(view.rate as usize).copied().unwrap_or(0));
                    flow.serve(common, rings, (guest, stream), &view, u64::from(rate));
                }
            }
            rings.end_period();
            if rings.take_news() {
                common.news.store(true, Ordering::Release);
                let _full = common.wake.write(1);
            }
            let acknowledged = common.blocks[guest].ack_seq.load(Ordering::Acquire);
            if std::mem::replace(&mut acks[guest], acknowledged) != acknowledged {
                let _full = common.wake.write(1);
            }
        }
        drop(turn);
        next += period;
        match next.checked_duration_since(Instant::now()) {
            Some(left) => std::thread::sleep(left),
            // A machine that was busy for long is not made up for.
            None if next.elapsed() > period * 20 => next = Instant::now(),
            None => {}
        }
    }
}

impl Flow {
    fn serve(
        &mut self,
        common: &Common,
        rings: &mut DeviceRings<'_>,
        at: (usize, usize),
        view: &StreamView,
        rate: u64,
    ) {
        let frame = sample_bytes(view.format as u8).unwrap_or(1) * view.channels;
        let frames = self.due / rate;
        self.due %= rate;
        let bytes = frames as usize * frame as usize;
        self.buffer.resize(bytes, 0);
        if view.direction == direction::CAPTURE {
            for byte in self.buffer.chunks_mut(4) {
                byte.copy_from_slice(&self.counter.to_le_bytes()[..byte.len()]);
                self.counter = self.counter.wrapping_add(1);
            }
            rings.push(at.1, &self.buffer, 0);
            return;
        }
        let got = rings.pull(at.1, &mut self.buffer, bytes as u32);
        let pulled = &mut common.seen(at.0).pulled[at.1];
        let room = KEPT.saturating_sub(pulled.len());
        pulled.extend(&self.buffer[..got.min(room)]);
    }
}
