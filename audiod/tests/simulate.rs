//! `audiod simulate` and `audiod check --matrix`, as a script meets them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn audiod(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audiod"))
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    path.to_str().unwrap().to_owned()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("carillon-simulate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn scenarios() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(example("scenarios")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_shipped_scenario_ends_with_0_and_says_that_all_holds() {
    let all = scenarios();
    assert!(all.len() >= 7);
    for scenario in all {
        let output = audiod(&["simulate", scenario.to_str().unwrap()]);

        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}",
            scenario.display(),
            text(&output.stderr)
        );
        assert!(text(&output.stdout).contains("expectations hold\n"));
    }
}

#[test]
fn an_expectation_that_fails_ends_with_1_and_a_mistake_with_3() {
    let folder = Folder::new("codes");
    let begin = format!(
        "version = 1\npolicy = \"{}\"\nsteps = [{{ at = 0, start = \"ivi.media\" }}]\n",
        example("simple-car.toml")
    );
    let expect =
        |db: &str| format!("{begin}expect = [{{ at = 10, source = \"ivi.media\", sink = \"cabin\", db = {db} }}]\n");

    let fails = audiod(&["simulate", &folder.file("fails.toml", &expect("-9.0"))]);
    let mistaken = audiod(&["simulate", &folder.file("mistaken.toml", &expect("9"))]);
    let no_policy = audiod(&[
        "simulate",
        &folder.file("no-policy.toml", "version = 1\npolicy = \"none.toml\"\n"),
    ]);
    let without = audiod(&["simulate", &folder.file("without.toml", "version = 1\n")]);

    assert_eq!(fails.status.code(), Some(1));
    assert!(text(&fails.stderr).contains("ivi.media at cabin is at 0.0 dB at 10 ms, not at -9.0 dB"));
    assert!(text(&fails.stdout).contains("1 of 1 expectations fail"));
    assert_eq!(mistaken.status.code(), Some(3));
    assert!(text(&mistaken.stderr).contains("did you mean -9?"));
    assert_eq!(no_policy.status.code(), Some(3));
    assert!(text(&no_policy.stderr).contains("none.toml: it can't be read"));
    assert_eq!(without.status.code(), Some(3));
    assert!(text(&without.stderr).contains("`policy` is missing"));
}

#[test]
fn the_timeline_is_there_as_json_and_as_a_picture() {
    let folder = Folder::new("forms");
    let picture = folder.0.join("out.svg");
    let scenario = example("scenarios/music-and-prompt.toml");

    let output = audiod(&["simulate", &scenario, "--json", "--svg", picture.to_str().unwrap()]);

    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(said["title"], "A prompt ducks the music, and the music comes back");
    assert_eq!(
        (&said["failed"], &said["lanes"][0]["source"]),
        (&0.into(), &"ivi.media".into())
    );
    let ducked = said["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["tenths_db"] == -140)
        .unwrap();
    assert_eq!(
        (&ducked["at"], &ducked["ramp_ms"], &ducked["reasons"][0]["line"]),
        (&1000.into(), &50.into(), &21.into())
    );
    assert!(std::fs::read_to_string(&picture).unwrap().starts_with("<svg "));
}

#[test]
fn the_matrix_is_printed_with_the_line_of_each_cell() {
    let output = audiod(&["check", "--matrix", &example("simple-car.toml")]);
    let json = audiod(&["check", "--matrix", "--json", &example("simple-car.toml")]);

    assert_eq!((output.status.code(), json.status.code()), (Some(0), Some(0)));
    let said = text(&output.stdout);
    assert_eq!(said.lines().count(), 10, "{said}");
    assert!(
        said.contains("media       navigation  ducked     plays        -14.0 dB  50 ms   500 ms   line 21\n"),
        "{said}"
    );
    let cells: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(cells["matrix"].as_array().unwrap().len(), 9);
    assert_eq!(cells["matrix"][1]["line"], 21);
}

#[test]
fn a_proof_ends_with_0_a_broken_one_with_1_and_one_that_ran_out_of_budget_with_6() {
    let folder = Folder::new("prove");
    let car = std::fs::read_to_string(example("simple-car.toml")).unwrap();
    let car = car.replace(
        "\"chimes/seatbelt.wav\"",
        &format!("\"{}\"", example("chimes/seatbelt.wav")),
    );
    let shallow = folder.file("shallow.toml", &car.replace("depth_db = -20.0", "depth_db = -12.0"));

    let proven = audiod(&["check", "--prove", &example("simple-car.toml")]);
    let broken = audiod(&["check", "--prove", &shallow]);
    let json = audiod(&["check", "--prove", "--json", &shallow]);
    let undecided = audiod(&["check", "--prove", "--states", "10", &example("simple-car.toml")]);

    assert_eq!(proven.status.code(), Some(0), "{}", text(&proven.stdout));
    assert!(text(&proven.stdout).contains("every state was seen"));
    assert_eq!((broken.status.code(), json.status.code()), (Some(1), Some(1)));
    assert!(
        text(&broken.stdout).contains("policy = \"shallow.toml\""),
        "{}",
        text(&broken.stdout)
    );
    let said: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let judged = said["promises"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["promise"] == "ceiling")
        .unwrap();
    assert_eq!(judged["verdict"], "broken");
    assert_eq!(undecided.status.code(), Some(6));
    // The counter-example is a scenario as it stands.
    let scenario = folder.file("counter.toml", judged["scenario"].as_str().unwrap());
    assert_eq!(audiod(&["simulate", &scenario]).status.code(), Some(0));
}
