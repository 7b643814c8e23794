//! Domains that do as they are told, or don't, and a client.

use std::collections::BTreeMap;

use crate::command::{Call, ConnectionState, Reply, ReplyBody, Signal};
use crate::effect::Effect;
use crate::event::Event;
use crate::machine::tests::fixture::{cell, class};
use crate::model::{Holder, Model, Newcomer};
use crate::routing_command::{
    AckResult, DomainData, DomainRequest, End, GatewayData, Kind, Lists, RoutingCall, RoutingReply, SinkData,
    SourceData, format,
};
use crate::{Machine, Time};

pub(super) const CLASS_MEDIA: usize = 0;
pub(super) const CLASS_NAVIGATION: usize = 1;
pub(super) const CLASS_PHONE: usize = 2;

/// Three classes, nothing built in: navigation ducks media, phone stops it.
pub(super) fn empty_car() -> Model {
    let mut model = Model {
        classes: vec![
            class("media", 10, false),
            class("navigation", 50, false),
            class("phone", 70, false),
        ],
        cells: BTreeMap::from([
            ((CLASS_MEDIA, CLASS_NAVIGATION), cell(Holder::Duck, Newcomer::Play)),
            ((CLASS_MEDIA, CLASS_PHONE), cell(Holder::Stop, Newcomer::Play)),
        ]),
        ..Model::default()
    };
    model.routing.curve = vec![(0, -60), (10, 0)];
    model
}

pub(super) struct Rig {
    pub machine: Machine,
    pub now: Time,
    /// Effects of the last step.
    pub effects: Vec<Effect>,
    /// Requests without an ack yet, with the peer they went to.
    pub open: Vec<(String, DomainRequest)>,
    /// Every signal since the last look.
    pub signals: Vec<Signal>,
    /// Every request since the last look.
    pub sent: Vec<DomainRequest>,
}

impl Rig {
    pub fn new(model: Model) -> Self {
        Self {
            machine: Machine::new(model),
            now: 1000,
            effects: Vec::new(),
            open: Vec::new(),
            signals: Vec::new(),
            sent: Vec::new(),
        }
    }

    pub fn step(&mut self, event: Event) {
        self.effects = self.machine.step(event, self.now);
        for effect in &self.effects {
            match effect {
                Effect::Signal(signal) => self.signals.push(signal.clone()),
                Effect::Domain { domain, request } => {
                    let peer = self.machine.domain(*domain).expect("a registered domain").peer.clone();
                    self.sent.push(request.clone());
                    if let DomainRequest::Abort { handle } = request {
                        self.open.retain(|it| it.0 != peer || it.1.handle() != *handle);
                    } else if !matches!(request, DomainRequest::SetDomainState { .. }) {
                        self.open.push((peer, request.clone()));
                    }
                }
                _ => {}
            }
        }
    }

    pub fn routing(&mut self, peer: &str, call: RoutingCall) -> RoutingReply {
        let peer = peer.to_owned();
        self.step(Event::Routing { token: 9, peer, call });
        let mut replies = self.effects.iter().filter_map(|effect| match effect {
            Effect::RoutingReply { token: 9, reply } => Some(reply.clone()),
            _ => None,
        });
        let reply = replies.next().expect("a reply");
        assert_eq!(replies.next(), None, "one reply a call");
        reply
    }

    pub fn call(&mut self, call: Call) -> Reply {
        self.step(Event::Call { token: 7, call });
        let mut replies = self.effects.iter().filter_map(|effect| match effect {
            Effect::Reply { token: 7, reply } => Some(reply.clone()),
            _ => None,
        });
        let reply = replies.next().expect("a reply");
        assert_eq!(replies.next(), None, "one reply a call");
        reply
    }

    /// Connects; the code and the ID.
    pub fn connect(&mut self, source: u16, sink: u16) -> (i16, u16) {
        let reply = self.call(Call::Connect { source, sink });
        match reply.body {
            ReplyBody::Connection(id) => (reply.error, id),
            other => panic!("{other:?}"),
        }
    }

    pub fn registered(&mut self, peer: &str, call: RoutingCall) -> u16 {
        match self.routing(peer, call) {
            RoutingReply::Id { id, error: 0 } => id,
            other => panic!("{other:?}"),
        }
    }

