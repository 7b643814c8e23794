//! Stock Debian guests under QEMU: kernel and userland from Debian packages, an initramfs, and a line-based control port.
//!
//! ```text
//!  Kernel::fetch ──► GuestImage::build ──► Vm::start ──► Guest::wait_ready ──► Guest::run / spawn / wait ──► drop = killed
//!  (apt, cached)     (initramfs, sorted,    (QEMU: KVM     (modules loaded)      (commands by a
//!                     times zero)            or TCG)                              virtio port)
//! ```

pub mod apt;
mod control;
mod cpio;
mod driver;
mod image;
mod kernel;
mod libraries;
mod modules;
mod qemu;
mod root;

pub(crate) use control::Control;
pub use control::{Finished, Job};
pub(crate) use cpio::Archive;
pub use image::GuestImage;
pub(crate) use kernel::only_entry;
pub use kernel::{Flavour, Kernel, installed, newest};
pub use qemu::{Accelerator, Guest, Sound, Vm};
pub(crate) use qemu::{Process, listen};
pub use root::Root;

use std::path::{Path, PathBuf};

/// What can go wrong with a guest.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// A file or directory could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A program could not be started, or failed.
    #[error("{program}: {message}")]
    Program {
        /// Its name.
        program: String,
        /// What it said.
        message: String,
    },
    /// No package gives this.
    #[error("{0} not found (run `cargo xtask setup`)")]
    Missing(String),
    /// The guest or QEMU did not answer in time.
    #[error("guest {name}: {what} did not come within {seconds} s")]
    Late {
        /// Guest.
        name: String,
        /// What was waited for.
        what: String,
        /// Limit.
        seconds: u64,
    },
    /// QEMU has ended.
    #[error("guest {name}: QEMU ended ({how}); see {}", log.display())]
    Ended {
        /// Guest.
        name: String,
        /// Its exit status or signal.
        how: String,
        /// Its output.
        log: PathBuf,
    },
}

/// Gives an I/O error the path it is about.
pub(crate) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> GuestError + '_ {
    |source| GuestError::File {
        path: path.to_path_buf(),
        source,
    }
}

/// Runs a program to its end and returns its standard output.
pub(crate) fn output_of(command: &mut std::process::Command) -> Result<Vec<u8>, GuestError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let fail = |message: String| GuestError::Program {
        program: program.clone(),
        message,
    };
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| fail(error.to_string()))?;
    if !output.status.success() {
        return Err(fail(format!(
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    Ok(output.stdout)
}
