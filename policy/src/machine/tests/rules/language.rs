//! Every operator and every function, on a machine with a domain.

use super::super::fixture::*;
use super::happenings::routing;
use super::{read, ruled};
use crate::Model;
use crate::command::Call;
use crate::effect::EXTERNAL;
use crate::machine::Machine;
use crate::routing_command::{DomainData, GatewayData, Lists, RoutingCall, SinkData, SourceData};
use crate::rules::catalogue::{Field, Function, Trigger};
use crate::rules::check::{Scope, check};
use crate::rules::eval::Eval;
use crate::rules::kind::{Element, Kind, Type, Value};
use crate::rules::view::Request;

fn lists() -> Lists {
    Lists {
        formats: vec![2],
        sound: vec![(5, 50)],
        main_sound: vec![(6, 7)],
        notifications: vec![(8, 1, 80)],
        main_notifications: vec![(9, 2, 90)],
    }
}

/// Media plays, ducked by the prompt; an amplifier with a tuner is registered.
fn scene(model: Model) -> Bench {
    let mut bench = Bench::new(model);
    bench.start(MEDIA);
    bench.start(PROMPT);
    bench.call(Call::SetVolume { sink: 101, volume: 5 });
    bench.call(Call::SetSinkMuteState { sink: 102, state: 1 });
    bench.call(Call::SetSourceGain { source: 101, gain: -60 });
    routing(
        &mut bench,
        RoutingCall::RegisterDomain(DomainData {
            name: "amp".to_owned(),
            state: 1,
            ..DomainData::default()
        }),
    );
    let source = SourceData {
        domain: 101,
        name: "amp.tuner".to_owned(),
        class: 101,
        state: 2,
        availability: (2, 3),
        interrupt: 1,
        lists: lists(),
        ..SourceData::default()
    };
    routing(&mut bench, RoutingCall::RegisterSource(source));
    let sink = SinkData {
        domain: 101,
        name: "amp.in".to_owned(),
        class: 102,
        availability: (1, 0),
        mute: 2,
        main_volume: 5,
        lists: lists(),
        ..SinkData::default()
    };
    routing(&mut bench, RoutingCall::RegisterSink(sink));
    let known = |bench: &Bench| {
        let registry = bench.machine.registry();
        (
            *registry.sources.keys().next().unwrap(),
            *registry.sinks.keys().next().unwrap(),
        )
    };
    let (source, sink) = known(&bench);
    let gateway = GatewayData {
        name: "amp.gateway".to_owned(),
        sink,
        source,
        domain_sink: 101,
        domain_source: 101,
        control_domain: 101,
        source_formats: vec![2],
        sink_formats: vec![2],
        matrix: vec![true],
        ..GatewayData::default()
    };
    routing(&mut bench, RoutingCall::RegisterGateway(gateway));
    bench
}

/// A client connected media to the cabin, set the volume, and all the rest.
fn request(machine: &Machine) -> Request {
    let registry = machine.registry();
    let number = |it: i64| Value::Number(it);
    let mut request = Request::new(Trigger::ConnectionRequest)
        .about(machine, Element::Source(MEDIA))
        .about(machine, Element::Sink(CABIN))
        .about(machine, Element::Connection(1))
        .about(machine, Element::Domain(*registry.domains.keys().next().unwrap()));
    for (field, value) in [
        (Field::ConnectionState, Value::Word(Kind::State, 2)),
        (Field::Status, number(7)),
        (Field::MainVolume, number(5)),
        (Field::IsStep, Value::Bool(true)),
        (Field::Mute, Value::Word(Kind::Mute, 1)),
        (Field::Availability, Value::Word(Kind::Availability, 2)),
        (Field::AvailabilityReason, number(3)),
        (Field::Interrupt, Value::Word(Kind::Interrupt, 2)),
        (Field::PropertyType, number(11)),
        (Field::PropertyValue, number(12)),
        (Field::SystemPropertyType, number(13)),
        (Field::SystemPropertyValue, number(14)),
        (Field::NotificationType, number(15)),
        (Field::NotificationValue, number(16)),
        (Field::NotificationConfigurationType, number(17)),
        (Field::NotificationConfigurationStatus, number(18)),
        (Field::NotificationConfigurationParam, number(19)),
    ] {
        request = request.with(field, value);
    }
    request
}

