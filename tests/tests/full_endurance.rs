//! Connections over domains leave nothing behind in the shipped daemon, the long form.

#[path = "bus_common/endurance.rs"]
mod endurance;

#[test]
fn a_hundred_thousand_connections_leave_nothing_behind_after_the_first_thousand() {
    endurance::cycles(100_000);
}
