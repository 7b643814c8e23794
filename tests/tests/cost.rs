//! Row 8 on the shipped daemon: what a running stream costs, counted by the kernel from outside.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::TXQ;
use system_tests::frontend::{Options, SoundFrontend};
use system_tests::process::{self, SystemCalls};
use system_tests::rig::{Car, PATIENCE, Player, Rig, Take};
use system_tests::traced;

/// The engine's real-time thread.
fn codec_thread(rig: &Rig) -> (u32, u32) {
    let engine = rig.process("engine", None).unwrap();
    let thread = process::threads(engine)
        .into_iter()
        .find(|thread| process::thread_name(engine, *thread).starts_with("codec"));
    (engine, thread.expect("a thread named codec-N"))
}

const WINDOW: Duration = Duration::from_millis(1200);

fn per_period(count: u64, began: Instant) -> f64 {
    count as f64 / (began.elapsed().as_secs_f64() * 1000.0)
}

/// Counted by the kernel, or else by a tracer.
fn calls_of(thread: u32) -> u64 {
    let why = match SystemCalls::count_threads(&[thread]) {
        Ok(calls) => {
            std::thread::sleep(WINDOW);
            return calls.read().unwrap();
        }
        Err(why) => why,
    };
    println!("the kernel counts no calls for us ({why}): traced");
    traced::system_calls(thread, WINDOW).expect("neither counts: run as a user who may trace the daemon")
}

/// Wake-ups and system calls of the real-time thread, a codec period.
fn a_period_costs(guests: usize) -> (f64, f64) {
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
    // One after the other: a tracer wakes the thread up for each of its stops.
    let (began, before) = (Instant::now(), process::sleeps(engine, thread).unwrap());
    std::thread::sleep(WINDOW);
    let wakes = per_period(process::sleeps(engine, thread).unwrap() - before, began);
    let began = Instant::now();
    let calls = per_period(calls_of(thread), began);
    for player in players {
        let (_, stats) = player.finish().unwrap();
        assert_eq!((stats.completions, stats.errors), (300, 0), "{stats:?}");
    }
    (wakes, calls)
}

#[test]
fn the_engine_wakes_once_a_period_and_calls_the_system_once_more_a_notified_queue() {
    for guests in [1, 4] {
        let (wakes, calls) = a_period_costs(guests);
        println!("{guests} streams: {wakes:.3} wake-ups, {calls:.3} system calls a codec period");
        assert!(wakes < 1.05, "{guests} streams: {wakes} wake-ups a period");
        // One to sleep; one a queue in the one period of ten in which its message of 10 ms completes.
        let most = 1.0 + guests as f64 * 0.1;
        assert!(calls < most * 1.05, "{guests} streams: {calls} calls a period");
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

/// What a steady stream costs the processes beside the engine: a look at the recorder each second, one at the hearts each 300 ms.
/// Ten a second would be polling; the rest is for the xruns that a busy machine makes, each of which wakes control.
#[test]
fn control_and_supervisor_sleep_while_a_stream_plays() {
    let rig = Rig::start("others", Car::default()).unwrap();
    let take = Take {
        seconds: 4.0,
        headroom: 8,
        ..Take::default()
    };
    let player = Player::start(&rig.socket(0), take).unwrap();
    let processes = [
        (rig.process("control", None).unwrap(), "control", 5.0),
        (rig.daemon().unwrap().pid(), "supervisor", 6.0),
    ];
    let slept = |pid: u32| -> u64 {
        let threads = process::threads(pid).into_iter();
        threads.map(|thread| process::sleeps(pid, thread).unwrap()).sum()
    };
    let (began, before) = (Instant::now(), processes.map(|(pid, ..)| slept(pid)));
    std::thread::sleep(2 * WINDOW);

    let after = processes.map(|(pid, ..)| slept(pid));

    let seconds = began.elapsed().as_secs_f64();
    for ((before, after), (_, role, most)) in before.into_iter().zip(after).zip(processes) {
        let wakes = (after - before) as f64 / seconds;
        println!("{role}: {wakes:.2} wake-ups a second");
        assert!(wakes <= most, "{role}: {wakes} wake-ups a second");
    }
    player.finish().unwrap();
}
