//! What happens when domains refuse, fall silent, or leave.

use super::rig::*;
use crate::MUTE;
use crate::command::{Call, ConnectionState, Signal};
use crate::event::Event;
use crate::routing_command::{AckResult, DomainRequest, End, Kind, RoutingCall, source_state};

use ConnectionState::{Connected, Disconnected, Suspended};
use DomainRequest::{Abort, Connect, Disconnect, SetSinkVolume, SetSourceState};

const ON: i16 = source_state::ON;

/// The music plays; then the phone, which stops it, is connected up to its `asyncConnect`.
fn phone_instead_of_music() -> (Rig, u16, u16) {
    let (mut rig, music, sink) = amplifier();
    let phone = rig.source(":1.1", 101, "phone", CLASS_PHONE);
    rig.connect(music, sink);
    rig.ack_all();
    rig.connect(phone, sink);
    while !matches!(rig.open[0].1, Connect { .. }) {
        rig.ack();
    }
    assert_eq!(rig.state(1), Some(Disconnected));
    rig.signals.clear();
    rig.sent.clear();
    (rig, phone, sink)
}

#[test]
fn a_refused_connection_is_removed_and_its_sink_is_as_it_was() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack();
    rig.signals.clear();
    rig.sent.clear();
    rig.ack_with(7);
    rig.ack_all();
    assert_eq!(rig.states(1), [3, 4, 255]);
    assert!(matches!(rig.sent()[..], [SetSinkVolume { volume: -30, .. }]));
    assert_eq!(rig.machine.next_deadline(), None);
}

#[test]
fn what_was_disconnected_for_a_refused_connection_is_connected_again() {
    let (mut rig, ..) = phone_instead_of_music();
    rig.ack_with(7);
    rig.ack_all();
    assert_eq!(rig.state(2), None);
    assert_eq!(
        rig.states(1),
        [1, 2],
        "the defect of the C++ daemon: it stayed disconnected"
    );
    assert!(rig.sent().iter().any(|it| matches!(it, Connect { .. })));
}

#[test]
fn what_was_disconnected_comes_back_when_the_newcomer_is_taken_back() {
    let (mut rig, ..) = phone_instead_of_music();
    rig.call(Call::Disconnect { connection: 2 });
    rig.ack_all();
    assert_eq!(rig.state(2), None);
    assert_eq!(rig.state(1), Some(Connected));
}

#[test]
fn a_missing_ack_is_aborted_after_exactly_5_s_and_the_suspended_class_goes_on() {
    let (mut rig, first, sink) = amplifier();
    let second = rig.source(":1.1", 101, "usb", CLASS_MEDIA);
    rig.connect(first, sink);
    rig.ack_all();
    rig.connect(second, sink);
    while !matches!(rig.open[0].1, Connect { .. }) {
        rig.ack();
    }
    assert_eq!(rig.state(1), Some(Suspended));
    let handle = rig.open[0].1.handle();
    rig.sent.clear();
    assert_eq!(rig.wait(), 5000);
    assert_eq!(rig.sent[0], Abort { handle });
    rig.ack_all();
    assert_eq!(rig.state(1), Some(Connected));
    assert_eq!(rig.state(2), None);
    // The domain is given 10 s to acknowledge the abort.
    assert_eq!(rig.wait(), 10_000);
    assert_eq!(rig.machine.next_deadline(), None);
}

#[test]
fn a_segment_that_came_up_after_all_is_disconnected() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack();
    let Connect { handle, connection, .. } = rig.open[0].1 else {
        panic!("{:?}", rig.open)
    };
    rig.wait();
    rig.ack_all();
    rig.sent.clear();
    let result = AckResult::Connect { connection };
    let ack = RoutingCall::Ack {
        handle,
        result,
        error: 0,
    };
    rig.routing(":1.1", ack.clone());
    assert!(matches!(rig.sent[..], [Disconnect { .. }]));
    rig.ack_all();
    assert_eq!(rig.machine.next_deadline(), None);
    let before = rig.machine.dropped_acks();
    rig.routing(":1.1", ack);
    assert_eq!(rig.machine.dropped_acks(), before + 1, "the second one is too late");
}

#[test]
fn an_ack_after_the_abort_was_given_up_is_dropped_and_counted() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack();
    let Connect { handle, connection, .. } = rig.open[0].1 else {
        panic!("{:?}", rig.open)
    };
    while rig.machine.next_deadline().is_some() {
        rig.ack_all();
        if rig.machine.next_deadline().is_some() {
            rig.wait();
        }
    }
    let result = AckResult::Connect { connection };
    rig.sent.clear();
    rig.routing(
        ":1.1",
        RoutingCall::Ack {
            handle,
            result,
            error: 0,
        },
    );
    assert_eq!(rig.machine.dropped_acks(), 1);
    assert_eq!(rig.sent, []);
}

#[test]
fn a_source_that_refuses_to_sound_fails_its_connection() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack();
    rig.ack();
    assert!(matches!(rig.open[0].1, SetSourceState { state: ON, .. }));
    rig.signals.clear();
    rig.ack_with(7);
    rig.ack_all();
    assert_eq!(rig.states(1), [3, 4, 255]);
    assert_eq!(rig.connect(source, sink), (0, 2), "and may be tried again");
    rig.ack_all();
    assert_eq!(rig.state(2), Some(Connected));
}

