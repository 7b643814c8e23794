//! Sample-rate conversion, only where a stream's rate differs from the codec's. Made outside the real-time thread, used in it.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Async, FixedAsync, Resampler, SincInterpolationParameters, WindowFunction};

/// Taps of the anti-alias filter: 127 frames of delay at the input's rate.
const TAPS: usize = 256;

/// Turns a varying number of input frames into exactly one codec period.
pub trait Convert: Send {
    /// Input frames the next period needs.
    fn needs(&self) -> usize;
    /// The most it will ever need.
    fn needs_at_most(&self) -> usize;
    /// Frames of delay, at the output's rate.
    fn delay(&self) -> usize;
    /// Planar input (each channel `needs()` long) to planar output (each channel one period long). No allocation.
    fn convert(&mut self, input: &[f32], output: &mut [f32]);
    /// Forgets what it heard.
    fn reset(&mut self);
}

struct Sinc {
    inner: Async<f32>,
    channels: usize,
    period: usize,
}

/// A converter from `from` Hz to `to` Hz; `None` when rubato can't make one (a rate of 0, no channels).
pub fn converter(from: u32, to: u32, channels: usize, period: usize) -> Option<Box<dyn Convert>> {
    let ratio = f64::from(to) / f64::from(from);
    let parameters = SincInterpolationParameters::new(TAPS, WindowFunction::BlackmanHarris2);
    let inner = Async::new_sinc(ratio, 1.0, &parameters, period, channels, FixedAsync::Output).ok()?;
    Some(Box::new(Sinc {
        inner,
        channels,
        period,
    }))
}

impl Convert for Sinc {
    fn needs(&self) -> usize {
        self.inner.input_frames_next()
    }

    fn needs_at_most(&self) -> usize {
        self.inner.input_frames_max()
    }

    fn delay(&self) -> usize {
        self.inner.output_delay()
    }

    fn convert(&mut self, input: &[f32], output: &mut [f32]) {
        let needs = self.needs();
        let (Ok(input), Ok(mut adapted)) = (
            SequentialSlice::new(input, self.channels, needs),
            SequentialSlice::new_mut(output, self.channels, self.period),
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
