//! The simulated card: a ring in shared memory whose DMA position is a function of the clock alone, whether or not the engine
//! came. Played frames stay readable behind it for the length of the ring.
//!
//! ```text
//!   frames   ...played, readable │ lead: written, not yet played │ nothing written: silence, never a loop
//!                                ▲ position(now)                 ▲ written
//! ```
//! The engine stores samples first and raises `written` after, so a frame is played whole or as silence. Frames that come
//! after their time are played from the position on: the [`super::wav`] reader takes what `written` covers and fills the rest with zeros.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{
    AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use mix::Format;
use vhost_sound::shared::{Block, Shared};

use super::{Codec, Shape, now_ns};
use crate::system::{CaptureSource, CodecConfig};

/// Frames the ring holds.
pub const RING_FRAMES: u64 = 16_384;
const MAX_FRAME_BYTES: usize = 32;
const RING_BYTES: usize = RING_FRAMES as usize * MAX_FRAME_BYTES;

/// What a capture stream hears.
pub mod capture {
    /// Silence.
    pub const SILENCE: u32 = 0;
    /// What was played, as it is played.
    pub const LOOPBACK: u32 = 1;
    /// A ramp: the frame's number, in the low bits of each sample.
    pub const COUNTER: u32 = 2;

    /// The number of a configured source.
    pub fn number(source: super::CaptureSource) -> u32 {
        match source {
            super::CaptureSource::Silence => SILENCE,
            super::CaptureSource::Loopback => LOOPBACK,
            super::CaptureSource::Counter => COUNTER,
        }
    }
}

/// The card. Made zeroed, then [`SimCard::set_up`].
#[repr(C)]
pub struct SimBlock {
    rate: AtomicU32,
    channels: AtomicU32,
    capture_channels: AtomicU32,
    format: AtomicU32,
    /// `capture`.
    pub capture: AtomicU32,
    /// Odd while the three words of the clock change.
    clock_sequence: AtomicU32,
    base_ns: AtomicU64,
    base_frame: AtomicU64,
    millihertz: AtomicU64,
    written: AtomicU64,
    /// Frames of silence for writers that came after their time.
    pub moved: AtomicU64,
    /// Frames the reader has taken to the file.
    pub recorded: AtomicU64,
    /// Frames overwritten before the reader (a late `card` process) came by; they are silence in the file.
    pub reader_lost: AtomicU64,
    data: [AtomicU8; RING_BYTES],
}

// SAFETY: repr(C), atomics and arrays of atomics only.
unsafe impl Block for SimBlock {
    const NAME: &'static str = "carillon-card";
}

/// Makes a card; its clock starts now, at frame 0.
///
/// # Errors
/// What making shared memory says.
pub fn create(config: &CodecConfig) -> io::Result<OwnedFd> {
    let card = Shared::<SimBlock>::create()?;
    set_up(&card, Shape::of(config), now_ns());
    card.capture.store(capture::number(config.capture), Relaxed);
    let fd = card.fd().ok_or(io::ErrorKind::NotFound)?;
    fd.try_clone_to_owned()
}

/// Gives a zeroed block its shape and starts its clock at `t0_ns`.
pub fn set_up(block: &SimBlock, shape: Shape, t0_ns: u64) {
    block.rate.store(shape.rate, Relaxed);
    block.channels.store(shape.channels as u32, Relaxed);
    block.capture_channels.store(shape.capture_channels as u32, Relaxed);
    block.format.store(format_number(shape.format), Relaxed);
    set_clock(block, t0_ns, 0, u64::from(shape.rate) * 1000);
}

fn format_number(format: Format) -> u32 {
    Format::ALL.iter().position(|&other| other == format).unwrap_or(0) as u32 + 3
}

fn set_clock(block: &SimBlock, base_ns: u64, base_frame: u64, millihertz: u64) {
    let sequence = block.clock_sequence.load(Relaxed) | 1;
    block.clock_sequence.store(sequence, Relaxed);
    fence(Release);
    block.base_ns.store(base_ns, Relaxed);
    block.base_frame.store(base_frame, Relaxed);
    block.millihertz.store(millihertz, Relaxed);
    block.clock_sequence.store(sequence.wrapping_add(1), Release);
}

impl SimBlock {
    /// What its frames look like.
    pub fn shape(&self) -> Shape {
        Shape {
            rate: self.rate.load(Relaxed),
            channels: (self.channels.load(Relaxed) as usize).clamp(1, mix::MAX_CHANNELS),
            capture_channels: (self.capture_channels.load(Relaxed) as usize).min(mix::MAX_CHANNELS),
            format: Format::from_virtio(self.format.load(Relaxed))
                .filter(|format| format.bytes() <= 4)
                .unwrap_or(Format::S16),
        }
    }

    /// Frame played next at `now_ns`. `None` while another process changes the clock (a fault test; try again).
    pub fn position_at(&self, now_ns: u64) -> Option<u64> {
        let before = self.clock_sequence.load(Acquire);
        let base_ns = self.base_ns.load(Relaxed);
        let base_frame = self.base_frame.load(Relaxed);
        let millihertz = self.millihertz.load(Relaxed);
        fence(Acquire);
        if before & 1 == 1 || self.clock_sequence.load(Relaxed) != before {
            return None;
        }
        let passed = u128::from(now_ns.saturating_sub(base_ns)) * u128::from(millihertz) / 1_000_000_000_000;
        Some(base_frame + u64::try_from(passed).unwrap_or(0))
    }

    /// For fault tests: from now on plays at another rate, in 1/1000 Hz; 0 = stands still.
    pub fn set_millihertz(&self, millihertz: u64, now_ns: u64) {
        let frame = self
            .position_at(now_ns)
            .unwrap_or_else(|| self.base_frame.load(Relaxed));
        set_clock(self, now_ns, frame, millihertz);
    }

