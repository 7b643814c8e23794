//! Levels.

const LANES: usize = 8;
/// All but the sign.
const MAGNITUDE: u32 = u32::MAX >> 1;

/// Highest magnitude; 0 for nothing, NaN where one sample is NaN.
pub fn peak(samples: &[f32]) -> f32 {
    let (lanes, rest) = samples.as_chunks::<LANES>();
    // As integers, magnitudes are in the same order, with NaN above infinity.
    let mut highest = [0; LANES];
    for chunk in lanes {
        for (highest, sample) in highest.iter_mut().zip(chunk) {
            *highest = magnitude(*sample).max(*highest);
        }
    }
    let rest = rest.iter().copied().map(magnitude);
    f32::from_bits(highest.into_iter().chain(rest).fold(0, i32::max).cast_unsigned())
}

fn magnitude(sample: f32) -> i32 {
    (sample.to_bits() & MAGNITUDE).cast_signed()
}

/// [`peak`] and the sum of squares, in one go.
pub fn level(samples: &[f32]) -> (f32, f32) {
    let (lanes, rest) = samples.as_chunks::<LANES>();
    let (mut highest, mut sums) = ([0; LANES], [0f32; LANES]);
    for chunk in lanes {
        for ((highest, sum), sample) in highest.iter_mut().zip(&mut sums).zip(chunk) {
            *highest = magnitude(*sample).max(*highest);
            *sum += sample * sample;
        }
    }
    let more: f32 = rest.iter().map(|sample| sample * sample).sum();
    let rest = rest.iter().copied().map(magnitude);
    let highest = highest.into_iter().chain(rest).fold(0, i32::max);
    (f32::from_bits(highest.cast_unsigned()), sums.iter().sum::<f32>() + more)
}
