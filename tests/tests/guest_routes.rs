//! A stock guest's streams that nobody hears: without a route, refused by the policy, on a codec that stands still or is gone.
//! Their players notice nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "faults/card.rs"]
mod card;
mod guest_common;

use audiod::codec::now_ns;
use card::card;
use guest_common::{CODEC, LIMIT, RATE, Rig, coded_pair};
use system_tests::coded;
use system_tests::process::{self, until};

const STREAMS: &str = r#"
[classes.blocked]
priority = 5
[[matrix]]
holder = "media"
newcomer = "blocked"
newcomer_action = "reject"
[guests.ivi]
socket = "@FOLDER@/ivi.sock"
streams.media = { class = "media", zone = "cabin" }
streams.nowhere = { class = "media" }
streams.refused = { class = "blocked", zone = "cabin" }
"#;
const SECONDS: usize = 2;

/// Plays `/other` and returns how long it took by the guest's own clock, seconds.
fn time_of(rig: &mut Rig, device: &str) -> f64 {
    let uptime = "cut -d' ' -f1 /proc/uptime";
    let play = format!("aplay -q -D {device} -t raw -f S16_LE -c 2 -r 48000 /other");
    let output = rig.run(&format!("{uptime}; {play} && {uptime}"));
    let times: Vec<f64> = output.lines().map(|line| line.parse().unwrap()).collect();
    times[1] - times[0]
}

#[test]
fn players_without_a_route_or_refused_end_in_normal_time_and_the_one_that_is_heard_loses_nothing() {
    let (music, codec) = coded_pair("S16_LE", RATE * 4 * SECONDS, 1);
    let (other, other_codec) = coded_pair("S16_LE", RATE * SECONDS, 2);
    let files = [("music", music), ("other", other)];
    let mut rig = Rig::start("routes", "6.12", &format!("{CODEC}{STREAMS}"), &files);
    let from = rig.recorded();
    let monitor = rig.daemon.monitor().unwrap();
    let music = rig
        .guest
        .spawn("aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 /music")
        .unwrap();
    monitor
        .wait_for("the music's start", LIMIT, |line| line.contains("stream-started"))
        .unwrap();

    let taken = ["hw:0,1", "hw:0,2"].map(|device| time_of(&mut rig, device));

    let end = rig.guest.wait(music, LIMIT).unwrap();
    assert_eq!(end.status, 0, "{}", end.output);
    let report = rig.heard(&codec, from);
    assert!(report.is_whole(), "{report:?}");
    // At their rate: not at once, and not stuck; a translated guest takes a while to start a program.
    let normal = SECONDS as f64 * 0.95..SECONDS as f64 + 3.0;
    assert!(
        taken.iter().all(|seconds| normal.contains(seconds)),
        "{taken:?} s, expected {normal:?}"
    );
    let recording = coded::samples(&rig.folder.join("cabin.wav")).unwrap();
    assert_eq!(coded::compare(&other_codec, &recording[from..], 8).exact, 0);
    assert!(
        monitor.lines().iter().any(|line| line.contains("ivi.refused")),
        "{:?}",
        monitor.lines()
    );
}

#[test]
fn a_player_on_a_codec_that_stands_still_and_then_dies_plays_on_and_ends_in_normal_time() {
    let seconds = 6;
    let (music, _) = coded_pair("S16_LE", RATE * seconds, 3);
    let (again, codec) = coded_pair("S16_LE", RATE, 4);
    let one_stream = guest_common::ONE_STREAM;
    let files = [("music", music), ("again", again)];
    let mut rig = Rig::start("still", "6.12", &format!("{CODEC}{one_stream}"), &files);
    let monitor = rig.daemon.monitor().unwrap();
    let stalled = |rig: &Rig| rig.daemon.status().unwrap()["codecs"][0]["stalled"] == true;
    let uptime = "cut -d' ' -f1 /proc/uptime";
    let play = format!("{uptime}; aplay -v -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 /music && {uptime}");
    let job = rig.guest.spawn(&play).unwrap();
    monitor
        .wait_for("the start", LIMIT, |line| line.contains("stream-started"))
        .unwrap();

    card(&rig.daemon).set_millihertz(0, now_ns());
    until("the stall is seen", LIMIT, || stalled(&rig).then_some(())).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let old = rig.daemon.process_of("card").unwrap();
    process::signal(old, libc::SIGKILL).unwrap();
    let successor = || rig.daemon.process_of("card").filter(|pid| *pid != old);
    until("another card", LIMIT, successor).unwrap();
    let while_gone = stalled(&rig);
    let end = rig.guest.wait(job, LIMIT).unwrap();
    card(&rig.daemon).set_millihertz(48_000_000, now_ns());
    until("it runs again", LIMIT, || (!stalled(&rig)).then_some(())).unwrap();
    let from = rig.recorded();
    rig.run("aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 /again");

    assert!(while_gone, "the card stood still until the player's end");
    assert_eq!(end.status, 0, "{}", end.output);
    assert!(!end.output.contains("error"), "{}", end.output);
    let times: Vec<f64> = end.output.lines().filter_map(|line| line.parse().ok()).collect();
    let normal = seconds as f64 * 0.95..seconds as f64 + 3.0;
    assert!(normal.contains(&(times[1] - times[0])), "{times:?}");
    assert!(rig.heard(&codec, from).is_whole(), "the next player is heard");
}
