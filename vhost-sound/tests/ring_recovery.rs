//! An engine killed before any one of its stores is replaced, and the driver notices nothing but time.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering::{Acquire, Release};

use proptest::prelude::*;
use vhost_sound::block::{DeviceBlock, RXQ, TXQ, direction, ring_state, stream_state};
use vhost_sound::ring::{DeviceRings, crash};
use vhost_sound::shared::Shared;
use vhost_sound::testing::{
    EVENT_IDX, FakeDriver, FakeGuest, INDIRECT_DESC, Shape, device_block, release_stream, set_stream,
};

const OK: u32 = 0x8000;

fn device(buffer_bytes: u32) -> Shared<DeviceBlock> {
    let directions = [direction::PLAYBACK, direction::PLAYBACK, direction::CAPTURE];
    let block = device_block(&directions, buffer_bytes, buffer_bytes / 4);
    block.ring_features.store(INDIRECT_DESC | EVENT_IDX, Release);
    block
}

fn take_over<'b>(block: &'b DeviceBlock, guest: &FakeGuest) -> DeviceRings<'b> {
    let mut rings = DeviceRings::new(block);
    rings.set_memory(guest.map(block));
    rings
}

/// One period: both playback streams pulled, one recorded.
fn period(rings: &mut DeviceRings<'_>, heard: &mut [Vec<u8>; 2], recorded: &mut u8) {
    rings.begin_period();
    for (stream, heard) in heard.iter_mut().enumerate() {
        let mut out = [0; 70];
        let got = rings.pull(stream, &mut out, 0);
        heard.extend_from_slice(&out[..got]);
    }
    let fill = [*recorded; 50];
    rings.push(2, &fill, 0);
    *recorded = recorded.wrapping_add(1);
    rings.end_period();
}

/// A run of `periods` with one kill before store `kill` of period `at`. Returns how the killed period ended.
fn run(at: usize, kill: u64, periods: usize, release_at: Option<usize>) -> crash::Outcome {
    let guest = FakeGuest::new(16 << 20);
    let block = device(4000);
    let mut tx = FakeDriver::new(&guest, TXQ, 32);
    let mut rx = FakeDriver::new(&guest, RXQ, 32);
    guest.announce(&block);
    tx.set_up(&block);
    rx.set_up(&block);
    (0..3).for_each(|stream| set_stream(&block, stream, stream_state::RUNNING));
    let split = Shape {
        cuts: vec![5, 3],
        apart: false,
        indirect: true,
    };
    let mut sent = [0u8; 2];
    let mut returned = 0;
    let mut queued = 0;
    let mut outcome = crash::Outcome::Finished;
    let mut heard = [Vec::new(), Vec::new()];
    let mut recorded = 0;
    let mut rings = Some(take_over(&block, &guest));
    for now in 0..periods {
        for (stream, sent) in sent.iter_mut().enumerate() {
            let shape = if now % 2 == 0 { Shape::linux() } else { split.clone() };
            if tx.send(stream as u32, &[*sent; 40], &shape).is_some() {
                *sent += 1;
                queued += 1;
            }
        }
        queued += usize::from(rx.offer(2, 30, &split).is_some());
        // A message for a stream that does not exist is refused.
        queued += usize::from(tx.send(9, &[0; 4], &split).is_some());
        if release_at == Some(now) {
            release_stream(&block, 0);
        }
        let mut engine = rings.take().unwrap();
        if now == at {
            outcome = crash::run(kill, || period(&mut engine, &mut heard, &mut recorded));
            drop(engine);
            engine = take_over(&block, &guest);
        } else {
            period(&mut engine, &mut heard, &mut recorded);
        }
        rings = Some(engine);
        returned += tx.collect().len() + rx.collect().len();
    }
    let mut engine = rings.take().unwrap();
    for stream in 0..3 {
        release_stream(&block, stream);
    }
    for _ in 0..3 {
        engine.begin_period();
        engine.end_period();
    }
    returned += tx.collect().len() + rx.collect().len();
    assert_eq!(block.ack_seq.load(Acquire), block.cmd_seq.load(Acquire));
    assert_eq!(
        block.queues[TXQ].actual.load(Acquire),
        ring_state::RUNNING,
        "tx broken: kill {kill} of {at}"
    );
    assert_eq!(
        block.queues[RXQ].actual.load(Acquire),
        ring_state::RUNNING,
        "rx broken: kill {kill} of {at}"
    );
    assert_eq!(
        (returned, tx.in_flight(), rx.in_flight()),
        (queued, 0, 0),
        "kill {kill} of period {at}"
    );
    // Bytes come in order and none twice, but those of the pull that was cut off.
    for heard in &heard {
        assert!(heard.is_sorted(), "kill {kill} of period {at}: {heard:?}");
    }
    outcome
}

