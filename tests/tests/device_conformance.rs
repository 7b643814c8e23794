//! The 33 rows against the device of `vhost-sound`, with and without EVENT_IDX.

#![allow(clippy::unwrap_used)]

use system_tests::conformance::{ROWS, Target, Verdict, run_row};
use system_tests::harness::{Options, Sut};

/// Row and reason.
type Rows = Vec<(u32, String)>;

/// The rows that failed, and those that were vacuous.
fn findings(event_idx: bool) -> (Rows, Rows) {
    let sut = Sut::start(&format!("rows-{event_idx}"), Options::one()).unwrap();
    let target = Target {
        socket: sut.socket(0).to_owned(),
        provoke: None,
        event_idx,
        memory: None,
    };
    let (mut failed, mut vacuous) = (Vec::new(), Vec::new());
    for row in &ROWS {
        match run_row(&target, row).verdict {
            Verdict::Pass => {}
            Verdict::Fail(reason) => failed.push((row.number, reason)),
            Verdict::Vacuous(reason) => vacuous.push((row.number, reason)),
        }
    }
    (failed, vacuous)
}

#[test]
fn no_row_fails_and_only_row_5_is_vacuous() {
    let (failed, vacuous) = findings(false);
    assert!(failed.is_empty(), "failed: {failed:?}");
    assert_eq!(vacuous.iter().map(|v| v.0).collect::<Vec<_>>(), [5], "{vacuous:?}");
}

#[test]
fn no_row_fails_under_event_idx() {
    let (failed, vacuous) = findings(true);
    assert!(failed.is_empty(), "failed: {failed:?}");
    assert_eq!(vacuous.iter().map(|v| v.0).collect::<Vec<_>>(), [5], "{vacuous:?}");
}
