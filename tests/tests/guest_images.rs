//! The two stock guests of the board, image for image, under QEMU with `vhost-user-snd-pci` on a daemon of this machine: the same
//! samples.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod board_common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use system_tests::coded::{self, Report};
use system_tests::daemon::Daemon;
use system_tests::guest::Kernel;
use system_tests::process::until;
use system_tests::{nested, rig};

/// Boots and plays, translated, both at once.
const LIMIT: Duration = Duration::from_secs(120);
const FRAMES: usize = 4 * 48_000;
/// Each guest on channels of its own: a busy machine is heard as silence in one, and changes no sample.
const SYSTEM: &str = r#"
version = 1
bus = "@BUS@"
# Frames are judged here, not how soon a busy machine lets control decide.
decision_limit_ms = 1000
[codecs.main]
backend = "wav"
path = "cabin.wav"
period = 240
lead = 12
channels = 4
[zones.left]
codec = "main"
channels = [0, 1]
[zones.right]
codec = "main"
channels = [2, 3]
[classes.media]
priority = 10
[guests.cluster]
socket = "cluster.sock"
streams.sound = { class = "media", zone = "left" }
[guests.ivi]
socket = "ivi.sock"
streams.sound = { class = "media", zone = "right" }
"#;

fn start(kernel: &Kernel, initrd: &Path, socket: &Path) -> Child {
    let console = std::fs::File::create(initrd.with_extension("log")).unwrap();
    Command::new("timeout")
        .args([
            "150",
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
        ])
        .args([
            "-no-reboot",
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-machine",
            "q35,memory-backend=m",
            "-m",
            "128M",
        ])
        .args([
            "-object",
            "memory-backend-memfd,id=m,size=128M,share=on",
            "-serial",
            "stdio",
        ])
        .args(["-append", "console=ttyS0 quiet panic=-1", "-device", "virtio-rng-pci"])
        .args(["-device", "vhost-user-snd-pci,chardev=s,controls=on", "-chardev"])
        .arg(format!("socket,id=s,path={}", socket.display()))
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initrd)
        .stdin(Stdio::null())
        .stdout(console.try_clone().unwrap())
        .stderr(console)
        .spawn()
        .unwrap()
}

/// Channels `2 * pair` and the one after it of a recording of 4 channels of S16.
fn pair_of(samples: &[u8], pair: usize) -> Vec<u8> {
    samples
        .chunks_exact(8)
        .flat_map(|frame| frame[4 * pair..4 * pair + 4].to_vec())
        .collect()
}

#[test]
fn the_boards_stock_guests_play_the_same_samples_under_qemu_on_a_daemon_of_this_machine() {
    let folder = rig::Folder::new("images").unwrap();
    let place = folder.path();
    let daemon = Daemon::start(place, |bus| SYSTEM.replace("@BUS@", bus)).unwrap();
    let kernel = nested::kernel().unwrap();
    let guests = board_common::stock_guests(FRAMES);

    let mut running: Vec<Child> = (guests.iter())
        .map(|(player, _)| {
            let initrd = place.join(format!("{}.cpio", player.name));
            std::fs::write(&initrd, player.initramfs(&kernel).unwrap()).unwrap();
            start(&kernel, &initrd, &place.join(format!("{}.sock", player.name)))
        })
        .collect();
    let ended = |child: &mut Child| child.try_wait().unwrap().is_some();
    until("both guests' ends", LIMIT, || {
        running.iter_mut().all(ended).then_some(())
    })
    .unwrap();

    for (pair, (player, take)) in guests.iter().enumerate() {
        let mut report = Report::default();
        let _ = until("the end of its take", Duration::from_secs(5), || {
            let samples = coded::samples(&place.join("cabin.wav")).ok()?;
            report = coded::compare(take, &pair_of(&samples, pair), 4);
            (report.missing_tail == 0).then_some(())
        });
        let said = std::fs::read_to_string(place.join(format!("{}.log", player.name))).unwrap_or_default();
        assert!(report.is_whole(), "{}: {report:?}\n{said}", player.name);
        assert!(said.contains("guest: end 0"), "{said}");
    }
    drop(daemon);
}
