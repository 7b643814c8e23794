//! Every member of the routing interface and every request to a domain as the documents have them: written by hand, not from
//! the server's table.

use policy::command::ConnectionState;
use policy::routing::Hop;
use policy::routing_command::{
    AckResult as A, CrossfaderData, DomainData, DomainRequest as R, End, GatewayData, Kind, Lists, RoutingCall as C,
    RoutingReply, SinkData, SourceData, VolumeRamp,
};

use super::V::{self, B, I, L, N, Q, S, T};

fn s(text: &str) -> V {
    S(text.to_owned())
}

fn l(kind: &str, entries: Vec<V>) -> V {
    L(kind.to_owned(), entries)
}

/// Sound properties, formats, main sound properties, main notifications, notifications.
fn lists_values() -> [V; 5] {
    [
        l("(in)", vec![T(vec![I(1), N(-3)]), T(vec![I(2), N(4)])]),
        l("i", vec![I(2), I(1)]),
        l("(in)", vec![T(vec![I(3), N(5)])]),
        l("(iin)", vec![T(vec![I(1), I(2), N(100)])]),
        l("(iin)", vec![T(vec![I(7), I(5), N(-8)])]),
    ]
}

fn empty_values() -> [V; 5] {
    ["(in)", "i", "(in)", "(iin)", "(iin)"].map(|kind| l(kind, vec![]))
}

fn lists() -> Lists {
    Lists {
        formats: vec![2, 1],
        sound: vec![(1, -3), (2, 4)],
        main_sound: vec![(3, 5)],
        notifications: vec![(7, 5, -8)],
        main_notifications: vec![(1, 2, 100)],
    }
}

fn sink_values(lists: [V; 5]) -> Vec<V> {
    let available = T(vec![I(1), I(2)]);
    let mut values = vec![Q(5), s("cabin"), Q(102), I(103), N(-40), B(true), available, N(2), N(7)];
    values.extend(lists);
    vec![T(values)]
}

fn source_values(lists: [V; 5]) -> Vec<V> {
    let available = T(vec![I(2), I(3)]);
    let mut values = vec![Q(6), Q(102), s("tuner"), Q(103), I(2), N(-50), B(true), available, Q(1)];
    values.extend(lists);
    vec![T(values)]
}

fn sink(lists: Lists) -> C {
    C::RegisterSink(SinkData {
        id: 5,
        domain: 102,
        name: "cabin".into(),
        class: 103,
        volume: -40,
        visible: true,
        availability: (1, 2),
        mute: 2,
        main_volume: 7,
        lists,
    })
}

fn source(lists: Lists) -> C {
    C::RegisterSource(SourceData {
        id: 6,
        domain: 102,
        name: "tuner".into(),
        class: 103,
        state: 2,
        volume: -50,
        visible: true,
        availability: (2, 3),
        interrupt: 1,
        lists,
    })
}

fn gateway(id: u16, domains: (u16, u16, u16)) -> GatewayData {
    GatewayData {
        id,
        name: "gw".into(),
        sink: 11,
        source: 12,
        domain_sink: domains.0,
        domain_source: domains.1,
        control_domain: domains.2,
        source_formats: vec![1],
        sink_formats: vec![2, 3],
        matrix: vec![true, false],
    }
}

fn conversion_values() -> [V; 3] {
    [
        l("i", vec![I(1)]),
        l("i", vec![I(2), I(3)]),
        l("b", vec![B(true), B(false)]),
    ]
}

/// As the XML has them: lists of structures of one.
fn update_conversion_values(id: u16) -> Vec<V> {
    let one = |value| T(vec![value]);
    vec![
        Q(id),
        l("(q)", vec![one(Q(1))]),
        l("(q)", vec![one(Q(2)), one(Q(3))]),
        l("(b)", vec![one(B(true)), one(B(false))]),
    ]
}

