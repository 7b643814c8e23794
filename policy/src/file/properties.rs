//! `[[main_sound_properties]]`: what is different for main sound properties of domains' elements.
//!
//! ```toml
//! [[main_sound_properties]]
//! type = 1                # clients' side
//! range = [-5, 5]         # else that of [routing]
//! sound = 101             # the sound property it stands for, domains' side; else the same type
//! direction = "both"      # "down": setting it sets the other; "up": the domain's changes show here; "none"
//! lasting = true          # over boots
//! ```
//!
//! `[[system_properties]]`: what the whole system is like, by type and value.
//!
//! ```toml
//! [[system_properties]]
//! type = 7                # 61440 and more are AudioManager's own
//! value = 0               # at first
//! writable = true         # by clients; rules may set any
//! lasting = true          # over boots
//! ```

use std::collections::BTreeMap;

use super::routing::range;
use super::{Table, code};
use crate::model::SystemProperty;
use crate::report::{Diagnostic, Span};
use crate::routing::rules::MainSound;

/// Which way a value goes: down to the domain, up from it.
const DIRECTIONS: [(&str, (bool, bool)); 4] = [
    ("down", (true, false)),
    ("up", (false, true)),
    ("both", (true, true)),
    ("none", (false, false)),
];

/// All of them.
pub(super) fn read(root: &Table<'_>) -> Vec<SystemProperty> {
    let mut all: Vec<(SystemProperty, Span)> = Vec::new();
    for table in root.tables("system_properties") {
        let Some((property, span)) = one(&table) else {
            continue;
        };
        match all.iter().find(|it| it.0.kind == property.kind) {
            Some((_, first)) => {
                let found = Diagnostic::error(code::DUPLICATE, span, "two system properties have this type");
                table.doc().push(found.label("again here").see(*first, "first here"));
            }
            None => all.push((property, span)),
        }
    }
    all.into_iter().map(|it| it.0).collect()
}

fn one(table: &Table<'_>) -> Option<(SystemProperty, Span)> {
    let kind = table.need("type", "say which, as `type = 7`");
    let value = table.integer("value", i16::MIN.into()..=i16::MAX.into());
    let (writable, lasting) = (table.bool_or("writable", false), table.bool_or("lasting", false));
    let kind = kind?.integer(1..=u16::MAX.into())?;
    let property = SystemProperty {
        kind: kind.value as u16 as i16,
        value: value.map_or(0, |found| found.value as i16),
        writable,
        lasting,
        line: table.doc().line(kind.span),
    };
    Some((property, kind.span))
}

/// `properties = [[1, 5]]`: types and values.
pub(super) fn pairs(table: &Table<'_>) -> Vec<(i16, i16)> {
    let wanted = "pairs of type and value, as `[[1, 5], [2, -3]]`";
    let Some(items) = table.get("properties").and_then(|value| value.list(wanted)) else {
        return Vec::new();
    };
    let pair = |item: &super::Value<'_>| {
        let pair = item.list(wanted)?;
        let [kind, value] = pair.as_slice() else {
            return item.out_of_range(
                "a property is a pair of type and value",
                format!("has {} values", pair.len()),
            );
        };
        let kind = kind.integer(1..=u16::MAX.into())?.value as u16 as i16;
        Some((kind, value.integer(i16::MIN.into()..=i16::MAX.into())?.value as i16))
    };
    items.iter().filter_map(pair).collect()
}

/// Main sound properties that the file describes.
pub(super) fn main_sound(root: &Table<'_>, usual: (i16, i16)) -> BTreeMap<i16, MainSound> {
    let mut all: BTreeMap<i16, (MainSound, Span)> = BTreeMap::new();
    for table in root.tables("main_sound_properties") {
        let kind = table.need("type", "say which, as `type = 1`");
        let own = table.get("range").and_then(|value| range(&value));
        let sound = table.integer("sound", 1..=u16::MAX.into());
        let direction = table.word("direction", &DIRECTIONS);
        let lasting = table.bool_or("lasting", false);
        let Some(kind) = kind.and_then(|it| it.integer(1..=u16::MAX.into())) else {
            continue;
        };
        let (down, up) = direction.map_or((true, false), |found| found.value);
        let main = kind.value as u16 as i16;
        let property = MainSound {
            range: own.unwrap_or(usual),
            sound: sound.map_or(main, |found| found.value as u16 as i16),
            down,
            up,
            lasting,
        };
        if let Some((_, first)) = all.insert(main, (property, kind.span)) {
            let found = Diagnostic::error(code::DUPLICATE, kind.span, "two main sound properties have this type");
            table.doc().push(found.label("again here").see(first, "first here"));
        }
    }
    all.into_iter().map(|(kind, it)| (kind, it.0)).collect()
}

#[cfg(test)]
mod tests {
    use crate::file::{Document, read};

    fn said(text: &str) -> (Vec<(i16, i16, bool, bool)>, String) {
        let text = format!("version = 1\n{text}");
        let doc = Document::parse(&text);
        let model = read(&doc);
        let all = model.system_properties.iter();
        let all = all.map(|it| (it.kind, it.value, it.writable, it.lasting)).collect();
        (all, doc.finish("f").to_string())
    }

    #[test]
    fn system_properties_are_what_the_file_says_read_only_unless_it_says_so() {
        let text = "system_properties = [{ type = 7, value = -3, writable = true, lasting = true }, { type = 61440 }]";
        let (all, report) = said(text);
        assert_eq!(report, "");
        assert_eq!(all, [(7, -3, true, true), (-4096, 0, false, false)]);
    }

    #[test]
    fn a_type_given_twice_or_out_of_range_is_an_error() {
        assert!(
            said("system_properties = [{ type = 7 }, { type = 7 }]")
                .1
                .contains("two system properties")
        );
        assert!(said("system_properties = [{ type = 65536 }]").1.contains("error"));
        assert!(said("system_properties = [{ value = 1 }]").1.contains("type = 7"));
    }
}
