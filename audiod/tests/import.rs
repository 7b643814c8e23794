//! `audiod import`: what becomes of other systems' files, item by item; how the policies made of them behave; the command.
#![allow(clippy::unwrap_used, reason = "tests")]

mod import_common;

use std::path::{Path, PathBuf};

use audiod::config;
use audiod::import::ledger::Fate;
use audiod::import::{Failed, Format, import};
use import_common::tree::Tree;
use import_common::{Folder, audiod, examples, files, folder, format, imported, inputs, with_fades};
use policy::file::code;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use system_tests::golden;

#[test]
fn every_item_of_a_file_is_mapped_approximated_or_lost() {
    for path in inputs() {
        let listing = imported(&path).listing;

        let counts = listing.counts;
        let items = Tree::read(&std::fs::read_to_string(&path).unwrap()).count();
        assert_eq!(counts.all, items, "{}", path.display());
        assert_eq!(counts.mapped + counts.approximated + counts.lost, items);
        assert_eq!(listing.items.len(), items);
        assert!(counts.mapped > 0);
    }
}

#[test]
fn every_note_says_something() {
    for path in inputs() {
        for item in imported(&path).listing.items {
            let (Fate::Mapped(note) | Fate::Approximated(note) | Fate::Lost(note)) = item.fate;
            assert!(note.len() > 3 && item.line > 0, "{}: {}", path.display(), item.path);
        }
    }
}

#[test]
fn the_policies_have_no_mistakes_and_nothing_in_them_goes_unused() {
    for path in inputs() {
        let policy = imported(&path).policy;

        let warnings = config::parse(&policy, Path::new("imported.toml")).unwrap().warnings;
        // Its limit while the cabin is loud is ended by no rule, as `check` is to say.
        let expected = if path.ends_with("generic.xml") {
            &[code::FOR_EVER][..]
        } else {
            &[]
        };
        let found: Vec<_> = warnings.findings().iter().map(|it| it.code).collect();
        assert_eq!(found, expected, "{}: {warnings}", path.display());
    }
}

#[test]
fn the_policies_are_word_for_word_those_kept() {
    let fades = (PathBuf::from("car_audio_configuration.fades.xml"), with_fades());
    let of_file = |path: PathBuf| (path.clone(), imported(&path));
    let all = inputs().into_iter().map(of_file).chain([fades]);
    let beside = |path: &Path| folder().join(path.with_extension("toml").file_name().unwrap());

    let differences = golden::differences(all.map(|(path, made)| (beside(&path), made.policy)));

    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn the_policies_behave_as_the_scenarios_say() {
    let scenarios = files(&folder().join("scenarios"), "toml");
    assert!(scenarios.len() >= 9);
    let desk = Folder::new("scenarios");
    for (kind, name) in [("audiomanager", "generic"), ("aaos", "car_audio_configuration")] {
        let input = examples().join(format!("{name}.xml"));
        let output = desk.path(&format!("{name}.toml"));
        let made = audiod(&["import", kind, input.to_str().unwrap(), "-o", &output]);
        assert_eq!(made.status.code(), Some(0));
        assert_eq!(audiod(&["check", &output]).status.code(), Some(0));
    }
    for scenario in scenarios {
        let name = scenario.file_name().unwrap().to_str().unwrap();
        let here = desk.path(name);
        std::fs::copy(&scenario, &here).unwrap();

        let output = audiod(&["simulate", &here]);

        assert_eq!(
            output.status.code(),
            Some(0),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_command_writes_policy_and_list_where_it_says() {
    let desk = Folder::new("command");
    let input = folder().join("car-v1.xml");
    let input = input.to_str().unwrap();
    let file = desk.path("car.toml");

    let shown = audiod(&["import", "aaos", input]);
    let written = audiod(&["import", "aaos", input, "-o", &file]);
    let again = audiod(&["import", "aaos", input, "-o", &file]);
    let json = audiod(&["import", "aaos", input, "--json"]);

    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(shown.status.code(), Some(0));
    assert_eq!(text(&shown.stdout), std::fs::read_to_string(&file).unwrap());
    assert_eq!(text(&shown.stderr), text(&written.stdout));
    assert!(text(&written.stdout).ends_with("20 items = 18 mapped + 2 approximated + 0 lost\n"));
    assert_eq!(again.status.code(), Some(5));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["counts"]["all"], 20);
    assert_eq!(json["items"].as_array().unwrap().len(), 20);
    assert_eq!(json["items"][0]["fate"], "mapped");
    assert!(json["policy"].as_str().unwrap().contains("[guests.android]"));
}

#[test]
fn the_command_ends_with_3_for_a_broken_file_and_says_so_in_json_too() {
    let input = folder().join("wrong/aaos-no-primary.xml");
    let input = input.to_str().unwrap();

    let shown = audiod(&["import", "aaos", input]);
    let json = audiod(&["import", "aaos", input, "--json"]);
    let missing = audiod(&["import", "audiomanager", "/nowhere/generic.xml"]);

    assert_eq!(shown.status.code(), Some(3));
    assert!(shown.stdout.is_empty());
    assert_eq!(json.status.code(), Some(3));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["findings"][0]["severity"], "error");
    assert_eq!(missing.status.code(), Some(3));
}

fn seeds() -> Vec<(Format, Tree)> {
    let read = |path: &PathBuf| (format(path), Tree::read(&std::fs::read_to_string(path).unwrap()));
    inputs().iter().map(read).collect()
}

/// Whatever is taken out, doubled, renamed or put in: every item is accounted for, or the file is refused with a cause; and
/// what isn't refused passes `check`.
fn is_accounted_for(seed: usize, changes: &[(u16, u16, u16)]) -> Result<(), TestCaseError> {
    let seeds = seeds();
    let (format, tree) = &seeds[seed % seeds.len()];
    let format = match format {
        Format::AudioManager(_) if seed.is_multiple_of(2) => &Format::AudioManager(vec!["Amplifier".to_owned()]),
        other => other,
    };
    let mut tree = tree.clone();
    for change in changes {
        tree.change(*change);
    }

    match import(format, &tree.write(), Path::new("changed.xml")) {
        Ok(made) => {
            let counts = made.listing.counts;
            prop_assert_eq!(counts.all, tree.count());
            prop_assert_eq!(counts.mapped + counts.approximated + counts.lost, tree.count());
            prop_assert!(config::parse(&made.policy, Path::new("changed.toml")).is_ok());
        }
        Err(Failed::Input(reports)) => prop_assert!(reports[0].errors() > 0),
        Err(Failed::Own(cause)) => prop_assert!(false, "{}", cause),
    }
    Ok(())
}

#[test]
fn of_any_file_everything_is_accounted_for() {
    let config = || ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    for seed in 0..8 {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let cases = (0_usize..64, prop::collection::vec(any::<(u16, u16, u16)>(), 0..12));
        let found =
            TestRunner::new_with_rng(config(), rng).run(&cases, |(seed, changes)| is_accounted_for(seed, &changes));
        assert!(found.is_ok(), "random seed {seed}: {found:?}");
    }
}
