//! Handles and acks.

use std::collections::BTreeMap;

use super::rig::*;
use crate::command::{Call, ConnectionState};
use crate::event::Event;
use crate::routing_command::{AckResult, DomainRequest, End, RoutingCall};

#[test]
fn acks_of_another_peer_of_another_kind_or_of_nobody_change_nothing_and_are_counted() {
    let (mut rig, source, sink) = amplifier();
    rig.domain(":1.2", "other");
    rig.connect(source, sink);
    let handle = rig.open[0].1.handle();
    let right = AckResult::SinkVolume { volume: -3000 };
    let ack = |handle, result| RoutingCall::Ack {
        handle,
        result,
        error: 0,
    };
    rig.sent.clear();
    rig.routing(":1.2", ack(handle, right));
    rig.routing(":1.1", ack(handle, AckResult::SourceState));
    rig.routing(":1.1", ack(handle + 1, right));
    rig.routing(":1.1", ack(handle, AckResult::CrossFading { hot_sink: 1 }));
    assert_eq!(rig.machine.dropped_acks(), 4);
    assert_eq!(rig.sent, []);
    rig.ack();
    assert!(matches!(rig.sent[..], [DomainRequest::Connect { .. }]));
    let handle = rig.open[0].1.handle();
    rig.routing(":1.1", ack(handle, AckResult::Connect { connection: 77 }));
    assert_eq!(rig.machine.dropped_acks(), 5, "another connection's");
}

#[test]
fn a_handle_is_not_used_again_within_twice_the_ack_time_out() {
    let (mut rig, source, sink) = amplifier();
    let mut last = BTreeMap::new();
    let mut refused = 0;
    for _ in 0..2000 {
        let (error, id) = rig.connect(source, sink);
        if error == 7 {
            refused += 1;
        } else {
            assert_eq!(error, 0);
        }
        rig.ack_all();
        if error == 0 {
            rig.call(Call::Disconnect { connection: id });
            rig.ack_all();
        }
        for request in rig.sent() {
            let before = last.insert(request.handle(), rig.now);
            assert!(before.is_none_or(|before| rig.now - before >= 10_000), "{request:?}");
        }
        rig.now += 20;
    }
    assert!(refused > 0, "all of them were in use");
    assert_eq!(last.len(), 1023);
}

#[test]
fn a_domain_with_too_many_requests_open_refuses_new_ones_with_7_and_others_go_on() {
    let mut model = empty_car();
    model.routing.open_limit = 3;
    let mut rig = Rig::new(model);
    let domain = rig.domain(":1.1", "slow");
    let other = rig.domain(":1.2", "quick");
    let pairs: Vec<(u16, u16)> = (0..3)
        .map(|n| {
            let source = rig.source(":1.1", domain, &format!("source{n}"), CLASS_MEDIA);
            (source, rig.sink(":1.1", domain, &format!("sink{n}")))
        })
        .collect();
    assert_eq!(rig.connect(pairs[0].0, pairs[0].1), (0, 1));
    assert_eq!(rig.connect(pairs[1].0, pairs[1].1), (7, 0), "no room for all it takes");
    let source = rig.source(":1.2", other, "source", CLASS_MEDIA);
    let sink = rig.sink(":1.2", other, "sink");
    assert_eq!(rig.connect(source, sink).0, 0);
    rig.ack_all();
    assert_eq!(rig.connect(pairs[1].0, pairs[1].1).0, 0);
}

#[test]
fn what_waits_for_a_handle_while_taken_down_gets_one_in_time() {
    let (mut rig, source, sink) = amplifier();
    let (_, id) = rig.connect(source, sink);
    rig.ack_all();
    // All other handles are used up by volume changes.
    for volume in (0..1100).map(|n| n % 10) {
        rig.call(Call::SetVolume { sink, volume });
        rig.ack_all();
    }
    rig.call(Call::Disconnect { connection: id });
    assert_eq!(rig.open, []);
    assert_eq!(rig.state(id), Some(ConnectionState::Disconnecting));
    let waited = rig.wait();
    assert!(waited <= 10_000, "{waited}");
    rig.ack_all();
    while rig.state(id).is_some() {
        rig.wait();
        rig.ack_all();
    }
}

#[test]
fn a_tick_belongs_to_a_volume_under_way() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    let handle = rig.open[0].1.handle();
    let tick = |end| RoutingCall::AckVolumeTick {
        handle,
        end,
        volume: -1200,
    };
    rig.routing(":1.1", tick(End::Sink(sink)));
    assert_eq!(rig.machine.registry().sinks[&sink].volume, -1200);
    rig.routing(":1.1", tick(End::Source(source)));
    assert_eq!(rig.machine.dropped_acks(), 1);
}

#[test]
fn handles_of_a_peer_that_left_are_forgotten() {
    let (mut rig, source, sink) = amplifier();
    let empty = Rig::new(empty_car()).machine.snapshot().len();
    rig.connect(source, sink);
    let peer = ":1.1".to_owned();
    rig.step(Event::PeerLost { peer });
    rig.now += 20_000;
    rig.step(Event::Tick);
    // The names keep their IDs.
    assert!(rig.machine.snapshot().len() < empty + 1000);
    assert_eq!(rig.machine.peers().len(), 0);
}
