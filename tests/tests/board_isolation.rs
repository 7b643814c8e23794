//! What a service VM in hostile hands reaches: its own memory and the pool, and by the codec's DMA its own memory only.
//!
//! ```text
//!  intruder (service VM, codec by VFIO): reads and writes all it can name ── then: codec's samples, list, positions elsewhere ──► faults
//!  victim (partition, pool in its window): canaries in RAM and pool ── looked at in the end        board: canaries in its memory
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;

use system_tests::board::{System, safety};
use system_tests::daemon::program;
use system_tests::nested;

const LIMIT: Duration = Duration::from_secs(840);
/// As `HOST` of `examples/safety-guest/src/canary.rs` is to be found: its complement.
const CANARY: u32 = !0x7126_d30b;
const CANARY_BYTES: usize = 8 << 20;
const FRAMES: usize = 4800;
const MANIFEST: &str = r#"
version = 1
name = "isolation"
[host]
cpus = "0"
[partitions.audio]
role = "service"
cpus = "1"
memory = "64M"
kernel = "images/intruder"
vsock_cid = 3
passthrough = [{ device = "0000:00:03.0", codec = true }]
restart = { policy = "never" }
[partitions.bell]
role = "guest"
set = "guests"
memory = "16M"
kernel = "images/victim"
cmdline = "ram=0x1000000 pool=0xb0000000"
restart = { policy = "never" }
sound.streams = [{ direction = "playback", formats = ["s16"], rates = [48000] }]
[sets.guests]
cpus = "0"
members.bell = {}
[windows.bell]
mode = "pool"
"#;
/// Both power off; then the host looks at its canaries and at what its IOMMU stopped.
const SCRIPT: &str = r#"
before=$(md5sum < /board/images/canaries)
wait "$hypervisor"
status=$?
cat "$run"/*.console
[ "$before" = "$(md5sum < /board/images/canaries)" ] && echo "host: canaries unchanged"
dmesg | grep 'DMAR.*00:03.0.*fault addr'
(exit $status)
"#;

/// `name=NUMBER` in a line.
fn number(line: &str, name: &str) -> u64 {
    let word = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    word.and_then(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {line}"))
}

fn canaries() -> Vec<u8> {
    let words = (0..CANARY_BYTES as u64 / 8).map(|n| u64::from(CANARY) << 32 | n);
    words.flat_map(u64::to_le_bytes).collect()
}

/// Runs both on the board: what was said, and the samples of the codec.
fn run() -> (String, Vec<u8>) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("board-isolation");
    std::fs::create_dir_all(&folder).unwrap();
    let kernel = nested::kernel().unwrap();
    let file = folder.join("canaries");
    std::fs::write(&file, canaries()).unwrap();
    let system = System {
        manifest: MANIFEST.to_owned(),
        images: vec![
            (safety::intruder().unwrap(), "intruder".to_owned()),
            (safety::victim().unwrap(), "victim".to_owned()),
            (file, "canaries".to_owned()),
        ],
        hypervisor: program("hypervisor").unwrap(),
        consoles: Vec::new(),
        script: SCRIPT.to_owned(),
        codec: true,
        options: String::new(),
    };
    let board = system
        .board("isolation", &kernel, folder)
        .unwrap()
        .in_virtual_time(1)
        .unwrap();
    let log = board.log("board");
    let outcome = board.start().unwrap().finish(LIMIT).unwrap();
    let said = log.text();
    assert_eq!(outcome.status, 0, "{said}");
    (said, outcome.samples().unwrap())
}

#[test]
fn a_service_vm_reaches_the_pool_and_nothing_else_by_its_own_hands_or_by_the_codecs() {
    let (said, heard) = run();

    let line = |start: &str| {
        said.lines()
            .find(|line| line.contains(start))
            .unwrap_or_else(|| panic!("{start}: {said}"))
    };
    let swept = line("intruder: places=");
    println!("{swept}\n{}", line("victim: done"));
    // 64 MiB of its own and 2 MiB of the pool.
    assert_eq!(number(swept, "words"), (66 << 20) / 8);
    assert_eq!(number(swept, "foreign"), 0, "{said}");
    // The window is there, else nothing would be proven.
    assert_eq!(number(swept, "pool"), (2 << 20) / 8);
    let victim = line("victim: done");
    assert_eq!(number(victim, "changed"), 0, "{victim}");
    assert!(number(victim, "words") > (14 << 20) / 8, "{victim}");
    assert_eq!(number(victim, "marked"), (2 << 20) / 8 - 1, "{victim}");
    line("host: canaries unchanged");
    for place in ["window", "other", "host"] {
        for what in ["samples", "list", "positions"] {
            line(&format!("intruder: {place} {what} "));
        }
    }
    let faults: Vec<&str> = said.lines().filter(|line| line.contains("fault addr")).collect();
    // Of the window, elsewhere below 4 GiB, beyond: samples and lists are read, positions written.
    for address in ["0x100200000", "0xa000000", "0x50000000"] {
        for what in ["Read", "Write"] {
            let found = |line: &&str| line.contains(&format!("DMA {what}")) && line.contains(address);
            assert!(faults.iter().any(found), "no {what} {address}: {faults:?}");
        }
    }
    let own = |frame: &[u8]| {
        let [left, right] = [0, 2].map(|at| usize::from(u16::from_le_bytes([frame[at], frame[at + 1]])));
        left == right && (left == 0 || (0x100..0x100 + FRAMES).contains(&left))
    };
    let foreign = heard.chunks_exact(4).filter(|frame| !own(frame)).count();
    let sound = heard.chunks_exact(4).filter(|frame| **frame != [0; 4]).count();
    println!(
        "{} faults told, {sound} frames of its own, {foreign} foreign",
        faults.len()
    );
    assert!(sound > FRAMES && foreign == 0, "{sound} frames, {foreign} foreign");
}
