//! The daemon with three zones of two channels each, a guest with two streams, another with one, and players that keep count.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use system_tests::coded::{self, Report};
use system_tests::daemon::Daemon;
use system_tests::frontend::pcm::Pcm;
use system_tests::frontend::proto::{FORMATS, Params, RATES, S_OK, TXQ};
use system_tests::frontend::{Options, Slot, SoundFrontend};
use system_tests::process;

/// For anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Frames of a message.
pub const PERIOD: u32 = 480;
const CHANNELS: usize = 2;
const FRAME: usize = 2 * CHANNELS;
/// Channels of the codec.
const ALL: usize = 6;

/// A folder that is gone afterwards.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("faults-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn socket(&self, guest: &str) -> PathBuf {
        self.0.join(format!("{guest}.sock"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.0.join("audiod.log")).unwrap_or_default());
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The system file. The lead is long, so that a machine that is late by tens of milliseconds is not taken for a fault.
pub fn system(bus: &str) -> String {
    format!(
        r#"version = 1
bus = "{bus}"
# Frames are judged here, not how soon a busy machine lets control decide.
decision_limit_ms = 1000

[codecs.main]
backend = "wav"
path = "cabin.wav"
channels = {ALL}
period = 240
lead = 16

[zones.front]
codec = "main"
channels = [0, 1]
[zones.rear]
codec = "main"
channels = [2, 3]
[zones.side]
codec = "main"
channels = [4, 5]

[classes.media]
priority = 10

[guests.ivi]
socket = "ivi.sock"
streams.media = {{ class = "media", zone = "front" }}
streams.aux = {{ class = "media", zone = "rear" }}

[guests.rse]
socket = "rse.sock"
streams.media = {{ class = "media", zone = "side" }}
"#
    )
}

pub fn start(folder: &Folder) -> Daemon {
    Daemon::start(folder.path(), system).unwrap()
}

/// A chime in the zone `side`, long enough to be stopped in.
pub struct Chime(Vec<u8>);

impl Chime {
    /// Seconds of it.
    pub fn write(folder: &Folder, seconds: usize) -> Self {
        let format = FORMATS.iter().find(|(name, _)| *name == "s16").unwrap().1;
        let data = coded::generate(format, CHANNELS as u8, seconds * 48_000, 33, 1).unwrap();
        let spec = hound::WavSpec {
            channels: CHANNELS as u16,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(folder.path().join("bell.wav"), spec).unwrap();
        for sample in data.chunks_exact(2) {
            writer.write_sample(i16::from_le_bytes([sample[0], sample[1]])).unwrap();
        }
        writer.finalize().unwrap();
        Self(data)
    }

    /// The daemon with it.
    pub fn start(&self, folder: &Folder) -> Daemon {
        let bell = "\n[classes.warning]\nsafety = true\n[chimes.bell]\npath = \"bell.wav\"\nclass = \"warning\"\nzones = [\"side\"]\n";
        Daemon::start(folder.path(), |bus| system(bus) + bell).unwrap()
    }

    /// How it arrived.
    pub fn compare(&self, folder: &Folder) -> Report {
        coded::compare(&self.0, &zone(folder, 2), FRAME)
    }
}

pub fn connect(folder: &Folder, guest: &str) -> SoundFrontend {
    let options = Options {
        timeout: Duration::from_secs(5),
        ..Options::default()
    };
    SoundFrontend::connect(&folder.socket(guest), options).unwrap()
}

/// What the codec played in one zone, as frames of two channels.
pub fn zone(folder: &Folder, zone: usize) -> Vec<u8> {
    let all = coded::samples(&folder.path().join("cabin.wav")).unwrap();
    let at = zone * FRAME;
    all.chunks_exact(2 * ALL)
        .flat_map(|frame| frame[at..at + FRAME].to_vec())
        .collect()
}

/// One stream that is played in messages, in the stock driver's order, and remembers what it gave.
pub struct Player {
    pcm: Pcm,
    data: Vec<u8>,
    next: usize,
    pub posted: u64,
    pub returned: u64,
    started: bool,
}

impl Player {
    /// Opens a stream that will play `seconds` of its own sequence.
    pub fn new(fe: &mut SoundFrontend, stream: u32, seed: u64, seconds: f64) -> Self {
        let format = FORMATS.iter().find(|(name, _)| *name == "s16").unwrap().1;
        let mut params = Params {
            buffer_bytes: 0,
            period_bytes: 0,
            features: 0,
            channels: CHANNELS as u8,
            format,
            rate: RATES.iter().position(|rate| *rate == 48_000).unwrap() as u8,
        };
        params.period_bytes = PERIOD * params.frame_bytes();
        params.buffer_bytes = 8 * params.period_bytes;
        let messages = (seconds * 48_000.0) as usize / PERIOD as usize;
        let data = coded::generate(format, CHANNELS as u8, messages * PERIOD as usize, seed, 1).unwrap();
        Self {
            pcm: Pcm::open(fe, TXQ, stream, params).unwrap(),
            data,
            next: 0,
            posted: 0,
            returned: 0,
            started: false,
        }
    }

