//! The board as a machine for audiod itself: its Linux runs the shipped daemon, a bus and programs of these tests in virtual time, and
//! nothing else. What is late there is late by itself.
//!
//! ```text
//!  run: programs + script ──► the board boots, the script writes to consoles ──► power-off ──► the consoles' files
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use crate::board::{Board, Codec, Contents, Log, UNBRAKED};
use crate::daemon::program;
use crate::nested;

/// One processor: two of the board's share one instruction stream in slices of up to two milliseconds, so that a busy one holds
/// up a real-time thread on the other, as no machine does.
const PROCESSORS: u32 = 1;
/// Debian's kernel otherwise gives a real-time thread the processor only where it likes to (`audiod doctor` asks for PREEMPT_RT).
const PREEMPTION: &str = "preempt=full";
/// As `audiod doctor` asks: gathering pages, the kernel lets nothing else run for most of the shortest period.
const HUGE_PAGES: &str = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled\n";
const USERS: &[u8] = b"root:x:0:0::/:/bin/sh\n";
const TAIL: usize = 60;

/// Runs a shell script in `folder`, to its end; the consoles, in their order, each a file in `/dev/virtio-ports` for the script. `audiod`,
/// `audioctl`, `dbus-daemon` and these `programs` of ours are on its path. Prints what it took.
///
/// # Errors
/// Something is not built or installed, or the script failed: the end of the board's console is in the message.
pub fn run(
    folder: &Path,
    programs: &[&str],
    script: &str,
    consoles: &[String],
    limit: Duration,
) -> anyhow::Result<Vec<Log>> {
    let kernel = nested::kernel()?;
    let ours = ["audiod", "audioctl"].iter().chain(programs);
    let ours = ours.map(|name| Ok((program(name)?, format!("usr/bin/{name}"))));
    let contents = Contents {
        programs: vec!["dbus-daemon".to_owned()],
        built: ours.collect::<anyhow::Result<_>>()?,
        files: vec![("etc/passwd".to_owned(), USERS.to_vec(), 0o644)],
        scenario: Some(UNBRAKED.to_owned() + HUGE_PAGES + script),
        ..Contents::default()
    };
    std::fs::create_dir_all(folder)?;
    let image = nested::image(&kernel, &contents, folder)?;
    let mut board = Board::new("virtual", image, folder.to_path_buf()).in_virtual_time(1)?;
    board.codec = Codec::None;
    board.iommu = false;
    board.cpus = PROCESSORS;
    board.append = PREEMPTION.to_owned();
    board.consoles = consoles.to_vec();
    let logs = consoles.iter().map(|console| board.log(console)).collect();
    let own = board.log("board");
    let outcome = board.start()?.finish(limit)?;
    if outcome.status != 0 {
        let (status, tail) = (outcome.status, own.tail(TAIL));
        bail!("the board's script ended with status {status}:\n{tail}");
    }
    let (uptime, wall) = (outcome.uptime, outcome.wall.as_secs_f64());
    println!("{uptime:.1} s of the board's time, {wall:.0} s here");
    Ok(logs)
}
