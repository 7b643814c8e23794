//! The board's initramfs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guest::{GuestError, Kernel, Root, at, output_of};

const INIT: &str = include_str!("../../board/init.sh");
/// Consoles, nested guests, pass-through, vsock to guests.
const MODULES: [&str; 6] = [
    "virtio_pci",
    "virtio_console",
    "kvm-amd",
    "vfio-pci",
    "vfio_iommu_type1",
    "vhost_vsock",
];
/// The codec's driver on the board itself. The generic part comes first: found later, a codec is given up in virtual time.
pub const HDA: [&str; 2] = ["snd-hda-codec-generic", "snd-hda-intel"];

/// What goes into the board's root.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// More kernel modules, in load order ([`super::HDA`] for sound on the board itself).
    pub modules: Vec<&'static str>,
    /// Programs of this machine, by name or path, each at its own path with its libraries.
    pub programs: Vec<String>,
    /// Programs built here and their places in the board, stripped, with their libraries.
    pub built: Vec<(PathBuf, String)>,
    /// Files of this machine and their places in the board.
    pub copies: Vec<(PathBuf, String)>,
    /// Trees of this machine, at the same paths.
    pub trees: Vec<PathBuf>,
    /// Files: place, content, permission bits.
    pub files: Vec<(String, Vec<u8>, u32)>,
    /// Shell script that is the board's run, from its first line to power-off; without one the board obeys
    /// [`super::Running::run`].
    pub scenario: Option<String>,
}

/// A bootable board: kernel and initramfs on disk.
#[derive(Clone, Debug)]
pub struct Image {
    /// For `-kernel`.
    pub kernel: PathBuf,
    /// For `-initrd`.
    pub initrd: PathBuf,
}

impl Image {
    /// Writes `initrd`.
    ///
    /// # Errors
    /// A module, program or library is missing, or a file can't be read or written.
    pub fn build(kernel: &Kernel, contents: &Contents, initrd: &Path) -> Result<Self, GuestError> {
        let mut root = Root::new(INIT)?;
        root.modules(kernel, &MODULES)?;
        root.modules(kernel, &contents.modules)?;
        for program in &contents.programs {
            root.program(program)?;
        }
        for (program, place) in &contents.built {
            root.program_at(program, place)?;
            root.file(place, 0o755, stripped(program, initrd)?);
        }
        for tree in &contents.trees {
            root.tree(tree)?;
        }
        for (path, place) in &contents.copies {
            root.file(place, 0o644, std::fs::read(path).map_err(at(path))?);
        }
        for (place, data, mode) in &contents.files {
            root.file(place, *mode, data.clone());
        }
        if let Some(scenario) = &contents.scenario {
            root.file("scenario", 0o644, scenario.clone().into_bytes());
        }
        root.write(initrd)?;
        Ok(Self {
            kernel: kernel.image.clone(),
            initrd: initrd.to_path_buf(),
        })
    }
}

/// A program without symbols: debug builds are ten times the size, and the board copies them by emulation.
pub(super) fn stripped(program: &Path, beside: &Path) -> Result<Vec<u8>, GuestError> {
    let part = beside.with_extension(format!("strip{}", std::process::id()));
    output_of(Command::new("strip").arg("-o").arg(&part).arg(program))?;
    let data = std::fs::read(&part).map_err(at(&part));
    std::fs::remove_file(&part).map_err(at(&part))?;
    data
}
