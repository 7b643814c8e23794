//! The root of an initramfs: busybox, kernel modules in load order, programs with their libraries, files.
//! Uncompressed, because TCG is slow at unpacking; the same inputs give the same bytes.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cpio::Archive;
use super::modules::Modules;
use super::{GuestError, Kernel, at, libraries, output_of};

/// Paths of all modules in the order to load them, one a line.
pub const MODULE_ORDER: &str = "etc/modules.order";

/// A root being put together.
pub struct Root {
    archive: Archive,
    order: String,
}

impl Root {
    /// Busybox as `/bin/sh` (its other names are for `init` to link), and `init`.
    ///
    /// # Errors
    /// No busybox on this machine.
    pub fn new(init: &str) -> Result<Self, GuestError> {
        let mut archive = Archive::default();
        for directory in ["proc", "sys", "dev", "tmp", "etc", "run"] {
            archive.directory(directory);
        }
        archive.device("dev/console", 0o600, 5, 1);
        archive.file("init", 0o755, init.as_bytes().to_vec());
        archive.file("bin/busybox", 0o755, read(&which("busybox")?)?);
        archive.link("bin/sh", "busybox");
        Ok(Self {
            archive,
            order: String::new(),
        })
    }

    /// These modules and all they need, after those that are already there.
    ///
    /// # Errors
    /// The kernel has no such module.
    pub fn modules(&mut self, kernel: &Kernel, wanted: &[&str]) -> Result<(), GuestError> {
        for file in Modules::read(&kernel.modules)?.in_order(wanted)? {
            let path = kernel.modules.join(&file);
            let (name, data) = match file.strip_suffix(".xz") {
                Some(name) => (name, output_of(Command::new("xz").arg("-dc").arg(&path))?),
                None => (file.as_str(), read(&path)?),
            };
            self.module(name.rsplit('/').next().unwrap_or(name), data);
        }
        Ok(())
    }

    /// An empty line in the order, for an `init` that loads in two parts.
    pub fn gap(&mut self) {
        self.order.push('\n');
    }

    /// A module that is not one of the kernel's own.
    pub fn module(&mut self, name: &str, data: Vec<u8>) {
        let line = format!("/lib/modules/{name}\n");
        if !self.order.contains(&line) {
            self.order.push_str(&line);
        }
        self.archive.file(&format!("lib/modules/{name}"), 0o644, data);
    }

    /// A program of this machine, by name or path, with its libraries, each at its own path.
    ///
    /// # Errors
    /// It or a library is missing.
    pub fn program(&mut self, program: &str) -> Result<(), GuestError> {
        let path = which(program)?;
        let inside = inside(&path).to_owned();
        self.program_at(&path, &inside)
    }

    /// A program built here, put at `inside`, with its libraries at their own paths.
    ///
    /// # Errors
    /// As [`Self::program`].
    pub fn program_at(&mut self, program: &Path, inside: &str) -> Result<(), GuestError> {
        for library in libraries::needed_by(program)? {
            self.archive.file(self::inside(&library), 0o755, read(&library)?);
        }
        self.file(inside, 0o755, read(program)?);
        Ok(())
    }

    /// A file with these permission bits.
    pub fn file(&mut self, path: &str, mode: u32, data: Vec<u8>) {
        self.archive.file(path.trim_start_matches('/'), mode, data);
    }

    /// An empty directory.
    pub fn directory(&mut self, path: &str) {
        self.archive.directory(path.trim_start_matches('/'));
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.archive.link(path.trim_start_matches('/'), target);
    }

    /// All files under a directory of this machine, at the same paths.
    ///
    /// # Errors
    /// It can't be read.
    pub fn tree(&mut self, directory: &Path) -> Result<(), GuestError> {
        for entry in std::fs::read_dir(directory).map_err(at(directory))?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.tree(&path)?;
            } else {
                self.archive.file(inside(&path), 0o644, read(&path)?);
            }
        }
        Ok(())
    }

    /// The archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.archive.file(MODULE_ORDER, 0o644, self.order.into_bytes());
        self.archive.finish()
    }

    /// Writes the archive, whole or not at all.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(self, path: &Path) -> Result<(), GuestError> {
        let part = path.with_extension(format!("part{}", std::process::id()));
        std::fs::write(&part, self.finish()).map_err(at(&part))?;
        std::fs::rename(&part, path).map_err(at(path))
    }
}

fn inside(path: &Path) -> &str {
    path.to_str().unwrap_or_default().trim_start_matches('/')
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, GuestError> {
    std::fs::read(path).map_err(at(path))
}

fn which(program: &str) -> Result<PathBuf, GuestError> {
    if program.contains('/') {
        return Ok(PathBuf::from(program));
    }
    let places = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    let found = places
        .iter()
        .map(|place| Path::new(place).join(program))
        .find(|path| path.exists());
    found.ok_or_else(|| GuestError::Missing(program.to_owned()))
}
