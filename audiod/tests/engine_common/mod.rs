//! A bench for engine tests: fake guests, an offline codec of 24 bits, one stereo zone.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test file uses its part"
)]

pub mod car;
pub mod world;

use std::path::PathBuf;

use audiod::blocks::EngineBlock;
use audiod::blocks::gains::{Mode, Row, Tap};
use audiod::codec::offline::Offline;
use audiod::codec::{Codec, Shape};
use audiod::engine::chimes::ChimeBank;
use audiod::engine::guest::Guest;
use audiod::engine::{Engine, EngineHandle};
use audiod::system::{
    Backend, CaptureSource, ChimeConfig, CodecConfig, CodecFormat, GuestConfig, SourceConfig, System, ZoneConfig,
};
use vhost_sound::block::{direction, stream_state};
use vhost_sound::config::{DeviceConfig, Direction, StreamConfig};
use vhost_sound::memory::{Call, GuestMemory};
use vhost_sound::ring::StreamView;
use vhost_sound::shared::Shared;

pub const PERIOD: usize = 48;
pub const START: u32 = 1;

/// A stream that is a queue of bytes.
pub struct FakeStream {
    pub view: StreamView,
    pub bytes: Vec<u8>,
    pub taken: usize,
    pub at_most: usize,
    pub latency: u32,
    /// Asked at each pull and push, for `moves`.
    pub probe: Option<Box<dyn Fn() -> u64 + Send>>,
    pub moves: Vec<Move>,
    /// Changes the stream at the beginning of a period; told its number.
    pub script: Option<Script>,
    pub periods: u64,
    /// Something for control.
    pub news: bool,
}

type Script = Box<dyn FnMut(u64, &mut StreamView) + Send>;

/// What one pull or push was.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// The probe's answer.
    pub at: u64,
    /// Bytes moved before it.
    pub before: usize,
    /// Bytes moved by it.
    pub count: usize,
    /// `latency_bytes` told.
    pub latency: u32,
}

impl FakeStream {
    pub fn playing(format: u32, channels: u32, rate: u32, bytes: Vec<u8>) -> Self {
        let view = StreamView {
            state: stream_state::RUNNING,
            running: true,
            direction: direction::PLAYBACK,
            format,
            rate,
            channels,
            features: 0,
            buffer_bytes: 0,
            period_bytes: 0,
            start_gen: START,
            params_gen: 1,
        };
        Self {
            view,
            bytes,
            taken: 0,
            at_most: usize::MAX,
            latency: 0,
            probe: None,
            moves: Vec::new(),
            script: None,
            periods: 0,
            news: false,
        }
    }

    /// A capture stream; `bytes` is what it was given, at most `room`.
    pub fn recording(format: u32, channels: u32, rate: u32, room: usize) -> Self {
        let mut stream = Self::playing(format, channels, rate, Vec::with_capacity(room));
        stream.view.direction = direction::CAPTURE;
        stream
    }

    fn note(&mut self, before: usize, count: usize, latency: u32) {
        self.latency = latency;
        if let Some(probe) = &self.probe {
            let at = probe();
            self.moves.push(Move {
                at,
                before,
                count,
                latency,
            });
        }
    }
}

impl Guest for FakeStream {
    fn begin_period(&mut self) {
        if let Some(script) = &mut self.script {
            script(self.periods, &mut self.view);
        }
        self.periods += 1;
    }
    fn state(&self, _stream: usize) -> StreamView {
        self.view
    }
    fn pull(&mut self, _stream: usize, into: &mut [u8], latency_bytes: u32) -> usize {
        let count = into.len().min(self.bytes.len() - self.taken).min(self.at_most);
        into[..count].copy_from_slice(&self.bytes[self.taken..self.taken + count]);
        self.note(self.taken, count, latency_bytes);
        self.taken += count;
        count
    }
    fn push(&mut self, _stream: usize, from: &[u8], latency_bytes: u32) -> usize {
        let room = self.bytes.capacity() - self.bytes.len();
        let count = from.len().min(room).min(self.at_most);
        self.note(self.bytes.len(), count, latency_bytes);
        self.bytes.extend_from_slice(&from[..count]);
        count
    }
    fn end_period(&mut self) {}
    fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }
    fn set_memory(&mut self, memory: GuestMemory) -> Option<GuestMemory> {
        Some(memory)
    }
    fn set_call(&mut self, _queue: usize, call: Option<Call>) -> Option<Call> {
        call
    }
}

pub struct Bench {
    pub block: &'static EngineBlock,
    pub engine: Engine<'static, FakeStream, Offline>,
    pub handle: EngineHandle,
}

impl Bench {
    pub fn new(streams: Vec<FakeStream>) -> Self {
        Self::build(&system(streams.len(), false), streams, None)
    }

    pub fn with_safety(streams: Vec<FakeStream>) -> Self {
        Self::build(&system(streams.len(), true), streams, None)
    }

