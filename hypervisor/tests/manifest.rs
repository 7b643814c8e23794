//! Manifests with mistakes: each kind is found, with these very words. `BLESS=1` writes them anew, for a look at the difference.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hypervisor::check;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifest")
}

fn manifests(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    files
}

fn report(path: &Path) -> hypervisor::manifest::Report {
    let text = fs::read_to_string(path).unwrap();
    check::manifest(Path::new(path.file_name().unwrap()), &text).1
}

/// The kind of mistake a file is for: its name up to `--`.
fn kind(path: &Path) -> String {
    let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
    stem.split("--").next().unwrap().to_owned()
}

#[test]
fn each_mistake_is_found_with_its_place_cause_and_cure() {
    for path in manifests(&folder()) {
        let (report, golden) = (report(&path), path.with_extension("txt"));
        let text = report.to_string();
        if std::env::var_os("BLESS").is_some() {
            fs::write(&golden, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&golden).unwrap(), "{}", path.display());
        let codes: BTreeSet<&str> = report.findings().iter().map(|found| found.code).collect();
        let kind = kind(&path);
        assert!(
            kind == "good" && codes.is_empty() || codes.contains(kind.as_str()),
            "{kind}: {codes:?}"
        );
    }
}

#[test]
fn there_are_mistakes_of_at_least_thirty_kinds() {
    let kinds: BTreeSet<String> = manifests(&folder()).iter().map(|path| kind(path)).collect();
    assert!(kinds.len() > 30, "{}", kinds.len());
}

#[test]
fn the_examples_have_no_findings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/boards");
    let files = manifests(&folder);
    assert!(!files.is_empty());
    for path in files {
        assert_eq!(report(&path).to_string(), "");
    }
}

#[test]
fn any_cut_of_a_manifest_is_read_without_a_panic() {
    let text = fs::read_to_string(folder().join("good.toml")).unwrap();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let _ = check::manifest(Path::new("cut.toml"), &text[..end]).1.to_string();
    }
}

#[test]
fn the_schema_names_every_key_of_the_examples() {
    fn known(schema: &serde_json::Value, value: &toml::Value, at: &str) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    let named = &schema["additionalProperties"];
                    let inner = if named.is_object() {
                        named
                    } else {
                        &schema["properties"][key]
                    };
                    assert!(inner.is_object(), "{at}.{key}");
                    known(inner, value, &format!("{at}.{key}"));
                }
            }
            toml::Value::Array(items) => items.iter().for_each(|item| known(&schema["items"], item, at)),
            _ => assert!(!schema["type"].is_null() || !schema["enum"].is_null(), "{at}"),
        }
    }
    let schema = hypervisor::manifest::schema::schema();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/boards");
    for path in manifests(&folder) {
        let text = fs::read_to_string(path).unwrap();
        known(&schema, &toml::from_str(&text).unwrap(), "manifest");
    }
}
