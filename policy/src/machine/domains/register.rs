//! What domains register, change and take away, and what they tell.

use std::collections::BTreeSet;

use super::{code_reply, id_reply};
use crate::command::{MainSink, MainSource, Signal, error};
use crate::machine::Machine;
use crate::machine::ids::Table;
use crate::rules::action::Ramp;

use crate::routing::{BUILT_IN, BUILT_IN_NAME, Conversion, Crossfader, Domain, Gateway, Sink, Source};
use crate::routing_command::{
    CrossfaderData, DomainData, End, GatewayData, Kind, Lists, RoutingCall, RoutingReply, SinkData, SourceData,
};

/// Elements of one kind that may be registered, by all and by one peer.
const MAX_OF_KIND: usize = 128;
const MAX_OF_PEER: usize = 64;
/// Bytes of a name, entries of a list, cells of a matrix.
const MAX_NAME: usize = 128;
const MAX_LIST: usize = 32;

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME
}

fn are_lists(lists: &Lists) -> bool {
    let lengths = [
        lists.formats.len(),
        lists.sound.len(),
        lists.main_sound.len(),
        lists.notifications.len(),
        lists.main_notifications.len(),
    ];
    lengths.iter().all(|length| *length <= MAX_LIST)
}

/// One notification a type: the first.
fn without_doubles(mut lists: Lists) -> Lists {
    for list in [&mut lists.notifications, &mut lists.main_notifications] {
        let mut seen = BTreeSet::new();
        list.retain(|it| seen.insert(it.0));
    }
    lists
}

impl Machine {
    /// Everything but acks.
    pub(super) fn registration(&mut self, peer: &str, call: RoutingCall, signals: &mut Vec<Signal>) -> RoutingReply {
        match call {
            RoutingCall::RegisterDomain(data) => id_reply(self.register_domain(peer, data, signals)),
            RoutingCall::RegisterSource(data) => {
                let done = self.register_source(peer, data, signals);
                self.register_by_policy(signals);
                id_reply(done)
            }
            RoutingCall::RegisterSink(data) => {
                let done = self.register_sink(peer, data, signals);
                self.register_by_policy(signals);
                id_reply(done)
            }
            RoutingCall::RegisterGateway(data) => id_reply(self.register_gateway(peer, Kind::Gateway, data)),
            RoutingCall::RegisterConverter(data) => id_reply(self.register_gateway(peer, Kind::Converter, data)),
            RoutingCall::RegisterCrossfader(data) => id_reply(self.register_crossfader(peer, data)),
            RoutingCall::Deregister { kind, id } => code_reply(self.deregister(peer, kind, id, signals)),
            RoutingCall::Peek { kind, name } => id_reply(self.peek(kind, &name)),
            RoutingCall::PeekClass { name } => {
                let class = self.model.classes.iter().position(|class| class.name == name);
                id_reply(
                    class
                        .and_then(|it| self.state.ids.classes.id(it))
                        .ok_or(error::NON_EXISTENT),
                )
            }
            RoutingCall::GetDomainOf { end } => id_reply(self.domain_of(end).ok_or(error::NON_EXISTENT)),
            RoutingCall::Update { end, class, lists } => code_reply(self.update(peer, end, class, lists, signals)),
            RoutingCall::UpdateGateway {
                kind,
                id,
                source_formats,
                sink_formats,
                matrix,
            } => {
                let conversion = Conversion::new(sink_formats, source_formats, matrix);
                code_reply(self.update_gateway(peer, kind, id, conversion))
            }
            told => {
                self.told(peer, told, signals);
                RoutingReply::Nothing
            }
        }
    }

    /// A peer may speak for its own domains only.
    pub(super) fn owns(&self, peer: &str, domain: u16) -> bool {
        self.state.routing.registry.peer(domain) == Some(peer)
    }

    /// The domain an element is to be registered in.
    pub(super) fn in_domain(&self, peer: &str, domain: u16) -> Result<(), i16> {
        match self.state.routing.registry.peer(domain) {
            None => Err(error::DATABASE_ERROR),
            Some(owner) if owner != peer => Err(error::NOT_POSSIBLE),
            Some(_) => Ok(()),
        }
    }

