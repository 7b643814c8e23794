//! What a hostile or broken guest can do to its own rings: nothing that lasts, nothing to others.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering::{Acquire, Release};

use proptest::prelude::*;
use vhost_sound::block::{DeviceBlock, RXQ, TXQ, direction, fault, ring_state, stream_state};
use vhost_sound::memory::GuestMemory;
use vhost_sound::ring::{COPY_BUDGET, DeviceRings, MAX_CHAIN, SORT_BUDGET};
use vhost_sound::shared::Shared;
use vhost_sound::testing::{
    EVENT_IDX, FakeDriver, FakeGuest, GPA, INDIRECT_DESC, SLOT, Shape, command, device_block, release_stream,
    set_stream,
};

const IO_ERR: u32 = 0x8003;
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// Scratch memory of the tests: the last slot of the upper half.
const DATA: u64 = GPA + (16 << 20) - SLOT;

fn device() -> Shared<DeviceBlock> {
    let block = device_block(
        &[direction::PLAYBACK, direction::PLAYBACK, direction::CAPTURE],
        768,
        192,
    );
    block.ring_features.store(INDIRECT_DESC | EVENT_IDX, Release);
    block
}

fn engine<'b>(block: &'b DeviceBlock, guest: &FakeGuest, drivers: &[&FakeDriver<'_>]) -> DeviceRings<'b> {
    let mut rings = DeviceRings::new(block);
    rings.set_memory(guest.announce(block));
    drivers.iter().for_each(|driver| driver.set_up(block));
    (0..3).for_each(|stream| set_stream(block, stream, stream_state::RUNNING));
    rings.begin_period();
    rings.end_period();
    rings
}

fn period(rings: &mut DeviceRings<'_>) {
    rings.begin_period();
    for stream in 0..2 {
        rings.pull(stream, &mut [0; 192], 0);
    }
    rings.push(2, &[7; 192], 0);
    rings.end_period();
}

/// Each used element as (head, length).
fn used(guest: &FakeGuest, driver: &FakeDriver<'_>) -> Vec<(u32, u32)> {
    let word = |at| u32::from_le_bytes(guest.read(at, 4).try_into().unwrap());
    let element = |n: u16| driver.used_ring() + 4 + 8 * u64::from(n);
    (0..driver.used_idx())
        .map(|n| (word(element(n)), word(element(n) + 4)))
        .collect()
}

/// Lays out direct descriptors 0.. and makes head 0 available; returns the used elements, the status word and the fault of
/// stream 0 (tx) or the queue.
fn one_chain(chain: &[(u64, u32, u16, u16)], stream: u32) -> (Vec<(u32, u32)>, u32, u32) {
    let (guest, block) = (FakeGuest::new(16 << 20), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx]);
    guest.write(DATA, &stream.to_le_bytes());
    for (index, &(gpa, len, flags, next)) in chain.iter().enumerate() {
        tx.descriptor(tx.desc(), index as u16, (gpa, len, flags), next);
    }
    tx.make_available(0);
    (0..3).for_each(|_| period(&mut rings));
    let status = u32::from_le_bytes(guest.read(DATA + 0x1000, 4).try_into().unwrap());
    let told = block.streams[0]
        .fault
        .load(Acquire)
        .max(block.queues[TXQ].fault.load(Acquire));
    assert_eq!(block.queues[TXQ].actual.load(Acquire), ring_state::RUNNING);
    let sent = tx.send(1, &[3; 192], &Shape::linux());
    assert!(sent.is_some());
    period(&mut rings);
    assert_eq!(block.streams[1].bytes.load(Acquire), 192, "the other stream plays on");
    (used(&guest, &tx)[..1].to_vec(), status, told)
}

const STATUS_AT: u64 = DATA + 0x1000;

/// Name, descriptors (address, length, flags, next), stream; then what is expected: used length, status, fault.
type Malformed<'a> = (&'a str, &'a [(u64, u32, u16, u16)], u32, u32, u32, u32);

