//! Stock guests under our hypervisor on the emulated board.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::board::{Board, Codec, HDA, Image};
use system_tests::coded;
use system_tests::daemon::program;
use system_tests::nested::{self, Linux};

const LIMIT: Duration = Duration::from_secs(840);
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
    let mut board = Board::new(name, image, folder).in_virtual_time(1).unwrap();
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
        built: Vec::new(),
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

/// The daemon beside the hypervisor, on the board's own card; in virtual time an xrun would be ours.
const SYSTEM: &str = r#"
version = 1
bus = "unix:path=/run/bus"
[codecs.main]
backend = "alsa"
device = "hw:0,0"
period = 240
lead = 12
[zones.cabin]
codec = "main"
[classes.media]
priority = 10
[guests.ivi]
socket = "/run/ivi.sock"
streams.media = { class = "media", zone = "cabin" }
"#;
/// Kills the daemon while the guest plays its second take, and starts it anew.
const OUTAGE: &str = r#"
daemon() {
    setsid audiod run /system.toml --ready-fd 1 > /run/ready 2> /run/audiod.log &
    audiod=$!
    until [ -s /run/ready ]; do sleep 0.02; done
}
card
daemon
hypervisor run --no-host-check --run-dir /run/hv /board.toml > /run/hypervisor.log 2>&1 &
hypervisor=$!
until grep -q 'guest: second' /run/hv/ivi.console 2> /dev/null; do sleep 0.05; done
sleep 0.5
kill -9 -$audiod
rm -f /run/ready /run/ivi.sock
sleep 0.5
daemon
wait $hypervisor
status=$?
sleep 0.3
for file in /run/hypervisor.log /run/hv/*.console /run/hv/*.log /run/audiod.log; do echo "== $file"; cat "$file"; done
exit $status
"#;
/// Plays once, then in an outage, then until it works again; each take is another.
const TAKES: &str = "\
card || exit 1
play() { aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 --period-size=1024 --buffer-size=8192 \"/take$1\"; }
play 1
echo \"guest: first $?\"
echo 'guest: second'
for take in 1 2 3; do play 2 2> /dev/null; done
tries=0
until play 3 2> /dev/null; do tries=$((tries + 1)); [ $tries -lt 40 ] || exit 1; sleep 0.1; done
echo \"guest: third after $tries\"";

#[test]
fn a_stock_guest_plays_bit_for_bit_and_plays_again_after_its_back_end_was_killed() {
    let takes = [1, 2, 3].map(|seed| coded::generate(S16, 2, 24_000, seed, 0).unwrap());
    let file = |take: usize| {
        (
            format!("take{take}"),
            [takes[take - 1].as_slice(), &[0; 9600 * 4]].concat(),
        )
    };
    let guest = Linux {
        built: Vec::new(),
        modules: vec!["virtio_pci", "virtio_snd"],
        programs: vec!["aplay"],
        files: vec![file(1), file(2), file(3)],
        scenario: TAKES.to_owned(),
    };
    let kernel = nested::kernel().unwrap();
    let vm = format!(
        "{HEAD}{GUEST}sound.socket = \"/run/ivi.sock\"\n\
         sound.streams = [{{ direction = \"playback\", formats = [\"s16\"], rates = [48000] }}]\n"
    );
    let mut contents = nested::contents(&kernel, &vm, OUTAGE).unwrap();
    contents.modules = HDA.to_vec();
    contents
        .built
        .push((program("audiod").unwrap(), "/bin/audiod".to_owned()));
    contents.trees = vec!["/usr/share/alsa".into()];
    contents
        .files
        .push(("guest.cpio".to_owned(), guest.initramfs(&kernel).unwrap(), 0o644));
    contents
        .files
        .push(("system.toml".to_owned(), SYSTEM.as_bytes().to_vec(), 0o644));
    let folder = folder("sound");
    let image: Image = nested::image(&kernel, &contents, &folder).unwrap();
    let board = Board::new("sound", image, folder).in_virtual_time(1).unwrap();

    let (log, heard) = run(&board);

    for take in [0, 2] {
        let report = coded::compare(&takes[take], &heard, 4);
        assert!(report.is_exact(), "take {take}: {report:?}\n{log}");
    }
    assert!(log.contains("guest: first 0"), "{log}");
}
