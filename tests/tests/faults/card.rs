//! The simulated card of a running daemon, to make it stand still.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::fs;

use audiod::codec::sim::SimBlock;
use system_tests::daemon::Daemon;
use vhost_sound::shared::Shared;

/// Its block, through the descriptors of the card's process.
pub fn card(daemon: &Daemon) -> Shared<SimBlock> {
    let folder = format!("/proc/{}/fd", daemon.process_of("card").unwrap());
    let descriptors = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_card = |path: &std::path::PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.to_string_lossy().contains("carillon-card"))
    };
    let path = descriptors.into_iter().find(is_card).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    Shared::map(file.into()).unwrap()
}
