//! How long a frame takes from its pull to the codec, and what the guest is told of it, in a world of its own time.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use audiod::blocks::EngineBlock;
use audiod::blocks::gains::Row;
use audiod::codec::Shape;
use audiod::codec::sim::SimBlock;
use audiod::engine::{Engine, bridge};
use audiod::system::{Backend, CodecFormat, System, ZoneConfig};
use engine_common::world::{World, WorldCard};
use engine_common::{FakeStream, Move, PERIOD, codec_config, heard, system};
use vhost_sound::shared::Shared;

const MS: u64 = 1_000_000;
const FLOAT: u32 = 19;
const HZ_44100: u32 = 6;
const HZ_48000: u32 = 7;
const HZ_96000: u32 = 10;
/// Frames the simulated card remembers, less what is being written.
const REMEMBERED: u64 = 15_000;
/// One step of the ramp: frame n has the value n + 1 steps.
const STEP: f32 = 1.0 / (1 << 19) as f32;

/// A mono stream whose every sample says which frame it is.
fn ramp(rate: u32) -> FakeStream {
    let bytes = (1..400_000).flat_map(|n| (n as f32 * STEP).to_le_bytes()).collect();
    FakeStream::playing(FLOAT, 1, rate, bytes)
}

struct Heard {
    moves: Vec<Move>,
    /// The card that plays it, and its position at the end.
    card: Arc<Shared<SimBlock>>,
    end: u64,
    blocks: Vec<&'static EngineBlock>,
}

/// What a run is to be like.
struct Scene {
    stream: FakeStream,
    ms: u64,
    late: fn(u64) -> u64,
    grain: u64,
}

impl Scene {
    fn of(stream: FakeStream) -> Self {
        Self {
            stream,
            ms: 300,
            late: |_| 0,
            grain: 1,
        }
    }

    /// On one codec.
    fn run(self) -> Heard {
        let mut system = system(1, false);
        system.codecs[0].format = CodecFormat::F32;
        self.run_on(&system, 0, |_| {})
    }

    /// At home on codec 0, heard on codec `sink`; `before` may change the sink's card.
    fn run_on(mut self, system: &System, sink: usize, before: fn(&WorldCard)) -> Heard {
        let world = World::lasting(self.ms * MS);
        let cards: Vec<WorldCard> = (system.codecs.iter())
            .map(|codec| {
                let mut card = WorldCard::new(&world, Shape::of(codec));
                (card.late, card.grain) = (self.late, self.grain);
                card
            })
            .collect();
        before(&cards[sink]);
        let (card, probe) = (Arc::clone(&cards[sink].block), cards[sink].truth());
        self.stream.probe = Some(Box::new(cards[sink].truth()));
        let mut bridges = bridge::build(system).into_iter();
        let mut guests = vec![(0, self.stream)];
        let mut blocks = Vec::new();
        let mut engines = Vec::new();
        for (index, card) in cards.into_iter().enumerate() {
            let block: &'static Shared<EngineBlock> = Box::leak(Box::new(Shared::private().unwrap()));
            let mut row: Row = heard(0.0);
            row.taps[sink].gain = 1.0;
            row.taps[sink].generation = 1;
            block.gains.publish(&[row]);
            let (mut engine, mut handle) = Engine::new(system, index, block, std::mem::take(&mut guests), card, None);
            engine.connect(bridges.next().unwrap());
            engine.run_period();
            handle.serve();
            blocks.push(&**block);
            engines.push((engine, handle));
        }
        std::thread::scope(|scope| {
            for (engine, _) in &mut engines {
                scope.spawn(|| engine.run(&world.stop));
            }
        });
        let moves = std::mem::take(&mut engines[0].0.guest(0).unwrap().moves);
        let end = probe();
        Heard {
            moves,
            card,
            end,
            blocks,
        }
    }
}

impl Heard {
    fn played(&self) -> (u64, Vec<f32>) {
        let from = self.end.saturating_sub(REMEMBERED);
        let shape = self.card.shape();
        let mut bytes = vec![0; (self.end - from) as usize * shape.frame_bytes()];
        self.card.read_played(from, &mut bytes);
        let (samples, _) = bytes.as_chunks::<4>();
        let left = samples.iter().step_by(shape.channels).map(|b| f32::from_le_bytes(*b));
        (from, left.collect())
    }

