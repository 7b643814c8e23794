//! Playing on a short ring.

use std::time::Duration;

use system_tests::witness::{Priority, held_by};

use crate::guest_common::{CODEC, LIMIT, ONE_STREAM, RATE, Rig, coded_pair};

/// How long the virtual machine stands still, milliseconds.
const STOPS: [u64; 5] = [5, 15, 25, 100, 1000];

/// Frames of it.
const RING: usize = 960;

/// Half of it: a virtual CPU that was late by more may cost an xrun.
const HALF: Duration = Duration::from_millis(10);

const PLAY: &str = "aplay -v -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 --period-size=480 --buffer-size=960 /sound";

/// A minute of takes of 5 s: not an xrun, not a frame of silence while the witness is on time.
#[allow(dead_code, reason = "the long form's")]
pub fn a_minute_without_an_xrun(name: &str, kernel: &str) {
    let (sent, codec) = coded_pair("S16_LE", RATE * 5, 4);
    let mut rig = Rig::start(name, kernel, &format!("{CODEC}{ONE_STREAM}"), &[("sound", sent)]);
    for take in 0..12 {
        let play = || {
            let from = rig.recorded();
            let output = rig.run(PLAY);
            let report = rig.heard(&codec, from);
            let xruns = output.matches("underrun").count();
            if xruns == 0 && report.inner_zeros == 0 && report.is_whole() {
                Ok(())
            } else {
                Err(format!("{xruns} xruns, {report:?}"))
            }
        };
        held_by(Priority::Guest, HALF, play).unwrap_or_else(|error| panic!("take {take}: {error}"));
    }
}

/// Plays `seconds` on 2 x 480 frames while the machine is stopped now and then: no error, no hang, no frame lost or changed.
pub fn plays(name: &str, kernel: &str, seconds: usize) {
    let (sent, codec) = coded_pair("S16_LE", RATE * seconds, 3);
    let mut rig = Rig::start(name, kernel, &format!("{CODEC}{ONE_STREAM}"), &[("sound", sent)]);
    let from = rig.recorded();
    let monitor = rig.daemon.monitor().unwrap();

    let job = rig.guest.spawn(PLAY).unwrap();
    monitor
        .wait_for("the start", LIMIT, |line| line.contains("stream-started"))
        .unwrap();
    for stop in STOPS {
        std::thread::sleep(Duration::from_millis(seconds as u64 * 1000 / 8));
        rig.guest.qmp("stop").unwrap();
        std::thread::sleep(Duration::from_millis(stop));
        rig.guest.qmp("cont").unwrap();
    }
    let end = rig
        .guest
        .wait(job, LIMIT + Duration::from_secs(seconds as u64))
        .unwrap();

    assert_eq!(end.status, 0, "{}", end.output);
    assert!(!end.output.contains("error"), "{}", end.output);
    assert!(end.output.contains("buffer_size  : 960"), "{}", end.output);
    let report = rig.heard(&codec, from);
    let xruns = end.output.matches("underrun").count();
    let changed = report.lost + report.repeated + report.foreign;
    println!(
        "{xruns} xruns in the guest, {changed} frames lost by them, {} of silence",
        report.inner_zeros
    );
    // 6.1 hands its messages back before the player has filled them: what is written too late, an xrun in its own books, was
    // never there to be played. 6.12 hands back what is filled only, so nothing is ever lost.
    let allowed = if kernel == "6.1" { xruns * RING } else { 0 };
    assert_eq!((report.missing_head, report.missing_tail), (0, 0));
    assert!(
        changed <= allowed && report.exact > 0,
        "{changed} frames lost or changed with {xruns} xruns: {:?}",
        report.runs
    );
}
