//! Guests' streams that are heard over a zone and a gateway at a domain's sink.

use super::rig::*;
use crate::command::{Call, ConnectionState, Signal};
use crate::effect::{CauseKind, EXTERNAL, Mode};
use crate::event::Event;
use crate::machine::tests::fixture::{CABIN, CLASS_NAVIGATION as NAVIGATION, MEDIA, PHONE, PROMPT, RADIO, car, cell};
use crate::model::{Holder, Model, Newcomer};
use crate::routing::BUILT_IN;
use crate::routing_command::{DomainRequest, End, Kind, RoutingCall, RoutingReply};
use crate::{MUTE, Machine};

/// The zone of guests' streams feeds an amplifier: `(rig, its source, its sink)`. Nothing connects by itself.
fn car_with_amplifier(mut model: Model) -> (Rig, u16, u16) {
    for source in &mut model.sources {
        source.auto_connect.clear();
    }
    model.routing.curve = vec![(0, -60), (10, 0)];
    let mut rig = Rig::new(model);
    let domain = rig.domain(":1.1", "amplifier");
    let input = rig.source(":1.1", domain, "amplifier input", 0);
    let speakers = rig.sink(":1.1", domain, "speakers");
    let mut data = gateway((BUILT_IN, 101), (domain, input));
    data.control_domain = domain;
    rig.registered(":1.1", RoutingCall::RegisterGateway(data));
    rig.signals.clear();
    (rig, input, speakers)
}

fn start(rig: &mut Rig, source: usize) {
    let start_gen = u32::try_from(rig.now).unwrap();
    rig.step(Event::StreamStarted { source, start_gen });
}

fn id(source: usize) -> u16 {
    101 + u16::try_from(source).unwrap()
}

fn gain(rig: &Rig, source: usize) -> i16 {
    rig.machine.heard().sources[source].taps[CABIN].gain
}

fn why(rig: &Rig, source: usize) -> CauseKind {
    rig.machine.heard().sources[source].taps[CABIN].causes[0].kind
}

#[test]
fn a_stream_is_heard_once_what_is_behind_its_zone_is_connected() {
    let (mut rig, input, speakers) = car_with_amplifier(car());
    start(&mut rig, MEDIA);
    assert_eq!(rig.connect(id(MEDIA), speakers), (0, 1));
    assert_eq!(gain(&rig, MEDIA), MUTE);
    rig.ack_all();
    assert_eq!(rig.state(1), Some(ConnectionState::Connected));
    assert_eq!(gain(&rig, MEDIA), 0);
    let segments = rig.sent().into_iter().filter_map(|it| match it {
        DomainRequest::Connect { source, sink, .. } => Some((source, sink)),
        _ => None,
    });
    assert_eq!(
        segments.collect::<Vec<_>>(),
        [(input, speakers)],
        "the zone's part needs no round trip"
    );
    assert_eq!(rig.states(1), [0, 1, 2]);
    rig.call(Call::Disconnect { connection: 1 });
    rig.ack_all();
    assert_eq!(gain(&rig, MEDIA), MUTE);
    assert_eq!(rig.states(1), [3, 4, 255]);
    assert_eq!(rig.machine.connections().count(), 0);
}

#[test]
fn a_zones_domain_is_the_built_in_one() {
    let (mut rig, ..) = car_with_amplifier(car());
    let of = |end| RoutingCall::GetDomainOf { end };
    let built_in = RoutingReply::Id { id: BUILT_IN, error: 0 };
    assert_eq!(rig.routing(":1.1", of(End::Sink(101))), built_in);
    assert_eq!(rig.routing(":1.1", of(End::Source(101))), built_in);
    let (kind, name) = (Kind::Domain, "audiod".to_owned());
    assert_eq!(rig.routing(":1.1", RoutingCall::Peek { kind, name }), built_in);
    let pose = RoutingCall::RegisterDomain(domain("audiod"));
    assert_eq!(rig.routing(":1.2", pose), RoutingReply::Id { id: 0, error: 5 });
    let foreign = RoutingCall::HookAvailabilityStatusChange {
        end: End::Sink(101),
        availability: (2, 0),
    };
    rig.routing(":1.1", foreign);
    assert_eq!(rig.signals, []);
}

#[test]
fn nothing_is_fed_into_a_safety_partition_and_nothing_of_it_led_away() {
    let (mut rig, _, speakers) = car_with_amplifier(car());
    let partition = id(crate::machine::tests::fixture::PARTITION);
    let mut data = gateway((101, speakers), (BUILT_IN, partition));
    data.control_domain = 101;
    let reply = rig.routing(":1.1", RoutingCall::RegisterGateway(data));
    assert_eq!(reply, RoutingReply::Id { id: 0, error: 7 });
    assert_eq!(rig.connect(partition, speakers), (8, 0));
}

/// A guest that is a domain too: what its applications play leaves it by its streams. `(rig, its domain)`.
fn guest_with_domain() -> (Rig, u16) {
    let mut model = car();
    for source in &mut model.sources {
        source.auto_connect.clear();
    }
    let mut rig = Rig::new(model);
    let domain = rig.domain(":1.1", "guest");
    (rig, domain)
}

