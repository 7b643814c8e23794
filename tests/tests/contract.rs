//! `docs/partition-contract.md` held against what the contract guest finds under our hypervisor and under QEMU.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use system_tests::board::safety;
use system_tests::daemon::{Daemon, program};

const SYSTEM: &str = r#"
version = 1
bus = "@BUS@"
[codecs.main]
backend = "null"
period = 48
[zones.cabin]
codec = "main"
[classes.warning]
safety = true
[guests.partition]
socket = "@FOLDER@/partition.sock"
streams.tone = { class = "warning", zone = "cabin" }
"#;
const MANIFEST: &str = r#"
version = 1
name = "contract"
[host]
cpus = "0"
[partitions.contract]
role = "guest"
cpus = "1"
memory = "64M"
kernel = "@KERNEL@"
panic_device = true
console = "stdio"
restart = { policy = "never" }
[partitions.contract.sound]
socket = "@FOLDER@/partition.sock"
streams = [{ direction = "playback", formats = ["s16"], rates = [48000] }]
"#;

/// Clause → "ok", "not ok" or "vacuous".
type Verdicts = BTreeMap<String, String>;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("contract-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A column of the table in the docs.
fn documented(column: usize) -> Verdicts {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/partition-contract.md");
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let clause = *cells.get(1)?;
        let is_clause = clause.len() == 2 && clause.ends_with(|c: char| c.is_ascii_digit());
        is_clause.then(|| (clause.to_owned(), cells[column].to_owned()))
    };
    text.lines().filter_map(row).collect()
}

/// What the guest found, from its TAP.
fn found(tap: &str) -> Verdicts {
    let line = |line: &str| {
        let (verdict, rest) = match line.strip_prefix("not ") {
            Some(rest) => ("not ok", rest),
            None if line.contains("# SKIP vacuous") => ("vacuous", line),
            None => ("ok", line),
        };
        let clause = rest.strip_prefix("ok ")?.split_once(" - ")?.1.split(' ').next()?;
        Some((clause.to_owned(), verdict.to_owned()))
    };
    tap.lines().map(str::trim_end).filter_map(line).collect()
}

/// Whether this machine's processor has an invariant time-stamp counter to give to its VMs.
fn clock_is_invariant() -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    text.split_whitespace().any(|flag| flag == "nonstop_tsc")
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("contract: done"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn qemu(sound: &[&str]) -> String {
    let mut command = safety::under_qemu(&safety::contract().unwrap());
    command.args(sound);
    run(&mut command)
}

fn daemon(folder: &Path) -> Daemon {
    let place = folder.display().to_string();
    Daemon::start(folder, |bus| SYSTEM.replace("@BUS@", bus).replace("@FOLDER@", &place)).unwrap()
}

#[test]
fn our_hypervisor_keeps_each_clause_as_documented() {
    let folder = folder("ours");
    let _daemon = daemon(&folder);
    let manifest = folder.join("board.toml");
    let kernel = safety::contract().unwrap().display().to_string();
    let text = MANIFEST
        .replace("@KERNEL@", &kernel)
        .replace("@FOLDER@", &folder.display().to_string());
    std::fs::write(&manifest, text).unwrap();

    let mut command = Command::new("timeout");
    command
        .arg("60")
        .arg(program("hypervisor").unwrap())
        .arg("run")
        .arg(&manifest);
    command.args(["--no-host-check", "--run-dir"]).arg(folder.join("run"));
    let tap = run(&mut command);

    let mut kept = documented(3);
    if !clock_is_invariant() {
        // The processor's, not the hypervisor's: the emulated board's has none, and the guest finds that.
        kept.insert("T1".to_owned(), "not ok".to_owned());
    }
    assert_eq!(found(&tap), kept, "{tap}");
    assert!(documented(3).values().all(|verdict| verdict != "not ok"));
}

#[test]
fn qemu_with_the_daemon_keeps_the_clauses_documented() {
    let folder = folder("qemu");
    let _daemon = daemon(&folder);
    let socket = format!("socket,id=s,path={}/partition.sock", folder.display());

    let tap = qemu(&["-chardev", &socket, "-device", "vhost-user-snd-pci,chardev=s"]);

    assert_eq!(found(&tap), documented(4), "{tap}");
}

#[test]
fn qemus_own_device_fails_the_clauses_documented_so_the_guest_can_tell() {
    let tap = qemu(&["-audiodev", "none,id=a", "-device", "virtio-sound-pci,audiodev=a"]);

    assert_eq!(found(&tap), documented(5), "{tap}");
    assert!(documented(5).values().any(|verdict| verdict == "not ok"));
}
