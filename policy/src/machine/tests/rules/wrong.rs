//! Wrong rules, and what is said about them: `wrong.golden`. To write it anew: `BLESS_RULES=1 cargo nextest run -p policy wrong_rules`,
//! then read what changed.

use super::super::fixture::car;
use super::read;

const GOLDEN: &str = include_str!("wrong.golden");

/// One key of a rule that is right otherwise.
fn with(keys: &[(&str, &str)]) -> String {
    let right = [
        ("name", "\"quiet\""),
        ("on", "\"user.connection_request\""),
        ("when", "'class(request.source) == \"phone\"'"),
        ("do", "[{ limit = { class = \"media\", gain_db = -20.0 } }]"),
    ];
    let mut lines = vec!["[[rules]]".to_owned()];
    for (key, value) in right {
        let value = keys.iter().find(|it| it.0 == key).map_or(value, |it| it.1);
        if !value.is_empty() {
            lines.push(format!("{key} = {value}"));
        }
    }
    let more = keys.iter().filter(|it| !right.iter().any(|known| known.0 == it.0));
    lines.extend(more.map(|(key, value)| format!("{key} = {value}")));
    lines.join("\n") + "\n"
}

fn wrong() -> Vec<String> {
    let when = |text: &str| with(&[("when", text)]);
    let then = |text: &str| with(&[("do", text)]);
    vec![
        with(&[("name", "")]),
        with(&[("on", "")]),
        with(&[("on", "\"user.connect_request\"")]),
        with(&[("on", "[]")]),
        with(&[("do", "")]),
        with(&[("do", "[]")]),
        with(&[("when", "''")]),
        with(&[("priority", "5000")]),
        with(&[("wenn", "1")]),
        with(&[
            ("overrides", "true"),
            ("do", "[{ disconnect = { class = \"media\" } }]"),
        ]),
        with(&[]) + &with(&[]),
        when("'class(request.source) = \"phone\"'"),
        when("'class(request.source) == \"phnoe\"'"),
        when("'request.source == \"ivi.medai\"'"),
        when("'klass(request.source) == \"phone\"'"),
        when("'class(request.source) == phone'"),
        when("'class(request.gateway) == \"phone\"'"),
        when("'request.sorce == \"ivi.media\"'"),
        when("'request.source == \"phone\"'"),
        when("'request.source == class(\"phone\")'"),
        when("'volume(\"cabin\") < -20'"),
        when("'volume(\"cabin\") < -20.5'"),
        when("'volume(\"cabin\") < -2000 dB'"),
        when("'state(\"ivi.media\") == conected'"),
        when("'state(\"ivi.media\") == connected'"),
        when("'connection_state() == \"connected\"'"),
        when("'sources(\"media\") == \"ivi.media\"'"),
        when("'request.source has \"ivi.media\"'"),
        when("'request.source > \"ivi.media\"'"),
        when("'priority(-5 dB) > 1'"),
        when("'priority(\"nowhere\") > 1'"),
        when("'peek(\"media\") == request.connection'"),
        when("'count(\"media\") > 1'"),
        when("'request.gateway == \"amp\"'"),
        when("'request.source'"),
        when("'1 < 2 < 3'"),
        when("'1 + 1 == 2'"),
        when("'error() == 0 & error() == 7'"),
        when("'error() == 0 and error() == 7'"),
        when("'name(request.source) == \"ivi'"),
        when("'(error() == 0'"),
        when("\"error() == \\\"none\\\" && klass == 1\""),
        when("['error() == \"a\"', 'request.nothing == 1', 'true']"),
        when("7"),
        then("[{ limt = { class = \"media\" } }]"),
        then("[{ limit = { class = \"media\", gain_db = -20, mute = true } }]"),
        then("[{ limit = { class = \"media\" } }]"),
        then("[{ limit = { gain_db = -20 } }]"),
        then("[{ limit = { class = \"media\", gain_db = 3 } }]"),
        then("[{ limit = { class = \"media\", gain_db = -20 }, mute = { class = \"media\" } }]"),
        then("[{ limit = { class = \"warning\", gain_db = -20 } }]"),
        then("[{ mute = { source = [\"ivi.media\", \"chime.belt\"] } }]"),
        then("[{ disconnect = { source = \"sources(class(\\\"safety.tone\\\"))\" } }]"),
        then("[{ disconnect = { source = 'sources(class(\"warning\"))' } }]"),
        then("[{ limit = { source = \"ivi.medai\", gain_db = -20 } }]"),
        then("[{ limit = { source = \"reqest.source\", gain_db = -20 } }]"),
        then("[{ limit = { source = 'request.class', gain_db = -20 } }]"),
        then("[{ connect = { source = 7 } }]"),
        then("[{ set_volume = { source = \"ivi.media\", main_volume = 3 } }]"),
        then("[{ set_volume = { sink = \"cabin\", gain_db = -3 } }]"),
        then("[{ set_volume = { sink = \"cabin\" } }]"),
        then("[{ set_property = { property_type = 3 } }]"),
        then("[{ set_properties = { sink = \"cabin\", properties = [[1, 2], [3]] } }]"),
        then("[{ register = { source = \"tuner\", gateway = [\"in\"] } }]"),
        then("[{ set_system_property = { property_type = 7, property_value = 1 } }]"),
        then("[{ disconnect = { connection_state = \"conected\" } }]"),
        with(&[("on", "\"user.set_volume\""), ("when", "")]),
        with(&[("on", "\"user.set_volume\"")]),
    ]
}

#[test]
fn wrong_rules_are_answered_with_place_cause_and_cure() {
    let model = car();
    let mut said = String::new();
    for text in wrong() {
        let (_, report) = read(&text, &model);
        assert!(report.errors() + report.warnings() > 0, "nothing is wrong with\n{text}");
        said.push_str(&format!("{text}\n{report}\n{}\n", "-".repeat(40)));
    }
    if std::env::var_os("BLESS_RULES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/machine/tests/rules/wrong.golden");
        std::fs::write(path, &said).unwrap();
        return;
    }
    for (said, golden) in said.split("----\n").zip(GOLDEN.split("----\n")) {
        assert_eq!(said, golden);
    }
    assert_eq!(said, GOLDEN);
}

#[test]
fn the_right_rule_is_right() {
    let (program, report) = read(&with(&[]), &car());
    assert_eq!((report.to_string().as_str(), program.rules().len()), ("", 1));
}

#[test]
fn several_mistakes_of_one_rule_are_told_at_once() {
    let text = with(&[
        ("on", "\"user.conection_request\""),
        ("when", "'klass(request.source) == \"x\" && volume(\"cabn\") < 3'"),
        ("do", "[{ limit = { class = \"meda\", gain_db = 1 } }, { mut = {} }]"),
    ]);
    let (_, report) = read(&text, &car());
    assert!(report.errors() >= 6, "{report}");
}
