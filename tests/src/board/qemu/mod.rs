//! The QEMU that virtual time needs.
//!
//! QEMU up to 10 at least delivers an interrupt that VMRUN injects (EVENTINJ) at once but leaves it pending, so it is
//! delivered again at the next return to the main loop, which virtual time makes at every timer: nested guests lock up.
//! [`is_sound`] finds that out in about a second; [`for_virtual_time`] gives a QEMU that passes, built from Debian's source
//! with one line corrected where the installed one doesn't.

mod build;
mod probe;

pub use build::{PACKAGES, Progress};

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::cache;
use crate::guest::{GuestError, at};

const INSTALLED: &str = "qemu-system-x86_64";
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// A QEMU without the nested fault: the one built before, the installed one if it is sound, or one built now (minutes).
///
/// # Errors
/// It can't be built here, or what was built has the fault.
pub fn for_virtual_time(progress: Progress<'_>) -> Result<PathBuf, GuestError> {
    let directory = cache().join(build::DIRECTORY);
    let built = directory.join(INSTALLED);
    std::fs::create_dir_all(&directory).map_err(at(&directory))?;
    // Two may want it at the same time; the lock ends with the file.
    let lock = directory.join("lock");
    let lock_file = std::fs::File::create(&lock).map_err(at(&lock))?;
    lock_file.lock().map_err(at(&lock))?;
    if built.exists() {
        return Ok(built);
    }
    if is_sound(Path::new(INSTALLED)).unwrap_or(false) {
        return Ok(INSTALLED.into());
    }
    let fresh = build::build(&directory, progress)?;
    if !is_sound(&fresh)? {
        return Err(GuestError::Program {
            program: fresh.display().to_string(),
            message: "built from Debian's source with the correction, it still delivers injected interrupts twice"
                .into(),
        });
    }
    std::fs::rename(&fresh, &built).map_err(at(&fresh))?;
    Ok(built)
}

/// Whether this QEMU delivers an interrupt injected by VMRUN once.
///
/// # Errors
/// It can't be started, or can't run the probe (no SVM, no firmware).
pub fn is_sound(qemu: &Path) -> Result<bool, GuestError> {
    let elf = std::env::temp_dir().join(format!("carillon-svm-probe-{}.elf", std::process::id()));
    std::fs::write(&elf, probe::elf()).map_err(at(&elf))?;
    let deliveries = run(qemu, &elf);
    // A temporary file: left for the system to tidy up if it can't be removed.
    let _ = std::fs::remove_file(&elf);
    match deliveries? {
        probe::ONCE => Ok(true),
        probe::TWICE => Ok(false),
        other => Err(GuestError::Program {
            program: qemu.display().to_string(),
            message: format!("the probe for the nested fault ended with status {other}"),
        }),
    }
}

/// The probe's exit status.
fn run(qemu: &Path, elf: &Path) -> Result<i32, GuestError> {
    let fail = |message: String| GuestError::Program {
        program: qemu.display().to_string(),
        message,
    };
    let mut command = Command::new(qemu);
    for place in super::machine::FIRMWARE {
        command.args(["-L", place]);
    }
    command
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-machine",
            "q35",
        ])
        .args([
            "-accel",
            "tcg",
            "-icount",
            "shift=0,sleep=off",
            "-cpu",
            "max",
            "-m",
            "64M",
        ])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel"])
        .arg(elf)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| fail(error.to_string()))?;
    let end = Instant::now() + PROBE_LIMIT;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| fail(error.to_string()))? {
            return status.code().ok_or_else(|| fail(status.to_string()));
        }
        if Instant::now() > end {
            // Both fail only if it has just ended.
            let _ = child.kill();
            let _ = child.wait();
            return Err(fail("the probe for the nested fault did not end".into()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
