//! Tables and values with their places, and getters that report what they don't find.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Document, MAX_ELEMENT, MAX_ENTRIES, MAX_NAME, MAX_TABLES, Naming, Shape, code, did_you_mean, listed};
use crate::report::{Diagnostic, Span};
use crate::{Db10, MUTE};

/// Something read, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// What.
    pub value: T,
    /// Where.
    pub span: Span,
}

/// A table of the document.
#[derive(Clone, Copy)]
pub struct Table<'d> {
    doc: &'d Document<'d>,
    map: &'d DeTable<'d>,
    /// Where a key is that this one doesn't have.
    base: Option<&'d DeTable<'d>>,
    span: Span,
}

/// A named table, e.g. `[zones.cabin]`.
#[derive(Clone, Copy)]
pub struct Entry<'d> {
    /// Its name.
    pub name: &'d str,
    /// Where the name stands.
    pub span: Span,
    /// The table.
    pub table: Table<'d>,
}

/// A named value, e.g. `front = [0, 1]`.
#[derive(Clone, Copy)]
pub struct Item<'d> {
    /// Its name.
    pub name: &'d str,
    /// Where the name stands.
    pub span: Span,
    /// The value.
    pub value: Value<'d>,
}

/// A value of the document.
#[derive(Clone, Copy)]
pub struct Value<'d> {
    doc: &'d Document<'d>,
    value: &'d DeValue<'d>,
    /// Where it stands.
    pub span: Span,
}

impl<'d> Table<'d> {
    pub(super) fn root(doc: &'d Document<'d>, map: &'d DeTable<'d>) -> Self {
        Self {
            doc,
            map,
            base: None,
            span: Span::default(),
        }
    }

    /// The document.
    pub fn doc(&self) -> &'d Document<'d> {
        self.doc
    }

