//! A stock guest's streams that nobody hears: without a route, or refused by the policy. Their players notice nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod guest_common;

use guest_common::{CODEC, LIMIT, RATE, Rig, coded_pair, whole};
use system_tests::coded;

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
    assert!(whole(&report), "{report:?}");
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
