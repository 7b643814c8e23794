//! What domains register: codes, IDs, and whose it is.

use super::rig::*;
use crate::command::{Call, MainSink, MainSource, ReplyBody, Signal};
use crate::machine::tests::fixture::{Bench, car};
use crate::routing_command::{CrossfaderData, End, Kind, Lists, RoutingCall, RoutingReply};

fn id(id: u16) -> RoutingReply {
    RoutingReply::Id { id, error: 0 }
}

fn refused(error: i16) -> RoutingReply {
    RoutingReply::Id { id: 0, error }
}

fn peek(kind: Kind, name: &str) -> RoutingCall {
    let name = name.to_owned();
    RoutingCall::Peek { kind, name }
}

#[test]
fn ids_are_static_up_to_100_and_dynamic_from_101() {
    let mut rig = Rig::new(empty_car());
    let domain = rig.domain(":1.1", "amplifier");
    assert_eq!(domain, 101);
    let mut data = source(domain, "tuner", 101);
    let mut register = |wanted: u16, name: &str| {
        (data.id, data.name) = (wanted, name.to_owned());
        rig.routing(":1.1", RoutingCall::RegisterSource(data.clone()))
    };
    assert_eq!(register(7, "static"), id(7));
    assert_eq!(register(7, "taken"), refused(5));
    assert_eq!(register(101, "too large"), refused(7));
    assert_eq!(register(0, "static"), refused(5), "the name is taken");
    assert_eq!(register(0, "dynamic"), id(101));
    assert_eq!(register(0, ""), refused(2));
    assert_eq!(register(0, &"x".repeat(129)), refused(2));
}

#[test]
fn a_name_keeps_its_id_across_registrations_and_from_the_first_look() {
    let mut rig = Rig::new(empty_car());
    assert_eq!(rig.routing(":1.1", peek(Kind::Source, "tuner")), id(101));
    assert_eq!(rig.routing(":1.1", peek(Kind::Source, "usb")), id(102));
    let domain = rig.domain(":1.1", "amplifier");
    assert_eq!(rig.source(":1.1", domain, "usb", CLASS_MEDIA), 102);
    rig.routing(":1.1", deregister(Kind::Source, 102));
    assert_eq!(rig.source(":1.1", domain, "aux", CLASS_MEDIA), 103);
    assert_eq!(rig.source(":1.1", domain, "usb", CLASS_MEDIA), 102);
}

#[test]
fn classes_are_peeked_by_the_policys_names() {
    let mut rig = Rig::new(empty_car());
    let class = |name: &str| RoutingCall::PeekClass { name: name.to_owned() };
    assert_eq!(rig.routing(":1.1", class("navigation")), id(102));
    assert_eq!(rig.routing(":1.1", class("no such")), refused(8));
}

#[test]
fn the_domain_of_a_sink_is_looked_up_as_a_sink() {
    let (mut rig, source, sink) = amplifier();
    let other = rig.domain(":1.2", "other");
    let headphones = rig.sink(":1.2", other, "headphones");
    let of = |end| RoutingCall::GetDomainOf { end };
    assert_eq!(rig.routing(":1.9", of(End::Sink(headphones))), id(other));
    assert_eq!(rig.routing(":1.9", of(End::Sink(sink))), id(101));
    assert_eq!(rig.routing(":1.9", of(End::Source(source))), id(101));
    assert_eq!(rig.routing(":1.9", of(End::Source(4242))), refused(8));
}

#[test]
fn a_domain_speaks_for_its_own_elements_only() {
    let (mut rig, source_id, sink_id) = amplifier();
    rig.domain(":1.2", "other");
    let theirs = source(101, "intruder", 101);
    assert_eq!(rig.routing(":1.2", RoutingCall::RegisterSource(theirs)), refused(7));
    let unknown = source(4242, "lost", 101);
    assert_eq!(rig.routing(":1.2", RoutingCall::RegisterSource(unknown)), refused(4));
    for (kind, id) in [(Kind::Source, source_id), (Kind::Sink, sink_id), (Kind::Domain, 101)] {
        assert_eq!(rig.routing(":1.2", deregister(kind, id)), RoutingReply::Error(7));
        assert_eq!(rig.routing(":1.2", deregister(kind, 4242)), RoutingReply::Error(8));
    }
    rig.signals.clear();
    rig.routing(":1.2", available(End::Sink(sink_id), false));
    let interrupt = RoutingCall::HookInterruptStatusChange {
        source: source_id,
        state: 2,
    };
    rig.routing(":1.2", interrupt);
    assert_eq!(rig.signals, []);
    assert!(!rig.machine.registry().sources[&source_id].interrupts());
}

