//! Main connections over domains: the reference exchange, orders, sharing, suspending.

use super::rig::*;
use crate::command::{Call, ConnectionState, MainConnection, Reply, ReplyBody, Signal};
use crate::effect::Effect;
use crate::routing_command::{DomainRequest, RoutingCall, source_state};
use crate::{Event, MUTE};

use ConnectionState::{Connected, Connecting, Disconnected, Suspended, Unknown};
use DomainRequest::{Connect, Disconnect, SetSinkVolume, SetSourceState};

const ON: i16 = source_state::ON;
const OFF: i16 = source_state::OFF;
const PAUSED: i16 = source_state::PAUSED;

fn state_changed(connection: u16, state: ConnectionState) -> Effect {
    Effect::Signal(Signal::MainConnectionStateChanged { connection, state })
}

/// The reference exchange of a domain, the shipped policy (mute, connect, unmute) and mainVolume 5 of 10, step by step.
#[test]
fn a_pair_of_one_domain_is_connected_as_in_the_reference_exchange() {
    let (mut rig, source, sink) = amplifier();
    let domain = 101;
    let to_domain = |request| Effect::Domain { domain, request };
    let volume = |handle, volume| SetSinkVolume {
        handle,
        sink,
        volume,
        ramp: 1,
        time_ms: 200,
    };
    assert_eq!(rig.connect(source, sink), (0, 1));
    let reply = Reply {
        error: 0,
        body: ReplyBody::Connection(1),
    };
    let new = MainConnection {
        id: 1,
        source,
        sink,
        delay: -1,
        state: Unknown,
    };
    let timing = Signal::TimingInformationChanged {
        connection: 1,
        delay: -1,
    };
    let begun = [
        to_domain(volume(1, MUTE)),
        Effect::Reply { token: 7, reply },
        Effect::Signal(Signal::NewMainConnection(new)),
        state_changed(1, Unknown),
        Effect::Signal(timing),
        state_changed(1, Connecting),
    ];
    assert_eq!(rig.effects, begun);
    let connect = Connect {
        handle: 2,
        connection: 1,
        source,
        sink,
        format: 2,
    };
    let muted = |state| Effect::Signal(Signal::SinkMuteStateChanged { sink, state });
    rig.ack();
    assert_eq!(rig.effects[1..], [to_domain(connect), muted(1)]);
    let on = SetSourceState {
        handle: 3,
        source,
        state: ON,
    };
    rig.ack();
    assert_eq!(rig.effects[1..], [to_domain(on)]);
    rig.ack();
    assert_eq!(
        rig.effects[1..],
        [state_changed(1, Connected), to_domain(volume(4, -30))]
    );
    rig.ack();
    assert_eq!(rig.effects[1..], [muted(2)]);
    assert_eq!(rig.machine.next_deadline(), None);
}

#[test]
fn disconnecting_signals_each_state_once_and_takes_the_source_off_before_the_segment() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack_all();
    rig.signals.clear();
    rig.sent.clear();
    rig.call(Call::Disconnect { connection: 1 });
    rig.ack_all();
    assert_eq!(rig.states(1), [3, 4, 255]);
    let sent = rig.sent();
    assert!(matches!(sent[0], SetSourceState { state: OFF, .. }));
    assert!(matches!(sent[1], Disconnect { connection: 1, .. }));
    assert_eq!(sent.len(), 2);
}

/// What was asked of whom, in order: `c` connect, `d` disconnect, `1` ON, `2` OFF, `3` PAUSED, with the source.
fn order(sent: &[DomainRequest], chain: &Chain) -> Vec<(char, usize)> {
    let at = |source: u16| chain.sources.iter().position(|it| *it == source).unwrap();
    let mut segments = std::collections::BTreeMap::new();
    let mut order = Vec::new();
    for request in sent {
        match *request {
            Connect { connection, source, .. } => {
                segments.insert(connection, source);
                order.push(('c', at(source)));
            }
            Disconnect { connection, .. } => order.push(('d', usize::from(connection))),
            SetSourceState { source, state, .. } => {
                order.push((char::from_digit(u32::try_from(state).unwrap(), 10).unwrap(), at(source)));
            }
            _ => {}
        }
    }
    order
}

