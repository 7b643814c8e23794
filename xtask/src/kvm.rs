//! Tests of `/dev/kvm` on a machine without a usable one: they run on the emulated board, whose kernel has its own. The hypervisor's
//! run free; those with a daemon beside the VM in virtual time, since a daemon that is late for its card is no finding there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use system_tests::board::{Board, Clock, Codec, Contents, Image, safety};
use system_tests::nested;

/// Test binaries of the hypervisor that start VMs.
pub const BINARIES: [&str; 3] = ["vm", "setup", "parent"];
/// System tests that start VMs beside a daemon: binary, and the test of it where it has others.
pub const BESIDE_DAEMON: [(&str, Option<&str>); 2] = [
    ("vm_sound", None),
    ("contract", Some("our_hypervisor_keeps_each_clause_as_documented")),
];
/// What those start.
const PROGRAMS: [&str; 3] = ["audiod", "audioctl", "hypervisor"];
/// Of a running stream whose guest must not leave it: 10,000 where `/dev/kvm` works.
const PERIODS: u32 = 1000;
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
    let beside = BESIDE_DAEMON.map(|(name, test)| match test {
        Some(test) => format!("(binary(={name}) and test(={test}))"),
        None => format!("binary(={name})"),
    });
    let beside = beside.join(" or ");
    format!("(package(hypervisor) and ({binaries})) or (package(system-tests) and ({beside}))")
}

/// Runs all tests of VMs on the board.
///
/// # Errors
/// They don't build, the board doesn't come up, or one of them fails.
pub fn on_the_board() -> anyhow::Result<()> {
    println!("== the hypervisor's tests of VMs on the emulated board");
    run(hypervisors()?)?;
    println!("== tests of VMs beside a daemon on the emulated board, in virtual time");
    let mut board = beside_a_daemon()?;
    board.qemu = crate::board::qemu()?;
    board.clock = Clock::Virtual { seed: 1 };
    run(board)
}

fn run(board: Board) -> anyhow::Result<()> {
    let log = board.log("board");
    let outcome = board.start()?.finish(LIMIT)?;
    print!("{}", log.text());
    if outcome.status != 0 {
        bail!("tests of VMs failed on the board (exit {})", outcome.status);
    }
    Ok(())
}

/// The board with the hypervisor's own tests.
fn hypervisors() -> anyhow::Result<Board> {
    let mut contents = Contents::default();
    let mut scenario = String::new();
    for (name, path) in built("test", &["hypervisor"], "--test", &BINARIES)? {
        let inside = if name == "hypervisor" {
            place(&path)?
        } else {
            scenario += &format!("/tests/{name} --test-threads=1 || status=1; ");
            format!("/tests/{name}")
        };
        contents.built.push((path, inside));
    }
    board("kvm", contents, &scenario)
}

/// The board with system tests, the programs they start and the guests, which are built here: it has no compiler.
fn beside_a_daemon() -> anyhow::Result<Board> {
    let mut contents = Contents {
        programs: vec!["dbus-daemon".to_owned()],
        ..Contents::default()
    };
    let mut scenario = String::new();
    for (name, path) in built(
        "test",
        &["system-tests"],
        "--test",
        &BESIDE_DAEMON.map(|(name, _)| name),
    )? {
        let Some((_, test)) = BESIDE_DAEMON.iter().find(|(other, _)| *other == name) else {
            continue;
        };
        let one = test.map_or_else(String::new, |test| format!("--exact {test}"));
        scenario += &format!("/tests/{name} --test-threads=1 {one} || status=1; ");
        contents.built.push((path, format!("/tests/{name}")));
    }
    for (name, path) in built("build", &["audiod", "dbus-api", "hypervisor"], "--bin", &PROGRAMS)? {
        contents.built.push((path, format!("/tests/{name}")));
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    for path in [
        safety::build()?,
        safety::contract()?,
        sources.join("docs/partition-contract.md"),
    ] {
        let inside = place(&path)?;
        contents.copies.push((path, inside));
    }
    contents
        .files
        .push(("etc/passwd".to_owned(), b"root:x:0:0::/:/bin/sh\n".to_vec(), 0o644));
    // The tests look for the documents from their own folder.
    let folder = place(&sources.join("tests"))?;
    let scenario = format!("mkdir -p {folder}; export CARILLON_PERIODS={PERIODS}; {scenario}");
    board("kvm-daemon", contents, &scenario)
}

fn board(name: &str, mut contents: Contents, scenario: &str) -> anyhow::Result<Board> {
    let folder = crate::image::directory().join(name);
    std::fs::create_dir_all(&folder)?;
    let target = crate::image::directory().join("..").canonicalize()?;
    let temporary = place(&target.join("tmp"))?;
    contents.scenario = Some(format!("status=0; mkdir -p {temporary}; {scenario} exit $status"));
    let kernel = nested::kernel()?;
    let image = Image::build(&kernel, &contents, &folder.join("board.cpio"))?;
    let mut board = Board::new(name, image, folder);
    board.codec = Codec::None;
    Ok(board)
}

/// The place that the tests were built to look at.
fn place(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("a folder's name is not text")?.to_owned())
}

/// Builds targets of one kind (`--test`, `--bin`) of these packages, and the programs that tests start; their names and where they are.
fn built(verb: &str, packages: &[&str], kind: &str, names: &[&str]) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut command = Command::new("cargo");
    command.args([verb, "--message-format", "json"]);
    if verb == "test" {
        command.arg("--no-run");
    }
    packages.iter().for_each(|name| {
        command.args(["-p", name]);
    });
    names.iter().for_each(|name| {
        command.args([kind, name]);
    });
    let output = command.output().context("starting cargo")?;
    if !output.status.success() {
        bail!(
            "{} don't build:\n{}",
            packages.join(", "),
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
    fn what_runs_on_the_board_is_named_by_binary_and_test() {
        assert_eq!(
            super::filter(),
            "(package(hypervisor) and (binary(=vm) or binary(=setup) or binary(=parent))) or \
             (package(system-tests) and (binary(=vm_sound) or \
             (binary(=contract) and test(=our_hypervisor_keeps_each_clause_as_documented))))"
        );
    }
}
