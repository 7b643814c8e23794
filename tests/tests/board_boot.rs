//! A stock guest's boot beside QEMU's, nested, in one run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;

use system_tests::board::boot;
use system_tests::daemon::program;

#[test]
fn a_stock_guest_is_up_sooner_than_under_qemus_q35_and_microvm() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("board-boot");

    let boots = boot::compare(&folder, &program("hypervisor").unwrap()).unwrap();

    let [ours, others @ ..] = &boots[..] else {
        panic!("{boots:?}")
    };
    assert_eq!((ours.vmm.as_str(), others.len()), ("ours", 2), "{boots:?}");
    assert!(others.iter().all(|other| ours.seconds < other.seconds), "{boots:?}");
}
