//! `cargo xtask test`: format, lints, tests.
//!
//! With `cargo-nextest` the rules are in `.config/nextest.toml`: hung tests are ended, tests held to a real clock get the
//! cores to themselves. Without it, `cargo test` runs the same tests; those of `system-tests` one at a time.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

/// Binaries of long tests: only with `--full`.
const FULL: &str = "full_";
/// The package whose tests are held to a real clock.
const CLOCKED: &str = "system-tests";

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Options {
    /// Also the slow tests (binaries named full_*)
    #[arg(long)]
    full: bool,
    /// Run the tests with `cargo test` even if cargo-nextest is installed
    #[arg(long)]
    plain: bool,
}

/// Runs the steps in order and stops at the first that fails.
///
/// # Errors
/// Names the step that failed.
pub fn run(options: &Options) -> anyhow::Result<()> {
    crate::room::ensure()?;
    crate::setup::ensure()?;
    let mut steps = vec![
        ("format", words("fmt --all --check")),
        (
            "lints",
            words("clippy --workspace --all-targets --quiet -- -D warnings"),
        ),
        (
            "lints with cpal",
            words("clippy -p audiod --lib --features cpal --quiet -- -D warnings"),
        ),
    ];
    // Built once, with progress; a test that had to would be ended as hung.
    crate::board::qemu()?;
    let tests = integration_tests()?;
    let on_board = !crate::kvm::usable();
    if has_nextest() && !options.plain {
        steps.push(("tests", nextest(&tests, options.full, on_board)));
    } else {
        steps.extend(plain(&tests, options.full, on_board));
    }
    let count = steps.len();
    for (n, (name, arguments)) in steps.iter().enumerate() {
        step(&format!("[{}/{count}] {name}", n + 1), arguments)?;
    }
    if on_board {
        crate::kvm::on_the_board()?;
    }
    crate::rtsan::run()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn has_nextest() -> bool {
    Command::new("cargo")
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A binary of integration tests: its package and name.
struct Binary {
    package: String,
    name: String,
}

fn integration_tests() -> anyhow::Result<Vec<Binary>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("starting cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let items = |value: &serde_json::Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for package in items(&metadata, "packages") {
        for target in items(&package, "targets") {
            if items(&target, "kind").iter().any(|kind| kind == "test") {
                found.push(Binary {
                    package: package["name"].as_str().unwrap_or_default().to_owned(),
                    name: target["name"].as_str().unwrap_or_default().to_owned(),
                });
            }
        }
    }
    Ok(found)
}

fn nextest(tests: &[Binary], full: bool, on_board: bool) -> Vec<String> {
    let mut arguments = words("nextest run --workspace");
    let mut without = Vec::new();
    // nextest takes a filter that matches nothing for a mistake.
    if !full && tests.iter().any(|test| test.name.starts_with(FULL)) {
        without.push(format!("binary(/^{FULL}/)"));
    }
    if on_board {
        without.push(crate::kvm::filter());
    }
    if !without.is_empty() {
        arguments.extend(["-E".to_owned(), format!("not ({})", without.join(" or "))]);
    }
    arguments
}

/// `cargo test` twice: all that needs no clock, then what does, one at a time.
fn plain(tests: &[Binary], full: bool, on_board: bool) -> Vec<(&'static str, Vec<String>)> {
    let chosen = |clocked: bool| {
        tests
            .iter()
            .filter(move |test| (test.package == CLOCKED) == clocked && (full || !test.name.starts_with(FULL)))
            .filter(move |test| !(on_board && elsewhere(test)))
            .flat_map(|test| ["--test".to_owned(), test.name.clone()])
    };
    let mut free = words("test --workspace --no-fail-fast --quiet --lib --bins");
    free.extend(chosen(false));
    let mut clocked = words("test --no-fail-fast --quiet --package");
    clocked.push(CLOCKED.to_owned());
    clocked.extend(chosen(true));
    clocked.extend(words("-- --test-threads=1"));
    if on_board {
        for test in crate::kvm::BESIDE_DAEMON.iter().filter_map(|(_, test)| *test) {
            clocked.extend(["--skip".to_owned(), test.to_owned()]);
        }
    }
    vec![("tests", free), ("tests held to a clock", clocked)]
}

/// Whether all of a binary's tests run on the board.
fn elsewhere(test: &Binary) -> bool {
    let whole = |(name, one): &(&str, Option<&str>)| one.is_none() && *name == test.name;
    match test.package.as_str() {
        "hypervisor" => crate::kvm::BINARIES.contains(&test.name.as_str()),
        CLOCKED => crate::kvm::BESIDE_DAEMON.iter().any(whole),
        _ => false,
    }
}

fn step(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    println!("== {name}: cargo {}", arguments.join(" "));
    let began = Instant::now();
    let status = Command::new("cargo")
        .args(arguments)
        .status()
        .with_context(|| format!("starting cargo for {name}"))?;
    if !status.success() {
        bail!(
            "{name} failed ({status}); to run it alone: cargo {}",
            arguments.join(" ")
        );
    }
    println!("== {name}: done in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(package: &str, name: &str) -> Binary {
        Binary {
            package: package.into(),
            name: name.into(),
        }
    }

    #[test]
    fn long_tests_run_only_when_asked_for() {
        let tests = [binary("mix", "formats"), binary(CLOCKED, "full_cycles")];

        assert!(nextest(&tests, false, false).contains(&"not (binary(/^full_/))".to_owned()));
        assert_eq!(nextest(&tests, true, false).join(" "), "nextest run --workspace");
        assert!(!plain(&tests, false, false)[1].1.contains(&"full_cycles".to_owned()));
        assert!(plain(&tests, true, false)[1].1.contains(&"full_cycles".to_owned()));
    }

    #[test]
    fn a_filter_that_would_match_nothing_is_left_out() {
        assert_eq!(
            nextest(&[binary("mix", "formats")], false, false).join(" "),
            "nextest run --workspace"
        );
    }

    #[test]
    fn what_needs_kvm_is_left_to_the_board_where_there_is_none() {
        let tests = [
            binary("hypervisor", "vm"),
            binary(CLOCKED, "vm_sound"),
            binary(CLOCKED, "contract"),
        ];

        let [free, clocked] = &plain(&tests, false, true)[..] else {
            panic!("two steps")
        };

        assert!(free.1.join(" ").ends_with("--lib --bins"));
        let ours = "--skip our_hypervisor_keeps_each_clause_as_documented";
        assert!(
            clocked
                .1
                .join(" ")
                .ends_with(&format!("--test contract -- --test-threads=1 {ours}"))
        );
    }

    #[test]
    fn every_binary_runs_once_without_nextest() {
        let tests = [binary("mix", "formats"), binary(CLOCKED, "mutants")];

        let [free, clocked] = &plain(&tests, false, false)[..] else {
            panic!("two steps")
        };

        assert!(free.1.join(" ").ends_with("--lib --bins --test formats"));
        assert!(clocked.1.join(" ").ends_with("--test mutants -- --test-threads=1"));
    }
}
