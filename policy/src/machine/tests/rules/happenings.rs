//! A car in which everything happens that sets off rules: a trigger, a condition that must hold then, and what makes it happen.

use super::super::fixture::*;
use super::triggers::complete;
use crate::command::{Call, ConnectionState};
use crate::effect::Effect;
use crate::model::Restore;
use crate::routing::Hop;
use crate::routing_command::*;
use crate::{Event, Machine};

const PEER: &str = ":1.1";

pub(super) fn routing(bench: &mut Bench, call: RoutingCall) {
    let peer = PEER.to_owned();
    bench.step(Event::Routing { token: 1, peer, call });
}

fn lists() -> Lists {
    Lists {
        formats: vec![2],
        sound: vec![(5, 0)],
        main_sound: vec![(5, 0)],
        notifications: vec![(8, 1, 80)],
        main_notifications: vec![(8, 1, 80)],
    }
}

fn domain(name: &str) -> RoutingCall {
    RoutingCall::RegisterDomain(DomainData {
        name: name.to_owned(),
        state: 1,
        ..DomainData::default()
    })
}

fn source(name: &str) -> RoutingCall {
    RoutingCall::RegisterSource(SourceData {
        domain: 101,
        name: name.to_owned(),
        class: 101,
        state: 2,
        visible: true,
        availability: (1, 0),
        interrupt: 1,
        lists: lists(),
        ..SourceData::default()
    })
}

fn sink(name: &str) -> RoutingCall {
    RoutingCall::RegisterSink(SinkData {
        domain: 101,
        name: name.to_owned(),
        visible: true,
        availability: (1, 0),
        mute: 2,
        main_volume: 5,
        lists: lists(),
        ..SinkData::default()
    })
}

fn gateway(bench: &Bench, name: &str) -> RoutingCall {
    let (source, sink) = ends(bench);
    RoutingCall::RegisterGateway(GatewayData {
        name: name.to_owned(),
        sink,
        source,
        domain_sink: 101,
        domain_source: 101,
        control_domain: 101,
        source_formats: vec![2],
        sink_formats: vec![2],
        matrix: vec![true],
        ..GatewayData::default()
    })
}

/// IDs of the domain's source and sink.
fn ends(bench: &Bench) -> (u16, u16) {
    let registry = bench.machine.registry();
    let id = |keys: Option<&u16>| *keys.expect("registered");
    (id(registry.sources.keys().next()), id(registry.sinks.keys().next()))
}

/// Media plays; a domain with one of each is registered. No rules yet.
pub(super) fn scene() -> Bench {
    let mut bench = Bench::new(car());
    bench.start(MEDIA);
    for call in [domain("amp"), source("amp.tuner"), sink("amp.in")] {
        routing(&mut bench, call);
    }
    let gateway = gateway(&bench, "amp.gateway");
    routing(&mut bench, gateway);
    bench
}

/// Acknowledges all that was asked of the domain in the last step.
pub(super) fn ack(bench: &mut Bench) {
    let asked = std::mem::take(&mut bench.effects);
    for effect in asked {
        let Effect::Domain { request, .. } = effect else {
            continue;
        };
        let result = match request {
            DomainRequest::SetSinkSoundProperty { .. } => AckResult::SinkSoundProperty,
            DomainRequest::SetSourceSoundProperty { .. } => AckResult::SourceSoundProperty,
            DomainRequest::SetSinkNotificationConfiguration { .. } => AckResult::SinkNotification,
            DomainRequest::SetSourceNotificationConfiguration { .. } => AckResult::SourceNotification,
            _ => continue,
        };
        let handle = request.handle();
        routing(
            bench,
            RoutingCall::Ack {
                handle,
                result,
                error: 0,
            },
        );
    }
}

pub(super) type Happens = fn(&mut Bench);

/// Each trigger, a condition on what it tells, and what makes it happen.
pub(super) fn happenings() -> Vec<(&'static str, &'static str, Happens)> {
    let mut all = of_users();
    all.extend(of_the_system());
    all.extend(of_registration());
    all
}

