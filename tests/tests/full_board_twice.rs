//! Virtual time: two runs of the whole system come to the same figures. Of 3 s and of a minute each; both take too long for every day.

mod board_common;

use std::time::Duration;

#[test]
fn two_runs_with_other_seeds_have_the_same_latencies_and_counts() {
    board_common::come_to_the_same("twice", 3, Duration::from_secs(145));
}

#[test]
fn two_runs_of_a_minute_with_other_seeds_have_the_same_latencies_and_counts() {
    board_common::come_to_the_same("twice-long", 60, Duration::from_secs(590));
}
