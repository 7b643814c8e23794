//! Silence ahead on real cards while nobody writes: the card never stops and never loops.
//!
//! ```text
//!   engine beats ──► nothing to do      no beat for two periods, or no engine ──► zeroes, every WATCH
//! ```
//! The engine leaves a tail of zeros beyond its lead that lasts longer than it takes to get here.

use std::io;
use std::time::{Duration, Instant};

use crate::codec::alsa::{KernelPcm, TAIL_MS, Tail};

/// Time between two looks while there is a real card.
pub const WATCH: Duration = Duration::from_millis(TAIL_MS / 2);

/// What is needed to hold a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Codec.
    pub codec: u32,
    /// Frames a second.
    pub rate: u32,
    /// Frames a period.
    pub period: u32,
    /// Periods of lead.
    pub lead: u32,
}

impl Hold {
    /// Without a beat for this long, the engine is late for its turn.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(2) * self.period / self.rate.max(1)
    }
}

/// A card that can be silenced ahead.
pub trait Silence {
    /// Zeroes ahead.
    ///
    /// # Errors
    /// What the driver says.
    fn zero_ahead(&mut self) -> io::Result<()>;
}

impl Silence for Tail<KernelPcm> {
    fn zero_ahead(&mut self) -> io::Result<()> {
        Tail::zero_ahead(self)
    }
}

/// One real card.
pub struct Silencer<S> {
    card: S,
    patience: Duration,
    beat: u64,
    beaten: Instant,
    failing: bool,
}

impl<S: Silence> Silencer<S> {
    /// Watches over `card`.
    pub fn new(card: S, patience: Duration, now: Instant) -> Self {
        Self {
            card,
            patience,
            beat: 0,
            beaten: now,
            failing: false,
        }
    }

    /// A look at `now`: the heart's count, and whether there is an engine at all. Says why the card can't be silenced, once.
    pub fn look(&mut self, beat: u64, engine: bool, now: Instant) -> Option<io::Error> {
        if self.beat != beat {
            (self.beat, self.beaten) = (beat, now);
        }
        if engine && now.saturating_duration_since(self.beaten) < self.patience {
            return None;
        }
        let outcome = self.card.zero_ahead();
        let failed_before = std::mem::replace(&mut self.failing, outcome.is_err());
        outcome.err().filter(|_| !failed_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Card {
        zeroed: u32,
        gone: bool,
    }

    impl Silence for &mut Card {
        fn zero_ahead(&mut self) -> io::Result<()> {
            self.zeroed += 1;
            if self.gone {
                Err(io::ErrorKind::NotFound.into())
            } else {
                Ok(())
            }
        }
    }

    const PATIENCE: Duration = Duration::from_millis(2);

    #[test]
    fn a_beating_engine_is_left_alone_a_still_one_and_a_dead_one_are_silenced() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut card = Card::default();
        let mut silencer = Silencer::new(&mut card, PATIENCE, start);

        for (beat, ms) in [(1, 5), (6, 10), (6, 11)] {
            silencer.look(beat, true, at(ms));
        }
        assert_eq!(silencer.card.zeroed, 0);

        silencer.look(6, true, at(15));
        assert_eq!(silencer.card.zeroed, 1, "no beat for two periods");
        silencer.look(7, false, at(16));
        assert_eq!(silencer.card.zeroed, 2, "no engine");
        silencer.look(8, true, at(17));
        assert_eq!(silencer.card.zeroed, 2, "it beats again");
    }

    #[test]
    fn a_card_that_is_gone_is_told_once() {
        let start = Instant::now();
        let mut card = Card { zeroed: 0, gone: true };
        let mut silencer = Silencer::new(&mut card, PATIENCE, start);
        let told = [0, 5, 10].map(|ms| silencer.look(0, false, start + Duration::from_millis(ms)).is_some());
        assert_eq!(told, [true, false, false]);
    }
}
