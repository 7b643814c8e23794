//! Volumes: mainVolume → normalised → dB, two lists of pairs with straight lines between, as one curve.

/// Gain that counts as silence, 0.1 dB, and what our curves can say at least.
const SILENT: f64 = -1000.0;

/// Pairs `a,b;c,d` in ascending order of the first; else the cause.
pub(super) fn pairs(text: &str) -> Result<Vec<(f64, f64)>, String> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let point = pair.split_once(',').and_then(|(from, to)| {
            let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            Some((number(from)?, number(to)?))
        });
        let Some(point) = point else {
            return Err(format!("`{pair}` is no pair of numbers, as `0,-40.0`"));
        };
        if points.last().is_some_and(|before| point.0 <= before.0) {
            return Err(format!("`{pair}` is not above the pair before"));
        }
        points.push(point);
    }
    match points.len() {
        0 | 1 => Err(format!("at least two pairs are needed, this has {}", points.len())),
        _ => Ok(points),
    }
}

fn along(points: &[(f64, f64)], at: f64) -> f64 {
    let after = points.iter().position(|point| point.0 >= at);
    match after {
        None => points.last().map_or(0.0, |point| point.1),
        Some(0) => points.first().map_or(0.0, |point| point.1),
        Some(index) => {
            let (low, high) = (points[index - 1], points[index]);
            low.1 + (high.1 - low.1) * (at - low.0) / (high.0 - low.0)
        }
    }
}

/// A curve of ours, and what it says otherwise than the two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Curve {
    /// mainVolume and gain in 0.1 dB, `None` = silence.
    pub points: Vec<(i64, Option<i64>)>,
    pub notes: Vec<&'static str>,
}

/// The two lists as one curve; `None` if it couldn't rise.
pub(super) fn curve(main: &[(f64, f64)], decibels: &[(f64, f64)]) -> Option<Curve> {
    let mut curve = Curve::default();
    let note = |text: &'static str, notes: &mut Vec<&'static str>| {
        if !notes.contains(&text) {
            notes.push(text);
        }
    };
    for at in volumes(main, decibels, &mut curve.notes) {
        let mut tenths = along(decibels, along(main, at as f64)) * 10.0;
        if tenths > 0.0 {
            note("nothing is made louder than 0 dB", &mut curve.notes);
            tenths = 0.0;
        }
        let gain = (tenths >= SILENT).then(|| tenths.round() as i64);
        if curve.points.last().is_some_and(|before| before.1 > gain) {
            return None;
        }
        curve.points.push((at, gain));
    }
    (curve.points.len() >= 2).then_some(curve)
}

/// The whole mainVolumes at which one of the two lists bends.
fn volumes(main: &[(f64, f64)], decibels: &[(f64, f64)], notes: &mut Vec<&'static str>) -> Vec<i64> {
    let bends = decibels.iter().filter_map(|bend| {
        let after = main.windows(2).find(|pair| pair[0].1 < bend.0 && bend.0 < pair[1].1)?;
        Some(after[0].0 + (after[1].0 - after[0].0) * (bend.0 - after[0].1) / (after[1].1 - after[0].1))
    });
    let mut exact: Vec<f64> = main.iter().map(|point| point.0).chain(bends).collect();
    exact.sort_by(f64::total_cmp);
    let mut whole: Vec<i64> = Vec::new();
    for at in exact {
        let rounded = at.round().clamp(i16::MIN.into(), i16::MAX.into());
        if (at - rounded).abs() > 1e-6 {
            notes.push("it bends between two volumes: at the nearest whole one here");
        }
        whole.push(rounded as i64);
    }
    whole.dedup();
    notes.dedup();
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_range_of_6_db_is_3_db_down() {
        let curve = curve(&pairs("0,0.0;10,1.0").unwrap(), &pairs("0.0,-6;1.0,0").unwrap()).unwrap();

        assert_eq!(curve.points, [(0, Some(-60)), (10, Some(0))]);
        assert!(curve.notes.is_empty());
    }

    #[test]
    fn the_second_lists_bends_are_kept() {
        let curve = curve(
            &pairs("0,0;100,1").unwrap(),
            &pairs("0,-192;0.01,-40;0.5,-10;1,0").unwrap(),
        )
        .unwrap();

        assert_eq!(
            curve.points,
            [(0, None), (1, Some(-400)), (50, Some(-100)), (100, Some(0))]
        );
    }

    #[test]
    fn what_is_louder_or_falls_is_said() {
        let louder = curve(&pairs("0,0;10,1").unwrap(), &pairs("0,-6;1,6").unwrap()).unwrap();
        let falling = curve(&pairs("0,0;10,1").unwrap(), &pairs("0,0;1,-6").unwrap());

        assert_eq!(louder.points, [(0, Some(-60)), (10, Some(0))]);
        assert_eq!(louder.notes, ["nothing is made louder than 0 dB"]);
        assert_eq!(falling, None);
    }

    #[test]
    fn wrong_lists_say_why() {
        for text in ["", "1,2", "1;2", "0,1;0,2", "a,b;c,d", "0,nan;1,2"] {
            assert!(pairs(text).is_err(), "{text}");
        }
    }
}
