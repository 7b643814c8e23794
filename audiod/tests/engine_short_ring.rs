//! The shortest rings on the offline clock: a driver that answers each completion within the codec period is played
//! without a gap, for as long as one likes. What a real clock adds is only whether driver and engine are in time.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::sync::atomic::Ordering::Release;

use audiod::blocks::EngineBlock;
use audiod::codec::offline::Offline;
use audiod::codec::{self, Codec};
use audiod::engine::Engine;
use engine_common::{START, heard, noise, system};
use mix::{Faults, Format};
use vhost_sound::block::{DeviceBlock, TXQ, direction, stream_state};
use vhost_sound::ring::DeviceRings;
use vhost_sound::shared::Shared;
use vhost_sound::testing::{FakeDriver, FakeGuest, Shape, device_block, set_stream};

/// Bytes of a frame: S16, stereo.
const FRAME: usize = 4;
/// Messages of the ring.
const DEPTH: usize = 2;
/// VIRTIO_F_INDIRECT_DESC.
const INDIRECT_DESC: u64 = 1 << 28;

/// A stream's whole take, one message a codec period, sent as room comes back.
struct Player<'g> {
    driver: FakeDriver<'g>,
    take: Vec<u8>,
    message: usize,
    sent: usize,
}

impl<'g> Player<'g> {
    fn new(guest: &'g FakeGuest, block: &DeviceBlock, frames: usize, periods: usize) -> Self {
        let driver = FakeDriver::new(guest, TXQ, 64);
        driver.set_up(block);
        // Never 0, which is what a gap sounds like.
        let samples: Vec<f32> = noise(7, 2 * frames * periods)
            .iter()
            .map(|x| x.abs().mul_add(0.4, 0.1))
            .collect();
        let mut take = vec![0; frames * periods * FRAME];
        Format::S16.encode(&samples, 1, &mut take);
        Self {
            driver,
            take,
            message: frames * FRAME,
            sent: 0,
        }
    }

    /// Takes back what was played and fills the ring again, as a driver does on its interrupt.
    fn answer(&mut self) {
        for done in self.driver.collect() {
            assert_eq!(done.status, 0x8000, "VIRTIO_SND_S_OK");
        }
        while self.driver.in_flight() < DEPTH && self.sent < self.take.len() {
            let message = &self.take[self.sent..self.sent + self.message];
            self.driver.send(0, message, &Shape::linux()).unwrap();
            self.sent += self.message;
        }
    }
}

/// Plays `periods` on a ring of two messages of a codec period; `late`: turns that the driver misses.
/// What the codec was given from the first sounding frame on, and the take, as samples.
fn play(frames: usize, periods: usize, late: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let guest = FakeGuest::new(16 << 20);
    let message = (frames * FRAME) as u32;
    let device = device_block(&[direction::PLAYBACK], DEPTH as u32 * message, message);
    device.streams[0].start_gen.store(START, Release);
    device.ring_features.store(INDIRECT_DESC, Release);
    let mut player = Player::new(&guest, &device, frames, periods);
    let mut system = system(1, false);
    system.codecs[0].period = frames as u32;
    let block: Shared<EngineBlock> = Shared::private().unwrap();
    block.gains.publish(&[heard(1.0)]);
    let rings = [(0, DeviceRings::new(&device))].into();
    let codec = Offline::new(codec::Shape::of(&system.codecs[0]), (periods + 100) * frames);
    let (mut engine, mut handle) = Engine::new(&system, 0, &block, rings, codec, None);
    handle.set_memory(0, guest.announce(&device));
    set_stream(&device, 0, stream_state::RUNNING);
    for period in 0..periods + 8 {
        if !late.contains(&period) {
            player.answer();
        }
        engine.run_period();
    }

    let decoded = |format: Format, bytes: &[u8], samples: usize| {
        let mut out = vec![0.0; samples];
        format.decode(bytes, 1, &mut out, &mut Faults::default());
        out
    };
    let played = engine.codec().played();
    let played = decoded(engine.codec().shape().format, played, played.len() / 4);
    let start = played.iter().position(|sample| *sample != 0.0).unwrap();
    let take = decoded(Format::S16, &player.take, player.take.len() / 2);
    (played[start..].to_vec(), take)
}

#[test]
fn a_minute_on_2_x_16_frames_has_no_gap_at_a_codec_period_of_16() {
    let (played, take) = play(16, 180_000, &[]);

    assert_eq!(played[..take.len()], *take);
}

#[test]
fn a_minute_on_2_x_48_frames_has_no_gap_at_a_codec_period_of_48() {
    let (played, take) = play(48, 60_000, &[]);

    assert_eq!(played[..take.len()], *take);
}

#[test]
fn a_driver_that_misses_one_turn_is_bridged_by_its_second_message() {
    let (played, take) = play(16, 100, &[50]);

    assert_eq!(played[..take.len()], *take);
}

#[test]
fn a_driver_that_misses_two_turns_has_a_gap_of_one_period_and_loses_nothing() {
    let (played, take) = play(16, 100, &[50, 51]);

    let gap: Vec<usize> = (0..played.len().min(take.len()))
        .filter(|n| played[*n] == 0.0)
        .collect();
    assert_eq!(gap.len(), 2 * 16);
    let (from, to) = (gap[0], gap[0] + gap.len());
    assert_eq!(gap[gap.len() - 1], to - 1);
    assert_eq!(played[..from], take[..from]);
    assert_eq!(played[to..to + take.len() - from], take[from..]);
}
