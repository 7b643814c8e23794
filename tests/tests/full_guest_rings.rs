//! The long form of `guest_rings`: a minute.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod guest_common;
#[path = "guest_common/rings.rs"]
mod rings;

#[test]
fn a_minute_on_a_ring_of_two_times_10_ms_on_6_12_loses_no_frame() {
    rings::plays("ring60-6.12", "6.12", 60);
}

#[test]
fn a_minute_on_a_ring_of_two_times_10_ms_on_6_1_loses_no_frame_but_by_its_own_xruns() {
    rings::plays("ring60-6.1", "6.1", 60);
}

#[test]
fn a_minute_on_6_12_has_no_xrun_while_the_machine_is_on_time() {
    rings::a_minute_without_an_xrun("ring60q-6.12", "6.12");
}

#[test]
fn a_minute_on_6_1_has_no_xrun_while_the_machine_is_on_time() {
    rings::a_minute_without_an_xrun("ring60q-6.1", "6.1");
}
