//! `cargo xtask setup`: finds which Debian packages are missing and installs them.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::backports;

const BUILD: [&str; 2] = ["pkg-config", "libasound2-dev"];
/// A bus, and `gdbus` and `busctl` as clients of it.
const TEST: [&str; 3] = ["dbus-daemon", "libglib2.0-bin", "systemd"];
const RUN: [&str; 9] = [
    "busybox-static",
    "alsa-utils",
    "make",
    "strace",
    "xz-utils",
    "kmod",
    "libc-bin",
    "dpkg",
    "e2fsprogs",
];
const QEMU: &str = "qemu-system-x86";
/// `vhost-user-snd-pci` with `controls=on`.
const QEMU_MAJOR: u32 = 10;

/// Options of `cargo xtask setup`.
#[derive(clap::Args)]
pub struct Options {
    /// Only say what is missing (exit 1 if anything is)
    #[arg(long)]
    check: bool,
    /// Only what building and `cargo xtask test` need
    #[arg(long)]
    build_only: bool,
}

/// Runs the command.
///
/// # Errors
/// Something is missing and can't be installed here.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if provide(options)? {
        eprintln!("setup: nothing is missing");
    }
    Ok(())
}

/// Whether nothing was missing.
fn provide(options: &Options) -> anyhow::Result<bool> {
    let mut missing = missing(&BUILD);
    missing.extend(self::missing(&TEST));
    if !options.build_only {
        missing.extend(self::missing(&RUN));
        missing.extend(self::missing(&system_tests::board::qemu::PACKAGES));
    }
    let qemu = !options.build_only && qemu_major().is_none_or(|major| major < QEMU_MAJOR);
    let kernel = !options.build_only && !kernel_known();
    if missing.is_empty() && !qemu && !kernel {
        return Ok(true);
    }
    let mut named = missing.clone();
    if qemu {
        named.push("qemu-system-x86 (>= 10)");
    }
    if kernel {
        named.push("an apt source with linux-image-6.12*");
    }
    eprintln!("setup: missing: {}", named.join(", "));
    if options.check {
        bail!("packages are missing; `cargo xtask setup` installs them");
    }
    if !is_root() {
        bail!(
            "installing needs root; run:  sudo {} setup",
            std::env::current_exe()?.display()
        );
    }
    install(&missing, qemu)?;
    if kernel {
        find_kernel()?;
    }
    Ok(false)
}

/// Installs what all but building needs, if it isn't there.
///
/// # Errors
/// As [`run`].
pub fn ensure() -> anyhow::Result<()> {
    provide(&Options {
        check: false,
        build_only: false,
    })?;
    Ok(())
}

fn missing(packages: &[&'static str]) -> Vec<&'static str> {
    packages
        .iter()
        .copied()
        .filter(|package| !system_tests::guest::installed(package))
        .collect()
}

fn install(packages: &[&str], qemu: bool) -> anyhow::Result<()> {
    apt(&["update", "-qq"])?;
    if !packages.is_empty() {
        apt(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat())?;
    }
    if !qemu {
        return Ok(());
    }
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    let suite;
    if candidate_major().is_none_or(|major| major < QEMU_MAJOR) {
        suite = backports::enable()?;
        apt(&["update", "-qq"])?;
        arguments.extend(["-t", &suite]);
    }
    arguments.push(QEMU);
    apt(&arguments)?;
    match qemu_major() {
        Some(major) if major >= QEMU_MAJOR => Ok(()),
        found => bail!("QEMU {QEMU_MAJOR} or later is needed, after installing there is {found:?}"),
    }
}

/// Guests' kernel: it is unpacked for them, not installed.
fn kernel_known() -> bool {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let names = output("apt-cache", &["pkgnames", "linux-image-6.12"]);
    let architecture = output("dpkg", &["--print-architecture"]);
    system_tests::guest::newest("6.12", architecture.trim(), &names).is_some()
}

fn find_kernel() -> anyhow::Result<()> {
    if !kernel_known() {
        backports::enable()?;
        apt(&["update", "-qq"])?;
    }
    if !kernel_known() {
        bail!("no apt source of this machine has linux-image-6.12*");
    }
    Ok(())
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    eprintln!("setup: apt-get {}", arguments.join(" "));
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let status = command.status().context("starting apt-get (setup knows Debian only)")?;
    if !status.success() {
        bail!("apt-get {} failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// Major version of the installed QEMU.
fn qemu_major() -> Option<u32> {
    let output = Command::new("qemu-system-x86_64").arg("--version").output().ok()?;
    major_of(String::from_utf8_lossy(&output.stdout).split("version ").nth(1)?)
}

/// Major version of what apt would install.
fn candidate_major() -> Option<u32> {
    let output = Command::new("apt-cache")
        .args(["policy", QEMU])
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?
        .to_owned();
    major_of(version.split_once(':').map_or(version.as_str(), |(_, version)| version))
}

fn major_of(version: &str) -> Option<u32> {
    version.split('.').next()?.trim().parse().ok()
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and can't fail.
    unsafe { libc::geteuid() == 0 }
}
