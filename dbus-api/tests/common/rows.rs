//! Every method and signal as the documents have them: written by hand, not from the server's table.

use policy::command::{Call, ClassInfo, ConnectionState, MainConnection, MainSink, MainSource, ReplyBody, Signal};

use super::V::{self, N, Q, T};

fn id(value: u16) -> V {
    Q(value)
}

/// Member, body of the documented types, what it must be decoded to, a reply body, the signature of the reply.
pub fn methods() -> Vec<(&'static str, Vec<V>, Call, ReplyBody, &'static str)> {
    use ReplyBody as R;
    let connection = MainConnection {
        id: 7,
        source: 101,
        sink: 102,
        delay: -1,
        state: ConnectionState::Connected,
    };
    let sink = MainSink {
        id: 101,
        name: "AllSpeakers".into(),
        availability: (1, 1),
        volume: 5,
        mute: 2,
        class: 101,
    };
    let source = MainSource {
        id: 101,
        name: "ivi.media".into(),
        availability: (1, 1),
        class: 3,
    };
    let class = ClassInfo {
        id: 1,
        name: "BASE".into(),
        properties: vec![(1, 2)],
    };
    let pair = || T(vec![N(2), N(-3)]);
    let triple = || T(vec![N(1), N(5), N(-6)]);
    vec![
        (
            "Connect",
            vec![id(101), id(102)],
            Call::Connect { source: 101, sink: 102 },
            R::Connection(7),
            "nq",
        ),
        (
            "Disconnect",
            vec![id(7)],
            Call::Disconnect { connection: 7 },
            R::Nothing,
            "n",
        ),
        (
            "SetVolume",
            vec![id(1), N(-40)],
            Call::SetVolume { sink: 1, volume: -40 },
            R::Nothing,
            "n",
        ),
        (
            "VolumeStep",
            vec![id(1), N(-4)],
            Call::VolumeStep { sink: 1, step: -4 },
            R::Nothing,
            "n",
        ),
        (
            "SetSinkMuteState",
            vec![id(1), N(2)],
            Call::SetSinkMuteState { sink: 1, state: 2 },
            R::Nothing,
            "n",
        ),
        (
            "SetMainSinkSoundProperty",
            vec![id(1), pair()],
            Call::SetMainSinkSoundProperty {
                sink: 1,
                property: (2, -3),
            },
            R::Nothing,
            "n",
        ),
        (
            "SetMainSourceSoundProperty",
            vec![id(1), pair()],
            Call::SetMainSourceSoundProperty {
                source: 1,
                property: (2, -3),
            },
            R::Nothing,
            "n",
        ),
        (
            "SetSystemProperty",
            vec![pair()],
            Call::SetSystemProperty { property: (2, -3) },
            R::Nothing,
            "n",
        ),
        (
            "getVolume",
            vec![id(65535)],
            Call::GetVolume { sink: 65535 },
            R::Volume(-1),
            "nn",
        ),
        (
            "GetListMainConnections",
            vec![],
            Call::GetListMainConnections,
            R::Connections(vec![connection]),
            "na(qqqnn)",
        ),
        (
            "GetListMainSinks",
            vec![],
            Call::GetListMainSinks,
            R::Sinks(vec![sink]),
            "na(qs(nn)nnq)",
        ),
        (
            "GetListMainSources",
            vec![],
            Call::GetListMainSources,
            R::Sources(vec![source]),
            "na(qs(nn)q)",
        ),
        (
            "GetListMainSinkSoundProperties",
            vec![id(1)],
            Call::GetListMainSinkSoundProperties { sink: 1 },
            R::Properties(vec![(1, 2)]),
            "na(nn)",
        ),
        (
            "GetListMainSourceSoundProperties",
            vec![id(1)],
            Call::GetListMainSourceSoundProperties { source: 1 },
            R::Properties(vec![]),
            "na(nn)",
        ),
        (
            "GetListSourceClasses",
            vec![],
            Call::GetListSourceClasses,
            R::Classes(vec![class.clone()]),
            "na(qsa(nn))",
        ),
        (
            "GetListSinkClasses",
            vec![],
            Call::GetListSinkClasses,
            R::Classes(vec![class]),
            "na(qsa(nn))",
        ),
        (
            "GetListSystemProperties",
            vec![],
            Call::GetListSystemProperties,
            R::Properties(vec![(-4096, 4)]),
            "na(nn)",
        ),
        (
            "GetTimingInformation",
            vec![id(7)],
            Call::GetTimingInformation { connection: 7 },
            R::Delay(-1),
            "nn",
        ),
        (
            "getListSinkMainNotificationConfigurations",
            vec![id(1)],
            Call::GetListSinkMainNotificationConfigurations { sink: 1 },
            R::Notifications(vec![(1, 2, 3)]),
            "na(nnn)",
        ),
        (
            "getListSourceMainNotificationConfigurations",
            vec![id(1)],
            Call::GetListSourceMainNotificationConfigurations { source: 1 },
            R::Notifications(vec![]),
            "na(nnn)",
        ),
        (
            "setSinkMainNotificationConfiguration",
            vec![id(1), triple()],
            Call::SetSinkMainNotificationConfiguration {
                sink: 1,
                notification: (1, 5, -6),
            },
            R::Nothing,
            "n",
        ),
        (
            "setSourceMainNotificationConfiguration",
            vec![id(1), triple()],
            Call::SetSourceMainNotificationConfiguration {
                source: 1,
                notification: (1, 5, -6),
            },
            R::Nothing,
            "n",
        ),
    ]
}

