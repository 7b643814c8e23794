//! What sets off rules.

use super::super::fixture::*;
use super::{read, rule};
use crate::command::{Call, ConnectionState};
use crate::effect::Effect;
use crate::model::Restore;
use crate::routing::Hop;
use crate::routing_command::{
    AckResult, DomainData, DomainRequest, End, GatewayData, Kind, Lists, RoutingCall, SinkData, SourceData,
};
use crate::rules::catalogue::Trigger;
use crate::{Event, Machine};

const PEER: &str = ":1.1";

fn routing(bench: &mut Bench, call: RoutingCall) {
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
fn scene() -> Bench {
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
fn ack(bench: &mut Bench) {
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

type Happens = fn(&mut Bench);

/// Each trigger, a condition on what it tells, and what makes it happen.
fn happenings() -> Vec<(&'static str, &'static str, Happens)> {
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

fn complete(bench: &mut Bench) {
    routing(bench, RoutingCall::HookDomainRegistrationComplete { domain: 101 });
}

/// The status with which all domains are said to have registered, or not.
fn registered_with(happens: Happens) -> Option<i16> {
    [0, 4, 7].into_iter().find(|status| {
        fired(
            "system.all_domain_registration_complete",
            &format!("error() == {status}"),
            happens,
        )
    })
}

fn confirm(bench: &mut Bench) {
    routing(bench, RoutingCall::ConfirmRoutingReady { domain: 101 });
}

fn later(bench: &mut Bench, ms: crate::Time) {
    bench.now += ms;
    bench.step(Event::Tick);
}

#[test]
fn all_domains_are_complete_or_one_took_too_long_or_what_was_stored_is_lost() {
    assert_eq!(registered_with(complete), Some(0));
    let lost = |bench: &mut Bench| {
        bench.machine.note_lost_store();
        complete(bench);
    };
    assert_eq!(registered_with(lost), Some(4));
    let late = |bench: &mut Bench| {
        confirm(bench);
        assert_eq!(bench.machine.next_deadline(), Some(bench.now + 10_000));
        later(bench, 10_000);
        assert_eq!(bench.machine.next_deadline(), None);
    };
    assert_eq!(registered_with(late), Some(7));
    let in_time = |bench: &mut Bench| {
        confirm(bench);
        later(bench, 9_000);
    };
    assert_eq!(registered_with(in_time), None);
    assert_eq!(
        registered_with(|bench| later(bench, 20_000)),
        None,
        "none has said that it is ready"
    );
}

/// Whether a rule on this was set off.
fn fired(on: &str, when: &str, happens: Happens) -> bool {
    let mut bench = scene();
    bench.machine.state.sources[BELT].sounding = on == "chime.stopped";
    let text = rule(on, when, r#"{ mute = { sink = "rear", sticky = true } }"#);
    let (program, report) = read(&text, &bench.machine.model);
    assert_eq!(report.to_string(), "");
    bench.machine.model.rules = program;
    happens(&mut bench);
    ack(&mut bench);
    !bench.machine.state.ruled.limits.is_empty()
}

#[test]
fn each_trigger_tells_what_happened() {
    let happenings = happenings();
    for (on, when, happens) in &happenings {
        assert!(fired(on, "true", *happens), "{on} was not fired");
        assert!(fired(on, when, *happens), "{on} says not {when}");
        assert!(!fired(on, &format!("!({when})"), *happens), "{on} was fired twice");
    }
    for trigger in Trigger::ALL {
        assert!(
            happenings.iter().any(|it| it.0 == trigger.name()),
            "{} is untested",
            trigger.name()
        );
    }
}

#[test]
fn a_trigger_is_not_fired_by_what_it_is_not_of() {
    for (on, happens) in [
        ("user.all", (|bench| bench.start(PHONE)) as Happens),
        ("user.set_volume", |bench| drop(bench.connect(PROMPT, REAR))),
        ("system.volume_changed", |bench| {
            drop(bench.call(Call::SetVolume { sink: 101, volume: 10 }))
        }),
        ("system.connection_state_change", |bench| bench.sound(BELT, true)),
        ("chime.started", |bench| bench.sound(MEDIA, true)),
        ("user.all", |bench| drop(bench.call(Call::GetListMainSinks))),
    ] {
        assert!(!fired(on, "true", happens), "{on}");
    }
}

#[test]
fn there_are_audiomanagers_thirty_five_triggers_thirty_two_functions_and_nineteen_actions() {
    use crate::rules::ast::Op;
    use crate::rules::catalogue::{Field, Function};
    use crate::rules::keys::Verb;
    let ours = ["stream.", "chime."];
    let theirs = Trigger::ALL
        .iter()
        .filter(|it| !ours.iter().any(|our| it.name().starts_with(our)));
    assert_eq!(theirs.count(), 35);
    // `name(CLASSOFSOURCE, …)` and its like are functions of their own here.
    let of_name = [
        "source",
        "sink",
        "class",
        "domain",
        "gateway",
        "connection",
        "sources",
        "sinks",
        "connections",
    ];
    let theirs = Function::ALL.iter().filter(|it| !of_name.contains(&it.name()));
    assert_eq!(theirs.count(), 32);
    assert_eq!((Verb::ALL.len(), Op::ALL.len()), (19, 8));
    // `request.is_step` is the function isMainVolumeStep.
    assert_eq!(Field::ALL.iter().filter(|it| it.name() != "is_step").count(), 23);
}
