//! Several volumes and properties at once, and domains' states.

use super::rig::*;
use crate::command::{Call, Signal};
use crate::machine::tests::fixture::cell;
use crate::model::{Holder, Newcomer};
use crate::routing_command::*;
use crate::{Event, Model};

const PEER: &str = ":1.1";

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
