//! Row 1 on the shipped daemon: no row of the checklist fails, and only row 5 does not apply.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::conformance::{Target, Verdict, report, run};
use system_tests::rig::{Car, Rig};

#[test]
fn no_row_fails_and_only_row_5_is_vacuous() {
    let car = Car {
        whole: true,
        lead: 4,
        ..Car::default()
    };
    let rig = Rig::start("rows", car).unwrap();
    let target = Target {
        socket: rig.socket(0),
        provoke: None,
        event_idx: false,
        memory: None,
    };

    let findings = run(&target, &[], |_| {});

    let failed: Vec<String> = findings
        .iter()
        .filter(|finding| matches!(finding.verdict, Verdict::Fail(_)))
        .map(report::line)
        .collect();
    let vacuous: Vec<u32> = findings
        .iter()
        .filter(|finding| matches!(finding.verdict, Verdict::Vacuous(_)))
        .map(|finding| finding.row)
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(vacuous, [5]);
}
