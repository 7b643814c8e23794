//! The engine on the offline clock, with guests that are byte queues: what goes in comes out, bit for bit.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::sync::atomic::Ordering::Relaxed;

use audiod::blocks::gains::{Mode, Row, Tap};
use engine_common::{Bench, FakeStream, PERIOD, decided, heard, noise};
use mix::Format;

#[test]
fn every_integer_format_up_to_24_bits_reaches_a_24_bit_codec_bit_for_bit() {
    for (number, format) in (3u32..)
        .zip(Format::ALL)
        .filter(|(_, format)| format.bits() <= 24 && *format != Format::Float)
    {
        let values = noise(u64::from(number), 20 * PERIOD * 2);
        let samples: Vec<f32> = values.iter().map(|&v| quantised(v, format.bits())).collect();
        let mut bytes = vec![0; samples.len() * format.bytes()];
        format.encode(&samples, 1, &mut bytes);
        let mut bench = Bench::new(vec![FakeStream::playing(number, 2, 7, bytes)]);
        bench.publish(&[heard(1.0)]);

        bench.run(20);

        assert_eq!(bench.played_samples(), samples, "{format:?}");
    }
}

#[test]
fn two_streams_below_full_scale_are_their_integer_sum() {
    let halves = [1, 2].map(|seed| {
        noise(seed, 10 * PERIOD * 2)
            .iter()
            .map(|&v| quantised(v * 0.49, 16))
            .collect::<Vec<_>>()
    });
    let streams = halves
        .iter()
        .map(|samples| FakeStream::playing(5, 2, 7, s16(samples)))
        .collect();
    let mut bench = Bench::new(streams);
    bench.publish(&[heard(1.0), heard(1.0)]);

    bench.run(10);

    let sum: Vec<f32> = halves[0].iter().zip(&halves[1]).map(|(a, b)| a + b).collect();
    assert_eq!(bench.played_samples(), sum);
}

#[test]
fn a_stream_that_runs_dry_changes_no_sample_of_another() {
    let samples: Vec<f32> = noise(3, 10 * PERIOD * 2).iter().map(|&v| quantised(v, 16)).collect();
    let dry = FakeStream::playing(5, 2, 7, vec![0; 6]);
    let mut bench = Bench::new(vec![FakeStream::playing(5, 2, 7, s16(&samples)), dry]);
    bench.publish(&[heard(1.0), heard(1.0)]);

    bench.run(10);

    assert_eq!(bench.played_samples(), samples);
    assert!(bench.block.sources[1].starved.load(Relaxed) >= 9);
}

#[test]
fn a_started_stream_keeps_its_first_frame_until_it_is_decided() {
    let samples: Vec<f32> = (1..=4 * PERIOD * 2).map(|v| v as f32 / 32768.0).collect();
    let mut bench = Bench::new(vec![FakeStream::playing(5, 2, 7, s16(&samples))]);

    bench.run(3);
    assert_eq!(bench.doing(0), 1, "held");
    bench.publish(&[heard(1.0)]);
    bench.run(4);

    let played = bench.played_samples();
    assert!(played[..3 * PERIOD * 2].iter().all(|&x| x == 0.0));
    assert_eq!(played[3 * PERIOD * 2..], samples);
}

#[test]
fn an_undecided_stream_is_discarded_at_its_rate_after_the_limit() {
    let mut bench = Bench::new(vec![FakeStream::playing(5, 2, 7, vec![1; 200 * PERIOD * 4])]);

    bench.run(70);

    assert_eq!(bench.doing(0), 3);
    assert_eq!(bench.block.sources[0].frames.load(Relaxed), (70 - 50) * PERIOD as u64);
    assert!(bench.played_samples().iter().all(|&x| x == 0.0));
}

#[test]
fn a_stalled_stream_is_not_pulled() {
    let mut bench = Bench::new(vec![FakeStream::playing(5, 2, 7, vec![1; 20 * PERIOD * 4])]);
    bench.publish(&[Row {
        mode: Mode::Stall,
        ..heard(1.0)
    }]);

    bench.run(10);

    assert_eq!(bench.doing(0), 4);
    assert_eq!(bench.block.sources[0].frames.load(Relaxed), 0);
}

