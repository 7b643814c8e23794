//! Row 3, the long form: 60 s on the shortest rings without a gap, by the witness rule.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use system_tests::rig::short_ring;
use system_tests::witness::held;

fn without_a_gap(period: u32, ring: (u32, u32)) {
    let lead = Duration::from_secs_f64(f64::from(2 * period) / 48_000.0);
    held(lead / 2, || {
        let gaps = short_ring(period, ring, 60.0).map_err(|e| format!("{e:#}"))?;
        if gaps.none() { Ok(()) } else { Err(format!("{gaps:?}")) }
    })
    .unwrap();
}

#[test]
fn sixty_seconds_on_2_x_10_ms() {
    without_a_gap(48, (480, 2));
}

#[test]
fn sixty_seconds_on_2_x_48_frames() {
    without_a_gap(48, (48, 2));
}

#[test]
fn sixty_seconds_on_2_x_16_frames() {
    without_a_gap(16, (16, 2));
}
