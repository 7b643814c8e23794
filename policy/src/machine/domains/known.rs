//! What the file says of a domain and its elements, where they register: it goes before what the domain says.

use super::state::Target;
use crate::command::{Availability, Signal, error};
use crate::machine::Machine;
use crate::routing::Conversion;
use crate::routing::known::{Known, KnownEnd, Registers};
use crate::routing_command::{DomainData, End, GatewayData, Kind, Lists, SinkData, SourceData, source_state};

/// The fields of a source or sink that the file may fix.
struct Fields<'a> {
    id: &'a mut u16,
    class: &'a mut u16,
    visible: &'a mut bool,
    availability: &'a mut Availability,
    lists: &'a mut Lists,
}

impl Machine {
    /// # Errors
    /// 4 the file doesn't name it and names all there are, 7 it gives another bus name than the file.
    pub(super) fn domain_as_known(&self, data: &mut DomainData) -> Result<(), i16> {
        let rules = &self.model.routing;
        let Some(known) = rules.known.domains.get(&data.name) else {
            return if rules.only_known {
                Err(error::DATABASE_ERROR)
            } else {
                Ok(())
            };
        };
        if known.bus_name.as_ref().is_some_and(|name| *name != data.bus_name) {
            return Err(error::NOT_POSSIBLE);
        }
        data.early |= known.early;
        data.complete |= known.complete;
        data.id = known.id.unwrap_or(data.id);
        Ok(())
    }