    pub fn domain(&mut self, peer: &str, name: &str) -> u16 {
        self.registered(peer, RoutingCall::RegisterDomain(domain(name)))
    }

    pub fn class(&mut self, index: usize) -> u16 {
        101 + u16::try_from(index).unwrap()
    }

    pub fn source(&mut self, peer: &str, domain: u16, name: &str, class: usize) -> u16 {
        let class = self.class(class);
        self.registered(peer, RoutingCall::RegisterSource(source(domain, name, class)))
    }

    pub fn sink(&mut self, peer: &str, domain: u16, name: &str) -> u16 {
        self.registered(peer, RoutingCall::RegisterSink(sink(domain, name)))
    }

    /// From a sink to a source, in stereo and mono.
    pub fn gateway(&mut self, peer: &str, sink: (u16, u16), source: (u16, u16)) -> u16 {
        self.registered(peer, RoutingCall::RegisterGateway(gateway(sink, source)))
    }

    /// Acknowledges the oldest open request; what it was.
    pub fn ack(&mut self) -> DomainRequest {
        self.ack_with(0)
    }

    pub fn ack_with(&mut self, error: u16) -> DomainRequest {
        let (peer, request) = self.open.remove(0);
        let (handle, result) = (request.handle(), ack_of(&request));
        self.routing(&peer, RoutingCall::Ack { handle, result, error });
        request
    }

    /// Acknowledges until nothing is open.
    pub fn ack_all(&mut self) {
        for _ in 0..1000 {
            if self.open.is_empty() {
                return;
            }
            self.ack();
        }
        panic!("requests without end");
    }

    /// Waits until the next deadline.
    pub fn wait(&mut self) -> Time {
        let deadline = self.machine.next_deadline().expect("a deadline");
        let before = std::mem::replace(&mut self.now, deadline);
        self.step(Event::Tick);
        deadline - before
    }

    /// The state changes of a connection since the last look, 255 for its removal.
    pub fn states(&mut self, id: u16) -> Vec<i16> {
        let signals = std::mem::take(&mut self.signals).into_iter();
        let states = signals.filter_map(|signal| match signal {
            Signal::MainConnectionStateChanged { connection, state } if connection == id => Some(state as i16),
            Signal::RemovedMainConnection { connection } if connection == id => Some(255),
            _ => None,
        });
        states.collect()
    }

    pub fn state(&mut self, id: u16) -> Option<ConnectionState> {
        let reply = self.machine.step(
            Event::Call {
                token: 1,
                call: Call::GetListMainConnections,
            },
            self.now,
        );
        let Some(Effect::Reply { reply, .. }) = reply.first() else {
            panic!("no reply")
        };
        match &reply.body {
            ReplyBody::Connections(all) => all.iter().find(|it| it.id == id).map(|it| it.state),
            other => panic!("{other:?}"),
        }
    }

    pub fn sent(&mut self) -> Vec<DomainRequest> {
        std::mem::take(&mut self.sent)
    }
}

pub(super) fn domain(name: &str) -> DomainData {
    DomainData {
        name: name.to_owned(),
        bus_name: format!("org.example.{name}"),
        path: "/".to_owned(),
        interface: "org.example.domain".to_owned(),
        state: 1,
        ..DomainData::default()
    }
}

pub(super) fn lists() -> Lists {
    Lists {
        formats: vec![format::MONO, format::STEREO],
        ..Lists::default()
    }
}

pub(super) fn source(domain: u16, name: &str, class: u16) -> SourceData {
    SourceData {
        domain,
        name: name.to_owned(),
        class,
        state: 2,
        visible: true,
        availability: (1, 0),
        interrupt: 1,
        lists: lists(),
        ..SourceData::default()
    }
}

pub(super) fn sink(domain: u16, name: &str) -> SinkData {
    SinkData {
        domain,
        name: name.to_owned(),
        visible: true,
        availability: (1, 0),
        mute: 2,
        main_volume: 5,
        lists: lists(),
        ..SinkData::default()
    }
}