#[test]
fn gateways_need_both_ends_and_a_matrix_of_the_right_size() {
    let mut chain = chain(2);
    let (domains, sinks, sources) = (chain.domains.clone(), chain.sinks.clone(), chain.sources.clone());
    let (from, to) = ((domains[1], sinks[1]), (domains[0], sources[0]));
    let mut register = |change: &dyn Fn(&mut crate::routing_command::GatewayData)| {
        let mut data = gateway(from, to);
        data.name = "back".to_owned();
        change(&mut data);
        chain.rig.routing(":1.2", RoutingCall::RegisterGateway(data))
    };
    assert_eq!(register(&|it| it.sink = 4242), refused(8));
    assert_eq!(register(&|it| it.domain_source = 4242), refused(8));
    assert_eq!(register(&|it| it.matrix = vec![true]), refused(2));
    assert_eq!(register(&|it| it.control_domain = domains[0]), refused(7));
    assert_eq!(register(&|it| it.control_domain = 4242), refused(4));
    assert_eq!(register(&|_| {}), id(102));
    assert_eq!(
        register(&|it| it.name = "again".to_owned()),
        refused(5),
        "the pair has one"
    );
}

#[test]
fn a_converter_inside_a_domain_is_part_of_routes_until_it_converts_nothing() {
    let mut rig = Rig::new(empty_car());
    let domain = rig.domain(":1.1", "amplifier");
    let tuner = rig.source(":1.1", domain, "tuner", CLASS_MEDIA);
    let into = rig.sink(":1.1", domain, "resampler in");
    let mut data = source(domain, "resampler out", 101);
    data.lists.formats = vec![3];
    let out = rig.registered(":1.1", RoutingCall::RegisterSource(data));
    let mut data = sink(domain, "analog");
    data.lists.formats = vec![3];
    let analog = rig.registered(":1.1", RoutingCall::RegisterSink(data));
    assert_eq!(rig.connect(tuner, analog), (7, 0));
    let mut converter = gateway((domain, into), (domain, out));
    converter.source_formats = vec![3];
    converter.matrix = vec![true, true];
    let converter = rig.registered(":1.1", RoutingCall::RegisterConverter(converter));
    assert_eq!(rig.connect(tuner, analog).0, 0);
    let update = RoutingCall::UpdateGateway {
        kind: Kind::Converter,
        id: converter,
        source_formats: vec![3],
        sink_formats: vec![1],
        matrix: vec![false],
    };
    assert_eq!(rig.routing(":1.1", update), RoutingReply::Error(0));
    rig.call(Call::Disconnect { connection: 1 });
    rig.ack_all();
    assert_eq!(rig.connect(tuner, analog), (7, 0));
}

#[test]
fn a_crossfader_needs_two_sinks_and_a_source_of_one_domain() {
    let mut chain = chain(2);
    let second = chain.rig.sink(":1.1", chain.domains[0], "second");
    let data = CrossfaderData {
        id: 0,
        name: "fader".to_owned(),
        sink_a: chain.sinks[0],
        sink_b: second,
        source: chain.sources[0],
        hot_sink: 1,
    };
    let register = |data: &CrossfaderData| RoutingCall::RegisterCrossfader(data.clone());
    let mixed = CrossfaderData {
        sink_b: chain.sinks[1],
        ..data.clone()
    };
    assert_eq!(chain.rig.routing(":1.1", register(&mixed)), refused(2));
    assert_eq!(chain.rig.routing(":1.2", register(&data)), refused(7));
    assert_eq!(chain.rig.routing(":1.1", register(&data)), id(101));
    assert_eq!(
        chain.rig.routing(":1.1", deregister(Kind::Crossfader, 101)),
        RoutingReply::Error(0)
    );
}