fn holds(machine: &Machine, request: &Request, text: &str) -> bool {
    let scope = Scope {
        model: machine.model(),
        on: &[],
    };
    match check(text, Type::one(Kind::Bool), scope) {
        Ok(expr) => Eval::new(machine, request).holds(&expr),
        Err(findings) => panic!("{text}: {findings:#?}"),
    }
}

#[test]
fn every_function_says_what_is_so() {
    let bench = scene(car());
    let request = request(&bench.machine);
    let true_ones = [
        r#"name(request.source) == "ivi.media""#,
        r#"name(request.sink) == "cabin""#,
        r#"name(request.class) == "media""#,
        r#"name(request.domain) == "amp""#,
        r#"name(request.connection) == "ivi.media:cabin""#,
        r#"name(gateway("amp.gateway")) == "amp.gateway""#,
        r#"source("ivi.media") == request.source"#,
        r#"source(request.connection) == "ivi.media""#,
        r#"sink(request.connection) == "cabin""#,
        r#"sink("cabin") == request.sink"#,
        r#"class(request.source) == "media""#,
        r#"class("ivi.phone") == "phone""#,
        r#"class("media") == request.class"#,
        r#"class(request.connection) == "media""#,
        r#"["navigation", "media"] has class(request.source)"#,
        r#"domain("amp") == request.domain"#,
        r#"gateway("amp.gateway") != gateway("other")"#,
        r#"domain(gateway("amp.gateway")) == domain("amp")"#,
        r#"connection("ivi.media") == request.connection"#,
        r#"connection("ivi.media", "cabin") == request.connection"#,
        r#"connection("cabin") == request.connection"#,
        r#"sources("media") has "ivi.radio""#,
        r#"sources("media") lacks "ivi.phone""#,
        r#"count(sources(domain("amp"))) == 1"#,
        r#"count(sinks(domain("amp"))) == 1"#,
        r#"sinks("media") has "cabin""#,
        r#"count(connections("media")) == 1"#,
        r#"connections("cabin") has request.connection"#,
        r#"connections("ivi.media") has request.connection"#,
        r#"elements(domain("amp"), source) has "amp.tuner""#,
        r#"elements(domain("amp"), sink) has "amp.in""#,
        r#"elements(domain("amp"), gateway) has "amp.gateway""#,
        r#"elements("media", source) has "ivi.media""#,
        r#"elements("media", connection) has "ivi.media:cabin""#,
        r#"priority("phone") > priority("navigation")"#,
        r#"priority("ivi.media") == 10"#,
        r#"priority(request.connection) == 10"#,
        r#"volume("ivi.media") == -6 dB"#,
        r#"volume("cabin") == -25 dB"#,
        r#"volume(request.connection) == -31dB"#,
        r#"main_volume("cabin") == 5"#,
        r#"main_volume(request.connection) == 5"#,
        r#"main_volume() == 5"#,
        r#"is_main_volume_step()"#,
        r#"volume_limit("ivi.media") == 0 dB"#,
        r#"volume_limit("cabin") == 0 dB"#,
        r#"volume_limit(request.connection) == 0 dB"#,
        r#"mute_state() == muted"#,
        r#"mute_state("cabin") == unmuted"#,
        r#"mute_state("rear") == muted"#,
        r#"mute_state("ivi.media") == unmuted"#,
        r#"mute_state(request.connection) == unmuted"#,
        r#"mute_state("media") lacks muted"#,
        r#"availability() == unavailable"#,
        r#"availability("cabin") == available"#,
        r#"availability("ivi.media") == unavailable"#,
        r#"availability(request.connection) == unavailable"#,
        r#"availability_reason() == 3"#,
        r#"availability_reason("cabin") == 0"#,
        r#"connection_state() == connected"#,
        r#"connection_state(request.connection) == connected"#,
        r#"connection_state("ivi.media") has connected"#,
        r#"connection_state("cabin") has connected"#,
        r#"connection_state("media") lacks suspended"#,
        r#"connection_state(others) has connected"#,
        r#"connection_state(connection("ivi.phone")) == disconnected"#,
        r#"interrupt_state() == interrupted"#,
        r#"interrupt_state("ivi.media") == off"#,
        r#"state("ivi.media") == on"#,
        r#"state("ivi.phone") == off"#,
        r#"state(domain("amp")) == controlled"#,
        r#"state(request.connection) == connected"#,
        r#"is_registered("ivi.media") && is_registered("cabin")"#,
        r#"is_registered(domain("amp")) && !is_registered(domain("other"))"#,
        r#"is_registered(gateway("amp.gateway"))"#,
        r#"!is_registration_complete()"#,
        r#"!is_registration_complete(domain("amp"))"#,
        r#"peek("media", newest, 0) == request.connection"#,
        r#"peek("media", newest, 1) != request.connection"#,
        r#"source(peek("navigation", oldest, 0)) == "cluster.prompt""#,
        r#"main_sound_property_type() == 11"#,
        r#"main_sound_property_value() == 12"#,
        r#"system_property_type() == 13"#,
        r#"system_property_value() == 14"#,
        r#"system_property_value(1) != 0"#,
        r#"notification_data_type() == 15"#,
        r#"notification_data_value() == 16"#,
        r#"main_notification_configuration_type() == 17"#,
        r#"main_notification_configuration_status() == 18"#,
        r#"main_notification_configuration_param() == 19"#,
        r#"sound_property("ivi.media", 5) != 50"#,
        r#"connection_format(request.connection) != 2"#,
        r#"error() == 7"#,
        r#"count(all) == 2 && count(others) == 1"#,
        r#"count(["media", "phone"]) == 2"#,
        r#"scale(5, "cabin") == -25 dB"#,
        r#"request.trigger == "user.connection_request""#,
        r#"true && !false"#,
    ];
    for text in true_ones {
        assert!(holds(&bench.machine, &request, text), "{text}");
        assert!(!holds(&bench.machine, &request, &format!("!({text})")), "not {text}");
    }
    for function in Function::ALL {
        let called = format!("{}(", function.name());
        let elsewhere = [
            "notification_configuration_status(",
            "notification_configuration_param(",
        ];
        let tested = true_ones.iter().any(|text| text.contains(&called)) || elsewhere.contains(&called.as_str());
        assert!(tested, "{called} is untested");
    }
}