/// Signal, member, signature.
pub fn signals() -> Vec<(Signal, &'static str, &'static str)> {
    let connection = MainConnection {
        id: 1,
        source: 2,
        sink: 3,
        delay: -1,
        state: ConnectionState::Connecting,
    };
    let sink = MainSink {
        id: 1,
        name: "cabin".into(),
        availability: (1, 0),
        volume: -5,
        mute: 2,
        class: 4,
    };
    let source = MainSource {
        id: 1,
        name: "a.b".into(),
        availability: (2, 3),
        class: 4,
    };
    let state = ConnectionState::Suspended;
    let property = (1, -2);
    let properties = vec![(1, 2), (3, 4)];
    let notification = (1, 2, 3);
    vec![
        (Signal::NewMainConnection(connection), "NewMainConnection", "(qqqnn)"),
        (
            Signal::RemovedMainConnection { connection: 1 },
            "RemovedMainConnection",
            "q",
        ),
        (
            Signal::MainConnectionStateChanged { connection: 1, state },
            "MainConnectionStateChanged",
            "qn",
        ),
        (
            Signal::TimingInformationChanged {
                connection: 1,
                delay: -1,
            },
            "TimingInformationChanged",
            "qn",
        ),
        (Signal::SinkAdded(sink), "SinkAdded", "(qs(nn)nnq)"),
        (Signal::SinkRemoved { sink: 1 }, "SinkRemoved", "q"),
        (Signal::SourceAdded(source), "SourceAdded", "(qs(nn)q)"),
        (Signal::SourceRemoved { source: 1 }, "SourceRemoved", "q"),
        (Signal::NumberOfSinkClassesChanged, "NumberOfSinkClassesChanged", ""),
        (Signal::NumberOfSourceClassesChanged, "NumberOfSourceClassesChanged", ""),
        (
            Signal::MainSinkSoundPropertyChanged { sink: 1, property },
            "MainSinkSoundPropertyChanged",
            "q(nn)",
        ),
        (
            Signal::MainSourceSoundPropertyChanged { source: 1, property },
            "MainSourceSoundPropertyChanged",
            "q(nn)",
        ),
        (Signal::VolumeChanged { sink: 1, volume: -3 }, "VolumeChanged", "qn"),
        (
            Signal::SinkMuteStateChanged { sink: 1, state: 2 },
            "SinkMuteStateChanged",
            "qn",
        ),
        (
            Signal::SystemPropertyChanged { property },
            "SystemPropertyChanged",
            "(nn)",
        ),
        (
            Signal::SinkUpdated {
                sink: 1,
                class: 2,
                properties: properties.clone(),
            },
            "SinkUpdated",
            "qqa(nn)",
        ),
        (
            Signal::SourceUpdated {
                source: 1,
                class: 2,
                properties,
            },
            "SourceUpdated",
            "qqa(nn)",
        ),
        (
            Signal::SinkNotification {
                sink: 1,
                payload: property,
            },
            "SinkNotification",
            "q(nn)",
        ),
        (
            Signal::SourceNotification {
                source: 1,
                payload: property,
            },
            "SourceNotification",
            "q(nn)",
        ),
        (
            Signal::SinkMainNotificationConfigurationChanged { sink: 1, notification },
            "SinkMainNotificationConfigurationChanged",
            "q(nnn)",
        ),
        (
            Signal::SourceMainNotificationConfigurationChanged {
                source: 1,
                notification,
            },
            "SourceMainNotificationConfigurationChanged",
            "q(nnn)",
        ),
        (
            Signal::SinkAvailabilityChanged {
                sink: 1,
                availability: (1, 0),
            },
            "SinkAvailabilityChanged",
            "q(nn)",
        ),
        (
            Signal::SourceAvailabilityChanged {
                source: 1,
                availability: (1, 0),
            },
            "SourceAvailabilityChanged",
            "q(nn)",
        ),
    ]
}
