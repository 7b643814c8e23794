//! Proofs: the shipped policies keep what they promise; planted faults are found, each with a shortest scenario.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use policy::file::{self, Document};
use policy::prove::{Budget, Promise, Proof, Verdict, prove, text};
use policy::simulate::{Cast, cast};
use policy::{Model, simulate};

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

fn model(text: &str) -> Model {
    file::read(&Document::parse(text))
}

fn proof_of(model: &Model, states: usize) -> Proof {
    let budget = Budget {
        states,
        go_on: &mut || true,
    };
    // Quicker without domains; those that are about domains say so.
    prove(model, "policy.toml", Some(&Cast::default()), budget)
}

fn with_domains(model: &Model) -> Proof {
    let budget = Budget {
        states: 1_000_000,
        go_on: &mut || true,
    };
    prove(model, "policy.toml", None, budget)
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

fn is_proven(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file);
    let model = model(&std::fs::read_to_string(path).unwrap());

    let proof = with_domains(&model);

    println!(
        "{file}: {} states, {} steps, depth {}",
        proof.states, proof.steps, proof.depth
    );
    assert!(proof.complete && proof.is_proven(), "{}", text(file, &proof));
    assert!(proof.states > 5_000, "{file}: {} states", proof.states);
    assert_eq!(proof.notes, [] as [String; 0], "{file}");
}

macro_rules! proven {
    ($($name:ident: $file:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            is_proven($file);
        })*

        #[test]
        fn no_example_is_forgotten() {
            let names = examples().into_iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
            assert_eq!(names.collect::<Vec<_>>(), [$($file),*]);
        }
    };
}

proven! {
    call_first_is_proven_with_domains: "call-first.toml",
    hands_free_is_proven_with_domains: "hands-free.toml",
    head_unit_is_proven_with_its_domains: "head-unit.toml",
    rear_seat_is_proven_with_domains: "rear-seat.toml",
    safety_stream_is_proven_with_domains: "safety-stream.toml",
    simple_car_is_proven_with_domains: "simple-car.toml",
    two_codecs_is_proven_with_domains: "two-codecs.toml",
}

/// What is broken, and how.
fn broken(proof: &Proof) -> Vec<(Promise, &str, &str)> {
    let broken = proof.promises.iter().filter_map(|judged| match &judged.verdict {
        Verdict::Broken { what, scenario, .. } => Some((judged.promise, what.as_str(), scenario.as_str())),
        _ => None,
    });
    broken.collect()
}

fn planted(what: fn(&str) -> bool) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.retain(|path| what(path.file_stem().unwrap().to_str().unwrap()));
    files.sort();
    files
}

#[test]
fn at_least_20_faults_are_planted_and_each_has_its_trace() {
    let all = planted(|_| true);
    assert!(all.len() >= 20, "{}", all.len());
    assert!(planted(|name| name.starts_with("domains-")).len() >= 5);
    for file in all {
        let trace = std::fs::read_to_string(file.with_extension("txt")).unwrap();
        assert!(trace.contains("\nsteps = [\n"), "{}", file.display());
    }
}

#[test]
fn each_planted_matrix_breaks_the_ceiling_with_its_shortest_scenario() {
    let files = planted(|name| !name.starts_with("domains-") && !name.starts_with("rules-"));
    assert!(files.len() >= 10);
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let model = model(&std::fs::read_to_string(&file).unwrap());

        let proof = proof_of(&model, 100_000);

        let [(promise, what, scenario)] = broken(&proof)[..] else {
            panic!("{name}: {}", text(name, &proof));
        };
        assert!(proof.complete && promise == Promise::Ceiling, "{name}");
        assert_golden(&format!("../planted/{name}.txt"), &format!("{what}\n\n{scenario}"));
        let steps = scenario
            .lines()
            .filter(|line| line.trim_start().starts_with('{'))
            .count();
        assert!(
            (2..=3).contains(&steps),
            "{name}: a warning and who is too loud: {scenario}"
        );
    }
}

fn rules_fight(what: fn(&str) -> bool, cast: Option<&Cast>) {
    for file in planted(what) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let document = std::fs::read_to_string(&file).unwrap();
        let document = Document::parse(&document);
        let model = file::read(&document);
        assert_eq!(document.finish(name).to_string(), "");
        let budget = Budget {
            states: 60_000,
            go_on: &mut || true,
        };

        let proof = prove(&model, "policy.toml", cast, budget);

        let [(Promise::Fights, what, scenario)] = broken(&proof)[..] else {
            panic!("{name}: {}", text(name, &proof));
        };
        assert_golden(&format!("../planted/{name}.txt"), &format!("{what}\n\n{scenario}"));
        // As a user would run it.
        let document = Document::parse(scenario);
        simulate::scenario::read(&document, &model);
        assert_eq!(document.finish("scenario.toml").to_string(), "", "{name}");
    }
}

#[test]
fn each_planted_pair_of_rules_fights_with_its_shortest_scenario() {
    rules_fight(|name| name.starts_with("rules-"), Some(&Cast::default()));
}

#[test]
fn rules_that_only_fight_over_what_domains_do_are_found_with_a_domain() {
    let source = cast::Source {
        name: "another source".to_owned(),
        class: 1,
    };
    let domain = cast::Domain {
        name: "another domain".to_owned(),
        sources: vec![source],
        sinks: vec!["another sink".to_owned()],
        gateways: Vec::new(),
    };
    let tuner = Cast { domains: vec![domain] };

    rules_fight(|name| name.starts_with("domains-"), Some(&tuner));
}

