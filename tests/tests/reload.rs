//! A guest plays while its daemon's file is reloaded again and again: not a sample of it changes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::coded::compare;
use system_tests::rig::{Car, Player, Rig, Take};
use system_tests::witness::held;

/// Reloads while a take is played, each with another policy than the last for everybody but that take.
fn plays_through(seconds: f64, least: usize) -> Result<usize, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let car = Car::calm();
    let rig = Rig::start("reload", car.clone()).map_err(|e| told(&e))?;
    let daemon = rig.daemon().map_err(|e| told(&e))?;
    let texts = [-10, -20].map(|depth| {
        let more = format!(
            "\n[classes.prompt]\npriority = 50\n[[matrix]]\nholder = \"media\"\nnewcomer = \"prompt\"\naction = \"duck\"\ndepth_db = {depth}\n"
        );
        car.file(daemon.bus()) + &more
    });
    let before = rig.settled(0).map_err(|e| told(&e))?.len();
    let take = Take {
        seconds,
        ..Take::default()
    };
    let player = Player::start(&rig.socket(0), take).map_err(|e| told(&e))?;
    let mut reloads = 0;
    while !player.is_finished() {
        std::fs::write(daemon.folder.join("system.toml"), &texts[reloads % 2]).map_err(|e| told(&e))?;
        daemon.audioctl(&["reload"]).map_err(|e| told(&e))?;
        reloads += 1;
    }
    let (sent, stats) = player.finish().map_err(|e| told(&e))?;
    let after = rig.settled(0).map_err(|e| told(&e))?;
    let report = compare(&sent, &after[before..], 4);
    if !report.is_exact() || stats.lost + stats.errors > 0 {
        return Err(format!(
            "{reloads} reloads: {} runs, {} exact; {stats:?}",
            report.runs.len(),
            report.exact
        ));
    }
    assert!(reloads >= least, "{reloads} reloads only");
    Ok(reloads)
}

#[test]
fn a_playing_stream_is_exact_through_every_reload() {
    let reloads = held(Car::calm().tolerance(), || plays_through(4.0, 100)).unwrap();
    println!("{reloads} reloads under one take");
}