#[test]
fn functions_of_a_domains_elements_ask_its_lists() {
    let bench = scene(car());
    let registry = bench.machine.registry();
    let (source, sink) = (registry.sources.keys().next(), registry.sinks.keys().next());
    let index = |id: Option<&u16>| EXTERNAL + usize::from(*id.unwrap());
    let request = Request::new(Trigger::ConnectionRequest)
        .about(&bench.machine, Element::Source(index(source)))
        .about(&bench.machine, Element::Sink(index(sink)));
    for text in [
        r#"name(request.source) == "amp.tuner" && name(request.sink) == "amp.in""#,
        r#"class(request.source) == "media""#,
        r#"class(request.sink) == "navigation""#,
        r#"domain(request.source) == "amp" && domain(request.sink) == "amp""#,
        r#"availability(request.source) == unavailable && availability_reason(request.source) == 3"#,
        r#"interrupt_state(request.source) == off"#,
        r#"state(request.source) == off"#,
        r#"is_registered(request.source) && is_registered(request.sink)"#,
        r#"sound_property(request.source, 5) == 50"#,
        r#"sound_property(request.sink, 5) == 50"#,
        r#"main_sound_property_value(request.source, 6) == 7"#,
        r#"notification_configuration_status(request.sink, 8) == 1"#,
        r#"notification_configuration_param(request.source, 8) == 80"#,
        r#"main_notification_configuration_status(request.sink, 9) == 2"#,
        r#"main_notification_configuration_param(request.source, 9) == 90"#,
        r#"main_volume(request.sink) == 5"#,
        r#"mute_state(request.sink) == unmuted"#,
        r#"priority(request.sink) == 50"#,
    ] {
        assert!(holds(&bench.machine, &request, text), "{text}");
    }
}

