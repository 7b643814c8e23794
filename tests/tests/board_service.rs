//! The audio service VM's image: the same bytes each time, a chime out of a codec that a nested VM was given, state on a disk.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::board::service::{self, Programs};
use system_tests::board::{self, System};
use system_tests::coded;
use system_tests::daemon::program;
use system_tests::guest::Kernel;

const LIMIT: Duration = Duration::from_secs(840);
const S16: u8 = 5;
const FRAMES: usize = 24_000;
/// Free-running, the emulated codec wants a long lead.
const SYSTEM: &str = r#"
version = 1
bus = "unix:path=/run/bus"
user = "audiod"
[codecs.main]
backend = "alsa"
device = "hw:0,0"
period = 240
lead = 12
[zones.cabin]
codec = "main"
[classes.warning]
safety = true
[chimes.take]
path = "take.wav"
class = "warning"
zones = "cabin"
"#;
const RC: &str = "audioctl chime take --wait --bus system && sleep 0.3";
const MANIFEST: &str = r#"
version = 1
name = "service"
[host]
cpus = "1"
[partitions.audio]
role = "service"
cpus = "0"
memory = "256M"
kernel = "images/vmlinuz"
initrd = "images/audio.cpio"
cmdline = "console=ttyS0 quiet panic=-1"
vsock_cid = 3
passthrough = [{ device = "0000:00:03.0", codec = true }]
restart = { policy = "never" }
"#;

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("board-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn kernel() -> Kernel {
    let cache = board::cache().join("kernel");
    std::fs::create_dir_all(&cache).unwrap();
    Kernel::fetch("6.12", &cache).unwrap()
}

fn configuration(take: &[u8]) -> Vec<(String, Vec<u8>)> {
    let wav = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, wav).unwrap();
    for sample in take.chunks_exact(2) {
        writer
            .write_sample(i16::from_le_bytes(sample.try_into().unwrap()))
            .unwrap();
    }
    writer.finalize().unwrap();
    vec![
        ("system.toml".to_owned(), SYSTEM.into()),
        ("take.wav".to_owned(), file.into_inner()),
        ("rc".to_owned(), RC.into()),
    ]
}

#[test]
fn the_same_inputs_give_the_same_image_to_the_byte_and_other_inputs_another() {
    let folder = folder("image");
    let take = coded::generate(S16, 2, 480, 1, 2).unwrap();
    let build = |name: &str, take: &[u8]| {
        let image = service::build(
            &kernel(),
            &Programs::beside().unwrap(),
            &configuration(take),
            &folder.join(name),
        )
        .unwrap();
        (
            std::fs::read(image.initrd).unwrap(),
            service::disk(&configuration(take)),
        )
    };

    let first = build("first.cpio", &take);
    let second = build("second.cpio", &take);
    let other = build("other.cpio", &take[..960]);

    assert!(first == second);
    assert!(first.0 != other.0 && first.1 != other.1);
}

#[test]
fn a_chime_of_the_service_vm_is_heard_bit_for_bit_from_the_codec_passed_to_it() {
    let folder = folder("service");
    let kernel = kernel();
    let take = coded::generate(S16, 2, FRAMES, 1, 2).unwrap();
    let service = service::build(
        &kernel,
        &Programs::beside().unwrap(),
        &configuration(&take),
        &folder.join("audio.cpio"),
    )
    .unwrap();
    let system = System {
        manifest: MANIFEST.to_owned(),
        images: vec![
            (service.kernel, "vmlinuz".to_owned()),
            (service.initrd, "audio.cpio".to_owned()),
        ],
        hypervisor: program("hypervisor").unwrap(),
        consoles: vec!["audio".to_owned()],
        script: "wait \"$hypervisor\"".to_owned(),
        codec: true,
        options: String::new(),
    };
    let board = system
        .board("service", &kernel, folder)
        .unwrap()
        .in_virtual_time(1)
        .unwrap();
    let console = board.log("audio");

    let outcome = board.start().unwrap().finish(LIMIT).unwrap();

    let report = coded::compare(&take, &outcome.samples().unwrap(), 4);
    assert!(report.is_whole(), "{report:?}\n{}", console.text());
    assert_eq!(outcome.status, 0);
    assert!(console.line("service: end 0").is_some(), "{}", console.text());
}

/// Volumes of a card that is none, kept on the disk.
const KEPT: &str = r#"
version = 1
bus = "unix:path=/run/bus"
user = "audiod"
state = "/var/lib/carillon/state"
[codecs.main]
backend = "null"
period = 480
[zones.cabin]
codec = "main"
"#;
const KEEPS: &str = "\
if [ -e /var/lib/carillon/been ]; then
    audioctl volume cabin --json --bus system
    echo 'rc: second boot'
    sleep 3600
fi
audioctl volume cabin 37 --bus system && touch /var/lib/carillon/been
";

/// An empty ext4 file system in an image of 4 MiB.
fn empty_disk(path: &Path) {
    std::fs::File::create(path).unwrap().set_len(4 << 20).unwrap();
    let made = std::process::Command::new("/usr/sbin/mkfs.ext4")
        .args(["-q", "-F"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

#[test]
fn a_volume_outlives_the_service_vms_boot_on_its_disk() {
    let (folder, kernel) = (folder("state"), kernel());
    let configuration = [("system.toml", KEPT), ("rc", KEEPS)].map(|(name, text)| (name.to_owned(), text.into()));
    let service = service::build(
        &kernel,
        &Programs::beside().unwrap(),
        &configuration,
        &folder.join("audio.cpio"),
    )
    .unwrap();
    let disk = folder.join("state.img");
    empty_disk(&disk);
    let manifest = MANIFEST
        .replace("panic=-1", "panic=-1 nocard state=/dev/vda")
        .replace(
            "passthrough = [{ device = \"0000:00:03.0\", codec = true }]",
            "disks = [{ image = \"images/state.img\", read_only = false }]",
        )
        .replace("never", "always");
    let system = System {
        manifest,
        images: vec![
            (service.kernel, "vmlinuz".to_owned()),
            (service.initrd, "audio.cpio".to_owned()),
            (disk, "state.img".to_owned()),
        ],
        hypervisor: program("hypervisor").unwrap(),
        consoles: vec!["audio".to_owned()],
        script: "until_line audio 'rc: second boot' && cat \"$run/audio.console\" && stop".to_owned(),
        codec: false,
        options: String::new(),
    };
    let board = system
        .board("state", &kernel, folder)
        .unwrap()
        .in_virtual_time(1)
        .unwrap();
    // What both boots said.
    let console = board.log("board");

    let outcome = board.start().unwrap().finish(LIMIT).unwrap();

    let said = console.text();
    assert_eq!(outcome.status, 0, "{said}");
    assert_eq!(said.matches("service: end 0").count(), 1, "{said}");
    let kept = said
        .lines()
        .find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    assert_eq!(kept.unwrap()["volume"], 37, "{said}");
}
