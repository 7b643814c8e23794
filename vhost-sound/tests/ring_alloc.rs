//! The engine's half never allocates after construction: counted, with everything going on that can go on in a period.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

use vhost_sound::block::{RXQ, TXQ, direction, ring_state, stream_state};
use vhost_sound::ring::DeviceRings;
use vhost_sound::testing::{
    EVENT_IDX, FakeDriver, FakeGuest, INDIRECT_DESC, Shape, device_block, release_stream, set_stream,
};

struct Counting;

static CALLS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test alone in this binary: other threads' allocations would count.
#[test]
fn periods_allocate_and_free_nothing() {
    let guest = FakeGuest::new(16 << 20);
    let block = device_block(
        &[direction::PLAYBACK, direction::PLAYBACK, direction::CAPTURE],
        1600,
        400,
    );
    block.ring_features.store(INDIRECT_DESC | EVENT_IDX, Release);
    let (mut tx, mut rx) = (FakeDriver::new(&guest, TXQ, 64), FakeDriver::new(&guest, RXQ, 64));
    let mut rings = DeviceRings::new(&block);
    rings.set_memory(guest.announce(&block));
    tx.set_up(&block);
    rx.set_up(&block);
    (0..3).for_each(|stream| set_stream(&block, stream, stream_state::RUNNING));
    let split = Shape {
        cuts: vec![3],
        apart: false,
        indirect: true,
    };
    let linux = Shape::linux();
    let mut in_periods = 0;
    let mut moved = 0;
    for now in 0..200 {
        for stream in [0, 1, 77] {
            let _ = tx.send(stream, &[1; 100], if now % 2 == 0 { &split } else { &linux });
        }
        let _ = rx.offer(2, 90, &split);
        match now % 40 {
            10 => release_stream(&block, 0),
            12 => set_stream(&block, 0, stream_state::RUNNING),
            20 => tx.wish(&block, ring_state::STOPPED),
            22 => tx.wish(&block, ring_state::RUNNING),
            30 => tx.make_available(9999),
            _ => {}
        }
        let before = CALLS.load(Relaxed);
        rings.begin_period();
        for stream in 0..2 {
            moved += rings.pull(stream, &mut [0; 64], 0);
        }
        moved += rings.push(2, &[0; 64], 0);
        rings.end_period();
        in_periods += CALLS.load(Relaxed) - before;
        tx.collect();
        rx.collect();
    }
    assert!(moved > 5000, "only {moved} bytes moved: the run shows nothing");
    assert!(CALLS.load(Relaxed) > 1000, "the counter is not in place");
    assert_eq!(in_periods, 0);
}
