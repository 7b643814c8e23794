//! What is said about files that the importers refuse.
#![allow(clippy::unwrap_used, reason = "tests")]

mod import_common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use audiod::import::{Failed, Format, import};
use import_common::{files, folder, refusal};
use system_tests::golden;

#[test]
fn each_broken_file_gets_the_words_beside_it() {
    let broken = files(&folder().join("wrong"), "xml");
    assert!(broken.len() >= 30, "{}", broken.len());
    let said_of = |path: &PathBuf| (path.with_extension("txt"), refusal(path).to_string());

    let differences = golden::differences(broken.iter().map(said_of));

    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn a_broken_files_mistakes_come_all_at_once_each_with_place_and_cause() {
    let most = files(&folder().join("wrong"), "xml")
        .iter()
        .map(|path| refusal(path).errors())
        .max();
    assert!(most.unwrap() >= 12);
    for path in files(&folder().join("wrong"), "xml") {
        let report = refusal(&path);
        assert!(report.errors() > 0 && report.warnings() == 0);
        let places: BTreeSet<_> = report
            .findings()
            .iter()
            .map(|found| (found.span, &found.message))
            .collect();
        assert_eq!(places.len(), report.findings().len(), "{}", path.display());
    }
}

#[test]
fn what_is_too_large_is_refused_without_being_read() {
    let nodes = "<a/>".repeat(30_000);
    let many = format!("<carAudioConfiguration version=\"4\">{nodes}</carAudioConfiguration>");
    let deep = "<a>".repeat(100_000);
    let long = " ".repeat(policy::file::MAX_BYTES + 1);
    for text in [many, deep, long] {
        match import(&Format::Aaos(None), &text, Path::new("large.xml")) {
            Err(Failed::Input(reports)) => assert_eq!(reports[0].errors(), 1),
            other => panic!("{other:?}"),
        }
    }
}
