//! Crossfaders, several volumes and properties at once, and domains' states.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::rig::*;
use crate::command::{Call, ConnectionState, Signal};
use crate::machine::tests::fixture::cell;
use crate::machine::tests::mutant::{self, Mutant};
use crate::machine::tests::properties::runner;
use crate::model::{Holder, Newcomer};
use crate::routing_command::hot_sink::{INTERMEDIATE, SINK_A, SINK_B};
use crate::routing_command::{
    AckResult, CrossfaderData, DomainData, DomainRequest, End, Kind, RoutingCall, RoutingReply, domain_state,
};
use crate::{Event, Model};

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

/// Media is mixed with media.
fn two_tuners() -> Model {
    let mut model = empty_car();
    let mix = cell(Holder::Mix, Newcomer::Play);
    model.cells.insert((CLASS_MEDIA, CLASS_MEDIA), mix);
    model
}

#[test]
fn volumes_that_change_at_once_are_one_request_where_the_domain_knows_it() {
    for together in [true, false] {
        let mut model = two_tuners();
        if together {
            model.routing.set_volumes.insert("amplifier".to_owned());
        }
        let mut rig = Rig::new(model);
        let domain = rig.domain(PEER, "amplifier");
        let prompt = rig.source(PEER, domain, "prompt", CLASS_NAVIGATION);
        let sink = rig.sink(PEER, domain, "speakers");
        let tuners = ["fm", "am"].map(|name| rig.source(PEER, domain, name, CLASS_MEDIA));
        for tuner in tuners {
            rig.connect(tuner, sink);
            rig.ack_all();
        }
        rig.sent();
        rig.connect(prompt, sink);
        rig.ack_all();
        let sent = rig.sent();
        let several = sent.iter().find_map(|it| match it {
            DomainRequest::SetVolumes { volumes, .. } => Some(volumes.clone()),
            _ => None,
        });
        let volumes = |rig: &Rig| tuners.map(|it| rig.machine.registry().sources[&it].volume);
        assert_eq!(volumes(&rig), [-140, -140], "both are ducked, {together}");
        let ends = several.map(|all| all.iter().map(|it| it.end).collect::<Vec<_>>());
        assert_eq!(ends, together.then(|| tuners.map(End::Source).to_vec()));
    }
}

#[test]
fn several_volumes_that_are_refused_are_refused_each() {
    let mut model = two_tuners();
    model.routing.set_volumes.insert("amplifier".to_owned());
    let mut rig = Rig::new(model);
    let domain = rig.domain(PEER, "amplifier");
    let prompt = rig.source(PEER, domain, "prompt", CLASS_NAVIGATION);
    let sink = rig.sink(PEER, domain, "speakers");
    for name in ["fm", "am"] {
        let tuner = rig.source(PEER, domain, name, CLASS_MEDIA);
        rig.connect(tuner, sink);
        rig.ack_all();
    }
    rig.connect(prompt, sink);
    for _ in 0..20 {
        if rig.open.is_empty() {
            break;
        }
        let refuse = matches!(rig.open[0].1, DomainRequest::SetVolumes { .. });
        rig.ack_with(if refuse { 7 } else { 0 });
    }
    assert!(rig.open.is_empty(), "what was refused is not asked for again");
    let refused = rig.machine.registry().sources.values().filter(|it| it.volume == 0);
    assert_eq!(refused.count(), 3);
}

#[test]
fn several_properties_are_one_request_and_all_or_none_is_set() {
    let mut rig = Rig::new(empty_car());
    let domain = rig.domain(PEER, "amplifier");
    let mut data = sink(domain, "speakers");
    data.lists.sound = vec![(1, 0), (2, 0)];
    data.lists.main_sound = vec![(1, 0), (2, 0), (3, 0)];
    let sink = rig.registered(PEER, RoutingCall::RegisterSink(data));
    let set = |properties: &[(i16, i16)]| Call::SetMainSinkSoundProperties {
        sink,
        properties: properties.to_vec(),
    };
    rig.signals.clear();
    assert_eq!(rig.call(set(&[(1, 4), (9, 1)])).error, 1, "one is not there");
    assert!(rig.sent().is_empty() && rig.signals.is_empty());
    assert_eq!(rig.call(set(&[(1, 4), (3, 7), (2, 99)])).error, 0);
    let ours = Signal::MainSinkSoundPropertyChanged { sink, property: (3, 7) };
    assert_eq!(rig.signals, [ours], "nobody has to be asked for it");
    let asked = DomainRequest::SetSinkSoundProperties {
        handle: 1,
        sink,
        properties: vec![(1, 4), (2, 10)],
    };
    assert_eq!(rig.sent(), [asked]);
    rig.signals.clear();
    rig.ack();
    let set = |property| Signal::MainSinkSoundPropertyChanged { sink, property };
    assert_eq!(rig.signals, [set((1, 4)), set((2, 10))]);
}

fn early_domain(rig: &mut Rig, state: i16) -> u16 {
    let data = DomainData {
        early: true,
        state,
        ..domain("tuner")
    };
    rig.registered(PEER, RoutingCall::RegisterDomain(data))
}

fn told(rig: &mut Rig, domain: u16, state: i16) {
    rig.routing(PEER, RoutingCall::HookDomainStateChange { domain, state });
}

#[test]
fn a_domain_that_ran_before_the_daemon_is_taken_under_control_once_it_has_registered_all() {
    let mut rig = Rig::new(empty_car());
    let domain = early_domain(&mut rig, domain_state::INDEPENDENT_STARTUP);
    assert!(rig.sent().is_empty(), "not while it registers");
    rig.routing(PEER, RoutingCall::HookDomainRegistrationComplete { domain });
    let state = domain_state::CONTROLLED;
    assert_eq!(rig.sent(), [DomainRequest::SetDomainState { domain, state }]);
    rig.step(Event::Tick);
    assert!(rig.sent().is_empty(), "it is asked once");
    told(&mut rig, domain, state);
    assert_eq!(rig.machine.domain(domain).unwrap().state, state);
}

#[test]
fn at_the_end_early_domains_are_asked_to_go_on_and_offered_connections_once_they_do() {
    for goes_on in [true, false] {
        let mut rig = Rig::new(empty_car());
        let domain = early_domain(&mut rig, domain_state::CONTROLLED);
        let tuner = rig.source(PEER, domain, "fm", CLASS_MEDIA);
        let sink = rig.sink(PEER, domain, "speakers");
        rig.connect(tuner, sink);
        rig.ack_all();
        rig.sent();
        rig.step(Event::Rundown);
        let state = domain_state::INDEPENDENT_RUNDOWN;
        assert_eq!(rig.sent(), [DomainRequest::SetDomainState { domain, state }]);
        assert!(rig.machine.hands_over(), "that is waited for");
        if goes_on {
            told(&mut rig, domain, state);
            assert!(matches!(rig.sent()[..], [DomainRequest::TransferConnection { .. }]));
            rig.ack();
        } else {
            assert_eq!(rig.wait(), 5000);
        }
        assert!(!rig.machine.hands_over());
    }
}

#[test]
fn a_message_about_a_state_counts_only_from_the_domain_itself() {
    let mut rig = Rig::new(empty_car());
    let domain = early_domain(&mut rig, domain_state::CONTROLLED);
    let state = domain_state::INDEPENDENT_RUNDOWN;
    let reply = rig.routing(":1.2", RoutingCall::HookDomainStateChange { domain, state });
    assert_eq!(reply, RoutingReply::Nothing);
    assert_eq!(rig.machine.domain(domain).unwrap().state, domain_state::CONTROLLED);
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
