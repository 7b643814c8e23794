//! What the engine's half promises a well-behaved driver about its messages.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering::{Acquire, Release};

use vhost_sound::block::{RXQ, TXQ, fault, ring_state, stream_state};
use vhost_sound::ring::DeviceRings;
use vhost_sound::testing::{FakeDriver, FakeGuest, Shape, command, release_stream, set_stream};
use vhost_sound::wire::pcm_feature::EVT_SHMEM_PERIODS;

mod ring_rig;
use ring_rig::{GUEST_LEN, device, engine, period};

const OK: u32 = 0x8000;
const IO_ERR: u32 = 0x8003;

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

fn shapes() -> Vec<Shape> {
    let shape = |cuts: &[u32], apart, indirect| Shape {
        cuts: cuts.to_vec(),
        apart,
        indirect,
    };
    vec![
        Shape::linux(),
        Shape::direct(),
        shape(&[1, 2, 3], true, true),
        shape(&[3], false, true),
        shape(&[7, 1], false, true),
        shape(&[100], false, false),
    ]
}

#[test]
fn a_message_is_pulled_byte_for_byte_whatever_its_descriptors() {
    for shape in shapes() {
        let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
        let mut tx = FakeDriver::new(&guest, TXQ, 64);
        let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
        let sent = bytes(1, 192);
        let head = tx.send(0, &sent, &shape).unwrap();

        rings.begin_period();
        assert_eq!(rings.readable(0), 192, "{shape:?}");
        let mut out = [0; 192];
        let pulled = rings.pull(0, &mut out[..100], 7) + rings.pull(0, &mut out[100..], 9);
        rings.end_period();

        assert_eq!((pulled, out.as_slice()), (192, sent.as_slice()), "{shape:?}");
        let back = tx.collect();
        assert_eq!(back.len(), 1);
        let back = &back[0];
        assert_eq!(
            (back.head, back.len, back.status, back.latency_bytes),
            (head, 8, OK, 9),
            "{shape:?}"
        );
    }
}

#[test]
fn recorded_bytes_fill_a_buffer_whatever_its_descriptors() {
    for shape in shapes() {
        let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
        let mut rx = FakeDriver::new(&guest, RXQ, 64);
        let mut rings = engine(&block, &guest, &[&rx], stream_state::RUNNING);
        rx.offer(2, 192, &shape).unwrap();
        let recorded = bytes(2, 192);

        rings.begin_period();
        assert_eq!(rings.writable(2), 192);
        assert_eq!(rings.push(2, &recorded[..50], 3), 50);
        assert_eq!(rings.push(2, &recorded[50..], 5), 142);
        rings.end_period();

        let back = rx.collect();
        assert_eq!(
            (back[0].len, back[0].status, back[0].latency_bytes),
            (200, OK, 5),
            "{shape:?}"
        );
        assert_eq!(back[0].payload, recorded, "{shape:?}");
    }
}

#[test]
fn a_message_of_240_pages_descriptors_and_more_is_one_message() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    let sent = bytes(3, 40_000);
    let shape = Shape {
        cuts: vec![100],
        apart: true,
        indirect: true,
    };
    tx.send(0, &sent, &shape).unwrap();

    let mut out = Vec::new();
    while out.len() < sent.len() {
        rings.begin_period();
        let mut part = [0; 1000];
        let got = rings.pull(0, &mut part, 0);
        assert_eq!(got, 1000);
        out.extend_from_slice(&part);
        rings.end_period();
    }

    assert_eq!(out, sent);
    assert_eq!(tx.collect().len(), 1);
}

#[test]
fn bytes_are_read_at_the_pull_not_when_queued() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    let head = tx.send(0, &[0; 192], &Shape::linux()).unwrap();
    period(&mut rings);
    let late = bytes(4, 192);
    tx.refill(head, &late);

    rings.begin_period();
    let mut out = [0; 192];
    rings.pull(0, &mut out, 0);

    assert_eq!(out.as_slice(), late);
}

#[test]
fn streams_of_one_ring_get_their_own_messages() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    for n in 0..4 {
        tx.send(n % 2, &[n as u8; 96], &Shape::linux()).unwrap();
    }

    rings.begin_period();
    let (mut first, mut second) = ([9; 192], [9; 192]);
    rings.pull(1, &mut second, 0);
    rings.pull(0, &mut first, 0);

    assert_eq!((first[0], first[191], second[0], second[191]), (0, 2, 1, 3));
}

