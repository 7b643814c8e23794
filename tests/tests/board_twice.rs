//! Virtual time: two runs of the whole system come to the same figures.

mod board_common;

use std::time::Duration;

#[test]
fn two_runs_with_other_seeds_have_the_same_latencies_and_counts() {
    board_common::come_to_the_same("twice", 3, Duration::from_secs(145));
}
