//! Many lives of a stream: nothing is lost, nothing is left over.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{RXQ, S_NOT_SUPP, S_OK, TXQ, code};
use system_tests::frontend::{Options as Wanted, SoundFrontend};
use system_tests::harness::{Options, Sut};

fn hasty() -> Options {
    Options {
        haste: 20,
        ..Options::one()
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Resident memory, KiB.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

#[test]
fn ten_thousand_times_open_start_drop_close_leave_nothing_behind() {
    let sut = Sut::start("cycles", hasty()).unwrap();
    let mut fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
    let info = fe.pcm_info().unwrap()[0].clone();
    let pcm = Pcm::open(&mut fe, TXQ, 0, info.params(5, 480, 4)).unwrap();
    let mut at_start = (0, 0);
    for cycle in 0..10_000 {
        if cycle == 1000 {
            at_start = (descriptors(), resident());
        }
        pcm.prepare(&mut fe).unwrap();
        pcm.fill(&mut fe).unwrap();
        pcm.start(&mut fe).unwrap();
        pcm.stop(&mut fe).unwrap();
        pcm.release(&mut fe).unwrap();
        let back = fe.completions(TXQ, 0);
        assert_eq!((back.len(), fe.queues[TXQ].in_flight()), (4, 0), "cycle {cycle}");
        assert!(back.iter().all(|done| done.status == S_OK), "cycle {cycle}");
        if cycle % 500 == 0 {
            sut.forget(0);
        }
    }
    assert_eq!(descriptors(), at_start.0);
    assert!(
        resident() < at_start.1 + 8192,
        "{} KiB grew to {} KiB",
        at_start.1,
        resident()
    );
}

#[test]
fn two_hundred_connections_leave_no_descriptor_behind() {
    let sut = Sut::start("connections", hasty()).unwrap();
    let cycle = || {
        let mut fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
        let info = fe.pcm_info().unwrap()[0].clone();
        let pcm = Pcm::open(&mut fe, TXQ, 0, info.params(5, 480, 4)).unwrap();
        pcm.fill(&mut fe).unwrap();
        pcm.start(&mut fe).unwrap();
    };
    let closed = |count: usize| sut.wait(0, |seen| seen.closed.len() == count);
    cycle();
    assert!(closed(1));
    let settled = || {
        // The memory is given up once the engine has stopped the rings.
        let block = sut.block(0);
        while block.region_count.load(Ordering::Acquire) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20));
        descriptors()
    };
    let before = settled();
    for n in 0..200 {
        cycle();
        assert!(closed(n + 2));
    }
    assert_eq!(settled(), before);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Request(u32),
    Post(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    Set,
    Prepared,
    Running,
    Stopped,
    Released,
}

/// The life cycle once more, in other words than the device's.
fn model(state: State, request: u32) -> Option<State> {
    use State::{Idle, Prepared, Released, Running, Set, Stopped};
    match request {
        code::SET_PARAMS if state != Running && state != Stopped => Some(Set),
        code::PREPARE if matches!(state, Set | Prepared | Released) => Some(Prepared),
        code::START if matches!(state, Prepared | Stopped) => Some(Running),
        code::STOP if state == Running => Some(Stopped),
        code::RELEASE if matches!(state, Prepared | Stopped) => Some(Released),
        _ if state == Idle => None,
        _ => None,
    }
}

fn step() -> impl Strategy<Value = (u32, Step)> {
    let request = prop::sample::select(vec![
        code::SET_PARAMS,
        code::PREPARE,
        code::PREPARE,
        code::START,
        code::START,
        code::STOP,
        code::RELEASE,
    ]);
    let step = prop_oneof![4 => request.prop_map(Step::Request), 1 => (1usize..4).prop_map(Step::Post)];
    (0u32..2, step)
}

fn walk(fe: &mut SoundFrontend, steps: &[(u32, Step)]) -> Result<(), TestCaseError> {
    let infos = fe.pcm_info().unwrap();
    let mut states = [State::Idle; 2];
    let mut posted = [0usize; 2];
    let queues = [TXQ, RXQ];
    for &(stream, step) in steps {
        let (at, queue) = (stream as usize, queues[stream as usize]);
        let params = infos[at].params(5, 480, 4);
        match step {
            Step::Post(count) => {
                for slot in fe
                    .slots(queue, stream, params.period_bytes, count.min(8 - posted[at].min(8)))
                    .unwrap()
                {
                    fe.post(slot).unwrap();
                    posted[at] += 1;
                }
                fe.kick(queue);
            }
            Step::Request(request) => {
                let status = if request == code::SET_PARAMS {
                    fe.set_params(stream, &params).unwrap()
                } else {
                    fe.stream(request, stream).unwrap()
                };
                let next = model(states[at], request);
                let wanted = if next.is_some() { S_OK } else { S_NOT_SUPP };
                prop_assert_eq!(status, wanted, "request {:#x} in {:?}", request, states[at]);
                states[at] = next.unwrap_or(states[at]);
                posted[at] -= fe.completions(queue, stream).len();
                if status == S_OK && matches!(request, code::RELEASE | code::SET_PARAMS) {
                    prop_assert_eq!(posted[at], 0, "messages left after {:#x}", request);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn random_control_sequences_are_answered_as_the_life_cycle_says() {
    let sut = Sut::start("random", hasty()).unwrap();
    let steps = AtomicU32::new(0);
    let config = ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(walked in prop::collection::vec(step(), 1..80))| {
        let mut fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
        walk(&mut fe, &walked)?;
        steps.fetch_add(walked.len() as u32, Ordering::AcqRel);
    });
    assert!(steps.load(Ordering::Acquire) > 1000);
}

#[test]
fn every_offered_format_and_rate_passes_byte_for_byte() {
    let sut = Sut::start(
        "formats",
        Options {
            haste: 10,
            ..Options::one()
        },
    )
    .unwrap();
    let mut fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
    let info = fe.pcm_info().unwrap()[0].clone();
    let (mut played, mut seed) = (0, 1u32);
    for format in 3..=20u8 {
        for (rate, channels) in (0..14u8).map(|rate| (rate, 1 + rate % 2)) {
            let mut params = info.params(format, 960, 4);
            (params.rate, params.channels) = (rate, channels);
            params.period_bytes = params.hz().div_ceil(100) * params.frame_bytes();
            params.buffer_bytes = 4 * params.period_bytes;
            let pcm = Pcm::open(&mut fe, TXQ, 0, params).unwrap();
            let bytes = 9 * params.period_bytes as usize;
            let data: Vec<u8> = (0..bytes)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            sut.forget(0);
            let stats = pcm.play(&mut fe, &data).unwrap();
            assert_eq!(
                (stats.completions, stats.errors, stats.lost),
                (9, 0, 0),
                "format {format} rate {rate}"
            );
            assert!(
                sut.seen(0).pulled[0] == data,
                "format {format} rate {rate} channels {channels}"
            );
            played += 1;
        }
        // Slots are never given back.
        fe.disconnect();
        fe = SoundFrontend::connect(sut.socket(0), Wanted::default()).unwrap();
    }
    assert_eq!(played, 18 * 14);
}
