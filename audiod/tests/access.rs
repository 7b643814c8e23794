//! `[access]` on the daemon that ships: names of the machine's users, held on a private bus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dbus_api::names::{BUS_NAME, COMMAND_INTERFACE, COMMAND_PATH};
use dbus_api::private_bus::PrivateBus;

const PATIENCE: Duration = Duration::from_secs(60);
/// `nobody`.
const NOBODY: u32 = 65_534;

/// A folder, and a daemon that ends with the test.
struct Daemon {
    folder: PathBuf,
    process: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SAFETY: a plain call with the number of our own child.
        unsafe { libc::kill(self.process.id() as i32, libc::SIGTERM) };
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn busctl(bus: &PrivateBus, user: u32, call: &[&str]) -> Output {
    let mut command = Command::new("busctl");
    command.arg(format!("--address={}", bus.address()));
    command
        .args(["call", BUS_NAME, COMMAND_PATH, COMMAND_INTERFACE])
        .args(call);
    command.uid(user).gid(user).env("LC_ALL", "C");
    command.output().expect("busctl (Debian package systemd) is needed")
}

#[test]
fn the_daemon_holds_users_to_the_roles_of_its_file() {
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(user, 0, "this test needs clients of two users: run it as root");
    let folder = std::env::temp_dir().join(format!("audiod-access-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let bus = PrivateBus::start(&folder).unwrap();
    let file = folder.join("car.toml");
    let text = format!(
        "version = 1\nbus = \"{}\"\naccess = {{ observe = \"user:nobody\", admin = [\"user:root\", \"user:no-such\"] }}\n\
         codecs.main = {{ backend = \"null\" }}\nzones.cabin = {{ codec = \"main\" }}\nclasses.media = {{}}\n\
         [guests.ivi]\nsocket = \"ivi.sock\"\nstreams.media = {{ class = \"media\" }}\n",
        bus.address()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_audiod"));
    let log = std::fs::File::create(folder.join("log")).unwrap();
    command.arg("run").arg(&file).stdin(Stdio::null()).stderr(log);
    let _daemon = Daemon {
        folder: folder.clone(),
        process: command.spawn().unwrap(),
    };
    let end = Instant::now() + PATIENCE;
    while !busctl(&bus, 0, &["GetListMainSinks"]).status.success() {
        assert!(Instant::now() < end, "the daemon did not come");
        std::thread::sleep(Duration::from_millis(20));
    }

    let looks = busctl(&bus, NOBODY, &["GetListMainSinks"]);
    let acts = busctl(&bus, NOBODY, &["SetVolume", "qn", "101", "10"]);
    let root = busctl(&bus, 0, &["SetVolume", "qn", "101", "10"]);

    assert!(looks.status.success(), "{looks:?}");
    assert!(!acts.status.success() && String::from_utf8_lossy(&acts.stderr).contains("Access denied"));
    assert!(root.status.success(), "{root:?}");
    let said = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(said.contains("[access] admin: there is no user no-such"), "{said}");
}
