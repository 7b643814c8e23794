//! Where two files say different things: key by key, whatever their comments, order and spelling of numbers.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

use crate::report::Span;

/// One key whose value is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key and the tables it is in, outermost first. Arrays count as one value.
    pub path: Vec<String>,
    /// The key in the new text, if it is there.
    pub at: Option<Span>,
    /// The innermost of its tables that the new text still has.
    pub within: Span,
    /// Its line in the old text, if it was there.
    pub was: Option<u32>,
}

/// All of them, in the order of their paths. Both texts are TOML; what is not understood of one that isn't counts as absent.
pub fn changes(old: &str, new: &str) -> Vec<Change> {
    let (old_root, _) = DeTable::parse_recoverable(old);
    let (new_root, _) = DeTable::parse_recoverable(new);
    let mut walk = Walk {
        old,
        path: Vec::new(),
        found: Vec::new(),
    };
    walk.tables(old_root.get_ref(), new_root.get_ref(), Span::default());
    walk.found
}

struct Walk<'a> {
    old: &'a str,
    path: Vec<String>,
    found: Vec<Change>,
}

impl Walk<'_> {
    fn tables(&mut self, old: &DeTable<'_>, new: &DeTable<'_>, within: Span) {
        let keys: BTreeSet<&str> = old.keys().chain(new.keys()).map(|key| key.get_ref().as_ref()).collect();
        for key in keys {
            let (before, after) = (old.get_key_value(key), new.get_key_value(key));
            let at = after.map(|(key, _)| Span::from(key.span()));
            self.path.push(key.to_owned());
            match (before.map(|(_, it)| it.get_ref()), after.map(|(_, it)| it.get_ref())) {
                (Some(DeValue::Table(before)), Some(DeValue::Table(after))) => {
                    self.tables(before, after, at.unwrap_or(within));
                }
                (before_value, after_value) => {
                    let same = before_value.zip(after_value).is_some_and(|(a, b)| equal(a, b));
                    if !same {
                        let was = before.map(|(key, _)| line(self.old, key.span().start));
                        self.found.push(Change {
                            path: self.path.clone(),
                            at,
                            within,
                            was,
                        });
                    }
                }
            }
            self.path.pop();
        }
    }
}

fn line(text: &str, at: usize) -> u32 {
    let before = text.as_bytes().iter().take(at);
    u32::try_from(before.filter(|&&byte| byte == b'\n').count()).unwrap_or(u32::MAX - 1) + 1
}

fn equal(a: &DeValue<'_>, b: &DeValue<'_>) -> bool {
    match (a, b) {
        (DeValue::String(a), DeValue::String(b)) => a == b,
        (DeValue::Boolean(a), DeValue::Boolean(b)) => a == b,
        (DeValue::Integer(_) | DeValue::Float(_), DeValue::Integer(_) | DeValue::Float(_)) => {
            match (number(a), number(b)) {
                (Some(a), Some(b)) => a.to_bits() == b.to_bits(),
                _ => false,
            }
        }
        (DeValue::Datetime(a), DeValue::Datetime(b)) => a == b,
        (DeValue::Array(a), DeValue::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a.get_ref(), b.get_ref()))
        }
        (DeValue::Table(a), DeValue::Table(b)) => {
            let same = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                b.get(key.as_ref())
                    .is_some_and(|other| equal(value.get_ref(), other.get_ref()))
            };
            a.len() == b.len() && a.iter().all(same)
        }
        _ => false,
    }
}

/// The readers take whole numbers for decibels, so 1 and 1.0 say the same. Integers of the file are far below 2^53.
fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
            .ok()
            .map(|number| number as f64),
        DeValue::Float(digits) => digits.as_str().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        "version = 1\n[zones.cabin]\nvolume = 40 # loud\ncurve = [[0, \"mute\"], [100, 0]]\n[classes.a]\n";

    fn paths(new: &str) -> Vec<String> {
        changes(OLD, new).iter().map(|change| change.path.join(".")).collect()
    }

    #[test]
    fn comments_order_and_spelling_are_no_change() {
        let new = "version=1\nclasses.a = {}\n\n[zones]\ncabin = {curve = [ [0.0, 'mute'], [0x64, 0] ], volume = 4_0}";
        assert_eq!(changes(OLD, new), []);
    }

    #[test]
    fn changed_added_and_removed_keys_are_told_with_their_places() {
        let new = "version = 1\n[zones.cabin]\nvolume = 41\nmuted = true\n[classes.a]\n[classes.b]\n";
        assert_eq!(
            paths(new),
            [
                "classes.b",
                "zones.cabin.curve",
                "zones.cabin.muted",
                "zones.cabin.volume"
            ]
        );
        let found = changes(OLD, new);
        assert_eq!((found[1].at, found[1].was), (None, Some(4)));
        assert_eq!(&new[found[1].within.start..found[1].within.end], "cabin");
        let volume = found[3].at.unwrap();
        assert_eq!(&new[volume.start..volume.end], "volume");
        assert_eq!(found[2].was, None);
    }
}
