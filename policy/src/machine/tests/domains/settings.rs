//! Volumes, mutes, sound properties and notifications of domains' elements.

use super::rig::*;
use crate::MUTE;
use crate::command::{Call, Reply, ReplyBody, Signal};
use crate::routing_command::{DomainRequest, End, Lists, RoutingCall};

use DomainRequest::{SetSinkNotificationConfiguration, SetSinkSoundProperty, SetSinkVolume};

fn code(error: i16) -> Reply {
    Reply {
        error,
        body: ReplyBody::Nothing,
    }
}

fn volumes(sent: &[DomainRequest]) -> Vec<i16> {
    let volumes = sent.iter().filter_map(|it| match it {
        SetSinkVolume { volume, .. } => Some(*volume),
        _ => None,
    });
    volumes.collect()
}

#[test]
fn a_volume_is_told_to_clients_once_the_domain_has_it() {
    let (mut rig, _, sink) = amplifier();
    assert_eq!(rig.call(Call::SetVolume { sink, volume: 8 }), code(0));
    assert_eq!(rig.signals, []);
    assert_eq!(volumes(&rig.sent()), [-12]);
    rig.ack();
    assert_eq!(rig.signals, [Signal::VolumeChanged { sink, volume: 8 }]);
    let body = ReplyBody::Volume(8);
    assert_eq!(rig.call(Call::GetVolume { sink }), Reply { error: 0, body });
}

#[test]
fn a_turned_knob_sends_one_request_at_a_time_and_ends_at_the_last_value() {
    let (mut rig, _, sink) = amplifier();
    for _ in 0..50 {
        rig.call(Call::VolumeStep { sink, step: 1 });
    }
    assert_eq!(rig.open.len(), 1);
    rig.ack_all();
    assert_eq!(volumes(&rig.sent()), [-24, 0]);
    let volume = |volume| Signal::VolumeChanged { sink, volume };
    assert_eq!(rig.signals, [volume(6), volume(10)], "clamped to the curve");
}

#[test]
fn a_refused_volume_stays_as_it_was_and_can_be_asked_for_again() {
    let (mut rig, _, sink) = amplifier();
    rig.call(Call::SetVolume { sink, volume: 8 });
    rig.ack_with(7);
    assert_eq!(rig.open, []);
    assert_eq!(rig.signals, []);
    rig.call(Call::SetVolume { sink, volume: 8 });
    rig.ack();
    assert_eq!(rig.signals.len(), 1);
}

#[test]
fn a_mute_is_a_volume_and_a_volume_during_it_is_heard_after_it() {
    let (mut rig, _, sink) = amplifier();
    rig.call(Call::SetSinkMuteState { sink, state: 1 });
    rig.ack();
    rig.call(Call::SetVolume { sink, volume: 10 });
    assert_eq!(rig.open, []);
    rig.call(Call::SetSinkMuteState { sink, state: 2 });
    rig.ack();
    assert_eq!(volumes(&rig.sent()), [MUTE, 0]);
    let muted = |state| Signal::SinkMuteStateChanged { sink, state };
    assert_eq!(
        rig.signals,
        [muted(1), Signal::VolumeChanged { sink, volume: 10 }, muted(2)]
    );
    assert_eq!(rig.call(Call::SetSinkMuteState { sink, state: 3 }), code(2));
}

#[test]
fn a_sink_its_user_muted_stays_muted_when_a_connection_is_made() {
    let (mut rig, source, sink) = amplifier();
    rig.call(Call::SetSinkMuteState { sink, state: 1 });
    rig.ack_all();
    rig.sent.clear();
    rig.connect(source, sink);
    rig.ack_all();
    assert_eq!(volumes(&rig.sent()), Vec::<i16>::new());
}

fn with_settings() -> (Rig, u16) {
    let (mut rig, ..) = amplifier();
    let mut data = sink(101, "tuned");
    data.lists = Lists {
        sound: vec![(1, 0)],
        main_sound: vec![(1, 0), (2, 0)],
        notifications: vec![(5, 1, 0), (5, 2, 0)],
        main_notifications: vec![(5, 1, 0), (6, 1, 0)],
        ..lists()
    };
    let sink = rig.registered(":1.1", RoutingCall::RegisterSink(data));
    rig.signals.clear();
    (rig, sink)
}

