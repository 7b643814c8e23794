//! The hypervisor's tests of `/dev/kvm` on a machine without a usable one: they run on the emulated board, whose kernel has its
//! own. System tests that start VMs beside a daemon of this host (`vm_sound`, `contract`) fail there: none is left out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use system_tests::board::{Board, Codec, Contents, Image};
use system_tests::nested;

/// Test binaries of the hypervisor that start VMs.
const BINARIES: [&str; 3] = ["vm", "setup", "parent"];
/// Boot and some fifty VMs, translated.
const LIMIT: Duration = Duration::from_secs(600);
/// `KVM_CREATE_VM`: `_IO(0xAE, 0x01)`.
const KVM_CREATE_VM: libc::c_ulong = 0xae01;

/// Whether this machine's `/dev/kvm` makes VMs for this user.
pub fn usable() -> bool {
    let Ok(kvm) = std::fs::File::options().read(true).write(true).open("/dev/kvm") else {
        return false;
    };
    // SAFETY: an ioctl without an argument on a descriptor that is open; the VM it gives is closed below.
    let vm = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&kvm), KVM_CREATE_VM, 0) };
    if vm >= 0 {
        // SAFETY: a fresh descriptor that nothing else owns.
        unsafe { libc::close(vm) };
    }
    vm >= 0
}

/// nextest's expression for the tests that run on the board in place of this machine.
pub fn filter() -> String {
    let binaries = BINARIES.map(|name| format!("binary(={name})")).join(" or ");
    format!("(package(hypervisor) and ({binaries}))")
}

/// Runs the hypervisor's tests of VMs on the board.
///
/// # Errors
/// They don't build, the board doesn't come up, or one of them fails.
pub fn on_the_board() -> anyhow::Result<()> {
    println!("== the hypervisor's tests of VMs on the emulated board");
    let built = build()?;
    let folder = crate::image::directory().join("kvm");
    std::fs::create_dir_all(&folder)?;
    let target = crate::image::directory().join("..").canonicalize()?;
    let mut scenario = format!("status=0; mkdir -p {}; ", place(&target.join("tmp"))?);
    let mut contents = Contents::default();
    for (name, path) in &built {
        let inside = if name == "hypervisor" {
            place(path)?
        } else {
            format!("/tests/{name}")
        };
        if name != "hypervisor" {
            scenario += &format!("{inside} --test-threads=1 || status=1; ");
        }
        contents.built.push((path.clone(), inside));
    }
    contents.scenario = Some(scenario + "exit $status");
    let kernel = nested::kernel()?;
    let image = Image::build(&kernel, &contents, &folder.join("board.cpio"))?;
    let mut board = Board::new("kvm", image, folder);
    board.codec = Codec::None;
    let log = board.log("board");
    let outcome = board.start()?.finish(LIMIT)?;
    print!("{}", log.text());
    if outcome.status != 0 {
        bail!("tests of VMs failed on the board (exit {})", outcome.status);
    }
    Ok(())
}

/// The place that the tests were built to look at.
fn place(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("a folder's name is not text")?.to_owned())
}

/// Builds the tests and the program they start; their names and where they are.
fn build() -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut command = Command::new("cargo");
    command.args(["test", "-p", "hypervisor", "--no-run", "--message-format", "json"]);
    BINARIES.iter().for_each(|name| {
        command.args(["--test", name]);
    });
    let output = command.output().context("starting cargo")?;
    if !output.status.success() {
        bail!(
            "the hypervisor's tests don't build:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let mut found = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        if let (Some(path), Some(name)) = (message["executable"].as_str(), message["target"]["name"].as_str()) {
            found.push((name.to_owned(), PathBuf::from(path)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_runs_on_the_board_is_named_by_binary() {
        assert_eq!(
            super::filter(),
            "(package(hypervisor) and (binary(=vm) or binary(=setup) or binary(=parent)))"
        );
    }
}
