//! Text that nobody would write: no panic, bounded work, and a place inside the text for whatever is said.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use audiod::config;
use policy::report::Report;
use proptest::prelude::*;

const WHOLE: &str = include_str!("config/everything-at-once.toml");
const RIGHT: [&str; 3] = [
    include_str!("../../examples/rear-seat.toml"),
    include_str!("../../examples/safety-stream.toml"),
    include_str!("../../examples/hands-free.toml"),
];

fn said(text: &str) -> Report {
    match config::parse(text, Path::new("hostile.toml")) {
        Ok(loaded) => loaded.warnings,
        Err(report) => {
            assert!(report.errors() > 0);
            report
        }
    }
}

/// Everything is rendered, and every place lies inside the text.
fn is_sound(text: &str) {
    let report = said(text);
    let rendered = report.to_string();
    assert!(rendered.chars().all(|c| c == '\n' || !c.is_control()), "{rendered:?}");
    let lines: Vec<&str> = text.split('\n').collect();
    for found in report.findings() {
        assert!(found.span.start <= text.len() && found.span.end <= text.len());
        let at = report.position(found.span);
        let line = lines.get(at.line as usize - 1).unwrap();
        assert!(at.column as usize <= line.chars().count() + 1);
    }
    serde_json::to_string(&report).unwrap();
}

/// Words of the file's language, so that random text gets past the first check.
const WORDS: [&str; 40] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\"",
    "\n",
    "\r\n",
    "#",
    "*",
    "\"*\"",
    "version = 1\n",
    "codecs",
    "zones",
    "classes",
    "matrix",
    "guests",
    "streams",
    "chimes",
    "main",
    "cabin",
    "media",
    "class",
    "zone",
    "holder",
    "newcomer",
    "action",
    "\"duck\"",
    "true",
    "-1",
    "1e999",
    "nan",
    "9223372036854775808",
    "é",
    "\u{1b}",
    "2020-01-01",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        is_sound(&text);
    }

    #[test]
    fn any_words_are_survived(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..200)) {
        is_sound(&words.concat());
    }

    #[test]
    fn a_right_file_with_pieces_cut_moved_and_put_in_is_survived(
        which in 0..RIGHT.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..60usize, prop::sample::select(&WORDS[..])), 1..6),
    ) {
        let mut text: Vec<char> = RIGHT[which].chars().collect();
        for (at, cut, word) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, word.chars());
        }
        is_sound(&text.into_iter().collect::<String>());
    }

    #[test]
    fn a_right_file_with_values_exchanged_is_survived(
        which in 0..RIGHT.len(),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..8),
    ) {
        let mut pairs: Vec<Vec<&str>> = RIGHT[which].lines().map(|line| line.splitn(2, " = ").collect()).collect();
        for (one, other) in swaps {
            let (one, other) = (one.index(pairs.len()), other.index(pairs.len()));
            let value = |pairs: &[Vec<&'static str>], at: usize| pairs[at].get(1).copied();
            if let (Some(first), Some(second)) = (value(&pairs, one), value(&pairs, other)) {
                pairs[one][1] = second;
                pairs[other][1] = first;
            }
        }
        let lines: Vec<String> = pairs.iter().map(|pair| pair.join(" = ")).collect();
        is_sound(&lines.join("\n"));
    }
}

#[test]
fn a_wrong_file_cut_anywhere_is_survived() {
    for (at, _) in WHOLE.char_indices() {
        is_sound(&WHOLE[..at]);
    }
}

#[test]
fn deep_nesting_and_great_numbers_are_refused_with_few_words() {
    let deep = 100_000;
    let texts = [
        "a.".repeat(deep) + "a = 1",
        format!("[{}a]\nb = 1", "a.".repeat(deep)),
        "a = ".to_owned() + &"[".repeat(deep),
        "a = ".to_owned() + &"{a=".repeat(deep),
        "=".repeat(deep),
        (0..20_000).map(|n| format!("[classes.c{n}]\n")).collect(),
        (0..20_000).map(|n| format!("[guests.g{n}.streams.s]\n")).collect(),
        (0..60).map(|n| format!("[classes.c{n}]\n")).collect::<String>()
            + &"[[matrix]]\nholder = \"*\"\nnewcomer = \"*\"\naction = \"duck\"\n".repeat(600),
    ];
    for text in texts {
        let report = said(&text);

        assert!(
            (1..=3000).contains(&report.findings().len()),
            "{}",
            report.findings().len()
        );
        assert!(report.to_string().lines().count() < 1000);
    }
}
