//! A limiter without look-ahead: one gain for all channels of a bus, down at once, up again at a constant rate.
//!
//! ```text
//!   idle (gain = 1, no bit changes) ──a frame over the ceiling──► limiting (gain = ceiling / peak of the frame)
//!        ▲                                                              │ each frame: + 1 / release, never over the ceiling
//!        └───────────────── gain reached 1: at most `release` frames ◄──┘
//! ```
//! No frame leaves over the ceiling, and the gain is a number between 0 and 1 whatever came in.

use crate::MAX_CHANNELS;
use crate::meter;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    gain: f32,
    step: f32,
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

    /// Limits `bus` (planar; every channel at least `frames` long) to `ceiling` and returns the lowest gain used.
    pub fn run(&mut self, bus: &mut [&mut [f32]], frames: usize, ceiling: f32) -> f32 {
        let ceiling = if ceiling.is_finite() { ceiling.max(0.0) } else { 0.0 };
        let channels = bus.len().min(MAX_CHANNELS);
        if self.gain >= 1.0 && calm(&bus[..channels], frames, ceiling) {
            return 1.0;
        }
        let mut lowest = 1.0f32;
        for frame in 0..frames {
            self.frame(&mut bus[..channels], frame, ceiling);
            lowest = lowest.min(self.gain);
        }
        lowest
    }

    fn frame(&mut self, bus: &mut [&mut [f32]], frame: usize, ceiling: f32) {
        let mut peak = 0f32;
        for channel in bus.iter_mut() {
            let Some(sample) = channel.get_mut(frame) else { continue };
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
        for channel in bus.iter_mut() {
            if let Some(sample) = channel.get_mut(frame) {
                // Rounding of the product may pass the ceiling by its last bit.
                *sample = (*sample * self.gain).clamp(-ceiling, ceiling);
            }
        }
    }
}

/// Every sample is a number and under the ceiling. (`max` passes over NaN, the sum doesn't.)
fn calm(bus: &[&mut [f32]], frames: usize, ceiling: f32) -> bool {
    bus.iter().all(|channel| {
        let samples = &channel[..frames.min(channel.len())];
        meter::peak(samples) <= ceiling && !meter::squares(samples).is_nan()
    })
}
