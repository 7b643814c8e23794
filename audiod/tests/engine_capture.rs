//! Capture: what the codec's input heard reaches the guests that are allowed it, and nobody else.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::sync::atomic::Ordering::Relaxed;

use audiod::blocks::EngineBlock;
use audiod::codec::Shape;
use audiod::codec::sim::capture;
use audiod::engine::Engine;
use audiod::system::CodecFormat;
use engine_common::world::{World, WorldCard};
use engine_common::{FakeStream, PERIOD, recording_system};
use vhost_sound::shared::Shared;

const MS: u64 = 1_000_000;
const S16: u32 = 5;
const FLOAT: u32 = 19;
const HZ_44100: u32 = 6;
const HZ_48000: u32 = 7;

struct Heard {
    streams: Vec<FakeStream>,
    starved: Vec<u32>,
}

/// Lets guests record for `ms` from a card whose input hears `source`; `late`: how late wake-ups are.
fn record(
    allowed: &[bool],
    streams: Vec<FakeStream>,
    source: u32,
    (ms, late): (u64, fn(u64) -> u64),
    fault: impl Fn(u64, &WorldCard) + Send + 'static,
) -> Heard {
    let mut system = recording_system(allowed);
    system.codecs[0].format = CodecFormat::S16;
    let world = World::lasting(ms * MS);
    let mut card = WorldCard::new(&world, Shape::of(&system.codecs[0]));
    card.block.capture.store(source, Relaxed);
    card.late = late;
    let block = Shared::<EngineBlock>::private().unwrap();
    let guests = streams.into_iter().enumerate().collect();
    let (mut engine, mut handle) = Engine::new(&system, 0, &block, guests, card, None);
    // The first period asks for the converters.
    engine.run_period();
    handle.serve();
    fault(ms, engine.codec());
    engine.run(&world.stop);
    Heard {
        starved: (0..allowed.len())
            .map(|n| block.sources[n].starved.load(Relaxed))
            .collect(),
        streams: (0..allowed.len()).map(|n| take(engine.guest(n).unwrap())).collect(),
    }
}

fn take(stream: &mut FakeStream) -> FakeStream {
    std::mem::replace(stream, FakeStream::playing(S16, 2, HZ_48000, Vec::new()))
}

fn counts(bytes: &[u8]) -> Vec<u16> {
    let (frames, _) = bytes.as_chunks::<4>();
    frames
        .iter()
        .map(|frame| {
            assert_eq!(frame[..2], frame[2..], "both channels hear the same");
            u16::from_le_bytes([frame[0], frame[1]])
        })
        .collect()
}

fn punctual(_: u64) -> u64 {
    0
}

/// Up to three quarters of a period, now and then three periods.
fn jittery(wake: u64) -> u64 {
    if wake.is_multiple_of(37) {
        3 * MS
    } else {
        wake * 7919 % 750 * 1000
    }
}

#[test]
fn an_allowed_stream_at_equal_rate_hears_every_frame_once_and_in_order() {
    for late in [punctual, jittery] {
        let stream = FakeStream::recording(S16, 2, HZ_48000, 1 << 20);
        let heard = record(&[true], vec![stream], capture::COUNTER, (500, late), |_, _| {});

        let counts = counts(&heard.streams[0].bytes);
        assert!(counts.len() > 480 * PERIOD, "{} frames", counts.len());
        assert!(counts.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    }
}

#[test]
fn a_stream_that_is_not_allowed_hears_silence_at_its_rate() {
    let streams = vec![
        FakeStream::recording(S16, 2, HZ_48000, 1 << 20),
        FakeStream::recording(FLOAT, 1, HZ_44100, 1 << 20),
    ];
    let heard = record(&[false, false], streams, capture::COUNTER, (500, jittery), |_, _| {});

    let frames = [heard.streams[0].bytes.len() / 4, heard.streams[1].bytes.len() / 4];
    assert!(
        heard
            .streams
            .iter()
            .all(|stream| stream.bytes.iter().all(|&byte| byte == 0))
    );
    assert!(frames[0].abs_diff(48 * 500) <= 4 * PERIOD, "{frames:?}");
    assert!(frames[1].abs_diff(44_100 / 2) <= 4 * PERIOD, "{frames:?}");
}

#[test]
fn a_stream_at_another_rate_hears_a_ramp_as_a_ramp() {
    let stream = FakeStream::recording(FLOAT, 2, HZ_44100, 1 << 20);
    let heard = record(&[true], vec![stream], capture::COUNTER, (500, punctual), |_, _| {});

    let (samples, _) = heard.streams[0].bytes.as_chunks::<4>();
    let left: Vec<f32> = samples
        .iter()
        .step_by(2)
        .map(|b| f32::from_le_bytes(*b) * 32768.0)
        .collect();
    // The counter's ramp, between its beginning (the filter rings) and its first wrap.
    let steps = left[500..18_000].windows(2).map(|pair| pair[1] - pair[0]);
    let wanted = 48_000.0 / 44_100.0;
    assert!(steps.into_iter().all(|step| (step - wanted).abs() < 0.05));
}

#[test]
fn told_latency_is_the_age_of_the_last_recorded_frame() {
    let mut stream = FakeStream::recording(S16, 2, HZ_48000, 1 << 20);
    stream.probe = Some(Box::new(|| 0));
    let heard = record(&[true], vec![stream], capture::COUNTER, (200, jittery), |_, _| {});

    // A wake-up at most three periods late is made good two periods at a time.
    let most = heard.streams[0].moves.iter().map(|made| made.latency).max().unwrap();
    assert!(most < 4 * PERIOD as u32 * 4, "{most}");
    let least = heard.streams[0].moves.iter().map(|made| made.latency).min().unwrap();
    assert!(least < PERIOD as u32 * 4, "{least}");
}

#[test]
fn a_guest_without_buffers_loses_its_own_frames_only_and_no_channel_shifts() {
    let mut slow = FakeStream::recording(S16, 2, HZ_48000, 1 << 20);
    slow.at_most = 5;
    let fast = FakeStream::recording(S16, 2, HZ_48000, 1 << 20);
    let heard = record(
        &[true, true],
        vec![slow, fast],
        capture::COUNTER,
        (200, punctual),
        |_, _| {},
    );

    let all = counts(&heard.streams[1].bytes);
    assert!(all.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
    assert!(heard.starved[0] > 190 && heard.starved[1] == 0, "{:?}", heard.starved);
    // Low byte of the left channel at every fourth byte: the high byte follows it within its frame or the next period's.
    let (frames, _) = heard.streams[0].bytes.as_chunks::<4>();
    assert!(frames.iter().all(|frame| frame[1].abs_diff(frame[3]) <= 1));
}

#[test]
fn while_the_codec_stands_still_a_recording_goes_on_with_silence() {
    let stream = FakeStream::recording(S16, 2, HZ_48000, 1 << 20);
    let heard = record(&[true], vec![stream], capture::COUNTER, (300, punctual), |_, card| {
        card.block.set_millihertz(0, engine_common::world::BEGIN);
    });

    let frames = heard.streams[0].bytes.len() / 4;
    assert!(frames > 48 * 280, "{frames}");
    assert!(heard.streams[0].bytes[4 * 4 * PERIOD..].iter().all(|&byte| byte == 0));
}
