//! Rows 7, 9 and 10 with our front end on the shipped daemon: its processes are killed and stopped under play.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use system_tests::coded::compare;
use system_tests::frontend::pcm::{Pcm, Stats};
use system_tests::frontend::proto::{S_OK, TXQ};
use system_tests::frontend::{Options, SoundFrontend};
use system_tests::process;
use system_tests::rig::{Car, PATIENCE, Player, Rig, Take};
use system_tests::witness::held;

fn long(seed: u64, seconds: f64) -> Take {
    Take {
        seconds,
        seed,
        ..Take::default()
    }
}

/// Waits until the card has played a second more.
fn a_moment_later(rig: &Rig) {
    let now = rig.recorded(0).unwrap().len();
    process::until("a second is played", PATIENCE, || {
        rig.recorded(0).ok().filter(|bytes| bytes.len() >= now + 4 * 24_000)
    })
    .unwrap();
}

/// What was played but for gaps of exact silence: nothing foreign, nothing twice, to the end.
fn played_on_with_silence_in_between(sent: &[u8], stats: &Stats, recorded: &[u8]) {
    assert_eq!((stats.lost, stats.errors), (0, 0), "{stats:?}");
    let report = compare(sent, recorded, 4);
    let frames = sent.len() / 4;
    println!(
        "{} runs of {frames} frames; gaps of {} frames of silence, {} frames lost in them",
        report.runs.len(),
        report.inner_zeros,
        report.lost
    );
    assert_eq!(
        (
            report.foreign,
            report.repeated,
            report.missing_head,
            report.missing_tail
        ),
        (0, 0, 0, 0)
    );
    assert!(
        report.exact + report.lost == frames,
        "{} + {}",
        report.exact,
        report.lost
    );
}

fn killed_under_play(name: &str, roles: &[&str]) {
    let rig = Rig::start(name, Car::default()).unwrap();
    let player = Player::start(&rig.socket(0), long(1, 4.0)).unwrap();
    a_moment_later(&rig);

    let old: Vec<u32> = roles.iter().map(|role| rig.process(role, None).unwrap()).collect();
    for pid in &old {
        process::signal(*pid, libc::SIGKILL).unwrap();
    }
    for (role, pid) in roles.iter().zip(&old) {
        rig.process(role, Some(*pid)).unwrap();
    }

    let (sent, stats) = player.finish().unwrap();
    played_on_with_silence_in_between(&sent, &stats, &rig.settled(0).unwrap());
    let again = Player::start(&rig.socket(0), long(2, 0.5)).unwrap().finish().unwrap();
    assert_eq!((again.1.lost, again.1.errors), (0, 0), "the next stream: {:?}", again.1);
}

#[test]
fn a_killed_engine_returns_every_message_and_plays_on() {
    killed_under_play("engine", &["engine"]);
}

#[test]
fn a_killed_control_returns_every_message_and_plays_on() {
    killed_under_play("control", &["control"]);
}

#[test]
fn engine_and_control_killed_at_once_return_every_message_and_play_on() {
    killed_under_play("both", &["engine", "control"]);
}

#[test]
fn a_killed_control_changes_no_sample() {
    held(Car::calm().tolerance(), || -> Result<(), String> {
        let rig = Rig::start("calm", Car::calm()).unwrap();
        let player = Player::start(&rig.socket(0), long(3, 3.0)).unwrap();
        a_moment_later(&rig);
        rig.kill("control").unwrap();
        let (sent, stats) = player.finish().unwrap();
        let report = compare(&sent, &rig.settled(0).unwrap(), 4);
        report
            .is_exact()
            .then_some(())
            .ok_or_else(|| format!("{} runs; {stats:?}", report.runs.len()))
    })
    .unwrap();
}

#[test]
fn control_stopped_for_10_s_changes_no_sample() {
    held(Car::calm().tolerance(), || -> Result<(), String> {
        let rig = Rig::start("stopped", Car::calm()).unwrap();
        let player = Player::start(&rig.socket(0), long(4, 12.0)).unwrap();
        a_moment_later(&rig);
        let control = rig.process("control", None).unwrap();
        process::signal(control, libc::SIGSTOP).unwrap();
        process::until("control is stopped", PATIENCE, || {
            (process::state(control) == Some('T')).then_some(())
        })
        .unwrap();
        let end = player.began + Duration::from_secs(11);
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        process::signal(control, libc::SIGCONT).unwrap();
        let (sent, stats) = player.finish().unwrap();
        let report = compare(&sent, &rig.settled(0).unwrap(), 4);
        report
            .is_exact()
            .then_some(())
            .ok_or_else(|| format!("{} runs; {stats:?}", report.runs.len()))
    })
    .unwrap();
}

/// Stalls, floods and dies, again and again, until the players have ended; returns how often.
fn offend(socket: &std::path::Path, players: &[Player]) -> u32 {
    let mut offences = 0;
    while players.iter().any(|player| !player.is_finished()) {
        let mut fe = SoundFrontend::connect(socket, Options::default()).unwrap();
        let pcm = Pcm::open(&mut fe, TXQ, 0, long(9, 1.0).params()).unwrap();
        // Of zeros: what is heard is the others'.
        pcm.fill(&mut fe).unwrap();
        pcm.start(&mut fe).unwrap();
        match offences % 3 {
            0 => drop(fe.wait_completions(TXQ, 0, 8, Duration::from_millis(100))),
            1 => (0..2000).for_each(|_| fe.queues[TXQ].force_kick()),
            _ => fe.disconnect(),
        }
        offences += 1;
    }
    offences
}

