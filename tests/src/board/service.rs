//! The audio service VM's image: Debian's kernel, and an initramfs whose first program brings sound up before anything else.
//! The same inputs give the same bytes.

use std::path::{Path, PathBuf};

use super::Image;
use super::image::stripped;
use crate::daemon::{DaemonError, program};
use crate::guest::{GuestError, Kernel, Root, at};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
const INIT: &str = include_str!("../../../examples/service-vm/init.sh");
/// Before audiod: its configuration's disk and the codecs we know. The generic codec driver first: the controller's probe finds
/// it then.
const FIRST: [&str; 6] = [
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "snd-hda-codec-generic",
    "snd-hda-intel",
    "snd-intel8x0",
];
/// Where state has a disk. Its file system asks for its checksum by name.
const STATE: [&str; 2] = ["crc32c_generic", "ext4"];
/// After it: guests' windows and the way to the other VMs.
const THEN: [&str; 4] = ["device_dax", "dax_hmem", "vmw_vsock_virtio_transport", "virtio-rng"];
const USERS: &str = "root:x:0:0::/:/bin/sh\naudiod:x:100:100::/:/bin/sh\n";
const GROUPS: &str = "root:x:0:\naudiod:x:100:\naudio:x:29:audiod\n";

/// The programs of ours in it.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The daemon.
    pub audiod: PathBuf,
    /// Its command.
    pub audioctl: PathBuf,
    /// Guests' way to the bus.
    pub bus_port: PathBuf,
}

impl Programs {
    /// Those built beside the test.
    ///
    /// # Errors
    /// One isn't built.
    pub fn beside() -> Result<Self, DaemonError> {
        Ok(Self {
            audiod: program("audiod")?,
            audioctl: program("audioctl")?,
            bus_port: program("bus-port")?,
        })
    }
}

/// Configuration: paths under `/etc/carillon`, with content.
pub type Configuration = [(String, Vec<u8>)];

/// Writes the image to `initrd`, `configuration` in it.
///
/// # Errors
/// A module, program or library is missing, or a file can't be read or written.
pub fn build(
    kernel: &Kernel,
    programs: &Programs,
    configuration: &Configuration,
    initrd: &Path,
) -> Result<Image, GuestError> {
    let mut root = Root::new(INIT)?;
    root.modules(kernel, &FIRST)?;
    root.gap();
    root.modules(kernel, &STATE)?;
    root.gap();
    root.modules(kernel, &THEN)?;
    for (program, place) in [
        (&programs.audiod, "usr/bin/audiod"),
        (&programs.audioctl, "usr/bin/audioctl"),
        (&programs.bus_port, "usr/bin/bus-port"),
    ] {
        root.program_at(program, place)?;
        root.file(place, 0o755, stripped(program, initrd)?);
    }
    root.program("dbus-daemon")?;
    root.tree(Path::new("/usr/share/alsa"))?;
    root.directory("etc/carillon");
    for (source, place) in [
        ("service-vm/bus.conf", "etc/dbus-1/bus.conf"),
        (
            "dbus/org.genivi.audiomanager.conf",
            "etc/dbus-1/org.genivi.audiomanager.conf",
        ),
    ] {
        let path = Path::new(SOURCES).join(source);
        root.file(place, 0o644, std::fs::read(&path).map_err(at(&path))?);
    }
    root.file("etc/passwd", 0o644, USERS.into());
    root.file("etc/group", 0o644, GROUPS.into());
    for (place, data) in configuration {
        root.file(&format!("etc/carillon/{place}"), 0o644, data.clone());
    }
    root.write(initrd)?;
    Ok(Image {
        kernel: kernel.image.clone(),
        initrd: initrd.to_path_buf(),
    })
}

/// The same configuration as a read-only disk for `config=/dev/vda`: a cpio archive, filled up to whole sectors.
#[must_use]
pub fn disk(configuration: &Configuration) -> Vec<u8> {
    let mut archive = crate::guest::Archive::default();
    for (place, data) in configuration {
        archive.file(place, 0o644, data.clone());
    }
    let mut bytes = archive.finish();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}