    /// START; the first time with a full ring.
    pub fn start(&mut self, fe: &mut SoundFrontend) {
        if !std::mem::replace(&mut self.started, true) {
            for slot in self.pcm.slots.clone() {
                self.feed(fe, slot);
            }
            fe.kick(TXQ);
        }
        self.pcm.start(fe).unwrap();
    }

    pub fn stop(&self, fe: &mut SoundFrontend) {
        self.pcm.stop(fe).unwrap();
    }

    pub fn end(&self, fe: &mut SoundFrontend) {
        self.pcm.stop(fe).unwrap();
        self.pcm.release(fe).unwrap();
    }

    fn feed(&mut self, fe: &mut SoundFrontend, slot: Slot) {
        let len = slot.len as usize;
        let Some(data) = self.data.get(self.next * len..(self.next + 1) * len) else {
            return;
        };
        fe.ram.write(slot.data, data);
        fe.post(slot).unwrap();
        self.next += 1;
        self.posted += 1;
    }

    /// Takes what came back and gives what is next.
    pub fn pump(&mut self, fe: &mut SoundFrontend) {
        for done in fe.completions(TXQ, self.pcm.stream) {
            assert_eq!(
                done.status, S_OK,
                "message {} of stream {}",
                self.returned, self.pcm.stream
            );
            self.returned += 1;
            self.feed(fe, done.slot);
        }
        fe.kick(TXQ);
    }

    /// All that was given came back.
    pub fn drained(&self) -> bool {
        self.returned == self.posted && self.next * self.message() >= self.data.len()
    }

    fn message(&self) -> usize {
        self.pcm.params.period_bytes as usize
    }

    /// How it arrived in its zone.
    pub fn compare(&self, folder: &Folder, index: usize) -> Report {
        coded::compare(&self.data, &zone(folder, index), FRAME)
    }
}

/// Plays all `players` until `done`.
pub fn play_until(
    fe: &mut SoundFrontend,
    players: &mut [&mut Player],
    what: &str,
    mut done: impl FnMut(&[&mut Player]) -> bool,
) {
    let end = Instant::now() + PATIENCE;
    while !done(players) {
        assert!(Instant::now() < end, "{what} did not come");
        players.iter_mut().for_each(|player| player.pump(fe));
        let next = Instant::now() + Duration::from_millis(20);
        fe.pause(TXQ, next);
    }
}

/// Plays until the card has recorded all that was returned.
pub fn wait_recorded(folder: &Folder, frames: usize) {
    let cabin = folder.path().join("cabin.wav");
    let recorded = || hound::WavReader::open(&cabin).map_or(0, |file| file.duration() as usize);
    let target = recorded() + frames;
    process::until("the card's file", PATIENCE, || (recorded() >= target).then_some(())).unwrap();
}

/// Kills children and waits for their successors.
pub fn kill(daemon: &Daemon, roles: &[&str]) {
    let old: Vec<u32> = roles.iter().map(|role| daemon.process_of(role).unwrap()).collect();
    for pid in &old {
        process::signal(*pid, libc::SIGKILL).unwrap();
    }
    for (role, old) in roles.iter().zip(old) {
        let another = || daemon.process_of(role).filter(|pid| *pid != old);
        process::until(&format!("another {role}"), PATIENCE, another).unwrap();
    }
}

/// Every message came back exactly once.
pub fn assert_each_returned_once(fe: &SoundFrontend, players: &[&Player]) {
    let posted: u64 = players.iter().map(|player| player.posted).sum();
    assert_eq!(fe.queues[TXQ].in_flight(), 0, "messages that never came back");
    assert_eq!(u64::from(fe.queues[TXQ].used_index()), posted % 65_536, "used elements");
}
