//! Connections before and after the daemon.

use super::rig::*;
use crate::command::{Call, ConnectionState, Signal};
use crate::event::Event;
use crate::routing::Hop;
use crate::routing_command::{AckResult, DomainRequest, Kind, RoutingCall, RoutingReply, domain_state};

use ConnectionState::{Connected, Suspended};

fn early(source: u16, sink: u16, state: ConnectionState) -> RoutingCall {
    let hop = Hop {
        domain: 101,
        source,
        sink,
        format: 2,
    };
    RoutingCall::RegisterEarlyConnection {
        domain: 101,
        source,
        sink,
        state,
        route: vec![hop],
    }
}

fn error(reply: &RoutingReply) -> i16 {
    match reply {
        RoutingReply::Early { error, .. } => *error,
        other => panic!("{other:?}"),
    }
}

fn peek(rig: &mut Rig, kind: Kind, name: &str) -> u16 {
    let name = name.to_owned();
    rig.registered(":1.1", RoutingCall::Peek { kind, name })
}

#[test]
fn an_early_connection_runs_on_and_is_seen_once_its_ends_are_registered() {
    let mut rig = Rig::new(empty_car());
    let domain = rig.domain(":1.1", "amplifier");
    let source_id = peek(&mut rig, Kind::Source, "camera chime");
    let sink_id = peek(&mut rig, Kind::Sink, "speakers");
    let reply = rig.routing(":1.1", early(source_id, sink_id, Connected));
    let taken = RoutingReply::Early {
        id: 1,
        connections: vec![1],
        error: 0,
    };
    assert_eq!(reply, taken);
    assert_eq!(rig.signals, []);
    let mut data = source(domain, "camera chime", 101);
    data.state = 1;
    assert_eq!(rig.registered(":1.1", RoutingCall::RegisterSource(data)), source_id);
    assert_eq!(rig.sink(":1.1", domain, "speakers"), sink_id);
    let new = |it: &Signal| matches!(it, Signal::NewMainConnection(new) if new.id == 1 && new.state == Connected);
    assert!(rig.signals.iter().any(new));
    assert_eq!(rig.sent(), [], "nothing is asked of what runs");
    rig.call(Call::Disconnect { connection: 1 });
    rig.ack_all();
    assert_eq!(rig.state(1), None);
    assert_eq!(rig.sent().len(), 2, "off and disconnect");
}

#[test]
fn an_early_connection_takes_part_in_the_matrix() {
    let (mut rig, music, sink) = amplifier();
    rig.routing(":1.1", early(music, sink, Connected));
    let usb = rig.source(":1.1", 101, "usb", CLASS_MEDIA);
    rig.connect(usb, sink);
    rig.ack_all();
    assert_eq!(rig.state(1), Some(Suspended), "the newest of a class wins");
    assert_eq!(rig.connect(music, sink), (0, 1));
    rig.ack_all();
    assert_eq!(rig.state(1), Some(Connected));
}

#[test]
fn an_early_connection_of_others_of_nobody_or_known_already_is_refused() {
    let (mut rig, source, sink) = amplifier();
    rig.domain(":1.2", "other");
    assert_eq!(error(&rig.routing(":1.2", early(source, sink, Connected))), 7);
    assert_eq!(error(&rig.routing(":1.1", early(4242, sink, Connected))), 8);
    assert_eq!(
        error(&rig.routing(":1.1", early(source, sink, ConnectionState::Connecting))),
        2
    );
    let RoutingCall::RegisterEarlyConnection { mut route, .. } = early(source, sink, Connected) else {
        panic!()
    };
    route[0].domain = 102;
    let theirs = RoutingCall::RegisterEarlyConnection {
        domain: 101,
        source,
        sink,
        state: Connected,
        route,
    };
    assert_eq!(error(&rig.routing(":1.1", theirs)), 7);
    assert_eq!(error(&rig.routing(":1.1", early(source, sink, Connected))), 0);
    assert_eq!(error(&rig.routing(":1.1", early(source, sink, Connected))), 5);
}

fn going_on(rig: &mut Rig, peer: &str, domain: u16) {
    let state = domain_state::INDEPENDENT_RUNDOWN;
    rig.routing(peer, RoutingCall::HookDomainStateChange { domain, state });
}

#[test]
fn at_rundown_a_connection_is_offered_to_domains_that_go_on_until_one_accepts() {
    let mut chain = chain(4);
    chain.rig.connect(chain.sources[0], chain.sinks[1]);
    chain.rig.ack_all();
    for n in [1, 2, 3] {
        going_on(&mut chain.rig, &format!(":1.{}", n + 1), chain.domains[n]);
    }
    chain.rig.sent.clear();
    chain.rig.step(Event::Rundown);
    let route = vec![
        ("source1".to_owned(), "sink1".to_owned()),
        ("source2".to_owned(), "sink2".to_owned()),
    ];
    let [
        DomainRequest::TransferConnection {
            domain,
            state,
            route: offered,
            ..
        },
    ] = &chain.rig.sent[..]
    else {
        panic!("{:?}", chain.rig.sent)
    };
    assert_eq!((*domain, *state, offered), (chain.domains[1], 2, &route));
    chain.rig.ack_with(7);
    assert!(chain.rig.machine.hands_over());
    let (peer, request) = chain.rig.open[0].clone();
    assert_eq!(peer, ":1.3", "the next one");
    chain.rig.ack();
    assert!(!chain.rig.machine.hands_over());
    assert_eq!(chain.rig.open, [], "the fourth isn't asked: {request:?}");
    assert_eq!(chain.rig.state(1), Some(Connected));
    assert_eq!(chain.rig.machine.next_deadline(), None);
}

#[test]
fn a_rundown_ends_though_nobody_answers() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack_all();
    going_on(&mut rig, ":1.1", 101);
    rig.step(Event::Rundown);
    let mut waited = 0;
    while rig.machine.hands_over() {
        waited += rig.wait();
    }
    assert!(waited <= 15_000, "{waited}");
    let late = RoutingCall::Ack {
        handle: 5,
        result: AckResult::TransferConnection,
        error: 0,
    };
    rig.routing(":1.1", late);
    assert_eq!(rig.machine.dropped_acks(), 1);
}

#[test]
fn a_rundown_without_such_domains_is_over_at_once() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack_all();
    rig.sent.clear();
    rig.step(Event::Rundown);
    assert!(!rig.machine.hands_over());
    assert_eq!(rig.sent(), []);
}
