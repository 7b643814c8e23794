//! `cargo xtask demo` as a developer types it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod demo_common;

#[test]
fn the_demo_passes_all_its_checks_on_the_board() {
    let (status, report) = demo_common::demo(&[]);

    let events = passed(status, &report);
    assert!(events.contains("guest cluster is gone"), "{events}");
}

#[test]
fn the_demo_passes_all_its_checks_without_the_board_and_says_what_it_did() {
    let (status, report) = demo_common::demo(&["--no-vm-board"]);

    let events = passed(status, &report);
    assert!(events.contains("cluster: aplay prompt.wav"), "{events}");
}

/// Every check passed, recording and picture are there; what happened.
fn passed(status: Option<i32>, report: &serde_json::Value) -> String {
    assert_eq!((status, &report["passed"]), (Some(0), &true.into()), "{report:#}");
    assert!(report["checks"].as_array().unwrap().len() >= 10, "{report:#}");
    for file in ["wav", "picture"] {
        let path = report[file].as_str().unwrap();
        assert!(std::fs::metadata(path).unwrap().len() > 10_000, "{path}");
    }
    let events = report["events"].to_string();
    for event in ["ducked -14.0 dB by cluster.prompt", "chime seatbelt begins"] {
        assert!(events.contains(event), "{event}: {events}");
    }
    events
}