/// `(domain, id)` of both.
pub(super) fn gateway(sink: (u16, u16), source: (u16, u16)) -> GatewayData {
    GatewayData {
        id: 0,
        name: format!("{} to {}", sink.1, source.1),
        sink: sink.1,
        source: source.1,
        domain_sink: sink.0,
        domain_source: source.0,
        control_domain: sink.0,
        source_formats: vec![format::STEREO, format::MONO],
        sink_formats: vec![format::STEREO, format::MONO],
        matrix: vec![true, false, false, true],
    }
}

/// The ack of a request.
pub(super) fn ack_of(request: &DomainRequest) -> AckResult {
    match *request {
        DomainRequest::Connect { connection, .. } => AckResult::Connect { connection },
        DomainRequest::Disconnect { connection, .. } => AckResult::Disconnect { connection },
        DomainRequest::SetSourceState { .. } => AckResult::SourceState,
        DomainRequest::SetSinkVolume { volume, .. } => AckResult::SinkVolume { volume },
        DomainRequest::SetSourceVolume { volume, .. } => AckResult::SourceVolume { volume },
        DomainRequest::SetSinkSoundProperty { .. } => AckResult::SinkSoundProperty,
        DomainRequest::SetSourceSoundProperty { .. } => AckResult::SourceSoundProperty,
        DomainRequest::SetSinkNotificationConfiguration { .. } => AckResult::SinkNotification,
        DomainRequest::SetSourceNotificationConfiguration { .. } => AckResult::SourceNotification,
        DomainRequest::TransferConnection { .. } => AckResult::TransferConnection,
        DomainRequest::SetSinkSoundProperties { .. } => AckResult::SinkSoundProperty,
        DomainRequest::SetSourceSoundProperties { .. } => AckResult::SourceSoundProperty,
        DomainRequest::CrossFade { hot_sink, .. } => AckResult::CrossFading { hot_sink },
        DomainRequest::SetVolumes { .. } => AckResult::SetVolumes,
        ref other => panic!("{other:?} is never asked, or has no ack"),
    }
}

/// One domain, one media source, one sink: `(rig, source, sink)`.
pub(super) fn amplifier() -> (Rig, u16, u16) {
    let mut rig = Rig::new(empty_car());
    let domain = rig.domain(":1.1", "amplifier");
    let source = rig.source(":1.1", domain, "tuner", CLASS_MEDIA);
    let sink = rig.sink(":1.1", domain, "AllSpeakers");
    rig.signals.clear();
    (rig, source, sink)
}

/// What a rig of several domains consists of.
pub(super) struct Chain {
    pub rig: Rig,
    pub sources: Vec<u16>,
    pub sinks: Vec<u16>,
    pub domains: Vec<u16>,
}

/// A chain of domains, each with one source and one sink, a gateway from each to the next; domain `n` is peer `:1.n`.
pub(super) fn chain(domains: u16) -> Chain {
    let mut rig = Rig::new(empty_car());
    let mut chain = Chain {
        sources: Vec::new(),
        sinks: Vec::new(),
        domains: Vec::new(),
        rig: Rig::new(empty_car()),
    };
    for n in 1..=domains {
        let peer = format!(":1.{n}");
        let domain = rig.domain(&peer, &format!("domain{n}"));
        let source = rig.source(&peer, domain, &format!("source{n}"), CLASS_MEDIA);
        if let (Some(before), Some(sink)) = (chain.domains.last(), chain.sinks.last()) {
            rig.gateway(&format!(":1.{}", n - 1), (*before, *sink), (domain, source));
        }
        chain.domains.push(domain);
        chain.sources.push(source);
        chain.sinks.push(rig.sink(&peer, domain, &format!("sink{n}")));
    }
    rig.signals.clear();
    chain.rig = rig;
    chain
}

/// A deregistration.
pub(super) fn deregister(kind: Kind, id: u16) -> RoutingCall {
    RoutingCall::Deregister { kind, id }
}

/// An availability.
pub(super) fn available(end: End, available: bool) -> RoutingCall {
    let availability = (if available { 1 } else { 2 }, 0);
    RoutingCall::HookAvailabilityStatusChange { end, availability }
}
