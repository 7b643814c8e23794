//! The guest's initramfs: busybox, kernel modules, ALSA's tools with their libraries, and the caller's files.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cpio::Archive;
use super::modules::Modules;
use super::{GuestError, Kernel, at, libraries, output_of};

const INIT: &str = include_str!("../../guest/init.sh");
const MODULES: [&str; 3] = ["virtio_pci", "virtio_console", "virtio_snd"];
/// What a driver that is not in `modules.dep` needs.
const DRIVER_NEEDS: [&str; 3] = ["virtio_pci", "virtio_console", "snd_pcm"];

/// A bootable guest: kernel and initramfs on disk.
#[derive(Clone, Debug)]
pub struct GuestImage {
    /// For `-kernel`.
    pub kernel: PathBuf,
    /// For `-initrd`: uncompressed, because TCG is slow at unpacking.
    pub initrd: PathBuf,
}

impl GuestImage {
    /// Writes `initrd` from the kernel's sound modules, `programs` of this machine with their libraries (each at its own
    /// path) and `files` (path in the guest, content, permission bits).
    ///
    /// # Errors
    /// A module, program or library is missing, or the file can't be written.
    pub fn build(
        kernel: &Kernel,
        programs: &[&str],
        files: &[(&str, &[u8], u32)],
        initrd: &Path,
    ) -> Result<Self, GuestError> {
        Self::with_modules(kernel, &[], programs, files, initrd)
    }

    /// The same with more kernel modules, loaded in this order after those of virtio.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn with_modules(
        kernel: &Kernel,
        modules: &[&str],
        programs: &[&str],
        files: &[(&str, &[u8], u32)],
        initrd: &Path,
    ) -> Result<Self, GuestError> {
        let mut archive = Archive::default();
        for directory in ["proc", "sys", "dev", "tmp", "etc"] {
            archive.directory(directory);
        }
        archive.device("dev/console", 0o600, 5, 1);
        archive.file("init", 0o755, INIT.as_bytes().to_vec());
        archive.file("bin/busybox", 0o755, read(&which("busybox")?)?);
        archive.link("bin/sh", "busybox");
        add_modules(&mut archive, kernel, modules)?;
        for program in programs {
            add_program(&mut archive, &which(program)?)?;
        }
        add_tree(&mut archive, Path::new("/usr/share/alsa"))?;
        for (path, data, mode) in files {
            archive.file(path.trim_start_matches('/'), *mode, data.to_vec());
        }
        std::fs::write(initrd, archive.finish()).map_err(at(initrd))?;
        Ok(Self {
            kernel: kernel.image.clone(),
            initrd: initrd.to_path_buf(),
        })
    }
}

fn add_modules(archive: &mut Archive, kernel: &Kernel, more: &[&str]) -> Result<(), GuestError> {
    let mut order = String::new();
    let wanted = if kernel.driver.is_some() { DRIVER_NEEDS } else { MODULES };
    let wanted: Vec<&str> = wanted.iter().chain(more).copied().collect();
    for file in Modules::read(&kernel.modules)?.in_order(&wanted)? {
        let path = kernel.modules.join(&file);
        let (name, data) = match file.strip_suffix(".xz") {
            Some(name) => (name, output_of(Command::new("xz").arg("-dc").arg(&path))?),
            None => (file.as_str(), read(&path)?),
        };
        let name = format!("lib/modules/{}", name.rsplit('/').next().unwrap_or(name));
        order.push_str(&format!("/{name}\n"));
        archive.file(&name, 0o644, data);
    }
    if let Some(driver) = &kernel.driver {
        archive.file("lib/modules/virtio_snd.ko", 0o644, read(driver)?);
        order.push_str("/lib/modules/virtio_snd.ko\n");
    }
    archive.file("etc/modules.order", 0o644, order.into_bytes());
    Ok(())
}

fn add_program(archive: &mut Archive, program: &Path) -> Result<(), GuestError> {
    let libraries = libraries::needed_by(program)?;
    for path in libraries.iter().map(PathBuf::as_path).chain([program]) {
        archive.file(inside(path), 0o755, read(path)?);
    }
    Ok(())
}

fn add_tree(archive: &mut Archive, directory: &Path) -> Result<(), GuestError> {
    for entry in std::fs::read_dir(directory).map_err(at(directory))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            add_tree(archive, &path)?;
        } else {
            archive.file(inside(&path), 0o644, read(&path)?);
        }
    }
    Ok(())
}

fn inside(path: &Path) -> &str {
    path.to_str().unwrap_or_default().trim_start_matches('/')
}

fn read(path: &Path) -> Result<Vec<u8>, GuestError> {
    std::fs::read(path).map_err(at(path))
}

fn which(program: &str) -> Result<PathBuf, GuestError> {
    let places = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    let found = places
        .iter()
        .map(|place| Path::new(place).join(program))
        .find(|path| path.exists());
    found.ok_or_else(|| GuestError::Missing(program.to_owned()))
}
