//! Faults from outside into the daemon that ships, under play of a front end of our own: processes killed and stopped, guests
//! that die, a codec that stands still.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[path = "faults/car.rs"]
mod car;
#[path = "faults/card.rs"]
mod card;

use audiod::codec::now_ns;
use system_tests::daemon::Daemon;
use system_tests::process;

use car::{Chime, Folder, PERIOD, Player, assert_each_returned_once, connect, kill, play_until, start, wait_recorded};
use card::card;

/// Main connection IDs with their zones, and the zones' volumes.
fn routes_and_volumes(daemon: &Daemon) -> (Vec<serde_json::Value>, Vec<serde_json::Value>) {
    let status = daemon.status().unwrap();
    let routes = status["streams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| stream["routes"].clone());
    let volumes = status["zones"]
        .as_array()
        .unwrap()
        .iter()
        .map(|zone| zone["volume"].clone());
    (routes.collect(), volumes.collect())
}

/// One stream plays, one is paused with a full ring, and these processes are killed.
fn killed_under_play(name: &str, roles: &[&str]) {
    let folder = Folder::new(name);
    let daemon = start(&folder);
    let mut fe = connect(&folder, "ivi");
    let (mut media, mut aux) = (Player::new(&mut fe, 0, 1, 4.0), Player::new(&mut fe, 1, 2, 1.0));
    media.start(&mut fe);
    aux.start(&mut fe);
    play_until(&mut fe, &mut [&mut media, &mut aux], "sound", |players| {
        players.iter().all(|player| player.returned > 20)
    });
    aux.stop(&mut fe);
    daemon.audioctl(&["volume", "side", "90"]).unwrap();
    let before = routes_and_volumes(&daemon);

    kill(&daemon, roles);
    let so_far = media.returned;
    play_until(&mut fe, &mut [&mut media], "sound after the kill", |players| {
        players[0].returned > so_far + 40
    });
    let after = routes_and_volumes(&daemon);
    aux.start(&mut fe);
    play_until(&mut fe, &mut [&mut media, &mut aux], "the end", |players| {
        players.iter().all(|player| player.drained())
    });
    media.end(&mut fe);
    aux.end(&mut fe);
    wait_recorded(&folder, 9600);
    assert!(daemon.terminate().unwrap().success());

    assert_eq!(before, after);
    assert_each_returned_once(&fe, &[&media, &aux]);
    for (player, zone) in [(&media, 0), (&aux, 1)] {
        let report = player.compare(&folder, zone);
        println!(
            "{name}: zone {zone}: {} runs, {} frames of silence, {} lost",
            report.runs.len(),
            report.inner_zeros,
            report.lost
        );
        assert_eq!(
            (report.foreign, report.missing_head, report.missing_tail),
            (0, 0, 0),
            "{report:?}"
        );
        assert!(
            report.lost + report.repeated <= 240,
            "at most the period being mixed: {report:?}"
        );
    }
}

#[test]
fn the_engine_is_killed_and_both_streams_play_on() {
    killed_under_play("engine", &["engine"]);
}

#[test]
fn control_is_killed_and_both_streams_play_on() {
    killed_under_play("control", &["control"]);
}

#[test]
fn engine_and_control_are_killed_and_both_streams_play_on() {
    killed_under_play("both", &["engine", "control"]);
}

#[test]
fn control_stopped_for_ten_seconds_changes_no_sample_of_a_stream_or_a_sounding_chime() {
    let folder = Folder::new("stopped");
    let chime = Chime::write(&folder, 11);
    let daemon = chime.start(&folder);
    let mut fe = connect(&folder, "ivi");
    let mut media = Player::new(&mut fe, 0, 3, 11.5);
    media.start(&mut fe);
    play_until(&mut fe, &mut [&mut media], "sound", |players| players[0].returned > 20);
    daemon.audioctl(&["chime", "bell"]).unwrap();

    let control = daemon.process_of("control").unwrap();
    process::signal(control, libc::SIGSTOP).unwrap();
    let ten_seconds = media.returned + u64::from(10 * 48_000 / PERIOD);
    play_until(&mut fe, &mut [&mut media], "ten seconds", |players| {
        players[0].returned >= ten_seconds
    });
    assert_eq!(process::state(control), Some('T'), "it was stopped all the time");
    process::signal(control, libc::SIGCONT).unwrap();
    play_until(&mut fe, &mut [&mut media], "the end", |players| players[0].drained());
    media.end(&mut fe);
    wait_recorded(&folder, 9600);
    assert!(daemon.terminate().unwrap().success());

    assert_each_returned_once(&fe, &[&media]);
    for report in [media.compare(&folder, 0), chime.compare(&folder)] {
        assert!(report.is_exact(), "{report:?}");
    }
}

#[test]
fn a_guest_that_dies_and_comes_back_changes_no_sample_of_another() {
    let folder = Folder::new("guest");
    let daemon = start(&folder);
    let mut fe = connect(&folder, "ivi");
    let mut media = Player::new(&mut fe, 0, 4, 3.0);
    let mut other = connect(&folder, "rse");
    let mut dying = Player::new(&mut other, 0, 5, 3.0);
    media.start(&mut fe);
    dying.start(&mut other);
    play_until(&mut other, &mut [&mut dying], "the other's sound", |players| {
        players[0].returned > 3
    });
    play_until(&mut fe, &mut [&mut media], "sound", |players| players[0].returned > 20);

    drop(other);
    let mut other = connect(&folder, "rse");
    let mut reborn = Player::new(&mut other, 0, 6, 1.0);
    reborn.start(&mut other);
    play_until(&mut fe, &mut [&mut media], "the end", |players| {
        reborn.pump(&mut other);
        players[0].drained()
    });
    play_until(&mut other, &mut [&mut reborn], "the other's end", |players| {
        players[0].drained()
    });
    media.end(&mut fe);
    reborn.end(&mut other);
    wait_recorded(&folder, 9600);
    assert!(daemon.terminate().unwrap().success());

    let (report, reborn) = (media.compare(&folder, 0), reborn.compare(&folder, 2));
    assert!(report.is_exact(), "{report:?}");
    assert!(reborn.is_exact(), "{reborn:?}");
}

#[test]
fn the_whole_daemon_is_killed_and_the_front_end_reconnects_and_plays_on() {
    let folder = Folder::new("supervisor");
    let daemon = start(&folder);
    let mut fe = connect(&folder, "ivi");
    let mut media = Player::new(&mut fe, 0, 7, 3.0);
    media.start(&mut fe);
    play_until(&mut fe, &mut [&mut media], "sound", |players| players[0].returned > 20);

    process::signal(daemon.pid(), libc::SIGKILL).unwrap();
    drop(daemon);
    let daemon = start(&folder);
    fe.reconnect().unwrap();
    play_until(&mut fe, &mut [&mut media], "the end", |players| players[0].drained());
    media.end(&mut fe);
    wait_recorded(&folder, 9600);
    assert!(daemon.terminate().unwrap().success());

    assert_each_returned_once(&fe, &[&media]);
    let report = media.compare(&folder, 0);
    assert!(report.missing_tail == 0 && report.foreign == 0, "{report:?}");
}

#[test]
fn a_codec_that_stands_still_stops_no_guest() {
    let folder = Folder::new("stall");
    let daemon = start(&folder);
    let mut fe = connect(&folder, "ivi");
    let mut media = Player::new(&mut fe, 0, 8, 3.0);
    media.start(&mut fe);
    play_until(&mut fe, &mut [&mut media], "sound", |players| players[0].returned > 20);

    let card = card(&daemon);
    card.set_millihertz(0, now_ns());
    let so_far = media.returned;
    play_until(&mut fe, &mut [&mut media], "messages without a codec", |players| {
        players[0].returned > so_far + 50
    });
    let stalled = daemon.status().unwrap()["codecs"][0]["stalled"].clone();
    card.set_millihertz(48_000_000, now_ns());
    play_until(&mut fe, &mut [&mut media], "the end", |players| players[0].drained());
    media.end(&mut fe);
    wait_recorded(&folder, 9600);
    assert!(daemon.terminate().unwrap().success());

    assert_eq!(stalled, true);
    assert_each_returned_once(&fe, &[&media]);
    let report = media.compare(&folder, 0);
    assert_eq!(
        (report.foreign, report.repeated, report.missing_tail),
        (0, 0, 0),
        "{report:?}"
    );
}
