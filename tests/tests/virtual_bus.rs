//! Row 12 of the policy in virtual time, the short form: fewer domains.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "bus_common/virtual_time.rs"]
mod virtual_time;

use std::time::Duration;

#[test]
fn an_attack_on_the_bus_makes_nothing_late_and_no_system_call_of_the_engine() {
    virtual_time::an_attack_changes_nothing("virtual-bus", 0.5, 50, Duration::from_secs(840));
}
