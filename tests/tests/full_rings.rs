//! Row 3, the long form: a minute on the shortest rings. No frame is lost or changed on any machine; a gap is ours unless the
//! witness was late just then.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::short_ring::ShortRing;

fn a_minute(period: u32, ring: (u32, u32)) {
    let mut short = ShortRing::start(period, ring).unwrap();
    println!("{ring:?}: {}", short.play_without_a_gap_of_ours(60.0).unwrap());
}

/// A hundred takes: the first frames after START are judged as often.
fn many_starts(period: u32, ring: (u32, u32)) {
    let mut short = ShortRing::start(period, ring).unwrap();
    for take in 0..100 {
        let outcome = short.play_without_a_gap_of_ours(0.1);
        outcome.unwrap_or_else(|error| panic!("take {take} on {ring:?}: {error:#}"));
    }
}

#[test]
fn a_minute_on_2_x_10_ms() {
    a_minute(48, (480, 2));
}

#[test]
fn a_minute_on_2_x_48_frames() {
    a_minute(48, (48, 2));
}

#[test]
fn a_minute_on_2_x_16_frames() {
    a_minute(16, (16, 2));
}

#[test]
fn a_hundred_starts_on_2_x_48_frames() {
    many_starts(48, (48, 2));
}

#[test]
fn a_hundred_starts_on_2_x_16_frames() {
    many_starts(16, (16, 2));
}
