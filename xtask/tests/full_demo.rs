//! The demo with each fault planted: exit 1, by the checks that are about it and no other.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod demo_common;

fn fails(fault: &str, by: &[&str]) {
    let (status, report) = demo_common::demo(&["--no-vm-board", "--break", fault]);

    let checks = report["checks"].as_array().unwrap();
    let open: Vec<&str> = checks
        .iter()
        .filter(|c| c["verdict"] != "pass")
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!((status, &report["passed"]), (Some(1), &false.into()), "{report:#}");
    assert_eq!(open, by, "{report:#}");
}

#[test]
fn a_prompt_that_does_not_duck_is_found() {
    fails("duck", &["ducked by the prompt"]);
}

#[test]
fn a_chime_that_is_silent_is_found() {
    fails(
        "chime",
        &["chime is there", "ducked by the chime", "restored after the chime"],
    );
}

#[test]
fn a_prompt_without_a_route_is_found() {
    fails(
        "route",
        &["ducked by the prompt", "restored after the prompt", "prompt is there"],
    );
}