    /// Of the moves that can be judged: frames told, and frames really pulled and not yet played. The truth is read off the
    /// ramp where it is one (silence behind a starved stream counts as nothing more played); at its torn edges a filter rings.
    fn told_and_true(&self, step: f32) -> Vec<(f64, f64)> {
        let (from, played) = self.played();
        let judged = self
            .moves
            .iter()
            .filter(|made| made.at > from + 200 && made.at < self.end);
        let gone = |at: u64| {
            let before = &played[..(at - from) as usize];
            let silent = before.iter().rev().take_while(|&&sample| sample == 0.0).count();
            let before = &before[before.len() - silent - 8..before.len() - silent];
            let even = before
                .windows(2)
                .all(|pair| ((pair[1] - pair[0]) / STEP - step).abs() < 0.05);
            even.then(|| f64::from(before[7]) / f64::from(STEP))
        };
        judged
            .filter_map(|made| {
                let pulled = ((made.before + made.count) / 4) as f64;
                Some((f64::from(made.latency) / 4.0, pulled - gone(made.at)?))
            })
            .collect()
    }

    /// How far the told latency is from the truth at worst, in frames of the stream.
    fn worst(&self) -> f64 {
        self.worst_of(1.0)
    }

    /// The same for a stream of `step` frames a codec frame.
    fn worst_of(&self, step: f32) -> f64 {
        let all = self.told_and_true(step);
        assert!(all.len() > 100, "{} moves to judge", all.len());
        all.iter()
            .fold(0.0, |worst, (told, truth)| worst.max((told - truth).abs()))
    }
}

#[test]
fn at_equal_rate_no_frame_waits_more_than_two_periods_from_its_pull_to_its_play() {
    for (late, grain) in [(punctual as fn(u64) -> u64, 1), (jittery, 1), (punctual, 48)] {
        let heard = Scene {
            late,
            grain,
            ..Scene::of(ramp(HZ_48000))
        }
        .run();

        let (from, played) = heard.played();
        let mut judged = 0;
        for (at, value) in (from..).zip(&played).filter(|(_, value)| **value > 0.0) {
            let frame = (value / STEP) as usize - 1;
            let pull = heard.moves.iter().rev().find(|made| made.before / 4 <= frame).unwrap();
            let waited = at - pull.at;
            assert!(waited <= 2 * PERIOD as u64, "frame {frame} waited {waited}");
            judged += 1;
        }
        assert!(judged > 10_000, "{judged}");
        assert_eq!(heard.blocks[0].underruns.load(Relaxed), 0);
    }
}

#[test]
fn told_latency_is_within_a_period_at_equal_rate() {
    for late in [punctual, jittery] {
        let worst = Scene {
            late,
            ..Scene::of(ramp(HZ_48000))
        }
        .run()
        .worst();
        assert!(worst <= 2.0, "{worst} frames off");
    }
}

#[test]
fn the_judge_sees_a_latency_that_is_a_period_off() {
    let mut heard = Scene::of(ramp(HZ_48000)).run();
    heard
        .moves
        .iter_mut()
        .for_each(|made| made.latency += 4 * (PERIOD as u32 + 3));
    assert!(heard.worst() > PERIOD as f64);
}

#[test]
fn told_latency_is_within_a_period_when_resampled() {
    for (rate, period) in [(HZ_44100, 44.1f32), (HZ_96000, 96.0)] {
        let worst = Scene::of(ramp(rate)).run().worst_of(period / 48.0);
        let period = f64::from(period);
        assert!(worst <= period, "{worst} frames off at rate {rate}");
    }
}

#[test]
fn told_latency_is_within_a_period_after_a_pause() {
    for (rate, period) in [(HZ_48000, 48.0f32), (HZ_44100, 44.1)] {
        let mut stream = ramp(rate);
        stream.script = Some(Box::new(|period, view| view.running = !(100..150).contains(&period)));
        let worst = Scene::of(stream).run().worst_of(period / 48.0);
        assert!(worst <= 44.0, "{worst} frames off at rate {rate}");
    }
}

#[test]
fn told_latency_is_within_a_period_after_an_xrun() {
    let late = |wake| if wake == 100 { 7 * MS } else { 0 };
    let heard = Scene {
        late,
        ..Scene::of(ramp(HZ_48000))
    }
    .run();

    assert_eq!(heard.blocks[0].underruns.load(Relaxed), 1);
    let worst = heard.worst();
    assert!(worst <= PERIOD as f64, "{worst} frames off");
}

#[test]
fn told_latency_is_within_a_period_when_the_guest_has_too_little() {
    let mut stream = ramp(HZ_48000);
    stream.at_most = 30 * 4;
    let worst = Scene::of(stream).run().worst();
    assert!(worst <= PERIOD as f64, "{worst} frames off");
}

/// Two codecs with a zone each; the source's home is the first.
fn two_codecs(rates: (u32, u32)) -> System {
    let mut system = system(1, false);
    system.codecs[0].rate = rates.0;
    let mut other = codec_config(Backend::Null);
    other.rate = rates.1;
    system.codecs.push(other);
    system
        .codecs
        .iter_mut()
        .for_each(|codec| codec.format = CodecFormat::F32);
    system.zones.push(ZoneConfig {
        name: "rear".into(),
        codec: 1,
        channels: vec![0, 1],
        positions: vec![3, 4],
        groups: Vec::new(),
    });
    system
}

