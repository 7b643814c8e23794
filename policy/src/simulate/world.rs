//! What is outside a machine: guests, clients, and domains that answer when they are told to.
//!
//! [`World::parts`] turns an action into what the machine is told one after the other; [`World::event`] makes the event of each
//! (a domain's source needs the ID that its domain was given just before), [`World::note`] looks at what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cast::{Ask, Cast};
use super::{Action, Connected, scenario};
use crate::command::Call;
use crate::effect::Effect;
use crate::routing::BUILT_IN;
use crate::routing_command::{
    AckResult, DomainData, DomainRequest, GatewayData, Kind, Lists, RoutingCall, SinkData, SourceData, domain_state,
    format, interrupt_state, source_state,
};
use crate::{Event, Machine};

/// One thing the machine is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Event(Event),
    /// An element is registered: its kind, and its place in the cast.
    Register(Kind, usize),
    /// A domain has registered all it has.
    Complete(usize),
}

/// A request that waits for its ack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub domain: usize,
    handle: u16,
    pub ask: Ask,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub cast: Arc<Cast>,
    generation: u32,
    /// By place in the cast; 0 = never registered.
    domains: Vec<u16>,
    sources: Vec<u16>,
    sinks: Vec<u16>,
    /// Source and sink of each segment that was asked for.
    segments: BTreeMap<u16, (usize, usize)>,
    /// Oldest first.
    pub open: Vec<Asked>,
    registering: Option<Kind>,
    /// How many there were: kept for the proof.
    pub faults: u32,
}

/// The bus name of a domain's connection.
fn peer(domain: usize) -> String {
    format!(":9.{domain}")
}

impl World {
    pub fn new(cast: Arc<Cast>) -> Self {
        Self {
            domains: vec![0; cast.domains.len()],
            sources: vec![0; cast.sources().count()],
            sinks: vec![0; cast.sinks().count()],
            cast,
            ..Self::default()
        }
    }

    fn source_id(&self, machine: &Machine, source: usize) -> u16 {
        let own = machine.source_id(source);
        own.or_else(|| self.sources.get(source.checked_sub(crate::effect::EXTERNAL)?).copied())
            .unwrap_or(0)
    }

    fn sink_id(&self, machine: &Machine, sink: usize) -> u16 {
        let own = machine.sink_id(sink);
        own.or_else(|| self.sinks.get(sink.checked_sub(crate::effect::EXTERNAL)?).copied())
            .unwrap_or(0)
    }

    /// The cast's index of a sourceID.
    pub fn source_of(&self, id: u16) -> Option<usize> {
        let place = self.sources.iter().position(|it| *it == id && id != 0)?;
        Some(crate::effect::EXTERNAL + place)
    }

    /// The same for a sink.
    pub fn sink_of(&self, id: u16) -> Option<usize> {
        let place = self.sinks.iter().position(|it| *it == id && id != 0)?;
        Some(crate::effect::EXTERNAL + place)
    }

    /// Whether a domain is registered.
    pub fn is_there(&self, machine: &Machine, domain: usize) -> bool {
        self.domains.get(domain).is_some_and(|id| machine.domain(*id).is_some())
    }

    /// What the machine is told of an action.
    pub fn parts(&mut self, machine: &Machine, action: &Action) -> Vec<Part> {
        match action {
            Action::Register { domain } => self.registration(*domain),
            Action::Start { source } => {
                self.generation = self.generation.wrapping_add(1);
                vec![Part::Event(Event::StreamStarted {
                    source: *source,
                    start_gen: self.generation,
                })]
            }
            _ => self.events(machine, action).into_iter().map(Part::Event).collect(),
        }
    }

