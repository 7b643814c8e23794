//! A device of two playback streams and a capture stream whose engine's half is played by the test.

use std::sync::atomic::Ordering::{Acquire, Release};

use vhost_sound::block::{DeviceBlock, direction};
use vhost_sound::ring::DeviceRings;
use vhost_sound::shared::Shared;
use vhost_sound::testing::{EVENT_IDX, FakeDriver, FakeGuest, INDIRECT_DESC, device_block, set_stream};

pub const GUEST_LEN: u64 = 16 << 20;

/// Two playback streams (0, 1) and a capture stream (2); buffer 4 periods of 192 bytes.
pub fn device() -> Shared<DeviceBlock> {
    let block = device_block(
        &[direction::PLAYBACK, direction::PLAYBACK, direction::CAPTURE],
        768,
        192,
    );
    block.ring_features.store(INDIRECT_DESC | EVENT_IDX, Release);
    block
}

/// Engine with rings running and all three streams in `state`.
pub fn engine<'b>(
    block: &'b DeviceBlock,
    guest: &FakeGuest,
    drivers: &[&FakeDriver<'_>],
    state: u32,
) -> DeviceRings<'b> {
    let mut rings = DeviceRings::new(block);
    rings.set_memory(guest.announce(block));
    drivers.iter().for_each(|driver| driver.set_up(block));
    for stream in 0..3 {
        set_stream(block, stream, state);
    }
    period(&mut rings);
    assert_eq!(
        block.ack_seq.load(Acquire),
        block.cmd_seq.load(Acquire),
        "the engine acknowledged"
    );
    rings
}

pub fn period(rings: &mut DeviceRings<'_>) {
    rings.begin_period();
    rings.end_period();
}
