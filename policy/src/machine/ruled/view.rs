//! What rules see of the machine.

use crate::effect::EXTERNAL;
use crate::machine::Machine;
use crate::machine::state::Place;
use crate::routing::{Sink, Source};
use crate::routing_command::Lists;
use crate::rules::kind::Element;
use crate::rules::view::{Link, Property, View};
use crate::{Db10, curve};

const ON: i16 = 1;
const OFF: i16 = 2;
const PAUSED: i16 = 3;
const AVAILABLE: (i16, i16) = (1, 0);
const UNAVAILABLE: (i16, i16) = (2, 0);
const DISCONNECTED: i16 = 4;

fn external(index: usize) -> Option<u16> {
    index.checked_sub(EXTERNAL).and_then(|id| u16::try_from(id).ok())
}

impl Machine {
    pub(super) fn domain_source(&self, index: usize) -> Option<&Source> {
        self.state.routing.registry.sources.get(&external(index)?)
    }

    pub(super) fn domain_sink(&self, index: usize) -> Option<&Sink> {
        self.state.routing.registry.sinks.get(&external(index)?)
    }

    /// The ID of a source or sink.
    pub(super) fn id_of(&self, element: Element) -> Option<u16> {
        match element {
            Element::Source(source) => self.source_id(source).or_else(|| external(source)),
            Element::Sink(sink) => self.sink_id(sink).or_else(|| external(sink)),
            _ => None,
        }
    }

    /// The source with this sourceID.
    pub(super) fn source_of(&self, id: u16) -> Option<Element> {
        let known = self.state.routing.registry.sources.contains_key(&id);
        let built_in = self.state.ids.sources.index(id);
        built_in
            .or(known.then_some(EXTERNAL + usize::from(id)))
            .map(Element::Source)
    }

    /// The sink with this sinkID.
    pub(super) fn sink_of(&self, id: u16) -> Option<Element> {
        let known = self.state.routing.registry.sinks.contains_key(&id);
        let built_in = self.state.ids.sinks.index(id);
        built_in
            .or(known.then_some(EXTERNAL + usize::from(id)))
            .map(Element::Sink)
    }

    fn lists(&self, of: Element) -> Option<&Lists> {
        match of {
            Element::Source(source) => self.domain_source(source).map(|it| &it.lists),
            Element::Sink(sink) => self.domain_sink(sink).map(|it| &it.lists),
            _ => None,
        }
    }

    fn source_state(&self, source: usize) -> Option<i16> {
        if let Some(source) = self.domain_source(source) {
            return Some(source.state);
        }
        if !self.state.sources.get(source).map(|_| self.state.sounds(source))? {
            return Some(OFF);
        }
        let mut own = self
            .state
            .connections
            .values()
            .filter(|it| it.source == source)
            .peekable();
        let paused = own.peek().is_some() && own.all(|it| it.state == crate::command::ConnectionState::Suspended);
        Some(if paused { PAUSED } else { ON })
    }
}

impl View for Machine {
    fn sources(&self) -> Vec<usize> {
        let external = self.state.routing.registry.sources.keys();
        (0..self.model.sources.len())
            .chain(external.map(|id| EXTERNAL + usize::from(*id)))
            .collect()
    }

    fn sinks(&self) -> Vec<usize> {
        let external = self.state.routing.registry.sinks.keys();
        (0..self.model.sinks.len())
            .chain(external.map(|id| EXTERNAL + usize::from(*id)))
            .collect()
    }

    fn gateways(&self) -> Vec<u16> {
        self.state.routing.registry.gateways.keys().copied().collect()
    }

