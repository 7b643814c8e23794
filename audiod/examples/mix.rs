//! The engine alone, for `cargo xtask bench mix`: `mix KIND STREAMS PERIODS`, on the offline clock, guests in memory.
//!
//! KIND: `steady` (S16 stereo at the codec's rate), `ducking` (the same under a gain that moves all the time), `resampled`
//! (44.1 kHz stereo), `bridged` (heard on another codec).

use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context, bail};
use audiod::blocks::EngineBlock;
use audiod::blocks::gains::{Mode, Row, Tap};
use audiod::codec::Shape;
use audiod::codec::offline::Offline;
use audiod::engine::guest::Guest;
use audiod::engine::{Engine, bridge};
use audiod::system::{Backend, CaptureSource, CodecConfig, CodecFormat, GuestConfig, SourceConfig, System, ZoneConfig};
use vhost_sound::config::DeviceConfig;
use vhost_sound::memory::{Call, GuestMemory};
use vhost_sound::ring::StreamView;
use vhost_sound::shared::Shared;

/// A stream that never ends.
struct Endless {
    view: StreamView,
    bytes: Vec<u8>,
    at: usize,
}

impl Guest for Endless {
    fn begin_period(&mut self) {}
    fn state(&self, _stream: usize) -> StreamView {
        self.view
    }
    fn pull(&mut self, _stream: usize, into: &mut [u8], _latency_bytes: u32) -> usize {
        if self.at + into.len() > self.bytes.len() {
            self.at = 0;
        }
        into.copy_from_slice(&self.bytes[self.at..self.at + into.len()]);
        self.at += into.len();
        into.len()
    }
    fn push(&mut self, _stream: usize, from: &[u8], _latency_bytes: u32) -> usize {
        from.len()
    }
    fn end_period(&mut self) {}
    fn take_news(&mut self) -> bool {
        false
    }
    fn set_memory(&mut self, memory: GuestMemory) -> Option<GuestMemory> {
        Some(memory)
    }
    fn set_call(&mut self, _queue: usize, call: Option<Call>) -> Option<Call> {
        call
    }
}

/// S16 stereo, `VIRTIO_SND_PCM_RATE_*`.
fn endless(rate: u32) -> Endless {
    let view = StreamView {
        state: vhost_sound::block::stream_state::RUNNING,
        running: true,
        direction: vhost_sound::block::direction::PLAYBACK,
        format: 5,
        rate,
        channels: 2,
        features: 0,
        buffer_bytes: 0,
        period_bytes: 0,
        start_gen: 1,
        params_gen: 1,
    };
    let bytes = (0..40_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 26) as u8)
        .collect();
    Endless { view, bytes, at: 0 }
}

fn system(streams: usize, codecs: usize) -> System {
    let codec = |n: usize| CodecConfig {
        name: format!("c{n}"),
        backend: Backend::Null,
        rate: 48_000,
        channels: 2,
        capture_channels: 0,
        capture: CaptureSource::Silence,
        format: CodecFormat::S16,
        period: 48,
        lead: 2,
    };
    let zone = |n: usize| ZoneConfig {
        name: format!("z{n}"),
        codec: n,
        channels: vec![0, 1],
        positions: vec![3, 4],
        groups: Vec::new(),
    };
    let guest = |n: usize| GuestConfig {
        name: format!("g{n}"),
        socket: std::path::PathBuf::new(),
        window: None,
        device: DeviceConfig {
            guest: format!("g{n}"),
            streams: Vec::new(),
            jacks: Vec::new(),
            channel_maps: Vec::new(),
            queue_size: 64,
            codec_period: (48, 48_000),
        },
    };
    let source = |n: usize| SourceConfig {
        name: format!("g{n}.s"),
        guest: n,
        stream: 0,
        safety: false,
        safety_zones: Vec::new(),
        codec: 0,
        capture_allowed: false,
    };
    System {
        access: None,
        bus: None,
        codecs: (0..codecs).map(codec).collect(),
        zones: (0..codecs).map(zone).collect(),
        guests: (0..streams).map(guest).collect(),
        sources: (0..streams).map(source).collect(),
        chimes: Vec::new(),
        decision_limit_ms: 50,
        user: None,
    }
}

fn row(zone: usize, gain: f32, ramp: u32, generation: u32) -> Row {
    let mut row = Row {
        mode: Mode::Play,
        decided: 1,
        ..Row::SILENT
    };
    row.taps[zone] = Tap { gain, ramp, generation };
    row
}

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [kind, streams, periods] = &words[..] else {
        bail!("mix KIND STREAMS PERIODS");
    };
    let (streams, periods): (usize, u32) = (streams.parse().context("STREAMS")?, periods.parse().context("PERIODS")?);
    let codecs = if kind == "bridged" { 2 } else { 1 };
    let system = system(streams, codecs);
    let rate = if kind == "resampled" { 6 } else { 7 };
    let block = Shared::<EngineBlock>::private()?;
    let sink = codecs - 1;
    block.gains.publish(&vec![row(sink, 0.5, 0, 1); streams]);
    let mut bridges = bridge::build(&system).into_iter();
    let mut guests: Vec<(usize, Endless)> = (0..streams).map(|n| (n, endless(rate))).collect();
    let mut engines = Vec::new();
    for index in 0..codecs {
        let codec = Offline::new(Shape::of(&system.codecs[index]), 0);
        let (mut engine, mut handle) = Engine::new(&system, index, &block, std::mem::take(&mut guests), codec, None);
        engine.connect(bridges.next().unwrap_or_default());
        engine.run_period();
        handle.serve();
        engines.push((engine, handle));
    }
    for period in 0..periods {
        if kind == "ducking" && period.is_multiple_of(10) {
            let gain = if period.is_multiple_of(20) { 0.1 } else { 0.9 };
            block.gains.publish(&vec![row(sink, gain, 480, 2 + period); streams]);
        }
        engines.iter_mut().for_each(|(engine, _)| engine.run_period());
    }
    let heard = streams == 0 || f32::from_bits(block.zones[sink].peak.load(Relaxed)) > 0.0;
    Ok(if heard { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
