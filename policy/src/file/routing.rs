//! `[routing]`: routes over domains of other processes, and how long these may take.

use std::ops::RangeInclusive;

use super::model::curve;
use super::{Found, Table, Value, code};
use crate::report::{Diagnostic, Span};
use crate::routing::Rules;
use crate::routing_command::format;

/// What a domain may be given; less is a bus round trip of a loaded machine.
pub(super) const MILLISECONDS: RangeInclusive<u32> = 20..=60_000;
/// What all domains together may be given to register.
const REGISTRATION: RangeInclusive<u32> = 100..=600_000;
/// Requests that can be open at a time: there are no more handles.
pub(super) const MAX_OPEN: u32 = 1023;

/// Connection formats with a name.
pub(super) const FORMATS: [(&str, u16); 4] = [
    ("mono", format::MONO),
    ("stereo", format::STEREO),
    ("analog", format::ANALOG),
    ("auto", format::AUTO),
];
const RAMPS: [(&str, u16); 5] = [("direct", 1), ("no-plop", 2), ("exp-inv", 3), ("linear", 4), ("exp", 5)];

/// What is written, over what holds without.
pub(super) fn read(root: &Table<'_>) -> Rules {
    let mut rules = Rules::default();
    let Some(table) = root.get("routing").and_then(|value| value.table()) else {
        return rules;
    };
    if let Some(value) = table.get("formats") {
        rules.formats = formats(&value);
    }
    rules.only_free = table.bool_or("only_free", rules.only_free);
    rules.only_topologies = table.bool_or("only_topologies", rules.only_topologies);
    let unknown = table.word("unknown", &[("accept", false), ("refuse", true)]);
    rules.only_known = unknown.map_or(rules.only_known, |found| found.value);
    rules.ack_ms = table.u32_or("ack_ms", MILLISECONDS, rules.ack_ms as u32).into();
    rules.undo_ms = table.u32_or("undo_ms", MILLISECONDS, rules.undo_ms as u32).into();
    rules.registration_ms = table
        .u32_or("registration_ms", REGISTRATION, rules.registration_ms as u32)
        .into();
    rules.open_limit = table.u32_or("open_requests", 4..=MAX_OPEN, rules.open_limit as u32) as usize;
    if let Some(ramp) = table.get("ramp").and_then(|value| number_or_word(&value, &RAMPS)) {
        rules.ramp = ramp.value;
    }
    rules.ramp_ms = table.u32_or("ramp_ms", 0..=u16::MAX.into(), rules.ramp_ms.into()) as u16;
    if let Some(points) = table.get("curve").and_then(|value| curve(table.doc(), &value)) {
        rules.curve = points;
    }
    if let Some(range) = table.get("property_range").and_then(|value| range(&value)) {
        rules.property_range = range;
    }
    rules
}

/// `[-10, 10]`.
pub(super) fn range(value: &Value<'_>) -> Option<(i16, i16)> {
    let wanted = "the least and the greatest, as `[-10, 10]`";
    let items = value.list(wanted)?;
    let [least, most] = items.as_slice() else {
        return value.out_of_range("a range is a pair", wanted);
    };
    let any = || i64::from(i16::MIN)..=i64::from(i16::MAX);
    let (least, most) = (least.integer(any())?.value as i16, most.integer(any())?.value as i16);
    if least > most {
        return value.out_of_range("this range is empty", wanted);
    }
    Some((least, most))
}

/// A word, or the number that a project gave to one of its own.
pub(super) fn number_or_word(value: &Value<'_>, words: &[(&'static str, u16)]) -> Option<Found<u16>> {
    if value.is_text() {
        return value.word(words);
    }
    let number = value.integer(1..=u16::MAX.into())?;
    Some(Found {
        value: number.value as u16,
        span: number.span,
    })
}

/// Connection formats, one or a list, each once.
pub(super) fn formats(value: &Value<'_>) -> Vec<u16> {
    let items = value.items();
    if items.is_empty() {
        let _: Option<()> = value.out_of_range("there is no format", "an empty list");
    }
    let mut found: Vec<Found<u16>> = Vec::new();
    for item in &items {
        let Some(format) = number_or_word(item, &FORMATS) else {
            continue;
        };
        match found.iter().find(|it| it.value == format.value) {
            Some(first) => twice(value, format.span, first.span, "this format is given twice"),
            None => found.push(format),
        }
    }
    found.into_iter().map(|it| it.value).collect()
}

fn twice(value: &Value<'_>, second: Span, first: Span, message: &str) {
    let found = Diagnostic::error(code::DUPLICATE, second, message);
    value.push(found.label("again here").see(first, "first here"));
}

#[cfg(test)]
mod tests {
    use crate::file::{Document, read};

    fn times(text: &str) -> (u64, u64, bool) {
        let text = format!("version = 1\n{text}");
        let doc = Document::parse(&text);
        let model = read(&doc);
        (
            model.routing.ack_ms,
            model.routing.undo_ms,
            doc.finish("f").errors() > 0,
        )
    }

    #[test]
    fn domains_get_the_time_the_file_gives_them() {
        assert_eq!(times(""), (5000, 10_000, false));
        assert_eq!(times("[routing]\nack_ms = 300"), (300, 10_000, false));
        assert_eq!(times("[routing]\nack_ms = 300\nundo_ms = 400"), (300, 400, false));
        assert!(times("[routing]\nack_ms = 0").2);
    }
}