#[test]
fn a_stream_that_takes_no_messages_returns_them_at_once_with_io_err() {
    for state in [stream_state::IDLE, stream_state::PARAMS, stream_state::RELEASED] {
        let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
        let mut tx = FakeDriver::new(&guest, TXQ, 64);
        let mut rings = engine(&block, &guest, &[&tx], state);
        tx.send(0, &[1; 192], &Shape::linux()).unwrap();

        period(&mut rings);

        let back = tx.collect();
        assert_eq!((back[0].status, back[0].len), (IO_ERR, 8));
        assert_eq!(block.streams[0].fault.load(Acquire), fault::STATE);
    }
}

#[test]
fn prepared_and_stopped_streams_keep_their_messages_and_play_nothing() {
    for state in [stream_state::PREPARED, stream_state::STOPPED] {
        let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
        let mut tx = FakeDriver::new(&guest, TXQ, 64);
        let mut rings = engine(&block, &guest, &[&tx], state);
        let sent = bytes(5, 192);
        tx.send(0, &sent, &Shape::linux()).unwrap();

        rings.begin_period();
        let mut out = [0; 192];
        assert_eq!((rings.readable(0), rings.pull(0, &mut out, 0)), (0, 0));
        rings.end_period();
        assert!(tx.collect().is_empty());

        set_stream(&block, 0, stream_state::RUNNING);
        rings.begin_period();
        assert_eq!(rings.pull(0, &mut out, 0), 192);
        assert_eq!(out.as_slice(), sent);
    }
}

#[test]
fn release_returns_everything_even_what_was_never_sorted_before_it_is_acknowledged() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rx = FakeDriver::new(&guest, RXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx, &rx], stream_state::RUNNING);
    tx.send(0, &[1; 192], &Shape::linux()).unwrap();
    tx.send(1, &[1; 192], &Shape::linux()).unwrap();
    rx.offer(2, 192, &Shape::linux()).unwrap();
    rx.offer(2, 192, &Shape::linux()).unwrap();
    rings.begin_period();
    rings.push(2, &[5; 60], 0);
    rings.end_period();
    tx.send(
        0,
        &[2; 192],
        &Shape {
            cuts: vec![1],
            apart: true,
            indirect: true,
        },
    )
    .unwrap();

    release_stream(&block, 0);
    release_stream(&block, 2);
    rings.begin_period();

    assert_eq!(block.ack_seq.load(Acquire), block.cmd_seq.load(Acquire));
    assert_eq!(
        block.streams[0].released_gen.load(Acquire),
        block.streams[0].release_gen.load(Acquire)
    );
    assert_eq!(tx.collect().len(), 2, "both of stream 0, none of stream 1");
    let recorded: Vec<_> = rx.collect().iter().map(|back| back.len).collect();
    assert_eq!(recorded, [68, 8]);
    assert_eq!(tx.in_flight(), 1);
}

#[test]
fn stopping_a_recording_returns_the_part_filled_buffer() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut rx = FakeDriver::new(&guest, RXQ, 64);
    let mut rings = engine(&block, &guest, &[&rx], stream_state::RUNNING);
    rx.offer(2, 192, &Shape::linux()).unwrap();
    rx.offer(2, 192, &Shape::linux()).unwrap();
    rings.begin_period();
    rings.push(2, &[5; 100], 0);
    rings.end_period();

    set_stream(&block, 2, stream_state::STOPPED);
    period(&mut rings);

    let back = rx.collect();
    assert_eq!((back.len(), back[0].len, back[0].status), (1, 108, OK));
}

#[test]
fn an_xrun_and_a_period_that_the_driver_waits_for_are_news_in_their_period_and_once() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    block.streams[1].features.store(EVT_SHMEM_PERIODS, Release);
    assert!(rings.take_news(), "what a predecessor counted");
    let mut out = [0; 96];
    let mut news = Vec::new();

    for (stream, fill) in [(0, true), (1, true), (0, false), (0, false), (0, true)] {
        if fill {
            tx.send(stream, &[1; 96], &Shape::linux()).unwrap();
        }
        rings.begin_period();
        rings.pull(stream as usize, &mut out, 0);
        rings.end_period();
        news.push(rings.take_news());
    }

    assert_eq!(news, [false, true, true, false, false]);
}