fn of_users() -> Vec<(&'static str, &'static str, Happens)> {
    vec![
        (
            "user.connection_request",
            r#"request.source == "cluster.prompt" && request.sink == "rear" && error() == 0 && connection_state() == connected"#,
            |bench| drop(bench.connect(PROMPT, REAR)),
        ),
        (
            "user.disconnection_request",
            r#"request.source == "ivi.media" && request.sink == "cabin" && error() == 0"#,
            |bench| drop(bench.call(Call::Disconnect { connection: 1 })),
        ),
        (
            "user.set_sink_mute_state",
            r#"request.sink == "cabin" && mute_state() == muted"#,
            |bench| drop(bench.call(Call::SetSinkMuteState { sink: 101, state: 1 })),
        ),
        (
            "user.set_volume",
            r#"request.sink == "cabin" && main_volume() == -2 && is_main_volume_step()"#,
            |bench| drop(bench.call(Call::VolumeStep { sink: 101, step: -2 })),
        ),
        (
            "user.set_sink_main_sound_property",
            r#"main_sound_property_type() == 5 && main_sound_property_value() == 3 && domain("amp") == request.domain"#,
            set_sink_property,
        ),
        (
            "user.set_source_main_sound_property",
            r#"main_sound_property_type() == 5 && name(request.source) == "amp.tuner""#,
            set_source_property,
        ),
        (
            "user.set_system_property",
            "system_property_type() == 4 && system_property_value() == 9 && error() == 7",
            |bench| drop(bench.call(Call::SetSystemProperty { property: (4, 9) })),
        ),
        (
            "user.set_sink_main_notification_configuration",
            r#"main_notification_configuration_type() == 8 && main_notification_configuration_param() == 60"#,
            |bench| {
                let sink = ends(bench).1;
                let notification = (8, 2, 60);
                bench.call(Call::SetSinkMainNotificationConfiguration { sink, notification });
            },
        ),
        (
            "user.set_source_main_notification_configuration",
            r#"main_notification_configuration_status() == 2 && name(request.source) == "amp.tuner""#,
            |bench| {
                let source = ends(bench).0;
                let notification = (8, 2, 60);
                bench.call(Call::SetSourceMainNotificationConfiguration { source, notification });
            },
        ),
        (
            "user.set_sink_main_sound_properties",
            r#"name(request.sink) == "amp.in" && request.domain == "amp" && error() == 0"#,
            |bench| {
                let (sink, properties) = (ends(bench).1, vec![(5, 3)]);
                bench.call(Call::SetMainSinkSoundProperties { sink, properties });
            },
        ),
        (
            "user.set_source_main_sound_properties",
            r#"name(request.source) == "amp.tuner" && error() == 1"#,
            |bench| {
                let (source, properties) = (ends(bench).0, vec![(5, 3), (6, 3)]);
                bench.call(Call::SetMainSourceSoundProperties { source, properties });
            },
        ),
        ("user.set_system_properties", "error() == 7", |bench| {
            let properties = vec![(4, 9)];
            bench.call(Call::SetSystemProperties { properties });
        }),
        ("user.all", r#"request.trigger == "user.set_volume""#, |bench| {
            bench.call(Call::SetVolume { sink: 101, volume: 3 });
        }),
    ]
}

fn set_sink_property(bench: &mut Bench) {
    let sink = ends(bench).1;
    let property = (5, 3);
    bench.call(Call::SetMainSinkSoundProperty { sink, property });
}

fn set_source_property(bench: &mut Bench) {
    let source = ends(bench).0;
    let property = (5, 3);
    bench.call(Call::SetMainSourceSoundProperty { source, property });
}

