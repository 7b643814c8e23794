//! Clients' calls: codes, lists, and the order of signals.

use super::fixture::*;
use crate::command::{
    Call, ClassInfo, ConnectionState, MainConnection, MainSink, MainSource, Reply, ReplyBody, Signal,
};
use crate::effect::{CauseKind, Effect};
use crate::{MUTE, Model};

use ConnectionState::{Connected, Connecting, Unknown};

const NOBODY: u16 = 4242;

fn reply(error: i16, body: ReplyBody) -> Reply {
    Reply { error, body }
}

fn code(error: i16) -> Reply {
    reply(error, ReplyBody::Nothing)
}

#[test]
fn connect_replies_first_and_signals_as_the_reference_exchange_does() {
    let mut bench = Bench::new(car());
    let connected = bench.connect(MEDIA, CABIN);
    assert_eq!(connected, reply(0, ReplyBody::Connection(1)));
    assert!(matches!(bench.effects[0], Effect::Reply { .. }));
    let announced = MainConnection {
        id: 1,
        source: 101,
        sink: 101,
        delay: -1,
        state: Unknown,
    };
    let changed = |state| Signal::MainConnectionStateChanged { connection: 1, state };
    assert_eq!(
        bench.signals(),
        [
            Signal::NewMainConnection(announced),
            Signal::TimingInformationChanged {
                connection: 1,
                delay: -1
            },
            changed(Connecting),
            changed(Connected),
        ]
    );
}

#[test]
fn disconnect_signals_each_transition_once_and_then_the_removal() {
    let mut bench = Bench::new(car());
    bench.connect(MEDIA, CABIN);
    assert_eq!(bench.call(Call::Disconnect { connection: 1 }), code(0));
    let changed = |state| Signal::MainConnectionStateChanged { connection: 1, state };
    assert_eq!(
        bench.signals(),
        [
            changed(ConnectionState::Disconnecting),
            changed(ConnectionState::Disconnected),
            Signal::RemovedMainConnection { connection: 1 },
        ]
    );
    assert_eq!(bench.call(Call::Disconnect { connection: 1 }), code(7));
}

#[test]
fn a_running_stream_disconnected_by_a_client_falls_silent_with_the_sinks_ramp() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    bench.call(Call::Disconnect { connection: 1 });
    assert_eq!(bench.gain(MEDIA, CABIN), (MUTE, 20));
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::NoRoute]);
}

#[test]
fn connect_again_gives_the_same_id_and_no_second_connection() {
    let mut bench = Bench::new(car());
    bench.connect(MEDIA, CABIN);
    assert_eq!(bench.connect(MEDIA, CABIN), reply(0, ReplyBody::Connection(1)));
    assert_eq!(bench.signals(), []);
    assert_eq!(bench.machine.connections().count(), 1);
}

#[test]
fn connect_to_nobody_is_non_existent_and_of_a_safety_source_not_possible() {
    let mut bench = Bench::new(car());
    let call = |source, sink| Call::Connect { source, sink };
    assert_eq!(bench.call(call(NOBODY, 101)), reply(8, ReplyBody::Connection(0)));
    assert_eq!(bench.call(call(101, NOBODY)), reply(8, ReplyBody::Connection(0)));
    assert_eq!(bench.call(call(101, 0)), reply(8, ReplyBody::Connection(0)));
    assert_eq!(bench.connect(PARTITION, CABIN), reply(7, ReplyBody::Connection(0)));
    assert_eq!(bench.connect(BELT, CABIN), reply(7, ReplyBody::Connection(0)));
}

#[test]
fn connection_ids_count_up_and_wrap_to_free_ones() {
    let mut bench = Bench::new(car());
    bench.connect(RADIO, CABIN);
    for turn in 1..=4096_u16 {
        let expected = if turn == 4096 { 2 } else { turn + 1 };
        let connected = bench.connect(MEDIA, CABIN);
        assert_eq!(
            connected,
            reply(0, ReplyBody::Connection(expected)),
            "1 stays the radio's"
        );
        bench.call(Call::Disconnect { connection: expected });
    }
}

