//! Identity is the name: IDs as clients see them. A name once known keeps its ID, also while a changed file lacks it.

use std::collections::{BTreeMap, BTreeSet};

use crate::Model;
use crate::command::error;

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
        // A static ID was a domain's element's of that name.
        known.retain(|name, id| *id >= FIRST || !present.contains(name.as_str()));
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

/// Names that are not the model's and are remembered at most; those in use are never forgotten.
const MAX_OTHERS: usize = 256;

impl Table {
    /// Whether a name has this ID.
    pub fn is_known(&self, id: u16) -> bool {
        self.known.values().any(|known| *known == id)
    }

    /// The ID of a name that is to be registered: `wanted` (1 to 100), or with 0 the one it has or a new one.
    ///
    /// # Errors
    /// 7 `wanted` is over 100, or too many are in use; 5 the name or `wanted` is in use.
    pub fn claim(&mut self, name: &str, wanted: u16, live: impl Fn(u16) -> bool) -> Result<u16, i16> {
        if wanted >= FIRST {
            return Err(error::NOT_POSSIBLE);
        }
        let used = |id: u16| live(id) || self.by_index.contains(&id);
        let known = self.known.get(name).copied();
        if known.is_some_and(used) || (wanted != 0 && used(wanted)) {
            return Err(error::ALREADY_EXISTS);
        }
        if wanted == 0 || known == Some(wanted) {
            return self.reserve(name, live);
        }
        self.make_room(&live)?;
        self.known.retain(|_, id| *id != wanted);
        self.known.insert(name.to_owned(), wanted);
        Ok(wanted)
    }

    /// The ID of a name, a new one if it isn't known.
    ///
    /// # Errors
    /// 7 too many are in use.
    pub fn reserve(&mut self, name: &str, live: impl Fn(u16) -> bool) -> Result<u16, i16> {
        if let Some(id) = self.known.get(name) {
            return Ok(*id);
        }
        self.make_room(&live)?;
        let taken: BTreeSet<u16> = self.known.values().copied().collect();
        let id = (FIRST..=LAST)
            .find(|id| !taken.contains(id))
            .ok_or(error::NOT_POSSIBLE)?;
        self.known.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Forgets a name that nobody uses, if there is no room for one more.
    fn make_room(&mut self, live: &impl Fn(u16) -> bool) -> Result<(), i16> {
        if self.known.len() < self.by_index.len() + MAX_OTHERS {
            return Ok(());
        }
        let unused = self
            .known
            .iter()
            .filter(|(_, id)| !live(**id) && !self.by_index.contains(id));
        let oldest = unused.min_by_key(|(_, id)| **id).map(|(name, _)| name.clone());
        let oldest = oldest.ok_or(error::NOT_POSSIBLE)?;
        self.known.remove(&oldest);
        Ok(())
    }
}

/// All of a machine's IDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    pub sources: Table,
    pub sinks: Table,
    pub classes: Table,
    pub domains: Table,
    pub gateways: Table,
    pub converters: Table,
    pub crossfaders: Table,
}

impl Ids {
    /// Those of the model, in its order from 101; names in `before` keep theirs.
    pub fn new(model: &Model, before: Self) -> Self {
        Self {
            sources: Table::new(model.sources.iter().map(|it| it.name.as_str()), before.sources.known),
            sinks: Table::new(model.sinks.iter().map(|it| it.name.as_str()), before.sinks.known),
            classes: Table::new(model.classes.iter().map(|it| it.name.as_str()), before.classes.known),
            domains: before.domains,
            gateways: before.gateways,
            converters: before.converters,
            crossfaders: before.crossfaders,
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
            ..Self::default()
        }
    }

    /// Names of what only domains have: domains, gateways, converters, crossfaders.
    pub fn of_domains(&self) -> [&BTreeMap<String, u16>; 4] {
        [&self.domains, &self.gateways, &self.converters, &self.crossfaders].map(|table| &table.known)
    }

    /// See [`Ids::of_domains`].
    pub fn set_of_domains(&mut self, known: [BTreeMap<String, u16>; 4]) {
        let tables = [
            &mut self.domains,
            &mut self.gateways,
            &mut self.converters,
            &mut self.crossfaders,
        ];
        for (table, known) in tables.into_iter().zip(known) {
            table.known = known;
        }
    }
}
