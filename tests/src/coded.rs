//! Coded audio: a sequence whose every stretch of a few frames is unique, and the comparison that sorts what came out at the
//! other end into exact runs, lost, repeated and foreign frames and a missing tail. Works on the bytes of any format.

use std::collections::HashMap;
use std::ops::Range;

use crate::frontend::proto::SAMPLE_BYTES;

/// Significant bits of a sample, by format bit (0 = not coded here); float carries 24-bit integers.
const BITS: [u32; 25] = [
    0, 0, 0, 8, 8, 16, 16, 18, 18, 20, 20, 24, 24, 20, 20, 24, 24, 32, 32, 24, 24, 0, 0, 0, 0,
];
const UNSIGNED: [u8; 8] = [4, 6, 8, 10, 12, 14, 16, 18];
const FLOAT: u8 = 19;
const FLOAT64: u8 = 20;

fn mix(mut x: u64) -> u64 {
    // splitmix64: every index gives another value.
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// `frames` frames of noise in virtio format `format`, `headroom` bits (6 dB each) below full scale, another for each
/// `seed`. `None` for formats without plain samples.
#[must_use]
pub fn generate(format: u8, channels: u8, frames: usize, seed: u64, headroom: u32) -> Option<Vec<u8>> {
    stretch(format, channels, 0..frames, seed, headroom)
}

/// These frames of it.
#[must_use]
pub fn stretch(format: u8, channels: u8, frames: Range<usize>, seed: u64, headroom: u32) -> Option<Vec<u8>> {
    let bits = *BITS.get(usize::from(format)).filter(|b| **b > 0)?;
    let bytes = *SAMPLE_BYTES.get(usize::from(format))? as usize;
    let mut out = Vec::with_capacity(frames.len() * usize::from(channels) * bytes);
    for n in frames.start as u64 * u64::from(channels)..frames.end as u64 * u64::from(channels) {
        let word = mix(seed.wrapping_mul(0x1_0000_0001).wrapping_add(n)) as i64;
        let value = word >> (64 - bits + headroom.min(bits - 2));
        match format {
            FLOAT => out.extend((value as f32 / 8_388_608.0).to_le_bytes()),
            FLOAT64 => out.extend((value as f64 / 8_388_608.0).to_le_bytes()),
            f if UNSIGNED.contains(&f) => out.extend(&(value + (1 << (bits - 1))).to_le_bytes()[..bytes]),
            _ => out.extend(&value.to_le_bytes()[..bytes]),
        }
    }
    Some(out)
}

/// A stretch of the capture that equals a stretch of what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Run {
    /// First frame in the capture.
    pub at: usize,
    /// First frame in what was sent.
    pub sent: usize,
    /// Frames.
    pub frames: usize,
}

/// What the comparison found; all in frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Exact stretches, in the order of the capture.
    pub runs: Vec<Run>,
    /// Frames in them.
    pub exact: usize,
    /// Sent before the first run and never seen.
    pub missing_head: usize,
    /// Left out between two runs.
    pub lost: usize,
    /// Seen again after a jump back.
    pub repeated: usize,
    /// Sent after the last run and never seen.
    pub missing_tail: usize,
    /// Zero frames in the capture between the first and the last run.
    pub inner_zeros: usize,
    /// Other frames in the capture that were not sent, between the first and the last run.
    pub foreign: usize,
}

impl Report {
    /// Whether everything sent arrived, once, in one piece.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.runs.len() == 1 && self.missing_head == 0 && self.missing_tail == 0
    }

    /// Whether everything sent arrived once, in order and unchanged. Silence in between is the machine's: somebody was late.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let gone = self.missing_head + self.missing_tail + self.lost + self.repeated;
        gone + self.foreign == 0 && self.exact > 0
    }
}

/// Compares `captured` with `sent`, frames of `frame` bytes each. Runs shorter than 8 bytes or 2 frames are not recognised and
/// count as foreign.
#[must_use]
pub fn compare(sent: &[u8], captured: &[u8], frame: usize) -> Report {
    let frame = frame.max(1);
    let window = (8usize.div_ceil(frame)).max(2);
    let (sent_frames, captured_frames) = (sent.len() / frame, captured.len() / frame);
    let key = |bytes: &'_ [u8], at: usize| bytes.get(at * frame..(at + window) * frame).map(<[u8]>::to_vec);
    let mut places = HashMap::new();
    for at in (0..sent_frames).rev() {
        if let Some(key) = key(sent, at) {
            places.insert(key, at);
        }
    }
    let same = |at: usize, place: usize| {
        at < captured_frames
            && place < sent_frames
            && captured[at * frame..(at + 1) * frame] == sent[place * frame..(place + 1) * frame]
    };
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    while at < captured_frames {
        let Some(place) = key(captured, at).and_then(|k| places.get(&k).copied()) else {
            at += 1;
            continue;
        };
        let frames = (0..).take_while(|n| same(at + n, place + n)).count();
        runs.push(Run {
            at,
            sent: place,
            frames,
        });
        at += frames;
    }
    tally(runs, sent_frames, captured, frame)
}

