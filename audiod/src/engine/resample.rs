//! Sample-rate conversion, only where a stream's rate differs from the codec's. Made outside the real-time thread, used in it.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Adjustable, Async, FixedAsync, PolynomialDegree, Resampler, SincInterpolationParameters, WindowFunction,
    calculate_cutoff,
};

/// Taps of the anti-alias filter at the lower of both rates: 128 frames of delay, and what lies below 0.9 of the band both
/// rates have is passed within 0.01 dB.
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

/// A converter whose ratio can be moved a little while it runs.
pub trait Steer: Convert {
    /// Makes the next steps `relative` times as many output frames of the same input as nominal.
    fn steer(&mut self, relative: f64);
}

struct Rubato {
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

/// A converter between two clocks of nominally `rates` (from, to), whose output is exactly `period` frames a step and whose
/// ratio can be steered by up to `pull`. At equal rates a cubic: a delay of 2 frames, and no filter.
pub fn bridge_converter(rates: (u32, u32), channels: usize, period: usize, pull: f64) -> Option<Box<dyn Steer>> {
    let (from, to) = rates;
    let most = 1.0 + pull;
    let inner = if from == to && from != 0 {
        Async::new_poly(1.0, most, PolynomialDegree::Cubic, period, channels, FixedAsync::Output).ok()?
    } else {
        sinc_resampler(rates, most, channels, period, FixedAsync::Output)?
    };
    Some(Box::new(Rubato { inner, channels }))
}

fn sinc(from: u32, to: u32, channels: usize, period: usize, fixed: FixedAsync) -> Option<Box<dyn Convert>> {
    let inner = sinc_resampler((from, to), 1.0, channels, period, fixed)?;
    Some(Box::new(Rubato { inner, channels }))
}

fn sinc_resampler(
    (from, to): (u32, u32),
    most: f64,
    channels: usize,
    period: usize,
    fixed: FixedAsync,
) -> Option<Async<f32>> {
    if from == 0 || to == 0 {
        return None;
    }
    let ratio = f64::from(to) / f64::from(from);
    let taps = (TAPS * (from.max(to) as usize))
        .div_ceil(to as usize)
        .next_multiple_of(8);
    let window = WindowFunction::BlackmanHarris2;
    // Longer filters would by themselves cut closer to the band's edge than their slope at the lower rate allows.
    let cutoff = calculate_cutoff(TAPS, window);
    let parameters = SincInterpolationParameters::new(taps, window).f_cutoff(cutoff);
    Async::new_sinc(ratio, most, &parameters, period, channels, fixed).ok()
}

impl Steer for Rubato {
    fn steer(&mut self, relative: f64) {
        // Out of bounds: the old ratio stays.
        let _ = self.inner.set_resample_ratio_relative(relative, true);
    }
}

impl Convert for Rubato {
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
