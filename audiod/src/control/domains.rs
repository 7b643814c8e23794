//! Domains of other processes, as `Status` shows them.

use dbus_api::status::{Domain, Sink};
use policy::routing_command::Kind;

use super::Control;

impl Control {
    /// Registered domains, for `Status`.
    pub(super) fn domains(&self) -> Vec<Domain> {
        let registry = self.machine.registry();
        let domain = |(id, domain): (&u16, &policy::routing::Domain)| Domain {
            owes: self.machine.owes(*id).0,
            owes_for_ms: self.machine.owes(*id).1,
            id: *id,
            name: domain.name.clone(),
            bus_name: domain.bus_name.clone(),
            sources: registry.of_domain(Kind::Source, *id).len(),
            sinks: registry.of_domain(Kind::Sink, *id).len(),
        };
        registry.domains.iter().map(domain).collect()
    }

    /// Their sinks, for `Status`.
    pub(super) fn sinks(&self) -> Vec<Sink> {
        let registry = self.machine.registry();
        let sink = |(id, sink): (&u16, &policy::routing::Sink)| Sink {
            id: *id,
            name: sink.name.clone(),
            domain: registry.domains.get(&sink.domain).map_or("?", |it| &it.name).to_owned(),
            available: sink.availability.0 == 1,
            volume: sink.main_volume,
            mute: sink.mute,
        };
        registry.sinks.iter().map(sink).collect()
    }
}
