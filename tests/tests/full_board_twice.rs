//! The long form of `board_twice`: a minute each.

mod board_common;

use std::time::Duration;

#[test]
fn two_runs_of_a_minute_with_other_seeds_have_the_same_latencies_and_counts() {
    board_common::come_to_the_same("twice-long", 60, Duration::from_secs(590));
}
