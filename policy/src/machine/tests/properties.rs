//! What holds for every legal model and every order of events, and that these checks notice a broken machine.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::judge::Judge;
use super::{legal, mutant};
use crate::effect::Effect;
use crate::event::Event;
use crate::{Machine, Model};

pub(super) type Verdict = Result<(), TestCaseError>;

/// The same cases each time.
pub(super) fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

pub(super) fn run(machine: &mut Machine, events: &[(u64, Event)], now: &mut u64) -> Vec<Vec<Effect>> {
    let steps = events.iter().map(|(later, event)| {
        *now += later;
        machine.step(event.clone(), *now)
    });
    steps.collect()
}

/// The judge's rules hold at each step, and in silence at the end.
fn is_just(model: Model, events: &[(u64, Event)], reached: &mut BTreeSet<&'static str>) -> Verdict {
    let mut machine = Machine::new(model);
    let mut judge = Judge::new(&machine);
    let mut now = 0;
    for (later, event) in events {
        now += later;
        let effects = machine.step(event.clone(), now);
        judge.step(&machine, event, &effects)?;
        let taps = machine.heard().sources.iter().flat_map(|source| &source.taps);
        reached.extend(taps.flat_map(|tap| &tap.causes).map(|cause| cause.kind.name()));
        if let Some(deadline) = machine.next_deadline() {
            prop_assert!(
                deadline > now && deadline <= now + 2100,
                "a fade of {} ms",
                deadline - now
            );
        }
    }
    let mut fades = machine.model().sources.len();
    while let Some(deadline) = machine.next_deadline() {
        prop_assert!(fades > 0, "a deadline a source at most");
        fades -= 1;
        let effects = machine.step(Event::Tick, deadline);
        judge.step(&machine, &Event::Tick, &effects)?;
        now = deadline;
    }
    let everyone = 0..machine.model().sources.len();
    let silence = everyone.flat_map(|source| [Event::StreamStopped { source }, Event::Sounding { source, on: false }]);
    for event in silence.collect::<Vec<_>>() {
        let effects = machine.step(event.clone(), now);
        judge.step(&machine, &event, &effects)?;
    }
    prop_assert_eq!(machine.next_deadline(), None, "nothing fades in silence");
    let connected = |it: crate::machine::ConnectionStatus| it.state == crate::command::ConnectionState::Connected;
    prop_assert!(
        machine.connections().all(connected),
        "nobody holds anyone up in silence"
    );
    Ok(())
}

/// Same input, same bytes; and a machine restored in between goes on as if nothing had been.
fn is_deterministic(model: &Model, events: &[(u64, Event)], cut: usize) -> Verdict {
    let (first, rest) = events.split_at(cut.min(events.len()));
    let mut now = 0;
    let mut one = Machine::new(model.clone());
    let mut two = Machine::new(model.clone());
    prop_assert_eq!(run(&mut one, first, &mut now), run(&mut two, first, &mut 0));
    let snapshot = one.snapshot();
    prop_assert_eq!(&snapshot, &two.snapshot());
    let mut restored =
        Machine::restore(model.clone(), &snapshot).map_err(|err| TestCaseError::fail(err.to_string()))?;
    prop_assert_eq!(restored.heard(), one.heard());
    let mut later = now;
    prop_assert_eq!(run(&mut one, rest, &mut now), run(&mut restored, rest, &mut later));
    prop_assert_eq!(one.snapshot(), restored.snapshot());
    Ok(())
}

#[test]
fn the_machine_is_just() {
    let cases = (legal::model(), legal::events());
    let reached = RefCell::new(BTreeSet::new());
    let found = runner(1500).run(&cases, |(model, events)| {
        is_just(model, &events, &mut reached.borrow_mut())
    });
    found.unwrap();
    assert_eq!(reached.borrow().len(), 10, "every kind of cause was there: {reached:?}");
}

#[test]
fn the_machine_is_deterministic_and_goes_on_from_its_snapshot() {
    let cases = (legal::model(), legal::events(), 0_usize..40);
    let found = runner(500).run(&cases, |(model, events, cut)| is_deterministic(&model, &events, cut));
    found.unwrap();
}

#[test]
fn each_planted_fault_is_noticed() {
    for planted in mutant::ALL {
        let cases = (legal::model(), legal::events(), 0_usize..40);
        let config = Config {
            max_shrink_iters: 0,
            ..runner(1500).config().clone()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let found = runner.run(&cases, |(model, events, cut)| {
            mutant::with(planted, || {
                is_just(model.clone(), &events, &mut BTreeSet::new())?;
                is_deterministic(&model, &events, cut)
            })
        });
        assert!(found.is_err(), "{planted:?} went unnoticed");
    }
}

#[test]
fn a_machine_restored_with_another_file_is_just() {
    let cases = (legal::model(), legal::model(), legal::events(), legal::events());
    let found = runner(1000).run(&cases, |(model, other, before, after)| {
        let mut machine = Machine::new(model);
        let mut now = 0;
        run(&mut machine, &before, &mut now);
        let mut machine = Machine::restore(other, &machine.snapshot()).unwrap();
        let mut judge = Judge::after_a_change(&machine);
        for (later, event) in after {
            now += later;
            let effects = machine.step(event.clone(), now);
            judge.step(&machine, &event, &effects)?;
        }
        Ok(())
    });
    found.unwrap();
}

#[test]
fn a_damaged_snapshot_is_refused_or_harmless() {
    let damage = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let cases = (legal::model(), legal::events(), legal::events(), damage);
    let found = runner(1000).run(&cases, |(model, before, after, damage)| {
        let mut machine = Machine::new(model.clone());
        run(&mut machine, &before, &mut 0);
        let mut bytes = machine.snapshot();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte % 64 + 32;
        }
        if let Ok(mut restored) = Machine::restore(model, &bytes) {
            run(&mut restored, &after, &mut 0);
        }
        Ok(())
    });
    found.unwrap();
}
