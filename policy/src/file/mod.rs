//! The file that describes everything: TOML with places, read key by key, so that all mistakes are found at once.
//!
//! Two readers walk one [`Document`]: this crate's, for the policy ([`read`]), and the daemon's, for codecs, guests and sockets.
//! Each asks the tables for the keys it knows; what nobody asked for is an unknown key when the document is
//! [finished](Document::finish). A getter that doesn't find what it wants reports it and gives `None`, and the reader goes on
//! with something harmless: a document with errors never becomes a model.

mod changes;
mod domains;
mod matrix;
mod model;
mod placed;
mod properties;
mod routing;
mod rules;
mod schema;
mod suggest;
mod suspicious;
mod table;
mod usage;
mod ways;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};

use crate::report::{Diagnostic, Report, Severity, Span};

pub use changes::{Change, changes};
pub use model::{is_capture, read};
#[cfg(test)]
pub(crate) use rules::read as read_rules;
use schema::{Naming, Seen, Shape};
pub use suggest::{closest, did_you_mean, listed};
pub use table::{Entry, Found, Item, Table, Value};

/// Kinds of findings; stable, for scripts.
pub mod code {
    /// Not TOML.
    pub const SYNTAX: &str = "syntax";
    /// A key that nothing reads.
    pub const UNKNOWN_KEY: &str = "unknown-key";
    /// A key that must be there.
    pub const MISSING_KEY: &str = "missing-key";
    /// A value of another type.
    pub const WRONG_TYPE: &str = "wrong-type";
    /// A number, list or text beyond its limits.
    pub const OUT_OF_RANGE: &str = "out-of-range";
    /// A word that is none of the allowed ones.
    pub const UNKNOWN_WORD: &str = "unknown-word";
    /// A name that nothing in the file has.
    pub const UNKNOWN_NAME: &str = "unknown-name";
    /// A name that can't be one.
    pub const BAD_NAME: &str = "bad-name";
    /// Given twice.
    pub const DUPLICATE: &str = "duplicate";
    /// Things that don't go together.
    pub const CONFLICT: &str = "conflict";
    /// Something that would reach a safety source.
    pub const SAFETY: &str = "safety";
    /// More than there is room for.
    pub const TOO_MANY: &str = "too-many";
    /// Another file that can't be used.
    pub const FILE: &str = "file";
    /// Has no effect.
    pub const NO_EFFECT: &str = "no-effect";
    /// Never used.
    pub const UNUSED: &str = "unused";
    /// Classes that duck each other.
    pub const DUCK_CYCLE: &str = "duck-cycle";
    /// A condition or value that can't be read.
    pub const EXPRESSION: &str = "expression";
    /// Can't happen: a rule that nothing sets off, a way that leads nowhere.
    pub const NEVER: &str = "never";
    /// Others that go before leave nothing to it.
    pub const SHADOWED: &str = "shadowed";
    /// Holds, and nothing ends it.
    pub const FOR_EVER: &str = "for-ever";
    /// Not heard, and nothing says that this is meant.
    pub const SILENT: &str = "silent";
    /// Priorities that decide nothing.
    pub const PRIORITY: &str = "priority";
    /// A safety class promises what the matrix doesn't keep.
    pub const PROMISE: &str = "promise";
    /// A value that becomes another, since there is none such.
    pub const BEYOND: &str = "beyond";
    /// Comes when it is of no use any more.
    pub const LATE: &str = "late";
    /// A stock driver can't do what the role needs.
    pub const PERIOD: &str = "period";
    /// Can't be changed while the daemon runs.
    pub const RESTART: &str = "restart";
}

/// Longest file read, bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Named tables read in one place, e.g. classes.
pub const MAX_ENTRIES: usize = 64;
/// Tables read of one array of tables.
pub const MAX_TABLES: usize = 512;
/// Findings kept; a file with more has one mistake that explains the rest.
const MAX_FINDINGS: usize = 1000;
/// Longest name, characters.
pub const MAX_NAME: usize = 32;
/// Longest name of a domain and of what is in it, bytes.
pub const MAX_ELEMENT: usize = 128;

/// A parsed file while it is being read.
pub struct Document<'i> {
    text: &'i str,
    /// Boxed: tables are known by their addresses.
    root: Box<DeTable<'i>>,
    notes: RefCell<Notes>,
}

#[derive(Default)]
struct Notes {
    findings: Vec<Diagnostic>,
    /// What is told only if there is no error: it may be its consequence.
    doubts: Vec<Diagnostic>,
    /// The keys asked for, by the address of the table; `None` = any key goes.
    asked: BTreeMap<usize, Option<BTreeSet<&'static str>>>,
    /// The text was not TOML.
    broken: bool,
    /// What was asked for, if somebody watches.
    seen: Option<Seen>,
}

fn address(table: &DeTable<'_>) -> usize {
    std::ptr::from_ref(table).addr()
}

impl<'i> Document<'i> {
    /// Parses a text; syntax errors are kept, and what could be understood in spite of them is there.
    pub fn parse(text: &'i str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let end = Span::from(text.len()..text.len());
        let findings: Vec<Diagnostic> = errors
            .iter()
            .take(MAX_FINDINGS)
            .map(|error| {
                let span = error.span().map_or(end, Span::from);
                Diagnostic::error(code::SYNTAX, span, format!("this is not TOML: {}", error.message()))
            })
            .collect();
        Self {
            text,
            root: Box::new(root.into_inner()),
            notes: RefCell::new(Notes {
                broken: !findings.is_empty(),
                findings,
                ..Notes::default()
            }),
        }
    }

