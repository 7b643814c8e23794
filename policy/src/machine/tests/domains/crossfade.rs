//! Crossfaders, several volumes and properties at once, and domains' states.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::rig::*;
use crate::Model;
use crate::command::{Call, ConnectionState};
use crate::machine::tests::fixture::cell;
use crate::machine::tests::mutant::{self, Mutant};
use crate::machine::tests::properties::runner;
use crate::model::{Holder, Newcomer};
use crate::routing_command::hot_sink::{INTERMEDIATE, SINK_A, SINK_B};
use crate::routing_command::{AckResult, CrossfaderData, DomainRequest, Kind, RoutingCall};

const PEER: &str = ":1.1";

/// Music and radio into the two inputs of a crossfader, whose output goes to the loudspeakers.
struct Desk {
    rig: Rig,
    music: u16,
    radio: u16,
    speakers: u16,
    crossfader: u16,
}

fn desk(model: Model) -> Desk {
    let mut rig = Rig::new(model);
    let domain = rig.domain(PEER, "mixer");
    let music = rig.source(PEER, domain, "music", CLASS_MEDIA);
    let radio = rig.source(PEER, domain, "radio", CLASS_PHONE);
    let mut input = |name: &str, formats: Vec<u16>| {
        let mut data = sink(domain, name);
        data.lists.formats = formats;
        data.visible = false;
        rig.registered(PEER, RoutingCall::RegisterSink(data))
    };
    let (sink_a, sink_b) = (input("input a", vec![2]), input("input b", vec![2]));
    let mut output = source(domain, "output", 0);
    output.visible = false;
    output.lists.formats = vec![3];
    let output = rig.registered(PEER, RoutingCall::RegisterSource(output));
    let mut speakers = sink(domain, "speakers");
    // What only the crossfader's output has: there is no way around it.
    speakers.lists.formats = vec![3];
    let speakers = rig.registered(PEER, RoutingCall::RegisterSink(speakers));
    let crossfader = rig.registered(
        PEER,
        RoutingCall::RegisterCrossfader(CrossfaderData {
            id: 0,
            name: "crossfader".to_owned(),
            sink_a,
            sink_b,
            source: output,
            hot_sink: SINK_A,
        }),
    );
    rig.signals.clear();
    Desk {
        rig,
        music,
        radio,
        speakers,
        crossfader,
    }
}

impl Desk {
    /// The fades that were asked for since the last look.
    fn fades(&mut self) -> Vec<i16> {
        let sent = self.rig.sent().into_iter();
        let fades = sent.filter_map(|it| match it {
            DomainRequest::CrossFade {
                crossfader, hot_sink, ..
            } => {
                assert_eq!(crossfader, self.crossfader);
                Some(hot_sink)
            }
            _ => None,
        });
        fades.collect()
    }

    fn hot(&self) -> i16 {
        self.rig.machine.registry().crossfaders[&self.crossfader].hot_sink
    }

    /// Acknowledges all but fades; the fade that is asked for then.
    fn ack_until_fade(&mut self) -> Option<i16> {
        for _ in 0..50 {
            let fade = self.rig.open.iter().find_map(|(_, it)| match it {
                DomainRequest::CrossFade { hot_sink, .. } => Some(*hot_sink),
                _ => None,
            });
            if fade.is_some() || self.rig.open.is_empty() {
                return fade;
            }
            self.rig.ack();
        }
        panic!("requests without end");
    }
}

fn states(rig: &mut Rig, id: u16) -> Option<ConnectionState> {
    rig.state(id)
}

#[test]
fn the_first_through_a_crossfader_takes_the_hot_input_and_fades_nothing() {
    let mut desk = desk(empty_car());
    let (_, id) = desk.rig.connect(desk.music, desk.speakers);
    desk.rig.ack_all();
    assert_eq!(states(&mut desk.rig, id), Some(ConnectionState::Connected));
    assert_eq!((desk.fades(), desk.hot()), (vec![], SINK_A));
}

#[test]
fn a_newcomer_that_stops_the_holder_is_faded_to_and_only_then_the_holder_goes() {
    let mut desk = desk(empty_car());
    let (_, music) = desk.rig.connect(desk.music, desk.speakers);
    desk.rig.ack_all();
    desk.rig.states(music);
    let (_, radio) = desk.rig.connect(desk.radio, desk.speakers);
    assert_eq!(desk.ack_until_fade(), Some(SINK_B), "everything of it is up");
    assert!(desk.rig.states(music).is_empty(), "nothing happened to the holder yet");
    assert_eq!(states(&mut desk.rig, radio), Some(ConnectionState::Connecting));
    desk.rig.ack_all();
    assert_eq!(states(&mut desk.rig, radio), Some(ConnectionState::Connected));
    assert_eq!(desk.rig.states(music), [3, 4, 255]);
    assert_eq!((desk.fades(), desk.hot()), (vec![SINK_B], SINK_B));
}

