//! A document checked against its [`Shape`], and getters for what passed.
//!
//! The check reports every fault of form at once; the getters after it are silent and give nothing for what was faulty, so
//! that reading goes on and finds faults of meaning too. A manifest with errors never becomes a running system.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{At, Finding, Span};
use super::shape::{Key, Kind, Shape};
use super::words;

/// Longest name.
const MAX_NAME: usize = 24;
/// Most tables by name, or entries of a list, in one place.
const MAX_ENTRIES: usize = 64;
/// Most findings kept: a file with more has one mistake that explains the rest.
const MAX_FINDINGS: usize = 500;

/// Parses a text and checks its form; what could be understood is there in any case.
pub fn document<'t>(text: &'t str, shape: &'static Shape) -> (DeTable<'t>, Vec<Finding>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let syntax = |error: &toml::de::Error| {
        let span = error.span().unwrap_or(text.len()..text.len()).into();
        Finding::error("syntax", span, format!("this is not TOML: {}", error.message()))
    };
    let mut findings: Vec<Finding> = errors.iter().map(syntax).collect();
    if findings.is_empty() {
        table(root.get_ref(), Span::default(), shape, &mut findings);
    }
    findings.truncate(MAX_FINDINGS);
    (root.into_inner(), findings)
}

fn table(map: &DeTable<'_>, span: Span, shape: &'static Shape, findings: &mut Vec<Finding>) {
    for Key { name, need, .. } in shape.0 {
        if let Some(cure) = need.filter(|_| !map.contains_key(*name)) {
            findings.push(Finding::error("missing-key", span, format!("`{name}` is missing")).cure(cure));
        }
    }
    for (key, value) in map {
        let name = key.get_ref().as_ref();
        match shape.0.iter().find(|known| known.name == name) {
            Some(known) => conform(value, key.span().into(), known.kind, findings),
            None => {
                let known = || shape.0.iter().map(|key| key.name);
                let found = Finding::error(
                    "unknown-key",
                    key.span().into(),
                    format!("nothing is called `{name}` here"),
                );
                findings.push(
                    found
                        .cause(format!("known: {}", listed(known())))
                        .cure(did_you_mean(name, known())),
                );
            }
        }
    }
}

fn conform(value: &Spanned<DeValue<'_>>, name: Span, kind: Kind, findings: &mut Vec<Finding>) {
    let span = Span::from(value.span());
    let mut wrong =
        |code, message: String, cause: String| findings.push(Finding::error(code, span, message).cause(cause));
    match (kind, value.get_ref()) {
        (Kind::Text, DeValue::String(text)) if !text.is_empty() => {}
        (Kind::Text, DeValue::String(_)) => wrong("out-of-range", "an empty text says nothing".into(), "empty".into()),
        (Kind::Bool, DeValue::Boolean(_)) => {}
        (Kind::Integer(least, most), DeValue::Integer(digits)) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix());
            if !number.is_ok_and(|number| (least..=most).contains(&number)) {
                wrong(
                    "out-of-range",
                    format!("{digits} is out of range"),
                    format!("{least} to {most} is possible"),
                );
            }
        }
        (Kind::Word(words), DeValue::String(word)) => {
            if !words.contains(&word.as_ref()) {
                let known = || words.iter().copied();
                let found = Finding::error("unknown-word", span, format!("`{word}` is not possible here"));
                findings.push(
                    found
                        .cause(format!("possible: {}", listed(known())))
                        .cure(did_you_mean(word, known())),
                );
            }
        }
        (Kind::Size(least, most, step), DeValue::String(text)) => match words::size(text) {
            Err(why) => wrong("bad-value", "this is no size".into(), why),
            Ok(size) if size < least || size > most || !size.is_multiple_of(step) => wrong(
                "out-of-range",
                format!("{text} is out of range"),
                format!(
                    "{} to {} in steps of {}",
                    words::sized(least),
                    words::sized(most),
                    words::sized(step)
                ),
            ),
            Ok(_) => {}
        },
        (Kind::Cpus, DeValue::String(text)) => check(words::cpus(text), "this is no CPU list", wrong),
        (Kind::Pci, DeValue::String(text)) => check(words::pci(text), "this is no PCI address", wrong),
        (Kind::Ports, DeValue::String(text)) => check(words::ports(text), "this is no range of ports", wrong),
        (Kind::Table(shape), DeValue::Table(map)) => table(map, name, shape, findings),
        (Kind::Named(shape), DeValue::Table(map)) => named(map, shape, name, findings),
        (Kind::List(kind), DeValue::Array(items)) => {
            if let Some(surplus) = items.get(MAX_ENTRIES) {
                let message = format!("{} entries: there is room for {MAX_ENTRIES}", items.len());
                findings.push(Finding::error("too-many", surplus.span().into(), message).cause("one too many"));
            }
            for item in items.iter().take(MAX_ENTRIES) {
                conform(item, item.span().into(), *kind, findings);
            }
        }
        (kind, value) => wrong(
            "wrong-type",
            format!("expected {}", wanted(kind)),
            format!("this is: {}", value.type_str()),
        ),
    }
}

