//! Matrix and rules as one ordered list of compiled decisions: what is looked at first stands first.
//!
//! ```text
//!   pairs of classes, from cells and priorities      what two sources at one sink do to each other
//!   rules by ascending priority,                     what is done when something happens
//!   those of equal priority in the order of the file
//! ```
//!
//! A machine compiles its model before it decides anything, and looks up pairs here alone. A rule that `overrides` goes before the
//! duck of a pair; nothing in the list can undo a pair's reject (rules ask the pairs as clients do) or name a protected source (see
//! [`super::action::Target`]).

use std::sync::Arc;

use super::{Program, Rule};
use crate::matrix::{Arrival, Verdict};
use crate::model::Holder;

/// What two classes at one sink do to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// To the one that is there.
    pub pressure: Verdict<Holder>,
    /// To the one that comes.
    pub arrival: Verdict<Arrival>,
}

/// One decision of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'p> {
    /// Two classes, by their indices.
    Pair {
        /// Of the one that is there.
        holder: usize,
        /// Of the one that comes.
        newcomer: usize,
        /// What becomes of them.
        pair: &'p Pair,
    },
    /// A rule.
    Rule(&'p Rule),
}

impl Decision<'_> {
    /// Line of the file that says so; `None`: it follows from the priorities.
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::Pair { pair, .. } => pair.pressure.line.or(pair.arrival.line),
            Self::Rule(rule) => Some(rule.line),
        }
    }
}

/// Pairs of so many classes, holder by holder.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Pairs {
    classes: usize,
    all: Arc<[Pair]>,
}

impl Program {
    /// Puts the pairs of so many classes first.
    pub(crate) fn put_pairs(&mut self, classes: usize, pair: impl Fn(usize, usize) -> Pair) {
        let all = (0..classes).flat_map(|holder| (0..classes).map(move |newcomer| (holder, newcomer)));
        let all = all.map(|(holder, newcomer)| pair(holder, newcomer)).collect();
        self.pairs = Pairs { classes, all };
    }

    /// Takes the rules out, to act on who has them; the pairs stay, and go along.
    pub(crate) fn take_rules(&mut self) -> Self {
        Self {
            pairs: self.pairs.clone(),
            rules: std::mem::take(&mut self.rules),
            listened: std::mem::take(&mut self.listened),
        }
    }

    /// Before they are compiled once more.
    pub(crate) fn drop_pairs(&mut self) {
        self.pairs = Pairs::default();
    }

    /// A pair; `None`: not compiled, or no such class.
    pub(crate) fn pair(&self, holder: usize, newcomer: usize) -> Option<&Pair> {
        let classes = self.pairs.classes;
        (newcomer < classes).then(|| self.pairs.all.get(holder * classes + newcomer))?
    }

    /// The whole list, in the order in which it is looked at.
    pub fn decisions(&self) -> impl Iterator<Item = Decision<'_>> {
        let classes = self.pairs.classes.max(1);
        let pairs = self.pairs.all.iter().enumerate().map(move |(at, pair)| Decision::Pair {
            holder: at / classes,
            newcomer: at % classes,
            pair,
        });
        pairs.chain(self.rules.iter().map(Decision::Rule))
    }
}
