//! The routing interface's members: the 44 that AudioManager's code dispatches, with the types its code reads, and the eight
//! that only its published XML has (marked; types as there, replies with the code their C++ calls return).

use policy::command::ConnectionState;
use policy::routing::Hop;
use policy::routing_command::{
    AckResult, CrossfaderData, DomainData, End, GatewayData, Kind, Lists, RoutingCall, SinkData, SourceData,
};

use super::What;
use super::args::{Arg, Args, Item};
use super::shape::{Form, ID, PROPERTY, Shape, TEXT, VALUE};
use super::table::{Answer, Method, SignalRow, arg, row, signal, spelled};

/// `i`: an ID or another u16.
const WIDE_ID: Shape = Shape::Int('i', 0, 0xffff);
/// `i`: a value.
const WIDE: Shape = Shape::Int('i', -0x8000, 0x7fff);
/// `i`: a type.
const WIDE_TYPE: Shape = Shape::Int('i', -0x8000, 0xffff);
/// `q`: an enumeration, i16 inside.
const ENUMERATION: Shape = Shape::Int('q', 0, 0x7fff);
/// `n`: an ID where AudioManager's code reads a signed one.
const SIGNED_ID: Shape = Shape::Int('n', 0, 0xffff);
/// `(ii)`: availability and reason.
const AVAILABILITY: Shape = Shape::Struct(&[WIDE, WIDE]);
/// `a(in)`.
const SOUND: Shape = Shape::List(&Shape::Struct(&[WIDE_TYPE, VALUE]));
/// `a(iin)`: type, status, parameter.
const NOTIFICATIONS: Shape = Shape::List(&Shape::Struct(&[WIDE_TYPE, WIDE, VALUE]));
/// `ai`.
const FORMATS: Shape = Shape::List(&WIDE_ID);
/// `ab`.
const MATRIX: Shape = Shape::List(&Shape::Flag);

const DOMAIN_DATA: Shape = Shape::Struct(&[ID, TEXT, TEXT, TEXT, Shape::Flag, Shape::Flag, VALUE]);
#[rustfmt::skip]
const SINK_DATA: Shape = Shape::Struct(&[
    ID, TEXT, ID, WIDE_ID, VALUE, Shape::Flag, AVAILABILITY, VALUE, VALUE, SOUND, FORMATS, SOUND, NOTIFICATIONS, NOTIFICATIONS,
]);
#[rustfmt::skip]
const SOURCE_DATA: Shape = Shape::Struct(&[
    ID, ID, TEXT, ID, WIDE, VALUE, Shape::Flag, AVAILABILITY, ENUMERATION, SOUND, FORMATS, SOUND, NOTIFICATIONS, NOTIFICATIONS,
]);
const GATEWAY_DATA: Shape = Shape::Struct(&[ID, TEXT, ID, ID, ID, ID, ID, FORMATS, FORMATS, MATRIX]);
const CONVERTER_DATA: Shape = Shape::Struct(&[ID, TEXT, ID, ID, ID, FORMATS, FORMATS, MATRIX]);
const CROSSFADER_DATA: Shape = Shape::Struct(&[ID, TEXT, ID, ID, ID, ENUMERATION]);
/// `a(qqqq)`: source, sink, domain, format of each segment.
const SEGMENTS: Shape = Shape::List(&Shape::Struct(&[ID, ID, ID, ID]));
/// `a(nqqnq)`: kind (1 sink, 2 source), ID, volume, ramp, time.
const VOLUMES: Shape = Shape::List(&Shape::Struct(&[
    VALUE,
    ID,
    Shape::Int('q', -0x8000, 0xffff),
    VALUE,
    ID,
]));

const HANDLE: Arg = arg("handle", ID);
const CONNECTION: Arg = arg("connectionID", ID);
const ERROR: Arg = arg("error", ID);
const DOMAIN: Arg = arg("domainID", ID);
const SOURCE: Arg = arg("sourceID", ID);
const SINK: Arg = arg("sinkID", ID);
const VOLUME: Arg = arg("volume", VALUE);
const NAME: Arg = arg("name", TEXT);
const AVAILABLE: Arg = arg("availability", Shape::Struct(&[VALUE, VALUE]));
const PAYLOAD: Arg = arg("payload", PROPERTY);
const PROPERTIES: Shape = Shape::List(&PROPERTY);

