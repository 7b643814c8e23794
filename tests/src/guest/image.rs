//! The guest's initramfs: busybox, kernel modules, ALSA's tools with their libraries, and the caller's files.

use std::path::{Path, PathBuf};

use super::root::{Root, read};
use super::{GuestError, Kernel};

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
        let mut root = Root::new(INIT)?;
        let wanted = if kernel.driver.is_some() { DRIVER_NEEDS } else { MODULES };
        root.modules(kernel, &[&wanted[..], modules].concat())?;
        if let Some(driver) = &kernel.driver {
            root.module("virtio_snd.ko", read(driver)?);
        }
        for program in programs {
            root.program(program)?;
        }
        root.tree(Path::new("/usr/share/alsa"))?;
        for (path, data, mode) in files {
            root.file(path, *mode, data.to_vec());
        }
        root.write(initrd)?;
        Ok(Self {
            kernel: kernel.image.clone(),
            initrd: initrd.to_path_buf(),
        })
    }
}
