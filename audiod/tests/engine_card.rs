//! The simulated card: a deadline that a late writer misses audibly, a file that is playable at any moment.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

use audiod::blocks::EngineBlock;
use audiod::codec::sim::{self, RING_FRAMES, SimBlock, SimCard};
use audiod::codec::wav::Recorder;
use audiod::codec::{Shape, now_ns};
use audiod::engine::Engine;
use audiod::system::{Backend, CodecFormat};
use engine_common::world::{World, WorldCard};
use engine_common::{FakeStream, PERIOD, codec_config, heard, system};
use vhost_sound::shared::Shared;

const T0: u64 = 1_000_000_000;
/// 48 frames at 48 kHz.
const MS: u64 = 1_000_000;

fn card() -> Shared<SimBlock> {
    card_since(T0)
}

fn card_since(t0: u64) -> Shared<SimBlock> {
    let block = Shared::<SimBlock>::private().unwrap();
    let mut config = codec_config(Backend::Null);
    config.format = CodecFormat::S16;
    sim::set_up(&block, Shape::of(&config), t0);
    block
}

fn frames(from: u32, count: u32) -> Vec<u8> {
    (from..from + count).flat_map(u32::to_le_bytes).collect()
}

fn played(block: &SimBlock, from: u64, count: usize) -> Vec<u32> {
    let mut bytes = vec![9; count * 4];
    block.read_played(from, &mut bytes);
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|&word| u32::from_le_bytes(word))
        .collect()
}

struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("carillon-{name}-{}.wav", std::process::id())))
    }

    fn words(&self) -> Vec<u32> {
        let mut file = hound::WavReader::open(&self.0).unwrap();
        let samples: Vec<i16> = file.samples::<i16>().map(Result::unwrap).collect();
        let word = |pair: &[i16]| u32::from(pair[0] as u16) | u32::from(pair[1] as u16) << 16;
        samples.chunks_exact(2).map(word).collect()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_position_is_the_clocks_alone() {
    let block = card();
    assert_eq!(block.position_at(T0 - 5), Some(0));
    assert_eq!(block.position_at(T0 + 1000 * MS), Some(48_000));
    block.set_millihertz(0, T0 + 1000 * MS);
    assert_eq!(block.position_at(T0 + 9000 * MS), Some(48_000));
    block.set_millihertz(96_000_000, T0 + 9000 * MS);
    assert_eq!(block.position_at(T0 + 9001 * MS), Some(48_096));
}

#[test]
fn frames_in_time_are_played_as_written() {
    let block = card();
    assert_eq!(block.write_at(10, &frames(1, 50), || T0), 10);
    assert_eq!(
        played(&block, 9, 52),
        [&[0][..], &(1..=50).collect::<Vec<_>>(), &[0]].concat()
    );
}

#[test]
fn frames_after_their_time_are_played_from_the_position_on_and_the_silence_is_counted() {
    let block = card();
    assert_eq!(block.write_at(0, &frames(1, 96), || T0 + MS), 48);
    let heard = played(&block, 0, 144);
    assert!(heard[..48].iter().all(|&frame| frame == 0));
    assert_eq!(heard[48..], (1..=96).collect::<Vec<_>>());
    assert_eq!(block.moved.load(Relaxed), 48);
}

#[test]
fn a_writer_held_up_while_it_writes_costs_silence_and_no_frame() {
    let block = card();
    // A clock that says 5 ms more at each of its first looks: so long the writer was held up in between.
    let held_up = |now: u64, times: u64| {
        let looks = Cell::new(0);
        move || now + 5 * MS * looks.replace(looks.get() + 1).min(times)
    };

    let first = block.write_at(0, &frames(1, 16), held_up(T0, 1));
    let second = block.write_at(256, &frames(17, 16), held_up(T0 + 5 * MS, 2));

    assert_eq!((first, second), (240, 720));
    assert_eq!(played(&block, 240, 16), (1..=16).collect::<Vec<_>>());
    assert!(played(&block, 256, 464).iter().all(|&frame| frame == 0));
    assert_eq!(played(&block, 720, 16), (17..=32).collect::<Vec<_>>());
    assert_eq!(block.moved.load(Relaxed), 240 + 464);
}

#[test]
fn a_writer_that_stops_is_followed_by_silence_not_a_loop() {
    let block = card();
    let ring = RING_FRAMES as u32;
    block.write_at(0, &frames(1, ring), || T0);
    assert!(played(&block, RING_FRAMES, 500).iter().all(|&frame| frame == 0));
    // Also when somebody writes again further on: what lies between is silence.
    block.write_at(RING_FRAMES + 400, &frames(7, 10), || T0);
    assert!(played(&block, RING_FRAMES, 400).iter().all(|&frame| frame == 0));
    assert_eq!(played(&block, RING_FRAMES + 400, 10), (7..17).collect::<Vec<_>>());
}

#[test]
fn the_file_is_playable_after_each_step_and_a_successor_continues_it() {
    let (block, file) = (card(), TempFile::new("steps"));
    block.write_at(0, &frames(1, 144), || T0);

    let mut first = Recorder::new(&block, Some(&file.0)).unwrap();
    first.take(T0 + MS).unwrap();
    assert_eq!(file.words(), (1..=48).collect::<Vec<_>>());
    // Killed: no destructor runs.
    std::mem::forget(first);
    let mut second = Recorder::new(&block, Some(&file.0)).unwrap();
    second.take(T0 + 4 * MS).unwrap();

    assert_eq!(file.words(), (1..=144).chain([0; 48]).collect::<Vec<_>>());
}

#[test]
fn a_late_engine_is_heard() {
    let block = card_since(now_ns() - 10 * MS);
    let words: Vec<u8> = frames(1, 10 * PERIOD as u32);
    let meters = Shared::<EngineBlock>::private().unwrap();
    meters.gains.publish(&[heard(1.0)]);
    let guests = vec![(0, FakeStream::playing(5, 2, 7, words))];
    let (mut engine, _handle) = Engine::new(&system(1, false), 0, &meters, guests, SimCard::from(block), None);

    // It took over at the position; a period later it is late by as much as it took, or more.
    let start = engine.codec().block().position_at(now_ns()).unwrap();
    while engine.codec().block().position_at(now_ns()).unwrap() < start + 2 * PERIOD as u64 {
        std::hint::spin_loop();
    }
    engine.run_period();

    assert_eq!(meters.underruns.load(Relaxed), 1);
    let silence = meters.underrun_frames.load(Relaxed);
    assert!(silence >= PERIOD as u64, "{silence}");
    let card = engine.codec().block();
    assert_eq!(card.moved.load(Relaxed), silence);
    let words = played(card, card.written() - PERIOD as u64, PERIOD);
    assert_eq!(words, (1..=PERIOD as u32).collect::<Vec<_>>(), "late, but whole");
}

#[test]
fn a_paced_engine_loses_no_frame_however_late_it_wakes() {
    let mut system = system(1, false);
    system.codecs[0].format = CodecFormat::S16;
    let world = World::lasting(250 * MS);
    let mut card = WorldCard::new(&world, Shape::of(&system.codecs[0]));
    // Up to two periods, now and then seven.
    card.late = |wake| {
        if wake.is_multiple_of(23) {
            7 * MS
        } else {
            wake * 7919 % 2000 * 1000
        }
    };
    let meters = Shared::<EngineBlock>::private().unwrap();
    meters.gains.publish(&[heard(1.0)]);
    let guests = vec![(0, FakeStream::playing(5, 2, 7, frames(1, 400 * PERIOD as u32)))];
    let (mut engine, _handle) = Engine::new(&system, 0, &meters, guests, card, None);
    engine.run(&world.stop);

    let card = &engine.codec().block;
    let heard = played(card, 0, card.written() as usize);
    let sounding: Vec<u32> = heard.into_iter().filter(|&frame| frame != 0).collect();
    let pulled = meters.sources[0].frames.load(Relaxed) as u32;
    assert!(sounding.into_iter().eq(1..=pulled), "each frame once and in order");
    assert!(meters.underruns.load(Relaxed) > 0, "it was late enough to be heard");
}

#[test]
fn a_device_that_is_not_there_is_told_with_a_cure() {
    let config = codec_config(Backend::Alsa {
        device: "hw:NoSuchCard,7".into(),
    });
    let message = audiod::codec::open(&config, None).err().unwrap().to_string();
    assert!(
        message.contains("hw:NoSuchCard,7") && message.contains("doctor --codec"),
        "{message}"
    );
}