/// Members of `org.genivi.audiomanager.routinginterface`.
#[rustfmt::skip]
pub(super) static ROUTING: [Method; 52] = [
    row("registerDomain", &[
            arg("domainData", DOMAIN_DATA), arg("returnBusname", Shape::Text(Form::BusName)),
            arg("returnPath", Shape::Text(Form::Path)), arg("returnInterface", Shape::Text(Form::Interface)),
        ], Answer::Id, |a| routing(RoutingCall::RegisterDomain(domain(a)))),
    row("registerSink", &[arg("sinkData", SINK_DATA)], Answer::Id,
        |a| routing(RoutingCall::RegisterSink(sink(a.at(0))))),
    row("registerSource", &[arg("sourceData", SOURCE_DATA)], Answer::Id,
        |a| routing(RoutingCall::RegisterSource(source(a.at(0))))),
    row("registerGateway", &[arg("gatewayData", GATEWAY_DATA)], Answer::Id,
        |a| routing(RoutingCall::RegisterGateway(gateway(a.at(0))))),
    row("registerCrossfader", &[arg("crossfaderData", CROSSFADER_DATA)], Answer::Id,
        |a| routing(RoutingCall::RegisterCrossfader(crossfader(a.at(0))))),
    row("deregisterDomain", &[DOMAIN], Answer::Code, |a| deregister(Kind::Domain, a)),
    row("deregisterGateway", &[arg("gatewayID", ID)], Answer::Code, |a| deregister(Kind::Gateway, a)),
    row("deregisterSink", &[arg("sinkID", SIGNED_ID)], Answer::Code, |a| deregister(Kind::Sink, a)),
    row("deregisterSource", &[arg("sourceID", SIGNED_ID)], Answer::Code, |a| deregister(Kind::Source, a)),
    row("deregisterCrossfader", &[arg("crossfaderID", SIGNED_ID)], Answer::Code, |a| deregister(Kind::Crossfader, a)),
    row("peekDomain", &[NAME], Answer::Id, |a| peek(Kind::Domain, a)),
    row("peekSink", &[NAME], Answer::Id, |a| peek(Kind::Sink, a)),
    row("peekSource", &[NAME], Answer::Id, |a| peek(Kind::Source, a)),
    row("peekSinkClassID", &[NAME], Answer::Id, |a| routing(RoutingCall::PeekClass { name: a.text(0) })),
    row("peekSourceClassID", &[NAME], Answer::Id, |a| routing(RoutingCall::PeekClass { name: a.text(0) })),
    row("getDomainOfSource", &[SOURCE], Answer::Id,
        |a| routing(RoutingCall::GetDomainOf { end: End::Source(a.id(0)) })),
    row("getDomainOfSink", &[SINK], Answer::Id,
        |a| routing(RoutingCall::GetDomainOf { end: End::Sink(a.id(0)) })),
    row("ackConnect", &[HANDLE, CONNECTION, ERROR], Answer::Empty,
        |a| ack(a, AckResult::Connect { connection: a.id(1) }, 2)),
    row("ackDisconnect", &[HANDLE, CONNECTION, ERROR], Answer::Empty,
        |a| ack(a, AckResult::Disconnect { connection: a.id(1) }, 2)),
    row("ackSetSinkVolume", &[HANDLE, VOLUME, ERROR], Answer::Empty,
        |a| ack(a, AckResult::SinkVolume { volume: a.value(1) }, 2)),
    row("ackSetSourceVolume", &[HANDLE, VOLUME, ERROR], Answer::Empty,
        |a| ack(a, AckResult::SourceVolume { volume: a.value(1) }, 2)),
    row("ackSetSourceState", &[HANDLE, ERROR], Answer::Empty, |a| ack(a, AckResult::SourceState, 1)),
    row("ackSetSinkSoundProperty", &[HANDLE, ERROR], Answer::Empty, |a| ack(a, AckResult::SinkSoundProperty, 1)),
    row("ackSetSourceSoundProperty", &[HANDLE, ERROR], Answer::Empty, |a| ack(a, AckResult::SourceSoundProperty, 1)),
    row("ackSetSinkSoundProperties", &[HANDLE, ERROR], Answer::Empty, |a| ack(a, AckResult::SinkSoundProperty, 1)),
    row("ackSetSourceSoundProperties", &[HANDLE, ERROR], Answer::Empty, |a| ack(a, AckResult::SourceSoundProperty, 1)),
    row("ackSinkNotificationConfiguration", &[HANDLE, ERROR], Answer::Empty, |a| ack(a, AckResult::SinkNotification, 1)),
    row("ackSourceNotificationConfiguration", &[HANDLE, ERROR], Answer::Empty,
        |a| ack(a, AckResult::SourceNotification, 1)),
    row("ackCrossFading", &[HANDLE, arg("hotSink", VALUE), ERROR], Answer::Empty,
        |a| ack(a, AckResult::CrossFading { hot_sink: a.value(1) }, 2)),
    row("ackSinkVolumeTick", &[HANDLE, SINK, VOLUME], Answer::Empty, |a| tick(a, End::Sink(a.id(1)))),
    row("ackSourceVolumeTick", &[HANDLE, SOURCE, VOLUME], Answer::Empty, |a| tick(a, End::Source(a.id(1)))),
    row("ackSetVolumes", &[HANDLE, arg("listVolumes", VOLUMES), ERROR], Answer::Empty, |a| ack(a, AckResult::SetVolumes, 2)),
    row("hookInterruptStatusChange", &[SOURCE, arg("interruptState", ENUMERATION)], Answer::Empty,
        |a| routing(RoutingCall::HookInterruptStatusChange { source: a.id(0), state: a.value(1) })),
    row("hookDomainRegistrationComplete", &[DOMAIN], Answer::Empty,
        |a| routing(RoutingCall::HookDomainRegistrationComplete { domain: a.id(0) })),
    row("confirmRoutingReady", &[DOMAIN], Answer::Empty,
        |a| routing(RoutingCall::ConfirmRoutingReady { domain: a.id(0) })),
    row("confirmRoutingRundown", &[DOMAIN], Answer::Empty,
        |a| routing(RoutingCall::ConfirmRoutingRundown { domain: a.id(0) })),
    row("hookSinkNotificationDataChange", &[SINK, PAYLOAD], Answer::Empty,
        |a| routing(RoutingCall::HookNotificationDataChange { end: End::Sink(a.id(0)), payload: a.property(1) })),
    row("hookSourceNotificationDataChange", &[SOURCE, PAYLOAD], Answer::Empty,
        |a| routing(RoutingCall::HookNotificationDataChange { end: End::Source(a.id(0)), payload: a.property(1) })),
    spelled(row("hookSinkAvailablityStatusChange", &[arg("sinkID", SIGNED_ID), AVAILABLE], Answer::Empty,
        |a| routing(RoutingCall::HookAvailabilityStatusChange { end: End::Sink(a.id(0)), availability: a.property(1) })),
        "hookSinkAvailabilityStatusChange"),
    spelled(row("hookSourceAvailablityStatusChange", &[arg("sourceID", SIGNED_ID), AVAILABLE], Answer::Empty,
        |a| routing(RoutingCall::HookAvailabilityStatusChange { end: End::Source(a.id(0)), availability: a.property(1) })),
        "hookSourceAvailabilityStatusChange"),
    row("hookDomainStateChange", &[DOMAIN, arg("domainState", VALUE)], Answer::Empty,
        |a| routing(RoutingCall::HookDomainStateChange { domain: a.id(0), state: a.value(1) })),
    row("hookTimingInformationChanged", &[arg("connectionID", SIGNED_ID), arg("delay", VALUE)], Answer::Empty,
        |a| routing(RoutingCall::HookTimingInformationChanged { connection: a.id(0), delay: a.value(1) })),
    row("sendChangedData", &[
            arg("earlyVolumes", Shape::List(&Shape::Struct(&[EARLY_KIND, ID, VALUE]))),
            arg("earlySoundProperties", Shape::List(&Shape::Struct(&[EARLY_KIND, ID, PROPERTY]))),
        ], Answer::Empty, |a| routing(changed_data(a))),
    row("getRoutingReadyState", &[], Answer::Ready, |_| routing(RoutingCall::GetRoutingReadyState)),
    // From here on: in AudioManager's XML only.
    row("registerEarlyConnection", &[
            DOMAIN, arg("sourceID", ID), arg("sinkID", ID), arg("route", SEGMENTS), arg("state", Shape::Int('q', 0, 5)),
        ], Answer::Early, |a| routing(early_connection(a))),
    row("ackTransferConnection", &[HANDLE, ERROR], Answer::Empty, |a| ack(a, AckResult::TransferConnection, 1)),
    row("registerConverter", &[arg("converterData", CONVERTER_DATA)], Answer::Id,
        |a| routing(RoutingCall::RegisterConverter(converter(a.at(0))))),
    row("deregisterConverter", &[arg("converterID", ID)], Answer::Code, |a| deregister(Kind::Converter, a)),
    row("updateSink", &[SINK, arg("sinkClassID", ID), UPDATE[0], UPDATE[1], UPDATE[2]], Answer::Code,
        |a| update(End::Sink(a.id(0)), a)),
    row("updateSource", &[SOURCE, arg("sourceClassID", ID), UPDATE[0], UPDATE[1], UPDATE[2]], Answer::Code,
        |a| update(End::Source(a.id(0)), a)),
    row("updateGateway", &[arg("gatewayID", ID), CONVERSION[0], CONVERSION[1], CONVERSION[2]], Answer::Code,
        |a| update_gateway(Kind::Gateway, a)),
    row("updateConverter", &[arg("converterID", ID), CONVERSION[0], CONVERSION[1], CONVERSION[2]], Answer::Code,
        |a| update_gateway(Kind::Converter, a)),
];

