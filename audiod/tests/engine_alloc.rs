//! The engine's real-time work neither allocates nor frees, whatever happens in it.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;

use engine_common::{Bench, FakeStream, heard};

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: passes everything on to the system's allocator; counting touches a const-initialised thread local only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
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
fn the_counter_sees_an_allocation() {
    assert_eq!(calls_in(|| drop(std::hint::black_box(Box::new(1)))), 2);
}