#[test]
fn a_playback_class_is_connected_and_switched_on_from_the_sink_and_taken_down_from_the_source() {
    let mut chain = chain(3);
    let (source, sink) = (chain.sources[0], chain.sinks[2]);
    assert_eq!(chain.rig.connect(source, sink), (0, 1));
    chain.rig.ack_all();
    let sent = chain.rig.sent();
    assert_eq!(
        order(&sent, &chain),
        [('c', 2), ('c', 1), ('c', 0), ('1', 2), ('1', 1), ('1', 0)]
    );
    assert_eq!(chain.rig.state(1), Some(Connected));
    chain.rig.call(Call::Disconnect { connection: 1 });
    chain.rig.ack_all();
    let sent = chain.rig.sent();
    // Segments by ID: the one at the main source was the third to be made.
    assert_eq!(
        order(&sent, &chain),
        [('2', 0), ('2', 1), ('2', 2), ('d', 3), ('d', 2), ('d', 1)]
    );
    assert_eq!(chain.rig.state(1), None);
}

#[test]
fn a_capture_class_is_connected_from_the_source_and_taken_down_from_the_sink() {
    let mut model = empty_car();
    model.routing.capture_classes.insert("media".to_owned());
    let mut rig = chain(2);
    // The same registrations with the other rules.
    let snapshot = rig.rig.machine.snapshot();
    rig.rig.machine = crate::Machine::restore(model, &snapshot).unwrap();
    let (source, sink) = (rig.sources[0], rig.sinks[1]);
    rig.rig.connect(source, sink);
    rig.rig.ack_all();
    let sent = rig.rig.sent();
    assert_eq!(order(&sent, &rig), [('c', 0), ('c', 1), ('1', 0), ('1', 1)]);
    rig.rig.call(Call::Disconnect { connection: 1 });
    rig.rig.ack_all();
    let sent = rig.rig.sent();
    assert_eq!(order(&sent, &rig), [('2', 1), ('2', 0), ('d', 2), ('d', 1)]);
}

#[test]
fn each_segment_is_asked_of_the_domain_of_its_source() {
    let mut chain = chain(4);
    chain.rig.connect(chain.sources[0], chain.sinks[3]);
    let mut asked = Vec::new();
    while let Some((peer, request)) = chain.rig.open.first().cloned() {
        if matches!(request, Connect { .. }) {
            asked.push(peer);
        }
        chain.rig.ack();
    }
    assert_eq!(asked, [":1.4", ":1.3", ":1.2", ":1.1"]);
}

#[test]
fn a_source_without_states_gets_none() {
    let (mut rig, _, sink) = amplifier();
    let mut data = source(101, "line in", 101);
    data.state = source_state::UNKNOWN;
    let source = rig.registered(":1.1", RoutingCall::RegisterSource(data));
    rig.connect(source, sink);
    rig.ack_all();
    rig.call(Call::Disconnect { connection: 1 });
    rig.ack_all();
    assert!(!rig.sent().iter().any(|it| matches!(it, SetSourceState { .. })));
    assert_eq!(rig.state(1), None);
}

#[test]
fn connect_again_gives_the_same_id_and_asks_for_nothing() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack_all();
    rig.sent.clear();
    assert_eq!(rig.connect(source, sink), (0, 1));
    assert_eq!(rig.sent(), []);
}

#[test]
fn an_unknown_end_is_8_and_a_pair_without_a_route_7() {
    let mut chain = chain(2);
    assert_eq!(chain.rig.connect(chain.sources[0], 4242), (8, 0));
    assert_eq!(chain.rig.connect(4242, chain.sinks[0]), (8, 0));
    assert_eq!(chain.rig.connect(chain.sources[1], chain.sinks[0]), (7, 0));
}

/// Two sources of domain 1 to one sink of domain 2, over one gateway.
fn shared(first: usize, second: usize) -> (Chain, u16) {
    let mut chain = chain(2);
    let class = chain.rig.class(first);
    let source_of = source(chain.domains[0], "first", class);
    chain.sources[0] = chain.rig.registered(":1.1", RoutingCall::RegisterSource(source_of));
    let other = chain.rig.source(":1.1", chain.domains[0], "other", second);
    (chain, other)
}

