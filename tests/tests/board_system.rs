//! The whole system on the emulated board, in virtual time.

mod board_common;

use std::time::Duration;

#[test]
fn stock_guests_in_ram_and_bounce_and_a_partition_in_pool_are_heard_mixed_bit_for_bit_without_an_xrun() {
    board_common::three_play("short", 1, 4, Duration::from_secs(840));
}