#[test]
fn every_operator_tells_true_from_false() {
    let bench = scene(car());
    let request = request(&bench.machine);
    for (text, expected) in [
        ("1 == 1", true),
        ("1 == 2", false),
        ("1 != 2", true),
        ("1 != 1", false),
        ("2 > 1", true),
        ("1 > 1", false),
        ("1 >= 1", true),
        ("0 >= 1", false),
        ("1 < 2", true),
        ("1 < 1", false),
        ("1 <= 1", true),
        ("2 <= 1", false),
        ("[1, 2] has 1", true),
        ("[1, 2] has 3", false),
        ("[1, 2] lacks 3", true),
        ("[1, 2] lacks 2", false),
        ("-14.5 dB < -14 dB", true),
        ("0x10 == 16", true),
        ("1 == 1 && 1 == 2", false),
        ("1 == 2 || 1 == 1", true),
        ("1 == 1 || 1 == 2 && 1 == 3", true),
        ("(1 == 1 || 1 == 2) && 1 == 3", false),
        ("!(1 == 2)", true),
        ("!!(1 == 2)", false),
    ] {
        assert_eq!(holds(&bench.machine, &request, text), expected, "{text}");
    }
}

#[test]
fn what_is_absent_equals_nothing_and_is_in_no_list() {
    let bench = scene(car());
    let empty = Request::new(Trigger::ConnectionRequest);
    for (text, expected) in [
        ("request.source == request.source", false),
        ("request.source != request.source", true),
        ("request.status < 1", false),
        ("request.status >= 0", false),
        ("sources(\"media\") has request.source", false),
        ("sources(\"media\") lacks request.source", true),
        ("connections(request.source) has request.connection", false),
        ("count(connections(request.source)) == 0", false),
        ("is_registered(request.source)", false),
        ("domain(\"other\") == domain(\"other\")", false),
        ("connection_state(request.connection) == disconnected", true),
        ("name(request.connection) == \"\"", false),
    ] {
        assert_eq!(holds(&bench.machine, &empty, text), expected, "{text}");
    }
}

#[test]
fn each_type_is_told_from_the_others() {
    let model = car();
    let scope = Scope { model: &model, on: &[] };
    let of: Vec<(&str, Type)> = vec![
        ("true", Type::one(Kind::Bool)),
        ("7", Type::one(Kind::Number)),
        ("-7 dB", Type::one(Kind::Gain)),
        ("name(request.source)", Type::one(Kind::Text)),
        ("request.source", Type::one(Kind::Source)),
        ("request.sink", Type::one(Kind::Sink)),
        ("request.class", Type::one(Kind::Class)),
        ("request.connection", Type::one(Kind::Connection)),
        ("request.domain", Type::one(Kind::Domain)),
        ("request.gateway", Type::one(Kind::Gateway)),
        ("connection_state()", Type::one(Kind::State)),
        ("mute_state()", Type::one(Kind::Mute)),
        ("availability()", Type::one(Kind::Availability)),
        ("state(request.source)", Type::one(Kind::SourceState)),
        ("state(request.domain)", Type::one(Kind::DomainState)),
        ("interrupt_state()", Type::one(Kind::Interrupt)),
        ("request.trigger", Type::one(Kind::Trigger)),
        ("all", Type::list(Kind::Connection)),
        ("sources(request.class)", Type::list(Kind::Source)),
    ];
    for (text, own) in &of {
        for (_, wanted) in &of {
            let fits = own == wanted || (wanted.list && own.kind == wanted.kind);
            assert_eq!(check(text, *wanted, scope).is_ok(), fits, "{text} as {wanted}");
        }
    }
}

#[test]
fn a_program_is_ordered_by_priority_then_by_the_file() {
    let text = |name: &str, priority: &str| {
        format!("[[rules]]\nname = \"{name}\"\non = \"user.all\"\n{priority}\ndo = [{{ disconnect = {{}} }}]\n")
    };
    let file = [
        text("late", "priority = 60"),
        text("first of two", ""),
        text("early", "priority = -1"),
        text("second of two", "priority = 49"),
    ];

    let model = ruled(&file.concat());

    let names: Vec<&str> = model.rules.rules().iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["early", "first of two", "second of two", "late"]);
}

#[test]
fn an_expression_that_is_too_long_or_too_deep_is_refused_not_followed() {
    let model = car();
    let rule = |when: String| {
        format!("[[rules]]\nname = \"a\"\non = \"user.all\"\nwhen = '{when}'\ndo = [{{ push = {{}} }}]\n")
    };
    for when in [
        "(".repeat(100_000),
        "!".repeat(100_000),
        "[".repeat(100_000),
        "count(".repeat(100_000),
        vec!["1 == 1"; 10_000].join(" && "),
    ] {
        let (_, report) = read(&rule(when), &model);
        assert_eq!(report.errors(), 1, "{report}");
    }
}
