//! Every command of the README, run as it stands there.

#![allow(clippy::unwrap_used, reason = "a test's right, in its helpers too")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dbus_api::private_bus::PrivateBus;
use system_tests::daemon::program;

const LIMIT: Duration = Duration::from_secs(120);

/// Commands that are steps of `cargo xtask test` themselves, or the build that this test is the proof of.
const BY_CI: [&str; 3] = [
    "cargo xtask demo",
    "cargo xtask test",
    "cargo build --release && export PATH=\"$PWD/target/release:$PATH\"",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The commands of the `sh` blocks under the heading that begins with `heading`, without comments, continued lines joined.
fn commands(heading: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let (mut inside, mut here) = (false, heading.is_empty());
    let mut found = Vec::new();
    for line in readme.replace("\\\n", " ").lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if line.starts_with('#') && !inside => here = heading.is_empty() || line[2..].trim().starts_with(heading),
            _ if inside && here => {
                let command = line.split("  #").next().unwrap_or_default();
                found.push(command.split_whitespace().collect::<Vec<_>>().join(" "));
            }
            _ => {}
        }
    }
    found
}

/// A folder with a bus of its own, where the README's commands mean the programs built with this test.
struct Desk {
    folder: PathBuf,
    bus: PrivateBus,
}

impl Desk {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("carillon-readme-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("bus")).unwrap();
        let bus = PrivateBus::start(&folder.join("bus")).unwrap();
        Self { folder, bus }
    }

    fn shell(&self, command: &str) -> Command {
        let programs = program("audiod").unwrap();
        let paths = std::env::var("PATH").unwrap_or_default();
        let xtask = program("xtask").unwrap();
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(command.replace("cargo xtask", &xtask.display().to_string()))
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{paths}", programs.parent().unwrap().display()))
            .env("DBUS_SESSION_BUS_ADDRESS", self.bus.address())
            .env_remove("CARILLON_BUS")
            .stdin(Stdio::null());
        shell
    }

