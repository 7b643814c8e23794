//! Row 3 with our front end on the shipped daemon: the shortest rings play without EIO, a hang, or a lost or changed frame.
//! This much is true on any machine; that there is no gap either is `full_rings`'s to show.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::rig::short_ring;

#[test]
fn a_ring_of_2_x_10_ms_plays() {
    short_ring(48, (480, 2), 2.0).unwrap();
}

#[test]
fn a_ring_of_2_x_48_frames_plays_at_a_codec_period_of_48() {
    short_ring(48, (48, 2), 2.0).unwrap();
}

#[test]
fn a_ring_of_2_x_16_frames_plays_at_a_codec_period_of_16() {
    short_ring(16, (16, 2), 1.0).unwrap();
}