#[test]
fn a_sink_that_refuses_to_be_muted_fails_the_connection() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.signals.clear();
    rig.ack_with(7);
    rig.ack_all();
    assert_eq!(rig.states(1), [3, 4, 255]);
    assert!(!rig.sent().iter().any(|it| matches!(it, Connect { .. })));
}

#[test]
fn a_domain_that_refuses_everything_while_taken_down_holds_up_nothing() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack_all();
    rig.call(Call::Disconnect { connection: 1 });
    for _ in 0..10 {
        if !rig.open.is_empty() {
            rig.ack_with(7);
        }
    }
    assert_eq!(rig.state(1), None);
    assert_eq!(rig.machine.next_deadline(), None);
}

#[test]
fn a_domain_that_falls_silent_while_taken_down_is_not_waited_for_for_ever() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack_all();
    rig.call(Call::Disconnect { connection: 1 });
    let mut waits = 0;
    while rig.machine.next_deadline().is_some() {
        rig.wait();
        waits += 1;
        assert!(waits < 10);
    }
    assert_eq!(rig.state(1), None);
}

#[test]
fn a_request_that_could_not_be_delivered_fails_at_once() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack();
    let handle = rig.open.remove(0).1.handle();
    let peer = ":1.1".to_owned();
    rig.signals.clear();
    rig.step(Event::RequestFailed { peer, handle });
    rig.ack_all();
    assert_eq!(rig.states(1), [3, 4, 255]);
    assert_eq!(rig.machine.next_deadline(), None);
}

#[test]
fn an_unavailable_end_is_refused_with_4_and_the_entry_kept() {
    let (mut rig, source, sink) = amplifier();
    rig.routing(":1.1", available(End::Source(source), false));
    rig.signals.clear();
    assert_eq!(rig.connect(source, sink), (4, 0));
    assert_eq!(rig.state(1), Some(Disconnected));
    assert_eq!(rig.open, []);
    rig.routing(":1.1", available(End::Source(source), true));
    assert_eq!(rig.open, [], "nobody asked again");
    assert_eq!(rig.connect(source, sink), (0, 1));
    rig.ack_all();
    assert_eq!(rig.state(1), Some(Connected));
    rig.call(Call::Disconnect { connection: 1 });
    rig.ack_all();
    assert_eq!(rig.state(1), None);
}

#[test]
fn a_connection_whose_end_becomes_unavailable_is_taken_down_and_kept() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack_all();
    rig.signals.clear();
    rig.routing(":1.1", available(End::Sink(sink), false));
    rig.ack_all();
    let told = Signal::SinkAvailabilityChanged {
        sink,
        availability: (2, 0),
    };
    assert!(rig.signals.contains(&told));
    assert_eq!(rig.states(1), [3, 4]);
    assert_eq!(rig.state(1), Some(Disconnected));
}

#[test]
fn a_lost_source_takes_its_connections_with_it_and_the_rest_of_their_routes_is_taken_down() {
    let mut chain = chain(2);
    chain.rig.connect(chain.sources[0], chain.sinks[1]);
    chain.rig.ack_all();
    chain.rig.sent.clear();
    chain.rig.signals.clear();
    let gone = deregister(Kind::Source, chain.sources[0]);
    chain.rig.routing(":1.1", gone);
    let source = chain.sources[0];
    assert!(chain.rig.signals.contains(&Signal::SourceRemoved { source }));
    chain.rig.ack_all();
    assert_eq!(chain.rig.states(1), [3, 4, 255]);
    let sent = chain.rig.sent();
    assert_eq!(sent.len(), 2, "off and disconnect in the other domain alone: {sent:?}");
}

#[test]
fn a_lost_peer_takes_its_domains_with_it_without_a_request_to_them() {
    let mut chain = chain(3);
    chain.rig.connect(chain.sources[0], chain.sinks[2]);
    chain.rig.ack_all();
    chain.rig.sent.clear();
    chain.rig.signals.clear();
    let peer = ":1.2".to_owned();
    chain.rig.step(Event::PeerLost { peer });
    assert!(chain.rig.open.iter().all(|it| it.0 != ":1.2"));
    chain.rig.ack_all();
    assert_eq!(chain.rig.states(1), [3, 4, 255]);
    assert!(chain.rig.machine.domain(chain.domains[1]).is_none());
    assert_eq!(chain.rig.machine.registry().gateways.len(), 0, "each needed it");
    assert_eq!(chain.rig.machine.next_deadline(), None);
}

#[test]
fn a_lost_gateway_takes_the_connections_over_it() {
    let mut chain = chain(2);
    chain.rig.connect(chain.sources[0], chain.sinks[1]);
    chain.rig.connect(chain.sources[1], chain.sinks[1]);
    chain.rig.ack_all();
    let gateway = *chain.rig.machine.registry().gateways.keys().next().unwrap();
    chain.rig.routing(":1.1", deregister(Kind::Gateway, gateway));
    chain.rig.ack_all();
    assert_eq!(chain.rig.state(1), None);
    assert_eq!(chain.rig.state(2), Some(Connected));
}

#[test]
fn a_domain_lost_while_it_owes_an_ack_leaves_nothing_open() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.routing(":1.1", deregister(Kind::Domain, 101));
    assert_eq!(rig.state(1), None);
    assert_eq!(rig.machine.next_deadline(), None);
    let (handle, result) = (1, AckResult::SinkVolume { volume: MUTE });
    rig.routing(
        ":1.1",
        RoutingCall::Ack {
            handle,
            result,
            error: 0,
        },
    );
    assert_eq!(rig.machine.dropped_acks(), 1);
}
