//! `cargo xtask rtsan`: the engine's tests under LLVM's real-time sanitizer.
//!
//! The runtime comes with the Rust toolchain; nothing is downloaded.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// What cargo is told, without the environment.
const ARGUMENTS: &str = "test -p audiod --features rtsan --test engine_rtsan";

/// Runs the tests.
///
/// # Errors
/// When the toolchain has no runtime, or a test fails.
pub fn run() -> anyhow::Result<()> {
    let library = library()?;
    println!(
        "== sanitizer: RTSAN_ENABLE=1 RTSAN_LIB_PATH={} cargo {ARGUMENTS}",
        library.display()
    );
    let status = Command::new("cargo")
        .args(ARGUMENTS.split(' '))
        .env("RTSAN_ENABLE", "1")
        .env("RTSAN_LIB_PATH", &library)
        .status()
        .context("starting cargo for the sanitizer")?;
    // The daemon with the sanitizer in it now lies where system tests take theirs from.
    let restored = Command::new("cargo")
        .args(["build", "--quiet", "--package", "audiod"])
        .status()
        .context("starting cargo for the daemon without the sanitizer")?;
    if !status.success() {
        bail!("the real-time sanitizer run failed ({status}); to run it alone: cargo xtask rtsan");
    }
    if !restored.success() {
        bail!("building the daemon without the sanitizer failed ({restored})");
    }
    Ok(())
}

/// The sanitizer's runtime in the toolchain (its name holds the channel's).
fn library() -> anyhow::Result<PathBuf> {
    let print = |what: &str| -> anyhow::Result<String> {
        let output = Command::new("rustc")
            .args(what.split(' '))
            .output()
            .context("starting rustc")?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let host = print("--print host-tuple")?;
    let folder = Path::new(&print("--print sysroot")?)
        .join("lib/rustlib")
        .join(host)
        .join("lib");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files = entries.flatten().map(|entry| entry.path());
    files
        .find(|path| path.to_string_lossy().ends_with("_rt.rtsan.a"))
        .with_context(|| {
            format!(
                "no real-time sanitizer in {}; rustup's stable toolchain has it",
                folder.display()
            )
        })
}
