//! QEMU from Debian's source package, with one line corrected and only the devices that the board has.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::guest::apt::{Source, codename, sources};
use crate::guest::{GuestError, at, only_entry, output_of};

/// Folder under the cache; another recipe gets another name.
pub const DIRECTORY: &str = "qemu-1";
/// Debian packages that the build and the use of what is built need.
pub const PACKAGES: [&str; 12] = [
    "build-essential",
    "ninja-build",
    "pkg-config",
    "libglib2.0-dev",
    "python3-venv",
    "flex",
    "bison",
    "bzip2",
    "dpkg-dev",
    "seabios",
    "qemu-system-data",
    "ipxe-qemu",
];
/// What Debian's Python is too old for, or lacks.
const PYTHON: [&str; 6] = ["meson>=1.5", "pycotap", "tomli", "setuptools", "wheel", "distlib"];
/// Suites to look in after those of this machine.
const SUITES: [&str; 1] = ["trixie"];
const MAJOR: u32 = 10;

const FAULT: (&str, &str) = (
    "target/i386/tcg/system/svm_helper.c",
    "do_interrupt_x86_hardirq(env, vector, 1);",
);
const CORRECTION: &str = "\n            cs->exception_index = -1;";
/// Debian's tarball has no firmware blobs to unpack.
const BLOBS: (&str, &str, &str) = ("pc-bios/meson.build", "if unpack_edk2_blobs", "if false");
const DEVICES: &str = "CONFIG_Q35=y\nCONFIG_VTD=y\nCONFIG_HPET=y\nCONFIG_HDA=y\nCONFIG_AC97=y\nCONFIG_VIRTIO_PCI=y\n\
    CONFIG_VIRTIO_SERIAL=y\nCONFIG_VIRTIO_RNG=y\nCONFIG_VIRTIO_NET=y\nCONFIG_ISA_DEBUG=y\nCONFIG_SERIAL_ISA=y\n";
const CONFIGURE: [&str; 10] = [
    "--target-list=x86_64-softmmu",
    "--without-default-features",
    "--without-default-devices",
    "--with-devices-x86_64=board",
    "--enable-system",
    "--enable-tcg",
    "--disable-docs",
    "--disable-tools",
    "--disable-download",
    "--disable-install-blobs",
];

/// Told what is being done, and how many of how many steps of it are.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u32, u32);

/// Builds in a folder under `directory` that is removed afterwards; returns the program.
pub fn build(directory: &Path, progress: Progress<'_>) -> Result<PathBuf, GuestError> {
    let directory = &directory.canonicalize().map_err(at(directory))?;
    let work = directory.join("work");
    if work.exists() {
        std::fs::remove_dir_all(&work).map_err(at(&work))?;
    }
    std::fs::create_dir_all(&work).map_err(at(&work))?;
    progress("QEMU: source", 0, 1);
    let tree = unpack(&download(&work)?, &work)?;
    correct(&tree)?;
    progress("QEMU: configure", 0, 1);
    let build = configure(&tree, &work)?;
    compile(&build, progress)?;
    let program = directory.join("fresh");
    output_of(
        Command::new("strip")
            .arg("-o")
            .arg(&program)
            .arg(build.join("qemu-system-x86_64")),
    )?;
    std::fs::remove_dir_all(&work).map_err(at(&work))?;
    Ok(program)
}

/// The upstream tarball of Debian's source package, through this machine's own mirror and without touching its apt set-up.
fn download(work: &Path) -> Result<PathBuf, GuestError> {
    let mut tried = Vec::new();
    for source in candidates(&sources()?, codename().as_deref()) {
        let list = work.join("source.list");
        std::fs::write(&list, entry(&source)).map_err(at(&list))?;
        let lists = work.join("lists/partial");
        std::fs::create_dir_all(&lists).map_err(at(&lists))?;
        let apt = || {
            let mut command = Command::new("apt-get");
            command
                .current_dir(work)
                .args([
                    "-qq",
                    "-o",
                    "Dir::Etc::sourceparts=/dev/null",
                    "-o",
                    "APT::Sandbox::User=root",
                ])
                .arg("-o")
                .arg(format!("Dir::Etc::sourcelist={}", list.display()))
                .arg("-o")
                .arg(format!("Dir::State::lists={}", work.join("lists").display()));
            command
        };
        let fetched = output_of(apt().arg("update"))
            .and_then(|_| output_of(apt().args(["source", "--download-only", "--tar-only", "qemu"])));
        match fetched.and_then(|_| only_entry(work, "qemu_")) {
            Ok(archive) if major(&archive).is_some_and(|major| major >= MAJOR) => return Ok(archive),
            Ok(archive) => {
                std::fs::remove_file(&archive).map_err(at(&archive))?;
                tried.push(format!("{:?}: older than {MAJOR}", source.suites));
            }
            Err(error) => tried.push(format!("{:?}: {error}", source.suites)),
        }
    }
    Err(GuestError::Missing(format!(
        "source package qemu >= {MAJOR} ({})",
        tried.join("; ")
    )))
}

