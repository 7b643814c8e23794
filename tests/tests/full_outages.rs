//! The long form of `board_outages`: 20 outages of the service VM and 100 of audiod, in five runs of the board.

mod board_common;

use std::time::Duration;

/// Of five: 4 ends of the service VM, 4 of audiod before, between and after them; 19 minutes at most.
fn a_fifth_is_survived(seed: u32) {
    board_common::outages::are_survived(&format!("long{seed}"), seed, 4, 4, Duration::from_secs(1140));
}

#[test]
fn stock_guests_play_bit_for_bit_through_the_first_fifth_of_120_outages() {
    a_fifth_is_survived(1);
}

#[test]
fn stock_guests_play_bit_for_bit_through_the_second_fifth_of_120_outages() {
    a_fifth_is_survived(2);
}

#[test]
fn stock_guests_play_bit_for_bit_through_the_third_fifth_of_120_outages() {
    a_fifth_is_survived(3);
}

#[test]
fn stock_guests_play_bit_for_bit_through_the_fourth_fifth_of_120_outages() {
    a_fifth_is_survived(4);
}

#[test]
fn stock_guests_play_bit_for_bit_through_the_last_fifth_of_120_outages() {
    a_fifth_is_survived(5);
}