#[test]
fn a_bridged_source_follows_a_drifting_clock_without_a_gap_and_tells_its_latency() {
    let drifts: [fn(&WorldCard); 3] = [
        |_| {},
        |card| {
            card.block
                .set_millihertz(48_000_000 + 14_400, engine_common::world::BEGIN)
        },
        |card| {
            card.block
                .set_millihertz(48_000_000 - 48_000, engine_common::world::BEGIN)
        },
    ];
    for (index, drift) in drifts.into_iter().enumerate() {
        let scene = Scene {
            ms: 4000,
            late: jittery,
            ..Scene::of(ramp(HZ_48000))
        };
        let heard = scene.run_on(&two_codecs((48_000, 48_000)), 1, drift);

        let (_, played) = heard.played();
        let steps: Vec<f32> = played.windows(2).map(|pair| (pair[1] - pair[0]) / STEP).collect();
        assert!(
            steps.iter().all(|step| (step - 1.0).abs() < 0.1),
            "drift {index}: a gap"
        );
        assert_eq!(heard.blocks[1].sources[0].starved.load(Relaxed), 0, "drift {index}");
        let worst = heard.worst();
        assert!(worst <= PERIOD as f64, "drift {index}: {worst} frames off");
        // 3 periods and a bit of FIFO at most, the pull, and the lead.
        let most = heard
            .told_and_true(1.0)
            .iter()
            .fold(0.0, |most: f64, (_, truth)| most.max(*truth));
        assert!(most < 7.5 * PERIOD as f64, "drift {index}: {most} frames");
    }
}

#[test]
fn a_bridge_between_two_rates_tells_its_latency_too() {
    let scene = Scene {
        ms: 2000,
        ..Scene::of(ramp(HZ_44100))
    };
    let heard = scene.run_on(&two_codecs((44_100, 48_000)), 1, |_| {});

    assert_eq!(heard.blocks[1].sources[0].starved.load(Relaxed), 0);
    let worst = heard.worst_of(44.1 / 48.0);
    assert!(worst <= PERIOD as f64, "{worst} frames off");
}

#[test]
fn the_first_and_the_last_frame_cross_a_bridge() {
    let mut stream = ramp(HZ_48000);
    stream.bytes.truncate(100 * PERIOD * 4);
    let heard = Scene::of(stream).run_on(&two_codecs((48_000, 48_000)), 1, |_| {});

    let (_, played) = heard.played();
    let sounding: Vec<f32> = played.iter().copied().filter(|&x| x > 0.5 * STEP).collect();
    assert!(sounding[0] < 3.0 * STEP, "{}", sounding[0] / STEP);
    let last = sounding.iter().fold(0f32, |most, x| most.max(*x)) / STEP;
    assert!(last > 100.0 * PERIOD as f32 - 3.0, "{last}");
}

#[test]
fn the_engine_wakes_once_a_period_whatever_the_streams() {
    let wakeups = |streams: usize, grain: u64| {
        let world = World::lasting(1000 * MS);
        let system = system(streams, false);
        let mut card = WorldCard::new(&world, Shape::of(&system.codecs[0]));
        card.grain = grain;
        let block = Shared::<EngineBlock>::private().unwrap();
        block.gains.publish(&vec![heard(0.1); streams]);
        let guests = (0..streams).map(|_| ramp(HZ_48000)).enumerate().collect();
        let (mut engine, _handle) = Engine::new(&system, 0, &block, guests, card, None);
        engine.run(&world.stop);
        assert_eq!(block.underruns.load(Relaxed), 0);
        block.wakeups.load(Relaxed)
    };

    for grain in [1, 16, 48] {
        let one = wakeups(1, grain);
        assert!(one <= 1000 + 4, "{one} wake-ups in 1000 periods at grain {grain}");
        assert_eq!(one, wakeups(16, grain));
    }
}

#[test]
fn a_pointer_that_moves_a_period_at_a_time_makes_no_two_periods_due_at_once() {
    // Wake-ups take a while, as everywhere; a guest's ring of two periods would be empty at the second one.
    let scene = Scene {
        late: |_| 12_000,
        grain: PERIOD as u64,
        ..Scene::of(ramp(HZ_48000))
    };

    let moves = scene.run().moves;

    let twice = moves.windows(2).skip(4).filter(|pair| pair[0].at == pair[1].at);
    assert!(moves.len() > 290, "{} periods", moves.len());
    assert_eq!(twice.count(), 0);
}

fn punctual(_: u64) -> u64 {
    0
}

/// Up to half a period.
fn jittery(wake: u64) -> u64 {
    wake * 7919 % 500 * 1000
}
