//! The chime bank: every chime as planar `f32` at the codec's rate, in a sealed memfd that the launcher fills and the engine
//! locks into memory. And the player, which follows the cells of the engine block.
//!
//! ```text
//!   waiting ──wanted ≠ begun──► sounding (repeat times) ──end──► ended = begun ─► waiting
//!                                  └──cancelled raised──► one period of fade ──────┘
//! ```
//! A sounding that an engine's death cut off (`begun ≠ ended`) starts again from its beginning.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use mix::matrix::usual;
use mix::{Matrix, Segment};
use thiserror::Error;

use crate::blocks::engine::ChimeCell;
use crate::plan;
use crate::system::{ChimeConfig, System};

use super::zone::Zone;

/// Why a bank could not be made or taken.
#[derive(Debug, Error)]
pub enum ChimeError {
    /// The WAV file.
    #[error("chime {chime}: {path}: {reason}")]
    File {
        /// Name of the chime.
        chime: String,
        /// Its file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The memfd.
    #[error("chime bank: {0}")]
    Memory(#[from] std::io::Error),
}

/// The bank as mapped by an engine.
pub struct ChimeBank {
    at: *const u8,
    len: usize,
}

// SAFETY: the mapping is private to this value and read-only; the file behind it is sealed against writing and shrinking.
unsafe impl Send for ChimeBank {}

const WORD: usize = 4;

impl ChimeBank {
    /// Reads all chimes that sound in a zone of codec `codec`, converts them to its rate and freezes them.
    ///
    /// # Errors
    /// When a file can't be read or is empty, has more than 8 channels, or memory can't be had.
    pub fn build(system: &System, codec: usize) -> Result<OwnedFd, ChimeError> {
        let rate = system.codecs.get(codec).map_or(48_000, |codec| codec.rate);
        let mut header: Vec<u32> = vec![system.chimes.len() as u32];
        let mut samples: Vec<f32> = Vec::new();
        for chime in &system.chimes {
            let here = chime
                .zones
                .iter()
                .any(|&zone| system.zones.get(zone).is_some_and(|zone| zone.codec == codec));
            let (channels, planar) = if here { read(chime, rate)? } else { (1, Vec::new()) };
            header.extend([samples.len() as u32, (planar.len() / channels) as u32, channels as u32]);
            samples.extend(planar);
        }
        let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        Ok(plan::freeze(c"carillon-chimes", &bytes)?)
    }

    /// Maps a bank and locks it into memory (where the system lets us; without, it is at least faulted in).
    ///
    /// # Errors
    /// What `mmap` says, or `InvalidData` when the tables don't fit the file.
    pub fn map(fd: OwnedFd) -> Result<Self, ChimeError> {
        let file = std::fs::File::from(fd);
        let len = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new read-only mapping, nothing existing is replaced.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, flags, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().into());
        }
        // SAFETY: exactly the mapping just made. A refusal is rt.rs's to report.
        let _ = unsafe { libc::mlock(at, len) };
        let bank = Self { at: at.cast(), len };
        if bank.fits() {
            Ok(bank)
        } else {
            Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into())
        }
    }

    fn words(&self) -> &[[u8; WORD]] {
        // SAFETY: the mapping is `len` long, readable, sealed against change, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }.as_chunks().0
    }

    fn word(&self, index: usize) -> usize {
        self.words()
            .get(index)
            .map_or(0, |&word| u32::from_le_bytes(word) as usize)
    }

    fn fits(&self) -> bool {
        let count = self.word(0);
        let start = 1 + 3 * count;
        (0..count).all(|chime| {
            let [offset, frames, channels] = [0, 1, 2].map(|field| self.word(1 + 3 * chime + field));
            (1..=mix::MAX_CHANNELS).contains(&channels) && start + offset + frames * channels <= self.words().len()
        })
    }

    /// Frames and channels of a chime; 0 frames for one that is not in the bank.
    fn shape(&self, chime: usize) -> (usize, usize) {
        if chime >= self.word(0) {
            (0, 1)
        } else {
            (self.word(2 + 3 * chime), self.word(3 + 3 * chime))
        }
    }

    /// Copies frames `from..` of a channel; zeros beyond its end.
    fn copy(&self, chime: usize, channel: usize, from: usize, into: &mut [f32]) {
        let (frames, _) = self.shape(chime);
        let start = 1 + 3 * self.word(0) + self.word(1 + 3 * chime) + channel * frames;
        let left = frames.saturating_sub(from).min(into.len());
        let words = self.words().get(start + from..start + from + left).unwrap_or(&[]);
        into.fill(0.0);
        for (sample, &word) in into.iter_mut().zip(words) {
            *sample = f32::from_le_bytes(word);
        }
    }
}