    /// A system of one's own.
    pub fn of(system: &System, streams: Vec<FakeStream>) -> Self {
        Self::build(system, streams, None)
    }

    /// With a mono chime of constant `level`, `frames` long.
    pub fn with_chime(streams: Vec<FakeStream>, level: f32, frames: usize) -> Self {
        let file = tempfile(frames, level);
        let mut system = system(streams.len(), false);
        system.chimes.push(ChimeConfig {
            name: "seat belt".into(),
            path: file.clone(),
            zones: vec![0],
            gain: 0,
            repeat: 1,
        });
        let bank = ChimeBank::map(ChimeBank::build(&system, 0).unwrap()).unwrap();
        std::fs::remove_file(file).unwrap();
        Self::build(&system, streams, Some(bank))
    }

    fn build(system: &System, streams: Vec<FakeStream>, bank: Option<ChimeBank>) -> Self {
        // Leaked: the engine borrows it for as long as the test runs.
        let block: &'static Shared<EngineBlock> = Box::leak(Box::new(Shared::private().unwrap()));
        let codec = Offline::new(Shape::of(&system.codecs[0]), 4000 * PERIOD);
        let guests = streams.into_iter().enumerate().collect();
        let (engine, handle) = Engine::new(system, 0, block, guests, codec, bank);
        Self { block, engine, handle }
    }

    pub fn publish(&self, rows: &[Row]) {
        self.block.gains.publish(rows);
    }

    pub fn run(&mut self, periods: usize) {
        (0..periods).for_each(|_| self.engine.run_period());
    }

    pub fn played_samples(&self) -> Vec<f32> {
        let bytes = self.engine.codec().played();
        let mut samples = vec![0.0; bytes.len() / 4];
        self.engine
            .codec()
            .shape()
            .format
            .decode(bytes, 1, &mut samples, &mut mix::Faults::default());
        samples
    }

    pub fn doing(&self, source: usize) -> u32 {
        self.block.sources[source]
            .doing
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    pub fn stream(&mut self, position: usize) -> &mut FakeStream {
        self.engine.guest(position).unwrap()
    }
}

pub fn decided(mode: Mode) -> Row {
    Row {
        mode,
        decided: START,
        ..Row::SILENT
    }
}

/// Played in the zone at `gain`, at once.
pub fn heard(gain: f32) -> Row {
    let mut row = decided(Mode::Play);
    row.taps[0] = Tap {
        gain,
        ramp: 0,
        generation: 1,
    };
    row
}

/// The same numbers each time, in -1..1.
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

pub fn codec_config(backend: Backend) -> CodecConfig {
    CodecConfig {
        name: "cabin".into(),
        backend,
        rate: 48_000,
        channels: 2,
        capture_channels: 0,
        capture: CaptureSource::Silence,
        format: CodecFormat::S24,
        period: PERIOD as u32,
        lead: 2,
    }
}

/// A system of capture streams, by whether they are allowed the input.
pub fn recording_system(allowed: &[bool]) -> System {
    let mut system = system(allowed.len(), false);
    system.codecs[0].capture_channels = 2;
    for ((guest, source), &allowed) in system.guests.iter_mut().zip(&mut system.sources).zip(allowed) {
        source.capture_allowed = allowed;
        guest.device.streams.push(StreamConfig {
            name: "mic".into(),
            direction: Direction::Capture,
            formats: 0,
            rates: 0,
            channels_min: 1,
            channels_max: 8,
            safety: false,
            controls: false,
            nid: 0,
        });
    }
    system
}

pub fn system(sources: usize, safety: bool) -> System {
    let device = |name: String| DeviceConfig {
        guest: name,
        streams: Vec::new(),
        jacks: Vec::new(),
        channel_maps: Vec::new(),
        queue_size: 64,
        codec_period: (PERIOD as u32, 48_000),
    };
    let guest = |n: usize| GuestConfig {
        name: format!("g{n}"),
        socket: PathBuf::new(),
        window: None,
        device: device(format!("g{n}")),
    };
    let source = |n: usize| SourceConfig {
        name: format!("g{n}.s"),
        guest: n,
        stream: 0,
        safety,
        safety_zones: vec![0],
        codec: 0,
        capture_allowed: false,
    };
    System {
        access: None,
        bus: None,
        codecs: vec![codec_config(Backend::Null)],
        zones: vec![ZoneConfig {
            name: "cabin".into(),
            codec: 0,
            channels: vec![0, 1],
            positions: vec![3, 4],
            groups: Vec::new(),
        }],
        guests: (0..sources).map(guest).collect(),
        sources: (0..sources).map(source).collect(),
        chimes: Vec::new(),
        decision_limit_ms: 50,
        user: None,
    }
}

fn tempfile(frames: usize, level: f32) -> PathBuf {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("carillon-chime-{}-{count}.wav", std::process::id()));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut file = hound::WavWriter::create(&path, spec).unwrap();
    (0..frames).for_each(|_| file.write_sample(level).unwrap());
    file.finalize().unwrap();
    path
}
