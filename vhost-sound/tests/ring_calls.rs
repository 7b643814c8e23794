//! Who looks, who calls, who kicks: what the engine's half promises a driver about notifications, and one that shows nothing.

#![allow(clippy::unwrap_used)]

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Release};

use vhost_sound::block::{TXQ, ring_state, stream_state};
use vhost_sound::memory::EventFd;
use vhost_sound::testing::{EVENT_IDX, FakeDriver, FakeGuest, INDIRECT_DESC, Shape};

mod ring_rig;
use ring_rig::{GUEST_LEN, device, engine, period};

fn call_fd() -> (EventFd, EventFd) {
    // SAFETY: no preconditions; the fresh descriptor is ours.
    let fd = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, 0)) };
    let ours = EventFd::take(fd).unwrap();
    let theirs = EventFd::take(ours.as_fd().try_clone_to_owned().unwrap()).unwrap();
    (ours, theirs)
}

#[test]
fn no_full_lap_completes_unseen_and_a_look_lets_the_last_message_go() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    for _ in 0..4 {
        tx.send(0, &[1; 192], &Shape::linux()).unwrap();
    }
    rings.begin_period();
    assert_eq!(rings.pull(0, &mut [0; 768], 0), 768);
    rings.end_period();
    period(&mut rings);
    assert_eq!(tx.used_idx(), 3);
    assert_eq!(block.streams[0].laps_held.load(Acquire), 1);

    tx.collect();
    period(&mut rings);

    assert_eq!(tx.used_idx(), 4);
}

#[test]
fn a_driver_that_shows_nothing_but_queues_again_is_never_held_up() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    tx.shows = false;
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    for _ in 0..4 {
        tx.send(0, &[1; 192], &Shape::linux()).unwrap();
    }
    for _ in 0..100 {
        rings.begin_period();
        assert_eq!(rings.pull(0, &mut [0; 192], 0), 192);
        rings.end_period();
        for _ in tx.collect() {
            tx.send(0, &[1; 192], &Shape::linux()).unwrap();
        }
    }
    assert_eq!(block.streams[0].laps_held.load(Acquire), 0);
}

#[test]
fn draining_ends_within_a_buffer_time_on_a_driver_that_shows_nothing() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    tx.shows = false;
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    for _ in 0..4 {
        tx.send(0, &[1; 192], &Shape::linux()).unwrap();
    }
    let mut returned = 0;
    for _ in 0..10 {
        rings.begin_period();
        rings.pull(0, &mut [0; 192], 0);
        rings.end_period();
        returned += tx.collect().len();
    }
    assert_eq!(returned, 4);
}

#[test]
fn a_used_event_that_never_moves_is_no_sight() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    tx.shows = false;
    guest.write16(tx.avail_ring() + 4 + 2 * 64, 2);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    for _ in 0..4 {
        tx.send(0, &[1; 192], &Shape::linux()).unwrap();
    }
    for _ in 0..4 {
        rings.begin_period();
        rings.pull(0, &mut [0; 192], 0);
        rings.end_period();
    }
    assert_eq!(tx.used_idx(), 3);
}

#[test]
fn one_call_a_period_however_many_messages_completed_and_none_without() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    let (ours, theirs) = call_fd();
    rings.set_call(TXQ, Some(ours.into()));
    tx.collect();
    for _ in 0..3 {
        tx.send(0, &[1; 96], &Shape::linux()).unwrap();
    }
    rings.begin_period();
    rings.pull(0, &mut [0; 288], 0);
    rings.end_period();
    assert_eq!(theirs.drain().unwrap(), 1);
    period(&mut rings);
    assert_eq!(theirs.drain().unwrap(), 0);
}

#[test]
fn a_driver_that_wants_no_calls_gets_none() {
    for features in [INDIRECT_DESC, INDIRECT_DESC | EVENT_IDX] {
        let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
        block.ring_features.store(features, Release);
        let mut tx = FakeDriver::new(&guest, TXQ, 64);
        let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
        let (ours, theirs) = call_fd();
        rings.set_call(TXQ, Some(ours.into()));
        let mut calls = Vec::new();
        for _ in 0..3 {
            tx.send(0, &[1; 96], &Shape::linux()).unwrap();
            rings.begin_period();
            rings.pull(0, &mut [0; 96], 0);
            rings.end_period();
            calls.push(theirs.drain().unwrap());
            tx.collect();
            // From now on: not before a thousand more (EVENT_IDX), or not at all.
            guest.write16(tx.avail_ring() + 4 + 2 * 64, 1000);
            guest.write16(tx.avail_ring(), 1);
        }
        assert_eq!(calls, [1, 0, 0], "features {features:#x}");
    }
}

#[test]
fn a_call_descriptor_that_comes_late_is_signalled_for_what_it_missed() {
    let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
    let mut tx = FakeDriver::new(&guest, TXQ, 64);
    let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
    tx.send(0, &[1; 96], &Shape::linux()).unwrap();
    rings.begin_period();
    rings.pull(0, &mut [0; 96], 0);
    rings.end_period();
    let (ours, theirs) = call_fd();
    rings.set_call(TXQ, Some(ours.into()));
    period(&mut rings);
    assert_eq!(theirs.drain().unwrap(), 1);
}

#[test]
fn a_running_ring_never_asks_for_a_kick_and_a_stopped_one_does() {
    for features in [INDIRECT_DESC, INDIRECT_DESC | EVENT_IDX] {
        let (guest, block) = (FakeGuest::new(GUEST_LEN), device());
        block.ring_features.store(features, Release);
        let event_idx = features & EVENT_IDX != 0;
        let mut tx = FakeDriver::new(&guest, TXQ, 64);
        let mut rings = engine(&block, &guest, &[&tx], stream_state::RUNNING);
        for _ in 0..70_000 {
            assert!(!tx.would_kick(event_idx), "at index {}", tx.avail_idx());
            tx.send(0, &[1; 4], &Shape::linux()).unwrap();
            rings.begin_period();
            rings.pull(0, &mut [0; 4], 0);
            rings.end_period();
            tx.collect();
        }
        tx.wish(&block, ring_state::STOPPED);
        period(&mut rings);
        assert!(tx.would_kick(event_idx));
    }
}