#[test]
fn a_refused_fade_leaves_the_holder_where_it_was_and_removes_the_newcomer() {
    let mut desk = desk(empty_car());
    let (_, music) = desk.rig.connect(desk.music, desk.speakers);
    desk.rig.ack_all();
    desk.rig.states(music);
    let (_, radio) = desk.rig.connect(desk.radio, desk.speakers);
    assert_eq!(desk.ack_until_fade(), Some(SINK_B));
    desk.rig.ack_with(7);
    desk.rig.ack_all();
    assert_eq!(states(&mut desk.rig, radio), None);
    assert_eq!(states(&mut desk.rig, music), Some(ConnectionState::Connected));
    assert!(desk.rig.states(music).is_empty(), "the holder never moved");
    assert_eq!(desk.hot(), SINK_A);
    // Who asks anew gets a new try.
    let (error, radio) = desk.rig.connect(desk.radio, desk.speakers);
    assert_eq!(error, 0);
    desk.rig.ack_all();
    assert_eq!(states(&mut desk.rig, radio), Some(ConnectionState::Connected));
}

#[test]
fn a_fade_that_takes_too_long_is_aborted_and_the_newcomer_removed() {
    let mut desk = desk(empty_car());
    let (_, music) = desk.rig.connect(desk.music, desk.speakers);
    desk.rig.ack_all();
    let (_, radio) = desk.rig.connect(desk.radio, desk.speakers);
    assert_eq!(desk.ack_until_fade(), Some(SINK_B));
    desk.rig.sent();
    assert_eq!(desk.rig.wait(), 5000);
    assert!(matches!(desk.rig.sent()[0], DomainRequest::Abort { .. }));
    desk.rig.ack_all();
    assert_eq!(states(&mut desk.rig, radio), None);
    assert_eq!(states(&mut desk.rig, music), Some(ConnectionState::Connected));
}

#[test]
fn an_aborted_fade_that_got_half_way_is_faded_back() {
    let mut desk = desk(empty_car());
    let (_, music) = desk.rig.connect(desk.music, desk.speakers);
    desk.rig.ack_all();
    desk.rig.connect(desk.radio, desk.speakers);
    assert_eq!(desk.ack_until_fade(), Some(SINK_B));
    let (peer, request) = desk.rig.open.remove(0);
    let result = AckResult::CrossFading { hot_sink: INTERMEDIATE };
    let handle = request.handle();
    desk.rig.sent();
    desk.rig.routing(
        &peer,
        RoutingCall::Ack {
            handle,
            result,
            error: 9,
        },
    );
    desk.rig.ack_all();
    assert_eq!((desk.fades(), desk.hot()), (vec![SINK_A], SINK_A));
    assert_eq!(states(&mut desk.rig, music), Some(ConnectionState::Connected));
}

#[test]
fn one_that_is_paused_by_a_newcomer_is_suspended_once_it_has_been_faded_away_and_faded_back_to() {
    let mut model = empty_car();
    let pause = cell(Holder::Pause, Newcomer::Play);
    model.cells.insert((CLASS_MEDIA, CLASS_PHONE), pause);
    let mut desk = desk(model);
    let (_, music) = desk.rig.connect(desk.music, desk.speakers);
    desk.rig.ack_all();
    desk.rig.states(music);
    let (_, radio) = desk.rig.connect(desk.radio, desk.speakers);
    assert_eq!(desk.ack_until_fade(), Some(SINK_B));
    assert!(desk.rig.states(music).is_empty());
    desk.rig.ack_all();
    assert_eq!(desk.rig.states(music), [5]);
    desk.fades();
    desk.rig.call(Call::Disconnect { connection: radio });
    desk.rig.ack_all();
    assert_eq!(states(&mut desk.rig, music), Some(ConnectionState::Connected));
    assert_eq!((desk.fades(), desk.hot()), (vec![SINK_A], SINK_A));
}

#[test]
fn two_that_are_mixed_are_both_hot() {
    let mut model = empty_car();
    let mix = cell(Holder::Mix, Newcomer::Play);
    model.cells.insert((CLASS_MEDIA, CLASS_PHONE), mix);
    let mut desk = desk(model);
    desk.rig.connect(desk.music, desk.speakers);
    desk.rig.ack_all();
    let (_, radio) = desk.rig.connect(desk.radio, desk.speakers);
    desk.rig.ack_all();
    assert_eq!(states(&mut desk.rig, radio), Some(ConnectionState::Connected));
    assert_eq!((desk.fades(), desk.hot()), (vec![INTERMEDIATE], INTERMEDIATE));
}

