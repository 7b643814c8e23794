//! The bus's own policy is made from the file that says who may do what.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

fn bus_policy(file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audiod"));
    command.arg("bus-policy").arg(file).output().unwrap()
}

/// `BLESS=1` writes the file anew.
#[test]
fn the_policy_that_ships_is_that_of_the_head_unit() {
    let output = bus_policy(&example("head-unit.toml"));
    let ships = example("dbus/org.genivi.audiomanager.conf");

    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&ships, &output.stdout).unwrap();
    }
    let shipped = std::fs::read_to_string(ships).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shipped);
    for line in [
        r#"<policy user="audiod">"#,
        r#"<allow send_destination="com.example.tuner"/>"#,
        r#"send_member="GetListMainSinks"/>"#,
    ] {
        assert!(shipped.contains(line), "{line}");
    }
    assert!(!shipped.contains(r#"receive_type="signal""#), "everybody may listen");
}

#[test]
fn a_file_without_access_or_with_mistakes_has_no_policy() {
    let output = bus_policy(&example("simple-car.toml"));
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("[access]"));

    let output = bus_policy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/access.toml"));
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("neither a user nor a group"));
}