#[test]
fn a_main_sound_property_is_clamped_and_goes_to_the_domain_that_has_it() {
    let (mut rig, sink) = with_settings();
    let set = |property| Call::SetMainSinkSoundProperty { sink, property };
    assert_eq!(rig.call(set((1, 99))), code(0));
    assert!(matches!(
        rig.sent()[..],
        [SetSinkSoundProperty { property: (1, 10), .. }]
    ));
    assert_eq!(rig.signals, []);
    rig.ack();
    let changed = |property| Signal::MainSinkSoundPropertyChanged { sink, property };
    assert_eq!(rig.signals, [changed((1, 10))]);
    assert_eq!(rig.call(set((2, -99))), code(0), "the policy's own: nothing to ask");
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.signals.last(), Some(&changed((2, -10))));
    assert_eq!(rig.call(set((3, 0))), code(1));
    let body = ReplyBody::Properties(vec![(1, 10), (2, -10)]);
    let listed = rig.call(Call::GetListMainSinkSoundProperties { sink });
    assert_eq!(listed, Reply { error: 0, body });
}

#[test]
fn a_refused_property_changes_nothing() {
    let (mut rig, sink) = with_settings();
    let property = (1, 3);
    rig.call(Call::SetMainSinkSoundProperty { sink, property });
    rig.ack_with(7);
    assert_eq!(rig.signals, []);
    let body = ReplyBody::Properties(vec![(1, 0), (2, 0)]);
    let listed = rig.call(Call::GetListMainSinkSoundProperties { sink });
    assert_eq!(listed, Reply { error: 0, body });
}

#[test]
fn a_notification_configuration_goes_to_the_domain_and_its_data_to_clients() {
    let (mut rig, sink) = with_settings();
    let set = |notification| Call::SetSinkMainNotificationConfiguration { sink, notification };
    assert_eq!(rig.call(set((5, 2, 1000))), code(0));
    let sent = rig.sent();
    assert!(matches!(
        sent[..],
        [SetSinkNotificationConfiguration {
            notification: (5, 2, 1000),
            ..
        }]
    ));
    rig.ack();
    let changed = |notification| Signal::SinkMainNotificationConfigurationChanged { sink, notification };
    assert_eq!(rig.signals, [changed((5, 2, 1000))]);
    assert_eq!(rig.call(set((6, 5, 1))), code(0));
    assert_eq!(rig.signals.last(), Some(&changed((6, 5, 1))));
    assert_eq!(rig.call(set((7, 1, 1))), code(1));
    let (end, payload) = (End::Sink(sink), (5, 42));
    rig.routing(":1.1", RoutingCall::HookNotificationDataChange { end, payload });
    assert_eq!(rig.signals.last(), Some(&Signal::SinkNotification { sink, payload }));
}

#[test]
fn what_changed_meanwhile_is_taken_over() {
    let (mut rig, source, sink) = amplifier();
    let changed = RoutingCall::SendChangedData {
        volumes: vec![
            (End::Source(source), -100),
            (End::Sink(sink), -50),
            (End::Sink(4242), 0),
        ],
        properties: vec![(End::Sink(4242), (1, 1))],
    };
    rig.routing(":1.1", changed);
    assert_eq!(rig.machine.registry().sources[&source].volume, -100);
    assert_eq!(rig.machine.registry().sinks[&sink].volume, -50);
    assert_eq!(rig.sent(), []);
}

#[test]
fn a_refused_mute_leaves_the_sink_unmuted_for_good() {
    let (mut rig, source, sink) = amplifier();
    rig.call(Call::SetSinkMuteState { sink, state: 1 });
    rig.ack_with(7);
    assert_eq!(rig.signals, []);
    rig.connect(source, sink);
    rig.ack_all();
    assert_eq!(volumes(&rig.sent()).last(), Some(&-30));
}
