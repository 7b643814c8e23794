//! The engine under LLVM's real-time sanitizer: `cargo xtask rtsan`. Nothing in a period allocates, frees, locks or calls
//! what may block, whatever the sources do; what does is reported and ends the process.
#![cfg(feature = "rtsan")]
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::process::Command;
use std::sync::atomic::Ordering::Relaxed;

use audiod::blocks::EngineBlock;
use audiod::codec::offline::Offline;
use audiod::codec::sim::{self, SimBlock, SimCard};
use audiod::codec::{Shape, now_ns};
use audiod::engine::{Engine, bridge};
use audiod::system::{Backend, ZoneConfig};
use engine_common::{Bench, FakeStream, codec_config, heard, recording_system, system};
use vhost_sound::shared::Shared;

const CHILD: &str = "ENGINE_RTSAN_CHILD";

fn streams() -> Vec<FakeStream> {
    vec![
        FakeStream::playing(5, 2, 7, vec![1; 200_000]),
        FakeStream::playing(19, 6, 6, vec![0; 400_000]),
        FakeStream::playing(20, 8, 10, vec![0; 800_000]),
    ]
}

#[test]
fn mixing_resampling_and_chimes_violate_nothing() {
    let mut bench = Bench::with_chime(streams(), 0.5, 500);
    bench.publish(&[heard(1.0), heard(0.5), heard(0.25)]);
    bench.run(2);
    bench.handle.serve();
    bench.block.chimes[0].wanted.store(3, Relaxed);
    for round in 0..200 {
        bench.publish(&[heard(round as f32 / 200.0), heard(0.5), heard(0.25)]);
        bench.run(5);
    }
    assert_eq!([0, 1, 2].map(|source| bench.doing(source)), [2, 2, 2], "all play");
    assert_eq!(bench.block.chimes[0].ended.load(Relaxed), 3);
}

#[test]
fn capture_from_a_simulated_card_violates_nothing() {
    let system = recording_system(&[true, false]);
    let block = Shared::<EngineBlock>::private().unwrap();
    let card = Shared::<SimBlock>::private().unwrap();
    sim::set_up(&card, Shape::of(&system.codecs[0]), now_ns());
    card.capture.store(sim::capture::LOOPBACK, Relaxed);
    let streams = [
        FakeStream::recording(5, 2, 7, 1 << 20),
        FakeStream::recording(19, 6, 6, 1 << 22),
    ];
    let guests = streams.into_iter().enumerate().collect();
    let (mut engine, mut handle) = Engine::new(&system, 0, &block, guests, SimCard::from(card), None);
    while block.sources[1].frames.load(Relaxed) < 4410 {
        engine.run_period();
        handle.serve();
    }
}

#[test]
fn a_bridge_violates_nothing() {
    let mut system = system(1, false);
    system.codecs.push(codec_config(Backend::Null));
    system.codecs[1].rate = 44_100;
    system.zones.push(ZoneConfig {
        codec: 1,
        ..system.zones[0].clone()
    });
    let mut row = heard(1.0);
    row.taps[1] = row.taps[0];
    let block = Shared::<EngineBlock>::private().unwrap();
    block.gains.publish(&[row]);
    let [home, sink] = [0, 1].map(|n| Offline::new(Shape::of(&system.codecs[n]), 100));
    let mut bridges = bridge::build(&system).into_iter();
    let guests = vec![(0, streams().swap_remove(0))];
    let (mut home, _home) = Engine::new(&system, 0, &block, guests, home, None);
    let (mut sink, _sink) = Engine::new(&system, 1, &block, Vec::<(usize, FakeStream)>::new(), sink, None);
    home.connect(bridges.next().unwrap());
    sink.connect(bridges.next().unwrap());
    for _ in 0..500 {
        home.run_period();
        sink.run_period();
    }
    assert!(f32::from_bits(block.zones[1].peak.load(Relaxed)) > 0.0);
}

#[test]
fn an_allocation_inside_a_period_is_reported() {
    if std::env::var_os(CHILD).is_some() {
        let mut stream = streams().swap_remove(0);
        stream.script = Some(Box::new(|_, view| drop(std::hint::black_box(vec![view.rate; 64]))));
        Bench::new(vec![stream]).run(1);
        return;
    }
    let me = std::env::current_exe().unwrap();
    let name = ["--exact", "an_allocation_inside_a_period_is_reported", "--nocapture"];
    let output = Command::new(me).args(name).env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("RealtimeSanitizer"), "{text}");
}
