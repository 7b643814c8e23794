//! What the shipped daemon records of its decisions while a guest plays: the period that each took effect with.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use serde_json::Value;
use system_tests::process;
use system_tests::rig::{Car, Player, Rig, Take};

#[test]
fn each_decision_takes_effect_with_the_period_at_whose_edge_its_batch_lay_there() {
    let rig = Rig::start("history", Car::calm()).unwrap();
    let daemon = rig.daemon().unwrap();
    let take = Take {
        seconds: 5.0,
        ..Take::default()
    };
    let player = Player::start(&rig.socket(0), take).unwrap();
    process::until("the stream plays", Duration::from_secs(20), || {
        (daemon.status().ok()?["streams"][0]["state"] == "running").then_some(())
    })
    .unwrap();
    let mut asked = 0;
    while !player.is_finished() {
        daemon.audioctl(&["volume", "z0", &(asked % 100).to_string()]).unwrap();
        asked += 1;
    }
    player.finish().unwrap();

    let json = daemon.audioctl(&["--json", "history", "--last", "10000"]).unwrap();

    let history: Value = serde_json::from_str(&json).unwrap();
    let decisions = history["decisions"].as_array().unwrap();
    let volumes = decisions
        .iter()
        .filter(|it| it["about"].as_str().unwrap().starts_with("SetVolume z0 to"));
    assert_eq!(volumes.clone().count(), asked);
    let effects: Vec<&Value> = volumes.flat_map(|it| it["effects"].as_array().unwrap()).collect();
    assert!(effects.len() >= 20, "{} of {asked} were heard", effects.len());
    let mut exactly_next = 0;
    for effect in &effects {
        let (period, queued) = (effect["period"].as_u64().unwrap(), effect["queued"].as_u64().unwrap());
        assert!(period == queued + 1 || period == queued, "{effect}");
        exactly_next += usize::from(period == queued + 1);
        assert!(effect["frame"].as_u64().unwrap() >= (period - 1) * 240, "{effect}");
    }
    println!(
        "{} decisions heard, {exactly_next} of them at the edge after the one begun",
        effects.len()
    );
}
