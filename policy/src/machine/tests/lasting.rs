//! What a boot brings back.

use proptest::prelude::*;

use super::fixture::*;
use super::legal;
use super::properties::{run, runner};
use crate::command::{Call, ConnectionState};
use crate::model::Restore;
use crate::{Event, Machine, Model};

fn booted(bench: &Bench, model: Model, restore: Restore) -> Bench {
    let mut next = Bench::new(model.clone());
    next.machine = Machine::restore_lasting(model, &bench.machine.lasting(), restore).unwrap();
    next
}

/// A machine somebody has used: volume, mute, wanted gain, a connection by a client and one by a stream.
fn used() -> Bench {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.connect(RADIO, REAR);
    bench.call(Call::SetVolume { sink: 101, volume: 4 });
    bench.call(Call::SetSinkMuteState { sink: 102, state: 1 });
    let source = bench.machine.source_id(MEDIA).unwrap();
    bench.call(Call::SetSourceGain { source, gain: -60 });
    bench
}

#[test]
fn volumes_gains_and_clients_connections_come_back_and_streams_do_not() {
    let mut bench = booted(&used(), car(), Restore::default());

    assert_eq!(bench.machine.volume(CABIN), Some((4, false)));
    assert_eq!(bench.machine.volume(REAR), Some((10, true)));
    assert_eq!(bench.machine.wanted(MEDIA), Some((-60, false)));
    assert_eq!(bench.state(MEDIA, CABIN), None, "its stream made it");
    assert_eq!(bench.state(RADIO, REAR), Some(ConnectionState::Connected));
    bench.call(Call::SetSinkMuteState { sink: 102, state: 2 });
    bench.start(RADIO);
    assert_eq!(bench.gain(RADIO, REAR).0, 0, "it is heard as soon as its stream runs");
}

#[test]
fn the_file_says_what_comes_back() {
    let nothing = Restore {
        volumes: false,
        connections: false,
    };
    let bench = booted(&used(), car(), nothing);

    assert_eq!(bench.machine.volume(CABIN), Some((10, false)));
    assert_eq!(bench.machine.wanted(MEDIA), Some((0, false)));
    assert_eq!(bench.machine.connections().count(), 0);
}

#[test]
fn a_changed_file_keeps_the_ids_of_known_names_and_its_own_limits() {
    let mut model = car();
    model.sources.swap(MEDIA, RADIO);
    model.sinks[CABIN].curve = vec![(5, -300), (9, 0)];
    let bench = booted(&used(), model, Restore::default());

    assert_eq!(bench.machine.source_id(RADIO), used().machine.source_id(MEDIA));
    assert_eq!(bench.machine.volume(CABIN), Some((5, false)));
}

#[test]
fn streams_and_ducks_change_nothing_that_lasts() {
    let mut bench = used();
    let before = bench.machine.lasting();
    bench.start(PROMPT);
    bench.sound(BELT, true);
    bench.release(MEDIA);

    assert_eq!(bench.machine.lasting(), before);
}

#[test]
fn what_lasts_survives_any_number_of_boots_unchanged() {
    let cases = (legal::model(), legal::events());
    let found = runner(500).run(&cases, |(model, events)| {
        let mut machine = Machine::new(model.clone());
        run(&mut machine, &events, &mut 0);
        let lasting = machine.lasting();
        let booted = Machine::restore_lasting(model, &lasting, Restore::default());
        let booted = booted.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(booted.lasting(), lasting);
        Ok(())
    });
    found.unwrap();
}

#[test]
fn damaged_bytes_are_refused_or_harmless() {
    let damage = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let cases = (legal::model(), legal::events(), legal::events(), damage);
    let found = runner(500).run(&cases, |(model, before, after, damage)| {
        let mut machine = Machine::new(model.clone());
        run(&mut machine, &before, &mut 0);
        let mut bytes = machine.lasting();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte % 64 + 32;
        }
        if let Ok(mut machine) = Machine::restore_lasting(model, &bytes, Restore::default()) {
            run(&mut machine, &after, &mut 0);
            machine.step(Event::Tick, u64::MAX / 2);
        }
        Ok(())
    });
    found.unwrap();
}

#[test]
fn another_version_is_told() {
    let error = Machine::restore_lasting(car(), br#"{"version":2}"#, Restore::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "policy snapshot has version 2, this program reads version 1"
    );
}
