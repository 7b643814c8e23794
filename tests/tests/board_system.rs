//! The whole system on the emulated board, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::board::scene::{Mode, Player, Scene};
use system_tests::coded;
use system_tests::nested;

const LIMIT: Duration = Duration::from_secs(280);
const S16: u8 = 5;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("system-{name}"))
}

#[test]
fn a_stock_guest_whose_memory_is_a_window_is_heard_bit_for_bit() {
    let take = coded::generate(S16, 2, 48_000, 1, 0).unwrap();
    let scene = Scene {
        players: vec![Player {
            name: "cluster".to_owned(),
            mode: Mode::Ram,
            take: [take.as_slice(), &[0; 9600 * 4]].concat(),
            does: "until_plays /take".to_owned(),
        }],
        period: 96,
        lead: 2,
        system: String::new(),
        released: 1,
    };
    let board = scene.board("ram", &nested::kernel().unwrap(), folder("ram")).unwrap();
    let logs = ["hypervisor", "audio", "cluster"].map(|name| board.log(name));

    let outcome = board.start().unwrap().finish(LIMIT).unwrap();

    let report = coded::compare(&take, &outcome.samples().unwrap(), 4);
    let said: Vec<String> = logs.iter().map(|log| log.text()).collect();
    assert!(report.is_exact(), "{report:?} {outcome:?}\n{}", said.join("\n--\n"));
}
