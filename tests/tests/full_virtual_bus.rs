//! Row 12 of the policy in virtual time, the long form.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "bus_common/virtual_time.rs"]
mod virtual_time;

use std::time::Duration;

#[test]
fn a_thousand_hostile_domains_a_flood_and_fuzz_make_nothing_late_and_no_system_call_of_the_engine() {
    virtual_time::an_attack_changes_nothing("virtual-bus-long", 4.0, 1000, Duration::from_secs(900));
}
