//! A stock guest's boot beside QEMU's, nested, in one run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;

use system_tests::board::boot;
use system_tests::daemon::program;

#[test]
fn a_stock_guest_is_up_sooner_than_under_qemus_q35_and_microvm() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("board-boot");

    let boots = boot::compare(&folder, &program("hypervisor").unwrap()).unwrap();

    println!("{boots:?}");
    let vmms: Vec<&str> = boots.iter().map(|boot| boot.vmm.as_str()).collect();
    assert_eq!(vmms, ["ours", "advised", "q35", "microvm"], "{boots:?}");
    assert!(boot::is_ahead(&boots), "{boots:?}");
}