#[test]
fn volume_follows_the_curve_is_clamped_and_signalled_once() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    let set = |volume| Call::SetVolume { sink: 101, volume };
    let changed = |volume| Signal::VolumeChanged { sink: 101, volume };
    assert_eq!(bench.call(set(4)), code(0));
    assert_eq!(bench.signals(), [changed(4)]);
    assert_eq!(bench.gain(MEDIA, CABIN), (-300, 20));
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::MainVolume]);
    bench.call(set(4));
    assert_eq!(bench.signals(), []);
    bench.call(Call::VolumeStep { sink: 101, step: 3 });
    assert_eq!(bench.signals(), [changed(7)]);
    bench.call(Call::VolumeStep {
        sink: 101,
        step: i16::MAX,
    });
    assert_eq!(bench.signals(), [changed(10)]);
    bench.call(set(-5));
    assert_eq!(bench.signals(), [changed(0)]);
    assert_eq!(bench.gain(MEDIA, CABIN).0, MUTE);
    assert_eq!(
        bench.call(Call::GetVolume { sink: 101 }),
        reply(0, ReplyBody::Volume(0))
    );
    assert_eq!(
        bench.call(Call::GetVolume { sink: NOBODY }),
        reply(8, ReplyBody::Volume(-1))
    );
}

#[test]
fn mute_is_one_or_two() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    let set = |state| Call::SetSinkMuteState { sink: 101, state };
    assert_eq!(bench.call(set(1)), code(0));
    assert_eq!(bench.signals(), [Signal::SinkMuteStateChanged { sink: 101, state: 1 }]);
    assert_eq!(bench.gain(MEDIA, CABIN), (MUTE, 20));
    assert_eq!(bench.why(MEDIA, CABIN), [CauseKind::SinkMuted]);
    assert_eq!(bench.call(set(2)), code(0));
    assert_eq!(bench.gain(MEDIA, CABIN), (0, 20));
    for wrong in [0, 3, -1] {
        assert_eq!(bench.call(set(wrong)), code(2));
    }
    let unknown = Call::SetSinkMuteState { sink: NOBODY, state: 1 };
    assert_eq!(bench.call(unknown), code(2));
}

#[test]
fn a_clients_source_gain_and_mute_reach_the_guests_control_elements() {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    let gain = |source, gain| Call::SetSourceGain { source, gain };
    let mute = |source, state| Call::SetSourceMute { source, state };
    let shown = |gain, mute| Effect::GuestControl {
        source: MEDIA,
        gain,
        mute,
    };
    assert_eq!(bench.call(gain(101, -70)), code(0));
    assert!(bench.effects.contains(&shown(-70, false)));
    assert_eq!(bench.gain(MEDIA, CABIN), (-70, 20));
    assert_eq!(bench.call(mute(101, 1)), code(0));
    assert!(bench.effects.contains(&shown(-70, true)));
    assert_eq!(bench.call(gain(101, 30)), code(0));
    assert!(bench.effects.contains(&shown(0, true)));
    assert_eq!(bench.call(mute(101, 3)), code(2));
    assert_eq!(bench.call(gain(NOBODY, 0)), code(2));
    assert_eq!(bench.call(gain(106, -10)), code(7), "a chime");
    assert_eq!(bench.call(mute(105, 1)), code(7), "a safety source");
}

#[test]
fn elements_without_properties_say_so() {
    let mut bench = Bench::new(car());
    let (property, notification) = ((1, 5), (1, 2, 3));
    let sink = |sink| Call::SetMainSinkSoundProperty { sink, property };
    let source = |source| Call::SetMainSourceSoundProperty { source, property };
    let sink_notification = |sink| Call::SetSinkMainNotificationConfiguration { sink, notification };
    let source_notification = |source| Call::SetSourceMainNotificationConfiguration { source, notification };
    for (call, expected) in [
        (sink(101), 1),
        (sink(NOBODY), 2),
        (source(101), 1),
        (source(NOBODY), 2),
        (sink_notification(101), 1),
        (sink_notification(NOBODY), 2),
        (source_notification(101), 1),
        (source_notification(NOBODY), 2),
        (Call::SetSystemProperty { property }, 7),
    ] {
        assert_eq!(bench.call(call.clone()), code(expected), "{call:?}");
    }
}

