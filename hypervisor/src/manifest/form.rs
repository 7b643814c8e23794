//! The form of a document, checked against the [schema](super::schema).
//!
//! Every fault is told at once, and what is faulty is taken out of the document: reading goes on and finds faults of meaning
//! too. A manifest with errors never becomes a running system.

use policy::file::{did_you_mean, listed};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::report::{Findings, Span};
use super::schema::MAX_NAME;
use super::words;

/// Most tables by name, or entries of a list, in one place.
const MAX_ENTRIES: usize = 64;

/// The keys of a table; `false` when one that must be there is missing or faulty.
pub fn table(map: &mut DeTable<'_>, span: Span, schema: &Value, findings: &mut Findings) -> bool {
    let Value::Object(keys) = &schema["properties"] else {
        named(map, span, &schema["additionalProperties"], findings);
        return true;
    };
    for (name, key) in keys {
        if let Some(cure) = key["x-cure"].as_str().filter(|_| !map.contains_key(name.as_str())) {
            let found = findings.error("missing-key", span, format!("`{name}` is missing"));
            found.cure(cure);
        }
    }
    keep(map, |name, place, value| {
        if let Some(schema) = keys.get(name) {
            return under_key(value, place, schema, findings);
        }
        let known = keys.keys().map(String::as_str);
        findings
            .error("unknown-key", place, format!("nothing is called `{name}` here"))
            .cause(format!("known: {}", listed(known.clone())))
            .cure(did_you_mean(name, known).unwrap_or_default());
        false
    });
    let lacks = |(name, key): (&String, &Value)| !key["x-cure"].is_null() && !map.contains_key(name.as_str());
    !keys.iter().any(lacks)
}

/// Takes out what is not good: name, its place, value.
fn keep<'t>(map: &mut DeTable<'t>, mut good: impl FnMut(&str, Span, &mut Spanned<DeValue<'t>>) -> bool) {
    let mut bad = Vec::new();
    for (key, value) in map.iter_mut() {
        if !good(key.get_ref(), key.span().into(), value) {
            bad.push(key.get_ref().to_string());
        }
    }
    for name in bad {
        map.remove(name.as_str());
    }
}

/// A table is where its key is; one that lacks something is kept.
fn under_key(value: &mut Spanned<DeValue<'_>>, key: Span, schema: &Value, findings: &mut Findings) -> bool {
    if value.get_ref().is_table() {
        *value = Spanned::new(
            key.start..key.end,
            std::mem::replace(value.get_mut(), DeValue::Boolean(false)),
        );
    }
    conform(value, schema, findings) || value.get_ref().is_table() && schema["type"] == "object"
}

fn named(map: &mut DeTable<'_>, span: Span, schema: &Value, findings: &mut Findings) {
    if map.len() > MAX_ENTRIES {
        let message = format!("{} tables: there is room for {MAX_ENTRIES}", map.len());
        findings.error("too-many", span, message);
    }
    let mut room = MAX_ENTRIES;
    keep(map, |name, place, value| {
        let Some(left) = room.checked_sub(1) else { return false };
        room = left;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(good) {
            let found = findings.error("bad-name", place, format!("`{name}` can't be a name"));
            found.cause(format!("a name has 1 to {MAX_NAME} letters, digits, `_` and `-`"));
        }
        under_key(value, place, schema, findings)
    });
}

fn list(items: &mut DeArray<'_>, schema: &Value, findings: &mut Findings) {
    if let Some(surplus) = items.get(MAX_ENTRIES) {
        let message = format!("{} entries: there is room for {MAX_ENTRIES}", items.len());
        findings
            .error("too-many", surplus.span().into(), message)
            .cause("one too many");
    }
    let mut good = DeArray::new();
    for mut item in std::mem::replace(items, DeArray::new()).into_iter().take(MAX_ENTRIES) {
        if conform(&mut item, schema, findings) {
            good.push(item);
        }
    }
    *items = good;
}

