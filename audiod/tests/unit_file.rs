//! The systemd unit that ships is one that systemd takes, and says what this daemon does.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

fn unit() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/systemd/audiod.service");
    std::fs::read_to_string(path).unwrap()
}

/// Every directive by name.
fn directives(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
    lines.filter_map(|line| line.split_once('=')).collect()
}

#[test]
fn the_unit_says_what_the_daemon_does() {
    let text = unit();
    let unit = directives(&text);

    assert_eq!(unit["Type"], "notify", "READY=1 is sent once engine and control are up");
    assert_eq!(unit["NotifyAccess"], "main", "only the supervisor notifies");
    assert!(unit.contains_key("WatchdogSec"), "fed while the engine's hearts beat");
    assert_eq!(unit["After"], "dbus.service sound.target");
    assert!(
        !unit.contains_key("Requires") && !unit.contains_key("BindsTo"),
        "sound needs no bus"
    );
    assert_eq!(unit["RuntimeDirectoryPreserve"], "restart", "blocks outlive a crash");
    assert_eq!((unit["LimitMEMLOCK"], unit["User"]), ("infinity", "carillon"));
    assert_eq!(unit["ExecReload"], "kill -HUP $MAINPID", "which reloads the file");
    assert_eq!(unit["StateDirectory"], "carillon");
    let priority: i32 = unit["LimitRTPRIO"].parse().unwrap();
    assert!(priority >= audiod::engine_process::PRIORITY);
}

#[test]
fn systemd_takes_the_unit() {
    let folder = std::env::temp_dir().join(format!("audiod-unit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file: PathBuf = folder.join("audiod.service");
    // The binary is not installed here; what is built stands for it.
    std::fs::write(&file, unit().replace("/usr/bin/audiod", env!("CARGO_BIN_EXE_audiod"))).unwrap();

    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg("--man=no")
        .arg(&file)
        .output();

    let _ = std::fs::remove_dir_all(&folder);
    let output = output.expect("systemd-analyze (Debian package `systemd`) is needed; `cargo xtask setup` installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("audiod.service"), "{said}");
}
