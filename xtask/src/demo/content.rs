//! What the guests play: a chord as music and syllables of two tones as prompt. Pure tones at frequencies of their own, so
//! that the analyser can tell the components of the cabin's sound apart; no two of music, prompt and chime share any.

use std::f64::consts::TAU;
use std::io::Cursor;
use std::path::Path;

use anyhow::Context;

/// Hz, of everything here.
pub const RATE: u32 = 48_000;
/// The chord: A major. No common period shorter than the scene, so a lost frame shows in the phase of one tone at least.
pub const MUSIC: [f64; 3] = [220.0, 277.182_6, 329.627_6];
/// The prompt's two tones.
pub const PROMPT: [f64; 2] = [1000.0, 1440.0];
/// The fundamentals of `examples/chimes/seatbelt.wav`.
pub const CHIME: [f64; 2] = [784.0, 659.3];

const MUSIC_AMPLITUDE: f64 = 0.1;
const PROMPT_AMPLITUDE: f64 = 0.15;
const MUSIC_FADE: f64 = 0.3;
const SYLLABLE: f64 = 0.32;
const SYLLABLE_SOUND: f64 = 0.24;
const SYLLABLE_FADE: f64 = 0.04;

/// The music, one channel.
#[must_use]
pub fn music(seconds: f64) -> Vec<f32> {
    let envelope = |time: f64| fade(time, MUSIC_FADE) * fade(seconds - time, MUSIC_FADE);
    tones(seconds, &MUSIC, |time| MUSIC_AMPLITUDE * envelope(time))
}

/// The prompt, one channel.
#[must_use]
pub fn prompt(syllables: u32) -> Vec<f32> {
    tones(f64::from(syllables) * SYLLABLE, &PROMPT, |time| {
        let within = time % SYLLABLE;
        let sound = fade(within, SYLLABLE_FADE) * fade(SYLLABLE_SOUND - within, SYLLABLE_FADE);
        PROMPT_AMPLITUDE * sound
    })
}

/// Raised cosine from 0 to 1 within `length` seconds; smooth, so that it puts nothing into other bands.
fn fade(time: f64, length: f64) -> f64 {
    0.5 - 0.5 * (TAU / 2.0 * (time / length).clamp(0.0, 1.0)).cos()
}

fn tones(seconds: f64, frequencies: &[f64], amplitude: impl Fn(f64) -> f64) -> Vec<f32> {
    let frames = (seconds * f64::from(RATE)) as u32;
    let sample = |frame: u32| {
        let time = f64::from(frame) / f64::from(RATE);
        let sum: f64 = frequencies.iter().map(|hz| (TAU * hz * time).sin()).sum();
        (sum * amplitude(time)) as f32
    };
    (0..frames).map(sample).collect()
}

/// S16 frames with the same sound left and right.
#[must_use]
pub fn raw(samples: &[f32]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| [((sample * 32_768.0).round() as i16).to_le_bytes(); 2].concat())
        .collect()
}

/// A stereo S16 WAV file with the same sound left and right.
///
/// # Errors
/// None in practice: it is written to memory.
pub fn wav(samples: &[f32]) -> anyhow::Result<Vec<u8>> {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec)?;
    for sample in samples {
        let value = (sample * 32_768.0).round() as i16;
        writer.write_sample(value)?;
        writer.write_sample(value)?;
    }
    writer.finalize()?;
    Ok(file.into_inner())
}

/// Reads a WAV file as the mean of its first two channels, full scale = 1.
///
/// # Errors
/// It can't be read, or its rate is not [`RATE`].
pub fn read(path: &Path) -> anyhow::Result<Vec<f32>> {
    let mut reader = hound::WavReader::open(path).with_context(|| format!("reading {}", path.display()))?;
    let spec = reader.spec();
    anyhow::ensure!(
        spec.sample_rate == RATE,
        "{}: {} Hz, expected {RATE}",
        path.display(),
        spec.sample_rate
    );
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>()?,
        hound::SampleFormat::Int => {
            let scale = 0.5_f32.powi(i32::from(spec.bits_per_sample) - 1);
            let values = reader.samples::<i32>().map(|value| Ok(value? as f32 * scale));
            values.collect::<Result<_, hound::Error>>()?
        }
    };
    let channels = usize::from(spec.channels.max(1));
    let mean = |frame: &[f32]| frame.iter().take(2).sum::<f32>() / channels.min(2) as f32;
    Ok(samples.chunks_exact(channels).map(mean).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_a_guest_reads_back_to_half_a_bit() {
        let directory = std::env::temp_dir().join(format!("content-{}.wav", std::process::id()));
        std::fs::write(&directory, wav(&prompt(9)).unwrap()).unwrap();

        let found = read(&directory).unwrap();

        std::fs::remove_file(&directory).unwrap();
        assert_eq!(found.len(), prompt(9).len());
        let worst = (found.iter().zip(prompt(9))).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst <= 0.5 / 32_768.0 + f32::EPSILON, "{worst}");
    }
}
