//! Another policy while the first one's streams sound.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::fixture::*;
use super::judge::Judge;
use super::legal;
use super::mutant::{self, Mutant};
use super::properties::{Verdict, run, runner};
use crate::command::{ConnectionState, Signal};
use crate::effect::{CauseKind, Effect, Mode};
use crate::machine::presence::{blocker, present_at};
use crate::matrix::Arrival;
use crate::model::{Holder, Model, Newcomer};
use crate::{Event, Machine};

fn reload(bench: &mut Bench, model: Model) {
    bench.now += 10;
    bench.effects = bench.machine.reload(model, bench.now).unwrap();
}

fn heards(effects: &[Effect]) -> usize {
    effects.iter().filter(|it| matches!(it, Effect::Heard(_))).count()
}

#[test]
fn a_changed_depth_ramps_there_with_its_attack_and_leaves_the_others_alone() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(PROMPT);
    let prompt = bench.tap(PROMPT, CABIN).clone();
    let mut deeper = cell(Holder::Duck, Newcomer::Play);
    deeper.duck.depth = -300;
    deeper.duck.attack_ms = 77;

    reload(&mut bench, car_with(CLASS_MEDIA, CLASS_NAVIGATION, deeper));

    assert_eq!(bench.gain(MEDIA, CABIN), (-300, 77));
    assert_eq!(*bench.tap(PROMPT, CABIN), prompt);
    assert_eq!((bench.signals(), heards(&bench.effects)), (vec![], 1), "one batch");
}

#[test]
fn what_is_rejected_now_fades_out_and_is_disconnected_with_the_line_that_says_so() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(PROMPT);

    reload(
        &mut bench,
        car_with(CLASS_MEDIA, CLASS_NAVIGATION, cell(Holder::Mix, Newcomer::Reject)),
    );

    let last = bench.changes().last().copied();
    assert_eq!(last, Some((2, ConnectionState::Disconnected)));
    assert_eq!(bench.state(PROMPT, CABIN), None);
    let cause = bench.cause(PROMPT, CABIN);
    assert_eq!(
        (cause.kind, cause.line),
        (CauseKind::Rejected { by: MEDIA }, Some(DUCK_LINE))
    );
    assert_eq!(bench.gain(PROMPT, CABIN), (crate::MUTE, 51));
    assert_eq!(bench.mode(PROMPT), Mode::Play, "it fades");
    bench.wait();
    assert_eq!(bench.mode(PROMPT), Mode::Discard);
    assert_eq!(bench.gain(MEDIA, CABIN).0, 0, "nobody ducks it any more");
}

#[test]
fn what_is_stopped_now_is_disconnected_and_what_is_delayed_waits() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.start(PROMPT);
    let mut stopped = bench.machine.clone();
    let stop = car_with(CLASS_MEDIA, CLASS_NAVIGATION, cell(Holder::Stop, Newcomer::Play));
    stopped.reload(stop, bench.now).unwrap();
    assert_eq!(stopped.connections().map(|it| it.source).collect::<Vec<_>>(), [PROMPT]);

    let delay = car_with(CLASS_MEDIA, CLASS_NAVIGATION, cell(Holder::Mix, Newcomer::Delay));
    reload(&mut bench, delay);
    assert_eq!(bench.state(PROMPT, CABIN), Some(ConnectionState::Suspended));
    bench.release(MEDIA);
    assert_eq!(bench.state(PROMPT, CABIN), Some(ConnectionState::Connected));
}

#[test]
fn curves_and_classes_are_told_to_clients() {
    let mut bench = Bench::new(car());
    let mut model = car();
    model.sinks[CABIN].curve = vec![(0, -300), (6, 0)];
    model.classes.push(class("assistant", 60, false));
    model.sources[PROMPT].class = model.classes.len() - 1;
    model.sinks[REAR].visible = false;

    reload(&mut bench, model);

    let prompt = bench.machine.source_id(PROMPT).unwrap();
    let signals = bench.signals();
    for expected in [
        Signal::NumberOfSourceClassesChanged,
        Signal::NumberOfSinkClassesChanged,
        Signal::SourceUpdated {
            source: prompt,
            class: 105,
            properties: Vec::new(),
        },
        Signal::SinkRemoved { sink: 102 },
        Signal::VolumeChanged { sink: 101, volume: 6 },
    ] {
        assert!(signals.contains(&expected), "{expected:?} is not in {signals:?}");
    }
    assert_eq!(signals.len(), 5);
}

#[test]
fn a_stream_moves_to_the_zone_the_file_gives_it_now() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    let mut model = car();
    model.sources[MEDIA].auto_connect = vec![REAR];

    reload(&mut bench, model);

    assert_eq!(bench.state(MEDIA, CABIN), None);
    assert_eq!(bench.state(MEDIA, REAR), Some(ConnectionState::Connected));
    assert_eq!(
        (bench.gain(MEDIA, CABIN).0, bench.gain(MEDIA, REAR).0),
        (crate::MUTE, 0)
    );
}

