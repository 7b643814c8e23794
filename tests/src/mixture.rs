//! Takes that were mixed, told apart: in what was heard each is found by its beginning and taken off; what is left must be silence.

use crate::coded;

/// Bytes of a frame: S16, 2 channels.
const FRAME: usize = 4;

/// Where a take was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First frame, in what was heard.
    pub at: usize,
    /// Frames.
    pub frames: usize,
}

impl Place {
    /// Frames that both were heard.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> usize {
        let end = (self.at + self.frames).min(other.at + other.frames);
        end.saturating_sub(self.at.max(other.at))
    }
}

/// Why what was heard is not the sum of the takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTheSum {
    /// None of the takes that are left begins anywhere.
    #[error("take {0} was not heard from its first frame on")]
    Absent(usize),
    /// A take is cut off by the end of the recording.
    #[error("take {0} is longer than what was heard of it")]
    Cut(usize),
    /// More was heard than all takes: something is changed, lost, repeated or foreign.
    #[error("{frames} frames are more or other than the sum, the first at {first}")]
    Else {
        /// How many.
        frames: usize,
        /// Where.
        first: usize,
    },
}

/// Where each take is, if `heard` is exactly their sum and silence: S16, 2 channels, below full scale.
///
/// # Errors
/// [`NotTheSum`].
pub fn places(takes: &[&[u8]], heard: &[u8]) -> Result<Vec<Place>, NotTheSum> {
    let mut left = heard.to_vec();
    let mut found: Vec<Option<Place>> = vec![None; takes.len()];
    for _ in takes {
        // The earliest of those left begins with nobody else's samples on top.
        let begins = |take: &[u8]| {
            let report = coded::compare(take, &left, FRAME);
            report.runs.into_iter().find(|run| run.sent == 0).map(|run| run.at)
        };
        let waiting = || (0..takes.len()).filter(|take| found[*take].is_none());
        let earliest = waiting().filter_map(|take| Some((begins(takes[take])?, take))).min();
        let Some((at, take)) = earliest else {
            return Err(NotTheSum::Absent(waiting().next().unwrap_or(0)));
        };
        let place = left
            .get_mut(at * FRAME..at * FRAME + takes[take].len())
            .ok_or(NotTheSum::Cut(take))?;
        for (one, other) in place.chunks_exact_mut(2).zip(takes[take].chunks_exact(2)) {
            let rest = i16::from_le_bytes([one[0], one[1]]).wrapping_sub(i16::from_le_bytes([other[0], other[1]]));
            one.copy_from_slice(&rest.to_le_bytes());
        }
        let frames = takes[take].len() / FRAME;
        found[take] = Some(Place { at, frames });
    }
    let sounds = |frame: &&[u8]| frame.iter().any(|byte| *byte != 0);
    match left.chunks(FRAME).position(|frame| sounds(&frame)) {
        None => Ok(found.into_iter().flatten().collect()),
        Some(first) => Err(NotTheSum::Else {
            frames: left.chunks(FRAME).filter(sounds).count(),
            first,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes() -> [Vec<u8>; 2] {
        [1, 2].map(|seed| coded::generate(5, 2, 1000, seed, 1).expect("s16"))
    }

    fn sum(takes: &[Vec<u8>; 2], starts: [usize; 2]) -> Vec<u8> {
        let mut samples = vec![0i16; 4000];
        for (take, start) in takes.iter().zip(starts) {
            for (to, from) in samples[2 * start..].iter_mut().zip(take.chunks_exact(2)) {
                *to += i16::from_le_bytes([from[0], from[1]]);
            }
        }
        samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
    }

    #[test]
    fn two_that_overlap_are_told_apart() {
        let takes = takes();
        let heard = sum(&takes, [700, 100]);

        let places = places(&[&takes[0], &takes[1]], &heard).expect("the sum");

        assert_eq!(places.iter().map(|place| place.at).collect::<Vec<_>>(), [700, 100]);
        assert_eq!(places[0].overlap(&places[1]), 400);
    }

    #[test]
    fn one_changed_bit_one_lost_frame_and_an_absent_take_are_found() {
        let takes = takes();
        let both: [&[u8]; 2] = [&takes[0], &takes[1]];
        let heard = sum(&takes, [100, 700]);
        let mut changed = heard.clone();
        changed[4 * 900] ^= 1;
        let lost = [&heard[..4 * 800], &heard[4 * 801..]].concat();

        assert_eq!(places(&both, &changed), Err(NotTheSum::Else { frames: 1, first: 900 }));
        assert!(matches!(places(&both, &lost), Err(NotTheSum::Else { first: 800, .. })));
        assert_eq!(places(&both, &heard[4 * 1200..]), Err(NotTheSum::Absent(0)));
    }
}