/// `am_EarlyDataType_e`.
const EARLY_KIND: Shape = Shape::Int('q', 1, 4);
const UPDATE: [Arg; 3] = [
    arg("listSoundProperties", PROPERTIES),
    arg("listConnectionFormats", Shape::List(&Shape::Struct(&[ID]))),
    arg("listMainSoundProperties", PROPERTIES),
];
const CONVERSION: [Arg; 3] = [
    arg("listSourceFormats", Shape::List(&Shape::Struct(&[ID]))),
    arg("listSinkFormats", Shape::List(&Shape::Struct(&[ID]))),
    arg("conversionMatrix", Shape::List(&Shape::Struct(&[Shape::Flag]))),
];

/// Signals of `org.genivi.audiomanager.routinginterface`.
pub(super) static ROUTING_SIGNALS: [SignalRow; 2] = [signal("setRoutingReady", &[]), signal("setRoutingRundown", &[])];

fn routing(call: RoutingCall) -> What {
    What::Routing(call)
}

fn deregister(kind: Kind, a: &Args) -> What {
    routing(RoutingCall::Deregister { kind, id: a.id(0) })
}

fn peek(kind: Kind, a: &Args) -> What {
    let name = a.text(0);
    routing(RoutingCall::Peek { kind, name })
}

/// `error` is the place of the error among the arguments.
fn ack(a: &Args, result: AckResult, error: usize) -> What {
    let (handle, error) = (a.id(0), a.id(error));
    routing(RoutingCall::Ack { handle, result, error })
}

