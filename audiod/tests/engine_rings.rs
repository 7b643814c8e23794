//! The engine on real rings: a driver's messages in fake guest memory, through to the codec.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::sync::atomic::Ordering::Release;

use audiod::blocks::EngineBlock;
use audiod::codec::offline::Offline;
use audiod::codec::{self, Codec};
use audiod::engine::{Engine, EngineHandle};
use engine_common::{PERIOD, heard, noise, system};
use mix::{Faults, Format};
use vhost_sound::block::{DeviceBlock, TXQ, direction, stream_state};
use vhost_sound::ring::DeviceRings;
use vhost_sound::shared::Shared;
use vhost_sound::testing::{FakeDriver, FakeGuest, Shape, device_block, set_stream};

/// VIRTIO_F_INDIRECT_DESC.
const INDIRECT_DESC: u64 = 1 << 28;
const MESSAGE: usize = 2 * PERIOD * 4;

struct Side<'g> {
    block: &'static DeviceBlock,
    driver: FakeDriver<'g>,
    payload: Vec<u8>,
    sent: usize,
    returned: usize,
}

impl<'g> Side<'g> {
    fn new(guest: &'g FakeGuest, seed: u64) -> Self {
        let block: &'static Shared<DeviceBlock> = Box::leak(Box::new(device_block(
            &[direction::PLAYBACK],
            4 * MESSAGE as u32,
            MESSAGE as u32,
        )));
        block.streams[0].start_gen.store(engine_common::START, Release);
        block.ring_features.store(INDIRECT_DESC, Release);
        let driver = FakeDriver::new(guest, TXQ, 64);
        driver.set_up(block);
        let samples: Vec<f32> = noise(seed, 10 * MESSAGE / 2).iter().map(|x| x * 0.49).collect();
        let mut payload = vec![0; 10 * MESSAGE];
        Format::S16.encode(&samples, 1, &mut payload);
        Self {
            block,
            driver,
            payload,
            sent: 0,
            returned: 0,
        }
    }

    /// Keeps four messages queued, as a player does.
    fn feed(&mut self) {
        self.returned += self
            .driver
            .collect()
            .iter()
            .inspect(|message| assert_eq!(message.status, 0x8000))
            .count();
        while self.driver.in_flight() < 4 && self.sent < self.payload.len() {
            self.driver
                .send(0, &self.payload[self.sent..self.sent + MESSAGE], &Shape::linux())
                .unwrap();
            self.sent += MESSAGE;
        }
    }

    fn samples(&self) -> Vec<f32> {
        let mut samples = vec![0.0; self.payload.len() / 2];
        Format::S16.decode(&self.payload, 1, &mut samples, &mut Faults::default());
        samples
    }
}

fn engine(sides: &[Side<'_>], guests: &[&FakeGuest]) -> (Engine<'static, DeviceRings<'static>, Offline>, EngineHandle) {
    let system = system(sides.len(), false);
    let block: &'static Shared<EngineBlock> = Box::leak(Box::new(Shared::private().unwrap()));
    block.gains.publish(&vec![heard(1.0); sides.len()]);
    let rings = sides
        .iter()
        .enumerate()
        .map(|(n, side)| (n, DeviceRings::new(side.block)))
        .collect();
    let codec = Offline::new(codec::Shape::of(&system.codecs[0]), 100 * PERIOD);
    let (engine, mut handle) = Engine::new(&system, 0, block, rings, codec, None);
    for (n, (side, guest)) in sides.iter().zip(guests).enumerate() {
        handle.set_memory(n, guest.announce(side.block));
    }
    (engine, handle)
}

fn played(engine: &Engine<'_, DeviceRings<'_>, Offline>) -> Vec<f32> {
    let bytes = engine.codec().played();
    let mut samples = vec![0.0; bytes.len() / 4];
    engine
        .codec()
        .shape()
        .format
        .decode(bytes, 1, &mut samples, &mut Faults::default());
    samples
}

/// From the first frame that sounds.
fn body(samples: &[f32]) -> &[f32] {
    let start = samples
        .chunks_exact(2)
        .position(|pair| pair[0] != 0.0 || pair[1] != 0.0)
        .unwrap_or(0);
    &samples[2 * start..]
}

#[test]
fn a_drivers_messages_reach_the_codec_bit_for_bit_and_all_come_back() {
    let guest = FakeGuest::new(16 << 20);
    let mut sides = [Side::new(&guest, 1)];
    let (mut engine, _handle) = engine(&sides, &[&guest]);
    set_stream(sides[0].block, 0, stream_state::RUNNING);

    for _ in 0..24 {
        sides[0].feed();
        engine.run_period();
    }
    sides[0].feed();

    let wanted = sides[0].samples();
    assert_eq!(body(&played(&engine))[..wanted.len()], *body(&wanted));
    assert_eq!(sides[0].returned, 10);
}

#[test]
fn two_guests_are_heard_as_their_integer_sum() {
    let guests = [FakeGuest::new(16 << 20), FakeGuest::new(16 << 20)];
    let mut sides = [Side::new(&guests[0], 1), Side::new(&guests[1], 2)];
    let (mut engine, _handle) = engine(&sides, &[&guests[0], &guests[1]]);
    sides
        .iter()
        .for_each(|side| set_stream(side.block, 0, stream_state::RUNNING));

    for _ in 0..24 {
        sides.iter_mut().for_each(Side::feed);
        engine.run_period();
    }

    let sum: Vec<f32> = sides[0]
        .samples()
        .iter()
        .zip(sides[1].samples())
        .map(|(a, b)| a + b)
        .collect();
    assert_eq!(body(&played(&engine))[..sum.len()], *body(&sum));
}
