//! `cargo xtask image` and `cargo xtask qemu`: the stock guest, and one to try things in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use system_tests::board::service;
use system_tests::guest::{Flavour, GuestImage, Kernel, Sound, Vm};

/// ALSA's own tools: what a stock guest plays, records and mixes with.
const PROGRAMS: [&str; 4] = ["aplay", "arecord", "amixer", "speaker-test"];
const BOOT_LIMIT: Duration = Duration::from_secs(120);
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// Options of `cargo xtask image`.
#[derive(clap::Args)]
pub struct Options {
    /// Debian kernel series: 6.12, or 6.1 (without control elements)
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// The audio service VM instead: this folder's files (system.toml, chimes, rc) become its /etc/carillon, on a read-only disk
    #[arg(long, value_name = "FOLDER")]
    service: Option<PathBuf>,
    /// Debian's PREEMPT_RT kernel
    #[arg(long)]
    rt: bool,
}

/// Options of `cargo xtask qemu`.
#[derive(clap::Args)]
pub struct QemuOptions {
    #[command(flatten)]
    image: Options,
    /// vhost-user socket of a running sound back end; without it QEMU's own device plays into target/carillon/qemu.wav
    #[arg(long)]
    socket: Option<PathBuf>,
    /// The back end offers no control elements (leaves out controls=on)
    #[arg(long)]
    no_controls: bool,
    /// Added to the guest's kernel command line
    #[arg(long, default_value = "")]
    append: String,
    /// Shell commands, run in the guest one after the other
    #[arg(default_values = ["cat /proc/asound/cards", "aplay -l", "timeout 30 speaker-test -c 2 -t sine -l 1"])]
    commands: Vec<String>,
}

/// Where everything built goes.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/carillon")
}

/// Builds the guest with extra files (path in the guest, content, permission bits).
///
/// # Errors
/// A package, module or program is missing.
pub fn build(series: &str, files: &[(&str, &[u8], u32)]) -> anyhow::Result<GuestImage> {
    build_as("guest", series, files)
}

/// As [`build`], under a name of its own.
///
/// # Errors
/// As [`build`].
pub fn build_as(name: &str, series: &str, files: &[(&str, &[u8], u32)]) -> anyhow::Result<GuestImage> {
    let directory = directory();
    std::fs::create_dir_all(directory.join("kernel"))?;
    let kernel = Kernel::fetch(series, &directory.join("kernel"))?;
    Ok(GuestImage::build(
        &kernel,
        &PROGRAMS,
        files,
        &directory.join(format!("{name}-{series}.cpio")),
    )?)
}

/// Runs `cargo xtask image`: prints lines that a shell can evaluate.
///
/// # Errors
/// As [`build`].
pub fn run(options: &Options) -> anyhow::Result<()> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if let Some(folder) = &options.service {
        let (image, disk) = service(options, folder)?;
        println!(
            "kernel='{}'\ninitrd='{}'\ndisk='{}'",
            absolute(&image.kernel).display(),
            absolute(&image.initrd).display(),
            absolute(&disk).display()
        );
        return Ok(());
    }
    let image = build(&options.kernel, &[])?;
    println!(
        "kernel='{}'\ninitrd='{}'",
        absolute(&image.kernel).display(),
        absolute(&image.initrd).display()
    );
    Ok(())
}

/// The audio service VM with release builds of the daemon, and its configuration's disk (`config=/dev/vda`).
fn service(options: &Options, folder: &Path) -> anyhow::Result<(system_tests::board::Image, PathBuf)> {
    let programs = release()?;
    let out = directory();
    std::fs::create_dir_all(out.join("kernel"))?;
    let flavour = if options.rt { Flavour::RealTime } else { Flavour::Stock };
    let kernel = Kernel::fetch_flavour(&options.kernel, flavour, &out.join("kernel"))?;
    let image = service::build(&kernel, &programs, &[], &out.join("audio.cpio"))?;
    let configuration = configuration(folder)?;
    let disk = out.join("audio.img");
    std::fs::write(&disk, service::disk(&configuration)).with_context(|| format!("writing {}", disk.display()))?;
    Ok((image, disk))
}

/// The audio service VM with its configuration in the image itself.
///
/// # Errors
/// Something does not build, or the folder has no system.toml.
pub fn service_with(kernel: &Kernel, folder: &Path, initrd: &Path) -> anyhow::Result<()> {
    service::build(kernel, &release()?, &configuration(folder)?, initrd)?;
    Ok(())
}

fn configuration(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found)?;
    if !found.iter().any(|(place, _)| place == "system.toml") {
        bail!("{}: no system.toml in it; `audiod init` writes one", folder.display());
    }
    Ok(found)
}

/// Builds `audiod`, `audioctl` and `bus-port` for the image.
fn release() -> anyhow::Result<service::Programs> {
    let root = directory().join("../..");
    let status = std::process::Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--release",
            "-p",
            "audiod",
            "-p",
            "dbus-api",
            "--bins",
        ])
        .current_dir(&root)
        .status()
        .context("starting cargo")?;
    if !status.success() {
        bail!("cargo build --release -p audiod -p dbus-api failed ({status})");
    }
    let place = root.join("target/release");
    Ok(service::Programs {
        audiod: place.join("audiod"),
        audioctl: place.join("audioctl"),
        bus_port: place.join("bus-port"),
    })
}

/// Files under `folder`, by their path in it.
fn collect(base: &Path, folder: &Path, found: &mut Vec<(String, Vec<u8>)>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(base, &path, found)?;
        } else {
            let place = path.strip_prefix(base)?.display().to_string();
            found.push((
                place,
                std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?,
            ));
        }
    }
    Ok(())
}

/// Runs `cargo xtask qemu`.
///
/// # Errors
/// The guest does not boot, or a command in it fails.
pub fn qemu(options: &QemuOptions) -> anyhow::Result<()> {
    let image = build(&options.image.kernel, &[])?;
    let directory = directory();
    let sound = match &options.socket {
        Some(socket) => Sound::VhostUser {
            socket: socket.clone(),
            controls: !options.no_controls,
        },
        None => Sound::Builtin {
            wav: directory.join("qemu.wav"),
        },
    };
    let vm = Vm {
        name: "guest".to_owned(),
        image,
        memory: 256,
        sound,
        append: options.append.clone(),
        directory,
    };
    let mut guest = vm.start()?;
    guest.wait_ready(BOOT_LIMIT)?;
    println!("booted");
    for command in &options.commands {
        let end = guest.run(command, COMMAND_LIMIT)?;
        println!("$ {command}\n{}", end.output.trim_end());
        if end.status != 0 {
            bail!("`{command}` in the guest: exit status {}", end.status);
        }
    }
    Ok(())
}