fn update_values(id: u16) -> Vec<V> {
    vec![
        Q(id),
        Q(103),
        l("(nn)", vec![T(vec![N(1), N(-3)])]),
        l("(q)", vec![T(vec![Q(2)])]),
        l("(nn)", vec![T(vec![N(3), N(5)])]),
    ]
}

fn update(end: End) -> C {
    let lists = Lists {
        formats: vec![2],
        sound: vec![(1, -3)],
        main_sound: vec![(3, 5)],
        ..Lists::default()
    };
    C::Update { end, class: 103, lists }
}

fn update_gateway(kind: Kind, id: u16) -> C {
    C::UpdateGateway {
        kind,
        id,
        source_formats: vec![1],
        sink_formats: vec![2, 3],
        matrix: vec![true, false],
    }
}

fn ack(result: A) -> C {
    C::Ack {
        handle: 1023,
        result,
        error: 9,
    }
}

/// Member, body of the documented types, what it must be decoded to, a reply, the signature of the reply.
pub type Row = (&'static str, Vec<V>, C, RoutingReply, &'static str);

const ID: RoutingReply = RoutingReply::Id { id: 104, error: 8 };
const CODE: RoutingReply = RoutingReply::Error(7);
const NOTHING: RoutingReply = RoutingReply::Nothing;

/// All members.
pub fn members() -> Vec<Row> {
    let mut all = registrations();
    all.extend(acks());
    all.extend(hooks());
    all.extend(documented_only());
    all
}

/// Members of AudioManager's code that give or take something away.
#[rustfmt::skip]
fn registrations() -> Vec<Row> {
    let domain = vec![
        T(vec![Q(9), s("amp"), s("ignored"), s("node"), B(true), B(false), N(2)]),
        s("org.example.Amp"), s("/amp"), s("org.example.amp"),
    ];
    let data = DomainData {
        id: 9, name: "amp".into(), node_name: "node".into(), early: true, complete: false, state: 2,
        bus_name: "org.example.Amp".into(), path: "/amp".into(), interface: "org.example.amp".into(),
    };
    let mut gateway_values = vec![Q(4), s("gw"), Q(11), Q(12), Q(102), Q(103), Q(104)];
    gateway_values.extend(conversion_values());
    let crossfader = CrossfaderData { id: 3, name: "fader".into(), sink_a: 11, sink_b: 12, source: 13, hot_sink: 1 };
    let named = || vec![s("x")];
    let peek = |kind| C::Peek { kind, name: "x".into() };
    let class = || C::PeekClass { name: "x".into() };
    let deregister = |kind| C::Deregister { kind, id: 7 };
    vec![
        ("registerDomain", domain, C::RegisterDomain(data), ID, "qq"),
        ("registerSink", sink_values(lists_values()), sink(lists()), ID, "qq"),
        ("registerSource", source_values(lists_values()), source(lists()), ID, "qq"),
        ("registerGateway", vec![T(gateway_values)], C::RegisterGateway(gateway(4, (102, 103, 104))), ID, "qq"),
        ("registerCrossfader", vec![T(vec![Q(3), s("fader"), Q(11), Q(12), Q(13), Q(1)])],
            C::RegisterCrossfader(crossfader), ID, "qq"),
        ("deregisterDomain", vec![Q(7)], deregister(Kind::Domain), CODE, "q"),
        ("deregisterGateway", vec![Q(7)], deregister(Kind::Gateway), CODE, "q"),
        ("deregisterSink", vec![N(7)], deregister(Kind::Sink), CODE, "q"),
        ("deregisterSource", vec![N(7)], deregister(Kind::Source), CODE, "q"),
        ("deregisterCrossfader", vec![N(7)], deregister(Kind::Crossfader), CODE, "q"),
        ("peekDomain", named(), peek(Kind::Domain), ID, "qq"),
        ("peekSink", named(), peek(Kind::Sink), ID, "qq"),
        ("peekSource", named(), peek(Kind::Source), ID, "qq"),
        ("peekSinkClassID", named(), class(), ID, "qq"),
        ("peekSourceClassID", named(), class(), ID, "qq"),
        ("getDomainOfSource", vec![Q(7)], C::GetDomainOf { end: End::Source(7) }, ID, "qq"),
        ("getDomainOfSink", vec![Q(7)], C::GetDomainOf { end: End::Sink(7) }, ID, "qq"),
    ]
}