fn check<T>(result: Result<T, String>, message: &str, wrong: impl FnOnce(&'static str, String, String)) {
    if let Err(why) = result {
        wrong("bad-value", message.to_owned(), why);
    }
}

fn named(map: &DeTable<'_>, shape: &'static Shape, span: Span, findings: &mut Vec<Finding>) {
    if map.len() > MAX_ENTRIES {
        let message = format!("{} tables: there is room for {MAX_ENTRIES}", map.len());
        findings.push(Finding::error("too-many", span, message));
    }
    for (key, value) in map.iter().take(MAX_ENTRIES) {
        let name: &str = key.get_ref();
        let span = Span::from(key.span());
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(good) {
            let why = format!("a name has 1 to {MAX_NAME} letters, digits, `_` and `-`");
            findings.push(Finding::error("bad-name", span, format!("`{name}` can't be a name")).cause(why));
        }
        conform(value, span, Kind::Table(shape), findings);
    }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Word(_) => "a text",
        Kind::Integer(..) => "an integer",
        Kind::Bool => "`true` or `false`",
        Kind::Size(..) => "a size as text, as \"256M\"",
        Kind::Cpus => "a CPU list as text, as \"0,2-3\"",
        Kind::Pci => "a PCI address as text, as \"0000:00:1f.3\"",
        Kind::Ports => "a range of ports as text, as \"0x70-0x77\"",
        Kind::Table(_) | Kind::Named(_) => "a table",
        Kind::List(_) => "a list",
    }
}

/// `a, b, c`.
pub fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

/// The closest of the words that would have been right, as a cure; empty when none is close.
pub fn did_you_mean<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> String {
    let limit = (wrong.chars().count() / 3).max(1);
    let near = words
        .map(|word| (distance(wrong, word), word))
        .filter(|(distance, _)| *distance <= limit)
        .min();
    near.map(|(_, word)| format!("did you mean `{word}`?"))
        .unwrap_or_default()
}

/// Insertions, deletions and exchanges that make one word of the other. Names are short: `a` is cut.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().take(2 * MAX_NAME).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A table whose form was checked.
#[derive(Clone, Copy)]
pub struct Table<'d> {
    map: &'d DeTable<'d>,
    /// Its name's place.
    pub span: Span,
}

/// A value whose form was checked.
#[derive(Clone, Copy)]
pub struct Value<'d> {
    value: &'d DeValue<'d>,
    /// Its place.
    pub span: Span,
}

impl<'d> Table<'d> {
    /// The outermost.
    pub fn root(map: &'d DeTable<'d>) -> Self {
        Self {
            map,
            span: Span::default(),
        }
    }

    /// A key's value.
    pub fn get(&self, key: &str) -> Option<Value<'d>> {
        self.map.get(key).map(Value::new)
    }

    /// Where a key stands, or the table's name.
    pub fn key(&self, key: &str) -> Span {
        self.map
            .get_key_value(key)
            .map_or(self.span, |(key, _)| key.span().into())
    }

    /// A table under a key.
    pub fn table(&self, key: &str) -> Option<Table<'d>> {
        self.get(key)?.table(self.key(key))
    }

    /// Tables by name under a key, in the order of the file.
    pub fn named(&self, key: &str) -> Vec<(&'d str, Table<'d>)> {
        let Some(DeValue::Table(map)) = self.map.get(key).map(Spanned::get_ref) else {
            return Vec::new();
        };
        let entry = |(name, value): (&'d Spanned<_>, &'d Spanned<DeValue<'d>>)| {
            let text: &'d std::borrow::Cow<'d, str> = name.get_ref();
            Some((text.as_ref(), Value::new(value).table(name.span().into())?))
        };
        let mut entries: Vec<_> = map.iter().take(MAX_ENTRIES).filter_map(entry).collect();
        entries.sort_by_key(|(_, table)| table.span);
        entries
    }

    /// The entries of a list under a key.
    pub fn list(&self, key: &str) -> Vec<Value<'d>> {
        match self.map.get(key).map(Spanned::get_ref) {
            Some(DeValue::Array(items)) => items.iter().take(MAX_ENTRIES).map(Value::new).collect(),
            _ => Vec::new(),
        }
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<At<String>> {
        self.get(key)?.text()
    }

    /// An integer that fits.
    pub fn number<T: TryFrom<i64>>(&self, key: &str) -> Option<At<T>> {
        self.get(key)?.number()
    }

    /// `true` or `false`.
    pub fn bool_or(&self, key: &str, default: bool) -> bool {
        self.get(key).and_then(|value| value.value.as_bool()).unwrap_or(default)
    }

    /// A value read from its words.
    pub fn words<T>(&self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<At<T>> {
        self.get(key)?.words(read)
    }
}

impl<'d> Value<'d> {
    fn new(value: &'d Spanned<DeValue<'d>>) -> Self {
        Self {
            value: value.get_ref(),
            span: value.span().into(),
        }
    }

    /// The table it is.
    pub fn table(&self, span: Span) -> Option<Table<'d>> {
        self.value.as_table().map(|map| Table { map, span })
    }

    /// The text it is.
    pub fn text(&self) -> Option<At<String>> {
        self.value.as_str().map(|text| At::new(text.to_owned(), self.span))
    }

    /// The integer it is.
    pub fn number<T: TryFrom<i64>>(&self) -> Option<At<T>> {
        let digits = self.value.as_integer()?;
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
        Some(At::new(T::try_from(number).ok()?, self.span))
    }

    /// What its words say.
    pub fn words<T>(&self, read: impl Fn(&str) -> Result<T, String>) -> Option<At<T>> {
        Some(At::new(read(self.value.as_str()?).ok()?, self.span))
    }
}
