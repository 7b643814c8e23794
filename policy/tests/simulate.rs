//! The shipped scenarios, to the letter; what is said about wrong ones; the picture's structure.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use policy::file::Document;
use policy::report::Report;
use policy::simulate::{Timeline, run, scenario, svg, table};
use policy::{Model, file};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn policy_at(path: &Path) -> Model {
    file::read(&Document::parse(&std::fs::read_to_string(path).unwrap()))
}

/// A scenario's timeline, and the report of what it expects and doesn't get.
fn simulate(text: &str, folder: &Path) -> (Timeline, Report) {
    let document = Document::parse(text);
    let policy = folder.join(scenario::policy_of(&document).unwrap().value);
    let model = policy_at(&policy);
    let scenario = scenario::read(&document, &model);
    let mistakes = document.finish("scenario.toml");
    assert_eq!(mistakes.to_string(), "");
    let mut timeline = run(model, &scenario);
    let findings = std::mem::take(&mut timeline.findings);
    let report = Report::new("scenario.toml", text, findings);
    (timeline, report)
}

/// What is wrong with a text that should be a scenario for the simple car.
fn mistakes(text: &str) -> Report {
    let document = Document::parse(text);
    scenario::read(&document, &policy_at(&examples().join("simple-car.toml")));
    document.finish("scenario.toml")
}

fn shipped() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(examples().join("scenarios")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Compares with a golden file; with `BLESS` set, writes it.
fn assert_golden(name: &str, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden(name), text).unwrap();
    }
    let expected = std::fs::read_to_string(golden(name)).unwrap_or_default();
    assert_eq!(text, expected, "{name}; BLESS=1 writes it anew");
}

#[test]
fn every_shipped_scenario_holds_and_its_timeline_is_as_it_was() {
    let files = shipped();
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let (timeline, report) = simulate(&text, file.parent().unwrap());

        assert_eq!(report.to_string(), "", "{}", file.display());
        assert!(timeline.expected > 3, "{}", file.display());
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert_golden(&format!("scenario-{name}.txt"), &table(&timeline));
    }
}

const FAILS: &str = r#"version = 1
policy = "simple-car.toml"
steps = [
  { at = 0, start = "ivi.media" },
  { at = 100, start = "cluster.prompt" },
  { at = 200, volume = "cabin", value = 50, reply = 2 },
]
expect = [
  { at = 150, source = "ivi.media", sink = "cabin", db = -20.0 },
  { at = 150, source = "ivi.media", sink = "cabin", because = "ducked", by = "chime.seatbelt" },
  { at = 150, source = "cluster.prompt", sink = "cabin", state = "suspended" },
  { at = 150, source = "chime.seatbelt", sink = "cabin", db = 0.0 },
]
"#;

#[test]
fn what_is_expected_and_isnt_so_is_told_with_line_cause_and_cure() {
    let (timeline, report) = simulate(FAILS, &examples());

    assert_eq!((timeline.expected, timeline.failed), (5, 5));
    assert_golden("scenario-fails.txt", &report.to_string());
}

const WRONG: &str = r#"version = 2
policy = "simple-car.toml"
absent = ["ivi", "radio"]
steps = [
  { at = 0, start = "ivi.media" },
  { at = 10, start = "chime.seatbelt" },
  { at = 5, sound = "ivi.media" },
  { at = 20 },
  { at = 30, start = "cluster.prompt", stop = "cluster.prompt" },
  { at = 40, start = "cluster.promt", louder = 3 },
  { at = 50, start = "cluster.prompt", reply = 0 },
  { at = 45, stop = "cluster.prompt" },
  { at = 60, connect = "cluster.prompt" },
  { at = -1, gone = "cluster" },
  { at = 70, gain = "ivi.media", db = 6 },
]
expect = [
  { at = 10, source = "ivi.media", sink = "cabin" },
  { at = 10, source = "ivi.media", db = -3, by = "ivi.media" },
  { at = 10, source = "ivi.media", sink = "cabin", because = "duck" },
]
"#;

#[test]
fn all_mistakes_of_a_scenario_are_told_at_once() {
    let report = mistakes(WRONG);

    assert_golden("scenario-wrong.txt", &report.to_string());
    assert!(report.errors() >= 14, "{report}");
}

/// All values of an attribute.
fn attributes<'s>(svg: &'s str, name: &str) -> Vec<&'s str> {
    let key = format!(" {name}=\"");
    svg.split(key.as_str())
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect()
}

/// All texts.
fn texts(svg: &str) -> Vec<&str> {
    svg.split("<text ")
        .skip(1)
        .map(|rest| rest.split('>').nth(1).unwrap().split('<').next().unwrap())
        .collect()
}

#[test]
fn the_picture_has_a_lane_a_source_with_axes_units_causes_and_steps_and_all_of_it_is_inside() {
    let file = examples().join("scenarios/chime-over-all.toml");
    let (timeline, _) = simulate(&std::fs::read_to_string(&file).unwrap(), file.parent().unwrap());

    let picture = svg(&timeline);

    assert_eq!(picture.matches("<g ").count(), picture.matches("</g>").count());
    assert_eq!(
        attributes(&picture, "class").iter().filter(|it| **it == "lane").count(),
        3
    );
    assert_eq!(
        attributes(&picture, "class").iter().filter(|it| **it == "gain").count(),
        3
    );
    assert_golden("scenario-texts.txt", &(texts(&picture).join("\n") + "\n"));
    let number = |text: &&str| text.parse::<f64>().ok();
    let height: f64 = attributes(&picture, "height")[0].parse().unwrap();
    for x in attributes(&picture, "x")
        .iter()
        .chain(&attributes(&picture, "x2"))
        .filter_map(number)
    {
        assert!((0.0..=1100.0).contains(&x), "{x}");
    }
    for y in attributes(&picture, "y")
        .iter()
        .chain(&attributes(&picture, "y2"))
        .filter_map(number)
    {
        assert!((0.0..=height).contains(&y), "{y}");
    }
    for points in attributes(&picture, "points") {
        let xs = points
            .split(' ')
            .map(|point| point.split(',').next().unwrap().parse::<f64>().unwrap());
        assert!(xs.clone().is_sorted(), "time goes on: {points}");
        assert!(points.split(' ').count() > 2);
    }
}

#[test]
fn a_name_in_a_title_is_no_markup() {
    let text = FAILS.replace("version = 1", "version = 1\ntitle = \"<a href='x'> & \\u0007\"");
    let (timeline, _) = simulate(&text, &examples());

    let picture = svg(&timeline);

    assert!(
        picture.contains("&lt;a href='x'&gt; &amp; \u{fffd}"),
        "{}",
        &picture[..600]
    );
}
