//! The `card` process of a simulated card: takes what the position has passed out of the ring, into a WAV file or nowhere.
//!
//! The file's header is brought up to date at each step, so that a kill at any moment leaves a playable file; a successor
//! goes on where the file ends. A file that has reached WAV's size limit (4 GiB) stays as it is; the card plays on.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use mix::Format;

use super::sim::{RING_FRAMES, SimBlock};
use super::{Shape, now_ns};

type Writer = hound::WavWriter<BufWriter<File>>;

/// Reads a card's ring into a file.
pub struct Recorder<'a> {
    block: &'a SimBlock,
    shape: Shape,
    file: Option<Writer>,
    next: u64,
    buffer: Vec<u8>,
}

impl<'a> Recorder<'a> {
    /// A recorder of `block` into `path`; without a path it only keeps count. A file that the card's earlier process began
    /// is continued, any other is replaced.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn new(block: &'a SimBlock, path: Option<&Path>) -> io::Result<Self> {
        let shape = block.shape();
        let recorded = block.recorded.load(Acquire);
        let mut next = recorded;
        let file = match path {
            None => None,
            Some(path) if recorded > 0 && path.exists() => {
                let writer = hound::WavWriter::append(path).map_err(to_io)?;
                next = u64::from(writer.duration());
                Some(writer)
            }
            Some(path) => {
                next = 0;
                Some(hound::WavWriter::create(path, spec(shape)).map_err(to_io)?)
            }
        };
        let frames = RING_FRAMES as usize;
        Ok(Self {
            block,
            shape,
            file,
            next,
            buffer: vec![0; frames * shape.frame_bytes()],
        })
    }

    /// Takes all frames that were played by `now_ns`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn take(&mut self, now_ns: u64) -> io::Result<()> {
        let Some(position) = self.block.position_at(now_ns) else {
            return Ok(());
        };
        while self.next < position {
            let frames = usize::try_from(position - self.next)
                .unwrap_or(usize::MAX)
                .min(RING_FRAMES as usize);
            let bytes = &mut self.buffer[..frames * self.shape.frame_bytes()];
            let lost = self.block.read_played(self.next, bytes);
            self.block.reader_lost.fetch_add(lost, Relaxed);
            if self.file.as_ref().is_some_and(|file| full(file, bytes.len())) {
                tracing::warn!("the card's WAV file has reached its 4 GiB; nothing more is recorded");
                self.file = None;
            }
            if let Some(file) = &mut self.file {
                append(file, self.shape.format, bytes).map_err(to_io)?;
            }
            self.next += frames as u64;
        }
        if let Some(file) = &mut self.file {
            file.flush().map_err(to_io)?;
        }
        self.block.recorded.store(self.next, Release);
        Ok(())
    }
}

/// Runs until `stop`: the whole life of a `card` process. Wakes sixteen times a ring.
///
/// # Errors
/// When the file can't be written.
pub fn run_card(block: &SimBlock, path: Option<&Path>, stop: &AtomicBool) -> io::Result<()> {
    let mut recorder = Recorder::new(block, path)?;
    let nap = Duration::from_millis(RING_FRAMES * 1000 / u64::from(block.shape().rate.max(1)) / 16);
    while !stop.load(Acquire) {
        recorder.take(now_ns())?;
        std::thread::sleep(nap);
    }
    recorder.take(now_ns())
}

/// No room for `more` bytes under the limit of the header's 32-bit sizes.
fn full(file: &Writer, more: usize) -> bool {
    let spec = file.spec();
    let sample = u64::from(spec.bits_per_sample.div_ceil(8));
    let so_far = u64::from(file.duration()) * u64::from(spec.channels) * sample;
    so_far + more as u64 + 1024 > u64::from(u32::MAX)
}

fn spec(shape: Shape) -> hound::WavSpec {
    let (bits, format) = match shape.format {
        Format::Float => (32, hound::SampleFormat::Float),
        other => (other.bits() as u16, hound::SampleFormat::Int),
    };
    hound::WavSpec {
        channels: shape.channels as u16,
        sample_rate: shape.rate,
        bits_per_sample: bits,
        sample_format: format,
    }
}

fn append(file: &mut Writer, format: Format, bytes: &[u8]) -> hound::Result<()> {
    if format == Format::S16 {
        let (samples, _) = bytes.as_chunks::<2>();
        return samples
            .iter()
            .try_for_each(|&sample| file.write_sample(i16::from_le_bytes(sample)));
    }
    let (samples, _) = bytes.as_chunks::<4>();
    match format {
        Format::Float => samples
            .iter()
            .try_for_each(|&sample| file.write_sample(f32::from_le_bytes(sample))),
        _ => samples
            .iter()
            .try_for_each(|&sample| file.write_sample(i32::from_le_bytes(sample))),
    }
}

fn to_io(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other),
    }
}