#[test]
fn what_goes_through_a_crossfader_goes_with_it() {
    let mut desk = desk(empty_car());
    let (_, music) = desk.rig.connect(desk.music, desk.speakers);
    desk.rig.ack_all();
    let crossfader = desk.crossfader;
    desk.rig.routing(PEER, deregister(Kind::Crossfader, crossfader));
    desk.rig.ack_all();
    assert_eq!(states(&mut desk.rig, music), None);
}

/// What happens at the desk, by small numbers.
#[derive(Clone, Debug)]
enum Act {
    Connect(bool),
    Disconnect(bool),
    Ack(u16),
    AckAll,
    Wait,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => any::<bool>().prop_map(Act::Connect),
        2 => any::<bool>().prop_map(Act::Disconnect),
        6 => Just(Act::Ack(0)),
        1 => Just(Act::Ack(7)),
        2 => Just(Act::AckAll),
        1 => Just(Act::Wait),
    ];
    vec(act, 0..40)
}

/// Whoever is connected over the crossfader is heard through it, once nothing is under way; and all of it can be taken down.
fn faded(holder: Holder, acts: &[Act]) -> Result<(), TestCaseError> {
    let mut model = empty_car();
    let cell = cell(holder, Newcomer::Play);
    model.cells.insert((CLASS_MEDIA, CLASS_PHONE), cell);
    model.cells.insert((CLASS_PHONE, CLASS_MEDIA), cell);
    let mut desk = desk(model);
    for act in acts {
        let source = |other: &bool| if *other { desk.radio } else { desk.music };
        match act {
            Act::Connect(other) => drop(desk.rig.connect(source(other), desk.speakers)),
            Act::Disconnect(other) => {
                let id = source(other);
                let ids: Vec<u16> = desk.rig.machine.domain_connections().collect();
                let of_source = |it: &u16| {
                    desk.rig
                        .machine
                        .domain_connection(*it)
                        .is_some_and(|it| it.source == id)
                };
                if let Some(connection) = ids.into_iter().find(of_source) {
                    desk.rig.call(Call::Disconnect { connection });
                }
            }
            Act::Ack(error) if !desk.rig.open.is_empty() => drop(desk.rig.ack_with(*error)),
            Act::Ack(_) => {}
            Act::AckAll => {
                desk.rig.ack_all();
                desk.at_rest()?;
            }
            Act::Wait if desk.rig.machine.next_deadline().is_some() => drop(desk.rig.wait()),
            Act::Wait => {}
        }
    }
    for connection in desk.rig.machine.domain_connections().collect::<Vec<_>>() {
        desk.rig.call(Call::Disconnect { connection });
    }
    for _ in 0..20 {
        desk.rig.ack_all();
        // What was given up is over only in its time.
        if desk.rig.machine.next_deadline().is_none() {
            break;
        }
        desk.rig.wait();
    }
    prop_assert_eq!(desk.rig.machine.domain_connections().count(), 0);
    Ok(())
}

impl Desk {
    fn at_rest(&mut self) -> Result<(), TestCaseError> {
        if self.rig.machine.next_deadline().is_some() {
            return Ok(());
        }
        let inputs = [(self.music, SINK_A), (self.radio, SINK_B)];
        let ids: Vec<u16> = self.rig.machine.domain_connections().collect();
        for id in ids {
            let Some(main) = self.rig.machine.domain_connection(id) else {
                continue;
            };
            let settled = [ConnectionState::Connected, ConnectionState::Suspended];
            prop_assert!(settled.contains(&main.state), "{id} is left {:?}", main.state);
            // Which input a source has depends on who came first: of two that are heard both must be hot.
            let heard = main.state == ConnectionState::Connected && inputs.iter().any(|it| it.0 == main.source);
            let others = self
                .rig
                .machine
                .domain_connections()
                .filter_map(|it| self.rig.machine.domain_connection(it));
            let connected = others.filter(|it| it.state == ConnectionState::Connected).count();
            prop_assert!(
                !heard || connected < 2 || self.hot() == INTERMEDIATE,
                "{id} is not heard"
            );
        }
        Ok(())
    }
}

#[test]
fn whoever_is_connected_over_a_crossfader_is_heard_whatever_happens() {
    for holder in [Holder::Mix, Holder::Pause, Holder::Stop] {
        let mut runner = runner(100);
        runner.run(&acts(), |acts| faded(holder, &acts)).unwrap();
    }
}

#[test]
fn that_property_notices_a_machine_that_never_fades() {
    let noticed = mutant::with(Mutant::NeverFades, || {
        runner(100).run(&acts(), |acts| faded(Holder::Stop, &acts)).is_err()
    });
    assert!(noticed);
}