#[test]
fn other_sources_sinks_or_safety_are_refused_and_change_nothing() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    let before = bench.machine.snapshot();
    let mut renamed = car();
    renamed.sources[MEDIA].name = "ivi.music".into();
    let mut swapped = car();
    swapped.sinks.reverse();
    let mut unsafe_now = car();
    unsafe_now.classes[CLASS_NAVIGATION].safety = true;

    for (model, what) in [(renamed, "sources"), (swapped, "sinks"), (unsafe_now, "safety sources")] {
        assert_eq!(bench.machine.reload(model, 5000).unwrap_err().what, what);
    }
    assert_eq!(bench.machine.snapshot(), before);
}

/// The first model with the policy of the second: classes, cells, ducks; sources and sinks stay who they are.
fn with_policy_of(model: &Model, other: &Model) -> Model {
    let ordinary = other.classes.len() - 1;
    let mut merged = other.clone();
    merged.sources = model.sources.clone();
    merged.sinks = model.sinks.clone();
    for (index, source) in merged.sources.iter_mut().enumerate() {
        let safety = model.classes[source.class].safety;
        source.class = if safety { ordinary } else { index % ordinary };
    }
    merged
}

/// Nobody is there whom the matrix would not let in, or would have stopped.
fn is_legal(machine: &Machine) -> Verdict {
    let (model, state) = (&machine.model, &machine.state);
    for sink in 0..model.sinks.len() {
        let present = present_at(model, state, sink);
        for (index, newcomer) in present.iter().enumerate() {
            if model.protected(newcomer.source) {
                continue;
            }
            let found = blocker(model, &present[..index], newcomer.source);
            prop_assert!(found.is_none_or(|(_, it)| !matches!(it.action, Arrival::Reject | Arrival::Delay)));
            let stops = |it: &&crate::machine::presence::Present| {
                model.pressure(it.source, newcomer.source).action == Holder::Stop
            };
            prop_assert!(present[..index].iter().find(stops).is_none());
        }
    }
    Ok(())
}

fn swap(model: Model, other: &Model, before: &[(u64, Event)], after: &[(u64, Event)]) -> Verdict {
    let next = with_policy_of(&model, other);
    let mut machine = Machine::new(model);
    let mut now = 0;
    run(&mut machine, before, &mut now);
    let effects = machine
        .reload(next.clone(), now)
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert!(heards(&effects) <= 1);
    is_legal(&machine)?;
    prop_assert_eq!(
        machine.reload(next, now).unwrap(),
        vec![],
        "a second time changes nothing"
    );
    let mut judge = Judge::after_a_change(&machine);
    for (later, event) in after {
        now += later;
        let effects = machine.step(event.clone(), now);
        judge.step(&machine, event, &effects)?;
    }
    Ok(())
}

#[test]
fn after_any_reload_only_what_is_legal_is_there_and_the_machine_goes_on_justly() {
    let cases = (legal::model(), legal::model(), legal::events(), legal::events());
    let found = runner(1000).run(&cases, |(model, other, before, after)| {
        swap(model, &other, &before, &after)
    });
    found.unwrap();
}

#[test]
fn the_property_notices_a_reload_that_keeps_what_is_illegal() {
    let cases = (legal::model(), legal::model(), legal::events());
    let mut runner = runner(1000);
    let config = Config {
        max_shrink_iters: 0,
        ..runner.config().clone()
    };
    runner = proptest::test_runner::TestRunner::new_with_rng(config, runner.rng().clone());
    let found = runner.run(&cases, |(model, other, before)| {
        mutant::with(Mutant::KeepsWhatIsIllegal, || swap(model.clone(), &other, &before, &[]))
    });
    assert!(found.is_err());
}

#[test]
fn the_same_file_again_changes_nothing_whatever_is_going_on() {
    let cases = (legal::model(), legal::events(), legal::events());
    let found = runner(1000).run(&cases, |(model, before, after)| {
        let mut machine = Machine::new(model.clone());
        let mut now = 0;
        run(&mut machine, &before, &mut now);
        let mut reloaded = machine.clone();
        prop_assert_eq!(reloaded.reload(model, now).unwrap(), vec![]);
        prop_assert_eq!(reloaded.snapshot(), machine.snapshot());
        let mut later = now;
        prop_assert_eq!(
            run(&mut reloaded, &after, &mut now),
            run(&mut machine, &after, &mut later)
        );
        Ok(())
    });
    found.unwrap();
}

#[test]
fn a_thousand_reloads_leave_no_trace() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    let tap = bench.tap(MEDIA, CABIN).clone();
    let other = Model {
        cells: BTreeMap::new(),
        ..car()
    };
    let mut sizes = Vec::new();
    for _ in 0..1000 {
        for model in [&other, &car()] {
            assert_eq!(bench.machine.reload(model.clone(), bench.now).unwrap(), []);
        }
        assert_eq!(*bench.tap(MEDIA, CABIN), tap);
        sizes.push(bench.machine.snapshot().len());
    }
    assert!(sizes.iter().all(|size| *size == sizes[0]));
}
