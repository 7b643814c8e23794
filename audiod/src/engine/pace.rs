//! When the engine works: woken once a period, by a timer that follows the codec's position.
//!
//! ```text
//!            ┌─ position moves ─────────────► following: keeps `lead` frames written ahead of it
//!  wake-up ──┤
//!            └─ stands still for 4 periods ─► stalled: the timer paces the streams, nothing is written; the position moves ─► following
//! ```
//! Nothing jumps at either hand-over: what was written stays where it is. A late engine goes on at the position plus its lead;
//! the frames between are silence, counted as an underrun.

use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed},
};

use super::guest::Guest;
use super::{Engine, Kind};
use crate::codec::{Codec, now_ns};

/// Periods a position may stand still before a timer takes over.
const PATIENCE: u64 = 4;

/// When the position last moved.
struct Watch {
    position: u64,
    moved_ns: u64,
}

impl<G: Guest, C: Codec> Engine<'_, G, C> {
    /// Works until `stop`. On the offline clock: as fast as it can.
    pub fn run(&mut self, stop: &AtomicBool) {
        let period_ns = self.period as u64 * 1_000_000_000 / u64::from(self.shape.rate.max(1));
        let mut wake = now_ns();
        let mut watch = Watch {
            position: self.codec.position(),
            moved_ns: wake,
        };
        // What was played before this engine came is not its underrun.
        self.written = self.written.max(watch.position + self.lead - self.period as u64);
        while !stop.load(Acquire) {
            if self.is_offline() {
                self.run_period();
                continue;
            }
            let woken = now_ns();
            self.block.wakeups.store(self.block.wakeups.load(Relaxed) + 1, Relaxed);
            self.wake(&mut watch, woken, period_ns);
            let busy = now_ns() - woken;
            if busy > self.block.busy_max_ns.load(Relaxed) {
                self.block.busy_max_ns.store(busy, Relaxed);
            }
            wake = self.next_wake(wake, period_ns);
            sleep_until(wake);
        }
    }

    /// One wake-up at `now`.
    fn wake(&mut self, watch: &mut Watch, now: u64, period_ns: u64) {
        let position = self.codec.position();
        if position != watch.position {
            *watch = Watch {
                position,
                moved_ns: now,
            };
        }
        let stalled = now.saturating_sub(watch.moved_ns) >= PATIENCE * period_ns;
        if stalled != self.paced_by_timer {
            self.paced_by_timer = stalled;
            self.block.stalled.store(u32::from(stalled), Relaxed);
            self.record(Kind::Stalled, 0, u64::from(stalled));
        }
        if stalled {
            self.codec.recover();
            self.run_period();
        } else {
            self.fill(position);
        }
    }

    /// Brings what is written up to the lead.
    fn fill(&mut self, position: u64) {
        let period = self.period as u64;
        if self.written < position {
            let resume = position + self.lead - period;
            self.underrun(resume - self.written);
            self.written = resume;
        }
        // Half a period of tolerance, so that a wake-up a frame early still does this period's work.
        if self.written > position + self.lead - period + period / 2 {
            return;
        }
        self.run_period();
        while self.written + period <= position + self.lead {
            self.run_period();
        }
    }

    /// The next wake-up: when the fill level is one period below the lead, smoothed, so that a coarse pointer doesn't jitter.
    fn next_wake(&mut self, last: u64, period_ns: u64) -> u64 {
        let predicted = last + period_ns;
        let now = now_ns();
        if self.paced_by_timer {
            return if predicted < now { now } else { predicted };
        }
        let position = self.codec.position();
        let due = (self.written + self.period as u64).saturating_sub(self.lead);
        let frames = due.saturating_sub(position);
        let measured = now + frames * 1_000_000_000 / u64::from(self.shape.rate.max(1));
        let off = measured.cast_signed() - predicted.cast_signed();
        if off.unsigned_abs() > period_ns / 2 {
            measured
        } else {
            predicted.saturating_add_signed(off / 8)
        }
    }
}

fn sleep_until(ns: u64) {
    let time = libc::timespec {
        tv_sec: (ns / 1_000_000_000).cast_signed() as libc::time_t,
        tv_nsec: (ns % 1_000_000_000).cast_signed() as libc::c_long,
    };
    // SAFETY: `time` is valid for the call. An interrupted sleep is only an early wake-up.
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const time,
            std::ptr::null_mut(),
        )
    };
}
