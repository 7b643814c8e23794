//! `Status` says what is doubtful about a guest's memory, for as long as the guest is there.
//!
//! Seen to fail: with `Session::memory_warnings` saying nothing of mapped memory, no warning is shown where two are due.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use system_tests::process;
use system_tests::rig::{Car, Player, Rig, Take};

const PATIENCE: Duration = Duration::from_secs(20);

fn warnings(rig: &Rig) -> Option<Vec<String>> {
    let status = rig.daemon().ok()?.status().ok()?;
    serde_json::from_value(status["guests"][0]["memory_warnings"].clone()).ok()
}

/// Waits until as many regions are complained of.
fn shown(rig: &Rig, regions: usize) {
    let wanted: Vec<String> = (0..regions)
        .map(|region| format!("memory region {region}: no F_SEAL_SHRINK on its file, its owner can make it vanish"))
        .collect();
    let found = process::until("the warnings", PATIENCE, || (warnings(rig)? == wanted).then_some(()));
    assert!(found.is_ok(), "{:?} in place of {wanted:?}", warnings(rig));
}

#[test]
fn memory_that_its_owner_can_make_vanish_is_told_while_it_is_there_by_each_control_process() {
    let rig = Rig::start("memory-warnings", Car::calm()).unwrap();
    shown(&rig, 0);
    let take = Take {
        seconds: 4.0,
        ..Take::default()
    };
    // The front end's memory is two regions of memfds without seals.
    let player = Player::start(&rig.socket(0), take).unwrap();

    shown(&rig, 2);
    rig.kill("control").unwrap();
    shown(&rig, 2);

    player.finish().unwrap();
    shown(&rig, 0);
}
