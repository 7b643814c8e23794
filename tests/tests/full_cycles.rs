//! Row 6 on the shipped daemon, the long form.

mod cycles_common;

#[test]
fn ten_thousand_cycles_leave_nothing_behind() {
    cycles_common::cycles(1000);
}
