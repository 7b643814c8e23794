//! What domains have registered, by ID. IDs come from names (see the machine's ID tables) and outlive what is registered here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::conversion::Conversion;
use crate::Db10;
use crate::command::Availability;
use crate::routing_command::{Kind, Lists, interrupt_state};
use crate::rules::action::Ramp;

/// A domain of another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct Domain {
    pub name: String,
    /// The connection that registered it.
    pub peer: String,
    /// Where it takes requests.
    pub bus_name: String,
    pub path: String,
    pub interface: String,
    pub node_name: String,
    pub early: bool,
    pub complete: bool,
    pub state: i16,
    /// The state it was asked for last.
    #[serde(default)]
    pub asked_state: Option<i16>,
}

/// A domain's source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Name.
    pub name: String,
    /// Its domain.
    pub domain: u16,
    /// classID.
    pub class: u16,
    /// Shown to clients.
    pub visible: bool,
    /// Availability.
    pub availability: Availability,
    /// As acknowledged (`am_SourceState_e`).
    pub state: i16,
    /// As acknowledged, 0.1 dB.
    pub volume: Db10,
    /// Without ducks, 0.1 dB.
    pub base_volume: Db10,
    /// Of the next change of its volume, if not the usual one.
    #[serde(default)]
    pub ramp: Ramp,
    /// Ramp up after its duck, ms.
    pub release_ms: Option<u16>,
    /// `am_InterruptState_e`.
    pub interrupt: i16,
    /// Formats, properties, notifications.
    pub lists: Lists,
}

impl Source {
    /// It sounds on its own now.
    pub fn interrupts(&self) -> bool {
        self.interrupt == interrupt_state::INTERRUPTED
    }
}

/// A domain's sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sink {
    /// Name.
    pub name: String,
    /// Its domain.
    pub domain: u16,
    /// classID.
    pub class: u16,
    /// Shown to clients.
    pub visible: bool,
    /// Availability.
    pub availability: Availability,
    /// As acknowledged, 0.1 dB.
    pub volume: Db10,
    /// As acknowledged: what clients see.
    pub main_volume: i16,
    /// As the user wants it.
    pub wanted_volume: i16,
    /// As acknowledged: what clients see.
    pub mute: bool,
    /// As the user wants it.
    pub wanted_mute: bool,
    /// Of the next change of its volume, if not the usual one.
    #[serde(default)]
    pub ramp: Ramp,
    /// Formats, properties, notifications.
    pub lists: Lists,
}

/// A gateway between two domains, or a converter inside one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Name.
    pub name: String,
    /// What goes in.
    pub sink: u16,
    /// What comes out.
    pub source: u16,
    /// The domain that registered it.
    pub domain: u16,
    /// What it does to formats.
    pub conversion: Conversion,
}

/// A crossfader: two sinks in, one source out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct Crossfader {
    pub name: String,
    pub domain: u16,
    pub sink_a: u16,
    pub sink_b: u16,
    pub source: u16,
    pub hot_sink: i16,
}

/// Everything registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "a map of IDs each")]
pub struct Registry {
    pub domains: BTreeMap<u16, Domain>,
    pub sources: BTreeMap<u16, Source>,
    pub sinks: BTreeMap<u16, Sink>,
    pub gateways: BTreeMap<u16, Gateway>,
    pub converters: BTreeMap<u16, Gateway>,
    pub crossfaders: BTreeMap<u16, Crossfader>,
}

impl Registry {
    /// Nothing registered.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// The peer of a domain.
    pub fn peer(&self, domain: u16) -> Option<&str> {
        self.domains.get(&domain).map(|domain| domain.peer.as_str())
    }

    /// Whether this ID is in use.
    pub fn has(&self, kind: Kind, id: u16) -> bool {
        match kind {
            Kind::Domain => self.domains.contains_key(&id),
            Kind::Source => self.sources.contains_key(&id),
            Kind::Sink => self.sinks.contains_key(&id),
            Kind::Gateway => self.gateways.contains_key(&id),
            Kind::Converter => self.converters.contains_key(&id),
            Kind::Crossfader => self.crossfaders.contains_key(&id),
        }
    }

    /// The domain an element belongs to; a domain's own is itself.
    pub fn domain_of(&self, kind: Kind, id: u16) -> Option<u16> {
        match kind {
            Kind::Domain => self.domains.get(&id).map(|_| id),
            Kind::Source => self.sources.get(&id).map(|it| it.domain),
            Kind::Sink => self.sinks.get(&id).map(|it| it.domain),
            Kind::Gateway => self.gateways.get(&id).map(|it| it.domain),
            Kind::Converter => self.converters.get(&id).map(|it| it.domain),
            Kind::Crossfader => self.crossfaders.get(&id).map(|it| it.domain),
        }
    }

    /// IDs of one kind that belong to a domain.
    pub fn of_domain(&self, kind: Kind, domain: u16) -> Vec<u16> {
        self.ids(kind)
            .into_iter()
            .filter(|id| self.domain_of(kind, *id) == Some(domain))
            .collect()
    }

    /// All IDs of a kind.
    pub fn ids(&self, kind: Kind) -> Vec<u16> {
        match kind {
            Kind::Domain => self.domains.keys().copied().collect(),
            Kind::Source => self.sources.keys().copied().collect(),
            Kind::Sink => self.sinks.keys().copied().collect(),
            Kind::Gateway => self.gateways.keys().copied().collect(),
            Kind::Converter => self.converters.keys().copied().collect(),
            Kind::Crossfader => self.crossfaders.keys().copied().collect(),
        }
    }

    /// How many of a kind a peer has registered.
    pub fn count_of(&self, kind: Kind, peer: &str) -> usize {
        let mine = |id: &u16| self.domain_of(kind, *id).and_then(|domain| self.peer(domain)) == Some(peer);
        self.ids(kind).iter().filter(|id| mine(id)).count()
    }

    /// Forgets one element. Gateways, converters and crossfaders that need it are gone with it.
    pub fn remove(&mut self, kind: Kind, id: u16) {
        match kind {
            Kind::Domain => drop(self.domains.remove(&id)),
            Kind::Source => {
                self.sources.remove(&id);
                self.gateways.retain(|_, it| it.source != id);
                self.converters.retain(|_, it| it.source != id);
                self.crossfaders.retain(|_, it| it.source != id);
            }
            Kind::Sink => {
                self.sinks.remove(&id);
                self.gateways.retain(|_, it| it.sink != id);
                self.converters.retain(|_, it| it.sink != id);
                self.crossfaders.retain(|_, it| it.sink_a != id && it.sink_b != id);
            }
            Kind::Gateway => drop(self.gateways.remove(&id)),
            Kind::Converter => drop(self.converters.remove(&id)),
            Kind::Crossfader => drop(self.crossfaders.remove(&id)),
        }
    }
}
