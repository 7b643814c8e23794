//! A stock guest on a ring of 2 x 10 ms, whatever else its virtual machine goes through.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod guest_common;
#[path = "guest_common/rings.rs"]
mod rings;

#[test]
fn a_ring_of_two_times_10_ms_on_6_12_loses_no_frame_though_the_machine_is_stopped_again_and_again() {
    rings::plays("ring-6.12", "6.12", 8);
}

#[test]
fn a_ring_of_two_times_10_ms_on_6_1_loses_no_frame_but_by_its_own_xruns_though_the_machine_is_stopped() {
    rings::plays("ring-6.1", "6.1", 8);
}