fn tick(a: &Args, end: End) -> What {
    let (handle, volume) = (a.id(0), a.value(2));
    routing(RoutingCall::AckVolumeTick { handle, end, volume })
}

/// The bus name inside the structure is overwritten in AudioManager, too: the argument after it counts.
fn domain(a: &Args) -> DomainData {
    let data = a.at(0);
    DomainData {
        id: data.at(0).id(),
        name: data.at(1).text(),
        node_name: data.at(3).text(),
        early: data.at(4).flag(),
        complete: data.at(5).flag(),
        state: data.at(6).value(),
        bus_name: a.text(1),
        path: a.text(2),
        interface: a.text(3),
    }
}

fn sink(data: &Item) -> SinkData {
    SinkData {
        id: data.at(0).id(),
        name: data.at(1).text(),
        domain: data.at(2).id(),
        class: data.at(3).id(),
        volume: data.at(4).value(),
        visible: data.at(5).flag(),
        availability: data.at(6).pair(),
        mute: data.at(7).value(),
        main_volume: data.at(8).value(),
        lists: lists(data),
    }
}

fn source(data: &Item) -> SourceData {
    SourceData {
        id: data.at(0).id(),
        domain: data.at(1).id(),
        name: data.at(2).text(),
        class: data.at(3).id(),
        state: data.at(4).value(),
        volume: data.at(5).value(),
        visible: data.at(6).flag(),
        availability: data.at(7).pair(),
        interrupt: data.at(8).value(),
        lists: lists(data),
    }
}

