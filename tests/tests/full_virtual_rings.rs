//! Row 3 in virtual time, the long form: a minute on the shortest rings and a hundred starts, without a gap.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Duration;

use system_tests::virtual_rings::{self, Course};

/// So many takes of so many seconds on one daemon.
fn without_a_gap(name: &str, period: u32, ring: (u32, u32), (takes, seconds): (u32, f64)) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("virtual-rings-{name}"));
    let course = Course {
        period,
        ring,
        takes,
        seconds,
        halt_ms: 0,
    };

    let heard = virtual_rings::run(&folder, &[course], Duration::from_secs(1100)).unwrap();

    assert!(heard[0].is_without_a_gap(), "{heard:?}");
}

const A_MINUTE: (u32, f64) = (1, 60.0);
/// The first frames after START are judged as often.
const MANY_STARTS: (u32, f64) = (100, 0.1);

#[test]
fn a_minute_on_2_x_10_ms() {
    without_a_gap("long-480", 48, (480, 2), A_MINUTE);
}

#[test]
fn a_minute_on_2_x_48_frames() {
    without_a_gap("long-48", 48, (48, 2), A_MINUTE);
}

#[test]
fn a_minute_on_2_x_16_frames() {
    without_a_gap("long-16", 16, (16, 2), A_MINUTE);
}

#[test]
fn a_hundred_starts_on_2_x_48_frames() {
    without_a_gap("starts-48", 48, (48, 2), MANY_STARTS);
}

#[test]
fn a_hundred_starts_on_2_x_16_frames() {
    without_a_gap("starts-16", 16, (16, 2), MANY_STARTS);
}
