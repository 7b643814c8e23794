//! The desktop's sound through `cpal`, for a developer's laptop: a ring of numbered frames to cpal's callback.
//!
//! ```text
//!   engine ──write──► rtrb, each frame with its number ──► Player, in cpal's callback ──► device
//!                       position, interpolated by time ◄── frames fetched, and when
//! ```
//! The device fetches a buffer at a time, so the lead has to be two of them; the buffer asked for is half the lead. A frame
//! that is not there when it is fetched is silence, one that comes after is played from there on.
#![allow(
    clippy::disallowed_types,
    reason = "channels only while opening and closing; the callback and the engine's side use none"
)]

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::mpsc;

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, SampleFormat, SizedSample, StreamConfig};
use dasp_sample::FromSample;
use mix::{Faults, Format, MAX_CHANNELS};
use rtrb::{Consumer, Producer, RingBuffer};

use super::{Codec, CodecError, Shape, now_ns};
use crate::system::CodecConfig;

/// Frames the ring holds.
const RING: usize = 16_384;

#[derive(Clone, Copy)]
struct Frame {
    at: u64,
    samples: [f32; MAX_CHANNELS],
}

#[derive(Default)]
struct Link {
    /// Frames fetched so far.
    fetched: AtomicU64,
    /// Of them, by the last callback.
    chunk: AtomicU64,
    /// When that was, ns.
    at_ns: AtomicU64,
    gone: AtomicBool,
}

/// The engine's end.
pub struct Cpal {
    shape: Shape,
    frames: Producer<Frame>,
    link: Arc<Link>,
    position: u64,
    written: u64,
    /// Its end ends the thread that holds the stream, which may not move between threads.
    _stream: Option<mpsc::Sender<()>>,
}

/// The callback's end.
struct Player {
    frames: Consumer<Frame>,
    link: Arc<Link>,
    channels: usize,
    next: u64,
}

fn pair(shape: Shape) -> (Cpal, Player) {
    let shape = Shape {
        format: Format::Float,
        capture_channels: 0,
        ..shape
    };
    let (producer, consumer) = RingBuffer::new(RING);
    let link = Arc::<Link>::default();
    let player = Player {
        frames: consumer,
        link: Arc::clone(&link),
        channels: shape.channels,
        next: 0,
    };
    let codec = Cpal {
        shape,
        frames: producer,
        link,
        position: 0,
        written: 0,
        _stream: None,
    };
    (codec, player)
}

impl Player {
    /// Fills what the device fetches. No allocation, no lock.
    fn fill<T: SizedSample + FromSample<f32>>(&mut self, out: &mut [T], now_ns: u64) {
        let mut count = 0;
        for frame in out.chunks_exact_mut(self.channels.max(1)) {
            let samples = self.take().map_or([0.0; MAX_CHANNELS], |frame| frame.samples);
            for (sample, value) in frame.iter_mut().zip(samples) {
                // dasp_sample doesn't saturate 24-bit samples.
                *sample = T::from_sample_(value.clamp(-1.0, 1.0 - f32::EPSILON));
            }
            self.next += 1;
            count += 1;
        }
        self.link.chunk.store(count, Relaxed);
        self.link.at_ns.store(now_ns, Relaxed);
        self.link.fetched.store(self.next, Release);
    }

    /// The frame that is due, if it is there.
    fn take(&mut self) -> Option<Frame> {
        loop {
            let at = self.frames.peek().ok()?.at;
            if at > self.next {
                return None;
            }
            let frame = self.frames.pop().ok()?;
            if at == self.next {
                return Some(frame);
            }
        }
    }
}

impl Cpal {
    fn position_at(&mut self, now_ns: u64) -> u64 {
        let fetched = self.link.fetched.load(Acquire);
        let chunk = self.link.chunk.load(Relaxed);
        let passed = u128::from(now_ns.saturating_sub(self.link.at_ns.load(Relaxed)));
        let passed = (passed * u128::from(self.shape.rate) / 1_000_000_000) as u64;
        // What was fetched last is played from now on; not more than that is known.
        let now = fetched.saturating_sub(chunk) + passed.min(chunk);
        if !self.link.gone.load(Relaxed) {
            self.position = self.position.max(now);
        }
        self.position
    }
}

impl Codec for Cpal {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn position(&mut self) -> u64 {
        self.position_at(now_ns())
    }

    fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> u64 {
        let frames = bytes.len() / self.shape.frame_bytes().max(1);
        // The callback has fetched past it: played from there on.
        let at = at.max(self.link.fetched.load(Acquire));
        let mut sent = 0;
        for (index, frame) in bytes.chunks_exact(self.shape.frame_bytes()).enumerate() {
            let mut samples = [0.0; MAX_CHANNELS];
            let mine = &mut samples[..self.shape.channels];
            Format::Float.decode(frame, 1, mine, &mut Faults::default());
            let at = at + index as u64;
            if self.frames.push(Frame { at, samples }).is_err() {
                break;
            }
            sent += 1;
        }
        let at = at + (frames - sent) as u64;
        self.written = self.written.max(at + frames as u64);
        at
    }

    /// For listening only.
    fn read(&mut self, _from: u64, _into: &mut [u8]) -> usize {
        0
    }
}

