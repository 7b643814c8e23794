//! A stock guest saves and restores its mixer with `alsactl` while its music is ducked: it knows of its own wanted gain only.
//!
//! Seen to fail: with `vhost_sound::device::serve` telling of every write, changed or not, `restore` of what is there already gives
//! one notification where none is due ("nothing changed": 1, not 0).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod guest_common;

use guest_common::{CODEC, LIMIT, RATE, Rig, coded_pair};
use serde_json::Value;
use system_tests::process::until;

const STREAMS: &str = r#"
[classes.navigation]
priority = 50
[[matrix]]
holder = "media"
newcomer = "navigation"
action = "duck"
depth_db = -20.0
[guests.ivi]
socket = "@FOLDER@/ivi.sock"
streams.media = { class = "media", zone = "cabin" }
streams.prompt = { class = "navigation", zone = "cabin" }
streams.spare = { class = "media" }
"#;
const PLAY: &str = "-q -t raw -f S16_LE -c 2 -r 48000 /sound";
const VOLUME: &str = "Media Playback Volume";
/// Without a lock file, which needs a folder that this guest hasn't.
const ALSACTL: &str = "alsactl -L -f /mixer";

/// What `audioctl status` says of the music.
fn music(rig: &Rig) -> Value {
    let status = rig.daemon.status().unwrap();
    let streams = status["streams"].as_array().unwrap();
    streams.iter().find(|it| it["name"] == "ivi.media").unwrap().clone()
}

fn wants(rig: &Rig) -> f64 {
    music(rig)["wanted_db"].as_f64().unwrap()
}

fn is_ducked(rig: &Rig) -> bool {
    music(rig).to_string().contains("ducked")
}

/// Notifications of an element's value that a client in the guest has had, once no more come: what is set last is seen.
fn notified(rig: &mut Rig, element: &str) -> usize {
    let seen = rig.run("cat /events");
    let of_element = |line: &&str| line.contains(element) && line.contains("VALUE");
    seen.lines().filter(of_element).count()
}

/// All that was notified before is in the file once this is: events of a card are in one queue.
fn flush(rig: &mut Rig, turn: usize) {
    let state = if turn.is_multiple_of(2) { "off" } else { "on" };
    let before = notified(rig, "Spare Playback Switch");
    rig.run(&format!("amixer -q -c 0 cset name='Spare Playback Switch' {state}"));
    until("the flush is notified", LIMIT, || {
        (notified(rig, "Spare Playback Switch") > before).then_some(())
    })
    .unwrap();
}

#[test]
fn alsactl_stores_and_restores_the_wanted_gain_of_ducked_music_with_one_notification_a_change_at_most() {
    let (sound, _) = coded_pair("S16_LE", RATE * 60, 9);
    let system = format!("{CODEC}{STREAMS}");
    let programs = ["aplay", "amixer", "alsactl"];
    let mut rig = Rig::start_with("alsactl", "6.12", &system, &[("sound", sound)], &programs);
    rig.run(&format!("amixer -q -c 0 cset name='{VOLUME}' 480"));
    rig.run(&format!("{ALSACTL} store"));
    rig.guest.spawn("alsactl monitor > /events 2>&1").unwrap();
    rig.guest.spawn(&format!("aplay -D hw:0,0 {PLAY}")).unwrap();
    rig.guest.spawn(&format!("aplay -D hw:0,1 {PLAY}")).unwrap();
    until("the duck", LIMIT, || is_ducked(&rig).then_some(())).unwrap();
    flush(&mut rig, 0);
    let before = notified(&mut rig, VOLUME);

    assert!(is_ducked(&rig), "{}", music(&rig));
    // The mixer as it is, stored and taken back: nothing changes.
    rig.run(&format!("{ALSACTL} store"));
    rig.run(&format!("{ALSACTL} restore"));
    let stored = rig.run("cat /mixer");
    assert!(is_ducked(&rig), "{}", music(&rig));
    flush(&mut rig, 1);
    assert!(
        stored.contains("value 480") || stored.contains("value.0 480"),
        "{stored}"
    );
    assert_eq!(wants(&rig), -12.0);
    assert!(is_ducked(&rig), "{}", music(&rig));
    assert_eq!(notified(&mut rig, VOLUME), before, "nothing changed");

    // The host's change, and the guest's by the restored file: each is one.
    rig.daemon.audioctl(&["volume", "ivi.media", "-6dB"]).unwrap();
    until("the host's change", LIMIT, || {
        rig.run(&format!("amixer -c 0 cget name='{VOLUME}'"))
            .contains(": values=540")
            .then_some(())
    })
    .unwrap();
    flush(&mut rig, 2);
    assert_eq!(notified(&mut rig, VOLUME), before + 1, "the host's change");
    rig.run(&format!("{ALSACTL} restore"));
    flush(&mut rig, 3);
    let after = notified(&mut rig, VOLUME);
    assert!((before + 1..=before + 2).contains(&after), "{before}, then {after}");
    assert_eq!(wants(&rig), -12.0, "as it was stored");
    assert!(is_ducked(&rig), "{}", music(&rig));
}
