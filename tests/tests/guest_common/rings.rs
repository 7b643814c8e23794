//! Playing on a short ring.

use std::time::Duration;

use crate::guest_common::{CODEC, LIMIT, ONE_STREAM, RATE, Rig, coded_pair, whole};

/// How long the virtual machine stands still, milliseconds.
const STOPS: [u64; 5] = [5, 15, 25, 100, 1000];

/// Plays `seconds` on 2 x 480 frames while the machine is stopped now and then: no error, no hang, no frame lost or changed.
pub fn plays(name: &str, kernel: &str, seconds: usize) {
    let (sent, codec) = coded_pair("S16_LE", RATE * seconds, 3);
    let mut rig = Rig::start(name, kernel, &format!("{CODEC}{ONE_STREAM}"), &[("sound", sent)]);
    let from = rig.recorded();
    let monitor = rig.daemon.monitor().unwrap();

    let play = "aplay -v -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 --period-size=480 --buffer-size=960 /sound";
    let job = rig.guest.spawn(play).unwrap();
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
    println!(
        "{} xruns in the guest, {} frames of silence",
        end.output.matches("underrun").count(),
        report.inner_zeros
    );
    assert!(
        whole(&report),
        "{:?} lost {} foreign {} tail {}",
        report.runs.len(),
        report.lost,
        report.foreign,
        report.missing_tail
    );
}
