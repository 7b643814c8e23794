//! Wrong files and what is said about them, word for word: `tests/config/NAME.toml` gives `NAME.txt`; those that are legal, but
//! suspicious, are in `tests/config/suspicious`.
//! `BLESS=1 cargo test -p audiod --test config_wrong` writes the texts anew: read the difference before you commit it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use audiod::config;
use policy::file::code;
use policy::report::Report;
use system_tests::golden;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

/// Wrong ones and suspicious ones.
fn files() -> Vec<PathBuf> {
    [listed(&folder()), suspicious()].concat()
}

fn suspicious() -> Vec<PathBuf> {
    listed(&folder().join("suspicious"))
}

/// What is said about a file, as if it stood in the present folder.
fn said(path: &Path) -> Report {
    let text = std::fs::read_to_string(path).unwrap();
    match config::parse(&text, Path::new(path.file_name().unwrap())) {
        Ok(loaded) => loaded.warnings,
        Err(report) => report,
    }
}

#[test]
fn each_wrong_or_suspicious_file_gets_the_words_beside_it() {
    let said_of = |path: &PathBuf| (path.with_extension("txt"), said(path).to_string());

    let differences = golden::differences(files().iter().map(said_of));

    assert!(differences.is_empty(), "{differences}");
    let wrong = files().iter().filter(|path| said(path).errors() > 0).count();
    assert!(wrong >= 40, "{wrong}");
}

/// Place and cause and cure: more than a title.
#[test]
fn what_is_suspicious_is_no_mistake_and_is_said_with_place_cause_and_cure() {
    assert!(suspicious().len() >= 20);
    for path in suspicious() {
        let report = said(&path);

        assert!(
            report.errors() == 0 && !report.findings().is_empty(),
            "{}: {report}",
            path.display()
        );
        for found in report.findings() {
            let whole = found.span.end > found.span.start && !found.label.is_empty() && found.help.is_some();
            assert!(whole, "{}: {found:?}", path.display());
        }
    }
}

/// Beside a mistake, what is suspicious may be no more than its consequence.
#[test]
fn what_is_suspicious_is_not_said_where_something_is_wrong() {
    for path in suspicious() {
        let before = said(&path).findings().to_vec();
        let text = std::fs::read_to_string(&path).unwrap() + "\n[zonse.more]\n";

        let report = config::parse(&text, Path::new("car.toml")).unwrap_err();

        let again = report.findings().iter().filter(|it| before.contains(it)).count();
        assert_eq!((report.errors(), again), (1, 0), "{}: {report}", path.display());
    }
}

#[test]
fn a_duck_that_comes_when_the_chime_is_over_is_suspicious() {
    let said = |attack_ms: u32| {
        let folder = std::env::temp_dir().join(format!("carillon-late-{attack_ms}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let chime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/chimes/seatbelt.wav");
        let text = LATE.replace("LONG", &attack_ms.to_string());
        let path = folder.join("car.toml");
        std::fs::write(&path, text.replace("gong.wav", chime.to_str().unwrap())).unwrap();
        let warnings = config::load(&path).unwrap().warnings;
        std::fs::remove_dir_all(&folder).unwrap();
        warnings
    };

    // It sounds 600 ms, and twice.
    assert_eq!(said(1199).to_string(), "");
    let late = said(1200);
    let [found] = late.findings() else { panic!("{late}") };
    assert_eq!(found.code, code::LATE);
}

const LATE: &str = r#"
version = 1
[codecs.main]
backend = "null"
[zones.cabin]
codec = "main"
[classes.media]
[classes.warning]
safety = true
[[matrix]]
holder = "media"
newcomer = "warning"
action = "duck"
attack_ms = LONG
[guests.ivi]
socket = "ivi.sock"
streams.media = { class = "media", zone = "cabin" }
[chimes.gong]
path = "gong.wav"
class = "warning"
zones = "cabin"
repeat = 2
"#;

#[test]
fn each_kind_of_finding_has_a_file() {
    let found: BTreeSet<&str> = files()
        .iter()
        .flat_map(|path| said(path).findings().iter().map(|found| found.code).collect::<Vec<_>>())
        .collect();
    let expected = [
        code::SYNTAX,
        code::UNKNOWN_KEY,
        code::MISSING_KEY,
        code::WRONG_TYPE,
        code::OUT_OF_RANGE,
        code::UNKNOWN_WORD,
        code::UNKNOWN_NAME,
        code::BAD_NAME,
        code::DUPLICATE,
        code::CONFLICT,
        code::SAFETY,
        code::TOO_MANY,
        code::NO_EFFECT,
        code::UNUSED,
        code::DUCK_CYCLE,
        code::PERIOD,
        code::EXPRESSION,
        code::NEVER,
        code::SHADOWED,
        code::FOR_EVER,
        code::SILENT,
        code::PRIORITY,
        code::PROMISE,
        code::BEYOND,
    ];
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn findings_come_in_the_order_of_the_file_and_none_twice() {
    for path in files() {
        let report = said(&path);
        let places: Vec<_> = report
            .findings()
            .iter()
            .map(|found| (found.span, found.code, &found.message))
            .collect();
        assert!(places.is_sorted_by_key(|place| place.0), "{}", path.display());
        let distinct: BTreeSet<_> = places.iter().collect();
        assert_eq!(distinct.len(), places.len(), "{}", path.display());
    }
}

#[test]
fn the_data_of_a_finding_says_the_same_as_its_text() {
    let report = said(&folder().join("everything-at-once.toml"));

    let data = serde_json::to_value(&report).unwrap();

    let text = report.to_string();
    let entries = data.as_array().unwrap();
    assert!(entries.len() > 25);
    for entry in entries {
        let severity = entry["severity"].as_str().unwrap();
        let title = format!(
            "{severity}[{}]: {}",
            entry["code"].as_str().unwrap(),
            entry["message"].as_str().unwrap()
        );
        assert!(text.contains(&title), "{title}");
        let place = format!("--> everything-at-once.toml:{}:{}\n", entry["line"], entry["column"]);
        assert!(text.contains(&place), "{place}");
        assert!(entry["help"].as_str().is_none_or(|help| text.contains(help)));
    }
}
