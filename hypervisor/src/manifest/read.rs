//! A document checked against its [`Shape`], and getters for what passed.
//!
//! The check reports every fault of form at once; the getters after it are silent and give nothing for what was faulty, so
//! that reading goes on and finds faults of meaning too. A manifest with errors never becomes a running system.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{At, Finding, Findings, Span};
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
    let mut findings = Findings::default();
    for error in &errors {
        let span = error.span().unwrap_or(text.len()..text.len()).into();
        findings.error("syntax", span, format!("this is not TOML: {}", error.message()));
    }
    if errors.is_empty() {
        table(root.get_ref(), Span::default(), shape, &mut findings);
    }
    findings.0.truncate(MAX_FINDINGS);
    (root.into_inner(), findings.0)
}

fn table(map: &DeTable<'_>, span: Span, shape: &'static Shape, findings: &mut Findings) {
    for Key { name, need, .. } in shape.0 {
        if let Some(cure) = need.filter(|_| !map.contains_key(*name)) {
            let found = findings.error("missing-key", span, format!("`{name}` is missing"));
            found.cure(cure);
        }
    }
    for (key, value) in map {
        let name = key.get_ref().as_ref();
        if let Some(known) = shape.0.iter().find(|known| known.name == name) {
            conform(value, key.span().into(), known.kind, findings);
            continue;
        }
        let known = shape.0.iter().map(|key| key.name);
        findings
            .error(
                "unknown-key",
                key.span().into(),
                format!("nothing is called `{name}` here"),
            )
            .cause(format!("known: {}", listed(known.clone())))
            .cure(did_you_mean(name, known));
    }
}

fn conform(value: &Spanned<DeValue<'_>>, name: Span, kind: Kind, findings: &mut Findings) {
    let span = Span::from(value.span());
    let (code, message, cause) = match (kind, value.get_ref()) {
        (Kind::Text, DeValue::String(text)) if !text.is_empty() => return,
        (Kind::Bool, DeValue::Boolean(_)) => return,
        (Kind::Text, DeValue::String(_)) => ("out-of-range", "an empty text says nothing".to_owned(), "empty".into()),
        (Kind::Integer(least, most), DeValue::Integer(digits)) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix());
            if number.is_ok_and(|number| (least..=most).contains(&number)) {
                return;
            }
            let range = format!("{least} to {most} is possible");
            ("out-of-range", format!("{digits} is out of range"), range)
        }
        (Kind::Word(words), DeValue::String(word)) => {
            if !words.contains(&word.as_ref()) {
                let known = words.iter().copied();
                findings
                    .error("unknown-word", span, format!("`{word}` is not possible here"))
                    .cause(format!("possible: {}", listed(known.clone())))
                    .cure(did_you_mean(word, known));
            }
            return;
        }
        (Kind::Size(least, most, step), DeValue::String(text)) => match words::size(text) {
            Ok(size) if (least..=most).contains(&size) && size.is_multiple_of(step) => return,
            Ok(_) => {
                let [least, most, step] = [least, most, step].map(words::sized);
                let range = format!("{least} to {most} in steps of {step}");
                ("out-of-range", format!("{text} is out of range"), range)
            }
            Err(why) => ("bad-value", "this is no size".into(), why),
        },
        (Kind::Cpus, DeValue::String(text)) => match words::cpus(text) {
            Ok(_) => return,
            Err(why) => ("bad-value", "this is no CPU list".into(), why),
        },
        (Kind::Pci, DeValue::String(text)) => match words::pci(text) {
            Ok(_) => return,
            Err(why) => ("bad-value", "this is no PCI address".into(), why),
        },
        (Kind::Ports, DeValue::String(text)) => match words::ports(text) {
            Ok(_) => return,
            Err(why) => ("bad-value", "this is no range of ports".into(), why),
        },
        (Kind::Table(shape), DeValue::Table(map)) => return table(map, name, shape, findings),
        (Kind::Named(shape), DeValue::Table(map)) => return named(map, shape, name, findings),
        (Kind::List(kind), DeValue::Array(items)) => return list(items, *kind, findings),
        (kind, value) => (
            "wrong-type",
            format!("expected {}", wanted(kind)),
            format!("this is: {}", value.type_str()),
        ),
    };
    findings.error(code, span, message).cause(cause);
}

fn list(items: &[Spanned<DeValue<'_>>], kind: Kind, findings: &mut Findings) {
    if let Some(surplus) = items.get(MAX_ENTRIES) {
        let message = format!("{} entries: there is room for {MAX_ENTRIES}", items.len());
        findings
            .error("too-many", surplus.span().into(), message)
            .cause("one too many");
    }
    for item in items.iter().take(MAX_ENTRIES) {
        conform(item, item.span().into(), kind, findings);
    }
}

fn named(map: &DeTable<'_>, shape: &'static Shape, span: Span, findings: &mut Findings) {
    if map.len() > MAX_ENTRIES {
        let message = format!("{} tables: there is room for {MAX_ENTRIES}", map.len());
        findings.error("too-many", span, message);
    }
    for (key, value) in map.iter().take(MAX_ENTRIES) {
        let name: &str = key.get_ref();
        let span = Span::from(key.span());
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(good) {
            let found = findings.error("bad-name", span, format!("`{name}` can't be a name"));
            found.cause(format!("a name has 1 to {MAX_NAME} letters, digits, `_` and `-`"));
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
    let (limit, wrong) = ((wrong.chars().count() / 3).max(1), wrong.to_lowercase());
    let distances = words.map(|word| (strsim::levenshtein(&wrong, &word.to_lowercase()), word));
    let near = distances.filter(|(distance, _)| *distance <= limit).min();
    near.map(|(_, word)| format!("did you mean `{word}`?"))
        .unwrap_or_default()
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
