//! The seam between architectures: all of the hypervisor is checked for arm64.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";

#[test]
fn the_hypervisor_compiles_for_arm64() {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .unwrap();
    if !Path::new(String::from_utf8_lossy(&libraries.stdout).trim()).exists() {
        assert!(
            Command::new("rustup")
                .args(["target", "add", TARGET])
                .status()
                .unwrap()
                .success()
        );
    }
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/carillon/arm64");
    let mut cargo = Command::new("cargo");
    cargo.args([
        "check",
        "--quiet",
        "--locked",
        "-p",
        "hypervisor",
        "--lib",
        "--target",
        TARGET,
        "--target-dir",
    ]);
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(name);
    }

    let output = cargo
        .arg(room)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
