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
use crate::codec::Codec;

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
        let mut wake = self.codec.now();
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
            let woken = self.codec.now();
            self.block.wakeups.store(self.block.wakeups.load(Relaxed) + 1, Relaxed);
            self.wake(&mut watch, woken, period_ns);
            let busy = self.codec.now() - woken;
            if busy > self.block.busy_max_ns.load(Relaxed) {
                self.block.busy_max_ns.store(busy, Relaxed);
            }
            wake = self.next_wake((wake, woken), period_ns);
            self.codec.sleep_until(wake);
        }
    }

    /// One wake-up at `now`.
    fn wake(&mut self, watch: &mut Watch, now: u64, period_ns: u64) {
        let position = self.codec.position();
        self.played = self.played.max(position);
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
            self.period();
        } else {
            let before = self.written;
            self.fill(position);
            self.early = self.written == before;
        }
    }

    /// Brings what is written up to the lead, never over it: a frame is played at most the lead after its pull.
    fn fill(&mut self, position: u64) {
        let period = self.period as u64;
        if self.written < position {
            let resume = position + self.lead - period;
            self.underrun(resume - self.written);
            self.written = resume;
        }
        while self.written + period <= position + self.lead {
            self.period();
        }
    }

    /// The next wake-up: just after the fill level is one period below the lead.
    ///
    /// Aims an eighth of a period behind that point and lets the timer run free within an eighth of the aim, so that
    /// neither rounding nor a coarse pointer makes a wake-up that finds nothing to do. Outside, it moves an eighth of the way.
    /// `last`: when it was to be and when it was. The position is the one looked at then: one look a period.
    fn next_wake(&mut self, last: (u64, u64), period_ns: u64) -> u64 {
        let (predicted, woken) = (last.0 + period_ns, last.1);
        if self.paced_by_timer {
            return predicted.max(woken);
        }
        let margin = period_ns / 8;
        // What the wake-up took is not the codec's. Of a pointer that moves a period at a time it would be all that is seen: an eighth
        // of it and of the margin a period, and the aim would slide over a step, two periods due at once.
        let at = woken - woken.saturating_sub(last.0).min(margin);
        let due = (self.written + self.period as u64).saturating_sub(self.lead);
        let frames = due.saturating_sub(self.played);
        let until_due = (frames * 1_000_000_000).div_ceil(u64::from(self.shape.rate.max(1)));
        let off = (at + until_due + margin).cast_signed() - predicted.cast_signed();
        if off.unsigned_abs() > period_ns / 2 {
            // Came early (try again soon, a coarse pointer may be about to move) or late.
            return woken + (until_due + margin).min(if self.early { period_ns / 4 } else { u64::MAX });
        }
        if off.unsigned_abs() <= margin {
            predicted
        } else {
            predicted.saturating_add_signed(off / 8)
        }
    }
}
