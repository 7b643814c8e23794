//! Row 5 on the shipped daemon: every hostile case on one guest, while a second one plays, bit for bit.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use system_tests::coded::compare;
use system_tests::hostile::{cases, run_case};
use system_tests::rig::{Car, Player, Rig, Take};
use system_tests::witness::held;

/// Cases in one go: each has a recording of its own to be held against.
const BATCH: usize = 25;

#[test]
fn every_case_is_answered_or_contained_and_a_second_guest_is_bit_exact() {
    let car = Car {
        guests: 2,
        whole: true,
        ..Car::calm()
    };
    let all: Vec<_> = cases().collect();
    for batch in all.chunks(BATCH) {
        held(car.tolerance(), || -> Result<(), String> {
            let rig = Rig::start("hostile", car.clone()).map_err(|e| format!("{e:#}"))?;
            let take = Take {
                seconds: 60.0,
                ..Take::default()
            };
            let good = Player::start(&rig.socket(1), take).map_err(|e| format!("{e:#}"))?;
            let before: Vec<u32> = ["control", "engine"]
                .map(|role| rig.process(role, None).unwrap())
                .to_vec();
            for case in batch {
                let outcome = run_case(&rig.socket(0), case, true);
                assert!(outcome.held(), "{}: {outcome:?}", case.name);
            }
            assert!(!good.is_finished(), "the second guest played all the while");
            let (sent, stats) = good.finish().map_err(|e| format!("{e:#}"))?;
            let after: Vec<u32> = ["control", "engine"]
                .map(|role| rig.process(role, None).unwrap())
                .to_vec();
            assert_eq!(before, after, "a process died");
            assert_eq!((stats.lost, stats.errors), (0, 0));
            let report = compare(&sent, &rig.settled(1).map_err(|e| format!("{e:#}"))?, 4);
            let runs = report.runs.len();
            report
                .is_exact()
                .then_some(())
                .ok_or_else(|| format!("{runs} runs, {} zeros; {stats:?}", report.inner_zeros))
        })
        .unwrap();
    }
}