/// An application of a class, whose sound leaves by a stream: in a format of its own, so by no other.
fn application(rig: &mut Rig, domain: u16, name: &str, class: usize, stream: usize) -> u16 {
    let formats = vec![1 + u16::try_from(stream % 2).unwrap()];
    let class = rig.class(class);
    let mut data = source(domain, name, class);
    data.lists.formats.clone_from(&formats);
    let source = rig.registered(":1.1", RoutingCall::RegisterSource(data));
    let mut card = sink(domain, &format!("card of {name}"));
    card.lists.formats = formats;
    let card = rig.registered(":1.1", RoutingCall::RegisterSink(card));
    let mut data = gateway((domain, card), (BUILT_IN, id(stream)));
    data.control_domain = domain;
    rig.registered(":1.1", RoutingCall::RegisterGateway(data));
    source
}

fn volumes(rig: &mut Rig) -> Vec<(u16, i16)> {
    let sent = rig.sent().into_iter();
    let volumes = sent.filter_map(|it| match it {
        DomainRequest::SetSourceVolume { source, volume, .. } => Some((source, volume)),
        _ => None,
    });
    volumes.collect()
}

#[test]
fn an_application_of_a_guest_is_routed_over_the_guests_stream_to_a_zone() {
    let (mut rig, domain) = guest_with_domain();
    let player = application(&mut rig, domain, "player", 0, MEDIA);
    rig.sent();
    let (error, main) = rig.connect(player, 101);
    assert_eq!(error, 0);
    rig.ack_all();
    assert_eq!(rig.state(main), Some(ConnectionState::Connected));
    let sent = rig.sent();
    assert!(
        matches!(sent[0], DomainRequest::Connect { source, .. } if source == player),
        "{sent:?}"
    );
    start(&mut rig, MEDIA);
    assert_eq!(gain(&rig, MEDIA), 0, "the stream has its zone");
    rig.call(Call::Disconnect { connection: main });
    rig.ack_all();
    assert_eq!(why(&rig, MEDIA), CauseKind::NoRoute);
    assert_eq!(rig.state(main), None);
}

#[test]
fn applications_with_streams_of_their_own_are_ducked_once_by_the_mixer() {
    let (mut rig, domain) = guest_with_domain();
    let player = application(&mut rig, domain, "player", 0, MEDIA);
    let talker = application(&mut rig, domain, "talker", NAVIGATION, PHONE);
    for (source, stream) in [(player, MEDIA), (talker, PHONE)] {
        start(&mut rig, stream);
        rig.connect(source, 101);
        rig.ack_all();
    }
    assert_eq!(gain(&rig, MEDIA), -200, "as the streams' classes have it");
    assert_eq!(volumes(&mut rig), [], "and not in the guest as well");
}

#[test]
fn applications_that_share_a_stream_are_ducked_by_their_guest() {
    let (mut rig, domain) = guest_with_domain();
    let player = application(&mut rig, domain, "player", 0, MEDIA);
    let talker = rig.source(":1.1", domain, "talker", NAVIGATION);
    start(&mut rig, MEDIA);
    for source in [player, talker] {
        rig.connect(source, 101);
        rig.ack_all();
    }
    assert_eq!(gain(&rig, MEDIA), 0, "the mixer can't tell them apart");
    assert_eq!(volumes(&mut rig), [(player, -140)]);
}

#[test]
fn a_connection_to_the_zone_and_one_over_it_share_the_zone_and_end_one_by_one() {
    let (mut rig, _, speakers) = car_with_amplifier(car());
    start(&mut rig, MEDIA);
    rig.connect(id(MEDIA), speakers);
    rig.ack_all();
    rig.signals.clear();
    let (error, direct) = rig.connect(id(MEDIA), 101);
    assert_eq!(error, 0);
    assert_eq!(rig.states(direct), [1, 2]);
    rig.call(Call::Disconnect { connection: direct });
    assert_eq!(rig.states(direct), [3, 4, 255]);
    assert_eq!(gain(&rig, MEDIA), 0, "the other one runs over it");
    assert_eq!(rig.call(Call::Disconnect { connection: direct }).error, 7);
    rig.connect(id(MEDIA), 101);
    rig.call(Call::Disconnect { connection: 1 });
    rig.ack_all();
    assert_eq!(gain(&rig, MEDIA), 0, "and the other way round");
    assert_eq!(rig.machine.connections().count(), 1);
}

#[test]
fn a_stream_that_starts_and_ends_by_itself_leaves_what_runs_over_its_zone() {
    let mut model = car();
    model.sources[RADIO].auto_connect = vec![];
    let (mut rig, _, speakers) = car_with_amplifier(model);
    rig.connect(id(MEDIA), speakers);
    rig.ack_all();
    start(&mut rig, MEDIA);
    assert_eq!(gain(&rig, MEDIA), 0);
    rig.step(Event::StreamReleased { source: MEDIA });
    assert_eq!(rig.state(1), Some(ConnectionState::Connected));
    start(&mut rig, MEDIA);
    assert_eq!(gain(&rig, MEDIA), 0);
}