#[test]
fn clients_see_visible_elements_beside_the_built_in_ones() {
    let mut rig = Rig::new(car());
    let domain = rig.domain(":1.1", "amplifier");
    rig.signals.clear();
    let tuner = rig.source(":1.1", domain, "tuner", CLASS_MEDIA);
    let mut hidden = source(domain, "hidden", 101);
    hidden.visible = false;
    rig.registered(":1.1", RoutingCall::RegisterSource(hidden));
    let speakers = rig.sink(":1.1", domain, "speakers");
    let source = MainSource {
        id: tuner,
        name: "tuner".to_owned(),
        availability: (1, 0),
        class: 101,
    };
    let sink = MainSink {
        id: speakers,
        name: "speakers".to_owned(),
        availability: (1, 0),
        volume: 5,
        mute: 2,
        class: 0,
    };
    assert_eq!(
        rig.signals,
        [Signal::SourceAdded(source.clone()), Signal::SinkAdded(sink.clone())]
    );
    assert_eq!((tuner, speakers), (107, 103), "after the built-in ones");
    let ReplyBody::Sources(sources) = rig.call(Call::GetListMainSources).body else {
        panic!()
    };
    assert_eq!((sources.len(), sources.last()), (7, Some(&source)));
    let ReplyBody::Sinks(sinks) = rig.call(Call::GetListMainSinks).body else {
        panic!()
    };
    assert_eq!((sinks.len(), sinks.last()), (3, Some(&sink)));
    assert_eq!(
        rig.routing(":1.1", deregister(Kind::Source, tuner)),
        RoutingReply::Error(0)
    );
    assert_eq!(rig.signals.last(), Some(&Signal::SourceRemoved { source: tuner }));
}

#[test]
fn a_built_in_name_is_taken() {
    let mut rig = Rig::new(car());
    let domain = rig.domain(":1.1", "amplifier");
    let data = source(domain, "ivi.media", 101);
    assert_eq!(rig.routing(":1.1", RoutingCall::RegisterSource(data)), refused(5));
}

#[test]
fn updates_tell_clients_class_and_properties() {
    let (mut rig, source, sink) = amplifier();
    let lists = Lists {
        main_sound: vec![(1, 0)],
        ..lists()
    };
    let update = |end| RoutingCall::Update {
        end,
        class: 102,
        lists: lists.clone(),
    };
    assert_eq!(rig.routing(":1.1", update(End::Source(source))), RoutingReply::Error(0));
    assert_eq!(rig.routing(":1.1", update(End::Sink(sink))), RoutingReply::Error(0));
    let properties = vec![(1, 0)];
    let class = 102;
    let told = [
        Signal::SourceUpdated {
            source,
            class,
            properties: properties.clone(),
        },
        Signal::SinkUpdated {
            sink,
            class,
            properties,
        },
    ];
    assert_eq!(rig.signals, told);
}

#[test]
fn a_flood_of_registrations_and_names_is_bounded_and_harms_no_other_peer() {
    let mut rig = Rig::new(empty_car());
    for n in 0..1000 {
        rig.routing(":1.1", RoutingCall::RegisterDomain(domain(&format!("flood{n}"))));
        rig.routing(":1.1", peek(Kind::Sink, &format!("name{n}")));
    }
    assert_eq!(rig.machine.registry().domains.len(), 64);
    let before = rig.machine.snapshot().len();
    assert!(before < 64 * 1024, "{before}");
    for n in 1000..2000 {
        rig.routing(":1.1", peek(Kind::Sink, &format!("name{n}")));
    }
    assert!(rig.machine.snapshot().len() < before + 1024);
    let other = rig.domain(":1.2", "other");
    rig.sink(":1.2", other, "speakers");
}

#[test]
fn guests_streams_reach_domains_over_gateways_only() {
    let mut rig = Rig::new(car());
    let domain = rig.domain(":1.1", "amplifier");
    let sink = rig.sink(":1.1", domain, "speakers");
    assert_eq!(rig.connect(101, sink), (7, 0));
    let mut bench = Bench::new(car());
    assert_eq!(bench.connect(0, 0).error, 0);
}

#[test]
fn getting_ready_and_confirming_is_answered() {
    let (mut rig, ..) = amplifier();
    assert_eq!(
        rig.routing(":1.1", RoutingCall::GetRoutingReadyState),
        RoutingReply::Ready(true)
    );
    let ready = RoutingCall::ConfirmRoutingReady { domain: 101 };
    assert_eq!(rig.routing(":1.1", ready), RoutingReply::Nothing);
    let complete = RoutingCall::HookDomainRegistrationComplete { domain: 101 };
    rig.routing(":1.1", complete);
    assert!(rig.machine.domain(101).unwrap().complete);
}
