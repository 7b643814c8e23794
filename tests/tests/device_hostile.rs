//! Every hostile case against the device of `vhost-sound`, while a second guest on the same threads plays bit-exact.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{S_OK, TXQ};
use system_tests::frontend::{Options as Wanted, SoundFrontend};
use system_tests::harness::{Options, Sut, device};
use system_tests::hostile::{Outcome, cases, run_case};

/// S16 stereo, every frame another value.
fn frames(from: u32, count: u32) -> Vec<u8> {
    (from..from + count)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

/// Plays counted frames until told to stop; returns how many, all of them drained.
fn play_on(socket: &Path, stop: &AtomicBool) -> u32 {
    const PERIOD: u32 = 4800;
    let mut fe = SoundFrontend::connect(socket, Wanted::default()).unwrap();
    let info = fe.pcm_info().unwrap()[0].clone();
    let pcm = Pcm::open(&mut fe, TXQ, 0, info.params(5, PERIOD, 4)).unwrap();
    let mut played = 0;
    let mut free: VecDeque<_> = pcm.slots.iter().copied().collect();
    let mut waiting = 0;
    let mut feed = |fe: &mut SoundFrontend, free: &mut VecDeque<_>, waiting: &mut usize| {
        while let Some(slot) = free.pop_front() {
            let slot: system_tests::frontend::Slot = slot;
            fe.ram.write(slot.data, &frames(played, PERIOD));
            played += PERIOD;
            fe.post(slot).unwrap();
            *waiting += 1;
        }
        fe.kick(TXQ);
        played
    };
    feed(&mut fe, &mut free, &mut waiting);
    pcm.start(&mut fe).unwrap();
    let mut last = Instant::now();
    let mut total = 0;
    while waiting > 0 {
        let back = fe.wait_completions(TXQ, 0, 1, Duration::from_millis(300));
        assert!(
            !back.is_empty() || last.elapsed() < Duration::from_secs(3),
            "the second guest is not served any more"
        );
        for done in back {
            assert_eq!(done.status, S_OK);
            last = Instant::now();
            waiting -= 1;
            free.push_back(done.slot);
        }
        if !stop.load(Ordering::Acquire) {
            total = feed(&mut fe, &mut free, &mut waiting);
        }
    }
    pcm.stop(&mut fe).unwrap();
    pcm.release(&mut fe).unwrap();
    total
}

fn all_held(event_idx: bool) {
    let options = Options {
        devices: vec![device("hostile"), device("good")],
        ..Options::one()
    };
    let sut = Sut::start(&format!("hostile-{event_idx}"), options).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (socket, stopped) = (sut.socket(1).to_owned(), stop.clone());
    let second = std::thread::spawn(move || play_on(&socket, &stopped));
    let outcomes: Vec<_> = cases()
        .map(|case| (case.name, run_case(sut.socket(0), &case, event_idx)))
        .collect();
    stop.store(true, Ordering::Release);
    let played = second.join().unwrap();
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| !outcome.held()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let vacuous: Vec<_> = outcomes
        .iter()
        .filter(|(_, o)| matches!(o, Outcome::Vacuous(_)))
        .collect();
    assert!(vacuous.is_empty(), "{vacuous:#?}");
    let seen = sut.seen(1);
    let heard = &seen.pulled[0];
    let expected = frames(0, played);
    let same = heard.iter().zip(&expected).take_while(|(a, b)| a == b).count();
    assert_eq!(
        same,
        heard.len().min(expected.len()),
        "another byte was heard at {same}"
    );
    assert!(
        heard.len() >= expected.len().min(16 << 20),
        "{} of {} bytes were heard",
        heard.len(),
        expected.len()
    );
    println!(
        "{} cases; the second guest played {played} frames bit-exact",
        outcomes.len()
    );
}

#[test]
fn every_hostile_case_is_answered_or_contained_and_a_second_guest_hears_none_of_it() {
    all_held(true);
}

#[test]
fn every_hostile_case_is_answered_or_contained_without_event_idx() {
    all_held(false);
}
