//! Stock guests under our hypervisor on the emulated board.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::board::{Board, Codec};
use system_tests::coded;
use system_tests::nested::{self, Linux};

const LIMIT: Duration = Duration::from_secs(180);
const S16: u8 = 5;
/// Runs the manifest's VMs to their ends and shows what they said.
const RUN: &str = "hypervisor run --no-host-check --run-dir /run/hv /board.toml; status=$?\n\
    for file in /run/hv/*.console /run/hv/*.log; do echo \"== $file\"; cat \"$file\"; done; exit $status";
const HEAD: &str = "version = 1\nname = \"board\"\n[host]\ncpus = \"0\"\n";
/// A guest on CPU 1.
const GUEST: &str = r#"
[partitions.ivi]
role = "guest"
cpus = "1"
memory = "128M"
kernel = "/vmlinuz"
initrd = "/guest.cpio"
cmdline = "console=ttyS0 quiet panic=-1"
restart = { policy = "never" }
"#;
/// The service VM with the board's codec, on CPU 1.
const SERVICE: &str = r#"
[partitions.audio]
role = "service"
cpus = "1"
memory = "128M"
kernel = "/vmlinuz"
initrd = "/guest.cpio"
cmdline = "console=ttyS0 quiet panic=-1"
passthrough = [{ device = "0000:00:03.0", codec = true }]
vsock_cid = 3
restart = { policy = "never" }
"#;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("board-vm-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A board that runs this one VM with this guest.
fn board(name: &str, vm: &str, guest: &Linux, run: &str) -> Board {
    let kernel = nested::kernel().unwrap();
    let mut contents = nested::contents(&kernel, &format!("{HEAD}{vm}"), run).unwrap();
    contents
        .files
        .push(("guest.cpio".to_owned(), guest.initramfs(&kernel).unwrap(), 0o644));
    let folder = folder(name);
    let image = nested::image(&kernel, &contents, &folder).unwrap();
    let mut board = Board::new(name, image, folder);
    board.codec = Codec::None;
    board
}

/// Runs it to its end; gives what was said on the consoles and, where there is a codec, heard.
fn run(board: &Board) -> (String, Vec<u8>) {
    let outcome = board.clone().start().unwrap().finish(LIMIT).unwrap();
    let log = board.log("board").text();
    assert_eq!(outcome.status, 0, "{log}");
    assert!(log.contains("guest: end 0"), "{log}");
    let heard = if board.codec == Codec::None {
        Vec::new()
    } else {
        outcome.samples().unwrap()
    };
    (log, heard)
}

#[test]
fn a_stock_guest_boots_with_two_processors_and_its_devices_and_powers_off() {
    let vm = format!("{GUEST}vcpus = 2\nrng = true\nvsock_cid = 4\n");
    let guest = Linux {
        modules: vec!["virtio_pci", "virtio-rng", "vmw_vsock_virtio_transport"],
        scenario: "grep -c ^processor /proc/cpuinfo; head -c 8 /dev/hwrng | wc -c; cat /proc/interrupts; \
            cat /sys/devices/system/clocksource/clocksource0/current_clocksource; dmesg | grep -iE 'fail|error|warn|bug'; \
            [ -e /dev/vsock ]"
            .to_owned(),
        ..Linux::default()
    };

    let (log, _) = run(&board("boot", &vm, &guest, RUN));

    assert!(log.contains("guest: up"), "{log}");
}

/// Plays two tenths of a second through a codec that was passed through; nearly all of it must come out bit for bit.
fn codec_plays(name: &str, codec: Codec, modules: &[&'static str], setup: &str, tail: usize) {
    let sent = coded::generate(S16, 2, 24_000, 1, 0).unwrap();
    let guest = Linux {
        modules: modules.to_vec(),
        programs: vec!["aplay", "amixer"],
        files: vec![("take".to_owned(), [sent.as_slice(), &vec![0; tail * 4]].concat())],
        scenario: format!(
            "card && {setup} aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 --period-size=1024 --buffer-size=8192 /take; \
             status=$?; grep -i snd /proc/interrupts; exit $status"
        ),
    };
    let mut board = board(name, SERVICE, &guest, &format!("vfio 0000:00:03.0 && {{ {RUN}; }}"));
    board.codec = codec;

    let (log, heard) = run(&board);

    let report = coded::compare(&sent, &heard, 4);
    assert!(report.is_exact(), "{report:?}\n{log}");
}

#[test]
fn a_codec_with_msi_plays_bit_for_bit_from_the_service_vm() {
    codec_plays("hda", Codec::Hda, &["snd-hda-codec-generic", "snd-hda-intel"], "", 9600);
}

#[test]
fn a_codec_with_intx_plays_bit_for_bit_from_the_service_vm() {
    let unmute = "amixer -q set Master 100% unmute; amixer -q set PCM 100% unmute;";
    codec_plays("ac97", Codec::Ac97, &["snd-intel8x0"], unmute, 9600);
}