#[test]
fn every_chain_comes_back_once_whichever_store_the_engine_was_killed_before() {
    for at in [0, 1, 3, 5] {
        let mut kill = 0;
        while run(at, kill, 8, None) == crash::Outcome::Killed {
            kill += 1;
        }
        assert!(
            kill > 60,
            "period {at} made only {kill} stores: the hook is not in place"
        );
    }
}

#[test]
fn release_is_complete_whichever_store_the_engine_was_killed_before() {
    let mut kill = 0;
    while run(4, kill, 7, Some(4)) == crash::Outcome::Killed {
        kill += 1;
    }
    assert!(kill > 30);
}

/// What the random driver does.
#[derive(Clone, Debug)]
enum Act {
    Send { stream: u32, len: usize, shape: Shape },
    Pull { stream: usize, len: usize },
    End,
    Collect,
    Kill { after: u64 },
}

fn shapes() -> impl Strategy<Value = Shape> {
    (prop::collection::vec(1u32..200, 1..4), any::<bool>(), any::<bool>()).prop_map(|(cuts, apart, indirect)| Shape {
        cuts,
        apart,
        indirect,
    })
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0u32..2, 1usize..600, shapes()).prop_map(|(stream, len, shape)| Act::Send { stream, len, shape }),
        4 => (0usize..2, 1usize..900).prop_map(|(stream, len)| Act::Pull { stream, len }),
        3 => Just(Act::End),
        2 => Just(Act::Collect),
        1 => (0u64..150).prop_map(|after| Act::Kill { after }),
    ];
    prop::collection::vec(act, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// A killed period is one that pulls nothing, so that the bytes heard can be told exactly.
    #[test]
    fn any_valid_driver_hears_its_bytes_in_order_and_gets_each_head_once(acts in acts()) {
        let guest = FakeGuest::new(16 << 20);
        let block = device(100_000);
        let mut tx = FakeDriver::new(&guest, TXQ, 64);
        guest.announce(&block);
        tx.set_up(&block);
        (0..2).for_each(|stream| set_stream(&block, stream, stream_state::RUNNING));
        let mut rings = take_over(&block, &guest);
        rings.begin_period();
        let mut sent = [Vec::new(), Vec::new()];
        let mut heard = [Vec::new(), Vec::new()];
        let (mut queued, mut returned, mut next) = (0, 0, 0u8);
        for act in acts {
            match act {
                Act::Send { stream, len, shape } => {
                    let payload: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                    if tx.send(stream, &payload, &shape).is_some() {
                        sent[stream as usize].extend_from_slice(&payload);
                        queued += 1;
                    }
                }
                Act::Pull { stream, len } => {
                    let mut out = vec![0; len];
                    let readable = rings.readable(stream);
                    let got = rings.pull(stream, &mut out, 0);
                    prop_assert!(got <= readable.min(len));
                    heard[stream].extend_from_slice(&out[..got]);
                }
                Act::End => { rings.end_period(); rings.begin_period(); }
                Act::Collect => for back in tx.collect() {
                    prop_assert_eq!((back.status, back.len), (OK, 8));
                    returned += 1;
                },
                Act::Kill { after } => {
                    let _ = crash::run(after, || { rings.end_period(); rings.begin_period(); });
                    rings = take_over(&block, &guest);
                    rings.begin_period();
                }
            }
        }
        for _ in 0..400 {
            for (stream, heard) in heard.iter_mut().enumerate() {
                let mut out = [0; 1000];
                let got = rings.pull(stream, &mut out, 0);
                heard.extend_from_slice(&out[..got]);
            }
            rings.end_period();
            returned += tx.collect().len();
            rings.begin_period();
        }
        prop_assert_eq!(heard, sent);
        prop_assert_eq!((returned, tx.in_flight()), (queued, 0));
    }
}
