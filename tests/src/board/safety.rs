//! The safety partition of `examples/safety-guest`, built for a machine without a system, and what it plays.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache;
use crate::guest::{GuestError, at, output_of};

const TARGET: &str = "x86_64-unknown-none";
/// QEMU's status when the partition ended well: `-device isa-debug-exit,iobase=0xf4,iosize=4`.
pub const GOOD: i32 = 0x10 << 1 | 1;

/// Builds it (a second, then cached) and returns the PVH image.
///
/// # Errors
/// The compiler lacks the target and rustup can't add it, or the build failed.
pub fn build() -> Result<PathBuf, GuestError> {
    Ok(programs()?.join("chime"))
}

/// The guest that tests the partition contract from inside and prints TAP.
///
/// # Errors
/// As [`build`].
pub fn contract() -> Result<PathBuf, GuestError> {
    Ok(programs()?.join("contract"))
}

/// The partition that fills its memory with canaries.
///
/// # Errors
/// As [`build`].
pub fn victim() -> Result<PathBuf, GuestError> {
    Ok(programs()?.join("victim"))
}

/// The guest that, in the service VM's place, looks for them.
///
/// # Errors
/// As [`build`].
pub fn intruder() -> Result<PathBuf, GuestError> {
    Ok(programs()?.join("intruder"))
}

/// QEMU, translated, with such a guest on its serial line; sound device and command line are the caller's to add.
#[must_use]
pub fn under_qemu(kernel: &Path) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["60", "qemu-system-x86_64", "-nodefaults", "-no-user-config"])
        .args(["-display", "none", "-no-reboot", "-accel", "tcg", "-cpu", "max"])
        .args(["-machine", "q35,memory-backend=m", "-m", "64M"])
        .args(["-object", "memory-backend-memfd,id=m,size=64M,share=on"])
        .args(["-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .arg("-kernel")
        .arg(kernel);
    command
}

fn programs() -> Result<PathBuf, GuestError> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/safety-guest");
    let target = cache().join("safety-guest");
    std::fs::create_dir_all(&target).map_err(at(&target))?;
    // Relative, it would be one beside the source.
    let target = target.canonicalize().map_err(at(&target))?;
    let built = target.join(TARGET).join("release");
    // A test that runs on the emulated board finds there what was built outside: no sources, no compiler.
    if !source.exists() {
        return Ok(built);
    }
    if !has_target()? {
        output_of(Command::new("rustup").args(["target", "add", TARGET]))?;
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--release", "--locked", "--target-dir"]);
    cargo.arg(&target).current_dir(&source);
    // Flags and profile of a run under `cargo` or a coverage tool are not meant for this target.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(name);
    }
    output_of(&mut cargo)?;
    Ok(built)
}

fn has_target() -> Result<bool, GuestError> {
    let place = output_of(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
    Ok(Path::new(String::from_utf8_lossy(&place).trim()).exists())
}

/// What it plays, S16 stereo: 1 kHz on the left, a counter on the right, `headroom` bits below full scale.
#[must_use]
pub fn tone(frames: u32, headroom: u32) -> Vec<u8> {
    let frame = |n: u32| {
        let phase = (n % 48) as i32;
        let left = (phase.min(48 - phase) * 2000 - 24_000) >> headroom;
        let right = ((n & 0x7fff) as i32) >> headroom;
        [(left as i16).to_le_bytes(), (right as i16).to_le_bytes()].concat()
    };
    (0..frames).flat_map(frame).collect()
}