fn tally(runs: Vec<Run>, sent_frames: usize, captured: &[u8], frame: usize) -> Report {
    let mut report = Report {
        exact: runs.iter().map(|r| r.frames).sum(),
        ..Report::default()
    };
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
        report.missing_tail = sent_frames;
        return report;
    };
    report.missing_head = first.sent;
    report.missing_tail = sent_frames - (last.sent + last.frames);
    for pair in runs.windows(2) {
        let (end, next) = (pair[0].sent + pair[0].frames, pair[1].sent);
        report.lost += next.saturating_sub(end);
        report.repeated += end.saturating_sub(next);
        let between = &captured[(pair[0].at + pair[0].frames) * frame..pair[1].at * frame];
        let zeros = between.chunks(frame).filter(|f| f.iter().all(|b| *b == 0)).count();
        report.inner_zeros += zeros;
        report.foreign += between.len() / frame - zeros;
    }
    report.runs = runs;
    report
}

/// The samples of a WAV file, or the whole of any other file.
///
/// # Errors
/// The file can't be read.
pub fn samples(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    Ok(wav_data(&bytes).map_or_else(|| bytes.clone(), <[u8]>::to_vec))
}

/// The `data` chunk of a RIFF WAVE file (up to its end when its length was never written).
fn wav_data(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.get(..4)? != b"RIFF" || bytes.get(8..12)? != b"WAVE" {
        return None;
    }
    let mut at = 12;
    loop {
        let len = u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().ok()?) as usize;
        let body = at + 8;
        if bytes.get(at..at + 4)? == b"data" {
            let end = if len == 0 {
                bytes.len()
            } else {
                body.saturating_add(len).min(bytes.len())
            };
            return bytes.get(body..end);
        }
        at = body.checked_add(len)?.checked_add(len % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::proto::FORMATS;

    #[test]
    fn every_format_compares_exact_with_itself_and_not_with_another_seed() {
        for (name, format) in FORMATS {
            let sent = generate(format, 2, 4800, 1, 1).expect(name);
            let other = generate(format, 2, 4800, 2, 1).expect(name);
            let frame = SAMPLE_BYTES[usize::from(format)] as usize * 2;
            assert!(compare(&sent, &sent, frame).is_exact(), "{name}");
            assert_eq!(compare(&sent, &other, frame).exact, 0, "{name}");
        }
    }

    #[test]
    fn one_frame_lost_one_repeated_and_a_cut_tail_are_counted() {
        let sent = generate(5, 2, 1000, 7, 0).expect("s16");
        let mut captured = vec![0; 40];
        captured.extend(&sent[..400]);
        captured.extend(&sent[404..800]);
        captured.extend([0; 12]);
        captured.extend(&sent[796..3600]);
        let report = compare(&sent, &captured, 4);
        assert_eq!((report.lost, report.repeated, report.missing_tail), (1, 1, 100));
        assert_eq!((report.inner_zeros, report.foreign, report.runs.len()), (3, 0, 3));
    }

    #[test]
    fn one_changed_bit_is_found() {
        let sent = generate(17, 2, 1000, 7, 0).expect("s32");
        let mut captured = sent.clone();
        captured[4000] ^= 1;
        let report = compare(&sent, &captured, 8);
        assert!(!report.is_exact());
        assert_eq!((report.lost, report.foreign), (1, 1));
    }

    #[test]
    fn nothing_captured_is_a_missing_tail() {
        let sent = generate(5, 1, 100, 7, 0).expect("s16");
        assert_eq!(compare(&sent, &[0; 200], 2).missing_tail, 100);
    }

    #[test]
    fn the_data_chunk_is_found_behind_others() {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0abLIST\x03\0\0\0xyz\0data\x04\0\0\0".to_vec();
        file.extend([1, 2, 3, 4, 9]);
        assert_eq!(wav_data(&file), Some(&[1, 2, 3, 4][..]));
    }
}