    fn links(&self) -> Vec<Link> {
        let built_in = self.state.connections.iter().map(|(id, it)| Link {
            id: *id,
            source: it.source,
            sink: it.sink,
            state: it.state as i16,
            order: match it.place {
                Place::Admitted(order) | Place::Waiting(order) | Place::Held { order, .. } => order,
                _ => 0,
            },
        });
        let pushed = self.state.ruled.pushed.iter().map(|(id, it)| Link {
            id: *id,
            source: it.source,
            sink: it.sink,
            state: DISCONNECTED,
            order: it.order,
        });
        let over_domains = self.domain_connections().filter_map(|id| {
            let main = self.domain_connection(id)?;
            let (Element::Source(source), Element::Sink(sink)) =
                (self.source_of(main.source)?, self.sink_of(main.sink)?)
            else {
                return None;
            };
            Some(Link {
                id,
                source,
                sink,
                state: main.state as i16,
                order: self.state.routing.order_of(id),
            })
        });
        let mut links: Vec<Link> = built_in.chain(pushed).chain(over_domains).collect();
        links.sort_by_key(|it| it.id);
        links
    }

    fn find_source(&self, name: &str) -> Option<usize> {
        let mut sources = self.state.routing.registry.sources.iter();
        sources
            .find(|(_, it)| it.name == name)
            .map(|(id, _)| EXTERNAL + usize::from(*id))
    }

    fn find_sink(&self, name: &str) -> Option<usize> {
        let mut sinks = self.state.routing.registry.sinks.iter();
        sinks
            .find(|(_, it)| it.name == name)
            .map(|(id, _)| EXTERNAL + usize::from(*id))
    }

    fn find_domain(&self, name: &str) -> Option<u16> {
        let mut domains = self.state.routing.registry.domains.iter();
        domains.find(|(_, it)| it.name == name).map(|(id, _)| *id)
    }

    fn find_gateway(&self, name: &str) -> Option<u16> {
        let mut gateways = self.state.routing.registry.gateways.iter();
        gateways.find(|(_, it)| it.name == name).map(|(id, _)| *id)
    }

    fn name(&self, of: Element) -> Option<String> {
        let registry = &self.state.routing.registry;
        let name = match of {
            Element::Source(source) => self.source_name(source)?,
            Element::Sink(sink) => match self.model.sinks.get(sink) {
                Some(sink) => &sink.name,
                None => &self.domain_sink(sink)?.name,
            },
            Element::Class(class) => &self.model.classes.get(class)?.name,
            Element::Domain(domain) => &registry.domains.get(&domain)?.name,
            Element::Gateway(gateway) => &registry.gateways.get(&gateway)?.name,
            Element::Connection(_) => return None,
        };
        Some(name.to_owned())
    }

    fn class(&self, of: Element) -> Option<usize> {
        let id = match of {
            Element::Source(source) => match self.model.sources.get(source) {
                Some(source) => return Some(source.class),
                None => self.domain_source(source)?.class,
            },
            Element::Sink(sink) => self.domain_sink(sink)?.class,
            _ => return None,
        };
        self.state.ids.classes.index(id)
    }

    fn domain(&self, of: Element) -> Option<u16> {
        match of {
            Element::Source(source) => self.domain_source(source).map(|it| it.domain),
            Element::Sink(sink) => self.domain_sink(sink).map(|it| it.domain),
            Element::Gateway(gateway) => {
                let gateway = self.state.routing.registry.gateways.get(&gateway);
                gateway.map(|it| it.domain)
            }
            _ => None,
        }
    }

    fn protected(&self, source: usize) -> bool {
        self.model.protected(source)
    }

    fn priority(&self, class: usize) -> Option<i64> {
        self.model.classes.get(class).map(|it| it.priority.into())
    }

    fn gain(&self, of: Element) -> Option<Db10> {
        match of {
            Element::Source(source) => match self.state.sources.get(source) {
                Some(source) => Some(source.gain),
                None => Some(self.domain_source(source)?.volume),
            },
            Element::Sink(sink) => self.scale(sink, self.main_volume(sink)?),
            _ => None,
        }
    }

    fn main_volume(&self, sink: usize) -> Option<i16> {
        match self.state.sinks.get(sink) {
            Some(sink) => Some(sink.volume),
            None => Some(self.domain_sink(sink)?.main_volume),
        }
    }