#[test]
fn a_ring_that_breaks_is_news_once() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    rings.take_news();
    tx.set_avail_idx(tx.avail_idx().wrapping_add(65));

    let news = [(); 2].map(|()| {
        period(&mut rings);
        rings.take_news()
    });

    assert_eq!(block.queues[TXQ].fault.load(Acquire), fault::AVAIL_JUMP);
    assert_eq!(news, [true, false]);
}

#[test]
fn starvation_is_one_xrun_until_a_pull_is_filled_again() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    let mut out = [0; 96];
    let mut xruns = Vec::new();
    for fill in [false, false, true, false] {
        if fill {
            tx.send(0, &[1; 96], &Shape::linux()).unwrap();
        }
        rings.begin_period();
        rings.pull(0, &mut out, 0);
        rings.end_period();
        xruns.push(block.streams[0].xruns.load(Acquire));
    }
    assert_eq!(xruns, [1, 1, 1, 2]);
}

#[test]
fn a_ring_stopped_and_started_alike_goes_on_with_its_messages() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    let sent = bytes(6, 192);
    tx.send(0, &sent, &Shape::linux()).unwrap();
    let mut out = [0; 192];
    rings.begin_period();
    rings.pull(0, &mut out[..48], 0);
    rings.end_period();

    tx.wish(&block, ring_state::STOPPED);
    period(&mut rings);
    assert_eq!(block.queues[TXQ].actual.load(Acquire), ring_state::STOPPED);
    assert_eq!(block.queues[TXQ].last_avail.load(Acquire), 1);
    assert_eq!(rings.pull(0, &mut [0; 4], 0), 0);
    tx.wish(&block, ring_state::RUNNING);
    rings.begin_period();
    assert_eq!(rings.pull(0, &mut out[48..], 0), 144);
    rings.end_period();

    assert_eq!(out.as_slice(), sent);
    assert_eq!(tx.collect().len(), 1);
}

#[test]
fn a_ring_started_otherwise_forgets_its_messages() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    tx.send(0, &[1; 192], &Shape::linux()).unwrap();
    period(&mut rings);
    tx.wish(&block, ring_state::STOPPED);
    period(&mut rings);

    let mut fresh = FakeDriver::new(&guest, TXQ, 64);
    block.queues[TXQ].last_avail.store(0, Release);
    fresh.set_up(&block);
    let sent = bytes(7, 192);
    fresh.send(0, &sent, &Shape::linux()).unwrap();
    rings.begin_period();
    let mut out = [0; 192];
    assert_eq!((rings.readable(0), rings.pull(0, &mut out, 0)), (192, 192));
    rings.end_period();

    assert_eq!(out.as_slice(), sent);
    assert_eq!(fresh.collect().len(), 1);
}

#[test]
fn a_wish_is_acknowledged_only_once_the_memory_it_needs_is_mapped() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = DeviceRings::new(&block);
    let memory = guest.announce(&block);
    tx.set_up(&block);
    command(&block);
    period(&mut rings);
    assert_ne!(block.ack_seq.load(Acquire), block.cmd_seq.load(Acquire));
    assert_eq!(rings.memory_wanted(), Some(1));

    rings.set_memory(memory);
    period(&mut rings);

    assert_eq!(block.ack_seq.load(Acquire), block.cmd_seq.load(Acquire));
    assert_eq!(block.queues[TXQ].actual.load(Acquire), ring_state::RUNNING);
}

/// The engine may be held up between the two, and the driver counts on the answer to a RELEASE or SET_PARAMS.
#[test]
fn messages_a_stream_does_not_take_are_back_before_the_request_after_them_is_acknowledged() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::PARAMS);
    tx.send(0, &bytes(1, 192), &Shape::linux()).unwrap();
    command(&block);

    rings.begin_period();

    assert_eq!(block.ack_seq.load(Acquire), block.cmd_seq.load(Acquire));
    let back = tx.collect();
    assert_eq!(back.iter().map(|message| message.status).collect::<Vec<_>>(), [IO_ERR]);
}
