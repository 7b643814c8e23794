//! `cargo xtask am-suite`: the black-box suite against any AudioManager (docs/am-suite.md).

use std::io::IsTerminal;

use anyhow::bail;
use system_tests::am_suite::coverage::Cell;
use system_tests::am_suite::{Outcome, Plan, Report, cases, run as run_suite};

/// Options of `cargo xtask am-suite`. Exit code 0: every case holds, no cell is empty; 1: otherwise; 2: usage.
#[derive(clap::Args)]
pub struct Options {
    /// Shell command that starts the daemon on the bus it finds in its environment; without it: ours
    #[arg(long)]
    daemon: Option<String>,
    /// Only cases whose name contains this (empty cells are no failure then)
    #[arg(long, default_value = "")]
    case: String,
    /// Only print the names of the cases
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Json<'a> {
    cases: &'a [Outcome],
    cells: Vec<Cell>,
}

/// Runs the suite.
///
/// # Errors
/// A case fails, a cell is empty, or the daemon doesn't come up.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let chosen = || cases::all().filter(|case| case.name.contains(&options.case));
    if options.list {
        chosen().for_each(|case| println!("{}", case.name));
        return Ok(());
    }
    let total = chosen().count();
    if total == 0 {
        bail!("no case has `{}` in its name; --list shows them", options.case);
    }
    if options.daemon.is_none() {
        build()?;
    }
    let plan = Plan {
        command: options.daemon.as_deref(),
        filter: &options.case,
        ..Plan::default()
    };
    let mut done = 0;
    let report = run_suite(&plan, |outcome| {
        done += 1;
        show(options, outcome, done, total);
    })?;
    finish(options, &report)
}

/// Our daemon, beside this program.
fn build() -> anyhow::Result<()> {
    let arguments = ["build", "--quiet", "-p", "audiod", "--bin", "audiod"];
    let status = std::process::Command::new("cargo").args(arguments).status()?;
    if !status.success() {
        bail!("building audiod failed ({status})");
    }
    Ok(())
}

fn show(options: &Options, outcome: &Outcome, done: usize, total: usize) {
    if options.json {
        // Progress for who watches.
        if std::io::stderr().is_terminal() {
            eprint!("\r{done} of {total}");
        }
        return;
    }
    println!("{done:>3}/{total}  {:>6} ms  {}", outcome.ms, outcome.name);
    if let Some(failure) = &outcome.failure {
        println!("         FAILS: {failure}");
    }
}

fn finish(options: &Options, report: &Report) -> anyhow::Result<()> {
    let cells = report.coverage.cells();
    let empty = cells.iter().filter(|cell| cell.is_empty()).count();
    let named = cells.iter().filter(|cell| cell.case.is_some()).count();
    let (total, failed) = (report.outcomes.len(), report.failed());
    let all = cells.len();
    if options.json {
        let cases = &report.outcomes;
        println!("{}", serde_json::to_string_pretty(&Json { cases, cells })?);
    } else {
        println!("\n{}", report.coverage.table());
        println!("{total} cases, {failed} failed; {all} cells: {named} reached, {empty} empty, the others can't be");
    }
    if failed > 0 || (empty > 0 && options.case.is_empty()) {
        bail!("{failed} of {total} cases failed, {empty} of {all} cells are empty");
    }
    Ok(())
}
