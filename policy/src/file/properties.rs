//! `[[system_properties]]`: what the whole system is like, by type and value.
//!
//! ```toml
//! [[system_properties]]
//! type = 7                # 61440 and more are AudioManager's own
//! value = 0               # at first
//! writable = true         # by clients; rules may set any
//! lasting = true          # over boots
//! ```

use super::{Table, code};
use crate::model::SystemProperty;
use crate::report::{Diagnostic, Span};

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