    fn registration(&self, domain: usize) -> Vec<Part> {
        let place = |index: usize| index - crate::effect::EXTERNAL;
        let sources = self.cast.sources().filter(|it| it.1 == domain);
        let sources = sources.map(|it| Part::Register(Kind::Source, place(it.0)));
        let sinks = self.cast.sinks().filter(|it| it.1 == domain);
        let sinks = sinks.map(|it| Part::Register(Kind::Sink, place(it.0)));
        let gateways = self.cast.gateways().enumerate().filter(|(_, it)| it.0 == domain);
        let gateways = gateways.map(|(place, _)| Part::Register(Kind::Gateway, place));
        let elements = sources.chain(sinks).chain(gateways).chain([Part::Complete(domain)]);
        [Part::Register(Kind::Domain, domain)]
            .into_iter()
            .chain(elements)
            .collect()
    }

    fn events(&self, machine: &Machine, action: &Action) -> Vec<Event> {
        let of_guest = |guest: &str, available: bool| {
            let sources = machine.model().sources.iter().enumerate();
            let of_it = sources.filter(|(_, it)| scenario::guest_of(&it.name) == Some(guest));
            of_it
                .map(|(source, _)| Event::Available { source, available })
                .collect()
        };
        let state = |mute| if mute { 1 } else { 2 };
        let call = |call| vec![Event::Call { token: 1, call }];
        match *action {
            Action::Available { ref guest } => of_guest(guest, true),
            Action::Gone { ref guest } => of_guest(guest, false),
            Action::Stop { source } => vec![Event::StreamStopped { source }],
            Action::Release { source } => vec![Event::StreamReleased { source }],
            Action::Control { source, gain, mute } => vec![Event::UserGain { source, gain, mute }],
            Action::Sound { source, on } => vec![Event::Sounding { source, on }],
            Action::Connect { source, sink } => call(Call::Connect {
                source: self.source_id(machine, source),
                sink: self.sink_id(machine, sink),
            }),
            // Nobody's ID where there is no connection: refused as a client's call would be.
            Action::Disconnect { source, sink } => call(Call::Disconnect {
                connection: self.connection(machine, source, sink).unwrap_or(0),
            }),
            Action::Volume { sink, volume } => call(Call::SetVolume {
                sink: self.sink_id(machine, sink),
                volume,
            }),
            Action::Gain { source, gain } => call(Call::SetSourceGain {
                source: self.source_id(machine, source),
                gain,
            }),
            Action::MuteSink { sink, mute } => call(Call::SetSinkMuteState {
                sink: self.sink_id(machine, sink),
                state: state(mute),
            }),
            Action::MuteSource { source, mute } => call(Call::SetSourceMute {
                source: self.source_id(machine, source),
                state: state(mute),
            }),
            Action::Lose { domain } => vec![Event::PeerLost { peer: peer(domain) }],
            Action::Interrupt { source, on } => {
                let state = if on {
                    interrupt_state::INTERRUPTED
                } else {
                    interrupt_state::OFF
                };
                let domain = self.cast.sources().find(|it| it.0 == source).map_or(0, |it| it.1);
                let source = self.source_id(machine, source);
                vec![routing(
                    domain,
                    RoutingCall::HookInterruptStatusChange { source, state },
                )]
            }
            Action::Ack { domain, ask, error } => self.ack(domain, ask, error).into_iter().collect(),
            Action::Start { .. } | Action::Register { .. } => Vec::new(),
        }
    }

    /// Its main connection's ID.
    pub fn connection(&self, machine: &Machine, source: usize, sink: usize) -> Option<u16> {
        let mut built_in = machine.connections();
        if let Some(it) = built_in.find(|it| (it.source, it.sink) == (source, sink)) {
            return Some(it.id);
        }
        let mut over_domains = self.mains(machine);
        over_domains
            .find(|it| (it.source, it.sink) == (source, sink))
            .map(|it| it.id)
    }

    /// Main connections over domains, with indices of model and cast.
    pub fn mains<'w>(&'w self, machine: &'w Machine) -> impl Iterator<Item = Connected> + 'w {
        machine.mains().map(|(id, source, sink, state)| {
            let own = (0..machine.model().sources.len()).find(|it| machine.source_id(*it) == Some(source));
            let zone = (0..machine.model().sinks.len()).find(|it| machine.sink_id(*it) == Some(sink));
            Connected {
                id,
                source: own.or_else(|| self.source_of(source)).unwrap_or(usize::MAX),
                sink: zone.or_else(|| self.sink_of(sink)).unwrap_or(usize::MAX),
                state,
            }
        })
    }