#[test]
fn a_duck_reaches_its_depth_exactly_at_the_end_of_its_ramp_and_never_steps() {
    let ramp = 4 * PERIOD as u32 + 7;
    let mut bench = Bench::new(vec![FakeStream::playing(19, 1, 7, ones(20 * PERIOD))]);
    bench.publish(&[heard(1.0)]);
    bench.run(2);

    let depth = 10f32.powf(-12.0 / 20.0);
    bench.publish(&[ducked(depth, ramp)]);
    bench.run(10);

    let left: Vec<f32> = bench.played_samples().iter().step_by(2).copied().collect();
    let start = 2 * PERIOD;
    let grain = 1.0 / (1 << 23) as f32;
    assert!((left[start + ramp as usize - 1] - depth).abs() <= grain);
    assert!(
        left[start + ramp as usize..]
            .iter()
            .all(|&x| (x - depth).abs() <= grain)
    );
    let most = (1.0 - depth) / ramp as f32 + 4.0 * grain;
    assert!(left.windows(2).all(|pair| (pair[0] - pair[1]).abs() <= most));
}

#[test]
fn samples_that_are_no_numbers_are_silence_and_counted() {
    let bytes: Vec<u8> = [f32::NAN, f32::INFINITY, -1e30, 0.25]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let mut bench = Bench::new(vec![FakeStream::playing(19, 1, 7, bytes)]);
    bench.publish(&[heard(1.0)]);

    bench.run(1);

    let played = bench.played_samples();
    assert!(played.iter().all(|x| x.is_finite()));
    assert_eq!(played[0], 0.0);
    assert_eq!(bench.block.sources[0].not_a_number.load(Relaxed), 1);
    assert_eq!(bench.block.sources[0].clamped.load(Relaxed), 2);
}

#[test]
fn another_rate_is_held_until_its_converter_is_there_and_then_plays_at_its_pitch() {
    let seconds = 0.5;
    let tone: Vec<f32> = (0..(44_100.0 * seconds) as usize)
        .map(|n| (n as f32 * 1000.0 * std::f32::consts::TAU / 44_100.0).sin() * 0.5)
        .collect();
    let bytes = tone.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut bench = Bench::new(vec![FakeStream::playing(19, 1, 6, bytes)]);
    bench.publish(&[heard(1.0)]);

    bench.run(2);
    assert_eq!(bench.doing(0), 1);
    bench.handle.serve();
    bench.run(400);

    let left: Vec<f32> = bench.played_samples().iter().step_by(2).copied().collect();
    let body = &left[4800..14_400];
    let rises = body.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
    assert!((199..=201).contains(&rises), "{rises} periods of 1 kHz in 200 ms");
    let peak = body.iter().fold(0f32, |highest, x| highest.max(x.abs()));
    assert!((peak - 0.5).abs() < 0.002, "{peak}");
}

#[test]
fn told_latency_is_what_was_pulled_and_not_yet_played() {
    // The offline codec plays at once: what is pending is the pull itself.
    let mut bench = Bench::new(vec![FakeStream::playing(5, 2, 7, vec![1; 10 * PERIOD * 4])]);
    bench.publish(&[heard(1.0)]);

    bench.run(3);

    assert_eq!(bench.stream(0).latency, (PERIOD * 4) as u32);
}

#[test]
fn a_message_that_ends_inside_a_frame_shifts_no_channel() {
    let samples: Vec<f32> = noise(9, 6 * PERIOD * 2).iter().map(|&v| quantised(v, 16)).collect();
    let mut stream = FakeStream::playing(5, 2, 7, s16(&samples));
    stream.at_most = 3 * 7;
    let mut bench = Bench::new(vec![stream]);
    bench.publish(&[heard(1.0)]);

    bench.run(200);

    let played = bench.played_samples();
    let pairs: Vec<&[f32]> = played
        .chunks_exact(2)
        .filter(|pair| pair[0] != 0.0 || pair[1] != 0.0)
        .collect();
    let wanted: Vec<&[f32]> = samples
        .chunks_exact(2)
        .filter(|pair| pair[0] != 0.0 || pair[1] != 0.0)
        .collect();
    assert_eq!(pairs, wanted);
}

#[test]
fn a_safety_stream_asks_nobody() {
    let samples: Vec<f32> = noise(4, 5 * PERIOD * 2).iter().map(|&v| quantised(v, 16)).collect();
    let mut bench = Bench::with_safety(vec![FakeStream::playing(5, 2, 7, s16(&samples))]);

    bench.run(5);

    assert_eq!(bench.played_samples(), samples);
}

