//! Each conformance row has a mutant that fails exactly it; the unmutated device fails none and is vacuous in row 5 only.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;

use system_tests::conformance::{ROWS, Target, Verdict, run_row};
use system_tests::reference::{Mutation, serve};

/// All rows against a device with this defect; the numbers of those that failed and those that were vacuous.
fn findings(mutation: u32) -> (Vec<(u32, String)>, Vec<u32>) {
    let socket: PathBuf = std::env::temp_dir().join(format!("mutant-{}-{mutation}", std::process::id()));
    let served = serve(&socket, Mutation(mutation)).expect("a fresh socket");
    let target = Target {
        socket: served.socket.clone(),
        provoke: None,
        event_idx: false,
        memory: None,
    };
    let (mut failed, mut vacuous) = (Vec::new(), Vec::new());
    for row in &ROWS {
        match run_row(&target, row).verdict {
            Verdict::Pass => {}
            Verdict::Fail(reason) => failed.push((row.number, reason)),
            Verdict::Vacuous(_) => vacuous.push(row.number),
        }
    }
    (failed, vacuous)
}

#[test]
fn the_reference_device_fails_no_row_and_only_row_5_is_vacuous() {
    assert_eq!(findings(0), (vec![], vec![5]));
}

#[test]
fn each_row_but_5_has_a_mutant_that_fails_exactly_it() {
    let rows: Vec<u32> = (1..=33).filter(|row| *row != 5).collect();
    let results: Vec<_> = rows
        .iter()
        .map(|row| {
            std::thread::spawn({
                let row = *row;
                move || findings(row)
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for (row, result) in rows.iter().zip(results) {
        let (failed, vacuous) = result.join().expect("a row panicked");
        if failed.iter().map(|f| f.0).ne([*row]) || vacuous != [5] {
            wrong.push(format!("mutant {row}: failed {failed:?}, vacuous {vacuous:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
