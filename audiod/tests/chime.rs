//! `examples/chimes/seatbelt.wav` is what this formula says: two strikes of a gong, a minor third apart, 0.6 s.
//! `BLESS=1 cargo test -p audiod --test chime` writes the file anew.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

const RATE: u32 = 48_000;
const FRAMES: u32 = RATE * 6 / 10;
/// Start in seconds, and fundamental in Hz.
const STRIKES: [(f64, f64); 2] = [(0.0, 784.0), (0.25, 659.3)];
/// Ratio to the fundamental, strength, and time constant in seconds.
const PARTIALS: [(f64, f64, f64); 4] = [
    (1.0, 0.6, 0.16),
    (2.0, 0.2, 0.10),
    (2.76, 0.13, 0.07),
    (5.4, 0.07, 0.03),
];

/// Loudness at most -6 dBFS; begins and ends with silence.
fn sample(frame: u32) -> i16 {
    let now = f64::from(frame) / f64::from(RATE);
    let sum: f64 = STRIKES
        .iter()
        .map(|(start, pitch)| (now - start, pitch))
        .filter(|(since, _)| *since > 0.0)
        .map(|(since, pitch)| {
            let attack = (since / 0.004).min(1.0);
            let partial = |(ratio, strength, fall): &(f64, f64, f64)| {
                strength * (-since / fall).exp() * (std::f64::consts::TAU * pitch * ratio * since).sin()
            };
            attack * PARTIALS.iter().map(partial).sum::<f64>()
        })
        .sum();
    let end = (f64::from(FRAMES - frame) / f64::from(RATE) / 0.05).min(1.0);
    (sum * end * 0.5 * f64::from(i16::MAX) / 1.2).round() as i16
}

#[test]
fn the_chime_of_the_examples_is_what_its_formula_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/chimes/seatbelt.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    if std::env::var_os("BLESS").is_some() {
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        (0..FRAMES).for_each(|frame| writer.write_sample(sample(frame)).unwrap());
        writer.finalize().unwrap();
    }

    let mut reader = hound::WavReader::open(&path).unwrap();

    assert_eq!(reader.spec(), spec);
    assert_eq!(reader.duration(), FRAMES);
    for (frame, found) in (0..).zip(reader.samples::<i16>()) {
        // Mathematical functions differ in their last bit from machine to machine.
        assert!(
            (i32::from(found.unwrap()) - i32::from(sample(frame))).abs() <= 1,
            "frame {frame}"
        );
    }
    let loudest = (0..FRAMES).map(|frame| sample(frame).unsigned_abs()).max().unwrap();
    assert!((8_000..=16_384).contains(&loudest), "{loudest}");
    assert!(path.metadata().unwrap().len() <= 64 * 1024);
}
