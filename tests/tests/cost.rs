//! Row 8 on the shipped daemon: what a running stream costs, counted by the kernel from outside.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::TXQ;
use system_tests::frontend::{Options, SoundFrontend};
use system_tests::process::{self, SystemCalls};
use system_tests::rig::{Car, PATIENCE, Player, Rig, Take};

/// The engine's real-time thread.
fn codec_thread(rig: &Rig) -> (u32, u32) {
    let engine = rig.process("engine", None).unwrap();
    let thread = process::threads(engine)
        .into_iter()
        .find(|thread| process::thread_name(engine, *thread).starts_with("codec"));
    (engine, thread.expect("a thread named codec-N"))
}

/// Wake-ups and, where the kernel counts them for us, system calls of the real-time thread, a codec period.
fn a_period_costs(guests: usize) -> (f64, Option<f64>) {
    let car = Car {
        guests,
        mixed: true,
        ..Car::default()
    };
    let rig = Rig::start("cost", car).unwrap();
    let players: Vec<_> = (0..guests)
        .map(|guest| {
            let take = Take {
                seconds: 3.0,
                headroom: 4,
                ..Take::default()
            };
            Player::start(&rig.socket(guest), take).unwrap()
        })
        .collect();
    let (engine, thread) = codec_thread(&rig);
    let calls = SystemCalls::count_threads(&[thread]);
    let look = || {
        (
            process::sleeps(engine, thread).unwrap(),
            calls.as_ref().ok().and_then(|c| c.read().ok()),
        )
    };
    let (began, before) = (Instant::now(), look());
    std::thread::sleep(Duration::from_secs(2));
    let (periods, after) = (began.elapsed().as_secs_f64() * 1000.0, look());
    for player in players {
        let (_, stats) = player.finish().unwrap();
        assert_eq!((stats.completions, stats.errors), (300, 0), "{stats:?}");
    }
    let per_period = |count: u64| count as f64 / periods;
    (
        per_period(after.0 - before.0),
        before.1.zip(after.1).map(|(before, after)| per_period(after - before)),
    )
}

#[test]
fn the_engine_wakes_once_a_period_and_calls_the_system_once_more_a_notified_queue() {
    for guests in [1, 4] {
        let (wakes, calls) = a_period_costs(guests);
        println!("{guests} streams: {wakes:.3} wake-ups, {calls:?} system calls a codec period");
        assert!(wakes < 1.05, "{guests} streams: {wakes} wake-ups a period");
        // One to sleep; one a queue in the one period of ten in which its message of 10 ms completes.
        let most = 1.0 + guests as f64 * 0.1;
        assert!(
            calls.is_none_or(|calls| calls < most * 1.05),
            "{guests} streams: {calls:?} calls a period"
        );
    }
}

#[test]
fn a_running_stream_is_never_kicked_and_gets_at_most_one_call_a_period() {
    let rig = Rig::start("kicks", Car::default()).unwrap();
    let mut fe = SoundFrontend::connect(&rig.socket(0), Options::default()).unwrap();
    let take = Take {
        seconds: 2.0,
        ..Take::default()
    };
    let pcm = Pcm::open(&mut fe, TXQ, 0, take.params()).unwrap();
    pcm.fill(&mut fe).unwrap();
    let before = fe.queues[TXQ].kicks;
    pcm.start(&mut fe).unwrap();
    let (end, mut completions) = (Instant::now() + PATIENCE, 0);
    while completions < 200 && Instant::now() < end {
        for completion in fe.wait_completions(TXQ, 0, 1, Duration::from_millis(200)) {
            completions += 1;
            fe.post(completion.slot).unwrap();
        }
        fe.kick(TXQ);
    }
    let (kicks, calls) = (fe.queues[TXQ].kicks - before, fe.calls(TXQ));
    pcm.stop(&mut fe).unwrap();
    pcm.release(&mut fe).unwrap();

    assert!(completions >= 200);
    assert_eq!(kicks, 0, "kicks asked for by a device that looks by itself");
    assert!(calls <= completions, "{calls} calls for {completions} messages");
}