#[test]
fn malformed_messages_are_returned_with_an_error_where_their_status_can_be_found() {
    let outside = GPA + (1 << 40);
    let cases: &[Malformed] = &[
        (
            "payload outside",
            &[(DATA, 4, NEXT, 1), (outside, 64, NEXT, 2), (STATUS_AT, 8, WRITE, 0)],
            0,
            8,
            IO_ERR,
            fault::OUTSIDE_MEMORY,
        ),
        (
            "4 GiB long",
            &[(DATA, 4, NEXT, 1), (DATA, u32::MAX, NEXT, 2), (STATUS_AT, 8, WRITE, 0)],
            0,
            8,
            IO_ERR,
            fault::OUTSIDE_MEMORY,
        ),
        (
            "past the end of addresses",
            &[
                (DATA, 4, NEXT, 1),
                (u64::MAX - 3, 64, NEXT, 2),
                (STATUS_AT, 8, WRITE, 0),
            ],
            0,
            8,
            IO_ERR,
            fault::OUTSIDE_MEMORY,
        ),
        (
            "unknown stream",
            &[(DATA, 68, NEXT, 1), (STATUS_AT, 8, WRITE, 0)],
            99,
            8,
            IO_ERR,
            fault::HEADER,
        ),
        (
            "stream of the other direction",
            &[(DATA, 68, NEXT, 1), (STATUS_AT, 8, WRITE, 0)],
            2,
            8,
            IO_ERR,
            fault::HEADER,
        ),
        (
            "two-byte header",
            &[(DATA, 2, NEXT, 1), (STATUS_AT, 8, WRITE, 0)],
            0,
            8,
            IO_ERR,
            fault::HEADER,
        ),
        (
            "no payload",
            &[(DATA, 4, NEXT, 1), (STATUS_AT, 8, WRITE, 0)],
            0,
            8,
            IO_ERR,
            fault::EMPTY,
        ),
        ("no status", &[(DATA, 68, 0, 0)], 0, 0, 0, fault::STATUS),
        (
            "four-byte status",
            &[(DATA, 68, NEXT, 1), (STATUS_AT, 4, WRITE, 0)],
            0,
            0,
            0,
            fault::STATUS,
        ),
        (
            "status outside",
            &[(DATA, 68, NEXT, 1), (outside, 8, WRITE, 0)],
            0,
            0,
            0,
            fault::OUTSIDE_MEMORY,
        ),
        ("loop", &[(DATA, 68, NEXT, 0)], 0, 0, 0, fault::CHAIN),
        ("next out of range", &[(DATA, 68, NEXT, 64)], 0, 0, 0, fault::INDEX),
        (
            "readable after writable",
            &[(DATA, 68, NEXT, 1), (STATUS_AT, 8, WRITE | NEXT, 2), (DATA, 4, 0, 0)],
            0,
            8,
            IO_ERR,
            fault::CHAIN,
        ),
        (
            "indirect and next",
            &[(DATA, 32, INDIRECT | NEXT, 1), (STATUS_AT, 8, WRITE, 0)],
            0,
            0,
            0,
            fault::CHAIN,
        ),
        ("indirect of 7 bytes", &[(DATA, 7, INDIRECT, 0)], 0, 0, 0, fault::CHAIN),
        (
            "indirect table outside",
            &[(outside, 32, INDIRECT, 0)],
            0,
            0,
            0,
            fault::OUTSIDE_MEMORY,
        ),
    ];
    for &(name, chain, stream, len, status, code) in cases {
        assert_eq!(one_chain(chain, stream), (vec![(0, len)], status, code), "{name}");
    }
}

