//! The engine wakes control only for what control has to see, once a period at most.
#![allow(clippy::unwrap_used, missing_docs)]

mod engine_common;

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use audiod::blocks::gains::Row;
use engine_common::{Bench, FakeStream, PERIOD, heard};
use vhost_sound::memory::EventFd;

fn stream() -> FakeStream {
    FakeStream::playing(5, 2, 7, vec![1; 4000 * PERIOD])
}

/// The bench, its bell, and the first period done.
fn with_bell(mut bench: Bench) -> (Bench, EventFd) {
    let bell = EventFd::new().unwrap();
    bench.engine.set_controls_bell(bell.try_clone().unwrap());
    bench.run(1);
    (bench, bell)
}

#[test]
fn the_bell_is_rung_once_a_period_however_many_streams_have_news() {
    let (mut bench, bell) = with_bell(Bench::new((0..3).map(|_| stream()).collect()));
    bench.publish(&[heard(1.0); 3]);
    bell.drain().unwrap();

    let rings = [vec![], vec![0, 1, 2], vec![1], vec![]].map(|news| {
        news.into_iter().for_each(|position| bench.stream(position).news = true);
        bench.run(1);
        bell.drain().unwrap()
    });

    assert_eq!(rings, [0, 1, 1, 0]);
}

#[test]
fn a_new_engine_rings_for_what_its_predecessor_may_have_counted() {
    let (mut bench, bell) = with_bell(Bench::new(vec![stream()]));
    assert_eq!(bell.drain().unwrap(), 1);
    bench.run(100);
    assert_eq!(bell.drain().unwrap(), 0);
}

#[test]
fn a_chimes_beginning_and_end_are_rung_for_in_their_period() {
    let (mut bench, bell) = with_bell(Bench::with_chime(vec![], 0.5, 5 * PERIOD));
    bench.publish(&[Row::SILENT]);
    bell.drain().unwrap();
    bench.block.chimes[0].wanted.fetch_add(1, Acquire);
    let mut ended_and_rings = Vec::new();

    for _ in 0..20 {
        bench.run(1);
        let ended = bench.block.chimes[0].ended.load(Relaxed);
        ended_and_rings.push((ended, bell.drain().unwrap()));
    }

    let end = ended_and_rings.iter().position(|(ended, _)| *ended == 1).unwrap();
    let rung: Vec<usize> = (0..20).filter(|at| ended_and_rings[*at].1 > 0).collect();
    assert_eq!(rung, [0, end]);
}
