//! Random rules on random models: they never panic, are the same each time, survive a restart, reach no safety source, and hold
//! nothing without its cause. And planted faults are noticed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::super::fixture::*;
use super::super::judge::Judge;
use super::super::legal;
use super::super::mutant::{self, Mutant};
use super::{bench, read, rule};
use crate::command::Call;
use crate::effect::{CauseKind, EXTERNAL};
use crate::event::Event;
use crate::rules::action::Level;
use crate::rules::catalogue::Trigger;
use crate::{Machine, Model};

type Verdict = Result<(), TestCaseError>;

fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// `$s`, `$z`, `$c` become names of the model's sources, sinks, classes.
const CONDITIONS: [&str; 18] = [
    "true",
    r#"class(request.source) == "$c""#,
    r#"request.source != "$s""#,
    r#"["$c", "$c"] has request.class"#,
    r#"priority(request.source) > priority("$c")"#,
    r#"state("$s") == on"#,
    r#"state(connection("$s", "$z")) == connected"#,
    r#"connection_state("$c") has suspended"#,
    r#"connection_state(others) lacks connected"#,
    r#"count(all) >= 2"#,
    r#"count(connections("$z")) < 3 && !(error() == 7)"#,
    r#"volume("$z") < -20 dB || volume("$s") == 0 dB"#,
    r#"main_volume("$z") > 3"#,
    r#"mute_state("$c") has muted"#,
    r#"volume_limit("$s") < 0 dB"#,
    r#"peek("$c", oldest, 0) == request.connection"#,
    r#"source(peek("$c", high_priority, 1)) == "$s""#,
    r#"elements("$c", connection) has "x" || name(request.source) != "y""#,
];

const ACTIONS: [&str; 24] = [
    r#"limit = { class = "$c", gain_db = -20 }"#,
    r#"limit = { source = "$s", sink = "$z", gain_db = -5, cause = "$s", ramp_ms = 70 }"#,
    r#"limit = { source = "$s", below_db = -10, cause = "$s" }"#,
    r#"limit = { source = "request.source", gain_db = -7.5, sticky = true, pattern = 2 }"#,
    r#"limit = { sink = "$z", gain_db = -1, cause = "$s" }"#,
    r#"limit = { connection = "others", gain_db = -30 }"#,
    r#"unlimit = { class = "$c", pattern = 3 }"#,
    r#"unlimit = {}"#,
    r#"mute = { class = "$c" }"#,
    r#"mute = { sink = "$z", cause = "$s" }"#,
    r#"mute = { sticky = true }"#,
    r#"unmute = { source = "$s" }"#,
    r#"unmute = {}"#,
    r#"connect = { source = "$s", sink = "$z" }"#,
    r#"connect = { source = "request.source" }"#,
    r#"connect = { class = "$c", order = "oldest" }"#,
    r#"disconnect = { class = "$c" }"#,
    r#"disconnect = { connection = "others", except_class = "$c" }"#,
    r#"push = { class = "$c" }"#,
    r#"pop = {}"#,
    r#"suspend = { source = "$s" }"#,
    r#"resume = { sink = "$z" }"#,
    r#"set_volume = { sink = "$z", main_volume_step = -1 }"#,
    r#"set_volume = { class = "$c", gain_db = "volume(\"$z\")" }"#,
];

#[derive(Clone, Debug)]
struct Draft {
    on: Trigger,
    conditions: Vec<&'static str>,
    actions: Vec<&'static str>,
    priority: i32,
    overrides: bool,
    last: bool,
    names: usize,
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let on: Vec<Trigger> = Trigger::ALL
        .iter()
        .copied()
        .filter(|it| !it.name().contains("gister") && !it.name().contains("propert"))
        .filter(|it| !it.name().contains("stored"))
        .collect();
    let parts = (
        select(on),
        vec(select(CONDITIONS.to_vec()), 0..3),
        vec(select(ACTIONS.to_vec()), 1..3),
        0..100_i32,
        any::<bool>(),
        prop::bool::weighted(0.1),
        0..1000_usize,
    );
    let draft = parts.prop_map(|(on, conditions, actions, priority, overrides, last, names)| Draft {
        on,
        conditions,
        actions,
        priority,
        overrides,
        last,
        names,
    });
    vec(draft, 1..6)
}