    /// Where to point when something of the whole table is wrong: its name.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The value of a key, if it is there; the key is known from now on.
    pub fn get(&self, key: &'static str) -> Option<Value<'d>> {
        self.doc.note_asked(self.map, key);
        let value = self.map.get(key).or_else(|| self.base?.get(key))?;
        Some(Value::new(self.doc, value))
    }

    /// Where a key stands.
    pub fn key_span(&self, key: &str) -> Option<Span> {
        let found = self.map.get_key_value(key).or_else(|| self.base?.get_key_value(key));
        found.map(|(key, _)| key.span().into())
    }

    /// The same table; what it doesn't say, `base` says.
    #[must_use]
    pub fn like(self, base: &Table<'d>) -> Self {
        Self {
            base: Some(base.map),
            ..self
        }
    }

    /// The value of a key that must be there; `cure` is what to write.
    pub fn need(&self, key: &'static str, cure: &str) -> Option<Value<'d>> {
        self.doc.note_needed(self.map, key);
        let value = self.get(key);
        if value.is_none() {
            self.doc.push(
                Diagnostic::error(code::MISSING_KEY, self.span, format!("`{key}` is missing"))
                    .label(format!("has no `{key}`"))
                    .help(cure),
            );
        }
        value
    }

    /// An integer within a range.
    pub fn integer(&self, key: &'static str, range: RangeInclusive<i64>) -> Option<Found<i64>> {
        self.get(key)?.integer(range)
    }

    /// An unsigned integer within a range, or a default.
    pub fn u32_or(&self, key: &'static str, range: RangeInclusive<u32>, default: u32) -> u32 {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        self.integer(key, range)
            .and_then(|found| u32::try_from(found.value).ok())
            .unwrap_or(default)
    }

    /// `true` or `false`, or a default.
    pub fn bool_or(&self, key: &'static str, default: bool) -> bool {
        self.get(key)
            .and_then(|value| value.boolean())
            .map_or(default, |found| found.value)
    }

    /// A gain of at most 0 dB, or a default.
    pub fn gain_or(&self, key: &'static str, default: Db10) -> Db10 {
        self.get(key)
            .and_then(|value| value.gain())
            .map_or(default, |found| found.value)
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<Found<T>> {
        self.get(key)?.word(words)
    }

    /// Named tables under a key, in the order of the file. Names are checked.
    pub fn entries(&self, key: &'static str) -> Vec<Entry<'d>> {
        self.named(key, Self::check_name, Naming::Plain)
    }

    /// As [`Self::entries`], with the names that other programs have: any characters but control characters.
    pub fn elements(&self, key: &'static str) -> Vec<Entry<'d>> {
        self.named(key, Self::check_element, Naming::Element)
    }

    fn named(&self, key: &'static str, check: fn(&Self, &str, Span), naming: Naming) -> Vec<Entry<'d>> {
        let items = self.items_named(key, check, naming).into_iter();
        let tables = items.filter_map(|Item { name, span, value }| {
            let map = value.table()?.map;
            Some(Entry {
                name,
                span,
                table: Table {
                    doc: self.doc,
                    map,
                    base: None,
                    span,
                },
            })
        });
        tables.collect()
    }

    /// Named values under a key, in the order of the file. Names are checked.
    pub fn values(&self, key: &'static str) -> Vec<Item<'d>> {
        self.items_named(key, Self::check_name, Naming::Plain)
    }

    fn items_named(&self, key: &'static str, check: fn(&Self, &str, Span), naming: Naming) -> Vec<Item<'d>> {
        let Some(table) = self.get(key).and_then(|value| value.table()) else {
            return Vec::new();
        };
        self.doc.note_open(table.map, naming);
        if table.map.len() > MAX_ENTRIES {
            let message = format!("{} {key}: there is room for {MAX_ENTRIES}", table.map.len());
            let span = self.key_span(key).unwrap_or(self.span);
            self.doc
                .push(Diagnostic::error(code::TOO_MANY, span, message).label("the first of them"));
        }
        let items = table.map.iter().take(MAX_ENTRIES).map(|(name, value)| {
            let span = name.span().into();
            check(self, name.get_ref(), span);
            Item {
                name: name.get_ref().as_ref(),
                span,
                value: Value::new(self.doc, value),
            }
        });
        let mut items: Vec<Item<'d>> = items.collect();
        items.sort_by_key(|item| item.span);
        items
    }

    fn check_name(&self, name: &str, span: Span) {
        let cause = if name.is_empty() || name.chars().count() > MAX_NAME {
            format!("a name has 1 to {MAX_NAME} characters")
        } else if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        {
            "a name has letters, digits, `_` and `-` only".to_owned()
        } else {
            return;
        };
        self.doc
            .push(Diagnostic::error(code::BAD_NAME, span, format!("`{name}` can't be a name")).label(cause));
    }

    fn check_element(&self, name: &str, span: Span) {
        let cause = if name.is_empty() || name.len() > MAX_ELEMENT {
            format!("a name has 1 to {MAX_ELEMENT} bytes")
        } else if name.chars().any(char::is_control) {
            "a name has no control characters".to_owned()
        } else {
            return;
        };
        let shown = name.escape_debug();
        self.doc
            .push(Diagnostic::error(code::BAD_NAME, span, format!("`{shown}` can't be a name")).label(cause));
    }

    /// The tables of an array of tables, e.g. `[[matrix]]`.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'d>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        self.doc.note_shape(value.value, || Shape::List);
        match value.value {
            DeValue::Array(items) => {
                if let Some(surplus) = items.get(MAX_TABLES) {
                    let message = format!("{} [[{key}]]: there is room for {MAX_TABLES}", items.len());
                    let found = Diagnostic::error(code::TOO_MANY, surplus.span().into(), message);
                    self.doc.push(found.label("one too many"));
                }
                let items = items.iter().take(MAX_TABLES);
                items.filter_map(|item| Value::new(self.doc, item).table()).collect()
            }
            _ => {
                self.doc
                    .push(value.wrong_type(&format!("an array of tables: `[[{key}]]`")));
                Vec::new()
            }
        }
    }
}

impl<'d> Value<'d> {
    fn new(doc: &'d Document<'d>, value: &'d Spanned<DeValue<'d>>) -> Self {
        Self {
            doc,
            value: value.get_ref(),
            span: value.span().into(),
        }
    }

    fn wrong_type(&self, wanted: &str) -> Diagnostic {
        let is = self.value.type_str();
        let article = if is.starts_with(['a', 'i']) { "an" } else { "a" };
        Diagnostic::error(code::WRONG_TYPE, self.span, format!("expected {wanted}"))
            .label(format!("this is {article} {is}"))
    }

    fn wrong<T>(&self, wanted: &str) -> Option<T> {
        self.doc.push(self.wrong_type(wanted));
        None
    }

    fn found<T>(&self, value: T) -> Option<Found<T>> {
        Some(Found { value, span: self.span })
    }

    /// Adds a finding.
    pub fn push(&self, found: Diagnostic) {
        self.doc.push(found);
    }

    /// Reports that it is beyond its limits.
    pub fn out_of_range<T>(&self, message: impl Into<String>, cause: impl Into<String>) -> Option<T> {
        self.doc
            .push(Diagnostic::error(code::OUT_OF_RANGE, self.span, message).label(cause));
        None
    }

    /// A string that is not empty.
    pub fn text(&self) -> Option<Found<&'d str>> {
        self.note(|| Shape::Text);
        self.plain_text()
    }

    fn note(&self, shape: impl FnOnce() -> Shape) {
        self.doc.note_shape(self.value, shape);
    }

    fn plain_text(&self) -> Option<Found<&'d str>> {
        match self.value {
            DeValue::String(text) if text.is_empty() => self.out_of_range("an empty string says nothing", "empty"),
            DeValue::String(text) => self.found(text.as_ref()),
            _ => self.wrong("a string"),
        }
    }

    /// Whether it is `"*"`, where a name or a list of names goes too.
    pub fn is_star(&self) -> bool {
        self.note(|| Shape::Text);
        self.note(|| Shape::Items);
        matches!(self.value, DeValue::String(text) if text == "*")
    }

    /// It may be a string, whatever it is: an expression.
    pub(super) fn may_be_text(&self) {
        self.note(|| Shape::Text);
    }

    /// It may be a list of what it is.
    pub(super) fn may_be_list(&self) {
        self.note(|| Shape::Items);
    }

    /// Whether it is a string.
    pub fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// An integer within a range.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Option<Found<i64>> {
        self.note(|| Shape::Integer(*range.start(), *range.end()));
        let DeValue::Integer(digits) = self.value else {
            return self.wrong("an integer");
        };
        let limits = || format!("{} to {} is possible", range.start(), range.end());
        match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) if range.contains(&number) => self.found(number),
            _ => self.out_of_range(format!("{digits} is out of range"), limits()),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<Found<bool>> {
        self.note(|| Shape::Boolean);
        match self.value {
            DeValue::Boolean(value) => self.found(*value),
            _ => self.wrong("`true` or `false`"),
        }
    }

    fn number(&self) -> Option<f64> {
        match self.value {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .map(|number| number as f64),
            DeValue::Float(digits) => digits.as_str().parse().ok(),
            _ => self.wrong("a number"),
        }
    }

    /// A number within a range, in thousandths, that may be less than 0.
    pub fn thousandths_signed(&self, range: RangeInclusive<f64>) -> Option<Found<i32>> {
        self.note(|| Shape::number(&range));
        let number = self.number()?;
        if range.contains(&number) {
            return self.found((number * 1000.0).round() as i32);
        }
        let limits = format!("{} to {} is possible", range.start(), range.end());
        self.out_of_range(format!("{number} is out of range"), limits)
    }

    /// A number within a range, in thousandths.
    pub fn thousandths(&self, range: RangeInclusive<f64>) -> Option<Found<u32>> {
        self.note(|| Shape::number(&range));
        let number = self.number()?;
        if range.contains(&number) {
            self.found((number * 1000.0).round() as u32)
        } else {
            let limits = format!("{} to {} is possible", range.start(), range.end());
            self.out_of_range(format!("{number} is out of range"), limits)
        }
    }

    /// A gain in dB, -100 to 0, or `"mute"`.
    pub fn gain(&self) -> Option<Found<Db10>> {
        self.note(|| Shape::Gain);
        if matches!(self.value, DeValue::String(word) if word == "mute") {
            return self.found(MUTE);
        }
        let decibels = self.number()?;
        if (-100.0..=0.0).contains(&decibels) {
            return self.found((decibels * 10.0).round() as Db10);
        }
        let report = Diagnostic::error(code::OUT_OF_RANGE, self.span, format!("{decibels} dB is out of range"))
            .label("-100 to 0 dB is possible: nothing is made louder than its guest made it");
        let negative = (0.0..=100.0)
            .contains(&decibels)
            .then(|| format!("did you mean {}?", -decibels));
        self.doc.push(report.maybe_help(negative));
        None
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<Found<T>> {
        self.note(|| Shape::Words(words.iter().map(|(word, _)| (*word).to_owned()).collect()));
        let text = self.plain_text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return self.found(*value);
        }
        let known = || words.iter().map(|(word, _)| *word);
        self.doc.push(
            Diagnostic::error(
                code::UNKNOWN_WORD,
                self.span,
                format!("`{}` is not possible here", text.value),
            )
            .label(format!("possible: {}", listed(known())))
            .maybe_help(did_you_mean(text.value, known())),
        );
        None
    }

    /// The index of the thing of kind `what` that has this name.
    pub fn name_of(&self, what: &str, plural: &str, names: &[&str]) -> Option<Found<usize>> {
        let text = self.text()?;
        if let Some(index) = names.iter().position(|name| *name == text.value) {
            return self.found(index);
        }
        self.doc.push(
            Diagnostic::error(
                code::UNKNOWN_NAME,
                self.span,
                format!("there is no {what} `{}`", text.value),
            )
            .label(format!("{plural}: {}", listed(names.iter().copied())))
            .maybe_help(did_you_mean(text.value, names.iter().copied())),
        );
        None
    }

    /// The values of a list; a single value is a list of one.
    pub fn items(&self) -> Vec<Value<'d>> {
        self.note(|| Shape::Items);
        match self.value {
            DeValue::Array(items) => items.iter().map(|item| Value::new(self.doc, item)).collect(),
            _ => vec![*self],
        }
    }

    /// The values of a list, which it must be.
    pub fn list(&self, wanted: &str) -> Option<Vec<Value<'d>>> {
        self.note(|| Shape::List);
        match self.value {
            DeValue::Array(items) => Some(items.iter().map(|item| Value::new(self.doc, item)).collect()),
            _ => self.wrong(wanted),
        }
    }

    /// The table it is.
    pub fn table(&self) -> Option<Table<'d>> {
        self.note(|| Shape::Table);
        match self.value {
            DeValue::Table(map) => {
                // Known from now on, so that keys nobody asks for are found even when nobody asks for any.
                self.doc.note_table(map);
                Some(Table {
                    doc: self.doc,
                    map,
                    base: None,
                    span: self.span,
                })
            }
            _ => self.wrong("a table"),
        }
    }

    /// Several names of things, each once.
    pub fn names_of(&self, what: &str, plural: &str, names: &[&str]) -> Vec<Found<usize>> {
        let mut found: Vec<Found<usize>> = Vec::new();
        for item in self.items() {
            let Some(name) = item.name_of(what, plural, names) else {
                continue;
            };
            match found.iter().find(|earlier| earlier.value == name.value) {
                Some(earlier) => self.doc.push(
                    Diagnostic::error(code::DUPLICATE, name.span, format!("this {what} is named twice"))
                        .label("again here")
                        .see(earlier.span, "first here"),
                ),
                None => found.push(name),
            }
        }
        found
    }
}
