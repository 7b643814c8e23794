//! What became of every element, attribute and text of an input file: mapped, approximated or lost. Nothing is dropped from it:
//! [`Ledger::finish`] fails if anything has no fate.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An element.
    Element,
    /// An attribute; declarations of namespaces are none.
    Attribute,
    /// Text that is not blank.
    Text,
    /// A processing instruction.
    Instruction,
}

/// What became of an item. The worst of several uses counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate", content = "note")]
pub enum Fate {
    /// It says the same in the policy: where.
    Mapped(String),
    /// Nearly: what differs.
    Approximated(String),
    /// It says nothing in the policy: why.
    Lost(String),
}

impl Fate {
    fn rank(&self) -> u8 {
        match self {
            Self::Mapped(_) => 0,
            Self::Approximated(_) => 1,
            Self::Lost(_) => 2,
        }
    }
}

/// How notes begin on what our machine does of its own accord, without a rule.
pub(super) const BUILT_IN: &str = "built in";

/// One element, attribute or text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub kind: Kind,
    pub path: String,
    pub value: String,
    pub fate: Option<Fate>,
}

/// All items by the byte of the input they begin at.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    items: BTreeMap<usize, Item>,
    stray: Vec<usize>,
}

/// An importer forgot something: a mistake of ours, not of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unaccounted {
    /// Paths of what has no fate.
    pub paths: Vec<String>,
    /// Fates of places where nothing is.
    pub stray: usize,
}

impl fmt::Display for Unaccounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} items of the file are neither mapped, approximated nor lost",
            self.paths.len()
        )?;
        for path in self.paths.iter().take(5) {
            write!(f, "; {path}")?;
        }
        match self.stray {
            0 => Ok(()),
            stray => write!(f, "; {stray} fates of nothing"),
        }
    }
}

impl Ledger {
    pub fn add(&mut self, at: usize, kind: Kind, path: String, value: String) {
        let item = Item {
            kind,
            path,
            value,
            fate: None,
        };
        self.items.insert(at, item);
    }

    pub fn mapped(&mut self, at: usize, to: String) {
        self.note(at, Fate::Mapped(to));
    }

    pub fn approximated(&mut self, at: usize, how: String) {
        self.note(at, Fate::Approximated(how));
    }

    pub fn lost(&mut self, at: usize, why: String) {
        self.note(at, Fate::Lost(why));
    }

    fn note(&mut self, at: usize, fate: Fate) {
        let Some(item) = self.items.get_mut(&at) else {
            self.stray.push(at);
            return;
        };
        if item.fate.as_ref().is_none_or(|earlier| earlier.rank() < fate.rank()) {
            item.fate = Some(fate);
        }
    }

    /// Does something to everything within a range of the input that has no fate yet.
    pub fn rest(&mut self, range: Range<usize>, then: &mut dyn FnMut(&mut Self, usize)) {
        let open = self.items.range(range).filter(|(_, item)| item.fate.is_none());
        let open: Vec<usize> = open.map(|(at, _)| *at).collect();
        for at in open {
            then(self, at);
        }
    }

    /// What isn't built in is lost.
    pub fn refused(&mut self, range: Range<usize>, why: &str) {
        for item in self.items.range_mut(range).map(|(_, item)| item) {
            let built_in = match &item.fate {
                Some(Fate::Mapped(note) | Fate::Approximated(note)) => note.starts_with(BUILT_IN),
                Some(Fate::Lost(_)) => true,
                None => false,
            };
            if !built_in {
                item.fate = Some(Fate::Lost(why.to_owned()));
            }
        }
    }

    /// All items with their fates, in the order of the file.
    ///
    /// # Errors
    /// Something has none.
    pub fn finish(self) -> Result<Vec<(usize, Item, Fate)>, Unaccounted> {
        let open = self.items.values().filter(|item| item.fate.is_none());
        let paths: Vec<String> = open.map(|item| item.path.clone()).collect();
        if !paths.is_empty() || !self.stray.is_empty() {
            let stray = self.stray.len();
            return Err(Unaccounted { paths, stray });
        }
        let told = self.items.into_iter();
        Ok(told
            .filter_map(|(at, item)| Some((at, item.clone(), item.fate?)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.add(0, Kind::Element, "a".to_owned(), String::new());
        ledger.add(3, Kind::Attribute, "a/@b".to_owned(), "1".to_owned());
        ledger
    }

    #[test]
    fn what_has_no_fate_is_named() {
        let mut ledger = ledger();
        ledger.mapped(0, "x".to_owned());

        let error = ledger.finish().unwrap_err();

        assert_eq!(error.paths, ["a/@b"]);
        assert!(error.to_string().contains("a/@b"));
    }

    #[test]
    fn a_fate_of_nothing_is_an_error() {
        let mut ledger = ledger();
        ledger.mapped(0, "x".to_owned());
        ledger.mapped(3, "x".to_owned());
        ledger.lost(7, "x".to_owned());

        assert_eq!(ledger.finish().unwrap_err().stray, 1);
    }

    #[test]
    fn of_several_uses_the_worst_counts() {
        let mut ledger = ledger();
        ledger.lost(0, "no".to_owned());
        ledger.mapped(0, "yes".to_owned());
        ledger.mapped(3, "yes".to_owned());
        ledger.approximated(3, "nearly".to_owned());

        let told = ledger.finish().unwrap();

        assert_eq!(told[0].2, Fate::Lost("no".to_owned()));
        assert_eq!(told[1].2, Fate::Approximated("nearly".to_owned()));
    }
}