/// With rules. Some name safety sources: these are errors of the file, and must do no harm all the same.
fn with_drafts(mut model: Model, drafts: &[Draft]) -> Model {
    let mut file = String::new();
    for (index, draft) in drafts.iter().enumerate() {
        let mut turn = draft.names;
        let mut name = |text: &str| {
            let mut text = text.to_owned();
            for (sign, names) in [
                ("$s", model.sources.iter().map(|it| &it.name).collect::<Vec<_>>()),
                ("$z", model.sinks.iter().map(|it| &it.name).collect()),
                ("$c", model.classes.iter().map(|it| &it.name).collect()),
            ] {
                while text.contains(sign) {
                    text = text.replacen(sign, names[turn % names.len()], 1);
                    turn += 1;
                }
            }
            text
        };
        let conditions: Vec<String> = draft.conditions.iter().map(|it| format!("'{}'", name(it))).collect();
        let actions: Vec<String> = draft.actions.iter().map(|it| format!("{{ {} }}", name(it))).collect();
        file.push_str(&format!(
            "[[rules]]\nname = \"r{index}\"\non = \"{}\"\nwhen = [{}]\ndo = [{}]\npriority = {}\noverrides = {}\nbreak = {}\n",
            draft.on.name(),
            conditions.join(", "),
            actions.join(", "),
            draft.priority,
            draft.overrides,
            draft.last,
        ));
    }
    let (program, report) = read(&file, &model);
    let known = ["safety", "conflict", "missing-key", "no-effect"];
    assert!(report.findings().iter().all(|it| known.contains(&it.code)), "{report}");
    model.rules = program;
    model
}

/// Whatever a rule holds down it holds for a cause that sounds, or for good.
fn nothing_without_cause(machine: &Machine) -> Verdict {
    for (source, heard) in machine.heard().sources.iter().enumerate() {
        for (sink, tap) in heard.taps.iter().enumerate() {
            for cause in &tap.causes {
                if !matches!(cause.kind, CauseKind::Limited | CauseKind::RuleMuted) {
                    continue;
                }
                prop_assert!(!machine.model().protected(source), "a safety source is held down");
                let holds = machine.state.ruled.limits.iter().any(|it| {
                    let there = it.source.is_none_or(|own| own == source) && it.sink.is_none_or(|own| own == sink);
                    let sounds = |cause: usize| {
                        cause < EXTERNAL && machine.state_of(cause).is_some_and(|it| it.running || it.sounding)
                    };
                    let lasting = it.sticky && !matches!(it.level, Level::Below(_));
                    there && Some(it.line) == cause.line && (lasting || it.cause.is_some_and(sounds))
                });
                prop_assert!(holds, "held down without cause: {cause:?}");
            }
        }
    }
    Ok(())
}

fn is_just(model: Model, events: &[(u64, Event)]) -> Verdict {
    let mut machine = Machine::new(model);
    let mut judge = Judge::new(&machine);
    let mut now = 0;
    for (later, event) in events {
        now += later;
        let effects = machine.step(event.clone(), now);
        judge.step(&machine, event, &effects)?;
        nothing_without_cause(&machine)?;
    }
    Ok(())
}

fn run(machine: &mut Machine, events: &[(u64, Event)], now: &mut u64) -> Vec<Vec<crate::Effect>> {
    let steps = events.iter().map(|(later, event)| {
        *now += later;
        machine.step(event.clone(), *now)
    });
    steps.collect()
}

fn is_deterministic(model: &Model, events: &[(u64, Event)], cut: usize) -> Verdict {
    let (first, rest) = events.split_at(cut.min(events.len()));
    let mut now = 0;
    let (mut one, mut two) = (Machine::new(model.clone()), Machine::new(model.clone()));
    prop_assert_eq!(run(&mut one, first, &mut now), run(&mut two, first, &mut 0));
    prop_assert_eq!(one.overruns(), two.overruns());
    let snapshot = one.snapshot();
    prop_assert_eq!(&snapshot, &two.snapshot());
    let restored = Machine::restore(model.clone(), &snapshot);
    let mut restored = restored.map_err(|err| TestCaseError::fail(err.to_string()))?;
    prop_assert_eq!(restored.heard(), one.heard());
    let mut later = now;
    prop_assert_eq!(run(&mut one, rest, &mut now), run(&mut restored, rest, &mut later));
    prop_assert_eq!(one.snapshot(), restored.snapshot());
    Ok(())
}

