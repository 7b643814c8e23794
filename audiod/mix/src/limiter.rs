//! A limiter without look-ahead: one gain for all channels of a bus, down at once, up again at a constant rate.
//!
//! ```text
//!   idle (gain = 1, no bit changes) ──a frame over the ceiling──► limiting (gain = ceiling / peak of the frame)
//!        ▲                                                              │ each frame: + 1 / release, never over the ceiling
//!        └───────────────── gain reached 1: at most `release` frames ◄──┘
//! ```
//! No frame leaves over the ceiling, and the gain is a number between 0 and 1 whatever came in.

use crate::meter;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    gain: f32,
    step: f32,
}

/// What [`Limiter::run`] found and did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limited {
    /// Highest magnitude before it.
    pub peak: f32,
    /// Lowest gain used.
    pub gain: f32,
}

impl Limiter {
    /// A limiter whose gain comes back from 0 to 1 in `release` frames.
    pub fn new(release: u32) -> Self {
        Self {
            gain: 1.0,
            // A thousandth early, so that what rounding loses on the way up does not make it late.
            step: 1.001 / release.max(1) as f32,
        }
    }

    /// The gain as it stands.
    pub fn gain(&self) -> f32 {
        self.gain
    }

    /// Limits `planar` (`channels` slices of one length, one behind the other) to `ceiling`.
    pub fn run(&mut self, planar: &mut [f32], channels: usize, ceiling: f32) -> Limited {
        let ceiling = if ceiling.is_finite() { ceiling.max(0.0) } else { 0.0 };
        let peak = meter::peak(planar);
        // Not where a sample is NaN.
        if self.gain >= 1.0 && peak <= ceiling {
            return Limited { peak, gain: 1.0 };
        }
        let frames = planar.len() / channels.max(1);
        let mut lowest = 1.0f32;
        for at in 0..frames {
            self.frame(planar, at, frames, ceiling);
            lowest = lowest.min(self.gain);
        }
        Limited { peak, gain: lowest }
    }

    fn frame(&mut self, planar: &mut [f32], at: usize, frames: usize, ceiling: f32) {
        let mut peak = 0f32;
        for sample in planar.iter_mut().skip(at).step_by(frames) {
            if !sample.is_finite() {
                *sample = 0.0;
            }
            peak = peak.max(sample.abs());
        }
        self.gain = (self.gain + self.step).min(1.0);
        if peak * self.gain > ceiling {
            self.gain = (ceiling / peak).clamp(0.0, 1.0);
        }
        if self.gain >= 1.0 {
            return;
        }
        for sample in planar.iter_mut().skip(at).step_by(frames) {
            // Rounding of the product may pass the ceiling by its last bit.
            *sample = (*sample * self.gain).clamp(-ceiling, ceiling);
        }
    }
}