    /// Whether a peer may change what is registered.
    pub(super) fn may_change(&self, peer: &str, kind: Kind, id: u16) -> Result<(), i16> {
        let domain = self
            .state
            .routing
            .registry
            .domain_of(kind, id)
            .ok_or(error::NON_EXISTENT)?;
        if self.owns(peer, domain) {
            Ok(())
        } else {
            Err(error::NOT_POSSIBLE)
        }
    }

    /// The domain of a source or sink, a guest's stream and a zone too.
    pub(super) fn domain_of(&self, end: End) -> Option<u16> {
        let ids = &self.state.ids;
        let built_in = match end {
            End::Source(id) => ids.sources.index(id),
            End::Sink(id) => ids.sinks.index(id),
        };
        match built_in {
            Some(_) => Some(BUILT_IN),
            None => self.state.routing.registry.domain_of(end.kind(), end.id()),
        }
    }

    /// Takes an ID for a name.
    fn claim(&mut self, peer: &str, kind: Kind, name: &str, wanted: u16) -> Result<u16, i16> {
        if !is_name(name) {
            return Err(error::OUT_OF_RANGE);
        }
        let registry = &self.state.routing.registry;
        let all = registry.ids(kind).len();
        if all >= MAX_OF_KIND || registry.count_of(kind, peer) >= MAX_OF_PEER {
            return Err(error::NOT_POSSIBLE);
        }
        let live: Vec<u16> = registry.ids(kind);
        let table = self.table(kind);
        table.claim(name, wanted, |id| live.contains(&id))
    }

    fn table(&mut self, kind: Kind) -> &mut Table {
        let ids = &mut self.state.ids;
        match kind {
            Kind::Source => &mut ids.sources,
            Kind::Sink => &mut ids.sinks,
            Kind::Domain => &mut ids.domains,
            Kind::Gateway => &mut ids.gateways,
            Kind::Converter => &mut ids.converters,
            Kind::Crossfader => &mut ids.crossfaders,
        }
    }

    fn peek(&mut self, kind: Kind, name: &str) -> Result<u16, i16> {
        if kind == Kind::Domain && name == BUILT_IN_NAME {
            return Ok(BUILT_IN);
        }
        if !is_name(name) {
            return Err(error::OUT_OF_RANGE);
        }
        let live: Vec<u16> = self.state.routing.registry.ids(kind);
        self.table(kind).reserve(name, |id| live.contains(&id))
    }

    fn register_domain(&mut self, peer: &str, mut data: DomainData, signals: &mut Vec<Signal>) -> Result<u16, i16> {
        let texts = [&data.node_name, &data.bus_name, &data.path, &data.interface];
        if texts.iter().any(|text| text.len() > 2 * MAX_NAME) {
            return Err(error::OUT_OF_RANGE);
        }
        if data.name == BUILT_IN_NAME || data.id == BUILT_IN {
            return Err(error::ALREADY_EXISTS);
        }
        self.domain_as_known(&mut data)?;
        let id = self.claim(peer, Kind::Domain, &data.name, data.id)?;
        let domain = Domain {
            name: data.name,
            peer: peer.to_owned(),
            bus_name: data.bus_name,
            path: data.path,
            interface: data.interface,
            node_name: data.node_name,
            early: data.early,
            complete: data.complete,
            state: data.state,
            asked_state: None,
        };
        self.state.routing.registry.domains.insert(id, domain);
        self.register_by_policy(signals);
        Ok(id)
    }

    pub(super) fn register_source(
        &mut self,
        peer: &str,
        mut data: SourceData,
        signals: &mut Vec<Signal>,
    ) -> Result<u16, i16> {
        self.in_domain(peer, data.domain)?;
        self.source_as_known(&mut data)?;
        data.class = self.class_or_default(data.class);
        if !are_lists(&data.lists) {
            return Err(error::OUT_OF_RANGE);
        }
        let id = self.claim(peer, Kind::Source, &data.name, data.id)?;
        let rules = &self.model.routing;
        let first = rules.known.sources.get(&data.name).and_then(|it| it.volume);
        let base_volume = rules.clamp_volume(&data.name, first.unwrap_or(data.volume));
        let source = Source {
            name: data.name,
            domain: data.domain,
            class: data.class,
            visible: data.visible,
            availability: data.availability,
            state: data.state,
            volume: data.volume,
            base_volume,
            release_ms: None,
            ramp: Ramp::default(),
            interrupt: data.interrupt,
            lists: without_doubles(data.lists),
        };
        if source.visible {
            signals.push(Signal::SourceAdded(main_source(id, &source)));
        }
        let class = source.class;
        self.state.routing.registry.sources.insert(id, source);
        self.state.routing.fresh.push(End::Source(id));
        self.show_early(Some((id, class)), signals);
        Ok(id)
    }

