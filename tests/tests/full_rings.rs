//! Row 3, the long form: a minute on the shortest rings, and a minute of quarters of a second without a gap by the witness rule.
//!
//! The minute in one shows what is true on any machine. A gap is ours unless the witness was late in that very quarter, which is
//! then repeated: a whole minute without one late wake-up is not to be had on a shared machine.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use system_tests::rig::ShortRing;
use system_tests::witness::held;

fn a_minute(period: u32, ring: (u32, u32)) {
    let lead = Duration::from_secs_f64(f64::from(2 * period) / 48_000.0);
    let mut short = ShortRing::start(period, ring).unwrap();
    println!("a minute in one: {:?}", short.play(60.0).unwrap());
    for quarter in 0..240 {
        let without_a_gap = || {
            let gaps = short.play(0.25).map_err(|e| format!("{e:#}"))?;
            if gaps.none() { Ok(()) } else { Err(format!("{gaps:?}")) }
        };
        held(lead / 2, without_a_gap).unwrap_or_else(|error| panic!("quarter {quarter}: {error}"));
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
