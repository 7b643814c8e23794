//! A bare device: frames into its ring, zeros behind them, its pointer as the clock.
//!
//! ```text
//!  running ──pointer stands (XRUN, SUSPENDED, stopped from outside)──► recover: prepare, silent ring, start ─► running
//!     └────unplugged──► gone: the position stands, a timer paces the streams
//! ```
//! Codec frames go on counting over a recovery: the hardware's pointer starts anew, `offset` takes up the difference.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{
    AtomicU8,
    Ordering::{Relaxed, Release},
    fence,
};

use alsa::Direction;

use super::kernel::{Kernel, KernelPcm, Pointers, cells, state};
use super::tail_frames;
use crate::codec::{Codec, Shape};

/// A prepared card begins to play: silence, `period` frames of which count as written.
pub(super) fn begin(kernel: &mut impl Kernel, period: u64) -> io::Result<Pointers> {
    kernel.data().iter().for_each(|cell| cell.store(0, Relaxed));
    let hw = kernel.sync(None)?.hw;
    // The driver starts nothing without a frame to play.
    let pointers = kernel.sync(Some(hw + period.min(kernel.frames())))?;
    kernel.start()?;
    Ok(pointers)
}

/// The engine's side of a card.
pub struct Hw<K: Kernel> {
    kernel: K,
    input: Option<K>,
    shape: Shape,
    period: u64,
    tail: u64,
    /// Codec frame less frame of the hardware's pointer.
    offset: u64,
    position: u64,
    written: u64,
    /// The ring is silent up to here.
    silent: u64,
    recorded: u64,
    lost: bool,
}

impl<K: Kernel> Hw<K> {
    /// Takes over a card, as [`super::open_pcm`] or an engine that died left it.
    ///
    /// # Errors
    /// When its frames are not of `shape`, or it is gone.
    pub fn new(mut kernel: K, input: Option<K>, shape: Shape, period: u64) -> io::Result<Self> {
        if kernel.frame_bytes() != shape.frame_bytes() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the card's frames have another size",
            ));
        }
        let at = kernel.sync(None)?;
        let written = at.appl.max(at.hw);
        Ok(Self {
            kernel,
            input,
            shape,
            period,
            tail: tail_frames(shape.rate, period),
            offset: 0,
            position: at.hw,
            written,
            silent: written,
            recorded: 0,
            lost: at.state == state::DISCONNECTED,
        })
    }

    /// The card's interface.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    fn follow(&mut self, told: io::Result<Pointers>) {
        match told {
            Ok(at) if at.state == state::RUNNING => {
                self.position = self.position.max(at.hw.wrapping_add(self.offset));
            }
            Ok(_) => {}
            Err(_) => self.lost = true,
        }
    }

    /// Silence in frames `from..to`, as far as they are in the ring and not played yet.
    fn silence(&mut self, from: u64, to: u64) {
        let to = to.min(self.position + self.kernel.frames());
        for at in from.max(self.position)..to {
            put(&self.kernel, at.wrapping_sub(self.offset), None);
        }
        self.silent = self.silent.max(to);
    }
}

fn put(kernel: &impl Kernel, at: u64, frame: Option<&[u8]>) {
    for (index, cell) in cells(kernel, at).iter().enumerate() {
        cell.store(frame.and_then(|frame| frame.get(index)).copied().unwrap_or(0), Relaxed);
    }
}

impl<K: Kernel> Hw<K> {
    /// Frames into the ring, zeros behind them, and both told to the hardware.
    fn place(&mut self, at: u64, bytes: &[u8]) {
        let frame_bytes = self.shape.frame_bytes();
        let end = at + (bytes.len() / frame_bytes.max(1)) as u64;
        let room = self.position + self.kernel.frames() - self.tail.min(self.kernel.frames());
        // Zeroed already, but for an engine that was away for longer than the tail.
        self.silence(self.silent.max(self.written), at);
        for (frame, bytes) in (at..end.min(room)).zip(bytes.chunks_exact(frame_bytes)) {
            put(&self.kernel, frame.wrapping_sub(self.offset), Some(bytes));
        }
        self.written = self.written.max(end);
        self.silence(self.silent.max(end), end + self.tail);
        // The hardware's view of memory: samples first, then how far they go.
        fence(Release);
        let told = self.kernel.sync(Some(self.written.wrapping_sub(self.offset)));
        self.follow(told);
    }
}

impl<K: Kernel> Codec for Hw<K> {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn position(&mut self) -> u64 {
        let told = self.kernel.sync(None);
        self.follow(told);
        self.position
    }

    fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> u64 {
        let mut at = at.max(self.position);
        // The hardware may pass the first frames while they are written; once more is enough unless the thread was held up.
        for _ in 0..2 {
            self.place(at, bytes);
            if self.position <= at {
                break;
            }
            self.silent = self.silent.min(self.position);
            self.silence(self.position, self.position + self.period / 4);
            at = self.position + self.period / 4;
        }
        at
    }

