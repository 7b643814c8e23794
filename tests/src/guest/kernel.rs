//! Debian's stock kernel, downloaded by apt and unpacked without being installed. Cached by package version.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{GuestError, at, driver, output_of};

/// Which of Debian's builds of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// The usual one.
    Stock,
    /// With PREEMPT_RT.
    RealTime,
}

/// An unpacked kernel package.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Compressed kernel image, as QEMU's `-kernel` takes it.
    pub image: PathBuf,
    /// `/lib/modules/RELEASE` of the package, with `modules.dep`.
    pub modules: PathBuf,
    /// The virtio-sound driver where the package has none.
    pub driver: Option<PathBuf>,
}

impl Kernel {
    /// The newest Debian kernel of a series (`"6.12"`, `"6.1"`), from `cache` or by `apt-get download`.
    ///
    /// # Errors
    /// No such package in the machine's apt sources, or a step failed.
    pub fn fetch(series: &str, cache: &Path) -> Result<Self, GuestError> {
        Self::fetch_flavour(series, Flavour::Stock, cache)
    }

    /// As [`Self::fetch`], of a flavour.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub fn fetch_flavour(series: &str, flavour: Flavour, cache: &Path) -> Result<Self, GuestError> {
        let names = output_of(Command::new("apt-cache").args(["pkgnames", &format!("linux-image-{series}")]))?;
        let architecture = output_of(Command::new("dpkg").arg("--print-architecture"))?;
        let package = newest_of(
            series,
            flavour,
            String::from_utf8_lossy(&architecture).trim(),
            &String::from_utf8_lossy(&names),
        )
        .ok_or_else(|| GuestError::Missing(format!("a package linux-image-{series}*")))?;
        let directory = cache.join(&package);
        // Two may want it at the same time; the lock ends with the file.
        let lock = cache.join("lock");
        let lock_file = std::fs::File::create(&lock).map_err(at(&lock))?;
        lock_file.lock().map_err(at(&lock))?;
        if !directory.join("done").exists() {
            unpack(&package, &directory)?;
        }
        let mut kernel = Self::in_directory(&directory)?;
        if !kernel.modules.join("kernel/sound/virtio").exists() {
            let release = kernel.modules.file_name().unwrap_or_default().to_string_lossy();
            kernel.driver = Some(driver::build(series, &release, &directory.join("driver"))?);
        }
        Ok(kernel)
    }

    fn in_directory(directory: &Path) -> Result<Self, GuestError> {
        let image = only_entry(&directory.join("boot"), "vmlinu")?;
        let library = directory.join("lib/modules");
        let library = if library.exists() {
            library
        } else {
            directory.join("usr/lib/modules")
        };
        Ok(Self {
            image,
            modules: only_entry(&library, "")?,
            driver: None,
        })
    }
}

/// Is this Debian package installed?
#[must_use]
pub fn installed(package: &str) -> bool {
    output_of(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .is_ok_and(|status| status == b"installed")
}

/// The newest stock (not cloud, not real-time, not debug) kernel package of a series, a signed one before an unsigned one.
#[must_use]
pub fn newest(series: &str, architecture: &str, names: &str) -> Option<String> {
    newest_of(series, Flavour::Stock, architecture, names)
}

fn newest_of(series: &str, flavour: Flavour, architecture: &str, names: &str) -> Option<String> {
    let prefix = format!("linux-image-{series}");
    let rank = |name: &str| {
        let rest = name.strip_prefix(&prefix)?;
        let (version, signed) = match rest.strip_suffix("-unsigned") {
            Some(version) => (version, false),
            None => (rest, true),
        };
        let version = version.strip_suffix(&format!("-{architecture}"))?;
        let version = match flavour {
            Flavour::Stock => version,
            Flavour::RealTime => version.strip_suffix("-rt")?,
        };
        // "6.1" must not take 6.12, and the meta package ("linux-image-6.12-amd64") has no image in it.
        let stock = version.starts_with(['.', '-']) && !version.contains("cloud") && !version.contains("rt");
        let numbers: Vec<u32> = version
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect();
        (stock && !numbers.is_empty()).then_some((signed, numbers))
    };
    names
        .lines()
        .filter_map(|name| Some((rank(name)?, name)))
        .max()
        .map(|(_, name)| name.to_owned())
}

fn unpack(package: &str, directory: &Path) -> Result<(), GuestError> {
    if directory.exists() {
        std::fs::remove_dir_all(directory).map_err(at(directory))?;
    }
    std::fs::create_dir_all(directory).map_err(at(directory))?;
    output_of(
        Command::new("apt-get")
            .args(["download", "-qq", package])
            .current_dir(directory),
    )?;
    let archive = only_entry(directory, "linux-image")?;
    output_of(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(directory))?;
    std::fs::remove_file(&archive).map_err(at(&archive))?;
    let modules = Kernel::in_directory(directory)?.modules;
    let release = modules.file_name().unwrap_or_default().to_owned();
    let base = if directory.join("lib/modules").exists() {
        directory.to_path_buf()
    } else {
        directory.join("usr")
    };
    output_of(Command::new(depmod()).arg("-b").arg(base).arg(release))?;
    let done = directory.join("done");
    std::fs::write(&done, b"").map_err(at(&done))
}

/// `depmod` is outside the path of ordinary users.
fn depmod() -> &'static str {
    if Path::new("/usr/sbin/depmod").exists() {
        "/usr/sbin/depmod"
    } else {
        "/sbin/depmod"
    }
}

pub(crate) fn only_entry(directory: &Path, prefix: &str) -> Result<PathBuf, GuestError> {
    let entries = std::fs::read_dir(directory).map_err(at(directory))?;
    let mut found = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let missing = || GuestError::Missing(format!("{}/{prefix}*", directory.display()));
    found.next().map(|entry| entry.path()).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "linux-image-6.12-amd64\nlinux-image-6.12.9+deb12-amd64\nlinux-image-6.12.88+deb12-amd64\n\
        linux-image-6.12.95+deb12-amd64-unsigned\nlinux-image-6.12.95+deb12-rt-amd64\nlinux-image-6.12.95+deb12-cloud-amd64\n\
        linux-image-6.12.88+deb12-amd64-dbg\nlinux-image-6.1.0-9-amd64\nlinux-image-6.1.0-37-amd64";

    #[test]
    fn the_newest_signed_stock_kernel_of_the_series_is_taken() {
        assert_eq!(
            newest("6.12", "amd64", NAMES).as_deref(),
            Some("linux-image-6.12.88+deb12-amd64")
        );
        assert_eq!(
            newest("6.1", "amd64", NAMES).as_deref(),
            Some("linux-image-6.1.0-37-amd64")
        );
    }

    #[test]
    fn an_unsigned_kernel_is_taken_where_no_signed_one_is() {
        let names = "linux-image-6.12.95+deb12-amd64-unsigned";

        assert_eq!(newest("6.12", "amd64", names).as_deref(), Some(names));
        assert_eq!(newest("6.6", "amd64", names), None);
    }

    #[test]
    fn the_real_time_flavour_is_taken_when_asked_for() {
        assert_eq!(
            newest_of("6.12", Flavour::RealTime, "amd64", NAMES).as_deref(),
            Some("linux-image-6.12.95+deb12-rt-amd64")
        );
    }
}
