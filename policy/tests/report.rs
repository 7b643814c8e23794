//! How findings are shown, and which words are suggested.
#![allow(clippy::unwrap_used, reason = "tests")]

use policy::file::{closest, listed};
use policy::report::{Diagnostic, Position, Report, Span};

fn span(text: &str, part: &str) -> Span {
    let start = text.find(part).unwrap();
    Span::from(start..start + part.len())
}

#[test]
fn a_finding_shows_place_cause_related_place_and_cure() {
    let text = "first = 1\nsecond = 2\nthird = 3\n";
    let found = Diagnostic::error("duplicate", span(text, "third"), "given twice")
        .label("again here")
        .see(span(text, "first"), "first here")
        .help("keep one");

    let shown = Report::new("a.toml", text, vec![found]).to_string();

    let expected = "\
error[duplicate]: given twice
 --> a.toml:3:1
  |
3 | third = 3
  | ^^^^^ again here
  :
1 | first = 1
  | ----- first here
  = help: keep one
";
    assert_eq!(shown, expected);
}

#[test]
fn findings_are_sorted_by_place_and_the_same_is_said_once() {
    let text = "a = 1\nb = 2\n";
    let of = |part| Diagnostic::warning("unused", span(text, part), "unused");

    let report = Report::new("a.toml", text, vec![of("b"), of("a"), of("b")]);

    let lines: Vec<u32> = report
        .findings()
        .iter()
        .map(|found| report.position(found.span).line)
        .collect();
    assert_eq!(lines, [1, 2]);
    assert_eq!((report.errors(), report.warnings()), (0, 2));
}

#[test]
fn columns_count_characters_and_a_span_in_a_character_or_beyond_the_end_is_no_harm() {
    let text = "ä = \"ö\"\r\nü = 1";
    let report = Report::new("a.toml", text, Vec::new());
    let at = |range: std::ops::Range<usize>| report.position(range.into());

    assert_eq!(
        at(5..9),
        Position {
            line: 1,
            column: 5,
            length: 3
        }
    );
    assert_eq!(
        at(7..8),
        Position {
            line: 1,
            column: 6,
            length: 1
        }
    );
    assert_eq!(
        at(1..1),
        Position {
            line: 1,
            column: 1,
            length: 1
        }
    );
    assert_eq!(
        at(900..1000),
        Position {
            line: 2,
            column: 6,
            length: 1
        }
    );
    assert_eq!(
        at(5..16),
        Position {
            line: 1,
            column: 5,
            length: 3
        },
        "a span ends with its first line"
    );
}

#[test]
fn nothing_of_a_file_reaches_the_terminal_as_a_command() {
    let text = "a = \"\u{1b}[31m\tred\"\n";
    let found = Diagnostic::error("x", span(text, "\u{1b}[31m"), "\u{1b}]0;title\u{7}")
        .label("\u{9b}1m")
        .help("\r\n");

    let shown = Report::new("a.toml", text, vec![found]).to_string();

    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    assert_eq!(shown.lines().count(), 6);
}

#[test]
fn the_closest_word_is_suggested_and_a_far_one_is_not() {
    let words = ["media", "navigation", "warning", "nap"];
    for (wrong, expected) in [
        ("mdeia", Some("media")),
        ("Media", Some("media")),
        ("navigaton", Some("navigation")),
        ("navi", Some("navigation")),
        ("na", Some("nap")),
        ("warnings", Some("warning")),
        ("siren", None),
        ("", None),
        ("x", None),
    ] {
        assert_eq!(closest(wrong, words), expected, "{wrong}");
    }
}

#[test]
fn long_lists_are_counted_rather_than_shown() {
    assert_eq!(listed([]), "none");
    assert_eq!(listed(["a", "b"]), "a, b");
    assert_eq!(listed(["w"; 15]), format!("{}w and 3 more", "w, ".repeat(11)));
}
