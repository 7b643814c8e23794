//! What holds for every order of calls, acks, refusals, losses and time, and that these checks notice a broken machine.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::judge::{Op, Verdict, World};
use super::rig::empty_car;
use crate::effect::Effect;
use crate::machine::tests::fixture::cell;
use crate::machine::tests::mutant;
use crate::machine::tests::since::Saver;
use crate::model::{Cell, Holder, Model, Newcomer};
use crate::{Event, Machine};

fn cells() -> impl Strategy<Value = BTreeMap<(usize, usize), Cell>> {
    let holder = select(vec![
        Holder::Mix,
        Holder::Duck,
        Holder::Pause,
        Holder::Stop,
        Holder::Stop,
    ]);
    let newcomer = select(vec![Newcomer::Play, Newcomer::Play, Newcomer::Delay, Newcomer::Reject]);
    btree_map(
        (0_usize..3, 0_usize..3),
        (holder, newcomer).prop_map(|(holder, newcomer)| cell(holder, newcomer)),
        0..=6,
    )
}

fn model() -> impl Strategy<Value = Model> {
    (cells(), any::<bool>()).prop_map(|(cells, capture)| {
        let mut model = empty_car();
        model.cells = cells;
        if capture {
            model.routing.capture_classes.insert("media".to_owned());
        }
        model
    })
}

/// Domains that do as they are told, sometimes late.
fn honest() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (any::<u8>(), any::<u8>()).prop_map(|(from, to)| Op::Connect(from, to)),
        // A guest's stream, over the zone or to it.
        4 => (0_u8..2, 0_u8..6).prop_map(|(from, to)| Op::Connect(from, to)),
        3 => any::<u8>().prop_map(Op::Disconnect),
        1 => (any::<u8>(), any::<i16>()).prop_map(|(to, volume)| Op::Volume(to, volume)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(to, mute)| Op::Mute(to, mute)),
        8 => any::<u8>().prop_map(Op::Ack),
        3 => Just(Op::AckAll),
        1 => any::<u8>().prop_map(Op::Foreign),
        3 => (0_u16..7000).prop_map(Op::Wait),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(kind, n)| Op::Lose(kind, n)),
        1 => any::<u8>().prop_map(Op::PeerLost),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(n, available)| Op::Available(n, available)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(n, on)| Op::Interrupt(n, on)),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(n, on)| Op::Stream(n, on)),
        2 => Just(Op::Register),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => honest(),
        1 => (any::<u8>(), select(vec![1_u16, 7, 9])).prop_map(|(n, error)| Op::Refuse(n, error)),
        1 => any::<u8>().prop_map(Op::Forget),
        1 => any::<u8>().prop_map(Op::Undeliverable),
    ]
}

/// Half of the runs with domains that do as they are told.
fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop_oneof![2 => vec(honest(), 0..60), 2 => vec(any_op(), 0..60), 1 => music_and_prompt()]
}

/// A guest's music over the zone, and another guest's prompt at it.
fn music_and_prompt() -> impl Strategy<Value = Vec<Op>> {
    (1_u8..6, vec(honest(), 0..20)).prop_map(|(sink, ops)| {
        let first = [
            Op::Connect(0, sink),
            Op::AckAll,
            Op::Stream(0, true),
            Op::Stream(1, true),
            Op::AckAll,
        ];
        first.into_iter().chain(ops).collect()
    })
}

fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn is_just(model: Model, ops: &[Op], acks: bool) -> Verdict {
    let mut world = World::new(model);
    for op in ops {
        world.take(op)?;
        world.at_rest()?;
    }
    world.ends(acks)?;
    world.empties(acks)
}

#[test]
fn every_request_ends_and_nothing_is_left_behind() {
    let found = runner(1500).run(&(model(), ops(), any::<bool>()), |(model, ops, acks)| {
        is_just(model, &ops, acks)
    });
    found.unwrap();
}

