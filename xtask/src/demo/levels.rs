//! Levels over time of the components of a recording, each known by its tones: amplitude and phase of every tone in Hann
//! windows of 100 ms, a window each 10 ms; and clicks: what is above all tones, in blocks of 1 ms.
//!
//! A Hann window of 100 ms tells tones 20 Hz apart; a tone's phase is counted from the recording's first frame, so it stays
//! the same for as long as no frame is lost, repeated or put in.

use std::f64::consts::TAU;

use super::content::RATE;

const WINDOW: usize = 4800;
const HOP: usize = 480;
/// Taps of the filter for clicks (Blackman) and its edge, Hz: far above all tones.
const TAPS: usize = 127;
const CLICK_EDGE: f64 = 9000.0;
const CLICK_BLOCK: usize = 48;
/// Lowest level told, dBFS.
pub const FLOOR_DB: f64 = -120.0;

/// One tone in each window.
#[derive(Clone, Debug, Default)]
pub struct Tone {
    /// Hz.
    pub hz: f64,
    /// Amplitude, full scale = 1.
    pub amplitude: Vec<f64>,
    /// Radians, of a sine that began with the recording.
    pub phase: Vec<f64>,
}

/// Middle of a window, seconds from the recording's start.
#[must_use]
pub fn time_of(window: usize) -> f64 {
    (window * HOP + WINDOW / 2) as f64 / f64::from(RATE)
}

/// Follows one tone.
#[must_use]
pub fn follow(samples: &[f32], hz: f64) -> Tone {
    let step = TAU * hz / f64::from(RATE);
    let turned: Vec<(f64, f64)> = samples
        .iter()
        .enumerate()
        .map(|(frame, sample)| {
            let (sin, cos) = (step * frame as f64).sin_cos();
            (f64::from(*sample) * cos, f64::from(*sample) * sin)
        })
        .collect();
    let hann: Vec<f64> = (0..WINDOW)
        .map(|n| 0.5 - 0.5 * (TAU * n as f64 / WINDOW as f64).cos())
        .collect();
    let scale = 2.0 / hann.iter().sum::<f64>();
    let mut tone = Tone { hz, ..Tone::default() };
    for window in turned.windows(WINDOW).step_by(HOP) {
        let weighted = |sum: (f64, f64), (value, weight): (&(f64, f64), &f64)| {
            (sum.0 + value.0 * weight, sum.1 + value.1 * weight)
        };
        let (cos, sin) = window.iter().zip(&hann).fold((0.0, 0.0), weighted);
        tone.amplitude.push(cos.hypot(sin) * scale);
        tone.phase.push(cos.atan2(sin));
    }
    tone
}

/// Level of a group of tones in each window, dBFS (0 = the power of one sine at full scale).
#[must_use]
pub fn level(tones: &[Tone]) -> Vec<f64> {
    let windows = tones.iter().map(|tone| tone.amplitude.len()).min().unwrap_or(0);
    let power = |window: usize| tones.iter().map(|tone| tone.amplitude[window].powi(2)).sum::<f64>();
    (0..windows).map(|window| decibel(power(window).sqrt())).collect()
}

/// Follows all tones of a component.
#[must_use]
pub fn follow_all(samples: &[f32], frequencies: &[f64]) -> Vec<Tone> {
    frequencies.iter().map(|hz| follow(samples, *hz)).collect()
}

/// Amplitude to dB, not below [`FLOOR_DB`].
#[must_use]
pub fn decibel(amplitude: f64) -> f64 {
    (20.0 * amplitude.log10()).max(FLOOR_DB)
}

/// Peak above [`CLICK_EDGE`] in each block of 1 ms: its middle in seconds, and dBFS.
#[must_use]
pub fn clicks(samples: &[f32]) -> Vec<(f64, f64)> {
    let taps = high_pass();
    let filtered: Vec<f64> = samples
        .windows(TAPS)
        .map(|window| window.iter().zip(&taps).map(|(s, t)| f64::from(*s) * t).sum())
        .collect();
    let time = |block: usize| (block * CLICK_BLOCK + CLICK_BLOCK / 2 + TAPS / 2) as f64 / f64::from(RATE);
    let peak = |block: &[f64]| block.iter().fold(0.0_f64, |peak, value| peak.max(value.abs()));
    let blocks = filtered.chunks(CLICK_BLOCK).enumerate();
    blocks.map(|(n, block)| (time(n), decibel(peak(block)))).collect()
}

/// A windowed sinc, spectrally inverted.
fn high_pass() -> Vec<f64> {
    let middle = (TAPS / 2) as f64;
    let edge = CLICK_EDGE / f64::from(RATE);
    let low: Vec<f64> = (0..TAPS)
        .map(|n| {
            let x = n as f64 - middle;
            let sinc = if x == 0.0 {
                2.0 * edge
            } else {
                (TAU * edge * x).sin() / (TAU / 2.0 * x)
            };
            let turn = TAU * n as f64 / (TAPS - 1) as f64;
            sinc * (0.42 - 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos())
        })
        .collect();
    let sum: f64 = low.iter().sum();
    let mut high: Vec<f64> = low.iter().map(|tap| -tap / sum).collect();
    high[TAPS / 2] += 1.0;
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, amplitude: f64, phase: f64, frames: usize) -> Vec<f32> {
        let step = TAU * hz / f64::from(RATE);
        (0..frames)
            .map(|n| (amplitude * (step * n as f64 + phase).sin()) as f32)
            .collect()
    }

    #[test]
    fn a_tone_has_its_amplitude_and_phase_and_is_not_seen_where_another_is_looked_for() {
        let samples = sine(329.627_6, 0.1, 0.7, 9600);

        let (own, other) = (follow(&samples, 329.627_6), follow(&samples, 277.182_6));

        assert!(
            own.amplitude.iter().all(|a| (a - 0.1).abs() < 1e-4),
            "{:?}",
            own.amplitude
        );
        assert!(own.phase.iter().all(|p| (p - 0.7).abs() < 1e-3), "{:?}", own.phase);
        assert!(other.amplitude.iter().all(|a| *a < 0.000_5), "{:?}", other.amplitude);
    }

    #[test]
    fn tones_are_no_clicks_and_a_frame_left_out_is_one() {
        let whole = sine(1440.0, 0.2, 0.0, 4800);
        let mut cut = whole.clone();
        cut.remove(2405);
        let worst = |samples: &[f32]| clicks(samples).iter().fold(FLOOR_DB, |worst, (_, db)| worst.max(*db));

        assert!(worst(&whole) < -80.0, "{}", worst(&whole));
        assert!(worst(&cut) > -60.0, "{}", worst(&cut));
    }
}
