//! A snapshot is made anew where something other than the time has changed, and nowhere else.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::fixture::*;
use super::legal;
use super::mutant::{self, Mutant};
use super::properties::{Verdict, run, runner};
use crate::command::Call;
use crate::machine::{Changed, Mark};
use crate::{Event, Machine, Model};

/// Who saves a machine: when told that something has changed.
pub(in crate::machine) struct Saver {
    mark: Mark,
    pub snapshot: Vec<u8>,
    lasting: Vec<u8>,
    pub saves: usize,
}

impl Saver {
    pub fn new(machine: &Machine) -> Self {
        Self {
            mark: machine.mark(),
            snapshot: machine.snapshot(),
            lasting: machine.lasting(),
            saves: 0,
        }
    }

    /// Saves if it is due, and holds what was said against the bytes.
    pub fn look(&mut self, machine: &Machine) -> Verdict {
        let changed = machine.changed_since(&self.mark);
        let (snapshot, lasting) = (machine.snapshot(), machine.lasting());
        let same = timeless(&snapshot) == timeless(&self.snapshot);
        prop_assert_eq!(changed == Changed::Nothing, same, "{:?}", changed);
        prop_assert!(
            changed == Changed::Lasting || lasting == self.lasting,
            "what outlives the boot"
        );
        if changed > Changed::Nothing {
            self.mark = machine.mark();
            self.snapshot = snapshot;
            self.saves += 1;
        }
        if changed == Changed::Lasting {
            self.lasting = lasting;
        }
        Ok(())
    }
}

fn timeless(snapshot: &[u8]) -> serde_json::Value {
    let mut snapshot: serde_json::Value = serde_json::from_slice(snapshot).unwrap();
    snapshot["now"] = 0.into();
    snapshot
}

/// Whoever goes on from what was saved last, which may be long ago, does what the one would have done that was killed.
fn goes_on_from_what_was_saved(model: &Model, events: &[(u64, Event)], cut: usize) -> Verdict {
    let (first, rest) = events.split_at(cut.min(events.len()));
    let (mut now, mut one) = (0, Machine::new(model.clone()));
    let mut saver = Saver::new(&one);
    for event in first {
        run(&mut one, std::slice::from_ref(event), &mut now);
        saver.look(&one)?;
    }
    // Half of the courses are gone on with while something fades.
    while let Some(deadline) = one.next_deadline().filter(|_| cut.is_multiple_of(2)) {
        now = now.max(deadline);
        one.step(Event::Tick, now);
        saver.look(&one)?;
    }
    let restored = Machine::restore(model.clone(), &saver.snapshot);
    let mut restored = restored.map_err(|err| TestCaseError::fail(err.to_string()))?;
    prop_assert_eq!(restored.next_deadline(), one.next_deadline());
    let mut later = now;
    let tick = [(0, Event::Tick)];
    prop_assert_eq!(run(&mut one, &tick, &mut now), run(&mut restored, &tick, &mut later));
    prop_assert_eq!(run(&mut one, rest, &mut now), run(&mut restored, rest, &mut later));
    prop_assert_eq!(one.snapshot(), restored.snapshot());
    Ok(())
}

#[test]
fn random_courses_are_saved_when_they_change_and_gone_on_with_from_there() {
    let cases = (legal::model(), legal::events(), 0_usize..40);
    let found = runner(500).run(&cases, |(model, events, cut)| {
        goes_on_from_what_was_saved(&model, &events, cut)
    });
    found.unwrap();
}

/// After each event, as long as no time is up, a step by itself does nothing: what a read leaves out of one.
fn is_settled_between_events(model: &Model, events: &[(u64, Event)]) -> Verdict {
    let (mut now, mut machine) = (0, Machine::new(model.clone()));
    for event in events {
        run(&mut machine, std::slice::from_ref(event), &mut now);
        let before = machine
            .next_deadline()
            .map_or(now + 1000, |deadline| deadline.saturating_sub(1));
        if before < now {
            continue;
        }
        let (mark, mut idle) = (machine.mark(), machine.clone());

        let effects = idle.step(Event::Tick, before);

        prop_assert!(effects.is_empty(), "{effects:?}");
        prop_assert_eq!(idle.changed_since(&mark), Changed::Nothing);
        let (token, call) = (1, Call::GetListMainConnections);
        let read = Event::Call { token, call };
        prop_assert_eq!(idle.step(read.clone(), before), machine.clone().step(read, before));
    }
    Ok(())
}

#[test]
fn where_no_time_is_up_a_step_that_asks_for_nothing_does_nothing_and_a_read_may_skip_it() {
    let found = runner(500).run(&(legal::model(), legal::events()), |(model, events)| {
        is_settled_between_events(&model, &events)
    });
    found.unwrap();
}

#[test]
fn a_time_taken_for_a_change_and_a_fade_that_is_not_seen_are_noticed() {
    for planted in [Mutant::TakesTimeForAChange, Mutant::LosesSightOfFades] {
        let config = Config {
            max_shrink_iters: 0,
            ..runner(500).config().clone()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let cases = (legal::model(), legal::events(), 0_usize..40);
        let found = runner.run(&cases, |(model, events, cut)| {
            mutant::with(planted, || goes_on_from_what_was_saved(&model, &events, cut))
        });
        assert!(found.is_err(), "{planted:?} went unnoticed");
    }
}

#[test]
fn reads_refusals_ticks_and_what_is_so_already_change_nothing() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.call(Call::SetVolume { sink: 101, volume: 4 });
    let mark = bench.machine.mark();

    for event in [
        Call::GetListMainConnections,
        Call::GetListMainSinks,
        Call::SetVolume { sink: 999, volume: 7 },
        Call::SetVolume { sink: 101, volume: 4 },
        Call::Disconnect { connection: 4000 },
    ]
    .map(|call| Event::Call { token: 1, call })
    .into_iter()
    .chain([Event::Tick])
    {
        bench.now += 1000;
        bench.machine.step(event.clone(), bench.now);
        assert_eq!(bench.machine.changed_since(&mark), Changed::Nothing, "{event:?}");
    }
}

#[test]
fn a_start_is_of_this_boot_a_volume_outlives_it_and_a_reload_changes_all() {
    let mut bench = Bench::new(car());
    let mark = bench.machine.mark();
    bench.start(MEDIA);
    assert_eq!(bench.machine.changed_since(&mark), Changed::Passing);

    let mark = bench.machine.mark();
    bench.call(Call::SetVolume { sink: 101, volume: 4 });
    assert_eq!(bench.machine.changed_since(&mark), Changed::Lasting);

    let mark = bench.machine.mark();
    bench.machine.reload(car(), bench.now).unwrap();
    assert_eq!(bench.machine.changed_since(&mark), Changed::Lasting);
}