    fn recorded(&mut self) -> u64 {
        let Some(input) = &mut self.input else {
            return self.position;
        };
        if let Ok(at) = input.sync(None) {
            self.recorded = self.recorded.max(at.hw);
        }
        self.recorded
    }

    fn read(&mut self, from: u64, into: &mut [u8]) -> usize {
        let Some(input) = &self.input else { return 0 };
        let size = input.frame_bytes();
        let ready = usize::try_from(self.recorded.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut frames = 0;
        for (at, frame) in (from..).zip(into.chunks_exact_mut(size)).take(ready) {
            for (byte, cell) in frame.iter_mut().zip(cells(input, at)) {
                *byte = cell.load(Relaxed);
            }
            frames += 1;
        }
        frames
    }

    fn recover(&mut self) {
        let Ok(at) = self.kernel.sync(None) else {
            self.lost = true;
            return;
        };
        if self.lost
            || !matches!(
                at.state,
                state::SETUP | state::PREPARED | state::XRUN | state::SUSPENDED
            )
        {
            return;
        }
        let started = match at.state {
            state::PREPARED => Ok(()),
            _ => self.kernel.prepare(),
        };
        if let Ok(at) = started.and_then(|()| begin(&mut self.kernel, self.period)) {
            self.offset = self.position.wrapping_sub(at.hw);
            self.written = self.position + self.period;
            self.silent = self.position + self.kernel.frames();
        }
        if let Some(input) = &mut self.input {
            let _ = input.prepare().and_then(|()| input.start());
            self.recorded = 0;
        }
    }
}

/// The supervisor's hold on a card: silence ahead while no engine beats.
///
/// It stays half a tail clear of what an engine may be writing (up to its lead), so an engine that comes back while this is at
/// work loses nothing; a process that has the card should be of higher priority than the engine all the same.
pub struct Tail<K: Kernel> {
    kernel: K,
    lead: u64,
    tail: u64,
    /// Zeroed up to here, by this or by the tail of the engine that beats.
    silent: u64,
}

impl Tail<KernelPcm> {
    /// Holds the card of `fd` ([`super::open_pcm`]), whose rate is `rate`; `period` and `lead` in frames.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(fd: OwnedFd, rate: u32, period: u64, lead: u64) -> io::Result<Self> {
        Ok(Self::new(
            KernelPcm::new(fd, Direction::Playback, None)?,
            rate,
            period,
            lead,
        ))
    }
}

impl<K: Kernel> Tail<K> {
    /// The same for any card.
    pub fn new(kernel: K, rate: u32, period: u64, lead: u64) -> Self {
        Self {
            kernel,
            lead,
            tail: tail_frames(rate, period),
            silent: 0,
        }
    }

    /// Zeroes what is about to be played again. To be called at least every [`super::TAIL_MS`] / 2, from less than a tail
    /// ([`tail_frames`]) after the engine's heart last beat on, and not while it beats.
    ///
    /// # Errors
    /// What the driver says; `ENODEV` when the card is gone.
    pub fn zero_ahead(&mut self) -> io::Result<()> {
        let at = self.kernel.sync(None)?;
        let clear = at.hw + self.lead + self.tail / 2;
        let to = (clear + self.tail).min(at.hw + self.kernel.frames());
        // The engine left a tail of zeros behind its last frame; this goes on from there, or from where it was itself.
        let known = self.silent.max(at.appl + self.tail);
        for frame in known.min(clear).max(at.hw)..to {
            put(&self.kernel, frame, None);
        }
        self.silent = to;
        fence(Release);
        Ok(())
    }

    /// What was played at hardware frame `from` and after, as far as it is still in the ring: evidence that does not come
    /// from the process that wrote it. Returns the frame after the last that was copied.
    ///
    /// # Errors
    /// What the driver says.
    pub fn played(&mut self, from: u64, into: &mut [u8]) -> io::Result<u64> {
        let at = self.kernel.sync(None)?;
        let ahead = self.lead + 2 * self.tail;
        let oldest = (at.hw + ahead).saturating_sub(self.kernel.frames());
        let size = self.kernel.frame_bytes();
        let mut next = from;
        for (frame, bytes) in (from..at.hw).zip(into.chunks_exact_mut(size)) {
            let kept = frame >= oldest;
            for (byte, cell) in bytes.iter_mut().zip(cells(&self.kernel, frame)) {
                *byte = if kept { load(cell) } else { 0 };
            }
            next = frame + 1;
        }
        Ok(next)
    }
}

fn load(cell: &AtomicU8) -> u8 {
    cell.load(Relaxed)
}

#[cfg(test)]
mod tests;
