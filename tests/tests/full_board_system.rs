//! The long form of `board_system`: a minute each.

mod board_common;

use std::time::Duration;

#[test]
fn the_whole_system_plays_a_minute_bit_for_bit_without_an_xrun() {
    board_common::three_play("long", 1, 60, Duration::from_secs(1150));
}
