//! Row 3 in virtual time: the shipped daemon and our front end on the shortest rings, without a gap.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::time::Duration;

use system_tests::virtual_rings::{self, Course};

fn course(period: u32, ring: (u32, u32), seconds: f64) -> Course {
    Course {
        period,
        ring,
        takes: 1,
        seconds,
        halt_ms: 0,
    }
}

#[test]
fn the_shortest_rings_play_without_a_gap_and_an_engine_that_stands_still_is_heard() {
    let courses = [
        course(48, (480, 2), 2.0),
        course(48, (48, 2), 2.0),
        course(16, (16, 2), 1.0),
        Course {
            halt_ms: 5,
            ..course(48, (48, 2), 0.5)
        },
    ];
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("virtual-rings");

    let heard = virtual_rings::run(&folder, &courses, Duration::from_secs(840)).unwrap();

    let (halted, whole) = heard.split_last().unwrap();
    assert!(whole.iter().all(virtual_rings::Heard::is_without_a_gap), "{whole:?}");
    assert!(!halted.is_without_a_gap(), "{halted:?}");
}
