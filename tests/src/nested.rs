//! Guests of our own hypervisor on the emulated board.

use std::path::{Path, PathBuf};

use crate::board::{self, Contents, Image};
use crate::daemon::{DaemonError, program};
use crate::guest::{GuestError, Kernel, Root};

const INIT: &str = include_str!("../board/guest.sh");

/// A stock guest: its initramfs runs a shell script and powers off.
#[derive(Clone, Debug, Default)]
pub struct Linux {
    /// Kernel modules, in load order.
    pub modules: Vec<&'static str>,
    /// Programs of this machine, with their libraries.
    pub programs: Vec<&'static str>,
    /// Programs built here and their places, with their libraries.
    pub built: Vec<(PathBuf, String)>,
    /// Files: place and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// What it does; `card` waits for a sound card.
    pub scenario: String,
}

impl Linux {
    /// The initramfs.
    ///
    /// # Errors
    /// A module, program or library is missing.
    pub fn initramfs(&self, kernel: &Kernel) -> Result<Vec<u8>, GuestError> {
        let mut root = Root::new(INIT)?;
        root.modules(kernel, &self.modules)?;
        for program in &self.programs {
            root.program(program)?;
        }
        for (program, place) in &self.built {
            root.program_at(program, place)?;
        }
        if self.programs.contains(&"aplay") {
            root.tree(Path::new("/usr/share/alsa"))?;
        }
        for (place, data) in &self.files {
            root.file(place, 0o644, data.clone());
        }
        root.file("scenario", 0o644, self.scenario.clone().into_bytes());
        Ok(root.finish())
    }
}

/// What goes onto the board for `hypervisor run /board.toml`: the hypervisor, the manifest, the kernel as `/vmlinuz`.
///
/// # Errors
/// The hypervisor isn't built.
pub fn contents(kernel: &Kernel, manifest: &str, scenario: &str) -> Result<Contents, DaemonError> {
    Ok(Contents {
        built: vec![(program("hypervisor")?, "/bin/hypervisor".to_owned())],
        copies: vec![(kernel.image.clone(), "vmlinuz".to_owned())],
        files: vec![("board.toml".to_owned(), manifest.as_bytes().to_vec(), 0o644)],
        scenario: Some(scenario.to_owned()),
        ..Contents::default()
    })
}

/// The board's image in a folder of its own.
///
/// # Errors
/// As [`Image::build`].
pub fn image(kernel: &Kernel, contents: &Contents, folder: &Path) -> Result<Image, GuestError> {
    Image::build(kernel, contents, &folder.join("board.cpio"))
}

/// Debian's kernel for board and guests, from the cache.
///
/// # Errors
/// As [`Kernel::fetch`].
pub fn kernel() -> Result<Kernel, GuestError> {
    let cache: PathBuf = board::cache().join("kernel");
    std::fs::create_dir_all(&cache).map_err(crate::guest::at(&cache))?;
    Kernel::fetch("6.12", &cache)
}