    pub(super) fn register_sink(
        &mut self,
        peer: &str,
        mut data: SinkData,
        signals: &mut Vec<Signal>,
    ) -> Result<u16, i16> {
        self.in_domain(peer, data.domain)?;
        self.sink_as_known(&mut data)?;
        data.class = self.class_or_default(data.class);
        if !are_lists(&data.lists) {
            return Err(error::OUT_OF_RANGE);
        }
        let id = self.claim(peer, Kind::Sink, &data.name, data.id)?;
        let rules = &self.model.routing;
        let curve = rules.curve_of(&data.name);
        let main_volume = crate::curve::clamp(curve, data.main_volume);
        let first = rules.known.sinks.get(&data.name);
        let wanted_volume = first.and_then(|it| it.main_volume);
        let wanted_volume = wanted_volume.map_or(main_volume, |it| crate::curve::clamp(curve, it));
        let wanted_mute = first.and_then(|it| it.muted).unwrap_or(data.mute == 1);
        // A group has one volume: that of those that are there already.
        let (wanted_volume, wanted_mute) = self.group_volume(&data.name).unwrap_or((wanted_volume, wanted_mute));
        let sink = Sink {
            name: data.name,
            domain: data.domain,
            class: data.class,
            visible: data.visible,
            availability: data.availability,
            volume: data.volume,
            main_volume,
            wanted_volume,
            mute: data.mute == 1,
            wanted_mute,
            ramp: Ramp::default(),
            lists: without_doubles(data.lists),
        };
        if sink.visible {
            signals.push(Signal::SinkAdded(main_sink(id, &sink)));
        }
        self.state.routing.registry.sinks.insert(id, sink);
        self.state.routing.fresh.push(End::Sink(id));
        self.show_early(None, signals);
        Ok(id)
    }

    /// A class that the file has: the one it gives for others, or itself.
    fn class_or_default(&self, class: u16) -> u16 {
        let ids = &self.state.ids.classes;
        let default = self.model.routing.default_class.and_then(|it| ids.id(it));
        default.filter(|_| ids.index(class).is_none()).unwrap_or(class)
    }

    pub(super) fn register_gateway(&mut self, peer: &str, kind: Kind, mut data: GatewayData) -> Result<u16, i16> {
        self.in_domain(peer, data.control_domain)?;
        if kind == Kind::Gateway {
            self.gateway_as_known(&mut data)?;
        }
        let registry = &self.state.routing.registry;
        let sink = self.domain_of(End::Sink(data.sink));
        let source = self.domain_of(End::Source(data.source));
        if sink != Some(data.domain_sink) || source != Some(data.domain_source) {
            return Err(error::NON_EXISTENT);
        }
        // A guest may be a domain too, and play what it routes by one of its streams: but never by a protected one.
        let stream = self.state.ids.sources.index(data.source);
        if stream.is_some_and(|index| self.model.protected(index)) {
            return Err(error::NOT_POSSIBLE);
        }
        if kind == Kind::Converter && sink != source {
            return Err(error::OUT_OF_RANGE);
        }
        let mut all = registry.gateways.values().chain(registry.converters.values());
        if all.any(|it| it.sink == data.sink && it.source == data.source) {
            return Err(error::ALREADY_EXISTS);
        }
        if data.sink_formats.len() > MAX_LIST || data.source_formats.len() > MAX_LIST {
            return Err(error::OUT_OF_RANGE);
        }
        let conversion = Conversion::new(data.sink_formats, data.source_formats, data.matrix);
        let conversion = conversion.ok_or(error::OUT_OF_RANGE)?;
        let id = self.claim(peer, kind, &data.name, data.id)?;
        let gateway = Gateway {
            name: data.name,
            sink: data.sink,
            source: data.source,
            domain: data.control_domain,
            conversion,
        };
        let registry = &mut self.state.routing.registry;
        match kind {
            Kind::Converter => registry.converters.insert(id, gateway),
            _ => registry.gateways.insert(id, gateway),
        };
        Ok(id)
    }