#[test]
fn one_guests_death_changes_no_sample_of_the_others() {
    held(Car::calm().tolerance(), || -> Result<(), String> {
        let car = Car {
            guests: 4,
            ..Car::calm()
        };
        let rig = Rig::start("four", car).unwrap();
        let players: Vec<_> = (0..3)
            .map(|guest| Player::start(&rig.socket(guest), long(10 + guest as u64, 3.0)).unwrap())
            .collect();
        let offences = offend(&rig.socket(3), &players);
        for (guest, player) in players.into_iter().enumerate() {
            let (sent, stats) = player.finish().unwrap();
            let report = compare(&sent, &rig.settled(guest).unwrap(), 4);
            if !report.is_exact() {
                return Err(format!("guest {guest}: {} runs; {stats:?}", report.runs.len()));
            }
        }
        assert!(offences > 5, "{offences}");
        Ok(())
    })
    .unwrap();
}

/// Takes `sent` out of the sum, from the first sample that is left in it.
fn take_out(sum: &mut [i32], sent: &[i16]) {
    let first = sum.iter().position(|sample| *sample != 0).unwrap_or(0) / 2 * 2;
    for (sample, sent) in sum[first..].iter_mut().zip(sent) {
        *sample -= i32::from(*sent);
    }
}

fn words(bytes: &[u8]) -> Vec<i16> {
    bytes
        .chunks_exact(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect()
}

#[test]
fn mixed_the_file_is_the_integer_sum_of_three_guests_whatever_the_fourth_does() {
    held(Car::calm().tolerance(), || -> Result<(), String> {
        let car = Car {
            guests: 4,
            mixed: true,
            ..Car::calm()
        };
        let rig = Rig::start("sum", car).unwrap();
        let players: Vec<_> = (0..3)
            .map(|guest| {
                let take = Take {
                    headroom: 3,
                    ..long(20 + guest as u64, 4.0 - guest as f64 / 2.0)
                };
                let player = Player::start(&rig.socket(guest), take).unwrap();
                // One after the other, so that each begins where nothing else is left in the sum.
                a_moment_later(&rig);
                player
            })
            .collect();
        let offences = offend(&rig.socket(3), &players);
        let sent: Vec<_> = players
            .into_iter()
            .map(|player| words(&player.finish().unwrap().0))
            .collect();
        let mut sum: Vec<i32> = words(&rig.settled(0).unwrap()).into_iter().map(i32::from).collect();
        assert!(sum.iter().any(|sample| *sample != 0));
        sent.iter().for_each(|one| take_out(&mut sum, one));
        assert!(offences > 3, "{offences}");
        match sum.iter().filter(|sample| **sample != 0).count() {
            0 => Ok(()),
            left => Err(format!("{left} samples are not the sum")),
        }
    })
    .unwrap();
}

#[test]
fn the_supervisor_killed_too_a_front_end_reconnects_and_plays_on() {
    let mut rig = Rig::start("super", Car::default()).unwrap();
    let mut fe = SoundFrontend::connect(&rig.socket(0), Options::default()).unwrap();
    let take = long(5, 2.0);
    let pcm = Pcm::open(&mut fe, TXQ, 0, take.params()).unwrap();
    let sent = take.bytes();
    let mut periods = sent.chunks(take.params().period_bytes as usize);
    for slot in &pcm.slots {
        fe.ram.write(slot.data, periods.next().unwrap());
        fe.post(*slot).unwrap();
    }
    fe.kick(TXQ);
    pcm.start(&mut fe).unwrap();
    let mut back = fe.wait_completions(TXQ, 0, 2, PATIENCE);
    assert!(back.len() >= 2);

    rig.kill_daemon();
    rig.start_daemon().unwrap();
    // As a stock guest behind a front end that reconnects: the rings as they are, nothing on the control queue.
    fe.reconnect().unwrap();

    let mut played = 0;
    let end = Instant::now() + PATIENCE;
    while played < 100 && Instant::now() < end {
        for completion in std::mem::take(&mut back) {
            assert_eq!(completion.status, S_OK);
            if let Some(period) = periods.next() {
                fe.ram.write(completion.slot.data, period);
                fe.post(completion.slot).unwrap();
            }
        }
        fe.kick(TXQ);
        back = fe.wait_completions(TXQ, 0, 1, Duration::from_millis(200));
        played += back.len();
    }
    assert!(played >= 100, "{played} messages came back after the reconnect");
    let report = compare(&sent, &rig.settled(0).unwrap(), 4);
    assert!(report.exact > 48_000 / 2 && report.foreign == 0, "{report:?}");
}

#[test]
fn a_daemon_started_again_serves_whoever_comes_first() {
    let mut rig = Rig::start("again", Car::default()).unwrap();
    for round in 0..8 {
        let (_, stats) = Player::start(&rig.socket(0), long(round, 0.1))
            .unwrap()
            .finish()
            .unwrap();
        assert_eq!((stats.lost, stats.errors), (0, 0), "round {round}: {stats:?}");
        rig.kill_daemon();
        rig.start_daemon().unwrap();
    }
}