    /// The oldest request of a domain, or a certain one.
    pub fn asked(&self, domain: usize, ask: Option<Ask>) -> Option<Asked> {
        let mut open = self.open.iter().filter(|it| it.domain == domain);
        open.find(|it| ask.is_none_or(|ask| it.ask == ask)).copied()
    }

    fn ack(&self, domain: usize, ask: Option<Ask>, error: u16) -> Option<Event> {
        let asked = self.asked(domain, ask)?;
        let connection = |source, sink| {
            let mut all = self.segments.iter();
            all.find(|it| *it.1 == (source, sink)).map_or(0, |it| *it.0)
        };
        let result = match asked.ask {
            Ask::Connect { source, sink } => AckResult::Connect {
                connection: connection(source, sink),
            },
            Ask::Disconnect { source, sink } => AckResult::Disconnect {
                connection: connection(source, sink),
            },
            Ask::State { .. } => AckResult::SourceState,
            Ask::SourceVolume { .. } => AckResult::SourceVolume { volume: 0 },
            Ask::SinkVolume { .. } => AckResult::SinkVolume { volume: 0 },
        };
        let handle = asked.handle;
        Some(routing(domain, RoutingCall::Ack { handle, result, error }))
    }

    /// The event of a part.
    pub fn event(&mut self, machine: &Machine, part: Part) -> Event {
        let (kind, place) = match part {
            Part::Event(event) => return event,
            Part::Register(kind, place) => (kind, place),
            Part::Complete(domain) => {
                let id = self.domains.get(domain).copied().unwrap_or(0);
                return routing(domain, RoutingCall::HookDomainRegistrationComplete { domain: id });
            }
        };
        self.registering = Some(kind);
        match kind {
            Kind::Source => self.source(machine, place),
            Kind::Sink => self.sink(place),
            Kind::Gateway => self.gateway(machine, place),
            _ => self.domain(machine, place),
        }
    }

    fn domain(&self, machine: &Machine, domain: usize) -> Event {
        let name = self.cast.domain_name(domain).to_owned();
        let known = machine.model().routing.known.domains.get(&name);
        let bus_name = known.and_then(|it| it.bus_name.clone());
        let data = DomainData {
            bus_name: bus_name.unwrap_or_else(|| format!("domain.{domain}")),
            path: "/".to_owned(),
            interface: "domain".to_owned(),
            state: domain_state::CONTROLLED,
            name,
            ..DomainData::default()
        };
        routing(domain, RoutingCall::RegisterDomain(data))
    }

    fn source(&self, machine: &Machine, place: usize) -> Event {
        let Some((_, domain, source)) = self.cast.sources().nth(place) else {
            return Event::Tick;
        };
        let data = SourceData {
            domain: self.domains[domain],
            name: source.name.clone(),
            class: machine.class_id(source.class).unwrap_or(0),
            state: source_state::OFF,
            visible: true,
            availability: (1, 0),
            interrupt: interrupt_state::OFF,
            lists: lists(),
            ..SourceData::default()
        };
        routing(domain, RoutingCall::RegisterSource(data))
    }

    fn sink(&self, place: usize) -> Event {
        let Some((_, domain, name)) = self.cast.sinks().nth(place) else {
            return Event::Tick;
        };
        let data = SinkData {
            domain: self.domains[domain],
            name: name.to_owned(),
            visible: true,
            availability: (1, 0),
            mute: 2,
            main_volume: VOLUME,
            lists: lists(),
            ..SinkData::default()
        };
        routing(domain, RoutingCall::RegisterSink(data))
    }

