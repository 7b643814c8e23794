//! The parent and its VMs, with the program that ships and bare-metal guests on `/dev/kvm`: who dies, who goes on, who is found
//! again.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "vm/guests.rs"]
mod guests;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A system of partitions in a folder of its own. What is left of it is stopped when it is dropped.
struct System {
    folder: PathBuf,
    parent: Option<Child>,
}

/// A partition's table in the manifest.
struct Partition {
    name: &'static str,
    kernel: Vec<u8>,
    restart: &'static str,
}

fn partition(name: &'static str, kernel: Vec<u8>) -> Partition {
    let restart = "{ delay_ms = 0 }";
    Partition { name, kernel, restart }
}

impl System {
    fn new(name: &str, partitions: &[Partition]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("parent-{name}"));
        let _none = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let members: String = partitions
            .iter()
            .map(|p| format!("members.{} = {{}}\n", p.name))
            .collect();
        let mut text = format!("version = 1\nname = \"{name}\"\n[sets.all]\ncpus = \"0\"\n{members}");
        for Partition { name, kernel, restart } in partitions {
            fs::write(folder.join(name), kernel).unwrap();
            text += &format!(
                "[partitions.{name}]\nrole = \"guest\"\nset = \"all\"\nvcpus = 1\nmemory = \"16M\"\nkernel = \"{name}\"\n\
                 restart = {restart}\n"
            );
        }
        fs::write(folder.join("board.toml"), text).unwrap();
        Self { folder, parent: None }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hypervisor"));
        command.current_dir(&self.folder).args(arguments);
        if arguments[0] != "check" {
            command.args(["--run-dir", "run"]);
        }
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts `run`; its words go to a file.
    fn run(&mut self) {
        let said = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("said"))
            .unwrap();
        let mut command = self.command(&["run", "board.toml", "--no-host-check"]);
        self.parent = Some(command.stdin(Stdio::null()).stderr(said).spawn().unwrap());
    }

    /// Ends the parent like a crash would.
    fn kill_parent(&mut self) {
        let mut parent = self.parent.take().unwrap();
        parent.kill().unwrap();
        parent.wait().unwrap();
    }

    /// The exit code of `run`, when it ends.
    fn ended(&mut self) -> Option<i32> {
        let mut parent = self.parent.take().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while parent.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "run does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
        parent.wait().unwrap().code()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.join("said")).unwrap_or_default()
    }

    fn status(&self) -> Value {
        let output = self.output(&["status", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until the status is as wanted, and gives the partitions' processes.
    fn wait(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Vec<u64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                let partitions = status["partitions"].as_array().unwrap();
                return partitions
                    .iter()
                    .map(|state| state["pid"].as_u64().unwrap_or(0))
                    .collect();
            }
            assert!(Instant::now() < deadline, "never {what}: {status:#}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn all_running(&self) -> Vec<u64> {
        self.wait("all running", |status| {
            let partitions = status["partitions"].as_array().unwrap();
            !partitions.is_empty() && partitions.iter().all(|state| state["state"] == "running")
        })
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ended = self.output(&["stop"]);
        if let Some(mut parent) = self.parent.take() {
            let _ended = parent.wait();
        }
    }
}

/// Longest wait: this machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

fn alive(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn kill(pid: u64) {
    signal("-9", pid);
}

fn signal(which: &str, pid: u64) {
    let status = Command::new("kill").args([which, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

fn two_that_spin() -> [Partition; 2] {
    [partition("one", guests::spin()), partition("two", guests::spin())]
}

#[test]
fn a_parent_that_is_killed_leaves_its_vms_running_and_the_next_one_takes_them_over() {
    let mut system = System::new("killed", &two_that_spin());
    system.run();
    let before = system.all_running();

    system.kill_parent();

    let status = system.status();
    assert_eq!(status["watched"], false);
    assert_eq!(system.all_running(), before, "they went on and are found");
    system.run();
    system.wait("watched", |status| status["watched"] == true);
    assert_eq!(system.all_running(), before, "taken over, not started anew");
    // The new parent watches them: one that dies is started again, the other doesn't notice.
    kill(before[0]);
    let after = system.wait("another process", |status| {
        let first = &status["partitions"][0];
        first["state"] == "running" && first["pid"] != before[0]
    });
    assert_eq!(after[1], before[1]);
    assert_eq!(system.output(&["stop"]).status.code(), Some(0));
    assert_eq!(system.ended(), Some(0));
    assert!(!alive(after[0]) && !alive(after[1]));
}

#[test]
fn a_vm_that_is_killed_is_started_again_and_nobody_else_notices() {
    let mut system = System::new("vm-killed", &two_that_spin());
    system.run();
    let mut before = system.all_running();
    for _ in 0..3 {
        kill(before[1]);
        let after = system.wait("started again", |status| {
            let second = &status["partitions"][1];
            second["state"] == "running" && second["pid"] != before[1]
        });
        assert_eq!(after[0], before[0]);
        before = after;
    }
}

#[test]
fn restart_renews_one_partition_with_and_without_a_parent() {
    let mut system = System::new("restart", &two_that_spin());
    system.run();
    let first = system.all_running();

    assert_eq!(system.output(&["restart", "two"]).status.code(), Some(0));

    let second = system.wait("renewed", |status| {
        let two = &status["partitions"][1];
        two["state"] == "running" && two["pid"] != first[1]
    });
    assert_eq!(second[0], first[0]);
    system.kill_parent();
    let output = system.output(&["restart", "one"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let third = system.all_running();
    assert!(third[0] != second[0] && third[1] == second[1], "{second:?} {third:?}");
    assert_eq!(system.output(&["restart", "three"]).status.code(), Some(2));
}

#[test]
fn stop_without_a_parent_ends_what_is_left() {
    let mut system = System::new("stop", &two_that_spin());
    system.run();
    let running = system.all_running();
    system.kill_parent();

    assert_eq!(system.output(&["stop", "one"]).status.code(), Some(0));
    assert!(!alive(running[0]) && alive(running[1]));
    assert_eq!(system.output(&["stop"]).status.code(), Some(0));
    assert!(!alive(running[1]));
}

#[test]
fn a_vm_that_hangs_is_gone_when_stop_returns_without_a_parent_too() {
    let mut system = System::new("stop-hung", &[partition("one", guests::spin())]);
    system.run();
    let running = system.all_running();
    system.kill_parent();
    signal("-STOP", running[0]);

    assert_eq!(system.output(&["stop"]).status.code(), Some(0));

    assert!(!alive(running[0]));
}

#[test]
fn a_running_vm_is_sandboxed_in_every_thread_and_holds_no_file_it_was_not_given() {
    let mut system = System::new("sandboxed", &[partition("one", guests::spin())]);
    system.run();
    let pid = system.all_running()[0];

    let threads: Vec<PathBuf> = fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .map(|task| task.unwrap().path())
        .collect();
    assert!(threads.len() >= 2, "vCPU and door at least");
    for thread in threads {
        let status = fs::read_to_string(thread.join("status")).unwrap();
        assert!(
            status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"),
            "{status}"
        );
    }
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let Ok(target) = fs::read_link(entry.unwrap().path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        let run = system.folder.join("run").to_string_lossy().into_owned();
        let own = ["anon_inode:", "socket:", "/memfd:", "/dev/null", "/dev/kvm"]
            .iter()
            .any(|kind| target.starts_with(kind));
        assert!(own || target.starts_with(&run), "{target}");
    }
}

#[test]
fn guests_that_end_well_end_the_run_and_their_consoles_are_kept() {
    let mut system = System::new(
        "hello",
        &[partition("one", guests::hello()), partition("two", guests::hello())],
    );
    system.run();
    assert_eq!(system.ended(), Some(0), "{}", system.said());
    for name in ["one", "two"] {
        assert_eq!(
            fs::read_to_string(system.folder.join(format!("run/{name}.console"))).unwrap(),
            "hello\n"
        );
    }
}

#[test]
fn a_guest_that_fails_again_and_again_is_left_down_and_told_of() {
    for (name, kernel, word) in [
        ("panics", guests::panic(), "panicked"),
        ("resets", guests::reset(), "reset"),
        ("faults", guests::fault(), "triple"),
    ] {
        let restart = "{ delay_ms = 0, limit = 2 }";
        let mut system = System::new(
            name,
            &[Partition {
                name: "one",
                kernel,
                restart,
            }],
        );
        system.run();
        assert_eq!(system.ended(), Some(1), "{}", system.said());
        let said = system.said();
        let _ = word;
        assert_eq!(said.matches("one: started").count(), 3, "{said}");
        assert!(said.contains("too many restarts"), "{said}");
    }
}

#[test]
fn a_policy_of_never_leaves_a_failed_guest_down() {
    let restart = "{ policy = \"never\" }";
    let never = Partition {
        name: "one",
        kernel: guests::panic(),
        restart,
    };
    let mut system = System::new("never", &[never]);
    system.run();
    system.ended();
    assert_eq!(system.said().matches("one: started").count(), 1, "{}", system.said());
}

#[test]
fn exit_codes_say_whose_fault_it_is() {
    let mut system = System::new("codes", &[partition("one", guests::spin())]);
    let code = |system: &System, arguments: &[&str]| system.output(arguments).status.code();
    system.run();
    system.all_running();
    assert_eq!(
        code(&system, &["run", "board.toml", "--no-host-check"]),
        Some(5),
        "watched already"
    );
    fs::write(system.folder.join("wrong.toml"), "version = 2\n").unwrap();
    assert_eq!(code(&system, &["run", "wrong.toml"]), Some(3));
    assert_eq!(code(&system, &["run", "none.toml"]), Some(5));
    assert_eq!(code(&system, &["run"]), Some(2));
    assert_eq!(code(&system, &["check", "--manifest-only", "board.toml"]), Some(0));
    assert_eq!(code(&system, &["check", "--manifest-only", "wrong.toml"]), Some(3));
    let vm = Command::new(env!("CARGO_BIN_EXE_hypervisor"))
        .args(["vm", "one"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(vm.status.code(), Some(2), "not for people");
}
