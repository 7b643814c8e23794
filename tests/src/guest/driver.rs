//! The kernel's own virtio-sound driver, built from Debian's source where Debian's kernel leaves it out of its configuration
//! (6.1 does on amd64). Headers and source are downloaded by apt and unpacked beside the kernel; nothing is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{GuestError, at, output_of};

const NAME: &str = "virtio_snd";

/// The driver of kernel `release` (`6.1.0-37-amd64`), built in `directory`; built once.
///
/// # Errors
/// A package is not in the machine's apt sources, or a step failed.
pub fn build(series: &str, release: &str, directory: &Path) -> Result<PathBuf, GuestError> {
    let module = directory.join(format!("{NAME}.ko"));
    if module.exists() {
        return Ok(module);
    }
    if directory.exists() {
        std::fs::remove_dir_all(directory).map_err(at(directory))?;
    }
    std::fs::create_dir_all(directory).map_err(at(directory))?;
    let directory = &directory.canonicalize().map_err(at(directory))?;
    let headers = headers(series, release, directory)?;
    let source = source(series, directory)?;
    output_of(
        Command::new("make")
            .arg("-C")
            .arg(&headers)
            .arg(format!("M={}", source.display()))
            .args(["CC=gcc", "CONFIG_SND_VIRTIO=m", "modules"]),
    )?;
    let built = source.join(format!("{NAME}.ko"));
    std::fs::rename(&built, &module).map_err(at(&built))?;
    Ok(module)
}

/// Unpacks the headers; their makefile names the place where they would be installed.
fn headers(series: &str, release: &str, directory: &Path) -> Result<PathBuf, GuestError> {
    let (common, flavour) = (common(release), format!("linux-headers-{release}"));
    for package in [&flavour, &common, &format!("linux-kbuild-{series}")] {
        let archive = download(package, directory)?;
        output_of(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(directory))?;
        std::fs::remove_file(&archive).map_err(at(&archive))?;
    }
    let sources = directory.join("usr/src");
    let makefile = sources.join(&flavour).join("Makefile");
    let include = format!("include {}\n", sources.join(common).join("Makefile").display());
    std::fs::write(&makefile, include).map_err(at(&makefile))?;
    Ok(sources.join(flavour))
}

/// Only the driver's own directory out of the kernel's whole source.
fn source(series: &str, directory: &Path) -> Result<PathBuf, GuestError> {
    let archive = download(&format!("linux-source-{series}"), directory)?;
    output_of(
        Command::new("sh")
            .args([
                "-c",
                "dpkg-deb --fsys-tarfile \"$1\" | tar -xO \"./usr/src/$2.tar.xz\" | tar -xJ \"$2/sound/virtio\"",
                "sh",
            ])
            .arg(&archive)
            .arg(format!("linux-source-{series}"))
            .current_dir(directory),
    )?;
    std::fs::remove_file(&archive).map_err(at(&archive))?;
    Ok(directory.join(format!("linux-source-{series}/sound/virtio")))
}

fn download(package: &str, directory: &Path) -> Result<PathBuf, GuestError> {
    output_of(
        Command::new("apt-get")
            .args(["download", "-qq", package])
            .current_dir(directory),
    )?;
    super::kernel::only_entry(directory, &format!("{package}_"))
}

/// `6.1.0-37-amd64` → `linux-headers-6.1.0-37-common`.
fn common(release: &str) -> String {
    let version = release.rsplit_once('-').map_or(release, |(version, _)| version);
    format!("linux-headers-{version}-common")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_headers_are_those_of_the_same_version() {
        assert_eq!(common("6.1.0-37-amd64"), "linux-headers-6.1.0-37-common");
        assert_eq!(common("6.12.9+deb12-amd64"), "linux-headers-6.12.9+deb12-common");
    }
}
