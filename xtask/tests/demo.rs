//! `cargo xtask demo` as a developer types it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod demo_common;

#[test]
fn the_demo_passes_all_its_checks_and_leaves_recording_picture_and_table() {
    let (status, report) = demo_common::demo(&[]);

    assert_eq!((status, &report["passed"]), (Some(0), &true.into()), "{report:#}");
    assert!(report["checks"].as_array().unwrap().len() >= 10, "{report:#}");
    for file in ["wav", "picture"] {
        let path = report[file].as_str().unwrap();
        assert!(std::fs::metadata(path).unwrap().len() > 10_000, "{path}");
    }
    let events = report["events"].to_string();
    for event in [
        "ducked -14.0 dB by cluster.prompt",
        "chime seatbelt begins",
        "cluster: aplay prompt.wav",
    ] {
        assert!(events.contains(event), "{event}: {events}");
    }
}
