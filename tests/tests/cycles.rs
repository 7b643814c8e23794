//! Row 6 on the shipped daemon: cycles leave nothing behind.

mod cycles_common;

#[test]
fn four_hundred_cycles_leave_nothing_behind() {
    cycles_common::cycles(40);
}