    fn scale(&self, sink: usize, volume: i16) -> Option<Db10> {
        let curve = match self.model.sinks.get(sink) {
            Some(sink) => &sink.curve,
            None => self.model.routing.curve_of(&self.domain_sink(sink)?.name),
        };
        Some(curve::gain(curve, volume))
    }

    fn limit(&self, source: Option<usize>, sink: Option<usize>) -> Db10 {
        let sources = source.map_or_else(|| self.sources(), |it| vec![it]);
        let sinks = sink.map_or_else(|| self.sinks(), |it| vec![it]);
        let pairs = sources
            .iter()
            .flat_map(|source| sinks.iter().map(move |sink| (*source, *sink)));
        pairs
            .map(|(source, sink)| self.held_to(source, sink))
            .min()
            .unwrap_or(0)
    }

    fn muted(&self, of: Element) -> Option<bool> {
        match of {
            Element::Source(source) => match self.state.sources.get(source) {
                Some(source) => Some(source.mute),
                None => self.domain_source(source).map(|_| false),
            },
            Element::Sink(sink) => match self.state.sinks.get(sink) {
                Some(sink) => Some(sink.mute),
                None => Some(self.domain_sink(sink)?.mute),
            },
            _ => None,
        }
    }

    fn availability(&self, of: Element) -> Option<(i16, i16)> {
        let built_in = |available: bool| if available { AVAILABLE } else { UNAVAILABLE };
        match of {
            Element::Source(source) => match self.state.sources.get(source) {
                Some(source) => Some(built_in(source.available)),
                None => Some(self.domain_source(source)?.availability),
            },
            Element::Sink(sink) => match self.model.sinks.get(sink) {
                Some(_) => Some(AVAILABLE),
                None => Some(self.domain_sink(sink)?.availability),
            },
            _ => None,
        }
    }

    fn format(&self, connection: u16) -> Option<u16> {
        self.state.routing.format_of(connection)
    }

    fn interrupts(&self, source: usize) -> Option<bool> {
        match self.domain_source(source) {
            Some(source) => Some(source.interrupts()),
            None => self.model.sources.get(source).map(|_| false),
        }
    }

    fn state(&self, of: Element) -> Option<i16> {
        match of {
            Element::Source(source) => self.source_state(source),
            Element::Domain(domain) => self.domain(domain).map(|it| it.state),
            _ => None,
        }
    }

    fn registered(&self, of: Element) -> bool {
        let registry = &self.state.routing.registry;
        match of {
            Element::Domain(domain) => registry.domains.contains_key(&domain),
            Element::Gateway(gateway) => registry.gateways.contains_key(&gateway),
            other => self.name(other).is_some(),
        }
    }

    fn complete(&self, domain: Option<u16>) -> bool {
        let domains = &self.state.routing.registry.domains;
        match domain {
            Some(domain) => domains.get(&domain).is_some_and(|it| it.complete),
            None => domains.values().all(|it| it.complete),
        }
    }

    fn property(&self, of: Element, which: Property, kind: i16) -> Option<i16> {
        let lists = self.lists(of)?;
        let property = |all: &[(i16, i16)]| all.iter().find(|it| it.0 == kind).map(|it| it.1);
        let notification = |all: &[(i16, i16, i16)]| all.iter().find(|it| it.0 == kind).map(|it| (it.1, it.2));
        match which {
            Property::Sound => property(&lists.sound),
            Property::MainSound => property(&lists.main_sound),
            Property::NotificationStatus => notification(&lists.notifications).map(|it| it.0),
            Property::NotificationParam => notification(&lists.notifications).map(|it| it.1),
            Property::MainNotificationStatus => notification(&lists.main_notifications).map(|it| it.0),
            Property::MainNotificationParam => notification(&lists.main_notifications).map(|it| it.1),
        }
    }

    fn system_property(&self, kind: i16) -> Option<i16> {
        self.system_value(kind)
    }

    fn usual_sinks(&self, source: usize) -> Vec<usize> {
        let source = self.model.sources.get(source);
        source.map(|it| it.auto_connect.clone()).unwrap_or_default()
    }
}
