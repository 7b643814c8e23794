//! The engine's real-time work neither allocates nor frees, whatever happens in it.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use audiod::blocks::EngineBlock;
use audiod::codec::offline::Offline;
use audiod::codec::sim::{self, SimBlock, SimCard};
use audiod::codec::{Shape, now_ns};
use audiod::engine::{Engine, bridge};
use audiod::system::{Backend, ChannelGroup, ZoneConfig};
use engine_common::{Bench, FakeStream, codec_config, heard, recording_system, system};
use vhost_sound::shared::Shared;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: passes everything on to the system's allocator; counting touches a const-initialised thread local only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { std::alloc::System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { std::alloc::System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn calls_in(work: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    work();
    CALLS.with(Cell::get) - before
}

#[test]
fn no_period_allocates_or_frees() {
    let streams = vec![
        FakeStream::playing(5, 2, 7, vec![1; 100_000]),
        FakeStream::playing(19, 6, 6, vec![0; 400_000]),
        FakeStream::playing(20, 8, 10, vec![0; 800_000]),
    ];
    let mut bench = Bench::with_chime(streams, 0.5, 500);
    bench.publish(&[heard(1.0), heard(0.5), heard(0.25)]);

    // START, the requests for two converters, their arrival and the way back of what they replace: all inside.
    let mut calls = calls_in(|| bench.run(2));
    bench.handle.serve();
    bench.block.chimes[0].wanted.store(3, Relaxed);
    for round in 0..100 {
        bench.publish(&[heard(round as f32 / 100.0), heard(0.5), heard(0.25)]);
        calls += calls_in(|| bench.run(5));
    }

    assert_eq!(calls, 0);
    assert_eq!([0, 1, 2].map(|source| bench.doing(source)), [2, 2, 2], "all play");
    assert_eq!(bench.block.chimes[0].ended.load(Relaxed), 3);
}

#[test]
fn no_period_of_capture_allocates_or_frees() {
    let streams = vec![
        FakeStream::recording(5, 2, 7, 1 << 20),
        FakeStream::recording(19, 6, 6, 1 << 22),
        FakeStream::recording(20, 8, 10, 1 << 22),
    ];
    let system = recording_system(&[true, true, false]);
    let block = Shared::<EngineBlock>::private().unwrap();
    let card = Shared::<SimBlock>::private().unwrap();
    sim::set_up(&card, Shape::of(&system.codecs[0]), now_ns());
    card.capture.store(sim::capture::LOOPBACK, Relaxed);
    let guests = streams.into_iter().enumerate().collect();
    let (mut engine, mut handle) = Engine::new(&system, 0, &block, guests, SimCard::from(card), None);

    let mut calls = 0;
    while block.sources[2].frames.load(Relaxed) < 9600 {
        calls += calls_in(|| engine.run_period());
        handle.serve();
    }

    assert_eq!(calls, 0);
    assert!([0, 1].iter().all(|&n| block.sources[n].frames.load(Relaxed) > 1000));
}

#[test]
fn no_period_of_a_bridge_allocates_or_frees() {
    let mut system = system(2, false);
    system.codecs.push(codec_config(Backend::Null));
    system.codecs[1].rate = 44_100;
    system.zones.push(ZoneConfig {
        codec: 1,
        groups: vec![ChannelGroup {
            name: "left".to_owned(),
            channels: 1,
        }],
        ..system.zones[0].clone()
    });
    let streams = vec![
        FakeStream::playing(5, 2, 7, vec![1; 400_000]),
        FakeStream::playing(19, 6, 6, vec![0; 4_000_000]),
    ];
    let mut row = heard(1.0);
    row.taps[1] = row.taps[0];
    row.taps[2] = row.taps[0];
    let block = Shared::<EngineBlock>::private().unwrap();
    block.gains.publish(&[row, row]);
    let [home, sink] = [0, 1].map(|n| Offline::new(Shape::of(&system.codecs[n]), 100));
    let mut bridges = bridge::build(&system).into_iter();
    let guests = streams.into_iter().enumerate().collect();
    let (mut home, mut handle) = Engine::new(&system, 0, &block, guests, home, None);
    let (mut sink, _handle) = Engine::new(&system, 1, &block, Vec::<(usize, FakeStream)>::new(), sink, None);
    home.connect(bridges.next().unwrap());
    sink.connect(bridges.next().unwrap());

    let mut calls = 0;
    for _ in 0..500 {
        calls += calls_in(|| home.run_period());
        calls += calls_in(|| sink.run_period());
        handle.serve();
    }

    assert_eq!(calls, 0);
    assert!(
        [0, 1]
            .iter()
            .all(|&n| f32::from_bits(block.zones[1].peak.load(Relaxed)) > 0.0
                && block.sources[n].frames.load(Relaxed) > 1000)
    );
}

#[test]
fn the_counter_sees_an_allocation() {
    assert_eq!(calls_in(|| drop(std::hint::black_box(Box::new(1)))), 2);
}
