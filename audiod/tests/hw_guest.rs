//! A bare `hw:` device in a stock guest: QEMU's HDA codec, whose samples land in a WAV file outside. This very program runs in
//! there, as the supervisor that keeps the card and as the engines that it kills.
//!
//! ```text
//!  host: boots a guest ─► supervisor: opens the card ─► engine 1 plays ─► kill -9 ─► silence ─► engine 2 plays ─► kill -9 ─► end
//!  host: the WAV holds frames of 1, silence, frames of 2, each frame at most once and in order; without an underrun, every frame
//! ```
//! A machine that stops the whole guest for half the card's ring proves nothing about us: the supervisor is the witness, and
//! such a run is repeated.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

use audiod::blocks::EngineBlock;
use audiod::codec::{self, alsa};
use audiod::engine::{Engine, rt};
use audiod::system::{Backend, CodecConfig, CodecFormat};
use engine_common::{FakeStream, codec_config, heard, system};
use system_tests::guest::{GuestImage, Kernel, Sound, Vm};
use vhost_sound::shared::Shared;

const NAME: &str = "a_bare_device_plays_every_frame_and_is_silent_between_a_killed_engine_and_its_successor";
const ROLE: &str = "CARILLON_HW_ROLE";
/// Frames. Free-running emulation stalls for some ms: it wants a lead of 30 ms, and a ring of 50.
const PERIOD: u32 = 96;
const LEAD: u32 = 15;
/// Played by each engine before it is killed.
const PERIODS: u64 = 400;
/// Periods before the stream starts: the engine's first ones touch all its pages.
const WARM_UP: u64 = 50;
/// What the witness may be late: clearly less than the lead, of which the codec has fetched a part already.
const WITNESS: Duration = Duration::from_millis(20);

fn config() -> CodecConfig {
    CodecConfig {
        format: CodecFormat::S16,
        period: PERIOD,
        lead: LEAD,
        ..codec_config(Backend::Alsa {
            device: "hw:0,0".into(),
        })
    }
}

#[test]
fn a_bare_device_plays_every_frame_and_is_silent_between_a_killed_engine_and_its_successor() {
    match std::env::var(ROLE).as_deref() {
        Ok("supervisor") => supervisor(),
        Ok(engine) => play(engine),
        Err(_) => host(),
    }
}

/// In the guest: keeps the card, zeroes ahead while no engine beats.
fn supervisor() {
    let config = config();
    let pcm = alsa::open_pcm(&config, "hw:0,0").unwrap();
    let lead = u64::from(config.period * config.lead);
    let mut tail = alsa::Tail::of(pcm.try_clone().unwrap(), config.rate, u64::from(config.period), lead).unwrap();
    let block = Shared::<EngineBlock>::create().unwrap();
    rt::enter(60);
    let mut watch = Watch {
        beat: 0,
        since: Instant::now(),
        latest: Duration::ZERO,
    };
    // QEMU's codec fills its FIFO at first: its pointer jumps.
    watch.hold(&block, &mut tail, Duration::from_millis(300));
    for code in 1..=2 {
        let before = block.periods.load(Acquire);
        let mut engine = start(code, &pcm, &block);
        let mut settled = None;
        while block.periods.load(Acquire) < before + PERIODS {
            if block.periods.load(Acquire) > before + WARM_UP / 2 {
                settled.get_or_insert(block.underruns.load(Relaxed));
            }
            watch.hold(&block, &mut tail, Duration::from_millis(2));
            assert!(engine.try_wait().unwrap().is_none(), "engine {code} has ended");
        }
        engine.kill().unwrap();
        engine.wait().unwrap();
        let underruns = block.underruns.load(Relaxed) - settled.unwrap();
        println!("engine {code}: {underruns} underruns");
        watch.hold(&block, &mut tail, Duration::from_millis(100));
    }
    println!(
        "{}",
        if watch.latest > WITNESS {
            BUSY
        } else {
            "the witness was in time"
        }
    );
    println!("it was late by {} us at most", watch.latest.as_micros());
}

const BUSY: &str = "machine too busy";

struct Watch {
    beat: u64,
    since: Instant,
    latest: Duration,
}

impl Watch {
    fn hold(&mut self, block: &EngineBlock, tail: &mut alsa::Tail<alsa::KernelPcm>, how_long: Duration) {
        let end = Instant::now() + how_long;
        while Instant::now() < end {
            let slept = Instant::now();
            std::thread::sleep(Duration::from_millis(1));
            self.latest = self.latest.max(slept.elapsed());
            let beat = block.heartbeat.load(Acquire);
            if beat != self.beat {
                (self.beat, self.since) = (beat, Instant::now());
            } else if self.since.elapsed() > Duration::from_millis(2) {
                tail.zero_ahead().unwrap();
            }
        }
    }
}