#[test]
fn lists_of_nothing_are_empty_and_of_nobody_non_existent() {
    let mut bench = Bench::new(car());
    let properties = || ReplyBody::Properties(Vec::new());
    let notifications = || ReplyBody::Notifications(Vec::new());
    for (id, error) in [(101, 0), (NOBODY, 8)] {
        for (call, body) in [
            (Call::GetListMainSinkSoundProperties { sink: id }, properties()),
            (Call::GetListMainSourceSoundProperties { source: id }, properties()),
            (
                Call::GetListSinkMainNotificationConfigurations { sink: id },
                notifications(),
            ),
            (
                Call::GetListSourceMainNotificationConfigurations { source: id },
                notifications(),
            ),
        ] {
            assert_eq!(bench.call(call.clone()), reply(error, body), "{call:?}");
        }
    }
    assert_eq!(bench.call(Call::GetListSystemProperties), reply(0, properties()));
    let timing = |connection| Call::GetTimingInformation { connection };
    assert_eq!(bench.call(timing(1)), reply(8, ReplyBody::Delay(-1)));
    bench.connect(MEDIA, CABIN);
    assert_eq!(bench.call(timing(1)), reply(7, ReplyBody::Delay(-1)));
}

fn half_visible() -> Model {
    let mut model = car();
    model.sources[RADIO].visible = false;
    model.sinks[REAR].visible = false;
    model
}

#[test]
fn lists_hold_what_is_visible_by_id() {
    let mut bench = Bench::new(half_visible());
    let Reply {
        error: 0,
        body: ReplyBody::Sources(sources),
    } = bench.call(Call::GetListMainSources)
    else {
        panic!()
    };
    let ids: Vec<u16> = sources.iter().map(|it| it.id).collect();
    assert_eq!(ids, [101, 103, 104, 105, 106]);
    let media = MainSource {
        id: 101,
        name: "ivi.media".to_owned(),
        availability: (2, 0),
        class: 101,
    };
    assert_eq!(sources[0], media);
    assert_eq!(sources[4].availability, (1, 0), "a chime has no guest to be away");
    let cabin = MainSink {
        id: 101,
        name: "cabin".to_owned(),
        availability: (1, 0),
        volume: 10,
        mute: 2,
        class: 0,
    };
    assert_eq!(
        bench.call(Call::GetListMainSinks),
        reply(0, ReplyBody::Sinks(vec![cabin]))
    );
    let classes = [(101, "media"), (102, "navigation"), (103, "phone"), (104, "warning")].map(|(id, name)| ClassInfo {
        id,
        name: name.to_owned(),
        properties: Vec::new(),
    });
    for call in [Call::GetListSourceClasses, Call::GetListSinkClasses] {
        assert_eq!(bench.call(call), reply(0, ReplyBody::Classes(classes.to_vec())));
    }
}

#[test]
fn what_is_invisible_makes_no_signals() {
    let mut bench = Bench::new(half_visible());
    bench.start(RADIO);
    assert_eq!(bench.signals(), []);
    bench.connect(MEDIA, REAR);
    assert_eq!(bench.signals(), []);
    bench.call(Call::SetVolume { sink: 102, volume: 3 });
    assert_eq!(bench.signals(), []);
    bench.call(Call::SetSinkMuteState { sink: 102, state: 1 });
    assert_eq!(bench.signals(), []);
    assert_eq!(
        bench.call(Call::GetListMainConnections),
        reply(0, ReplyBody::Connections(Vec::new()))
    );
    bench.connect(MEDIA, CABIN);
    let Reply {
        body: ReplyBody::Connections(shown),
        ..
    } = bench.call(Call::GetListMainConnections)
    else {
        panic!()
    };
    assert_eq!((shown.len(), shown[0].id, shown[0].state), (1, 3, Connected));
}