/// Opens the named output, or the default one.
///
/// # Errors
/// When there is none, or it can't do what is configured.
pub fn open(config: &CodecConfig, device: Option<&str>) -> Result<Cpal, CodecError> {
    let (mut codec, player) = pair(Shape::of(config));
    let (told, answer) = mpsc::channel();
    let (hold, held) = mpsc::channel::<()>();
    let wanted = (config.clone(), device.map(str::to_owned));
    let thread = std::thread::Builder::new().name("cpal".to_owned());
    let spawned = thread.spawn(move || {
        let (config, device) = wanted;
        let stream = start(&config, device.as_deref(), player);
        let (stream, result) = match stream {
            Ok(stream) => (Some(stream), Ok(())),
            Err(what) => (None, Err(what)),
        };
        if told.send(result).is_ok() && stream.is_some() {
            // Until the codec is dropped.
            let _ = held.recv();
        }
    });
    let failed = |what: String| CodecError::Device {
        name: config.name.clone(),
        device: device.unwrap_or("the default output").to_owned(),
        what,
        cure: "see what the desktop offers, or use backend = \"alsa\" or \"wav\"",
    };
    spawned.map_err(|error| failed(error.to_string()))?;
    match answer.recv() {
        Ok(Ok(())) => {
            codec._stream = Some(hold);
            Ok(codec)
        }
        Ok(Err(what)) => Err(failed(what)),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn start(config: &CodecConfig, device: Option<&str>, player: Player) -> Result<cpal::Stream, String> {
    let host = cpal::default_host();
    let device = match device {
        None => host.default_output_device().ok_or("there is no output")?,
        Some(name) => host
            .output_devices()
            .map_err(|error| error.to_string())?
            .find(|device| device.to_string() == name)
            .ok_or("there is no output of this name")?,
    };
    let format = device
        .default_output_config()
        .map_err(|error| error.to_string())?
        .sample_format();
    let stream = StreamConfig {
        channels: config.channels as u16,
        sample_rate: config.rate,
        buffer_size: BufferSize::Fixed(config.period * config.lead.max(2) / 2),
    };
    let stream = match format {
        SampleFormat::I16 => build::<i16>(&device, stream, player),
        SampleFormat::I32 => build::<i32>(&device, stream, player),
        SampleFormat::U16 => build::<u16>(&device, stream, player),
        SampleFormat::U8 => build::<u8>(&device, stream, player),
        _ => build::<f32>(&device, stream, player),
    }
    .map_err(|error| error.to_string())?;
    stream.play().map_err(|error| error.to_string())?;
    Ok(stream)
}

fn build<T: SizedSample + FromSample<f32>>(
    device: &cpal::Device,
    config: StreamConfig,
    mut player: Player,
) -> Result<cpal::Stream, cpal::Error> {
    let link = Arc::clone(&player.link);
    device.build_output_stream(
        config,
        move |out: &mut [T], _| player.fill(out, now_ns()),
        move |error| {
            tracing::warn!("cpal: {error}");
            link.gone.store(true, Relaxed);
        },
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        rate: 48_000,
        channels: 2,
        capture_channels: 0,
        format: Format::Float,
    };
    const MS: u64 = 1_000_000;

    fn bytes(values: impl Iterator<Item = f32>) -> Vec<u8> {
        values
            .flat_map(|value| [value, -value])
            .flat_map(f32::to_le_bytes)
            .collect()
    }

    fn fetched(player: &mut Player, frames: usize, now_ns: u64) -> Vec<f32> {
        let mut out = vec![9.0f32; frames * 2];
        player.fill(&mut out, now_ns);
        out.iter().step_by(2).copied().collect()
    }

    #[test]
    fn frames_are_fetched_where_they_were_written_with_silence_between() {
        let (mut codec, mut player) = pair(SHAPE);
        assert_eq!(codec.write(2, &bytes([0.25, 0.5].into_iter())), 2);
        assert_eq!(codec.write(6, &bytes([0.75].into_iter())), 6);
        assert_eq!(fetched(&mut player, 8, 0), [0.0, 0.0, 0.25, 0.5, 0.0, 0.0, 0.75, 0.0]);
    }

    #[test]
    fn late_frames_are_fetched_from_the_position_on() {
        let (mut codec, mut player) = pair(SHAPE);
        fetched(&mut player, 10, 0);
        assert_eq!(codec.write(8, &bytes([0.1, 0.2, 0.3, 0.4].into_iter())), 10);
        let heard = fetched(&mut player, 4, 0);
        assert_eq!(heard, [0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn the_position_moves_with_the_time_over_what_was_fetched_and_no_further() {
        let (mut codec, mut player) = pair(SHAPE);
        fetched(&mut player, 480, 100 * MS);
        assert_eq!(codec.position_at(100 * MS), 0);
        assert_eq!(codec.position_at(105 * MS), 240);
        assert_eq!(codec.position_at(300 * MS), 480);
        fetched(&mut player, 480, 301 * MS);
        assert_eq!(codec.position_at(301 * MS), 480);
    }

    #[test]
    fn sixteen_bit_devices_get_saturated_samples() {
        let (mut codec, mut player) = pair(SHAPE);
        codec.write(0, &bytes([2.0, 1.0].into_iter()));
        let mut out = [0i16; 4];
        player.fill(&mut out, 0);
        assert_eq!(out, [32767, -32768, 32767, -32768]);
    }
}