    /// Frame after the last written.
    pub fn written(&self) -> u64 {
        self.written.load(Acquire)
    }

    /// What was (or will be) played at `from` and after: written frames as they are, all others as silence. At most a ring;
    /// frames already overwritten are silence too. Returns how many frames those were.
    pub fn read_played(&self, from: u64, into: &mut [u8]) -> u64 {
        let frame_bytes = self.shape().frame_bytes();
        let mut lost = 0;
        for (index, frame) in into.chunks_exact_mut(frame_bytes).enumerate() {
            let at = from + index as u64;
            let cells = self.frame(at, frame_bytes);
            for (byte, cell) in frame.iter_mut().zip(cells) {
                *byte = cell.load(Relaxed);
            }
            fence(Acquire);
            let written = self.written();
            let overwritten = at + RING_FRAMES < written + RING_FRAMES / 16;
            if at >= written || overwritten {
                frame.fill(0);
                lost += u64::from(overwritten);
            }
        }
        lost
    }

    /// What the input heard from frame `from` on, at most `ready` frames; returns how many.
    pub fn read_captured(&self, from: u64, ready: u64, into: &mut [u8]) -> usize {
        let shape = self.shape();
        let frame_bytes = shape.capture_frame_bytes().max(1);
        let frames = (into.len() / frame_bytes).min(usize::try_from(ready).unwrap_or(usize::MAX));
        let into = &mut into[..frames * frame_bytes];
        into.fill(0);
        let source = self.capture.load(Relaxed);
        for (index, frame) in into.chunks_exact_mut(frame_bytes).enumerate() {
            let at = from + index as u64;
            match source {
                capture::LOOPBACK => {
                    let both = frame_bytes.min(shape.frame_bytes());
                    let mut played = [0; MAX_FRAME_BYTES];
                    self.read_played(at, &mut played[..shape.frame_bytes()]);
                    frame[..both].copy_from_slice(&played[..both]);
                }
                capture::COUNTER => {
                    let count = (at as u32).to_le_bytes();
                    for sample in frame.chunks_exact_mut(shape.format.bytes()) {
                        // Its lower half: the highest bits of a 24-in-32 sample are sign.
                        sample[..2].copy_from_slice(&count[..2]);
                    }
                }
                _ => {}
            }
        }
        frames
    }

    fn frame(&self, at: u64, frame_bytes: usize) -> &[AtomicU8] {
        let start = (at % RING_FRAMES) as usize * MAX_FRAME_BYTES;
        &self.data[start..start + frame_bytes.min(MAX_FRAME_BYTES)]
    }

    fn store(&self, at: u64, bytes: &[u8]) {
        for (cell, byte) in self.frame(at, bytes.len()).iter().zip(bytes) {
            cell.store(*byte, Relaxed);
        }
    }

    /// Writes frames at `at`, or where the position has got to by `now_ns()`. Returns where.
    ///
    /// A writer that is held up between its look at the clock and the end of its stores looks again before it raises `written`
    /// and moves on: nothing of it counts as played until then. Only what holds it up between that last look and the raise, a few
    /// instructions, can still lose frames. Twice at most: a write takes no longer for a clock that runs away.
    pub fn write_at(&self, at: u64, bytes: &[u8], now_ns: impl Fn() -> u64) -> u64 {
        let frame_bytes = self.shape().frame_bytes();
        let written = self.written.load(Relaxed);
        let there = |first: u64| first.max(self.position_at(now_ns()).unwrap_or(first));
        let mut first = there(at.max(written));
        self.put(written, first, bytes, frame_bytes);
        for _ in 0..2 {
            let now = there(first);
            if now == first {
                break;
            }
            first = now;
            self.put(written, first, bytes, frame_bytes);
        }
        let frames = (bytes.len() / frame_bytes) as u64;
        self.written.store(first + frames, Release);
        self.moved.fetch_add(first - at.min(first), Relaxed);
        first
    }

    /// Frames from `first` on, silence between `written` and there; older than a ring needs no zeroing.
    fn put(&self, written: u64, first: u64, bytes: &[u8], frame_bytes: usize) {
        const ZEROS: [u8; MAX_FRAME_BYTES] = [0; MAX_FRAME_BYTES];
        for gap in written.max(first.saturating_sub(RING_FRAMES))..first {
            self.store(gap, &ZEROS[..frame_bytes]);
        }
        for (here, frame) in (first..).zip(bytes.chunks_exact(frame_bytes)) {
            self.store(here, frame);
        }
    }
}

/// The engine's side of a card.
pub struct SimCard {
    block: Shared<SimBlock>,
    last: u64,
}

impl SimCard {
    /// Takes a card over.
    ///
    /// # Errors
    /// When the descriptor is no card.
    pub fn open(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::from(Shared::map(fd)?))
    }

    /// The card itself.
    pub fn block(&self) -> &SimBlock {
        &self.block
    }
}

impl From<Shared<SimBlock>> for SimCard {
    fn from(block: Shared<SimBlock>) -> Self {
        Self { block, last: 0 }
    }
}

impl Codec for SimCard {
    fn shape(&self) -> Shape {
        self.block.shape()
    }

    fn position(&mut self) -> u64 {
        let now = self.block.position_at(now_ns()).unwrap_or(self.last);
        self.last = self.last.max(now);
        self.last
    }

    fn written(&self) -> u64 {
        self.block.written()
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> u64 {
        self.block.write_at(at, bytes, now_ns)
    }

    fn read(&mut self, from: u64, into: &mut [u8]) -> usize {
        let ready = self.position().saturating_sub(from);
        self.block.read_captured(from, ready, into)
    }
}