#[test]
fn indices_that_cannot_be_trusted_break_that_ring_alone() {
    type Attack = fn(&mut FakeDriver<'_>);
    let cases: [(&str, Attack, u32); 3] = [
        ("head 60000", |tx| tx.make_available(60_000), fault::INDEX),
        (
            "avail jump",
            |tx| tx.set_avail_idx(tx.avail_idx().wrapping_add(65)),
            fault::AVAIL_JUMP,
        ),
        (
            "a head in flight again",
            |tx| {
                let head = tx.send(0, &[1; 1000], &Shape::linux()).unwrap();
                tx.make_available(head);
            },
            fault::DUPLICATE_HEAD,
        ),
    ];
    for (name, attack, code) in cases {
        let (guest, block) = (FakeGuest::new(16 << 20), device());
        let (mut tx, mut rx) = (FakeDriver::new(&guest, TXQ, 64), FakeDriver::new(&guest, RXQ, 64));
        let mut rings = engine(&block, &guest, &[&tx, &rx]);
        attack(&mut tx);
        rx.offer(2, 192, &Shape::linux()).unwrap();

        period(&mut rings);

        assert_eq!(block.queues[TXQ].actual.load(Acquire), ring_state::BROKEN, "{name}");
        assert_eq!(block.queues[TXQ].fault.load(Acquire), code, "{name}");
        assert_eq!(rx.collect().len(), 1, "{name}: rx goes on");
        release_stream(&block, 0);
        period(&mut rings);
        assert_eq!(
            block.ack_seq.load(Acquire),
            block.cmd_seq.load(Acquire),
            "{name}: RELEASE is still answered"
        );

        tx.wish(&block, ring_state::STOPPED);
        period(&mut rings);
        let mut again = FakeDriver::new(&guest, TXQ, 64);
        block.queues[TXQ].last_avail.store(0, Release);
        again.set_up(&block);
        again.send(1, &[1; 192], &Shape::linux()).unwrap();
        period(&mut rings);
        assert_eq!(again.collect().len(), 1, "{name}: a reset ring works again");
    }
}

#[test]
fn memory_that_vanishes_under_a_pull_stops_that_guest_only() {
    let (guest, block) = (FakeGuest::new(16 << 20), device());
    let (other_guest, other_block) = (FakeGuest::new(16 << 20), device());
    let (mut tx, mut other_tx) = (FakeDriver::new(&guest, TXQ, 64), FakeDriver::new(&other_guest, TXQ, 64));
    let mut rings = engine(&block, &guest, &[&tx]);
    let mut other = engine(&other_block, &other_guest, &[&other_tx]);
    tx.send(0, &[1; 192], &Shape::linux()).unwrap();
    other_tx.send(0, &[1; 192], &Shape::linux()).unwrap();
    rings.begin_period();
    other.begin_period();

    guest.truncate();

    assert_eq!(rings.pull(0, &mut [0; 192], 0), 0);
    assert_eq!(block.queues[TXQ].fault.load(Acquire), fault::MEMORY_GONE);
    rings.end_period();
    period(&mut rings);
    assert_eq!(block.queues[TXQ].actual.load(Acquire), ring_state::BROKEN);
    assert_eq!(other.pull(0, &mut [0; 192], 0), 192);
}

#[test]
fn a_ring_outside_memory_breaks_and_the_wish_is_answered() {
    let (guest, block) = (FakeGuest::new(16 << 20), device());
    let tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = DeviceRings::new(&block);
    guest.announce(&block);
    rings.set_memory(GuestMemory::empty(block.mem_gen.load(Acquire)));
    tx.set_up(&block);
    rings.begin_period();
    assert_eq!(block.queues[TXQ].fault.load(Acquire), fault::OUTSIDE_MEMORY);
    assert_eq!(block.ack_seq.load(Acquire), block.cmd_seq.load(Acquire));
}

#[test]
fn bytes_cut_into_single_byte_descriptors_cost_no_more_than_the_budget() {
    let (guest, block) = (FakeGuest::new(16 << 20), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx]);
    let crumbs = Shape {
        cuts: vec![1],
        apart: false,
        indirect: true,
    };
    while tx.send(0, &[1; 900], &crumbs).is_some() {}
    for _ in 0..40 {
        let before = rings.descriptors_read();
        rings.begin_period();
        rings.pull(0, &mut [0; 4000], 0);
        rings.end_period();
        let cost = rings.descriptors_read() - before;
        assert!(
            cost <= u64::from(SORT_BUDGET + COPY_BUDGET) + 2 * u64::from(MAX_CHAIN),
            "{cost} descriptors"
        );
    }
    assert!(block.streams[0].bytes.load(Acquire) > 8000, "and it plays on");
}

