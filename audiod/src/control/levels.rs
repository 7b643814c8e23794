//! Levels for whoever asks, the same for all: the engines' meters hold the highest since they were last emptied, and they are
//! emptied here alone.
//!
//! ```text
//!  engine: raises a cell ──► cell ──emptied at a look──► taken (from, peaks) ──half a second──► forgotten
//!                              └──────────── now ─────────┴──► the highest of both
//! ```
//! What was taken counts while it began no longer ago than the window: a reader that comes every half second misses no peak, however
//! many others look, and a peak is gone when nothing sounds any more.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::blocks::EngineBlock;
use crate::system::System;

/// How long a peak is shown, ms.
const WINDOW_MS: u64 = 500;
/// Looks that follow each other faster share what the first emptied, ms.
const SHARED_MS: u64 = 20;

/// Levels at one time, linear.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    /// Before and after gain, by source of the system.
    pub sources: Vec<(f32, f32)>,
    /// Peak and the limiter's lowest gain (1 = idle), by zone.
    pub zones: Vec<(f32, f32)>,
}

impl Levels {
    fn with(&mut self, other: &Self) {
        for (own, other) in self.sources.iter_mut().zip(&other.sources) {
            *own = (own.0.max(other.0), own.1.max(other.1));
        }
        for (own, other) in self.zones.iter_mut().zip(&other.zones) {
            *own = (own.0.max(other.0), own.1.min(other.1));
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Meters {
    taken: VecDeque<(u64, Levels)>,
    emptied: u64,
}

impl Meters {
    /// What is shown now.
    pub fn look(&mut self, now: u64, system: &System, engines: &[&EngineBlock]) -> Levels {
        let empties = now >= self.emptied + SHARED_MS;
        let current = read(system, engines, empties);
        self.shown(now, current, empties)
    }

    fn shown(&mut self, now: u64, mut current: Levels, empties: bool) -> Levels {
        self.taken.retain(|(from, _)| from + WINDOW_MS >= now);
        let taken = current.clone();
        self.taken.iter().for_each(|(_, before)| current.with(before));
        if empties {
            self.taken.push_back((self.emptied, taken));
            self.emptied = now;
        }
        current
    }
}

fn read(system: &System, engines: &[&EngineBlock], empties: bool) -> Levels {
    let bits = |cell: &AtomicU32| {
        if empties {
            cell.swap(0, Relaxed)
        } else {
            cell.load(Relaxed)
        }
    };
    let level = |cell: &AtomicU32| f32::from_bits(bits(cell));
    let sources = system.sources.iter().enumerate().map(|(index, source)| {
        let meter = engines.get(source.codec).map(|engine| &engine.sources[index]);
        meter.map_or((0.0, 0.0), |meter| (level(&meter.peak_in), level(&meter.peak_out)))
    });
    let zones = system.zones.iter().enumerate().map(|(index, zone)| {
        let meter = engines.get(zone.codec).map(|engine| &engine.zones[index]);
        meter.map_or((0.0, 1.0), |meter| {
            let limiter = bits(&meter.limiter);
            // Never written: idle.
            let limiter = if limiter == 0 { 1.0 } else { f32::from_bits(limiter) };
            (level(&meter.peak), limiter)
        })
    });
    Levels {
        sources: sources.collect(),
        zones: zones.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peak(level: f32) -> Levels {
        Levels {
            sources: vec![(level, level)],
            zones: vec![(level, 1.0)],
        }
    }

    #[test]
    fn two_who_watch_see_the_same_peak() {
        let mut meters = Meters::default();
        meters.shown(1000, peak(0.0), true);

        let first = meters.shown(1400, peak(0.5), true);
        let second = meters.shown(1450, peak(0.0), true);
        let later = meters.shown(1480, peak(0.1), true);

        assert_eq!((first, second, later), (peak(0.5), peak(0.5), peak(0.5)));
    }

    #[test]
    fn a_reader_that_comes_every_half_second_misses_nothing_whoever_else_looks() {
        let mut meters = Meters::default();
        meters.shown(1000, peak(0.0), true);
        meters.shown(1250, peak(0.7), true);

        assert_eq!(meters.shown(1500, peak(0.0), true), peak(0.7));
    }

    #[test]
    fn what_sounded_before_the_first_look_is_gone_at_the_second() {
        let mut meters = Meters::default();
        meters.shown(1000, peak(0.0), true);
        meters.shown(9000, peak(0.9), true);

        assert_eq!(meters.shown(9400, peak(0.0), true), peak(0.0));
        assert_eq!(meters.taken.len(), 1);
    }
}
