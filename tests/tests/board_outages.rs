//! Outages of audiod and of the service VM, on the emulated board, in virtual time.

mod board_common;

use std::time::Duration;

#[test]
fn stock_guests_play_bit_for_bit_again_after_audiod_and_after_the_service_vm_were_killed() {
    board_common::outages::are_survived("short", 1, 1, 1, Duration::from_secs(840));
}
