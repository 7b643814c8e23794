//! The hostile cases see what they are for: a device that goes deaf is told from one that answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::hostile::{self, Outcome, run_case};
use system_tests::reference::{Mutation, serve};

/// One case against the reference device with a defect.
fn outcome(case: &str, mutation: u32, event_idx: bool) -> Outcome {
    let socket = std::env::temp_dir().join(format!("hostile-{}-{mutation}-{event_idx}", std::process::id()));
    let served = serve(&socket, Mutation(mutation)).unwrap();
    let case = hostile::cases()
        .find(|found| found.name == case)
        .expect("a case of that name");
    run_case(&served.socket, &case, event_idx)
}

#[test]
fn a_device_that_goes_deaf_is_found_deaf() {
    assert_eq!(outcome("descriptor loop", 30, false), Outcome::Deaf);
    assert_eq!(outcome("descriptor loop", 0, false), Outcome::Answered);
}

#[test]
fn a_device_that_serves_nobody_is_found_lost() {
    // Mutant 33 is busy for ever once it has seen an event buffer with EVENT_IDX.
    assert!(matches!(outcome("unknown control code", 33, true), Outcome::Lost(_)));
    assert_eq!(outcome("unknown control code", 0, true), Outcome::Answered);
}

#[test]
fn names_of_cases_are_unique_and_there_are_more_than_the_peers_39() {
    let mut names: Vec<_> = hostile::cases().map(|case| case.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count >= 100, "{count}");
}
