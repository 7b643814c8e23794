//! Text that nobody would write: no panic, bounded work, and a place inside the text for whatever is said.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use audiod::blocks::{MAX_CHIMES, MAX_GUESTS, MAX_SOURCES, MAX_ZONES};
use audiod::config::{self, Loaded};
use policy::model::Newcomer;
use policy::report::Report;
use proptest::prelude::*;
use vhost_sound::block::MAX_STREAMS;

const WHOLE: &str = include_str!("config/everything-at-once.toml");
const RIGHT: [&str; 3] = [
    include_str!("../../examples/rear-seat.toml"),
    include_str!("../../examples/safety-stream.toml"),
    include_str!("../../examples/hands-free.toml"),
];

fn said(text: &str) -> Report {
    match config::parse(text, Path::new("hostile.toml")) {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors(), 0);
            is_resolved(&loaded);
            loaded.warnings
        }
        Err(report) => {
            assert!(report.errors() > 0);
            report
        }
    }
}

/// What everything behind the reader takes as true.
fn is_resolved(loaded: &Loaded) {
    let (system, model) = (&loaded.system, &loaded.model);
    assert!((1..=4).contains(&system.codecs.len()) && (1..=MAX_ZONES).contains(&system.zones.len()));
    assert!(
        system.guests.len() <= MAX_GUESTS && system.chimes.len() <= MAX_CHIMES && system.sources.len() <= MAX_SOURCES
    );
    assert!((1..=1000).contains(&system.decision_limit_ms));
    for codec in &system.codecs {
        assert!((16..=1024).contains(&codec.period) && codec.lead >= 2 && (8_000..=384_000).contains(&codec.rate));
        assert!((1..=8).contains(&codec.channels) && codec.capture_channels <= 8);
    }
    for zone in &system.zones {
        assert!((1..=8).contains(&zone.channels.len()) && zone.positions.len() == zone.channels.len());
        assert!(
            zone.channels
                .iter()
                .all(|&channel| channel < system.codecs[zone.codec].channels)
        );
    }
    for guest in &system.guests {
        assert!(guest.socket.is_absolute() && guest.device.queue_size.is_power_of_two());
        assert!(guest.device.streams.len() <= MAX_STREAMS);
        for stream in &guest.device.streams {
            assert!(
                stream.formats != 0 && stream.rates != 0 && stream.formats & !0x1f_fff8 == 0 && stream.rates < 1 << 14
            );
            assert!(1 <= stream.channels_min && stream.channels_min <= stream.channels_max && stream.channels_max <= 8);
        }
    }
    assert_eq!(model.sinks.len(), system.zones.len());
    assert_eq!(model.sources.len(), system.sources.len() + system.chimes.len());
    for (source, resolved) in model.sources.iter().zip(&system.sources) {
        assert_eq!(source.name, resolved.name);
        assert!(
            resolved.codec < system.codecs.len()
                && resolved.stream < system.guests[resolved.guest].device.streams.len()
        );
        assert_ne!(resolved.safety, resolved.safety_zones.is_empty());
    }
    for source in &model.sources {
        assert!(source.class < model.classes.len() && source.gain <= 0);
        let sinks = source.auto_connect.iter().chain(&source.safety_sinks);
        assert!(sinks.copied().all(|sink| sink < model.sinks.len()));
    }
    for sink in &model.sinks {
        assert!(sink.curve.len() >= 2 && sink.curve.is_sorted() && sink.curve.iter().all(|&(_, gain)| gain <= 0));
        let (lowest, highest) = (sink.curve[0].0, sink.curve[sink.curve.len() - 1].0);
        assert!((lowest..=highest).contains(&sink.main_volume));
    }
    for (&(holder, newcomer), cell) in &model.cells {
        assert!(newcomer < model.classes.len() && !model.classes[holder].safety && cell.duck.depth <= 0);
        assert!(!model.classes[newcomer].safety || cell.newcomer == Newcomer::Play);
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

/// Each value of the right files is exchanged for each of these: what is taken is resolved, what isn't is said.
#[test]
fn a_right_file_with_any_one_value_exchanged_is_refused_or_resolved() {
    let values = [
        "0",
        "-1",
        "1",
        "2",
        "3",
        "9",
        "100",
        "1024",
        "65536",
        "9223372036854775807",
        "-0.05",
        "0.5",
        "1e9",
        "nan",
        "-inf",
        "true",
        "\"\"",
        "\"*\"",
        "\"mute\"",
        "\"media\"",
        "\"warning\"",
        "\"cabin\"",
        "\"stall\"",
        "\"null\"",
        "[]",
        "[0]",
        "[1, 2]",
        "[[0, 0], [9, 0]]",
        "[\"FL\"]",
        "{}",
        "1979-05-27",
    ];
    let (mut refused, mut taken) = (0, 0);
    for right in RIGHT {
        for line in right.lines().filter(|line| !line.starts_with('#')) {
            let start = line.as_ptr().addr() - right.as_ptr().addr();
            let Some((key, value)) = line.split_once(" = ") else {
                continue;
            };
            let value = value.split("  ").next().unwrap();
            for other in values {
                let text = format!(
                    "{}{key} = {other}{}",
                    &right[..start],
                    &right[start + key.len() + 3 + value.len()..]
                );
                is_sound(&text);
                match config::parse(&text, Path::new("hostile.toml")) {
                    Ok(_) => taken += 1,
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 1000 && taken > 100, "{refused} {taken}");
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
