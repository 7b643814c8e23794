//! Ramps, matrix and limiter: what they promise, over hostile numbers too.
#![allow(missing_docs)]

use mix::limiter::Limited;
use mix::matrix::{position::*, usual};
use mix::{Limiter, Matrix, Ramp, Segment, gain, meter};
use proptest::prelude::*;

fn limited(limiter: &mut Limiter, samples: &[f32], ceiling: f32) -> Vec<f32> {
    let mut out = samples.to_vec();
    limiter.run(&mut out, 1, ceiling);
    out
}

#[test]
fn a_limiter_is_transparent_again_after_its_release_time() {
    let mut limiter = Limiter::new(4800);
    limited(&mut limiter, &[f32::MAX, -8.0], 1.0);
    let quiet: Vec<f32> = (0..4800 + 64).map(|n| (n as f32 * 0.1).sin() * 0.9).collect();

    let out = limited(&mut limiter, &quiet, 1.0);

    assert!(
        out[0].abs() <= quiet[0].abs() && out[50] != quiet[50],
        "it does limit at first"
    );
    assert_eq!(out[4800..], quiet[4800..]);
    assert_eq!(limiter.gain(), 1.0);
}

#[test]
fn a_ramp_reaches_its_target_exactly_in_its_time_whatever_the_periods() {
    for period in [1, 7, 16, 48, 1000] {
        let mut ramp = Ramp::at(1.0);
        ramp.head_for(0.3, 100);
        let mut gains = Vec::new();
        while gains.len() < 200 {
            let segment = ramp.advance(period);
            gains.extend((0..period).map(|n| segment.at(n)));
        }
        assert_eq!(gains[99], 0.3, "period {period}");
        assert!(gains[99..].iter().all(|&g| g == 0.3));
        assert!(gains[98] > 0.3);
        assert!(gains.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.0071));
    }
}

#[test]
fn a_ramp_turned_round_goes_on_from_where_it_is() {
    let mut ramp = Ramp::at(0.0);
    ramp.head_for(1.0, 100);
    let last = ramp.advance(50).at(49);
    ramp.head_for(0.0, 100);
    assert!((ramp.advance(10).at(0) - last).abs() < 0.02);
}

#[test]
fn the_mixed_gain_is_the_segments() {
    let segment = Segment {
        from: 1.0,
        step: -0.01,
        moving: 21,
        then: 0.5,
    };
    let mut bus = vec![0.0; 53];
    gain::mix(&mut bus, &[1.0; 53], 0.5, &segment);
    for (at, sample) in bus.iter().enumerate() {
        assert!((sample - segment.at(at) * 0.5).abs() < 1e-6, "frame {at}");
    }
}

#[test]
fn equal_positions_pass_unchanged() {
    for channels in 1..=8 {
        let matrix = Matrix::between(usual(channels), usual(channels));
        for (to, row) in matrix.gains.iter().enumerate() {
            for (from, &gain) in row.iter().enumerate() {
                assert_eq!(
                    gain,
                    f32::from(u8::from(to == from && to < channels)),
                    "{channels} channels"
                );
            }
        }
    }
}

#[test]
fn mono_is_heard_in_both_fronts_and_stereo_averaged_in_mono() {
    let up = Matrix::between(&[MONO], &[FL, FR]);
    assert_eq!([up.gains[0][0], up.gains[1][0]], [1.0, 1.0]);
    let down = Matrix::between(&[FL, FR], &[MONO]);
    assert_eq!(down.gains[0][..2], [0.5, 0.5]);
}

#[test]
fn surround_folds_into_stereo_without_its_lfe() {
    let h = std::f32::consts::FRAC_1_SQRT_2;
    let matrix = Matrix::between(&[FL, FR, RL, RR, FC, LFE], &[FL, FR]);
    assert_eq!(matrix.gains[0][..6], [1.0, 0.0, h, 0.0, h, 0.0]);
    assert_eq!(matrix.gains[1][..6], [0.0, 1.0, 0.0, h, h, 0.0]);
}

#[test]
fn the_channels_of_a_frame_are_limited_alike() {
    let mut limiter = Limiter::new(4800);
    let mut planar = [0.5, 0.5, 0.5, 0.5, 4.0, 0.5];

    let limited = limiter.run(&mut planar, 2, 1.0);

    assert_eq!(limited, Limited { peak: 4.0, gain: 0.25 });
    assert_eq!((planar[0], planar[3]), (0.5, 0.5));
    assert_eq!((planar[1], planar[4]), (0.125, 1.0));
    assert!(planar[2] == planar[5] && (0.125..0.13).contains(&planar[2]));
}

#[test]
fn a_peak_is_the_highest_magnitude_and_no_number_where_one_is_none() {
    let mut samples: Vec<f32> = (0..21).map(|n| n as f32 / 32.0).collect();
    samples[20] = -0.75;
    assert_eq!(meter::peak(&[]), 0.0);
    assert_eq!(meter::peak(&samples), 0.75);
    let squares: f32 = samples.iter().map(|sample| sample * sample).sum();
    assert_eq!(meter::level(&samples), (0.75, squares));
    for at in [3, 20] {
        let kept = std::mem::replace(&mut samples[at], -f32::NAN);
        assert!(meter::peak(&samples).is_nan() && meter::level(&samples).0.is_nan());
        samples[at] = kept;
    }
}

proptest! {
    #[test]
    fn no_limited_sample_is_over_the_ceiling_or_no_number(
        blocks in prop::collection::vec((prop::collection::vec(any::<f32>(), 64), -0.5f32..1.5), 1..8),
        quiet in prop::collection::vec(-0.5f32..0.5, 64),
    ) {
        let mut limiter = Limiter::new(100);
        for (samples, ceiling) in &blocks {
            let out = limited(&mut limiter, samples, *ceiling);
            prop_assert!(out.iter().all(|x| x.is_finite() && x.abs() <= ceiling.max(0.0)));
            prop_assert!((0.0..=1.0).contains(&limiter.gain()));
        }
        // Whatever it went through, it comes back to changing no bit.
        limited(&mut limiter, &[0.0; 200], 1.0);
        prop_assert_eq!(limited(&mut limiter, &quiet, 1.0), quiet);
    }

    #[test]
    fn below_the_ceiling_no_bit_changes(samples in prop::collection::vec(-1.0f32..=1.0, 1..200)) {
        let mut limiter = Limiter::new(100);
        prop_assert_eq!(limited(&mut limiter, &samples, 1.0), samples);
    }

    #[test]
    fn unity_gain_into_an_empty_bus_changes_no_bit(samples in prop::collection::vec(-1.0f32..1.0, 1..200)) {
        let mut bus = vec![0.0; samples.len()];
        gain::mix(&mut bus, &samples, 1.0, &Segment::steady(1.0));
        prop_assert_eq!(bus, samples);
    }
}