/// Whether the value can be read.
fn conform(value: &mut Spanned<DeValue<'_>>, schema: &Value, findings: &mut Findings) -> bool {
    let span = Span::from(value.span());
    let kind = kind(schema);
    let (code, message, cause) = match (kind, value.get_mut()) {
        ("boolean", DeValue::Boolean(_)) => return true,
        ("object", DeValue::Table(map)) => return table(map, span, schema, findings),
        ("array", DeValue::Array(items)) => {
            list(items, &schema["items"], findings);
            return true;
        }
        ("integer", DeValue::Integer(digits)) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix());
            let (least, most) = (&schema["minimum"], &schema["maximum"]);
            if number.is_ok_and(|number| least.as_i64() <= Some(number) && Some(number) <= most.as_i64()) {
                return true;
            }
            let range = format!("{least} to {most} is possible");
            ("out-of-range", format!("{digits} is out of range"), range)
        }
        ("enum", DeValue::String(word)) => {
            let known = schema["enum"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            if known.clone().any(|known| known == word) {
                return true;
            }
            findings
                .error("unknown-word", span, format!("`{word}` is not possible here"))
                .cause(format!("possible: {}", listed(known.clone())))
                .cure(did_you_mean(word, known).unwrap_or_default());
            return false;
        }
        ("string", DeValue::String(text)) if !text.is_empty() => return true,
        ("string", DeValue::String(_)) => (
            "out-of-range",
            "an empty text says nothing".to_owned(),
            "empty".to_owned(),
        ),
        ("size" | "cpu-list" | "pci-address" | "port-range", DeValue::String(text)) => {
            match of_words(kind, text, schema) {
                Ok(()) => return true,
                Err(fault) => fault,
            }
        }
        (kind, value) => (
            "wrong-type",
            format!("expected {}", wanted(kind)),
            format!("this is: {}", value.type_str()),
        ),
    };
    findings.error(code, span, message).cause(cause);
    false
}

/// What a schema is of: its format, whether it is of words, or its type.
fn kind(schema: &Value) -> &str {
    let words = schema["enum"].is_array().then_some("enum");
    let kind = schema["format"].as_str().or(words).or(schema["type"].as_str());
    kind.unwrap_or_default()
}

/// A value written as words: code, message and cause of what is wrong with it.
fn of_words(kind: &str, text: &str, schema: &Value) -> Result<(), (&'static str, String, String)> {
    let bad = |what: &str| {
        let message = format!("this is no {what}");
        move |why| ("bad-value", message, why)
    };
    match kind {
        "cpu-list" => words::cpus(text).map(drop).map_err(bad("CPU list")),
        "pci-address" => words::pci(text).map(drop).map_err(bad("PCI address")),
        "port-range" => words::ports(text).map(drop).map_err(bad("range of ports")),
        _ => {
            let size = words::size(text).map_err(bad("size"))?;
            let [least, most, step] = [0, 1, 2].map(|nth| schema["x-range"][nth].as_u64().unwrap_or(1));
            if (least..=most).contains(&size) && size.is_multiple_of(step) {
                return Ok(());
            }
            let [least, most, step] = [least, most, step].map(words::sized);
            let range = format!("{least} to {most} in steps of {step}");
            Err(("out-of-range", format!("{text} is out of range"), range))
        }
    }
}

fn wanted(kind: &str) -> &'static str {
    match kind {
        "integer" => "an integer",
        "boolean" => "`true` or `false`",
        "size" => "a size as text, as \"256M\"",
        "cpu-list" => "a CPU list as text, as \"0,2-3\"",
        "pci-address" => "a PCI address as text, as \"0000:00:1f.3\"",
        "port-range" => "a range of ports as text, as \"0x70-0x77\"",
        "object" => "a table",
        "array" => "a list",
        _ => "a text",
    }
}