    fn gateway(&self, machine: &Machine, place: usize) -> Event {
        let Some((domain, gateway)) = self.cast.gateways().nth(place) else {
            return Event::Tick;
        };
        let below = self.cast.sinks().find(|it| it.0 == gateway.from);
        let data = GatewayData {
            name: gateway.name.clone(),
            sink: self.sink_id(machine, gateway.from),
            source: self.source_id(machine, gateway.to),
            domain_sink: below.map_or(BUILT_IN, |it| self.domains[it.1]),
            domain_source: self.domains[domain],
            control_domain: self.domains[domain],
            source_formats: vec![format::STEREO],
            sink_formats: vec![format::STEREO],
            matrix: vec![true],
            ..GatewayData::default()
        };
        routing(domain, RoutingCall::RegisterGateway(data))
    }

    /// Takes note of IDs that were given and of requests.
    pub fn note(&mut self, machine: &Machine, effects: &[Effect]) {
        if self.registering.take().is_some() {
            self.learn(machine);
        }
        for effect in effects {
            if let Effect::Domain { domain, request } = effect {
                self.note_request(*domain, request);
            }
        }
        self.open.retain(|it| machine.awaits(&peer(it.domain), it.handle));
    }

    /// IDs, also of what the policy registers for a domain.
    fn learn(&mut self, machine: &Machine) {
        let registry = machine.registry();
        let cast = self.cast.clone();
        for (place, domain) in cast.domains.iter().enumerate() {
            if let Some((id, _)) = registry.domains.iter().find(|(_, it)| it.name == domain.name) {
                self.domains[place] = *id;
            }
        }
        for (place, (_, _, source)) in cast.sources().enumerate() {
            if let Some((id, _)) = registry.sources.iter().find(|(_, it)| it.name == source.name) {
                self.sources[place] = *id;
            }
        }
        for (place, (_, _, sink)) in cast.sinks().enumerate() {
            if let Some((id, _)) = registry.sinks.iter().find(|(_, it)| it.name == sink) {
                self.sinks[place] = *id;
            }
        }
    }

    fn note_request(&mut self, domain: u16, request: &DomainRequest) {
        let Some((domain, ask)) = self.understood(domain, request) else {
            return;
        };
        if let (Ask::Connect { source, sink }, DomainRequest::Connect { connection, .. }) = (ask, request) {
            self.segments.retain(|_, it| *it != (source, sink));
            self.segments.insert(*connection, (source, sink));
        }
        let handle = request.handle();
        self.open.push(Asked { domain, handle, ask });
    }

    /// Whether a source sounds on its own.
    pub fn interrupts(&self, machine: &Machine, source: usize) -> Option<bool> {
        let id = self.source_id(machine, source);
        machine
            .registry()
            .sources
            .get(&id)
            .map(crate::routing::Source::interrupts)
    }

    /// What a request asks, in the cast's terms; a domain of another cast, or what no domain here is ever asked, is nothing.
    pub fn understood(&self, domain: u16, request: &DomainRequest) -> Option<(usize, Ask)> {
        let domain = self.domains.iter().position(|it| *it == domain)?;
        let ask = match *request {
            DomainRequest::Connect { source, sink, .. } => Ask::Connect {
                source: self.source_of(source)?,
                sink: self.sink_of(sink)?,
            },
            DomainRequest::Disconnect { connection, .. } => {
                let (source, sink) = *self.segments.get(&connection)?;
                Ask::Disconnect { source, sink }
            }
            DomainRequest::SetSourceState { source, .. } => Ask::State {
                source: self.source_of(source)?,
            },
            DomainRequest::SetSourceVolume { source, .. } => Ask::SourceVolume {
                source: self.source_of(source)?,
            },
            DomainRequest::SetSinkVolume { sink, .. } => Ask::SinkVolume {
                sink: self.sink_of(sink)?,
            },
            _ => return None,
        };
        Some((domain, ask))
    }
}

/// mainVolume of a domain's sink when it registers.
const VOLUME: i16 = 50;

fn lists() -> Lists {
    Lists {
        formats: vec![format::STEREO],
        ..Lists::default()
    }
}

fn routing(domain: usize, call: RoutingCall) -> Event {
    let (token, peer) = (2, peer(domain));
    Event::Routing { token, peer, call }
}
