//! Row 3 with our front end on the shipped daemon: the shortest rings play without EIO, a hang, or a lost or changed frame.
//! This much is true on any machine; that there is no gap either is `full_rings`'s to show.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::short_ring::ShortRing;

#[test]
fn a_ring_of_2_x_10_ms_plays() {
    ShortRing::start(48, (480, 2)).unwrap().play(2.0).unwrap();
}

#[test]
fn a_ring_of_2_x_48_frames_plays_at_a_codec_period_of_48() {
    ShortRing::start(48, (48, 2)).unwrap().play(2.0).unwrap();
}

#[test]
fn a_ring_of_2_x_16_frames_plays_at_a_codec_period_of_16() {
    ShortRing::start(16, (16, 2)).unwrap().play(1.0).unwrap();
}