#[rustfmt::skip]
fn acks() -> Vec<Row> {
    let two = || vec![Q(1023), Q(9)];
    let volume = || vec![Q(1023), N(-300), Q(9)];
    let tick = || vec![Q(1023), Q(7), N(-300)];
    let ticked = |end| C::AckVolumeTick { handle: 1023, end, volume: -300 };
    let volumes = l("(nqqnq)", vec![T(vec![N(1), Q(7), Q(5), N(1), Q(200)])]);
    vec![
        ("ackConnect", vec![Q(1023), Q(4), Q(9)], ack(A::Connect { connection: 4 }), NOTHING, ""),
        ("ackDisconnect", vec![Q(1023), Q(4), Q(9)], ack(A::Disconnect { connection: 4 }), NOTHING, ""),
        ("ackSetSinkVolume", volume(), ack(A::SinkVolume { volume: -300 }), NOTHING, ""),
        ("ackSetSourceVolume", volume(), ack(A::SourceVolume { volume: -300 }), NOTHING, ""),
        ("ackSetSourceState", two(), ack(A::SourceState), NOTHING, ""),
        ("ackSetSinkSoundProperty", two(), ack(A::SinkSoundProperty), NOTHING, ""),
        ("ackSetSourceSoundProperty", two(), ack(A::SourceSoundProperty), NOTHING, ""),
        ("ackSetSinkSoundProperties", two(), ack(A::SinkSoundProperty), NOTHING, ""),
        ("ackSetSourceSoundProperties", two(), ack(A::SourceSoundProperty), NOTHING, ""),
        ("ackSinkNotificationConfiguration", two(), ack(A::SinkNotification), NOTHING, ""),
        ("ackSourceNotificationConfiguration", two(), ack(A::SourceNotification), NOTHING, ""),
        ("ackCrossFading", vec![Q(1023), N(2), Q(9)], ack(A::CrossFading { hot_sink: 2 }), NOTHING, ""),
        ("ackSinkVolumeTick", tick(), ticked(End::Sink(7)), NOTHING, ""),
        ("ackSourceVolumeTick", tick(), ticked(End::Source(7)), NOTHING, ""),
        ("ackSetVolumes", vec![Q(1023), volumes, Q(9)], ack(A::SetVolumes), NOTHING, ""),
    ]
}

#[rustfmt::skip]
fn hooks() -> Vec<Row> {
    let pair = || T(vec![N(3), N(-4)]);
    let notified = |end| C::HookNotificationDataChange { end, payload: (3, -4) };
    let available = |end| C::HookAvailabilityStatusChange { end, availability: (3, -4) };
    let volumes = l("(qqn)", vec![T(vec![Q(1), Q(7), N(-20)]), T(vec![Q(2), Q(8), N(-30)])]);
    let properties = l("(qq(nn))", vec![T(vec![Q(3), Q(7), pair()]), T(vec![Q(4), Q(8), pair()])]);
    let changed = C::SendChangedData {
        volumes: vec![(End::Source(7), -20), (End::Sink(8), -30)],
        properties: vec![(End::Source(7), (3, -4)), (End::Sink(8), (3, -4))],
    };
    vec![
        ("hookInterruptStatusChange", vec![Q(7), Q(2)], C::HookInterruptStatusChange { source: 7, state: 2 }, NOTHING, ""),
        ("hookDomainRegistrationComplete", vec![Q(7)], C::HookDomainRegistrationComplete { domain: 7 }, NOTHING, ""),
        ("confirmRoutingReady", vec![Q(7)], C::ConfirmRoutingReady { domain: 7 }, NOTHING, ""),
        ("confirmRoutingRundown", vec![Q(7)], C::ConfirmRoutingRundown { domain: 7 }, NOTHING, ""),
        ("hookSinkNotificationDataChange", vec![Q(7), pair()], notified(End::Sink(7)), NOTHING, ""),
        ("hookSourceNotificationDataChange", vec![Q(7), pair()], notified(End::Source(7)), NOTHING, ""),
        ("hookSinkAvailablityStatusChange", vec![N(7), pair()], available(End::Sink(7)), NOTHING, ""),
        ("hookSourceAvailablityStatusChange", vec![N(7), pair()], available(End::Source(7)), NOTHING, ""),
        ("hookDomainStateChange", vec![Q(7), N(2)], C::HookDomainStateChange { domain: 7, state: 2 }, NOTHING, ""),
        ("hookTimingInformationChanged", vec![N(7), N(250)],
            C::HookTimingInformationChanged { connection: 7, delay: 250 }, NOTHING, ""),
        ("sendChangedData", vec![volumes, properties], changed, NOTHING, ""),
        ("getRoutingReadyState", vec![], C::GetRoutingReadyState, RoutingReply::Ready(true), "b"),
    ]
}