fn start(code: u32, pcm: &OwnedFd, block: &Shared<EngineBlock>) -> Child {
    let fds = [pcm.as_raw_fd(), block.fd().unwrap().as_raw_fd()];
    for fd in fds {
        // SAFETY: a plain call on our own descriptor; from here on children inherit it.
        unsafe { libc::fcntl(fd, libc::F_SETFD, 0) };
    }
    Command::new("/proc/self/exe")
        .args(["--exact", NAME, "--nocapture"])
        .env(ROLE, format!("{code} {} {}", fds[0], fds[1]))
        .spawn()
        .unwrap()
}

/// In the guest: an engine that takes the card over and plays until it is killed.
fn play(role: &str) {
    let words: Vec<i32> = role.split(' ').map(|word| word.parse().unwrap()).collect();
    // SAFETY: inherited for us alone.
    let [pcm, block] = [1, 2].map(|at| unsafe { OwnedFd::from_raw_fd(words[at]) });
    let block = Shared::<EngineBlock>::map(block).unwrap();
    block.gains.publish(&[heard(1.0)]);
    let codec = codec::open(&config(), Some(pcm)).unwrap();
    let frames = (1..200_000).flat_map(|n| frame(words[0] as u32, n)).collect();
    let mut stream = FakeStream::playing(5, 2, 7, frames);
    stream.script = Some(Box::new(|period, view| view.running = period >= WARM_UP));
    let guests = vec![(0, stream)];
    let mut system = system(1, false);
    system.codecs[0] = config();
    let (mut engine, _handle) = Engine::new(&system, 0, &block, guests, codec, None);
    for refused in rt::enter(50) {
        eprintln!("{refused}");
    }
    engine.run(&AtomicBool::new(false));
}

/// Frame `n` of engine `code`: S16 stereo, never silent.
fn frame(code: u32, n: u32) -> [u8; 4] {
    (code << 24 | n).to_le_bytes()
}

fn host() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/carillon");
    std::fs::create_dir_all(folder.join("kernel")).unwrap();
    let kernel = Kernel::fetch("6.12", &folder.join("kernel")).unwrap();
    let me = std::env::current_exe().unwrap();
    let program = me.to_str().unwrap();
    // The generic codec driver first: the controller's probe finds it then.
    let modules = ["snd_hda_codec_generic", "snd_hda_intel"];
    let image = GuestImage::with_modules(&kernel, &modules, &[program], &[], &folder.join("hw-guest.img")).unwrap();
    let wav = folder.join("hw-guest.wav");
    let vm = Vm {
        name: "hw-guest".into(),
        image,
        memory: 512,
        sound: Sound::Hda { wav: wav.clone() },
        append: String::new(),
        directory: folder,
    };
    for _ in 0..3 {
        let mut guest = vm.start().unwrap();
        guest.wait_ready(Duration::from_secs(90)).unwrap();
        let command = format!("{ROLE}=supervisor {program} --exact {NAME} --nocapture");
        let ended = guest.run(&command, Duration::from_secs(90)).unwrap();
        println!("{}", ended.output);
        assert_eq!(ended.status, 0, "{}", ended.output);
        guest.qmp("quit").unwrap();
        if !ended.output.contains(BUSY) {
            return judge(&frames(&wav), ended.output.matches(": 0 underruns").count() == 2);
        }
    }
    panic!("{BUSY}, three times");
}

/// All frames of the file, once QEMU has closed it.
fn frames(wav: &PathBuf) -> Vec<u32> {
    const HEADER: usize = 44;
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let bytes = std::fs::read(wav).unwrap();
        if bytes.len() > HEADER && bytes[40..HEADER] != [0; 4] {
            let (frames, _) = bytes[HEADER..].as_chunks::<4>();
            return frames.iter().map(|frame| u32::from_le_bytes(*frame)).collect();
        }
        assert!(Instant::now() < end, "QEMU did not close its file");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn judge(frames: &[u32], punctual: bool) {
    let sounding: Vec<(usize, u32)> = frames
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, frame)| *frame != 0)
        .collect();
    let of = |code: u32| sounding.iter().filter(move |(_, frame)| frame >> 24 == code);
    assert!(
        sounding.iter().all(|(_, frame)| (1..=2).contains(&(frame >> 24))),
        "a frame that nobody sent"
    );
    assert!(
        sounding.windows(2).all(|pair| pair[0].1 < pair[1].1),
        "a frame twice, or out of order"
    );
    for code in 1..=2 {
        let count = of(code).count();
        let first = of(code).next().unwrap().1 & 0xff_ffff;
        assert!(
            count as u64 > u64::from(PERIOD) * (PERIODS - WARM_UP - 50),
            "{count} frames of engine {code}"
        );
        if punctual {
            assert_eq!(first, 1, "engine {code} begins with its first frame");
            let even = of(code)
                .zip(of(code).skip(1))
                .all(|(a, b)| b.0 == a.0 + 1 && b.1 == a.1 + 1);
            assert!(even, "a hole in what engine {code} played");
        }
    }
    let gap = of(2).next().unwrap().0 - of(1).next_back().unwrap().0 - 1;
    println!("every frame as sent: {punctual}; between the engines {gap} frames of silence");
    assert!(gap > 0);
}
