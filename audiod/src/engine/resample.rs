//! Sample-rate conversion, only where a stream's rate differs from the codec's. Made outside the real-time thread, used in it.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Async, FixedAsync, Resampler, SincInterpolationParameters, WindowFunction};

/// Taps of the anti-alias filter: 127 frames of delay at the input's rate.
const TAPS: usize = 256;

/// Turns frames of one rate into frames of another, a codec period at a time.
pub trait Convert: Send {
    /// Input frames of the next step.
    fn needs(&self) -> usize;
    /// The most it will ever need.
    fn needs_at_most(&self) -> usize;
    /// Output frames of the next step.
    fn makes(&self) -> usize;
    /// The most it will ever make.
    fn makes_at_most(&self) -> usize;
    /// Frames of delay, at the output's rate.
    fn delay(&self) -> usize;
    /// Planar input (each channel `needs()` long) to planar output (each channel `makes()` long). No allocation.
    fn convert(&mut self, input: &[f32], output: &mut [f32]);
    /// Forgets what it heard.
    fn reset(&mut self);
}

struct Sinc {
    inner: Async<f32>,
    channels: usize,
}

/// A converter from `from` Hz to `to` Hz whose output is exactly `period` frames a step; `None` when rubato can't make one
/// (a rate of 0, no channels).
pub fn converter(from: u32, to: u32, channels: usize, period: usize) -> Option<Box<dyn Convert>> {
    sinc(from, to, channels, period, FixedAsync::Output)
}

/// A converter whose input is exactly `period` frames a step, for capture.
pub fn capture_converter(from: u32, to: u32, channels: usize, period: usize) -> Option<Box<dyn Convert>> {
    sinc(from, to, channels, period, FixedAsync::Input)
}

fn sinc(from: u32, to: u32, channels: usize, period: usize, fixed: FixedAsync) -> Option<Box<dyn Convert>> {
    if from == 0 || to == 0 {
        return None;
    }
    let ratio = f64::from(to) / f64::from(from);
    let parameters = SincInterpolationParameters::new(TAPS, WindowFunction::BlackmanHarris2);
    let inner = Async::new_sinc(ratio, 1.0, &parameters, period, channels, fixed).ok()?;
    Some(Box::new(Sinc { inner, channels }))
}

impl Convert for Sinc {
    fn needs(&self) -> usize {
        self.inner.input_frames_next()
    }

    fn needs_at_most(&self) -> usize {
        self.inner.input_frames_max()
    }

    fn makes(&self) -> usize {
        self.inner.output_frames_next()
    }

    fn makes_at_most(&self) -> usize {
        self.inner.output_frames_max()
    }

    fn delay(&self) -> usize {
        self.inner.output_delay()
    }

    fn convert(&mut self, input: &[f32], output: &mut [f32]) {
        let (needs, makes) = (self.needs(), self.makes());
        let (Ok(input), Ok(mut adapted)) = (
            SequentialSlice::new(input, self.channels, needs),
            SequentialSlice::new_mut(output, self.channels, makes),
        ) else {
            return;
        };
        if self.inner.process_into_buffer(&input, &mut adapted, None).is_err() {
            output.fill(0.0);
        }
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}