#[test]
fn rules_that_only_fight_over_what_domains_do_are_not_found_without_one() {
    for file in planted(|name| name.starts_with("domains-")) {
        let model = model(&std::fs::read_to_string(&file).unwrap());

        let proof = proof_of(&model, 60_000);

        assert!(proof.complete && proof.is_proven(), "{}", file.display());
    }
}

#[test]
fn a_counter_example_is_a_scenario_that_simulate_runs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted/shallow-by-one-decibel.toml");
    let model = model(&std::fs::read_to_string(file).unwrap());
    let proof = proof_of(&model, 100_000);
    let (_, _, scenario) = broken(&proof)[0];

    let document = Document::parse(scenario);
    let read = simulate::scenario::read(&document, &model);

    assert_eq!(document.finish("scenario.toml").to_string(), "");
    let timeline = simulate::run(model, &read);
    let lane = timeline.lanes.iter().find(|lane| lane.source == "ivi.media").unwrap();
    assert_eq!(lane.turns.last().unwrap().tenths_db, Some(-190));
}

const CAR: &str = include_str!("../../examples/simple-car.toml");

#[test]
fn what_the_budget_leaves_out_is_not_decided() {
    let car = model(CAR);

    let few = proof_of(&car, 20);
    let late = prove(
        &car,
        "car.toml",
        Some(&Cast::default()),
        Budget {
            states: 1_000_000,
            go_on: &mut || false,
        },
    );

    for proof in [few, late] {
        assert!(!proof.complete && !proof.is_proven() && !proof.is_broken());
        let undecided = |verdict: &Verdict| matches!(verdict, Verdict::NotDecided { why } if why.contains("budget"));
        assert!(
            proof.promises.iter().all(|judged| undecided(&judged.verdict)),
            "{}",
            text("car", &proof)
        );
    }
}

#[test]
fn a_line_that_is_never_used_and_a_ceiling_nobody_states_are_noted() {
    let text = CAR.replace("others_at_most_db = -20.0", "").replace(
        "[[matrix]]                           # and 20",
        "[classes.radio]\n[[matrix]]\nholder = \"media\"\nnewcomer = \"radio\"\naction = \"stop\"\n[[matrix]] # and 20",
    );

    let proof = proof_of(&model(&text), 100_000);

    assert!(proof.is_proven());
    let [ceiling, unused] = &proof.notes[..] else {
        panic!("{:?}", proof.notes)
    };
    assert!(
        ceiling.starts_with("class warning (line 17) states no ceiling"),
        "{ceiling}"
    );
    assert!(
        unused.ends_with("is never used: these never meet (radio over media)"),
        "{unused}"
    );
}

#[test]
fn a_report_says_what_it_is_about() {
    let proof = proof_of(&model(CAR), 100_000);

    assert_golden("proof-simple-car.txt", &text("simple-car.toml", &proof));
}

fn with_rules(rules: &str) -> Model {
    let text = format!("{CAR}\n{rules}");
    let document = Document::parse(&text);
    let model = file::read(&document);
    let report = document.finish("car.toml");
    // What only the daemon's reader knows is unknown here.
    assert!(
        report.findings().iter().all(|found| found.code == "unknown-key"),
        "{report}"
    );
    model
}

fn fights(rules: &str) -> Proof {
    let proof = proof_of(&with_rules(rules), 5000);
    let [(promise, ..)] = broken(&proof)[..] else {
        panic!("{}", text("car", &proof))
    };
    assert_eq!(promise, Promise::Fights);
    proof
}

#[test]
fn two_rules_that_set_one_volume_to_different_values_on_one_event_fight() {
    let rule = |name: &str, volume: u8| {
        format!(
            "[[rules]]\nname = \"{name}\"\non = \"stream.started\"\nwhen = 'class(request.source) == \"navigation\"'\n\
             do = [{{ set_volume = {{ sink = \"cabin\", main_volume = {volume} }} }}]\n"
        )
    };
    let proof = fights(&(rule("louder", 90) + &rule("quieter", 30)));

    let (_, what, scenario) = broken(&proof)[0];
    assert_golden("proof-two-rules.txt", &format!("{what}\n\n{scenario}"));
}

#[test]
fn rules_that_set_each_other_off_without_end_fight() {
    let rule = |name: &str, on: u8, to: u8| {
        format!(
            "[[rules]]\nname = \"{name}\"\non = \"system.volume_changed\"\nwhen = 'request.main_volume == {on}'\n\
             do = [{{ set_volume = {{ main_volume = {to} }} }}]\n"
        )
    };
    let proof = fights(&(rule("up", 0, 50) + &rule("down", 50, 0)));

    let (_, what, scenario) = broken(&proof)[0];
    assert_golden("proof-rules-without-end.txt", &format!("{what}\n\n{scenario}"));
}

#[test]
fn a_rule_that_never_does_anything_is_noted() {
    let rules = "[[rules]]\nname = \"idle\"\non = \"stream.started\"\nwhen = 'class(request.source) == \"media\" && \
                 class(request.source) == \"navigation\"'\ndo = [{ set_volume = { sink = \"cabin\", main_volume = 30 } }]\n";

    let proof = proof_of(&with_rules(rules), 400_000);

    assert!(proof.complete && proof.is_proven(), "{}", text("car", &proof));
    assert!(
        proof.notes.iter().any(|note| note.starts_with("rule `idle` (line ")),
        "{:?}",
        proof.notes
    );
}
