//! `cargo xtask test`: format, lints, tests.

use std::process::Command;

use anyhow::{Context, bail};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Options {
    /// Also the slow tests (binaries named full_*)
    #[arg(long)]
    full: bool,
}

/// Runs the steps in order and stops at the first that fails.
///
/// # Errors
/// Names the step that failed.
pub fn run(options: &Options) -> anyhow::Result<()> {
    step("format", &["fmt", "--all", "--check"])?;
    step(
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    let nextest = Command::new("cargo")
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    match (nextest, options.full) {
        (true, false) => step(
            "tests",
            &[
                "nextest",
                "run",
                "--workspace",
                "--no-fail-fast",
                "-E",
                "not binary(/^full_/)",
            ],
        ),
        (true, true) => step("tests", &["nextest", "run", "--workspace", "--no-fail-fast"]),
        (false, _) => step("tests", &["test", "--workspace", "--no-fail-fast", "--quiet"]),
    }
}

fn step(name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    println!("== {name}: cargo {}", arguments.join(" "));
    let status = Command::new("cargo")
        .args(arguments)
        .status()
        .with_context(|| format!("starting cargo for {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}