    fn run(&self, command: &str) -> Output {
        let output = self.shell(command).output().unwrap();
        assert!(
            output.status.success(),
            "`{command}`: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Starts a command that runs until it is ended.
    fn start(&self, command: &str) -> Running {
        let mut shell = self.shell(&format!("exec {command}"));
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(shell.spawn().unwrap())
    }

    fn copy_examples(&self) {
        let from = repository().join("examples");
        let status = Command::new("cp").arg("-r").arg(&from).arg(&self.folder).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

struct Running(Child);

impl Running {
    /// Waits for a line with `text` on the standard output.
    fn says(&mut self, text: &str) {
        let mut lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        assert!(
            lines.any(|line| line.is_ok_and(|line| line.contains(text))),
            "it ended without saying `{text}`"
        );
    }

    /// Ctrl-C.
    fn interrupt(mut self) -> std::process::ExitStatus {
        // SAFETY: a signal to our own child, which is not reaped yet.
        unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGINT) };
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < until, "{what} did not come within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_command_is_run_by_one_of_these_tests_or_by_ci_itself() {
    let tested = [
        "Your first policy",
        "Try a policy",
        "Move from AudioManager",
        "See who is heard",
        "Change the policy",
        "A real sound card",
        "Run a guest by hand",
    ];
    let mut known: Vec<String> = tested.iter().flat_map(|heading| commands(heading)).collect();
    known.extend(BY_CI.map(str::to_owned));

    let unknown: Vec<String> = commands("").into_iter().filter(|one| !known.contains(one)).collect();

    assert_eq!(unknown, [""; 0], "under a heading without a test");
    let ci = std::fs::read_to_string(repository().join(".ci/run")).unwrap();
    assert!(ci.lines().any(|line| line == "cargo xtask test"));
}

#[test]
fn the_first_policy_is_written_checked_and_run() {
    let desk = Desk::new("first");
    let commands = commands("Your first policy");
    let [_build, asked @ .., run] = &commands[..] else {
        panic!("{commands:?}")
    };

    let said: String = asked
        .iter()
        .map(|command| String::from_utf8(desk.run(command).stdout).unwrap())
        .collect();
    let daemon = desk.start(run);
    wait_for("the guests' sockets", || {
        ["ivi.sock", "cluster.sock"]
            .iter()
            .all(|name| desk.folder.join(name).exists())
    });
    let ended = daemon.interrupt();

    assert!(said.contains("no mistakes"), "{said}");
    assert!(ended.success(), "{ended}");
}

#[test]
fn who_is_heard_is_seen_and_changed() {
    let desk = Desk::new("heard");
    desk.copy_examples();
    let _daemon = desk.start("audiod run examples/simple-car.toml");
    wait_for("the name on the bus", || {
        desk.shell("audioctl status").output().unwrap().status.success()
    });
    let commands = commands("See who is heard");
    let (monitor, others): (Vec<_>, Vec<_>) = commands.iter().partition(|command| command.contains("monitor"));

    let told: String = others
        .iter()
        .map(|command| String::from_utf8(desk.run(command).stdout).unwrap())
        .collect();
    let mut monitor = desk.start(monitor[0]);
    monitor.says("listening");
    desk.run("audioctl volume cabin 70");
    monitor.says("VolumeChanged");

    assert!(told.contains("ivi"), "{told}");
    assert!(monitor.interrupt().success());
}

#[test]
fn a_scenario_is_simulated_and_drawn() {
    let desk = Desk::new("scenario");
    desk.copy_examples();

    for command in commands("Try a policy") {
        desk.run(&command);
    }

    assert!(
        std::fs::read_to_string(desk.folder.join("scenario.svg"))
            .unwrap()
            .contains("<svg")
    );
}

#[test]
fn policies_of_other_systems_are_imported() {
    let desk = Desk::new("import");
    desk.copy_examples();

    let said = commands("Move from AudioManager")
        .iter()
        .map(|command| desk.run(command).stdout)
        .collect::<Vec<_>>();

    let said = String::from_utf8(said.concat()).unwrap();
    assert_eq!(said.matches(" mapped + ").count(), 2, "{said}");
    assert!(said.contains("no mistakes"));
}

#[test]
fn the_policy_is_changed_while_it_runs() {
    let desk = Desk::new("change");
    desk.copy_examples();
    std::fs::copy(
        desk.folder.join("examples/simple-car.toml"),
        desk.folder.join("system.toml"),
    )
    .unwrap();
    std::fs::rename(desk.folder.join("examples/chimes"), desk.folder.join("chimes")).unwrap();
    let _daemon = desk.start("audiod run system.toml");
    wait_for("the name on the bus", || {
        desk.shell("audioctl status").output().unwrap().status.success()
    });

    for command in commands("Change the policy") {
        desk.run(&command);
    }
}

#[test]
fn doctor_tells_about_limits_and_cards() {
    let desk = Desk::new("doctor");

    let commands = commands("A real sound card");

    // It ends with 1 where something here would not work, as on a machine without a card or without limits.
    let output = desk.shell(&commands[0]).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", output.status);
    assert!(!output.stdout.is_empty());
}

#[test]
fn a_guest_started_by_hand_finds_its_card_and_any_device_is_held_to_the_specification() {
    let desk = Desk::new("guest");
    let first = commands("Your first policy");
    desk.run(&first[1]);
    let _daemon = desk.start(first.last().unwrap());
    wait_for("the socket", || desk.folder.join("ivi.sock").exists());
    let commands = commands("Run a guest by hand");
    let [image, qemu, conformance] = &commands[..] else {
        panic!("{commands:?}")
    };

    desk.run(conformance);
    let mut shell = desk.shell(&format!("{image}; exec {qemu}"));
    let mut guest = Running(shell.stdout(Stdio::piped()).spawn().unwrap());

    guest.says("virtio-snd");
}