#[test]
fn one_paused_at_the_amplifier_is_stalled_and_goes_on_afterwards() {
    let (mut rig, _, speakers) = car_with_amplifier(car());
    start(&mut rig, MEDIA);
    rig.connect(id(MEDIA), speakers);
    rig.ack_all();
    let tuner = rig.source(":1.1", 101, "tuner", 0);
    let (_, newer) = rig.connect(tuner, speakers);
    rig.ack_all();
    let by = EXTERNAL + usize::from(tuner);
    assert_eq!(why(&rig, MEDIA), CauseKind::Paused { by });
    assert_eq!(rig.state(1), Some(ConnectionState::Suspended));
    rig.now += 1000;
    rig.step(Event::Tick);
    assert_eq!(rig.machine.heard().sources[MEDIA].mode, Mode::Stall);
    rig.call(Call::Disconnect { connection: newer });
    rig.ack_all();
    assert_eq!(gain(&rig, MEDIA), 0);
}

#[test]
fn one_ducked_at_the_amplifier_is_ducked_here() {
    let (mut rig, _, speakers) = car_with_amplifier(car());
    start(&mut rig, MEDIA);
    rig.connect(id(MEDIA), speakers);
    let news = rig.source(":1.1", 101, "news", NAVIGATION);
    let (_, newer) = rig.connect(news, speakers);
    rig.ack_all();
    assert_eq!(gain(&rig, MEDIA), -140);
    let by = EXTERNAL + usize::from(news);
    assert_eq!(why(&rig, MEDIA), CauseKind::Ducked { by });
    rig.call(Call::Disconnect { connection: newer });
    rig.ack_all();
    assert_eq!(gain(&rig, MEDIA), 0);
}

#[test]
fn a_stream_that_is_connected_at_the_amplifier_and_not_started_ducks_nobody() {
    let (mut rig, _, speakers) = car_with_amplifier(car());
    start(&mut rig, MEDIA);
    rig.connect(id(MEDIA), speakers);
    rig.connect(id(PROMPT), speakers);
    rig.ack_all();
    assert_eq!(gain(&rig, MEDIA), 0);
    start(&mut rig, PROMPT);
    assert_eq!(gain(&rig, MEDIA), -140);
    rig.step(Event::StreamStopped { source: PROMPT });
    assert_eq!(gain(&rig, MEDIA), 0);
}

#[test]
fn a_prompt_at_the_zone_ducks_what_runs_over_it() {
    let (mut rig, _, speakers) = car_with_amplifier(car());
    start(&mut rig, MEDIA);
    rig.connect(id(MEDIA), speakers);
    rig.connect(id(PROMPT), 101);
    rig.ack_all();
    start(&mut rig, PROMPT);
    assert_eq!(gain(&rig, MEDIA), -140);
}

#[test]
fn one_that_is_stopped_at_the_zone_is_taken_down_as_a_whole() {
    let mut model = car();
    let stop = cell(Holder::Stop, Newcomer::Play);
    model
        .cells
        .insert((model.sources[MEDIA].class, model.sources[PHONE].class), stop);
    let (mut rig, _, speakers) = car_with_amplifier(model);
    start(&mut rig, MEDIA);
    rig.connect(id(MEDIA), speakers);
    rig.ack_all();
    rig.signals.clear();
    start(&mut rig, PHONE);
    rig.connect(id(PHONE), 101);
    rig.ack_all();
    assert_eq!(rig.states(1), [3, 4, 255]);
    assert_eq!(gain(&rig, MEDIA), MUTE);
    assert_eq!(rig.machine.next_deadline().filter(|at| *at > rig.now + 2000), None);
}

#[test]
fn a_lost_amplifier_leaves_the_stream_without_a_route() {
    let (mut rig, _, speakers) = car_with_amplifier(car());
    start(&mut rig, MEDIA);
    rig.connect(id(MEDIA), speakers);
    rig.ack_all();
    rig.signals.clear();
    let peer = ":1.1".to_owned();
    rig.step(Event::PeerLost { peer });
    assert_eq!(rig.states(1), [3, 4, 255]);
    assert_eq!((gain(&rig, MEDIA), why(&rig, MEDIA)), (MUTE, CauseKind::NoRoute));
    assert!(
        !rig.signals
            .iter()
            .any(|it| matches!(it, Signal::SinkRemoved { sink: 101 }))
    );
}

#[test]
fn it_survives_a_restart() {
    let (mut rig, _, speakers) = car_with_amplifier(car());
    start(&mut rig, MEDIA);
    rig.connect(id(MEDIA), speakers);
    rig.ack_all();
    let restored = Machine::restore(rig.machine.model().clone(), &rig.machine.snapshot()).unwrap();
    assert_eq!(restored.heard(), rig.machine.heard());
    assert_eq!(restored.snapshot(), rig.machine.snapshot());
}
