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
    began_ns: u64,
    zeros: Vec<u8>,
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
            began_ns: now_ns(),
            zeros: vec![0; shape.frame_bytes() * config.period as usize],
        })
    }

    /// Frames at nominal rate since the beginning, and one period: no card is faster by more than a lead absorbs.
    fn by_time(&self) -> u64 {
        let passed = u128::from(now_ns().saturating_sub(self.began_ns)) * u128::from(self.shape.rate) / 1_000_000_000;
        // A thousandth more, so that no real card's clock is held back.
        let passed = passed as u64;
        passed + passed / 1000 + self.period
    }

    fn give(&self, bytes: &[u8]) -> u64 {
        let frame = self.shape.frame_bytes();
        match self.pcm.io_bytes().writei(bytes) {
            Ok(frames) => frames as u64,
            Err(error) => match self.pcm.try_recover(error, true) {
                Ok(()) => self.pcm.io_bytes().writei(bytes).unwrap_or(0) as u64,
                Err(_) => 0,
            },
        }
        .min((bytes.len() / frame) as u64)
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
        // Before its first frame the device stands; what is not there in time is silence, so the time goes on.
        let dry = waiting == 0;
        let told = if dry { self.by_time() } else { told };
        self.position = self.position.max(told.min(self.by_time()));
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
            let given = self.give(&self.zeros[..gap]);
            if given == 0 {
                break;
            }
            self.written += given;
        }
        let given = self.give(bytes);
        self.written = at + frames;
        if self.pcm.state() == State::Prepared {
            let _ = self.pcm.start();
        }
        frames - given
    }

    /// Plugins are for listening only.
    fn read(&mut self, _from: u64, _into: &mut [u8]) -> usize {
        0
    }

    fn recover(&mut self) {
        if matches!(self.pcm.state(), State::XRun | State::Suspended | State::Setup) {
            let _ = self.pcm.prepare();
        }
    }
}
