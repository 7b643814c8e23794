//! What a stream can rely on, in a world of its own time: its first frame and its last, silence while paused, its pace while
//! the codec stands still, its bits.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use audiod::blocks::EngineBlock;
use audiod::blocks::gains::{Mode, Row};
use audiod::codec::Shape;
use audiod::codec::sim::SimBlock;
use audiod::engine::Engine;
use audiod::system::CodecFormat;
use engine_common::world::{BEGIN, World, WorldCard};
use engine_common::{Bench, FakeStream, Move, PERIOD, decided, heard, noise, system};
use vhost_sound::ring::StreamView;
use vhost_sound::shared::Shared;

const MS: u64 = 1_000_000;
const FLOAT: u32 = 19;
const HZ_44100: u32 = 6;
const HZ_48000: u32 = 7;

struct Played {
    left: Vec<f32>,
    moves: Vec<Move>,
    block: &'static EngineBlock,
}

/// Plays a stream for `ms` at most 300; `fault(ms, card)` is called each ms with the stream's script.
fn play(
    mut stream: FakeStream,
    row: Row,
    ms: u64,
    mut fault: impl FnMut(u64, &SimBlock, &mut StreamView) + Send + 'static,
) -> Played {
    let mut system = system(1, false);
    system.codecs[0].format = CodecFormat::F32;
    let world = World::lasting(ms * MS);
    let card = WorldCard::new(&world, Shape::of(&system.codecs[0]));
    let block: &'static Shared<EngineBlock> = Box::leak(Box::new(Shared::private().unwrap()));
    block.gains.publish(&[row]);
    let (sim, now) = (Arc::clone(&card.block), Arc::clone(&world));
    stream.script = Some(Box::new(move |_, view| fault((now.now() - BEGIN) / MS, &sim, view)));
    stream.probe = Some(Box::new(card.truth()));
    let sim = Arc::clone(&card.block);
    let (mut engine, mut handle) = Engine::new(&system, 0, block, vec![(0, stream)], card, None);
    engine.run_period();
    handle.serve();
    engine.run(&world.stop);
    let mut bytes = vec![0; ms as usize * PERIOD * 8];
    sim.read_played(0, &mut bytes);
    let (samples, _) = bytes.as_chunks::<4>();
    Played {
        left: samples.iter().step_by(2).map(|b| f32::from_le_bytes(*b)).collect(),
        moves: std::mem::take(&mut engine.guest(0).unwrap().moves),
        block,
    }
}

/// A mono stream of `frames` frames that count from 1.
fn counting(frames: usize, rate: u32) -> FakeStream {
    let bytes = (1..=frames).flat_map(|n| (n as f32 / 65_536.0).to_le_bytes()).collect();
    FakeStream::playing(FLOAT, 1, rate, bytes)
}

fn numbers(left: &[f32]) -> Vec<usize> {
    left.iter().map(|x| (x * 65_536.0).round() as usize).collect()
}

#[test]
fn a_drained_stream_is_played_to_its_last_frame() {
    let frames = 100 * PERIOD - 17;
    let mut left_over = frames;
    let played = play(counting(frames, HZ_48000), heard(1.0), 200, move |_, _, view| {
        // The player stops as soon as its last message came back.
        left_over = left_over.saturating_sub(PERIOD);
        view.running &= left_over > 0;
    });

    let numbers = numbers(&played.left);
    let first = numbers.iter().position(|&n| n == 1).unwrap();
    let count = numbers[first..]
        .iter()
        .zip(1..)
        .take_while(|(number, wanted)| *number == wanted)
        .count();
    assert!(count >= frames - PERIOD, "{count} of {frames}");
    assert!(numbers[first + count..].iter().all(|&n| n == 0));
}

#[test]
fn a_drained_stream_at_another_rate_rings_out_to_its_last_frame() {
    // A click in the very last frames that are pulled before the stop.
    let frames = 50 * 44;
    let mut bytes = vec![0; frames * 4];
    bytes[(frames - 4) * 4..].copy_from_slice(&[0.5f32; 4].map(f32::to_le_bytes).concat());
    let stream = FakeStream::playing(FLOAT, 1, HZ_44100, bytes);
    let played = play(stream, heard(1.0), 200, |ms, _, view| view.running &= ms < 60);
    let cut = {
        let mut bytes = vec![0; frames * 4];
        bytes[(frames - 4) * 4..].copy_from_slice(&[0.5f32; 4].map(f32::to_le_bytes).concat());
        // Stopped in the period after the click was pulled.
        play(
            FakeStream::playing(FLOAT, 1, HZ_44100, bytes),
            heard(1.0),
            200,
            |ms, _, view| {
                view.running &= ms < 50;
            },
        )
    };

    for played in [played, cut] {
        let whole: f32 = played.left.iter().sum();
        // The area of the click, at the codec's rate.
        assert!((whole - 2.0 * 48.0 / 44.1).abs() < 0.02, "{whole}");
    }
}

#[test]
fn the_first_frame_after_start_is_the_first_that_is_heard_however_late_the_decision() {
    for rate in [HZ_48000, HZ_44100] {
        let played = play(counting(100 * PERIOD, rate), heard(1.0), 60, |_, _, _| {});
        let sounding = played.left.iter().copied().skip_while(|x| x.abs() < 0.5 / 65_536.0);
        let first = sounding.into_iter().next().unwrap() * 65_536.0;
        assert!(first < 2.0, "{first}");
    }
}