#[test]
fn a_shared_segment_and_its_source_stay_while_another_connection_uses_them() {
    let (mut chain, other) = shared(CLASS_NAVIGATION, CLASS_PHONE);
    let sink = chain.sinks[1];
    chain.rig.connect(chain.sources[0], sink);
    chain.rig.ack_all();
    chain.rig.sent.clear();
    chain.rig.connect(other, sink);
    chain.rig.ack_all();
    let sent = chain.rig.sent();
    assert_eq!(sent.iter().filter(|it| matches!(it, Connect { .. })).count(), 1);
    chain.rig.call(Call::Disconnect { connection: 1 });
    chain.rig.ack_all();
    let sent = chain.rig.sent();
    let gateway_off = |it: &DomainRequest| matches!(it, SetSourceState { source, .. } if *source == chain.sources[1]);
    assert!(!sent.iter().any(gateway_off), "the defect of the C++ daemon: {sent:?}");
    let down: Vec<_> = sent.iter().filter(|it| matches!(it, Disconnect { .. })).collect();
    assert_eq!(down.len(), 1);
    assert_eq!(chain.rig.state(2), Some(Connected));
    chain.rig.call(Call::Disconnect { connection: 2 });
    chain.rig.ack_all();
    let sent = chain.rig.sent();
    assert_eq!(
        sent.iter().filter(|it| matches!(it, Disconnect { .. })).count(),
        2,
        "the last one turns off the light"
    );
}

#[test]
fn the_newest_of_a_class_suspends_the_older_and_it_goes_on_afterwards() {
    let (mut rig, first, sink) = amplifier();
    let second = rig.source(":1.1", 101, "usb", CLASS_MEDIA);
    rig.connect(first, sink);
    rig.ack_all();
    rig.signals.clear();
    rig.sent.clear();
    rig.connect(second, sink);
    assert!(matches!(rig.open[0].1, SetSourceState { state: PAUSED, source, .. } if source == first));
    assert_eq!(rig.open.len(), 1, "the newcomer waits for the place");
    rig.ack_all();
    assert_eq!((rig.state(1), rig.state(2)), (Some(Suspended), Some(Connected)));
    assert_eq!(rig.states(1), [5]);
    assert!(
        !rig.sent().iter().any(|it| matches!(it, Disconnect { .. })),
        "the route stays"
    );
    rig.call(Call::Disconnect { connection: 2 });
    rig.ack_all();
    assert_eq!(rig.states(1), [1, 2]);
    let sent = rig.sent();
    assert!(
        sent.iter()
            .any(|it| matches!(it, SetSourceState { state: ON, source, .. } if *source == first))
    );
    assert!(!sent.iter().any(|it| matches!(it, Connect { .. })));
}

#[test]
fn a_stopped_one_is_taken_down_before_its_successor_is_connected_and_removed_afterwards() {
    let (mut rig, music, sink) = amplifier();
    let phone = rig.source(":1.1", 101, "phone", CLASS_PHONE);
    rig.connect(music, sink);
    rig.ack_all();
    rig.signals.clear();
    rig.connect(phone, sink);
    for _ in 0..2 {
        assert!(!matches!(rig.ack(), Connect { .. }));
    }
    assert_eq!(rig.state(1), Some(Disconnected), "kept until its successor is there");
    rig.ack_all();
    assert_eq!(rig.state(2), Some(Connected));
    assert_eq!(rig.states(1), [3, 4, 255]);
}

#[test]
fn one_that_is_delayed_is_suspended_until_the_holder_is_gone() {
    use crate::machine::tests::fixture::cell;
    use crate::model::{Holder, Newcomer};
    let (mut rig, music, sink) = amplifier();
    let mut model = empty_car();
    model
        .cells
        .insert((CLASS_PHONE, CLASS_MEDIA), cell(Holder::Mix, Newcomer::Delay));
    rig.machine = crate::Machine::restore(model, &rig.machine.snapshot()).unwrap();
    let phone = rig.source(":1.1", 101, "phone", CLASS_PHONE);
    rig.connect(phone, sink);
    rig.ack_all();
    assert_eq!(rig.connect(music, sink), (0, 2));
    assert_eq!(rig.state(2), Some(Suspended));
    assert_eq!(rig.open, []);
    rig.call(Call::Disconnect { connection: 1 });
    rig.ack_all();
    assert_eq!(rig.states(2), [0, 1, 5, 1, 2]);
}

#[test]
fn one_that_is_rejected_is_refused_with_7() {
    use crate::machine::tests::fixture::cell;
    use crate::model::{Holder, Newcomer};
    let (mut rig, music, sink) = amplifier();
    let mut model = empty_car();
    model
        .cells
        .insert((CLASS_PHONE, CLASS_MEDIA), cell(Holder::Mix, Newcomer::Reject));
    rig.machine = crate::Machine::restore(model, &rig.machine.snapshot()).unwrap();
    let phone = rig.source(":1.1", 101, "phone", CLASS_PHONE);
    rig.connect(phone, sink);
    assert_eq!(rig.connect(music, sink), (7, 0));
}

