//! Connections over domains leave nothing behind in the shipped daemon (row 10 of the AudioManager issue; `full_endurance` is the
//! long form).

#[path = "bus_common/endurance.rs"]
mod endurance;

#[test]
fn two_and_a_half_thousand_connections_leave_nothing_behind_after_the_first_thousand() {
    endurance::cycles(2500);
}