/// The eight that AudioManager documents and cannot be reached there.
#[rustfmt::skip]
fn documented_only() -> Vec<Row> {
    let mut converter = vec![Q(4), s("gw"), Q(11), Q(12), Q(102)];
    converter.extend(conversion_values());
    let segments = l("(qqqq)", vec![T(vec![Q(7), Q(8), Q(102), Q(2)]), T(vec![Q(9), Q(10), Q(103), Q(1)])]);
    let early = C::RegisterEarlyConnection {
        domain: 102, source: 7, sink: 10, state: ConnectionState::Connected,
        route: vec![
            Hop { source: 7, sink: 8, domain: 102, format: 2 },
            Hop { source: 9, sink: 10, domain: 103, format: 1 },
        ],
    };
    let registered = RoutingReply::Early { id: 104, connections: vec![3, 4], error: 7 };
    vec![
        ("registerEarlyConnection", vec![Q(102), Q(7), Q(10), segments, Q(2)], early, registered, "qqaq"),
        ("ackTransferConnection", vec![Q(1023), Q(9)], ack(A::TransferConnection), NOTHING, ""),
        ("registerConverter", vec![T(converter)], C::RegisterConverter(gateway(4, (102, 102, 102))), ID, "qq"),
        ("deregisterConverter", vec![Q(7)], C::Deregister { kind: Kind::Converter, id: 7 }, CODE, "q"),
        ("updateSink", update_values(7), update(End::Sink(7)), CODE, "q"),
        ("updateSource", update_values(7), update(End::Source(7)), CODE, "q"),
        ("updateGateway", update_conversion_values(7), update_gateway(Kind::Gateway, 7), CODE, "q"),
        ("updateConverter", update_conversion_values(7), update_gateway(Kind::Converter, 7), CODE, "q"),
    ]
}

/// Members with empty lists: AudioManager reads one entry of zeros each.
#[rustfmt::skip]
pub fn with_empty_lists() -> Vec<(&'static str, Vec<V>, C)> {
    let nothing = || C::SendChangedData { volumes: vec![], properties: vec![] };
    vec![
        ("registerSink", sink_values(empty_values()), sink(Lists::default())),
        ("registerSource", source_values(empty_values()), source(Lists::default())),
        ("sendChangedData", vec![l("(qqn)", vec![]), l("(qq(nn))", vec![])], nothing()),
    ]
}

