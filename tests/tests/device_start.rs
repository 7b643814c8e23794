//! In which order START is told to those who wait for it.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};

use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{CONTROLQ, RXQ, TXQ, code, words};
use system_tests::frontend::{FrontendError, Options as Wanted, SoundFrontend};
use system_tests::harness::{Options, Seen, Sut};
use system_tests::process::until;
use system_tests::rig::{PATIENCE, Take};
use vhost_sound::device::StreamChange;

fn started(seen: &Seen) -> bool {
    let starts = |(_, what): &(usize, StreamChange)| matches!(what, StreamChange::Started { .. });
    seen.changes.iter().any(starts)
}

#[test]
fn the_policy_hears_of_a_start_only_once_the_guest_has_its_answer() {
    let sut = Sut::start("start-order", Options::one()).unwrap();
    let mut fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
    let pcm = Pcm::open(&mut fe, TXQ, 0, Take::default().params()).unwrap();
    let stream = &sut.block(0).streams[0];
    let before = stream.start_gen.load(Acquire);

    // Without the engine no request is answered.
    let still = sut.hold_engine();
    let unanswered = fe.control_within(&words(&[code::START, pcm.stream]), 4, Duration::ZERO);
    assert!(matches!(unanswered, Err(FrontendError::Timeout { .. })));
    until("START is taken", PATIENCE, || {
        (stream.start_gen.load(Acquire) != before).then_some(())
    })
    .unwrap();
    // Whatever came of it has been said by the time that control does something else.
    sut.set_user_gain(0, 0, -10, false);
    until("control does something else", PATIENCE, || {
        (stream.user_gain.load(Acquire) as i32 == -10).then_some(())
    })
    .unwrap();
    assert!(!started(&sut.seen(0)));

    drop(still);
    assert!(sut.wait(0, started));
}

#[test]
fn a_request_that_comes_before_its_ring_runs_still_finds_the_messages_made_available_before_it() {
    let sut = Sut::start("start-early", Options::one()).unwrap();

    // The engine doesn't have the guest's memory yet, so no ring runs.
    let still = sut.hold_engine();
    let mut fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
    let params = fe.pcm_info().unwrap()[1].params(5, 480, 4);
    for slot in fe.slots(RXQ, 1, params.period_bytes, 2).unwrap() {
        fe.post(slot).unwrap();
    }
    fe.kick(RXQ);
    let unanswered = fe.control_within(&params.request(1), 4, Duration::ZERO);
    assert!(matches!(unanswered, Err(FrontendError::Timeout { .. })));
    // Whatever control makes of the request, it has made of it by the time that it does something else.
    sut.set_user_gain(0, 0, -10, false);
    until("control does something else", PATIENCE, || {
        (sut.block(0).streams[0].user_gain.load(Acquire) as i32 == -10).then_some(())
    })
    .unwrap();

    drop(still);
    let end = Instant::now() + PATIENCE;
    while fe.queues[CONTROLQ].pop_used().is_none() {
        assert!(Instant::now() < end, "SET_PARAMS is not answered");
    }
    assert_eq!(fe.completions(RXQ, 1).len(), 2);
}