#[test]
fn random_rules_on_random_models_are_just() {
    let cases = (legal::model(), drafts(), legal::events());
    let found = runner(1500).run(&cases, |(model, drafts, events)| {
        is_just(with_drafts(model, &drafts), &events)
    });
    found.unwrap();
}

#[test]
fn random_rules_are_the_same_each_time_and_survive_a_restart() {
    let cases = (legal::model(), drafts(), legal::events(), 0_usize..40);
    let found = runner(700).run(&cases, |(model, drafts, events, cut)| {
        is_deterministic(&with_drafts(model, &drafts), &events, cut)
    });
    found.unwrap();
}

#[test]
fn random_texts_are_read_without_harm() {
    let words = [
        "request",
        ".",
        "source",
        "(",
        ")",
        "[",
        "]",
        "\"",
        "'",
        "==",
        "has",
        "&&",
        "||",
        "!",
        "-",
        "7",
        "dB",
        ",",
        "all",
        "count",
        "peek",
        "ivi.media",
        "\\u00e4",
        "ä",
        " ",
        "\n",
        "=",
        "<",
        "0x",
        "1e999",
        "name",
        "state",
    ];
    let text = vec(select(words.to_vec()), 0..40).prop_map(|words| words.concat());
    let model = car();
    let found = runner(3000).run(&text, |text| {
        let file =
            format!("[[rules]]\nname = \"a\"\non = \"user.all\"\nwhen = '''{text}'''\ndo = [{{ push = {{}} }}]\n");
        let (_, report) = read(&file, &model);
        prop_assert!(report.to_string().len() < 20_000);
        Ok(())
    });
    found.unwrap();
}

#[test]
fn each_fault_in_what_rules_hold_is_noticed() {
    for planted in [
        Mutant::LimitsOutliveTheirCause,
        Mutant::RulesOverrideSafety,
        Mutant::ForgetsLimits,
        Mutant::RulesMuteForGood,
    ] {
        let cases = (legal::model(), drafts(), legal::events(), 0_usize..40);
        let mut runner = runner(1500);
        let config = runner.config().clone();
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        runner = TestRunner::new_with_rng(
            Config {
                max_shrink_iters: 0,
                ..config
            },
            rng,
        );
        let found = runner.run(&cases, |(model, drafts, events, cut)| {
            let model = with_drafts(model, &drafts);
            mutant::with(planted, || {
                is_just(model.clone(), &events)?;
                is_deterministic(&model, &events, cut)
            })
        });
        assert!(found.is_err(), "{planted:?} went unnoticed");
    }
}

/// A rule that works, and three that quarrel: gain of the media, volume of the rear, overruns.
fn two_scenes() -> (i16, i16, u64) {
    let text = rule(
        "stream.started",
        "true",
        r#"{ limit = { class = "media", gain_db = -33, cause = "ivi.media" } }"#,
    ) + &rule(
        "system.volume_changed",
        "request.main_volume == 1",
        "{ set_volume = { main_volume = 2 } }",
    ) + &rule(
        "system.volume_changed",
        "request.main_volume == 2",
        "{ set_volume = { main_volume = 3 } }",
    ) + &rule(
        "system.volume_changed",
        "request.main_volume == 3",
        "{ set_volume = { main_volume = 1 } }",
    );
    let mut bench = bench(&text);
    bench.start(MEDIA);
    bench.call(Call::SetVolume { sink: 102, volume: 2 });
    let volume = bench.machine.volume(REAR).unwrap().0;
    (bench.gain(MEDIA, CABIN).0, volume, bench.machine.overruns().count)
}

#[test]
fn each_fault_in_what_rules_do_is_noticed() {
    let right = (-330, 2, 1);
    assert_eq!(two_scenes(), right);
    for planted in [Mutant::RulesDoNothing, Mutant::KeepsWhatRanAway] {
        assert_ne!(mutant::with(planted, two_scenes), right, "{planted:?} went unnoticed");
    }
}
