//! The emulated dev board itself: it boots, obeys, and its codec is bit-transparent.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::board::{self, Board, Clock, Codec, Contents, Image, qemu};
use system_tests::coded;
use system_tests::guest::Kernel;

const LIMIT: Duration = Duration::from_secs(240);
const S16: u8 = 5;
/// What HDA's DMA hasn't fetched when `aplay` stops it is lost: silence, here.
const TAIL: usize = 9_600;

fn kernel() -> Kernel {
    let cache = board::cache().join("kernel");
    std::fs::create_dir_all(&cache).unwrap();
    Kernel::fetch("6.12", &cache).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("board-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A board that plays `sent` by `aplay` and powers off.
fn player(name: &str, sent: &[u8]) -> Board {
    let folder = folder(name);
    let contents = Contents {
        modules: board::HDA.to_vec(),
        programs: vec!["aplay".to_owned()],
        trees: vec!["/usr/share/alsa".into()],
        files: vec![("take".to_owned(), [sent, &[0; TAIL * 4]].concat(), 0o644)],
        scenario: Some("card; aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 /take".to_owned()),
        ..Contents::default()
    };
    let image = Image::build(&kernel(), &contents, &folder.join("board.cpio")).unwrap();
    Board::new(name, image, folder)
}

#[test]
fn aplay_on_the_board_itself_is_heard_bit_for_bit() {
    let sent = coded::generate(S16, 2, 24_000, 1, 0).unwrap();

    let outcome = player("aplay", &sent).start().unwrap().finish(LIMIT).unwrap();

    let report = coded::compare(&sent, &outcome.samples().unwrap(), 4);
    assert_eq!(outcome.status, 0);
    assert!(report.is_exact(), "{report:?}");
}

#[test]
fn two_runs_in_virtual_time_play_the_same_and_take_the_same_time() {
    let sent = coded::generate(S16, 2, 24_000, 1, 0).unwrap();
    let qemu = qemu::for_virtual_time(&mut |_, _, _| {}).unwrap();

    let [first, second] = ["virtual-1", "virtual-2"].map(|name| {
        let mut board = player(name, &sent);
        board.qemu.clone_from(&qemu);
        board.clock = Clock::Virtual { seed: 1 };
        board.start().unwrap().finish(LIMIT).unwrap()
    });

    let reports = [&first, &second].map(|run| coded::compare(&sent, &run.samples().unwrap(), 4));
    assert!(reports.iter().all(coded::Report::is_exact), "{reports:?}");
    let ratio = first.uptime / second.uptime;
    assert!(
        (0.99..1.01).contains(&ratio),
        "{} s and {} s",
        first.uptime,
        second.uptime
    );
}

#[test]
fn a_board_without_a_scenario_obeys_and_its_consoles_are_files_outside() {
    let folder = folder("obeys");
    let image = Image::build(&kernel(), &Contents::default(), &folder.join("board.cpio")).unwrap();
    let mut board = Board::new("obeys", image, folder);
    board.codec = Codec::None;
    board.consoles = vec!["ivi".to_owned(), "cluster".to_owned()];

    let mut running = board.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let end = running
        .run(
            "echo hello > /dev/virtio-ports/cluster; ls /dev/kvm /dev/vhost-vsock; exit 3",
            LIMIT,
        )
        .unwrap();
    let line = running.wait_line("cluster", "hello", LIMIT).unwrap();
    let ivi = running.log("ivi").text();
    let outcome = running.power_off(LIMIT).unwrap();

    assert_eq!((end.status, end.output.as_str()), (3, "/dev/kvm\n/dev/vhost-vsock\n"));
    assert_eq!((line.as_str(), ivi.as_str(), outcome.status), ("hello", "", 0));
}

#[test]
fn the_probe_for_the_nested_fault_tells_the_stock_qemu_from_the_corrected_one() {
    let corrected = qemu::for_virtual_time(&mut |_, _, _| {}).unwrap();

    assert!(qemu::is_sound(&corrected).unwrap());
    let stock = qemu::is_sound(Path::new("qemu-system-x86_64")).unwrap();
    assert!(
        !stock,
        "the installed QEMU has no such fault: no other one needs to be built any more"
    );
}