/// Each request, its member, the signature of its body, its values.
#[rustfmt::skip]
pub fn requests() -> Vec<(R, &'static str, &'static str, Vec<V>)> {
    let properties = || vec![(1, -2), (3, 4)];
    let property_list = || l("(nn)", vec![T(vec![N(1), N(-2)]), T(vec![N(3), N(4)])]);
    let configuration = || T(vec![N(1), N(5), N(-6)]);
    let route = vec![("tuner".to_owned(), "cabin".to_owned())];
    let volumes = vec![
        VolumeRamp { end: End::Sink(7), volume: -300, ramp: 4, time_ms: 200 },
        VolumeRamp { end: End::Source(8), volume: 0, ramp: 1, time_ms: 0 },
    ];
    let volume_list = l("(nqnnq)", vec![
        T(vec![N(1), Q(7), N(-300), N(4), Q(200)]), T(vec![N(2), Q(8), N(0), N(1), Q(0)]),
    ]);
    vec![
        (R::Connect { handle: 1, connection: 2, source: 3, sink: 4, format: 2 },
            "asyncConnect", "qqqqi", vec![Q(1), Q(2), Q(3), Q(4), I(2)]),
        (R::Disconnect { handle: 1, connection: 2 }, "asyncDisconnect", "qq", vec![Q(1), Q(2)]),
        (R::SetSinkVolume { handle: 1, sink: 2, volume: -3000, ramp: 1, time_ms: 200 },
            "asyncSetSinkVolume", "qqnnq", vec![Q(1), Q(2), N(-3000), N(1), Q(200)]),
        (R::SetSourceVolume { handle: 1, source: 2, volume: -30, ramp: 1, time_ms: 200 },
            "asyncSetSourceVolume", "qqnnq", vec![Q(1), Q(2), N(-30), N(1), Q(200)]),
        (R::SetSourceState { handle: 1, source: 2, state: 3 }, "asyncSetSourceState", "qqi", vec![Q(1), Q(2), I(3)]),
        (R::SetSinkSoundProperty { handle: 1, sink: 2, property: (3, -4) },
            "asyncSetSinkSoundProperty", "qq(nn)", vec![Q(1), Q(2), T(vec![N(3), N(-4)])]),
        (R::SetSourceSoundProperty { handle: 1, source: 2, property: (3, -4) },
            "asyncSetSourceSoundProperty", "qq(nn)", vec![Q(1), Q(2), T(vec![N(3), N(-4)])]),
        (R::SetSinkSoundProperties { handle: 1, sink: 2, properties: properties() },
            "asyncSetSinkSoundProperties", "qqa(nn)", vec![Q(1), Q(2), property_list()]),
        (R::SetSourceSoundProperties { handle: 1, source: 2, properties: properties() },
            "asyncSetSourceSoundProperties", "qqa(nn)", vec![Q(1), Q(2), property_list()]),
        (R::SetSinkNotificationConfiguration { handle: 1, sink: 2, notification: (1, 5, -6) },
            "asyncSetSinkNotificationConfiguration", "qq(nnn)", vec![Q(1), Q(2), configuration()]),
        (R::SetSourceNotificationConfiguration { handle: 1, source: 2, notification: (1, 5, -6) },
            "asyncSetSourceNotificationConfiguration", "qq(nnn)", vec![Q(1), Q(2), configuration()]),
        (R::CrossFade { handle: 1, crossfader: 2, hot_sink: 1, ramp: 4, time_ms: 500 },
            "asyncCrossFade", "qqqqq", vec![Q(1), Q(2), Q(1), Q(4), Q(500)]),
        (R::SetVolumes { handle: 1, volumes }, "asyncSetVolumes", "qa(nqnnq)", vec![Q(1), volume_list]),
        (R::TransferConnection { handle: 1, domain: 2, route, state: 2 },
            "asyncTransferConnection", "qqa(ss)i",
            vec![Q(1), Q(2), l("(ss)", vec![T(vec![s("tuner"), s("cabin")])]), I(2)]),
        (R::SetDomainState { domain: 2, state: 3 }, "setDomainState", "qq", vec![Q(2), Q(3)]),
        (R::Abort { handle: 1 }, "asyncAbort", "q", vec![Q(1)]),
    ]
}
