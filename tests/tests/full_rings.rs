//! Row 3, the long form on the real clock: a minute on the shortest rings. No frame is lost or changed on any machine; a gap is ours
//! unless the witness was late just then. On 2 x 16 frames a witness that is late by a tenth of a millisecond explains everything:
//! there, only what holds on any machine is asserted. That there is no gap at all is `full_virtual_rings`'s to show.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::short_ring::ShortRing;

fn a_minute(period: u32, ring: (u32, u32)) {
    let mut short = ShortRing::start(period, ring).unwrap();
    println!("{ring:?}: {}", short.play_without_a_gap_of_ours(60.0).unwrap());
}

/// A hundred takes: the first frames after START are judged as often.
fn a_hundred_starts(period: u32, ring: (u32, u32), play: fn(&mut ShortRing, f64) -> anyhow::Result<String>) {
    let mut short = ShortRing::start(period, ring).unwrap();
    for take in 0..100 {
        play(&mut short, 0.1).unwrap_or_else(|error| panic!("take {take}: {error:#}"));
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
fn a_minute_on_2_x_16_frames_loses_nothing() {
    println!("{}", ShortRing::start(16, (16, 2)).unwrap().play_whole(60.0).unwrap());
}

#[test]
fn a_hundred_starts_on_2_x_48_frames() {
    a_hundred_starts(48, (48, 2), ShortRing::play_without_a_gap_of_ours);
}

#[test]
fn a_hundred_starts_on_2_x_16_frames_lose_nothing() {
    a_hundred_starts(16, (16, 2), ShortRing::play_whole);
}
