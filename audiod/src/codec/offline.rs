//! The offline clock: as fast as the engine can, the same bits. Frames pile up in memory until somebody takes them.

use super::{Clock, Codec, Shape};

/// See the module.
pub struct Offline {
    shape: Shape,
    played: Vec<u8>,
    written: u64,
}

impl Offline {
    /// A codec with room for `frames`; what comes after is counted, not kept, so that no write allocates.
    pub fn new(shape: Shape, frames: usize) -> Self {
        Self {
            shape,
            played: Vec::with_capacity(frames * shape.frame_bytes()),
            written: 0,
        }
    }

    /// Everything played so far, in the codec's format.
    pub fn played(&self) -> &[u8] {
        &self.played
    }
}

impl Codec for Offline {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn clock(&self) -> Clock {
        Clock::Offline
    }

    fn position(&mut self) -> u64 {
        self.written
    }

    fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> u64 {
        let frame = self.shape.frame_bytes();
        let gap = usize::try_from(at.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let room = self.played.capacity() - self.played.len();
        let zeros = gap.saturating_mul(frame).min(room);
        self.played.resize(self.played.len() + zeros, 0);
        let kept = bytes.len().min(room - zeros);
        self.played.extend_from_slice(&bytes[..kept]);
        self.written = at + (bytes.len() / frame.max(1)) as u64;
        at
    }

    /// The offline codec hears nothing.
    fn read(&mut self, _from: u64, into: &mut [u8]) -> usize {
        into.fill(0);
        into.len() / self.shape.capture_frame_bytes().max(1)
    }
}
