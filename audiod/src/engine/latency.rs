//! Frames of a stream that were pulled and not yet played: what `latency_bytes` tells the guest.

/// Periods remembered; a lead is far shorter.
const PERIODS: usize = 64;

#[derive(Clone, Copy, Debug, Default)]
struct Pull {
    /// Codec frame at which its first frame is played.
    start: u64,
    /// Codec frames it is played in.
    length: u64,
    /// Frames pulled, at the stream's rate; all at the front where they are fewer than the period took.
    frames: u64,
    /// Frames that the period took at most.
    needs: u64,
}

impl Pull {
    /// Of its frames, those not yet played when codec frame `played` is next.
    fn left(&self, played: u64) -> u64 {
        let gone = played.saturating_sub(self.start).min(self.length);
        if gone == 0 {
            return self.frames;
        }
        let gone = (gone * self.needs).checked_div(self.length).unwrap_or(0);
        self.frames.saturating_sub(gone)
    }

    fn is_over(&self, played: u64) -> bool {
        self.start + self.length <= played
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pulls: [Pull; PERIODS],
    next: usize,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            pulls: [Pull::default(); PERIODS],
            next: 0,
        }
    }
}

impl Pending {
    /// Remembers a pull of `frames` of the `needs` that codec frames `start` to `start + length` take.
    pub fn add(&mut self, start: u64, length: u64, frames: u64, needs: u64) {
        self.pulls[self.next] = Pull {
            start,
            length,
            frames,
            needs,
        };
        self.next = (self.next + 1) % PERIODS;
    }

    /// What was to be played at codec frame `at` (the latest pull, if there was one) is played `by` frames later.
    pub fn moved(&mut self, at: u64, by: u64) {
        let latest = &mut self.pulls[(self.next + PERIODS - 1) % PERIODS];
        if latest.start >= at {
            latest.start += by;
        }
    }

    /// Frames pending when codec frame `played` is next, with `more` about to be pulled.
    ///
    /// From the latest back to the first that is over: those before it were played before it.
    pub fn now(&self, played: u64, more: u64) -> u64 {
        let (newer, older) = self.pulls.split_at(self.next);
        let back = newer.iter().rev().chain(older.iter().rev());
        let pending = back.take_while(|pull| !pull.is_over(played));
        more + pending.map(|pull| pull.left(played)).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_half_played_is_half_pending() {
        let mut pending = Pending::default();
        pending.add(100, 48, 48, 48);
        pending.add(148, 48, 48, 48);
        assert_eq!(pending.now(90, 0), 96);
        assert_eq!(pending.now(124, 0), 72);
        assert_eq!(pending.now(196, 7), 7);
    }

    #[test]
    fn a_pull_that_is_played_later_is_pending_for_longer() {
        let mut pending = Pending::default();
        pending.add(100, 48, 48, 48);
        pending.moved(100, 20);
        assert_eq!(pending.now(120, 0), 48);
        assert_eq!(pending.now(144, 0), 24);
        // A period without a pull moves nothing.
        pending.moved(300, 20);
        assert_eq!(pending.now(144, 0), 24);
    }

    #[test]
    fn a_short_pull_is_played_before_the_silence_after_it() {
        let mut pending = Pending::default();
        pending.add(0, 48, 10, 48);
        assert_eq!(pending.now(4, 0), 6);
        assert_eq!(pending.now(10, 0), 0);
    }

    #[test]
    fn what_was_played_long_ago_may_be_left_out_of_the_sum() {
        let mut pending = Pending::default();
        for nth in 0..3 * PERIODS as u64 {
            let start = nth * 48 + nth / 5 * 7;
            pending.add(start, 48, nth % 49, 48);
            for played in [start.saturating_sub(200), start - start.min(1), start + 20, start + 48] {
                let all = pending.pulls.iter().map(|pull| pull.left(played)).sum::<u64>();
                assert_eq!(pending.now(played, 0), all, "{nth} at {played}");
            }
        }
    }
}
