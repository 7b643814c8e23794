//! A stock guest's shortest ring on the emulated board, in virtual time; `engine_latency` of audiod holds what it needs of the engine.

mod board_common;

use std::time::Duration;

#[test]
fn a_stock_guest_on_2_x_1_ms_is_never_late_in_4_s() {
    board_common::rings::no_period_comes_late("rings", 4, Duration::from_secs(840));
}

#[test]
fn a_stock_guest_on_2_x_1_ms_is_never_late_in_a_minute() {
    board_common::rings::no_period_comes_late("rings-long", 60, Duration::from_secs(1150));
}
