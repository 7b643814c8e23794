//! Levels.

const LANES: usize = 8;

/// Highest magnitude; 0 for nothing.
pub fn peak(samples: &[f32]) -> f32 {
    let (lanes, rest) = samples.as_chunks::<LANES>();
    let mut highest = [0f32; LANES];
    for chunk in lanes {
        for (highest, sample) in highest.iter_mut().zip(chunk) {
            *highest = highest.max(sample.abs());
        }
    }
    let lanes = highest.iter().copied().fold(0f32, f32::max);
    rest.iter().fold(lanes, |highest, sample| highest.max(sample.abs()))
}

/// Sum of squares.
pub fn squares(samples: &[f32]) -> f32 {
    let (lanes, rest) = samples.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for chunk in lanes {
        for (sum, sample) in sums.iter_mut().zip(chunk) {
            *sum += sample * sample;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|sample| sample * sample).sum::<f32>()
}