impl Drop for ChimeBank {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`, which no reference outlives.
        unsafe { libc::munmap(self.at.cast_mut().cast(), self.len) };
    }
}

/// One chime, as it sounds.
pub(super) struct Player {
    chime: usize,
    gain: f32,
    repeat: u32,
    zones: Vec<(usize, Matrix)>,
    at: Option<usize>,
    rounds: u32,
    cancelled: u32,
}

/// What a player did this period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    Nothing,
    Began,
    Ended,
}

impl Player {
    /// `zones`: index among this codec's zones, and the zone's positions.
    pub fn new(
        chime: usize,
        config: &ChimeConfig,
        bank: &ChimeBank,
        zones: &[(usize, &[u8])],
        cell: &ChimeCell,
    ) -> Self {
        let (frames, channels) = bank.shape(chime);
        let whole = frames as u64 * u64::from(config.repeat.max(1));
        cell.frames.store(u32::try_from(whole).unwrap_or(u32::MAX), Relaxed);
        let cut_off = cell.begun.load(Acquire) != cell.ended.load(Acquire);
        Self {
            chime,
            gain: 10f32.powf(f32::from(config.gain.min(0)) / 200.0),
            repeat: config.repeat.max(1),
            zones: zones
                .iter()
                .map(|&(zone, positions)| (zone, Matrix::between(usual(channels), positions)))
                .collect(),
            at: cut_off.then_some(0),
            rounds: if cut_off { config.repeat.max(1) } else { 0 },
            cancelled: cell.cancelled.load(Acquire),
        }
    }

    pub fn chime(&self) -> usize {
        self.chime
    }

    /// Adds one period to the safety slots; `frame` is the codec's.
    pub fn run(
        &mut self,
        bank: &ChimeBank,
        cell: &ChimeCell,
        zones: &mut [Zone],
        scratch: &mut [f32],
        frame: u64,
    ) -> Did {
        let cancelled = cell.cancelled.load(Acquire);
        let cut = std::mem::replace(&mut self.cancelled, cancelled) != cancelled;
        let mut did = Did::Nothing;
        if self.at.is_none() {
            if cell.wanted.load(Acquire) == cell.begun.load(Relaxed) || self.zones.is_empty() {
                return did;
            }
            self.at = Some(0);
            self.rounds = self.repeat;
            cell.begun_at.store(frame, Relaxed);
            cell.begun.store(cell.begun.load(Relaxed).wrapping_add(1), Release);
            did = Did::Began;
        }
        let gain = if cut {
            fade(self.gain, scratch.len())
        } else {
            Segment::steady(self.gain)
        };
        self.sound(bank, zones, scratch, &gain);
        let over = cut || self.step(bank.shape(self.chime).0, scratch.len());
        if over {
            self.at = None;
            cell.ended.store(cell.begun.load(Relaxed), Release);
            did = Did::Ended;
        }
        did
    }

    fn sound(&self, bank: &ChimeBank, zones: &mut [Zone], scratch: &mut [f32], gain: &Segment) {
        let (frames, channels) = bank.shape(self.chime);
        let at = self.at.unwrap_or(frames);
        for channel in 0..channels {
            bank.copy(self.chime, channel, at, scratch);
            for (zone, matrix) in &self.zones {
                zones[*zone].add_safety(matrix, channel, scratch, gain);
            }
        }
    }

    /// Moves on; true when the last round is over. A round starts at a period's edge.
    fn step(&mut self, frames: usize, period: usize) -> bool {
        let next = self.at.unwrap_or(0) + period;
        if next < frames {
            self.at = Some(next);
            return false;
        }
        self.at = Some(0);
        self.rounds = self.rounds.saturating_sub(1);
        self.rounds == 0
    }
}

fn fade(from: f32, frames: usize) -> Segment {
    Segment {
        from,
        step: -from / frames.max(1) as f32,
        moving: frames,
        then: 0.0,
    }
}

/// A chime's file as channels and planar samples at `rate`.
fn read(chime: &ChimeConfig, rate: u32) -> Result<(usize, Vec<f32>), ChimeError> {
    let failed = |reason: String| ChimeError::File {
        chime: chime.name.clone(),
        path: chime.path.display().to_string(),
        reason,
    };
    let mut file = hound::WavReader::open(&chime.path).map_err(|error| failed(error.to_string()))?;
    let spec = file.spec();
    let channels = usize::from(spec.channels);
    if !(1..=mix::MAX_CHANNELS).contains(&channels) {
        return Err(failed(format!(
            "{channels} channels; 1 to {} can be played",
            mix::MAX_CHANNELS
        )));
    }
    let interleaved: Result<Vec<f32>, _> = match spec.sample_format {
        hound::SampleFormat::Float => file.samples::<f32>().collect(),
        hound::SampleFormat::Int => {
            let scale = 1.0 / (1u64 << (spec.bits_per_sample - 1)) as f32;
            file.samples::<i32>()
                .map(|sample| sample.map(|sample| sample as f32 * scale))
                .collect()
        }
    };
    let interleaved = interleaved.map_err(|error| failed(error.to_string()))?;
    if interleaved.len() < channels || !interleaved.iter().all(|sample| sample.is_finite()) {
        return Err(failed("it has no frames, or samples that are not numbers".to_owned()));
    }
    let planar: Vec<f32> = (0..channels)
        .flat_map(|channel| {
            interleaved
                .iter()
                .skip(channel)
                .step_by(channels)
                .map(|x| x.clamp(-1.0, 1.0))
        })
        .collect();
    if spec.sample_rate == rate {
        return Ok((channels, planar));
    }
    convert(&planar, channels, spec.sample_rate, rate)
        .map(|planar| (channels, planar))
        .ok_or_else(|| failed(format!("{} Hz can't be converted to {rate} Hz", spec.sample_rate)))
}

fn convert(planar: &[f32], channels: usize, from: u32, to: u32) -> Option<Vec<f32>> {
    const CHUNK: usize = 256;
    let frames = planar.len() / channels;
    let mut converter = super::resample::converter(from, to, channels, CHUNK)?;
    let wanted = usize::try_from(frames as u64 * u64::from(to) / u64::from(from)).ok()?;
    let skip = converter.delay();
    let mut out = vec![Vec::new(); channels];
    let mut at = 0;
    while out[0].len() < wanted + skip {
        let needs = converter.needs();
        let mut input = vec![0.0; needs * channels];
        for (channel, input) in input.chunks_exact_mut(needs.max(1)).enumerate() {
            let have = frames.saturating_sub(at).min(needs);
            let start = channel * frames + at.min(frames);
            input[..have].copy_from_slice(&planar[start..start + have]);
        }
        let mut output = vec![0.0; CHUNK * channels];
        converter.convert(&input, &mut output);
        for (channel, output) in output.chunks_exact(CHUNK).enumerate() {
            out[channel].extend_from_slice(output);
        }
        at += needs;
    }
    // The filter may overshoot a full-scale edge; the bank itself never clips.
    Some(
        out.iter()
            .flat_map(|one| one[skip..skip + wanted].iter().map(|x| x.clamp(-1.0, 1.0)))
            .collect(),
    )
}
