//! The shipped daemon with a guest in another VM: `link = "window"`.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::PathBuf;

use system_tests::conformance::{Target, Verdict, report, run};
use system_tests::rig::{Car, Rig};
use system_tests::windowed::Windowed;

/// Files of a memory file system, gone afterwards.
struct Prefix(PathBuf);

impl Drop for Prefix {
    fn drop(&mut self) {
        for end in ["memory", "doorbell", "sock"] {
            let _gone = std::fs::remove_file(self.0.with_extension(end));
        }
    }
}

#[test]
fn no_row_fails_over_a_window_of_the_daemon_and_the_guest_is_called_by_its_doorbell() {
    let prefix = Prefix(PathBuf::from(format!(
        "/dev/shm/carillon-window-{}",
        std::process::id()
    )));
    let window = Windowed::in_files(&prefix.0).unwrap();
    let car = Car {
        whole: true,
        lead: 4,
        guest: Windowed::keys(&prefix.0),
        ..Car::default()
    };
    let rig = Rig::start("window", car).unwrap();
    let served = window.serve(&prefix.0.with_extension("sock"), &rig.socket(0)).unwrap();
    let target = Target {
        socket: served.socket.clone(),
        provoke: None,
        event_idx: false,
        memory: window.memory.clone(),
    };

    let findings = run(&target, &[], |_| {});

    let failed: Vec<String> = findings
        .iter()
        .filter(|finding| matches!(finding.verdict, Verdict::Fail(_)))
        .map(report::line)
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(served.rings() > 0);
}
