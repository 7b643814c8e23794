//! Row 3 in virtual time, the long form: a minute on the shortest rings and a hundred starts, without a gap.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Duration;

use system_tests::virtual_rings::{self, Course};

fn without_a_gap(name: &str, course: Course) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("virtual-rings-{name}"));

    let heard = virtual_rings::run(&folder, &[course], Duration::from_secs(1100)).unwrap();

    assert!(heard[0].is_without_a_gap(), "{heard:?}");
}

fn a_minute(name: &str, period: u32, ring: (u32, u32)) {
    let course = Course {
        period,
        ring,
        takes: 1,
        seconds: 60.0,
        halt_ms: 0,
    };
    without_a_gap(name, course);
}

/// A hundred takes: the first frames after START are judged as often.
fn many_starts(name: &str, period: u32, ring: (u32, u32)) {
    let course = Course {
        period,
        ring,
        takes: 100,
        seconds: 0.1,
        halt_ms: 0,
    };
    without_a_gap(name, course);
}

#[test]
fn a_minute_on_2_x_10_ms() {
    a_minute("long-480", 48, (480, 2));
}

#[test]
fn a_minute_on_2_x_48_frames() {
    a_minute("long-48", 48, (48, 2));
}

#[test]
fn a_minute_on_2_x_16_frames() {
    a_minute("long-16", 16, (16, 2));
}

#[test]
fn a_hundred_starts_on_2_x_48_frames() {
    many_starts("starts-48", 48, (48, 2));
}

#[test]
fn a_hundred_starts_on_2_x_16_frames() {
    many_starts("starts-16", 16, (16, 2));
}
