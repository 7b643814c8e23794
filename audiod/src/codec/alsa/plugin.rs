//! Plugin names (`default`, `plughw:`, `pulse`, a file): through alsa-lib, frames written whole, no crash hand-over and no
//! real-time promise (alsa-lib may lock and allocate). For listening on a desktop, not for a vehicle.
//!
//! A plugin with no card behind it (`null`, `file`) takes frames at any speed; the position never runs ahead of the time.

use alsa::Direction;
use alsa::pcm::{Access, Frames, PCM, State};

use super::{CodecError, failed, params, refused};
use crate::codec::{Codec, Shape, now_ns};
use crate::system::CodecConfig;

/// See the module.
pub struct Plugin {
    pcm: PCM,
    shape: Shape,
    ring: u64,
    period: u64,
    /// Codec frame of everything given to alsa-lib.
    written: u64,
    position: u64,
    /// When the position was last looked at.
    looked_ns: u64,
    zeros: Vec<u8>,
    /// Started, and since then nothing was heard of an error.
    runs: bool,
}

// SAFETY: a PCM handle may be used from any one thread at a time; this value is its only user.
unsafe impl Send for Plugin {}

impl Plugin {
    /// Opens a device with the configured parameters.
    ///
    /// # Errors
    /// What it can't do, with the cure.
    pub fn open(config: &CodecConfig, device: &str) -> Result<Self, CodecError> {
        let pcm = PCM::new(device, Direction::Playback, true).map_err(|error| refused(config, device, &error))?;
        let ring = params::hardware(&pcm, config, device, Direction::Playback, Access::RWInterleaved)?;
        let fail = |error: alsa::Error| failed(config, device, std::io::Error::other(error));
        pcm.prepare().map_err(fail)?;
        let shape = Shape::of(config);
        Ok(Self {
            pcm,
            shape,
            ring,
            period: u64::from(config.period),
            written: 0,
            position: 0,
            looked_ns: now_ns(),
            zeros: vec![0; shape.frame_bytes() * config.period as usize],
            runs: false,
        })
    }

    /// Gives frames to alsa-lib, once more after an underrun; returns how many it took.
    fn give(&mut self, bytes: &[u8]) -> u64 {
        match self.try_give(bytes) {
            Ok(frames) => frames,
            Err(error) => {
                self.runs = false;
                match self.pcm.try_recover(error, true) {
                    Ok(()) => self.try_give(bytes).unwrap_or(0),
                    Err(_) => 0,
                }
            }
        }
    }

    /// One handle at a time: alsa-lib's binding allows no second.
    fn try_give(&self, bytes: &[u8]) -> alsa::Result<u64> {
        let handle = self.pcm.io_bytes();
        handle.writei(bytes).map(|frames| frames as u64)
    }
}

impl Codec for Plugin {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn position(&mut self) -> u64 {
        let room = self
            .pcm
            .avail_update()
            .unwrap_or(self.ring as Frames)
            .max(0)
            .cast_unsigned();
        let waiting = self.ring.saturating_sub(room);
        let told = self.written.saturating_sub(waiting);
        let now = now_ns();
        let passed = u128::from(now.saturating_sub(self.looked_ns)) * u128::from(self.shape.rate) / 1_000_000_000;
        let passed = passed as u64;
        // Of a card that runs, a hundredth more than nominal is believed. One that is dry stands; what is not there in time
        // is silence, so the time goes on for it.
        let most = self.position + passed + passed / 100 + 1;
        let now_at = if waiting == 0 {
            self.position + passed
        } else {
            told.min(most)
        };
        if now_at > self.position {
            self.position = now_at;
            self.looked_ns = now;
        }
        self.position
    }

    fn written(&self) -> u64 {
        self.written
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> u64 {
        let frame = self.shape.frame_bytes();
        let frames = (bytes.len() / frame.max(1)) as u64;
        // The device ran dry: what it played meanwhile is silence that nobody has to write.
        self.written = self.written.max(self.position.min(at));
        while self.written < at {
            let gap = (at - self.written).min(self.period) as usize * frame;
            let zeros = std::mem::take(&mut self.zeros);
            let given = self.give(&zeros[..gap]);
            self.zeros = zeros;
            if given == 0 {
                break;
            }
            self.written += given;
        }
        let given = self.give(bytes);
        self.written = at + given;
        if !self.runs {
            if self.pcm.state() == State::Prepared {
                let _ = self.pcm.start();
            }
            self.runs = self.pcm.state() == State::Running;
        }
        // Frames that it did not take are made up for by as much silence before the next.
        at + frames - given
    }

    /// Plugins are for listening only.
    fn read(&mut self, _from: u64, _into: &mut [u8]) -> usize {
        0
    }

    fn recover(&mut self) {
        if matches!(self.pcm.state(), State::XRun | State::Suspended | State::Setup) {
            let _ = self.pcm.prepare();
            self.runs = false;
        }
    }
}