    /// What the file says of an element, if it is named there.
    ///
    /// # Errors
    /// 7 the file names all there are, and not this one.
    fn known<'a, T>(&'a self, of: impl FnOnce(&'a Known) -> Option<&'a T>) -> Result<Option<&'a T>, i16> {
        let rules = &self.model.routing;
        match of(&rules.known) {
            None if rules.only_known => Err(error::NOT_POSSIBLE),
            known => Ok(known),
        }
    }

    fn end_as_known(&self, known: &KnownEnd, domain: u16, fields: Fields<'_>) -> Result<(), i16> {
        let there = self.state.routing.registry.domains.get(&domain);
        if there.is_some_and(|it| it.name != known.domain) {
            return Err(error::NOT_POSSIBLE);
        }
        *fields.id = known.id.unwrap_or(*fields.id);
        let class = known.class.and_then(|class| self.state.ids.classes.id(class));
        *fields.class = class.unwrap_or(*fields.class);
        *fields.visible = known.visible.unwrap_or(*fields.visible);
        if let (Some(available), 0) = (known.available, fields.availability.0) {
            fields.availability.0 = if available { 1 } else { 2 };
        }
        if !known.formats.is_empty() {
            fields.lists.formats.clone_from(&known.formats);
        }
        Ok(())
    }

    /// # Errors
    /// 7 it is another domain's in the file, or the file names all there are and not this one.
    pub(super) fn source_as_known(&self, data: &mut SourceData) -> Result<(), i16> {
        let Some(known) = self.known(|known| known.sources.get(&data.name))? else {
            return Ok(());
        };
        let fields = Fields {
            id: &mut data.id,
            class: &mut data.class,
            visible: &mut data.visible,
            availability: &mut data.availability,
            lists: &mut data.lists,
        };
        self.end_as_known(&known.end, data.domain, fields)
    }

    /// # Errors
    /// As [`Self::source_as_known`].
    pub(super) fn sink_as_known(&self, data: &mut SinkData) -> Result<(), i16> {
        let Some(known) = self.known(|known| known.sinks.get(&data.name))? else {
            return Ok(());
        };
        let fields = Fields {
            id: &mut data.id,
            class: &mut data.class,
            visible: &mut data.visible,
            availability: &mut data.availability,
            lists: &mut data.lists,
        };
        self.end_as_known(&known.end, data.domain, fields)
    }

    /// # Errors
    /// As [`Self::source_as_known`]; 7 also where its ends are not those of the file.
    pub(super) fn gateway_as_known(&self, data: &mut GatewayData) -> Result<(), i16> {
        let Some(known) = self.known(|known| known.gateways.get(&data.name))? else {
            return Ok(());
        };
        let domain = self.state.routing.registry.domains.get(&data.control_domain);
        let same = |end: End, name: &str| self.id_of_name(end.kind(), name) == Some(end.id());
        if domain.is_some_and(|it| it.name != known.domain)
            || !same(End::Sink(data.sink), &known.sink)
            || !same(End::Source(data.source), &known.source)
        {
            return Err(error::NOT_POSSIBLE);
        }
        data.id = known.id.unwrap_or(data.id);
        if let Some(conversion) = &known.conversion {
            let (sinks, sources, matrix) = conversion.parts();
            data.sink_formats = sinks.to_vec();
            data.source_formats = sources.to_vec();
            data.matrix = matrix.to_vec();
        }
        Ok(())
    }

    /// Whether a domain that the file requires is not complete yet.
    pub(in crate::machine) fn awaits_domains(&self) -> bool {
        let domains = &self.state.routing.registry.domains;
        let complete = |name: &String| domains.values().any(|it| it.name == *name && it.complete);
        let mut required = self.model.routing.known.domains.iter().filter(|it| it.1.required);
        required.any(|(name, _)| !complete(name))
    }

    /// Sets the wanted mainVolume and mute of a domain's sink, if it is there.
    pub(in crate::machine) fn put_domain_volume(&mut self, name: &str, volume: i16, mute: bool) {
        let Some(id) = self.id_of_name(Kind::Sink, name) else {
            return;
        };
        let curve = self.model.routing.curve_of(name);
        let Some(sink) = self.state.routing.registry.sinks.get_mut(&id) else {
            return;
        };
        let wanted = (crate::curve::clamp(curve, volume), mute);
        if (sink.wanted_volume, sink.wanted_mute) != wanted {
            (sink.wanted_volume, sink.wanted_mute) = wanted;
            self.state.routing.forgive(Target::SinkVolume(id));
        }
    }

    /// The ID of a source, sink or domain that is there, guests' streams and zones too.
    pub(in crate::machine) fn id_of_name(&self, kind: Kind, name: &str) -> Option<u16> {
        let registry = &self.state.routing.registry;
        match kind {
            Kind::Source => {
                let built_in = self.model.sources.iter().position(|it| it.name == name);
                let external = || registry.sources.iter().find(|it| it.1.name == name).map(|it| *it.0);
                built_in.and_then(|it| self.source_id(it)).or_else(external)
            }
            Kind::Sink => {
                let built_in = self.model.sinks.iter().position(|it| it.name == name);
                let external = || registry.sinks.iter().find(|it| it.1.name == name).map(|it| *it.0);
                built_in.and_then(|it| self.sink_id(it)).or_else(external)
            }
            Kind::Domain => registry.domains.iter().find(|it| it.1.name == name).map(|it| *it.0),
            Kind::Gateway => registry.gateways.iter().find(|it| it.1.name == name).map(|it| *it.0),
            _ => None,
        }
    }

    /// Registers what the policy is to register and can: elements of domains that are there, gateways whose ends are.
    pub(super) fn register_by_policy(&mut self, signals: &mut Vec<Signal>) {
        let known = &self.model.routing.known;
        let ends = known.sources.iter().map(|it| (Kind::Source, it.0, it.1.end.registers));
        let ends = ends.chain(known.sinks.iter().map(|it| (Kind::Sink, it.0, it.1.end.registers)));
        let all = ends.chain(known.gateways.iter().map(|it| (Kind::Gateway, it.0, it.1.registers)));
        let own: Vec<(Kind, String)> = all
            .filter(|it| it.2 == Registers::Policy)
            .map(|(kind, name, _)| (kind, name.clone()))
            .collect();
        for (kind, name) in own {
            self.register_known(kind, &name, signals);
        }
    }

    /// Registers a source, sink or gateway of the file for its domain, if that is there: whether it is there now.
    pub(in crate::machine) fn register_known(&mut self, kind: Kind, name: &str, signals: &mut Vec<Signal>) -> bool {
        if self.id_of_name(kind, name).is_some() {
            return true;
        }
        let known = &self.model.routing.known;
        let domain = match kind {
            Kind::Source => known.sources.get(name).map(|it| it.end.domain.clone()),
            Kind::Sink => known.sinks.get(name).map(|it| it.end.domain.clone()),
            _ => known.gateways.get(name).map(|it| it.domain.clone()),
        };
        let domain = domain.and_then(|it| self.id_of_name(Kind::Domain, &it));
        let there = domain.and_then(|id| Some((id, self.state.routing.registry.domains.get(&id)?.peer.clone())));
        let Some((domain, peer)) = there else {
            return false;
        };
        let done = match kind {
            Kind::Source => self.register_source(&peer, plain_source(name, domain), signals),
            Kind::Sink => self.register_sink(&peer, plain_sink(name, domain), signals),
            _ => match self.plain_gateway(name, domain) {
                Some(data) => self.register_gateway(&peer, Kind::Gateway, data),
                None => return false,
            },
        };
        done.is_ok()
    }

    fn plain_gateway(&self, name: &str, control_domain: u16) -> Option<GatewayData> {
        let known = self.model.routing.known.gateways.get(name)?;
        let sink = self.id_of_name(Kind::Sink, &known.sink)?;
        let source = self.id_of_name(Kind::Source, &known.source)?;
        let conversion: &Conversion = known.conversion.as_ref()?;
        let (sink_formats, source_formats, matrix) = conversion.parts();
        Some(GatewayData {
            id: 0,
            name: name.to_owned(),
            sink,
            source,
            domain_sink: self.domain_of(End::Sink(sink))?,
            domain_source: self.domain_of(End::Source(source))?,
            control_domain,
            source_formats: source_formats.to_vec(),
            sink_formats: sink_formats.to_vec(),
            matrix: matrix.to_vec(),
        })
    }
}

/// As a domain would register it that has nothing to say: what the file says follows.
fn plain_source(name: &str, domain: u16) -> SourceData {
    SourceData {
        name: name.to_owned(),
        domain,
        state: source_state::OFF,
        visible: true,
        interrupt: crate::routing_command::interrupt_state::OFF,
        ..SourceData::default()
    }
}

fn plain_sink(name: &str, domain: u16) -> SinkData {
    SinkData {
        name: name.to_owned(),
        domain,
        visible: true,
        mute: 2,
        ..SinkData::default()
    }
}
