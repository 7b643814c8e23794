//! `kill -9` of the daemon's processes while a stock guest on QEMU, which can't reconnect, plays one stream and pauses another.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod guest_common;

use std::time::Duration;

use guest_common::{LIMIT, RATE, Rig, coded_pair};
use serde_json::Value;
use system_tests::coded;
use system_tests::process::{signal, until};

/// Each stream in a zone of its own, so that each can be compared bit for bit.
const SYSTEM: &str = r#"
version = 1
bus = "@BUS@"
# Frames are judged here, not how soon a busy machine lets control decide.
decision_limit_ms = 1000
[codecs.main]
backend = "wav"
path = "@FOLDER@/cabin.wav"
format = "S32"
channels = 4
period = 240
lead = 12
[zones.front]
codec = "main"
channels = [0, 1]
[zones.rear]
codec = "main"
channels = [2, 3]
[classes.media]
priority = 10
[guests.ivi]
socket = "@FOLDER@/ivi.sock"
streams.media = { class = "media", zone = "front" }
streams.voice = { class = "media", zone = "rear" }
"#;
const SECONDS: usize = 9;
const PLAY: &str = "-q -t raw -f S16_LE -c 2 -r 48000";
const ROLES: [&[&str]; 3] = [&["engine"], &["control"], &["engine", "control"]];

/// The two channels of a zone in the recording.
fn zone(recording: &[u8], first: usize) -> Vec<u8> {
    recording
        .chunks_exact(16)
        .flat_map(|frame| frame[first * 4..first * 4 + 8].to_vec())
        .collect()
}

/// What must survive: connections with their IDs and states, volumes and wanted gains.
fn kept(rig: &Rig) -> Option<Value> {
    let output = rig.daemon.try_audioctl(&["--json", "status"]).ok()?;
    let status: Value = serde_json::from_slice(&output.stdout).ok()?;
    let streams = status["streams"].as_array()?.iter();
    let streams: Vec<Value> = streams
        .map(|s| serde_json::json!([s["name"], s["routes"], s["wanted_db"], s["mute"]]))
        .collect();
    let zones = status["zones"]
        .as_array()?
        .iter()
        .map(|zone| serde_json::json!([zone["name"], zone["volume"]]));
    Some(serde_json::json!([streams, zones.collect::<Vec<_>>()]))
}

/// Kills processes and waits until each has a successor and control answers again.
fn kill(rig: &Rig, roles: &[&str]) {
    let before: Vec<(&str, u32)> = roles
        .iter()
        .map(|role| (*role, rig.daemon.process_of(role).unwrap()))
        .collect();
    for (_, pid) in &before {
        signal(*pid, libc::SIGKILL).unwrap();
    }
    for (role, pid) in before {
        until("a successor", LIMIT, || {
            rig.daemon.process_of(role).filter(|new| *new != pid)
        })
        .unwrap();
    }
    until("an answer of control", LIMIT, || kept(rig)).unwrap();
}

#[test]
fn engine_control_and_both_killed_under_play_cost_silence_only_and_nothing_is_forgotten() {
    let (media, media_codec) = coded_pair("S16_LE", RATE * SECONDS, 1);
    let (voice, voice_codec) = coded_pair("S16_LE", RATE * 4, 2);
    let files = [("media", media), ("voice", voice)];
    let mut rig = Rig::start_with("faults", "6.12", SYSTEM, &files, &["aplay", "script"]);
    let monitor = rig.daemon.monitor().unwrap();
    let started = |source: &str| {
        let of = |line: &str| line.contains("stream-started") && line.contains(source);
        monitor.wait_for("a start", LIMIT, of).unwrap();
    };
    rig.run("mkdir -p /dev/pts && mount -t devpts pts /dev/pts && mkfifo /tmp/keys");
    let media = rig.guest.spawn(&format!("aplay -D hw:0,0 {PLAY} /media")).unwrap();
    started("ivi.media");
    // Paused and resumed by its keys, which want a terminal.
    let voice = rig
        .guest
        .spawn(&format!(
            "script -q -e -c 'aplay -i -D hw:0,1 {PLAY} /voice' /tmp/typed < /tmp/keys"
        ))
        .unwrap();
    rig.guest.spawn("exec 4> /tmp/keys; while [ ! -e /tmp/end ]; do [ -e /tmp/key ] && rm /tmp/key && printf ' ' >&4; sleep 0.1; done").unwrap();
    started("ivi.voice");
    std::thread::sleep(Duration::from_millis(500));
    rig.run("touch /tmp/key");
    let paused = |line: &str| line.contains("stream-stopped") && line.contains("ivi.voice");
    monitor.wait_for("the pause", LIMIT, paused).unwrap();
    rig.daemon.audioctl(&["volume", "rear", "+0"]).unwrap();
    let before = kept(&rig).unwrap();

    for roles in ROLES {
        kill(&rig, roles);
        let same = || kept(&rig).filter(|after| *after == before);
        assert!(
            until("what was", Duration::from_secs(5), same).is_ok(),
            "{roles:?}: {before} is now {:?}",
            kept(&rig)
        );
        std::thread::sleep(Duration::from_millis(300));
    }

    rig.run("touch /tmp/key");
    let media = rig.guest.wait(media, LIMIT).unwrap();
    let voice = rig.guest.wait(voice, LIMIT).unwrap();
    rig.run("touch /tmp/end");
    assert_eq!(
        (media.status, voice.status),
        (0, 0),
        "{} {}",
        media.output,
        voice.output
    );
    std::thread::sleep(Duration::from_millis(500));
    let recording = coded::samples(&rig.folder.join("cabin.wav")).unwrap();
    for (name, sent, first) in [("media", &media_codec, 0), ("voice", &voice_codec, 2)] {
        let report = coded::compare(sent, &zone(&recording, first), 8);
        println!(
            "{name}: {} runs, {} frames of silence between them",
            report.runs.len(),
            report.inner_zeros
        );
        assert!(report.is_whole(), "{name}: {report:?}");
    }
}
