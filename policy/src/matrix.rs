//! What two sources at one sink do to each other, from the written cells and, where none is written, from the priorities.
//!
//! | pair | holder | newcomer |
//! |---|---|---|
//! | cell written | as written | as written |
//! | same class | paused, goes on after | heard: the newest wins |
//! | newcomer of higher priority | ducked | heard |
//! | newcomer of equal or lower priority, reversed cell written | heard | as if it had been there first: `duck` = ducked, `pause` = delayed, `stop` = rejected |
//! | newcomer of lower priority | heard | heard, ducked |
//! | newcomer of equal priority | heard | heard |
//!
//! So, without a cell that says otherwise, what is heard doesn't depend on who came first. A *protected* source (a safety
//! class's, or a chime) is never changed by anyone; what it does to others is what a newcomer of its class does to a holder,
//! whenever it came.

use crate::Model;
use crate::model::{Cell, Duck, Holder, Newcomer};
use crate::rules::decisions::Pair;

/// What becomes of a newcomer because of one holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Heard.
    Play,
    /// Heard, attenuated while the holder is there.
    Ducked,
    /// Waits for the holder to end.
    Delay,
    /// Refused.
    Reject,
}

/// A decision about one of a pair, with the ramps that go with it and the line that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<A> {
    /// What happens.
    pub action: A,
    /// Depth (of a duck) and ramps.
    pub duck: Duck,
    /// Line of the file, `None` when it follows from the priorities.
    pub line: Option<u32>,
}

impl<A> Verdict<A> {
    fn new(action: A, cell: Cell) -> Self {
        Self {
            action,
            duck: cell.duck,
            line: cell.line,
        }
    }
}

impl Model {
    /// Outside the policy's reach: a safety class's source, or one with sinks it always sounds in.
    pub fn protected(&self, source: usize) -> bool {
        self.sources.get(source).is_some_and(|source| {
            !source.safety_sinks.is_empty() || self.classes.get(source.class).is_some_and(|class| class.safety)
        })
    }

    fn class_of(&self, source: usize) -> usize {
        self.sources.get(source).map_or(usize::MAX, |source| source.class)
    }

    /// What the later source `newcomer` does to `holder`, both indices of sources. A protected holder: nothing.
    pub fn pressure(&self, holder: usize, newcomer: usize) -> Verdict<Holder> {
        let verdict = self.class_pressure(self.class_of(holder), self.class_of(newcomer));
        let action = if self.protected(holder) {
            Holder::Mix
        } else {
            verdict.action
        };
        Verdict { action, ..verdict }
    }

    /// Compiles the matrix into the list of decisions: see [`crate::rules::decisions`]. Cells that are written later count only once it
    /// is compiled again.
    pub fn compile(&mut self) {
        let mut rules = std::mem::take(&mut self.rules);
        rules.drop_pairs();
        rules.put_pairs(self.classes.len(), |holder, newcomer| Pair {
            pressure: self.written_pressure(holder, newcomer),
            arrival: self.written_arrival(holder, newcomer),
        });
        self.rules = rules;
    }

    /// [`Model::pressure`] for sources of two classes, neither protected.
    pub fn class_pressure(&self, holder: usize, newcomer: usize) -> Verdict<Holder> {
        let compiled = self.rules.pair(holder, newcomer).map(|pair| pair.pressure);
        compiled.unwrap_or_else(|| self.written_pressure(holder, newcomer))
    }

    /// From the cells and priorities.
    fn written_pressure(&self, holder: usize, newcomer: usize) -> Verdict<Holder> {
        let cell = self.cell(holder, newcomer);
        Verdict::new(cell.holder, cell)
    }

    /// What becomes of the source `newcomer` when it arrives where `holder` is. Never asked for a protected newcomer.
    pub fn arrival(&self, holder: usize, newcomer: usize) -> Verdict<Arrival> {
        self.class_arrival(self.class_of(holder), self.class_of(newcomer))
    }

    /// [`Model::arrival`] for sources of two classes.
    pub fn class_arrival(&self, held: usize, coming: usize) -> Verdict<Arrival> {
        let compiled = self.rules.pair(held, coming).map(|pair| pair.arrival);
        compiled.unwrap_or_else(|| self.written_arrival(held, coming))
    }

    fn written_arrival(&self, held: usize, coming: usize) -> Verdict<Arrival> {
        let cell = self.cell(held, coming);
        if let Some(written) = self.cells.get(&(held, coming)) {
            let action = match written.newcomer {
                Newcomer::Play => Arrival::Play,
                Newcomer::Delay => Arrival::Delay,
                Newcomer::Reject => Arrival::Reject,
            };
            return Verdict::new(action, cell);
        }
        if held == coming || cell.holder == Holder::Duck {
            return Verdict::new(Arrival::Play, cell);
        }
        let reversed = self.cell(coming, held);
        let action = match reversed.holder {
            Holder::Mix => Arrival::Play,
            Holder::Duck => Arrival::Ducked,
            Holder::Pause => Arrival::Delay,
            Holder::Stop => Arrival::Reject,
        };
        Verdict::new(action, reversed)
    }
}
