//! What can be proven before anything runs, all of it at once.
//!
//! ```text
//!  manifest ──[`meaning`]──► findings of the manifest alone: no file, no host is looked at
//!           ──[`host`]─────► findings of this host, read through [`host::Host`]
//! ```
//! An error of the manifest is exit code 3, one of permission 4, one of the host 5; warnings stop nothing.

pub mod host;
mod links;
mod meaning;
mod owners;
mod system;

use std::path::Path;

use crate::manifest::{self, Manifest, Report};
pub use host::Host;
pub use meaning::meaning;
pub use system::System;

/// Reads and checks a manifest's text by itself.
pub fn manifest(file: &Path, text: &str) -> (Manifest, Report) {
    let folder = file.parent().unwrap_or(Path::new(""));
    let (manifest, mut findings) = manifest::read(text, folder);
    // What is missing or misspelt explains much of what would be found next.
    if !findings.iter().any(|found| found.code == "syntax") {
        findings.extend(meaning(&manifest));
    }
    (manifest, Report::new(file.display().to_string(), text, findings))
}
