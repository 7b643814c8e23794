//! The safety partition of `examples/safety-guest` under plain QEMU: on QEMU's own sound device, and on the shipped daemon.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use system_tests::board::safety::{self, GOOD};
use system_tests::coded::{self, Report};
use system_tests::daemon::Daemon;
use system_tests::process::until;

const FRAMES: u32 = 24_000;
const SYSTEM: &str = r#"
version = 1
bus = "@BUS@"
# Frames are judged here, not how soon a busy machine lets control decide.
decision_limit_ms = 1000
[codecs.main]
backend = "wav"
path = "@FOLDER@/cabin.wav"
period = 240
lead = 12
[zones.cabin]
codec = "main"
channels = [0, 1]
[classes.warning]
safety = true
[guests.cluster]
socket = "@FOLDER@/cluster.sock"
streams.chime = { class = "warning", zone = "cabin" }
"#;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bare-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs the partition to its end; returns what it said.
fn run(options: &str, sound: &[&str]) -> String {
    let mut command = safety::under_qemu(&safety::build().unwrap());
    command.args(["-append", options]).args(sound).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(GOOD),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

#[test]
fn the_safety_partition_plays_its_tone_exactly_on_qemus_own_device() {
    let wav = folder("qemu").join("out.wav");
    let audio = format!(
        "wav,id=a,out.frequency=48000,out.fixed-settings=on,path={}",
        wav.display()
    );

    let said = run(
        &format!("frames={FRAMES}"),
        &["-audiodev", &audio, "-device", "virtio-sound-pci,audiodev=a"],
    );

    let report = coded::compare(&safety::tone(FRAMES, 0), &coded::samples(&wav).unwrap(), 4);
    assert!(report.is_whole(), "{report:?}");
    assert!(
        said.contains(&format!("chime: done frames={FRAMES} messages=54 errors=0")),
        "{said}"
    );
}

#[test]
fn the_safety_partition_plays_its_tone_exactly_through_the_daemon_without_a_kick() {
    let folder = folder("daemon");
    let place = folder.display().to_string();
    let daemon = Daemon::start(&folder, |bus| SYSTEM.replace("@BUS@", bus).replace("@FOLDER@", &place)).unwrap();
    let socket = format!("socket,id=s,path={place}/cluster.sock");

    let said = run(
        &format!("frames={FRAMES}"),
        &["-chardev", &socket, "-device", "vhost-user-snd-pci,chardev=s"],
    );

    let sent = safety::tone(FRAMES, 0);
    let mut report = Report::default();
    let _ = until("the end of the tone", Duration::from_secs(5), || {
        report = coded::compare(&sent, &coded::samples(&folder.join("cabin.wav")).ok()?, 4);
        (report.missing_tail == 0).then_some(())
    });
    drop(daemon);
    assert!(report.is_whole(), "{report:?}\n{said}");
    assert!(said.contains("errors=0 kicks=0 "), "{said}");
}