    fn register_crossfader(&mut self, peer: &str, data: CrossfaderData) -> Result<u16, i16> {
        let registry = &self.state.routing.registry;
        let ends = [
            registry.domain_of(Kind::Sink, data.sink_a),
            registry.domain_of(Kind::Sink, data.sink_b),
            registry.domain_of(Kind::Source, data.source),
        ];
        let [Some(domain), Some(b), Some(source)] = ends else {
            return Err(error::NON_EXISTENT);
        };
        if domain != b || domain != source || data.sink_a == data.sink_b {
            return Err(error::OUT_OF_RANGE);
        }
        self.in_domain(peer, domain)?;
        let id = self.claim(peer, Kind::Crossfader, &data.name, data.id)?;
        let crossfader = Crossfader {
            name: data.name,
            domain,
            sink_a: data.sink_a,
            sink_b: data.sink_b,
            source: data.source,
            hot_sink: data.hot_sink,
        };
        self.state.routing.registry.crossfaders.insert(id, crossfader);
        Ok(id)
    }

    fn update(&mut self, peer: &str, end: End, class: u16, lists: Lists, signals: &mut Vec<Signal>) -> Result<(), i16> {
        self.may_change(peer, end.kind(), end.id())?;
        if !are_lists(&lists) {
            return Err(error::OUT_OF_RANGE);
        }
        let lists = without_doubles(lists);
        let properties = lists.main_sound.clone();
        let registry = &mut self.state.routing.registry;
        match end {
            End::Source(source) => {
                let Some(known) = registry.sources.get_mut(&source) else {
                    return Ok(());
                };
                known.class = class;
                known.lists = lists;
                if known.visible {
                    signals.push(Signal::SourceUpdated {
                        source,
                        class,
                        properties,
                    });
                }
                for main in self.state.routing.mains.values_mut().filter(|it| it.source == source) {
                    main.class = class;
                }
            }
            End::Sink(sink) => {
                let Some(known) = registry.sinks.get_mut(&sink) else {
                    return Ok(());
                };
                known.class = class;
                known.lists = lists;
                if known.visible {
                    signals.push(Signal::SinkUpdated {
                        sink,
                        class,
                        properties,
                    });
                }
            }
        }
        Ok(())
    }

    fn update_gateway(&mut self, peer: &str, kind: Kind, id: u16, conversion: Option<Conversion>) -> Result<(), i16> {
        self.may_change(peer, kind, id)?;
        let conversion = conversion
            .filter(|it| it.rows().max(it.columns()) <= MAX_LIST)
            .ok_or(error::OUT_OF_RANGE)?;
        let registry = &mut self.state.routing.registry;
        let known = match kind {
            Kind::Converter => registry.converters.get_mut(&id),
            _ => registry.gateways.get_mut(&id),
        };
        if let Some(known) = known {
            known.conversion = conversion;
        }
        Ok(())
    }

    pub(super) fn lists_of(&self, end: End) -> Option<&Lists> {
        let registry = &self.state.routing.registry;
        match end {
            End::Source(source) => registry.sources.get(&source).map(|it| &it.lists),
            End::Sink(sink) => registry.sinks.get(&sink).map(|it| &it.lists),
        }
    }

    pub(super) fn lists_mut(&mut self, end: End) -> Option<&mut Lists> {
        let registry = &mut self.state.routing.registry;
        match end {
            End::Source(source) => registry.sources.get_mut(&source).map(|it| &mut it.lists),
            End::Sink(sink) => registry.sinks.get_mut(&sink).map(|it| &mut it.lists),
        }
    }
}

/// `A_UNAVAILABLE` is; not knowing isn't.
pub(super) fn is_available(availability: (i16, i16)) -> bool {
    availability.0 != 2
}

/// A domain's source as clients see it.
pub(super) fn main_source(id: u16, source: &Source) -> MainSource {
    MainSource {
        id,
        name: source.name.clone(),
        availability: source.availability,
        class: source.class,
    }
}

/// A domain's sink as clients see it.
pub(super) fn main_sink(id: u16, sink: &Sink) -> MainSink {
    MainSink {
        id,
        name: sink.name.clone(),
        availability: sink.availability,
        volume: sink.main_volume,
        mute: if sink.mute { 1 } else { 2 },
        class: sink.class,
    }
}