/// Suites of the release's own archive, the newest first: backports, later releases, the release.
fn candidates(sources: &[Source], codename: Option<&str>) -> Vec<Source> {
    let main = sources
        .iter()
        .find(|source| codename.is_some_and(|name| source.suites.iter().any(|suite| suite == name)));
    let Some(main) = main else { return Vec::new() };
    let codename = codename.unwrap_or_default();
    let suites = [format!("{codename}-backports")].into_iter();
    let suites = suites.chain(SUITES.map(str::to_owned)).chain([codename.to_owned()]);
    let one = |suite| Source {
        suites: vec![suite],
        ..main.clone()
    };
    suites.map(one).collect()
}

fn entry(source: &Source) -> String {
    // A keyring file; a key written into the source itself is in apt's trusted set or the download fails.
    let key = source.signed_by.as_deref().filter(|key| key.starts_with('/'));
    let options = key.map_or_else(String::new, |key| format!("[signed-by={key}] "));
    format!("deb-src {options}{} {} main\n", source.uri, source.suites.join(" "))
}

/// `qemu_10.0.2+ds.orig.tar.xz` → 10
fn major(archive: &Path) -> Option<u32> {
    let name = archive.file_name()?.to_str()?;
    name.strip_prefix("qemu_")?.split('.').next()?.parse().ok()
}

fn unpack(archive: &Path, work: &Path) -> Result<PathBuf, GuestError> {
    let tree = work.join("tree");
    std::fs::create_dir(&tree).map_err(at(&tree))?;
    output_of(
        Command::new("tar")
            .arg("xf")
            .arg(archive)
            .arg("-C")
            .arg(&tree)
            .arg("--strip-components=1"),
    )?;
    Ok(tree)
}

fn correct(tree: &Path) -> Result<(), GuestError> {
    let (path, line) = FAULT;
    replace(&tree.join(path), line, &format!("{line}{CORRECTION}"))?;
    let (path, line, other) = BLOBS;
    replace(&tree.join(path), line, other)?;
    let devices = tree.join("configs/devices/x86_64-softmmu/board.mak");
    std::fs::write(&devices, DEVICES).map_err(at(&devices))
}

/// Exactly one occurrence: a source that has changed is no longer the one that was read.
fn replace(path: &Path, from: &str, to: &str) -> Result<(), GuestError> {
    let text = std::fs::read_to_string(path).map_err(at(path))?;
    if text.matches(from).count() != 1 {
        return Err(GuestError::Program {
            program: path.display().to_string(),
            message: format!("`{from}` is not there once: this QEMU needs another correction, or none"),
        });
    }
    std::fs::write(path, text.replace(from, to)).map_err(at(path))
}

fn configure(tree: &Path, work: &Path) -> Result<PathBuf, GuestError> {
    let python = work.join("python");
    output_of(Command::new("python3").args(["-m", "venv"]).arg(&python))?;
    output_of(
        Command::new(python.join("bin/pip"))
            .args(["-q", "install"])
            .args(PYTHON),
    )?;
    let build = work.join("build");
    std::fs::create_dir(&build).map_err(at(&build))?;
    output_of(
        Command::new(tree.join("configure"))
            .current_dir(&build)
            .arg(format!("--python={}", python.join("bin/python3").display()))
            .args(CONFIGURE)
            .arg("--disable-debug-info"),
    )?;
    Ok(build)
}

/// ninja writes `[done/all] …` lines.
fn compile(build: &Path, progress: Progress<'_>) -> Result<(), GuestError> {
    let fail = |message: String| GuestError::Program {
        program: "ninja".into(),
        message,
    };
    let mut child = Command::new("ninja")
        .arg("qemu-system-x86_64")
        .current_dir(build)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| fail(error.to_string()))?;
    let mut last = String::new();
    for line in BufReader::new(child.stdout.take().ok_or_else(|| fail("no output".into()))?)
        .lines()
        .map_while(Result::ok)
    {
        match steps(&line) {
            Some((done, all)) => progress("QEMU: compile", done, all),
            None => last = line,
        }
    }
    let status = child.wait().map_err(|error| fail(error.to_string()))?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| fail(format!("{status}: {last}")))
}

fn steps(line: &str) -> Option<(u32, u32)> {
    let (done, all) = line.strip_prefix('[')?.split_once(']')?.0.split_once('/')?;
    Some((done.parse().ok()?, all.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(suite: &str) -> Source {
        Source {
            uri: "http://mirror.example/debian".to_owned(),
            suites: vec![suite.to_owned()],
            signed_by: Some("/k.gpg".to_owned()),
        }
    }

    #[test]
    fn the_source_comes_from_the_releases_own_mirror_backports_first() {
        let own = [source("bookworm-security"), source("bookworm")];

        let lines: Vec<String> = candidates(&own, Some("bookworm")).iter().map(entry).collect();

        let expected = ["bookworm-backports", "trixie", "bookworm"];
        assert_eq!(
            lines,
            expected.map(|suite| format!("deb-src [signed-by=/k.gpg] http://mirror.example/debian {suite} main\n"))
        );
        assert!(candidates(&own, None).is_empty());
    }

    #[test]
    fn versions_and_steps_are_read() {
        assert_eq!(major(Path::new("/w/qemu_10.0.2+ds.orig.tar.xz")), Some(10));
        assert_eq!(steps("[12/1311] Compiling C object a.o"), Some((12, 1311)));
        assert_eq!(steps("FAILED: a.o"), None);
    }
}
