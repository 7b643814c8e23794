//! A stock Debian guest under QEMU beside the real daemon, in a folder of their own.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use system_tests::coded::{self, Report};
use system_tests::daemon::Daemon;
use system_tests::guest::{Guest, GuestImage, Kernel, Sound, Vm};
use system_tests::process::until;

/// For whatever a guest does; it may be translated, beside others.
pub const LIMIT: Duration = Duration::from_secs(90);
const BOOT_LIMIT: Duration = Duration::from_secs(120);
const PROGRAMS: [&str; 3] = ["aplay", "arecord", "amixer"];
pub const RATE: usize = 48_000;

/// One zone on a simulated card of S32 with some lead, so that a busy machine costs silence at most.
pub const CODEC: &str = r#"
version = 1
bus = "@BUS@"
# Frames are judged here, not how soon a busy machine lets control decide.
decision_limit_ms = 1000
[codecs.main]
backend = "wav"
path = "@FOLDER@/cabin.wav"
format = "S32"
period = 240
lead = 12
[zones.cabin]
codec = "main"
channels = [0, 1]
[classes.media]
priority = 10
"#;

/// A guest with one stream.
pub const ONE_STREAM: &str = r#"
[guests.ivi]
socket = "@FOLDER@/ivi.sock"
streams.media = { class = "media", zone = "cabin" }
"#;

/// Daemon and guest; dropped, all is killed and removed.
pub struct Rig {
    pub folder: PathBuf,
    pub daemon: Daemon,
    pub guest: Guest,
}

impl Rig {
    /// `system` is a system file with `@BUS@` and `@FOLDER@`; its guest is called `ivi`. `files` lie in the guest's root.
    pub fn start(name: &str, kernel: &str, system: &str, files: &[(&str, Vec<u8>)]) -> Self {
        Self::start_with(name, kernel, system, files, &PROGRAMS)
    }

    /// With other programs than ALSA's.
    pub fn start_with(name: &str, kernel: &str, system: &str, files: &[(&str, Vec<u8>)], programs: &[&str]) -> Self {
        Self::start_between(name, kernel, system, files, programs, |_| {})
    }

    /// `between` is done once the daemon serves and before the guest starts; it is given the folder.
    pub fn start_between(
        name: &str,
        kernel: &str,
        system: &str,
        files: &[(&str, Vec<u8>)],
        programs: &[&str],
        between: impl FnOnce(&Path),
    ) -> Self {
        let folder = std::env::temp_dir().join(format!("carillon-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/carillon/kernel");
        std::fs::create_dir_all(&cache).unwrap();
        let kernel = Kernel::fetch(kernel, &cache).unwrap();
        let files: Vec<(&str, &[u8], u32)> = files
            .iter()
            .map(|(path, data)| (*path, data.as_slice(), 0o755))
            .collect();
        let image = GuestImage::build(&kernel, programs, &files, &folder.join("guest.cpio")).unwrap();
        let place = folder.display().to_string();
        let daemon = Daemon::start(&folder, |bus| system.replace("@BUS@", bus).replace("@FOLDER@", &place)).unwrap();
        between(&folder);
        let vm = Vm {
            name: "ivi".to_owned(),
            image,
            memory: 512,
            sound: Sound::VhostUser {
                socket: folder.join("ivi.sock"),
                controls: true,
            },
            append: String::new(),
            directory: folder.clone(),
        };
        let mut guest = vm.start().unwrap();
        guest.wait_ready(BOOT_LIMIT).unwrap();
        Self { folder, daemon, guest }
    }

    /// Runs a command in the guest that must succeed; returns its output.
    pub fn run(&mut self, command: &str) -> String {
        let end = self.guest.run(command, LIMIT).unwrap();
        assert_eq!(end.status, 0, "`{command}`: {}\n{}", end.output, self.log());
        end.output
    }

    /// The daemon's log and the guest's console.
    pub fn log(&self) -> String {
        let text = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        format!("audiod:\n{}\nconsole:\n{}", text("audiod.log"), text("ivi.console.log"))
    }

    /// Bytes recorded so far: where what comes next begins.
    pub fn recorded(&self) -> usize {
        coded::samples(&self.folder.join("cabin.wav")).map_or(0, |samples| samples.len())
    }

    /// Waits until the card has played all that was handed to it by now; compares `sent` (S32 stereo, played after `from`)
    /// with the recording.
    pub fn heard(&self, sent: &[u8], from: usize) -> Report {
        // The lead is 60 ms, and the card's process writes every few.
        let enough = self.recorded() + RATE / 2 * 8;
        until("the card plays on", LIMIT, || (self.recorded() >= enough).then_some(())).unwrap();
        let samples = coded::samples(&self.folder.join("cabin.wav")).unwrap();
        coded::compare(sent, &samples[from..], 8)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        // Left for the system to tidy up if it can't be removed.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// `frames` frames of coded stereo in a format of the stock offer: as the guest plays it (raw), and as an S32 codec has it.
pub fn coded_pair(format: &str, frames: usize, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let coded = |format| coded::generate(format, 2, frames, seed, 2).unwrap();
    let wide = |bytes: &[u8], shift: u32| -> Vec<u8> {
        let samples = bytes.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()));
        samples.flat_map(|sample| (sample << shift).to_le_bytes()).collect()
    };
    match format {
        "S16_LE" => {
            let sent = coded(5);
            let samples = sent
                .chunks_exact(2)
                .map(|b| i32::from(i16::from_le_bytes(b.try_into().unwrap())));
            let codec = samples.flat_map(|sample| (sample << 16).to_le_bytes()).collect();
            (sent, codec)
        }
        "S24_LE" => (coded(15), wide(&coded(15), 8)),
        // The mix has 24 bits; a guest's lower 8 are zero here.
        "S32_LE" => (wide(&coded(15), 8), wide(&coded(15), 8)),
        "FLOAT_LE" => {
            let sent = coded(19);
            let samples = sent.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            let codec = samples
                .flat_map(|sample| ((sample * 8_388_608.0) as i32).wrapping_shl(8).to_le_bytes())
                .collect();
            (sent, codec)
        }
        other => panic!("{other} is not in the offer"),
    }
}