#[test]
fn a_sink_where_another_is_heard_is_not_muted_for_a_new_connection() {
    let (mut rig, music, sink) = amplifier();
    let prompt = rig.source(":1.1", 101, "prompt", CLASS_NAVIGATION);
    rig.connect(music, sink);
    rig.ack_all();
    rig.sent.clear();
    rig.connect(prompt, sink);
    rig.ack_all();
    assert!(!rig.sent().iter().any(|it| matches!(it, SetSinkVolume { .. })));
}

#[test]
fn a_disconnect_while_connecting_waits_for_the_ack_and_then_takes_down() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack();
    rig.call(Call::Disconnect { connection: 1 });
    rig.ack_all();
    assert_eq!(rig.states(1), [0, 1, 3, 4, 255]);
    let sent = rig.sent();
    assert_eq!(sent.iter().filter(|it| matches!(it, Connect { .. })).count(), 1);
    assert_eq!(sent.iter().filter(|it| matches!(it, Disconnect { .. })).count(), 1);
    assert!(
        matches!(
            sent.last(),
            Some(SetSinkVolume { volume: -30, .. }) | Some(Disconnect { .. })
        ),
        "and the sink is as it was: {sent:?}"
    );
    assert!(sent.iter().any(|it| matches!(it, SetSinkVolume { volume: -30, .. })));
}

#[test]
fn delays_are_summed_over_the_segments_and_unknown_where_one_is() {
    let mut chain = chain(2);
    chain.rig.connect(chain.sources[0], chain.sinks[1]);
    chain.rig.ack_all();
    let delay = |connection, delay| RoutingCall::HookTimingInformationChanged { connection, delay };
    let told = |rig: &mut Rig| rig.call(Call::GetTimingInformation { connection: 1 });
    let reply = |error, delay| Reply {
        error,
        body: ReplyBody::Delay(delay),
    };
    // Segment 1 is the sink-side one.
    chain.rig.routing(":1.2", delay(1, 20));
    assert_eq!(told(&mut chain.rig), reply(7, -1));
    chain.rig.signals.clear();
    chain.rig.routing(":1.1", delay(2, 12));
    assert_eq!(told(&mut chain.rig), reply(0, 32));
    let changed = Signal::TimingInformationChanged {
        connection: 1,
        delay: 32,
    };
    assert_eq!(chain.rig.signals, [changed]);
    chain.rig.routing(":1.1", delay(1, 99));
    assert_eq!(told(&mut chain.rig), reply(0, 32), "not its segment");
}

#[test]
fn a_domain_that_never_acks_delays_nobody_else() {
    let (mut rig, source, sink) = amplifier();
    let dumb = rig.domain(":1.2", "dumb");
    let other_source = rig.source(":1.2", dumb, "aux", CLASS_MEDIA);
    let other_sink = rig.sink(":1.2", dumb, "headphones");
    rig.connect(other_source, other_sink);
    let silent = rig.open.clone();
    rig.open.clear();
    let before = rig.now;
    rig.connect(source, sink);
    rig.ack_all();
    assert_eq!(rig.state(2), Some(Connected));
    assert_eq!(rig.now, before, "no time passed");
    assert_eq!(silent.len(), 1);
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    let (mut rig, source, sink) = amplifier();
    let mut size = None;
    for cycle in 0..10_000 {
        let (error, id) = rig.connect(source, sink);
        assert_eq!(error, 0, "cycle {cycle}");
        rig.ack_all();
        rig.call(Call::Disconnect { connection: id });
        rig.ack_all();
        rig.signals.clear();
        rig.sent.clear();
        rig.now += 20_000;
        rig.step(Event::Tick);
        if cycle == 5000 {
            size = Some(rig.machine.snapshot().len());
        }
    }
    // Times and IDs get longer by a digit here and there.
    let (before, after) = (size.unwrap(), rig.machine.snapshot().len());
    assert!(after.abs_diff(before) < 16, "{before}, {after}");
    assert_eq!(rig.machine.next_deadline(), None);
}

#[test]
fn one_stopped_by_one_that_a_newer_holds_up_is_over() {
    let (mut rig, music, sink) = amplifier();
    let phone = rig.source(":1.1", 101, "phone", CLASS_PHONE);
    let second = rig.source(":1.1", 101, "second phone", CLASS_PHONE);
    rig.connect(music, sink);
    rig.ack_all();
    rig.connect(phone, sink);
    rig.connect(second, sink);
    rig.ack_all();
    assert_eq!(
        [1, 2, 3].map(|id| rig.state(id)),
        [None, Some(Suspended), Some(Connected)]
    );
}
