//! The device of `vhost-sound` over a window: the same 33 rows as over vhost-user, samples bit for bit, outages, hostile messages.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use system_tests::conformance::{ROWS, Target, Verdict, run_row};
use system_tests::frontend::Options as Wanted;
use system_tests::frontend::SoundFrontend;
use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::TXQ;
use system_tests::harness::{Options, Sut};
use system_tests::windowed::{Served, Windowed};

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("carillon-{}-{name}.window", std::process::id()))
}

/// A device whose first guest is a window, and the relay in front of it.
fn windowed(name: &str) -> (Sut, Windowed, Served) {
    behind(name, Windowed::new().unwrap())
}

/// The same with a pool of 2 MiB in between.
fn bouncing(name: &str) -> (Sut, Windowed, Served) {
    behind(name, Windowed::bouncing(2 << 20).unwrap())
}

fn behind(name: &str, window: Windowed) -> (Sut, Windowed, Served) {
    let options = Options {
        ways: vec![window.way.clone()],
        ..Options::one()
    };
    let sut = Sut::start(&format!("window-{name}"), options).unwrap();
    let served = window.serve(&socket(name), sut.socket(0)).unwrap();
    (sut, window, served)
}

fn rows((_sut, window, served): (Sut, Windowed, Served), event_idx: bool, expected: &[u32]) {
    let target = Target {
        socket: served.socket.clone(),
        provoke: None,
        event_idx,
        memory: window.memory.clone(),
    };
    let (mut failed, mut vacuous) = (Vec::new(), Vec::new());
    for row in &ROWS {
        match run_row(&target, row).verdict {
            Verdict::Pass => {}
            Verdict::Fail(reason) => failed.push((row.number, reason)),
            Verdict::Vacuous(reason) => vacuous.push((row.number, reason)),
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
    assert_eq!(vacuous.iter().map(|v| v.0).collect::<Vec<_>>(), expected, "{vacuous:?}");
    assert!(served.rings() > 0, "the rows called the guest by its doorbell");
}

#[test]
fn no_row_fails_over_a_window() {
    rows(windowed("rows"), false, &[5]);
}

#[test]
fn no_row_fails_over_a_window_under_event_idx() {
    rows(windowed("rows-idx"), true, &[5]);
}

#[test]
fn no_row_fails_over_a_pool_of_copies() {
    // Nor is EVENT_IDX offered.
    rows(bouncing("rows-bounce"), false, &[5, 33]);
}

/// Bytes that no two places have alike.
fn noise(bytes: usize, mut seed: u32) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn connect(window: &Windowed, served: &Served) -> SoundFrontend {
    let wanted = Wanted {
        memory: window.memory.clone(),
        ..Wanted::default()
    };
    SoundFrontend::connect(&served.socket, wanted).unwrap()
}

/// Plays 50 periods; the samples that were pulled are those that were sent.
fn plays(sut: &Sut, fe: &mut SoundFrontend, seed: u32) {
    let params = fe.pcm_info().unwrap()[0].params(5, 480, 4);
    let pcm = Pcm::open(fe, TXQ, 0, params).unwrap();
    let data = noise(50 * params.period_bytes as usize, seed);
    sut.forget(0);
    let stats = pcm.play(fe, &data).unwrap();
    assert_eq!((stats.completions, stats.errors, stats.lost), (50, 0, 0));
    assert!(sut.seen(0).pulled[0] == data);
}

#[test]
fn samples_pass_bit_for_bit_through_outages_of_control_and_of_the_link() {
    for (sut, window, served) in [windowed("exact"), bouncing("exact-bounce")] {
        exact(&sut, &window, &served);
    }
}

fn exact(sut: &Sut, window: &Windowed, served: &Served) {
    let mut fe = connect(window, served);
    plays(sut, &mut fe, 1);
    // A new control process takes the connection, the window and the doorbell's words over.
    sut.replace_control();
    plays(sut, &mut fe, 2);
    // A new engine is given them anew.
    sut.replace_engine();
    plays(sut, &mut fe, 3);
    for round in 4..10 {
        fe.disconnect();
        fe = connect(window, served);
        plays(sut, &mut fe, round);
    }
}