/// Any change a guest can make to its rings between two of our looks.
#[derive(Clone, Debug)]
enum Attack {
    Descriptor {
        index: u16,
        at: u32,
        len: u32,
        flags: u16,
        next: u16,
    },
    Avail {
        head: u16,
    },
    AvailIdx {
        index: u16,
    },
    Noise {
        at: u32,
        bytes: Vec<u8>,
    },
    Honest {
        stream: u32,
        len: usize,
    },
    Period,
    Release {
        stream: usize,
    },
    Restart,
}

fn attacks() -> impl Strategy<Value = Vec<Attack>> {
    let lens = prop_oneof![
        Just(0u32),
        1u32..64,
        Just(4u32),
        Just(8u32),
        Just(16 * 40),
        any::<u32>()
    ];
    let one = prop_oneof![
        4 => (0u16..66, 0u32..0x2_0000, lens, 0u16..8, 0u16..66)
            .prop_map(|(index, at, len, flags, next)| Attack::Descriptor { index, at, len, flags, next }),
        4 => (0u16..66).prop_map(|head| Attack::Avail { head }),
        1 => any::<u16>().prop_map(|index| Attack::AvailIdx { index }),
        2 => (0u32..0x2_0000, prop::collection::vec(any::<u8>(), 1..32)).prop_map(|(at, bytes)| Attack::Noise { at, bytes }),
        3 => (0u32..3, 1usize..300).prop_map(|(stream, len)| Attack::Honest { stream, len }),
        5 => Just(Attack::Period),
        1 => (0usize..3).prop_map(|stream| Attack::Release { stream }),
        1 => Just(Attack::Restart),
    ];
    prop::collection::vec(one, 1..100)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_ring_contents_make_a_period_panic_or_cost_more_than_its_bound(attacks in attacks(), queue in prop_oneof![Just(TXQ), Just(RXQ)]) {
        let (guest, block) = (FakeGuest::new(16 << 20), device());
        let mut driver = FakeDriver::new(&guest, queue, 64);
        let base = driver.desc();
        let mut rings = engine(&block, &guest, &[&driver]);
        for attack in attacks {
            match attack {
                Attack::Descriptor { index, at, len, flags, next } => {
                    driver.descriptor(base, index, (base + u64::from(at), len, flags), next);
                }
                Attack::Avail { head } => driver.make_available(head),
                Attack::AvailIdx { index } => driver.set_avail_idx(index),
                Attack::Noise { at, bytes } => guest.write(base + u64::from(at), &bytes),
                Attack::Honest { stream, len } => {
                    let _ = driver.send(stream, &vec![1; len], &Shape::linux());
                }
                Attack::Period => {
                    let before = rings.descriptors_read();
                    period(&mut rings);
                    let cost = rings.descriptors_read() - before;
                    let bound = SORT_BUDGET + 3 * COPY_BUDGET + 8 * u32::from(MAX_CHAIN);
                    prop_assert!(cost <= u64::from(bound), "{} descriptors", cost);
                }
                Attack::Release { stream } => {
                    release_stream(&block, stream);
                    (0..8).for_each(|_| period(&mut rings));
                    prop_assert_eq!(block.ack_seq.load(Acquire), block.cmd_seq.load(Acquire));
                    set_stream(&block, stream, stream_state::RUNNING);
                }
                Attack::Restart => {
                    driver.wish(&block, ring_state::STOPPED);
                    period(&mut rings);
                    driver.wish(&block, ring_state::RUNNING);
                    command(&block);
                    period(&mut rings);
                }
            }
        }
    }
}