    /// As [`Self::parse`], and what readers ask for is noted: see [`Self::schema`].
    pub fn watched(text: &'i str) -> Self {
        let document = Self::parse(text);
        document.notes.borrow_mut().seen = Some(Seen::default());
        document
    }

    /// The outermost table.
    pub fn root(&self) -> Table<'_> {
        Table::root(self, &self.root)
    }

    /// Adds a finding.
    pub fn push(&self, found: Diagnostic) {
        let findings = &mut self.notes.borrow_mut().findings;
        if findings.len() < MAX_FINDINGS {
            findings.push(found);
        }
    }

    /// Adds a finding that counts only if nothing is wrong.
    pub fn doubt(&self, found: Diagnostic) {
        let doubts = &mut self.notes.borrow_mut().doubts;
        if doubts.len() < MAX_FINDINGS {
            doubts.push(found);
        }
    }

    /// Whether an error was found so far.
    pub fn has_errors(&self) -> bool {
        let findings = &self.notes.borrow().findings;
        findings.iter().any(|found| found.severity == Severity::Error)
    }

    /// Whether so much was found that no more is kept.
    pub fn is_full(&self) -> bool {
        self.notes.borrow().findings.len() >= MAX_FINDINGS
    }

    /// Line of a place, from 1.
    pub fn line(&self, span: Span) -> u32 {
        let before = self.text.as_bytes().iter().take(span.start);
        u32::try_from(before.filter(|&&byte| byte == b'\n').count()).unwrap_or(u32::MAX - 1) + 1
    }

    fn note_asked(&self, table: &DeTable<'_>, key: &'static str) {
        let mut notes = self.notes.borrow_mut();
        if let Some(keys) = notes
            .asked
            .entry(address(table))
            .or_insert_with(|| Some(BTreeSet::new()))
        {
            keys.insert(key);
        }
    }

    fn note_shape(&self, value: &DeValue<'_>, shape: impl FnOnce() -> Shape) {
        if let Some(seen) = &mut self.notes.borrow_mut().seen {
            let shapes = seen.shapes.entry(std::ptr::from_ref(value).addr()).or_default();
            shapes.insert(shape());
        }
    }

    fn note_needed(&self, table: &DeTable<'_>, key: &'static str) {
        if let Some(seen) = &mut self.notes.borrow_mut().seen {
            seen.needed.entry(address(table)).or_default().insert(key);
        }
    }

    fn note_table(&self, table: &DeTable<'_>) {
        let mut notes = self.notes.borrow_mut();
        notes
            .asked
            .entry(address(table))
            .or_insert_with(|| Some(BTreeSet::new()));
    }

    fn note_open(&self, table: &DeTable<'_>, naming: Naming) {
        let mut notes = self.notes.borrow_mut();
        notes.asked.insert(address(table), None);
        if let Some(seen) = &mut notes.seen {
            seen.naming.insert(address(table), naming);
        }
    }

    /// Looks for keys that nobody asked for and gives everything that was found, without what may only be its consequence:
    /// what is suspicious when something is wrong, what is unused when something is missing or misspelt, what is missing when the
    /// text was not even TOML.
    pub fn finish(self, file: &str) -> Report {
        let Notes {
            mut findings,
            doubts,
            asked,
            broken,
            seen: _,
        } = self.notes.into_inner();
        unknown_keys(&self.root, &asked, &mut findings);
        if findings.iter().all(|found| found.severity == Severity::Warning) {
            findings.extend(doubts);
        }
        let causes = [code::UNKNOWN_NAME, code::MISSING_KEY, code::WRONG_TYPE];
        if findings.iter().any(|found| causes.contains(&found.code)) {
            findings.retain(|found| found.code != code::UNUSED);
        }
        if broken {
            let broken: Vec<Span> = (findings.iter())
                .filter(|found| found.code == code::SYNTAX)
                .map(|found| found.span)
                .collect();
            findings.retain(|found| match found.code {
                code::SYNTAX => true,
                code::MISSING_KEY | code::UNKNOWN_NAME => false,
                _ => found.severity == Severity::Error && !broken.contains(&found.span),
            });
        }
        Report::new(file, self.text, findings)
    }
}

fn unknown_keys(
    table: &DeTable<'_>,
    asked: &BTreeMap<usize, Option<BTreeSet<&'static str>>>,
    findings: &mut Vec<Diagnostic>,
) {
    let known = asked.get(&address(table));
    for (key, value) in table {
        if let Some(Some(known)) = known
            && findings.len() < 2 * MAX_FINDINGS
            && !known.contains(key.get_ref().as_ref())
        {
            findings.push(
                Diagnostic::error(
                    code::UNKNOWN_KEY,
                    key.span().into(),
                    format!("nothing is called `{}` here", key.get_ref()),
                )
                .label(format!("known: {}", listed(known.iter().copied())))
                .maybe_help(did_you_mean(key.get_ref(), known.iter().copied())),
            );
        }
        inside(value.get_ref(), asked, findings);
    }
}

fn inside(
    value: &DeValue<'_>,
    asked: &BTreeMap<usize, Option<BTreeSet<&'static str>>>,
    findings: &mut Vec<Diagnostic>,
) {
    match value {
        DeValue::Table(table) => unknown_keys(table, asked, findings),
        DeValue::Array(items) => items.iter().for_each(|item| inside(item.get_ref(), asked, findings)),
        _ => {}
    }
}
