//! The black-box suite against the shipped daemon: every case holds and no cell of its table is empty; and against daemons with a
//! fault, each of which it must find.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use system_tests::am_suite::tamper::Fault::{self, *};
use system_tests::am_suite::{Plan, Report, run};

fn against_ours(plan: &Plan<'_>) -> Report {
    let report = run(plan, |outcome| {
        println!("{:>6} ms  {}", outcome.ms, outcome.name);
        if let Some(failure) = &outcome.failure {
            println!("           FAILS: {failure}");
        }
    });
    report.unwrap()
}

#[test]
fn every_case_holds_and_no_cell_of_the_table_is_empty() {
    let filter = std::env::var("AM_SUITE_CASE").unwrap_or_default();
    let plan = Plan {
        filter: &filter,
        ..Plan::default()
    };

    let report = against_ours(&plan);

    println!("{}", report.coverage.table());
    assert_eq!(report.failed(), 0, "cases failed");
    let empty: Vec<String> = report
        .coverage
        .cells()
        .iter()
        .filter(|cell| cell.is_empty())
        .map(|cell| format!("{} {:?} {:?}", cell.member, cell.code, cell.sequence))
        .collect();
    assert!(empty.is_empty() || !filter.is_empty(), "empty cells: {empty:#?}");
}

/// A fault, a case that must fail on it, what it says then.
const FAULTS: &[(Fault, &str, &str)] = &[
    (WrongCode("Connect", 7), "connect_goes_from", "Connect: 7, not 0"),
    (WrongCode("Disconnect", 0), "disconnect_of_an_unknown", "code: 0, not 7"),
    (WrongCode("getVolume", 0), "the_volume_of_an_unknown", "0 -1, not 8 -1"),
    (
        WrongCode("registerSink", 0),
        "elements_names_and",
        "registerSink: 0 0, not 0 5",
    ),
    (
        WrongCode("SetSinkMuteState", 0),
        "a_mute_state_that_is_none",
        "code: 0, not 2",
    ),
    (
        Missing("RemovedMainConnection"),
        "disconnect_goes_over",
        "is not removed",
    ),
    (Missing("VolumeChanged"), "a_volume_is_told_once", "did not come"),
    (Missing("SinkAdded"), "a_sink_is_told", "did not come"),
    (Twice("MainConnectionStateChanged"), "connect_goes_from", "twice"),
    (Late("MainConnectionStateChanged"), "the_reference_exchange", "signals:"),
    (Late("NewMainConnection"), "connect_goes_from", "of which there is none"),
    (
        Misnamed("SourceUpdated", "SinkUpdated"),
        "an_update_is_told",
        "did not come",
    ),
    (WrongNumber("VolumeChanged", 40), "one_volume_of_a_sink", "40, not"),
    (
        WrongNumber("NewMainConnection", 21971),
        "the_reference_exchange",
        "21971",
    ),
    (Short("GetListMainSinks"), "a_sink_is_told", "\"cabin\""),
    (
        Unasked("asyncAbort"),
        "an_aborted_request_is_aborted_once",
        "handles aborted",
    ),
    (
        Unasked("asyncSetSourceState"),
        "the_reference_exchange",
        "not asyncSetSourceState",
    ),
];

#[test]
fn a_daemon_with_a_fault_is_found_out() {
    for (fault, case, says) in FAULTS {
        let plan = Plan {
            filter: case,
            patience: Duration::from_secs(3),
            fault: *fault,
            ..Plan::default()
        };

        let report = run(&plan, |_| {}).unwrap();

        let failures: Vec<&String> = report.outcomes.iter().filter_map(|it| it.failure.as_ref()).collect();
        assert!(
            failures.iter().any(|it| it.contains(says)),
            "{fault:?} on {case}: {failures:#?}"
        );
    }
}

#[test]
fn a_cell_that_nobody_reached_is_empty() {
    let plan = Plan {
        filter: "connect_goes_from",
        ..Plan::default()
    };

    let report = run(&plan, |_| {}).unwrap();

    let empty: Vec<_> = report
        .coverage
        .cells()
        .into_iter()
        .filter(|cell| cell.is_empty())
        .collect();
    assert!(
        empty
            .iter()
            .any(|cell| cell.member == "Disconnect" && cell.code == Some(7))
    );
    assert!(report.coverage.table().contains("EMPTY"));
}
