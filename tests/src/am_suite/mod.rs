//! A black-box suite for any AudioManager: clients and domains on a private bus, against whatever owns the daemon's name there.
//!
//! ```text
//!  subject  starts bus and daemon         stage  a client and domains, read message by message
//!  cases    one behaviour each            trace  what a case was seen to do: members, codes, states of main connections
//!  coverage member x code x state sequence: the case that reached it, or why it can't be reached
//!  tamper   a daemon with a fault, for the suite's own test
//! ```
//! docs/am-suite.md says what the daemon under test has to be configured like.

pub mod bench;
pub mod bus;
pub mod cases;
pub mod coverage;
pub mod domain;
pub mod elements;
pub mod members;
pub mod stage;
pub mod subject;
pub mod tamper;
pub mod trace;
pub mod value;
pub mod words;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use coverage::Coverage;
use stage::Stage;
use tamper::{Fault, Tamper};

/// Longest wait for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Case {
    /// What is promised.
    pub name: &'static str,
    /// Fails with what was seen instead.
    pub run: fn(&mut Stage) -> Result<()>,
}

/// What became of a case.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The case.
    pub name: &'static str,
    /// What was seen instead; `None`: it holds.
    pub failure: Option<String>,
    /// How long it took.
    pub ms: u64,
}

/// What is to be run.
pub struct Plan<'a> {
    /// A shell's command that starts the daemon; without one: ours.
    pub command: Option<&'a str>,
    /// Only cases whose name contains this.
    pub filter: &'a str,
    /// Longest wait for something that must happen.
    pub patience: Duration,
    /// For the suite's own test.
    pub fault: Fault,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            command: None,
            filter: "",
            patience: PATIENCE,
            fault: Fault::Nothing,
        }
    }
}

/// What a run came to.
pub struct Report {
    /// Case by case.
    pub outcomes: Vec<Outcome>,
    /// What they reached.
    pub coverage: Coverage,
}

impl Report {
    /// How many cases failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.outcomes.iter().filter(|it| it.failure.is_some()).count()
    }
}

/// A folder that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("am-suite-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the cases, one after the other on one daemon (a new one after a failure); each outcome is shown as it is there.
///
/// # Errors
/// The daemon can't be started.
pub fn run(plan: &Plan<'_>, mut show: impl FnMut(&Outcome)) -> Result<Report> {
    let mut report = Report {
        outcomes: Vec::new(),
        coverage: Coverage::default(),
    };
    let mut there: Option<(Stage, Scratch)> = None;
    for case in cases::all().filter(|case| case.name.contains(plan.filter)) {
        let (mut stage, scratch) = match there.take() {
            Some(there) => there,
            None => {
                let scratch = Scratch::new()?;
                let tamper = Tamper::from(plan.fault);
                (
                    Stage::start(scratch.path(), plan.command, plan.patience, tamper)?,
                    scratch,
                )
            }
        };
        let began = Instant::now();
        let result = (case.run)(&mut stage);
        report.coverage.add(case.name, &stage.trace);
        let result = result.and_then(|()| stage.clear());
        let outcome = Outcome {
            name: case.name,
            ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            failure: result
                .err()
                .map(|error| format!("{error:#}; {}", stage.subject.state())),
        };
        if outcome.failure.is_none() {
            there = Some((stage, scratch));
        }
        show(&outcome);
        report.outcomes.push(outcome);
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn there_are_at_least_120_cases_each_with_a_name_of_its_own() {
        let names: BTreeSet<&str> = super::cases::all().map(|case| case.name).collect();

        assert_eq!(names.len(), super::cases::all().count());
        assert!(names.len() >= 120, "{}", names.len());
    }

    #[test]
    fn each_test_that_the_table_of_defects_names_is_there() {
        let parity = include_str!("../../../docs/audiomanager-parity.md");
        let routing = include_str!("../../../dbus-api/tests/routing.rs");
        let names: BTreeSet<&str> = super::cases::all().map(|case| case.name).collect();
        let table = parity.split("## Defects").nth(1).unwrap();

        let named = table
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|it| it.contains('_') && !it.contains(['…', '.', ' ']));
        let named: Vec<&str> = named.collect();

        assert!(named.len() > 25, "{named:?}");
        for name in named {
            assert!(
                names.contains(name) || routing.contains(&format!("fn {name}(")),
                "{name}"
            );
        }
    }
}
