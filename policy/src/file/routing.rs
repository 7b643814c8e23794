//! `[routing]`: how long domains of other processes may take.

use super::Table;
use crate::routing::Rules;

/// Longest time a domain may be given, ms.
const MAX_MS: u32 = 60_000;
/// Shortest: less is a bus round trip of a loaded machine.
const MIN_MS: u32 = 20;

/// What is written, over what holds without.
pub(super) fn read(root: &Table<'_>) -> Rules {
    let rules = Rules::default();
    let Some(table) = root.get("routing").and_then(|value| value.table()) else {
        return rules;
    };
    let ms = |key, default: u64| table.u32_or(key, MIN_MS..=MAX_MS, u32::try_from(default).unwrap_or(MAX_MS));
    Rules {
        ack_ms: ms("ack_ms", rules.ack_ms).into(),
        undo_ms: ms("undo_ms", rules.undo_ms).into(),
        ..rules
    }
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