#[test]
fn a_chime_is_never_limited_and_full_scale_music_makes_room() {
    let music: Vec<f32> = (0..40 * PERIOD)
        .flat_map(|n| if n % 2 == 0 { [0.999, 0.999] } else { [-0.999, -0.999] })
        .collect();
    let mut bench = Bench::with_chime(vec![FakeStream::playing(19, 2, 7, floats(&music))], 0.5, 8 * PERIOD);
    bench.publish(&[heard(1.0)]);
    bench.run(2);

    bench.block.chimes[0].wanted.store(1, Relaxed);
    bench.run(20);

    let left: Vec<f32> = bench.played_samples().iter().step_by(2).copied().collect();
    let sounding = &left[2 * PERIOD..10 * PERIOD];
    // The chime is a constant 0.5: with it the mix is never over full scale, and its mean is the chime.
    assert!(sounding.iter().all(|x| x.abs() < 1.0));
    let mean = sounding.iter().sum::<f32>() / sounding.len() as f32;
    assert!((mean - 0.5).abs() < 1e-3, "{mean}");
    assert_eq!(bench.block.chimes[0].begun.load(Relaxed), 1);
    assert_eq!(bench.block.chimes[0].ended.load(Relaxed), 1);
    assert_eq!(bench.block.chimes[0].begun_at.load(Relaxed), 2 * PERIOD as u64);
}

#[test]
fn a_chime_over_silence_is_its_own_samples() {
    let mut bench = Bench::with_chime(Vec::new(), 0.5, 3 * PERIOD + 5);
    bench.block.chimes[0].wanted.store(1, Relaxed);

    bench.run(6);

    let left: Vec<f32> = bench.played_samples().iter().step_by(2).copied().collect();
    assert!(left[..3 * PERIOD + 5].iter().all(|&x| x == 0.5));
    assert!(left[3 * PERIOD + 5..].iter().all(|&x| x == 0.0));
}

#[test]
fn a_cancelled_chime_fades_within_a_period() {
    let mut bench = Bench::with_chime(Vec::new(), 0.5, 30 * PERIOD);
    bench.block.chimes[0].wanted.store(1, Relaxed);
    bench.run(4);

    bench.block.chimes[0].cancelled.store(1, Relaxed);
    bench.run(4);

    let left: Vec<f32> = bench.played_samples().iter().step_by(2).copied().collect();
    assert!(left[5 * PERIOD..].iter().all(|&x| x == 0.0));
    assert_eq!(bench.block.chimes[0].ended.load(Relaxed), 1);
    assert!(left.windows(2).skip(1).all(|pair| (pair[0] - pair[1]).abs() < 0.02));
}

fn quantised(value: f32, bits: u32) -> f32 {
    let scale = (1u32 << (bits - 1)) as f32;
    (value * scale).round().clamp(-scale, scale - 1.0) / scale
}

fn s16(samples: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; samples.len() * 2];
    Format::S16.encode(samples, 1, &mut bytes);
    bytes
}

fn floats(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn ones(count: usize) -> Vec<u8> {
    // A mono stream at a stereo zone stands in both channels unchanged; full scale of a 24-bit codec is just below 1.
    floats(&vec![1.0 - 1.0 / (1 << 23) as f32; count])
}

fn ducked(gain: f32, ramp: u32) -> Row {
    let mut row = decided(Mode::Play);
    row.taps[0] = Tap {
        gain,
        ramp,
        generation: 2,
    };
    row
}

#[test]
fn a_channel_map_of_the_file_decides_where_each_channel_is_heard() {
    let file = r#"
        version = 1
        codecs.main = { backend = "null", format = "S24" }
        zones.cabin = { codec = "main" }
        classes.media = {}
        [guests.ivi]
        socket = "ivi.sock"
        streams.media = { class = "media", zone = "cabin", channel_maps = [["FR", "FL"]] }
    "#;
    let system = audiod::config::parse(file, "swapped.toml".as_ref()).unwrap().system;
    let samples: Vec<f32> = noise(11, 4 * PERIOD * 2).iter().map(|&v| quantised(v, 16)).collect();
    let mut bench = Bench::of(&system, vec![FakeStream::playing(5, 2, 7, s16(&samples))]);
    bench.publish(&[heard(1.0)]);

    bench.run(4);

    let swapped: Vec<f32> = samples
        .as_chunks()
        .0
        .iter()
        .flat_map(|&[left, right]| [right, left])
        .collect();
    assert_eq!(bench.played_samples(), swapped);
}