/// The last five fields of a source or sink: main notification configurations come before plain ones.
fn lists(data: &Item) -> Lists {
    Lists {
        sound: data.at(9).list(Item::pair),
        formats: data.at(10).list(Item::id),
        main_sound: data.at(11).list(Item::pair),
        main_notifications: data.at(12).list(Item::triple),
        notifications: data.at(13).list(Item::triple),
    }
}

fn gateway(data: &Item) -> GatewayData {
    GatewayData {
        id: data.at(0).id(),
        name: data.at(1).text(),
        sink: data.at(2).id(),
        source: data.at(3).id(),
        domain_sink: data.at(4).id(),
        domain_source: data.at(5).id(),
        control_domain: data.at(6).id(),
        source_formats: data.at(7).list(Item::id),
        sink_formats: data.at(8).list(Item::id),
        matrix: data.at(9).list(Item::flag),
    }
}

fn converter(data: &Item) -> GatewayData {
    let domain = data.at(4).id();
    GatewayData {
        id: data.at(0).id(),
        name: data.at(1).text(),
        sink: data.at(2).id(),
        source: data.at(3).id(),
        domain_sink: domain,
        domain_source: domain,
        control_domain: domain,
        source_formats: data.at(5).list(Item::id),
        sink_formats: data.at(6).list(Item::id),
        matrix: data.at(7).list(Item::flag),
    }
}

fn crossfader(data: &Item) -> CrossfaderData {
    CrossfaderData {
        id: data.at(0).id(),
        name: data.at(1).text(),
        sink_a: data.at(2).id(),
        sink_b: data.at(3).id(),
        source: data.at(4).id(),
        hot_sink: data.at(5).value(),
    }
}

fn early_connection(a: &Args) -> RoutingCall {
    let hop = |it: &Item| Hop {
        domain: it.at(2).id(),
        source: it.at(0).id(),
        sink: it.at(1).id(),
        format: it.at(3).id(),
    };
    RoutingCall::RegisterEarlyConnection {
        domain: a.id(0),
        source: a.id(1),
        sink: a.id(2),
        state: match a.id(4) {
            1 => ConnectionState::Connecting,
            2 => ConnectionState::Connected,
            3 => ConnectionState::Disconnecting,
            4 => ConnectionState::Disconnected,
            5 => ConnectionState::Suspended,
            _ => ConnectionState::Unknown,
        },
        route: a.at(3).list(hop),
    }
}

/// Kinds (`am_EarlyDataType_e`) 1 and 3 are a source's, 2 and 4 a sink's.
fn changed_data(a: &Args) -> RoutingCall {
    let end = |it: &Item| match it.at(0).id() {
        1 | 3 => End::Source(it.at(1).id()),
        _ => End::Sink(it.at(1).id()),
    };
    RoutingCall::SendChangedData {
        volumes: a.at(0).list(|it| (end(it), it.at(2).value())),
        properties: a.at(1).list(|it| (end(it), it.at(2).pair())),
    }
}

fn update(end: End, a: &Args) -> What {
    let lists = Lists {
        sound: a.at(2).list(Item::pair),
        formats: a.at(3).list(Item::id),
        main_sound: a.at(4).list(Item::pair),
        ..Lists::default()
    };
    let class = a.id(1);
    routing(RoutingCall::Update { end, class, lists })
}

fn update_gateway(kind: Kind, a: &Args) -> What {
    routing(RoutingCall::UpdateGateway {
        kind,
        id: a.id(0),
        source_formats: a.at(1).list(Item::id),
        sink_formats: a.at(2).list(Item::id),
        matrix: a.at(3).list(Item::flag),
    })
}