#[test]
fn each_planted_fault_about_domains_is_noticed() {
    for planted in mutant::DOMAINS {
        let config = Config {
            max_shrink_iters: 0,
            ..runner(1500).config().clone()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let found = runner.run(&(model(), ops(), any::<bool>()), |(model, ops, acks)| {
            mutant::with(planted, || is_just(model, &ops, acks))
        });
        assert!(found.is_err(), "{planted:?} went unnoticed");
    }
}

fn run(world: &mut World, ops: &[Op]) -> Result<Vec<Vec<Effect>>, TestCaseError> {
    for op in ops {
        world.take(op)?;
    }
    Ok(std::mem::take(&mut world.log))
}

#[test]
fn the_same_input_gives_the_same_effects_also_over_a_restart() {
    let found = runner(400).run(&(model(), ops(), 0_usize..60), |(model, ops, cut)| {
        let (first, rest) = ops.split_at(cut.min(ops.len()));
        let (mut one, mut two) = (World::new(model.clone()), World::new(model.clone()));
        prop_assert_eq!(run(&mut one, first)?, run(&mut two, first)?);
        let snapshot = two.machine.snapshot();
        two.machine =
            Machine::restore(World::guests(model), &snapshot).map_err(|err| TestCaseError::fail(err.to_string()))?;
        prop_assert_eq!(run(&mut one, rest)?, run(&mut two, rest)?);
        prop_assert_eq!(one.machine.snapshot(), two.machine.snapshot());
        Ok(())
    });
    found.unwrap();
}

#[test]
fn a_damaged_snapshot_of_domains_is_refused_or_harmless() {
    let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let found = runner(400).run(&(model(), ops(), ops(), damage), |(model, before, after, damage)| {
        let mut world = World::new(model.clone());
        run(&mut world, &before)?;
        let mut bytes = world.machine.snapshot();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte % 64 + 32;
        }
        if let Ok(machine) = Machine::restore(World::guests(model), &bytes) {
            let mut restored = World::new(empty_car());
            restored.machine = machine;
            for op in &after {
                // Only that it goes on: the judge knows nothing of the damage.
                let _ = restored.take(op);
                restored.machine.step(Event::Tick, restored.now);
            }
        }
        Ok(())
    });
    found.unwrap();
}

/// Whoever goes on from what was saved last: requests are late when they would have been, handles rest as long.
fn goes_on_from_what_was_saved(model: Model, ops: &[Op], cut: usize) -> Verdict {
    let (first, rest) = ops.split_at(cut.min(ops.len()));
    let (mut one, mut two) = (World::new(model.clone()), World::new(model.clone()));
    let mut saver = Saver::new(&two.machine);
    for op in first {
        one.take(op)?;
        two.take(op)?;
        saver.look(&two.machine)?;
    }
    let restored = Machine::restore(World::guests(model), &saver.snapshot);
    two.machine = restored.map_err(|err| TestCaseError::fail(err.to_string()))?;
    prop_assert_eq!(one.machine.next_deadline(), two.machine.next_deadline());
    one.step(Event::Tick)?;
    two.step(Event::Tick)?;
    run(&mut one, rest)?;
    run(&mut two, rest)?;
    prop_assert_eq!(one.log, two.log);
    prop_assert_eq!(one.machine.snapshot(), two.machine.snapshot());
    Ok(())
}

#[test]
fn what_was_saved_last_is_gone_on_with_however_long_ago_it_was() {
    let found = runner(400).run(&(model(), ops(), 0_usize..60), |(model, ops, cut)| {
        goes_on_from_what_was_saved(model, &ops, cut)
    });
    found.unwrap();
}

#[test]
fn a_request_whose_progress_is_not_saved_is_noticed() {
    let config = Config {
        max_shrink_iters: 0,
        ..runner(400).config().clone()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let found = runner.run(&(model(), ops(), 0_usize..60), |(model, ops, cut)| {
        mutant::with(mutant::Mutant::LosesSightOfDomains, || {
            goes_on_from_what_was_saved(model, &ops, cut)
        })
    });
    assert!(found.is_err());
}
