//! The list of what became of an input file, as text for people or data for scripts.

use std::fmt::Write as _;

use policy::report::{Report, Span};
use serde::Serialize;

use super::ledger::{Fate, Kind, Ledger, Unaccounted};

/// Characters of a value shown.
const SHOWN: usize = 40;

/// What became of one element, attribute or text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What it is.
    pub kind: Kind,
    /// Where in the tree: `zones/zone[2]/@name`.
    pub path: String,
    /// Value of an attribute or text.
    pub value: String,
    /// What became of it, and the note to that.
    #[serde(flatten)]
    pub fate: Fate,
}

/// How many of a file's items became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Elements, attributes, texts and processing instructions.
    pub all: usize,
    /// Say the same in the policy.
    pub mapped: usize,
    /// Nearly the same.
    pub approximated: usize,
    /// Nothing.
    pub lost: usize,
}

/// Everything of one file, in its order. `mapped + approximated + lost = all`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The sums.
    pub counts: Counts,
    /// The items.
    pub items: Vec<Listed>,
}

impl Listing {
    /// The list of a finished import; `all` is how many items the file has, counted apart from it.
    pub(super) fn new(ledger: Ledger, all: usize, text: &str) -> Result<Self, Unaccounted> {
        let told = ledger.finish()?;
        let places = Report::new("", text, Vec::new());
        let mut counts = Counts {
            all,
            ..Counts::default()
        };
        let mut items = Vec::with_capacity(told.len());
        for (at, item, fate) in told {
            *match fate {
                Fate::Mapped(_) => &mut counts.mapped,
                Fate::Approximated(_) => &mut counts.approximated,
                Fate::Lost(_) => &mut counts.lost,
            } += 1;
            let place = places.position(Span::from(at..at));
            items.push(Listed {
                line: place.line,
                column: place.column,
                kind: item.kind,
                path: item.path,
                value: item.value,
                fate,
            });
        }
        if counts.mapped + counts.approximated + counts.lost != all {
            let paths = vec![format!("{} of {all} are listed", items.len())];
            return Err(Unaccounted { paths, stray: 0 });
        }
        Ok(Self { counts, items })
    }

    /// One line an item, what is lost first; then the sums.
    pub fn text(&self, file: &str) -> String {
        let mut out = String::new();
        for (word, is) in [
            ("lost", is_lost as fn(&Fate) -> bool),
            ("approximated", is_approximated),
            ("mapped", is_mapped),
        ] {
            for item in self.items.iter().filter(|item| is(&item.fate)) {
                let _ = writeln!(out, "{word:<13} {file}:{}: {}", item.line, said(item));
            }
        }
        let Counts {
            all,
            mapped,
            approximated,
            lost,
        } = self.counts;
        let _ = writeln!(
            out,
            "{file}: {all} items = {mapped} mapped + {approximated} approximated + {lost} lost"
        );
        out
    }
}

fn is_lost(fate: &Fate) -> bool {
    matches!(fate, Fate::Lost(_))
}

fn is_approximated(fate: &Fate) -> bool {
    matches!(fate, Fate::Approximated(_))
}

fn is_mapped(fate: &Fate) -> bool {
    matches!(fate, Fate::Mapped(_))
}

fn said(item: &Listed) -> String {
    let (Fate::Mapped(note) | Fate::Approximated(note) | Fate::Lost(note)) = &item.fate;
    let value: String = item
        .value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN)
        .collect();
    let more = if item.value.chars().count() > SHOWN { "…" } else { "" };
    match value.is_empty() {
        true => format!("{}: {note}", item.path),
        false => format!("{} `{value}{more}`: {note}", item.path),
    }
}
