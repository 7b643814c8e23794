//! mainVolume to dB: linear between the points of a sink's curve, in integers (AudioManager's user curve, clamped
//! at both ends).

use crate::{Db10, MUTE};

/// Smallest and largest mainVolume of a curve; everything where it has no point.
pub fn range(curve: &[(i16, Db10)]) -> (i16, i16) {
    match (curve.first(), curve.last()) {
        (Some(first), Some(last)) => (first.0, last.0.max(first.0)),
        _ => (i16::MIN, i16::MAX),
    }
}

/// mainVolume inside the curve's range.
pub fn clamp(curve: &[(i16, Db10)], volume: i16) -> i16 {
    let (low, high) = range(curve);
    volume.clamp(low, high)
}

/// The gain of a mainVolume, 0.1 dB, rounded to the nearest, never under [`MUTE`]; 0 dB where the curve has no point.
pub fn gain(curve: &[(i16, Db10)], volume: i16) -> Db10 {
    let volume = clamp(curve, volume);
    let above = curve.partition_point(|point| point.0 < volume);
    let Some(high) = curve.get(above) else {
        return curve.last().map_or(0, |point| point.1.max(MUTE));
    };
    let low = if above == 0 { high } else { &curve[above - 1] };
    let span = i32::from(high.0) - i32::from(low.0);
    if span <= 0 {
        return high.1.max(MUTE);
    }
    let rise = i32::from(high.1) - i32::from(low.1);
    let offset = i64::from(rise) * i64::from(i32::from(volume) - i32::from(low.0));
    let rounded = (2 * offset + i64::from(span)).div_euclid(2 * i64::from(span));
    let gain = i64::from(low.1) + rounded;
    // Between two i16 values, so it fits.
    i16::try_from(gain).unwrap_or(MUTE).max(MUTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURVE: [(i16, Db10); 3] = [(0, MUTE), (1, -600), (10, 0)];

    #[test]
    fn points_are_exact_and_between_them_it_is_linear() {
        assert_eq!(gain(&CURVE, 0), MUTE);
        assert_eq!(gain(&CURVE, 1), -600);
        assert_eq!(gain(&CURVE, 10), 0);
        assert_eq!(gain(&CURVE, 5), -333, "-600 + 4 x 66.67 to the nearest");
        assert_eq!(gain(&[(0, -60), (10, 0)], 5), -30);
    }

    #[test]
    fn out_of_range_is_the_nearest_end() {
        assert_eq!(gain(&CURVE, -5), MUTE);
        assert_eq!(gain(&CURVE, 300), 0);
        assert_eq!(clamp(&CURVE, 300), 10);
        assert_eq!(clamp(&CURVE, i16::MIN), 0);
    }

    #[test]
    fn degenerate_curves_do_not_divide_by_zero() {
        assert_eq!(gain(&[], 7), 0);
        assert_eq!(gain(&[(3, -20)], 7), -20);
        assert_eq!(gain(&[(3, -20), (3, -10)], 3), -20);
        assert_eq!(gain(&[(i16::MIN, i16::MIN), (i16::MAX, i16::MAX)], i16::MIN), MUTE);
    }

    #[test]
    fn louder_is_never_quieter() {
        let all: Vec<_> = (0..=10).map(|volume| gain(&CURVE, volume)).collect();
        assert!(all.is_sorted());
    }
}
