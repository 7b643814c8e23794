//! Identity is the name: IDs as clients see them. A name once known keeps its ID, also while a changed file lacks it.

use std::collections::{BTreeMap, BTreeSet};

use crate::Model;

/// First dynamic ID (`DYNAMIC_ID_BOUNDARY`).
pub(super) const FIRST: u16 = 101;
/// Last dynamic ID.
pub(super) const LAST: u16 = 32767;

/// One kind of element: names ever known, and the model's by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub known: BTreeMap<String, u16>,
    by_index: Vec<u16>,
}

impl Table {
    fn new<'a>(names: impl Iterator<Item = &'a str> + Clone, mut known: BTreeMap<String, u16>) -> Self {
        let present: BTreeSet<&str> = names.clone().collect();
        if known.len() + present.len() > usize::from(LAST - FIRST) {
            known.retain(|name, _| present.contains(name.as_str()));
        }
        let mut used: BTreeSet<u16> = known.values().copied().collect();
        let mut free = FIRST..=LAST;
        let mut by_index = Vec::new();
        for name in names {
            let id = match known.get(name) {
                Some(id) => *id,
                // 0, which nobody can address, should a model have more than 32,000 elements.
                None => free.find(|id| !used.contains(id)).unwrap_or(0),
            };
            used.insert(id);
            known.insert(name.to_owned(), id);
            by_index.push(id);
        }
        Self { known, by_index }
    }

    pub fn id(&self, index: usize) -> Option<u16> {
        self.by_index.get(index).copied()
    }

    pub fn index(&self, id: u16) -> Option<usize> {
        self.by_index.iter().position(|known| *known == id && id != 0)
    }
}

/// All of a machine's IDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pub sources: Table,
    pub sinks: Table,
    pub classes: Table,
}

impl Ids {
    /// Those of the model, in its order from 101; names in `before` keep theirs.
    pub fn new(model: &Model, before: Self) -> Self {
        Self {
            sources: Table::new(model.sources.iter().map(|it| it.name.as_str()), before.sources.known),
            sinks: Table::new(model.sinks.iter().map(|it| it.name.as_str()), before.sinks.known),
            classes: Table::new(model.classes.iter().map(|it| it.name.as_str()), before.classes.known),
        }
    }

    /// What a snapshot knew.
    pub fn known(sources: BTreeMap<String, u16>, sinks: BTreeMap<String, u16>, classes: BTreeMap<String, u16>) -> Self {
        let table = |known| Table {
            known,
            by_index: Vec::new(),
        };
        Self {
            sources: table(sources),
            sinks: table(sinks),
            classes: table(classes),
        }
    }
}
