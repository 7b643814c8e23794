//! Where the characters of a TOML string stand in the file: escapes make it longer there than it is.

use super::Document;
use crate::report::Span;

/// A string's text, and where each of its bytes comes from.
pub(super) struct Placed {
    whole: Span,
    /// Of each byte, and of the end.
    offsets: Vec<usize>,
}

impl Placed {
    /// `text` is what the TOML string at `whole` stands for.
    pub fn new(doc: &Document<'_>, whole: Span, text: &str) -> Self {
        let raw = doc.text.get(whole.start..whole.end).unwrap_or_default();
        let mut offsets = offsets(raw);
        if offsets.len() != text.len() + 1 {
            // Not as expected: the whole string is better than a wrong place.
            offsets.clear();
        }
        for offset in &mut offsets {
            *offset += whole.start;
        }
        Self { whole, offsets }
    }

    /// Where a part of the text stands.
    pub fn span(&self, range: std::ops::Range<usize>) -> Span {
        match (self.offsets.get(range.start), self.offsets.get(range.end)) {
            (Some(start), Some(end)) => Span {
                start: *start,
                end: (*end).max(start + usize::from(range.end > range.start)),
            },
            _ => self.whole,
        }
    }
}

fn offsets(raw: &str) -> Vec<usize> {
    let quote = if raw.starts_with('\'') { '\'' } else { '"' };
    let three: String = [quote; 3].iter().collect();
    let (mut at, close, lines) = match raw.strip_prefix(&three) {
        Some(rest) if raw.len() >= 6 => {
            let newline = if rest.starts_with("\r\n") {
                2
            } else {
                usize::from(rest.starts_with('\n'))
            };
            (3 + newline, 3, true)
        }
        _ => (1, 1, false),
    };
    let end = raw.len().saturating_sub(close).max(at);
    let mut offsets = Vec::new();
    while let Some(c) = raw.get(at..end).and_then(|rest| rest.chars().next()) {
        let (bytes, length) = if c == '\\' && quote == '"' {
            escape(raw.get(at..end).unwrap_or_default(), lines)
        } else {
            (c.len_utf8(), c.len_utf8())
        };
        // All bytes of one character escape to where it begins.
        offsets.extend((0..bytes).map(|byte| if bytes == length { at + byte } else { at }));
        at += length;
    }
    offsets.push(at);
    offsets
}

/// Bytes that an escape stands for, and its own.
fn escape(rest: &str, lines: bool) -> (usize, usize) {
    let digits = |count: usize| {
        let code = rest.get(2..2 + count).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        (code.and_then(char::from_u32).map_or(1, char::len_utf8), 2 + count)
    };
    match rest.as_bytes().get(1) {
        Some(b'x') => digits(2),
        Some(b'u') => digits(4),
        Some(b'U') => digits(8),
        Some(c) if lines && c.is_ascii_whitespace() => {
            let after = rest.get(1..).unwrap_or_default();
            (0, rest.len() - after.trim_start().len())
        }
        _ => (1, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_string_is_placed() {
        for (string, part) in [
            (r#"a = 'x == "ivi"'"#, "\"ivi\""),
            (r#"a = "x == 'ivi'""#, "'ivi'"),
            (r#"a = "x == \"ivi\"""#, "ivi"),
            (r#"a = "ä\u00e4\t == ivi""#, "ivi"),
            ("a = '''\nx == ivi'''", "ivi"),
            ("a = \"\"\"\r\nx \\\n   == ivi\"\"\"", "ivi"),
        ] {
            let doc = Document::parse(string);
            let value = doc.root().get("a").unwrap();
            let text = value.text().unwrap().value;
            let start = text.find(part).unwrap();
            let span = Placed::new(&doc, value.span, text).span(start..start + part.len());
            assert_eq!(&string[span.start..span.end], part, "{string}");
        }
    }
}