#[test]
fn a_pause_plays_nothing_and_loses_nothing() {
    let played = play(counting(250 * PERIOD, HZ_48000), heard(1.0), 290, |ms, _, view| {
        view.running = !(100..150).contains(&ms);
    });

    let numbers: Vec<usize> = numbers(&played.left);
    let sounding: Vec<usize> = numbers.iter().copied().filter(|&n| n != 0).collect();
    assert!(
        sounding.iter().zip(1..).all(|(number, wanted)| *number == wanted),
        "each frame once, in order"
    );
    let silent = numbers.iter().skip_while(|&&n| n == 0).take_while(|&&n| n != 0).count();
    let gap = numbers
        .iter()
        .skip_while(|&&n| n == 0)
        .skip(silent)
        .take_while(|&&n| n == 0)
        .count();
    assert!(gap.abs_diff(50 * PERIOD) <= PERIOD, "{gap} frames of silence");
}

#[test]
fn while_the_codec_stands_a_stream_goes_on_at_its_pace_and_comes_back_without_a_jump() {
    let played = play(counting(400 * PERIOD, HZ_48000), heard(1.0), 290, |ms, card, _| {
        let now = BEGIN + ms * MS;
        match ms {
            100 => card.set_millihertz(0, now),
            200 => card.set_millihertz(48_000_000, now),
            _ => {}
        }
    });

    let pulled: usize = played.moves.iter().map(|made| made.count / 4).sum();
    assert!(pulled.abs_diff(290 * PERIOD) <= 8 * PERIOD, "{pulled} frames in 290 ms");
    // The card stood for 100 ms: it has played 190. What it plays is in order, each frame once; only what the timer took is missing.
    let played_frames = &played.left[..190 * PERIOD];
    let sounding: Vec<usize> = numbers(played_frames).into_iter().filter(|&n| n != 0).collect();
    let jumps: Vec<usize> = sounding
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|&step| step != 1)
        .collect();
    assert_eq!(jumps.len(), 1, "{jumps:?}");
    assert!(jumps[0].abs_diff(100 * PERIOD) <= 8 * PERIOD, "{jumps:?}");
    assert_eq!(played.block.underruns.load(Relaxed), 0);
    assert_eq!(played.block.stalled.load(Relaxed), 0);
}

#[test]
fn a_refused_stream_is_consumed_at_its_rate_and_not_heard() {
    let played = play(
        counting(400 * PERIOD, HZ_48000),
        decided(Mode::Discard),
        200,
        |_, _, _| {},
    );

    assert!(played.left.iter().all(|&x| x == 0.0));
    let pulled: usize = played.moves.iter().map(|made| made.count / 4).sum();
    assert!(pulled.abs_diff(200 * PERIOD) <= 3 * PERIOD, "{pulled}");
}

#[test]
fn a_bus_under_full_scale_keeps_every_bit_also_right_after_the_limiters_release() {
    let release = 4800;
    let loud: Vec<f32> = vec![1.0; 10 * PERIOD];
    let quiet: Vec<f32> = noise(7, 400 * PERIOD).iter().map(|x| x * 0.49).collect();
    let bytes = |samples: &[f32]| samples.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let both = [loud, quiet.clone()].concat();
    let mut bench = Bench::new(vec![
        FakeStream::playing(FLOAT, 1, HZ_48000, bytes(&both)),
        FakeStream::playing(FLOAT, 1, HZ_48000, bytes(&both)),
    ]);
    bench.publish(&[heard(1.0), heard(1.0)]);
    bench.run(410);

    let left: Vec<f32> = bench.played_samples().iter().step_by(2).copied().collect();
    let grain = (1 << 23) as f32;
    let from = 10 * PERIOD + release;
    let wanted = quiet[release..]
        .iter()
        .map(|x| ((x + x) * grain).round_ties_even() / grain);
    assert!(left[from..].iter().zip(wanted).all(|(is, wanted)| *is == wanted));
    assert!(left[..10 * PERIOD].iter().all(|x| x.abs() <= 1.0), "limited before");
}

#[test]
fn samples_that_are_no_sound_disturb_nobody_else_and_end_with_their_stream() {
    let music: Vec<f32> = noise(5, 60 * PERIOD * 2)
        .iter()
        .map(|x| (x * 0.4 * 32768.0).round() / 32768.0)
        .collect();
    let bytes = |samples: &[f32]| samples.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let poison: Vec<f32> = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-40, -1e-44, f32::MAX]
        .into_iter()
        .cycle()
        .take(10 * PERIOD * 2)
        .collect();
    for rate in [HZ_48000, HZ_44100] {
        let mut bench = Bench::new(vec![
            FakeStream::playing(FLOAT, 2, HZ_48000, bytes(&music)),
            FakeStream::playing(FLOAT, 2, rate, bytes(&poison)),
        ]);
        // The poison is pulled and decoded, resampled and limited, at a gain of nothing.
        bench.publish(&[heard(1.0), heard(0.0)]);
        bench.run(1);
        bench.handle.serve();
        bench.run(59);
        assert_eq!(bench.played_samples(), music);

        let mut bench = Bench::new(vec![FakeStream::playing(FLOAT, 2, rate, bytes(&poison))]);
        bench.publish(&[heard(1.0)]);
        bench.run(1);
        bench.handle.serve();
        bench.run(300);
        let played = bench.played_samples();
        assert!(played.iter().all(|x| x.is_finite() && x.abs() <= 1.0));
        assert!(
            played[played.len() - 100..].iter().all(|&x| x == 0.0),
            "no filter keeps it"
        );
    }
}