fn of_the_system() -> Vec<(&'static str, &'static str, Happens)> {
    vec![
        (
            "system.source_availability_changed",
            r#"request.source == "ivi.phone" && availability() == available"#,
            |bench| {
                bench.step(Event::Available {
                    source: PHONE,
                    available: true,
                });
            },
        ),
        (
            "system.sink_availability_changed",
            r#"name(request.sink) == "amp.in" && availability() == unavailable && availability_reason() == 4"#,
            |bench| {
                let end = End::Sink(ends(bench).1);
                let availability = (2, 4);
                routing(bench, RoutingCall::HookAvailabilityStatusChange { end, availability });
            },
        ),
        (
            "system.interrupt_state_changed",
            r#"name(request.source) == "amp.tuner" && interrupt_state() == interrupted"#,
            |bench| {
                let source = ends(bench).0;
                routing(bench, RoutingCall::HookInterruptStatusChange { source, state: 2 });
            },
        ),
        (
            "system.sink_notification_data_changed",
            "notification_data_type() == 8 && notification_data_value() == 81",
            |bench| {
                let end = End::Sink(ends(bench).1);
                routing(bench, RoutingCall::HookNotificationDataChange { end, payload: (8, 81) });
            },
        ),
        (
            "system.source_notification_data_changed",
            "notification_data_type() == 8 && notification_data_value() == 81",
            |bench| {
                let end = End::Source(ends(bench).0);
                routing(bench, RoutingCall::HookNotificationDataChange { end, payload: (8, 81) });
            },
        ),
        (
            "system.connection_state_change",
            r#"request.source == "cluster.prompt" && connection_state() == connected"#,
            |bench| bench.start(PROMPT),
        ),
        (
            "system.sink_mute_state_changed",
            r#"request.sink == "cabin" && mute_state() == muted"#,
            |bench| drop(bench.call(Call::SetSinkMuteState { sink: 101, state: 1 })),
        ),
        (
            "system.volume_changed",
            r#"request.sink == "cabin" && main_volume() == 8"#,
            |bench| drop(bench.call(Call::VolumeStep { sink: 101, step: -2 })),
        ),
        (
            "system.sink_main_sound_property_changed",
            "main_sound_property_type() == 5 && main_sound_property_value() == 3",
            set_sink_property,
        ),
        (
            "system.source_main_sound_property_changed",
            "main_sound_property_type() == 5 && main_sound_property_value() == 3",
            set_source_property,
        ),
        ("stream.started", r#"request.source == "ivi.phone""#, |bench| {
            bench.start(PHONE)
        }),
        ("stream.stopped", r#"request.source == "ivi.media""#, |bench| {
            bench.stop(MEDIA)
        }),
        ("stream.released", r#"request.class == "media""#, |bench| {
            bench.release(MEDIA)
        }),
        ("chime.started", r#"request.source == "chime.belt""#, |bench| {
            bench.sound(BELT, true)
        }),
        ("chime.stopped", r#"request.source == "chime.belt""#, |bench| {
            bench.sound(BELT, false)
        }),
    ]
}

fn of_registration() -> Vec<(&'static str, &'static str, Happens)> {
    vec![
        ("system.register_domain", r#"name(request.domain) == "tv""#, |bench| {
            routing(bench, domain("tv"));
        }),
        (
            "system.register_source",
            r#"name(request.source) == "tv.in" && request.class == "media""#,
            |bench| routing(bench, source("tv.in")),
        ),
        ("system.register_sink", r#"request.domain == "amp""#, |bench| {
            routing(bench, sink("tv.out"));
        }),
        ("system.register_gateway", r#"request.gateway == "second""#, |bench| {
            // Between these two there can be one.
            let id = *bench.machine.registry().gateways.keys().next().expect("registered");
            routing(
                bench,
                RoutingCall::Deregister {
                    kind: Kind::Gateway,
                    id,
                },
            );
            let call = gateway(bench, "second");
            routing(bench, call);
        }),
        ("system.deregister_domain", "request.domain != \"amp\"", |bench| {
            routing(
                bench,
                RoutingCall::Deregister {
                    kind: Kind::Domain,
                    id: 101,
                },
            );
        }),
        ("system.deregister_source", r#"request.class == "media""#, |bench| {
            let id = ends(bench).0;
            routing(bench, RoutingCall::Deregister { kind: Kind::Source, id });
        }),
        ("system.deregister_sink", r#"request.domain == "amp""#, |bench| {
            let id = ends(bench).1;
            routing(bench, RoutingCall::Deregister { kind: Kind::Sink, id });
        }),
        ("system.deregister_gateway", r#"request.domain == "amp""#, |bench| {
            let id = *bench.machine.registry().gateways.keys().next().expect("registered");
            routing(
                bench,
                RoutingCall::Deregister {
                    kind: Kind::Gateway,
                    id,
                },
            );
        }),
        (
            "system.domain_registration_complete",
            r#"request.domain == "amp""#,
            complete,
        ),
        ("system.all_domain_registration_complete", "error() == 0", complete),
        (
            "system.register_early_connection",
            r#"name(request.source) == "amp.tuner" && name(request.sink) == "amp.in" && connection_state(request.connection) == connected"#,
            |bench| {
                let (source, sink) = ends(bench);
                let hop = Hop {
                    domain: 101,
                    source,
                    sink,
                    format: 2,
                };
                let early = RoutingCall::RegisterEarlyConnection {
                    domain: 101,
                    source,
                    sink,
                    state: ConnectionState::Connected,
                    route: vec![hop],
                };
                routing(bench, early);
            },
        ),
        ("system.stored_sink_volume", r#"main_volume() == 10"#, |bench| {
            let model = bench.machine.model.clone();
            let kept = bench.machine.lasting();
            bench.machine = Machine::restore_lasting(model, &kept, Restore::default()).unwrap();
            bench.step(Event::Tick);
        }),
    ]
}
