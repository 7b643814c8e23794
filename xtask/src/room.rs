//! Room on the disk for a first build: a linker that runs out of it dies of a bus error, which tells nobody the cause.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

/// Bytes in a GiB.
const GIB: u64 = 1 << 30;
/// What the workspace's first build with all tests takes, with line tables, incremental state and the QEMU of the board.
const WHOLE: u64 = 11 * GIB;
/// The same without line tables and without incremental state.
const LEAN: u64 = 5 * GIB;

/// Refuses a first build that the disk can't hold; a target folder that is already filled is let through.
///
/// # Errors
/// Names the folder, what is free, what is needed, and the cure.
pub fn ensure() -> anyhow::Result<()> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    if target.join("debug/audiod").exists() {
        return Ok(());
    }
    let lean = is("CARGO_INCREMENTAL", &["0"]) && is("CARGO_PROFILE_DEV_DEBUG", &["0", "none", "false"]);
    verdict(free()?, lean)
}

fn is(variable: &str, values: &[&str]) -> bool {
    std::env::var(variable).is_ok_and(|value| values.contains(&value.as_str()))
}

/// Bytes an unprivileged writer still finds where the workspace lies.
fn free() -> anyhow::Result<u64> {
    let output = Command::new("df")
        .args(["--block-size=1", "--output=avail", env!("CARGO_MANIFEST_DIR")])
        .output()
        .context("df (Debian package coreutils) cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.split_whitespace().last().unwrap_or_default();
    last.parse().with_context(|| format!("df printed no figure: {text}"))
}

fn verdict(free: u64, lean: bool) -> anyhow::Result<()> {
    let need = if lean { LEAN } else { WHOLE };
    if free >= need {
        return Ok(());
    }
    let cure = if lean {
        "free some"
    } else {
        "free some, or build without line tables and incremental state, which takes less than 5 GiB: \
         CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=none cargo xtask test"
    };
    bail!(
        "target/: the first build needs {} GiB, {:.1} GiB are free; {cure}",
        need / GIB,
        // One decimal of a GiB: no figure of a disk comes near the 52 bits that stay exact.
        free as f64 / GIB as f64
    )
}

#[cfg(test)]
mod tests {
    use super::{GIB, verdict};

    #[test]
    fn a_disk_too_small_is_refused_with_the_cure() {
        let whole = verdict(5 * GIB, false).map_err(|error| error.to_string());
        let lean = verdict(GIB, true).map_err(|error| error.to_string());

        assert!(
            whole.is_err_and(|text| text.contains("11 GiB, 5.0 GiB are free") && text.contains("CARGO_INCREMENTAL=0"))
        );
        assert!(lean.is_err_and(|text| text.contains("5 GiB, 1.0 GiB are free")));
    }

    #[test]
    fn the_lean_build_goes_ahead_where_the_whole_one_would_not() {
        assert!(verdict(6 * GIB, true).is_ok());
    }
}
