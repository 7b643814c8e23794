//! What sample-rate conversion does to a sound, as bounds that hold for the common rates of guests: the gain in the band that
//! is passed, what is added to a tone, what is left of a tone that the lower rate can't carry.
#![allow(clippy::unwrap_used, missing_docs)]

use std::f64::consts::TAU;

use audiod::engine::resample::{capture_converter, converter};

/// Guests' rates against codecs at 48 and 44.1 kHz.
const PAIRS: [(u32, u32); 14] = [
    (8_000, 48_000),
    (11_025, 48_000),
    (16_000, 48_000),
    (22_050, 48_000),
    (32_000, 48_000),
    (44_100, 48_000),
    (64_000, 48_000),
    (88_200, 48_000),
    (96_000, 48_000),
    (176_400, 48_000),
    (192_000, 48_000),
    (48_000, 44_100),
    (96_000, 44_100),
    (16_000, 44_100),
];
const PERIOD: usize = 48;
/// Of the lower rate's half: up to here everything is passed.
const PASSED: f64 = 0.9;

/// One second of a tone of amplitude 0.5, converted; the first and last tenth left out.
fn converted(from: u32, to: u32, hertz: f64) -> Vec<f64> {
    let mut converter = converter(from, to, 1, PERIOD).unwrap();
    let mut at = 0;
    let mut out = Vec::new();
    while out.len() < to as usize + PERIOD {
        let needs = converter.needs();
        let input: Vec<f32> = (at..at + needs)
            .map(|n| (0.5 * (n as f64 * hertz * TAU / f64::from(from)).sin()) as f32)
            .collect();
        at += needs;
        let mut period = [0.0; PERIOD];
        converter.convert(&input, &mut period);
        out.extend(period.map(f64::from));
    }
    let tenth = to as usize / 10;
    out[tenth..9 * tenth].to_vec()
}

/// Amplitude of the tone in `samples`, and the RMS of all else, both against amplitude 0.5 in dB.
fn tone_and_rest(samples: &[f64], rate: u32, hertz: f64) -> (f64, f64) {
    let step = hertz * TAU / f64::from(rate);
    let count = samples.len() as f64;
    let part = |of: fn(f64) -> f64| {
        samples
            .iter()
            .enumerate()
            .map(|(n, x)| x * of(n as f64 * step))
            .sum::<f64>()
            * 2.0
            / count
    };
    // Least squares of both parts; over so many periods they don't touch each other.
    let (sine, cosine) = (part(f64::sin), part(f64::cos));
    let rest: f64 = samples
        .iter()
        .enumerate()
        .map(|(n, x)| (x - sine * (n as f64 * step).sin() - cosine * (n as f64 * step).cos()).powi(2))
        .sum();
    let db = |value: f64| 20.0 * value.max(1e-12).log10();
    (
        db(sine.hypot(cosine) / 0.5),
        db((rest / count).sqrt() / (0.5 / 2f64.sqrt())),
    )
}

#[test]
fn tones_in_the_passed_band_keep_their_level_and_gain_nothing() {
    for (from, to) in PAIRS {
        let edge = f64::from(from.min(to)) / 2.0 * PASSED;
        for part in [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0] {
            // Whole periods in what is judged: 0.8 s.
            let hertz = (edge * part / 2.5).round() * 2.5;
            let (gain, rest) = tone_and_rest(&converted(from, to, hertz), to, hertz);
            println!("{from} to {to}, {hertz} Hz: gain {gain:.4} dB, rest {rest:.1} dB");
            assert!(gain.abs() < 0.01, "{from} to {to}: {hertz} Hz has {gain} dB");
            assert!(rest < -120.0, "{from} to {to}: {rest} dB beside {hertz} Hz");
        }
    }
}

#[test]
fn tones_that_the_lower_rate_cannot_carry_are_gone() {
    for (from, to) in PAIRS.into_iter().filter(|(from, to)| from > to) {
        for beyond in [1.03, 1.2, 1.5] {
            let hertz = f64::from(to) / 2.0 * beyond;
            if hertz >= f64::from(from) / 2.0 {
                continue;
            }
            let samples = converted(from, to, hertz);
            let rms = (samples.iter().map(|x| x * x).sum::<f64>() / samples.len() as f64).sqrt();
            let left = 20.0 * (rms / (0.5 / 2f64.sqrt())).max(1e-12).log10();
            println!("{from} to {to}, {hertz} Hz: {left:.1} dB left");
            assert!(left < -120.0, "{from} to {to}: {left} dB of {hertz} Hz are left");
        }
    }
}

#[test]
fn a_recording_converts_as_well_as_a_playback() {
    let (from, to, hertz) = (48_000, 44_100, 997.5);
    let mut converter = capture_converter(from, to, 1, PERIOD).unwrap();
    let mut out = Vec::new();
    for period in 0..1000 {
        let input: Vec<f32> = (period * PERIOD..(period + 1) * PERIOD)
            .map(|n| (0.5 * (n as f64 * hertz * TAU / f64::from(from)).sin()) as f32)
            .collect();
        let mut made = vec![0.0; converter.makes()];
        converter.convert(&input, &mut made);
        out.extend(made.into_iter().map(f64::from));
    }
    let (gain, rest) = tone_and_rest(&out[4410..4410 + 35_280], to, hertz);
    assert!(gain.abs() < 0.01 && rest < -120.0, "{gain} dB, rest {rest} dB");
}

#[test]
fn the_judge_hears_a_worse_converter() {
    // Every frame twice: what a converter without a filter would do.
    let hertz = 997.5;
    let doubled: Vec<f64> = (0..48_000)
        .map(|n| 0.5 * ((n / 2 * 2) as f64 * hertz * TAU / 48_000.0).sin())
        .collect();
    let (_, rest) = tone_and_rest(&doubled[4800..43_200], 48_000, hertz);
    assert!(rest > -60.0, "{rest}");
}
