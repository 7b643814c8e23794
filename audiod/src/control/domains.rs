//! Requests of the bus, and domains of other processes between bus and policy.
//!
//! ```text
//!   RoutingCall ─► Event::Routing (peer = the caller's connection) ─► RoutingReply, Effect::Domain ─► the domain's own object
//!   name not its peer's any more ─► its domains deregistered        request not taken ─► Event::RequestFailed
//!   bus lost ─► every peer lost                                     our name owned ─► names watched, then setRoutingReady
//! ```

use dbus_api::server::{DomainCall, Out, Request, What};
use dbus_api::status::{Domain, Sink};
use policy::Event;
use policy::routing_command::{DomainRequest, Kind, RoutingCall};

use super::Control;

/// Token of a call that nobody waits for.
const NOBODY: u64 = 0;

impl Control {
    pub(super) fn take_request(&mut self, request: Request) {
        let Request { token, sender, what } = request;
        self.history.called_by(&sender);
        match what {
            What::Command(call) => self.step(Event::Call { token, call }),
            What::Routing(call) => {
                let peer = sender;
                self.replace_old(&peer, &call);
                self.step(Event::Routing { token, peer, call });
            }
            What::Own(call) => {
                let reply = self.own(call);
                self.bus.send(Out::OwnReply { token, reply });
            }
            What::NameOwned => self.name_owned(),
            What::BusLost => {
                let peers: Vec<String> = self.machine.peers().into_iter().map(str::to_owned).collect();
                for peer in peers {
                    self.step(Event::PeerLost { peer });
                }
            }
            What::DomainLost { bus_name } => self.domain_lost(sender, &bus_name),
            What::RequestFailed { handle } => self.step(Event::RequestFailed { peer: sender, handle }),
        }
        // What comes next is nobody's.
        self.history.called_by("");
    }

    /// Domains of before a restart may be there still; new ones want to know that they can come.
    fn name_owned(&mut self) {
        self.old_domains = self.machine.registry().domains.keys().copied().collect();
        for domain in self.machine.registry().domains.values() {
            self.bus.send(Out::Watch {
                peer: domain.peer.clone(),
                bus_name: domain.bus_name.clone(),
            });
        }
        self.bus.send(Out::RoutingReady);
    }

    /// A peer's domains under one bus name are gone; it may have others under other names.
    fn domain_lost(&mut self, peer: String, bus_name: &str) {
        let domains = &self.machine.registry().domains;
        let (lost, kept): (Vec<_>, Vec<_>) = domains
            .iter()
            .filter(|(_, domain)| domain.peer == peer)
            .partition(|(_, domain)| domain.bus_name == bus_name);
        if kept.is_empty() {
            return self.step(Event::PeerLost { peer });
        }
        let lost: Vec<u16> = lost.into_iter().map(|(id, _)| *id).collect();
        for id in lost {
            self.deregister(peer.clone(), id);
        }
    }

    fn deregister(&mut self, peer: String, id: u16) {
        let kind = Kind::Domain;
        let call = RoutingCall::Deregister { kind, id };
        let token = NOBODY;
        self.step(Event::Routing { token, peer, call });
    }

    /// A domain that was there when setRoutingReady was said again may take it for a new daemon and register everything anew:
    /// then it has forgotten what it had.
    fn replace_old(&mut self, peer: &str, call: &RoutingCall) {
        let RoutingCall::RegisterDomain(new) = call else {
            return;
        };
        let mut domains = self.machine.registry().domains.iter();
        let is_old = |domain: &policy::routing::Domain| domain.peer == peer && domain.name == new.name;
        if let Some(id) = domains.find(|it| is_old(it.1)).map(|it| *it.0)
            && self.old_domains.remove(&id)
        {
            self.deregister(peer.to_owned(), id);
        }
    }

    /// Sends a request to its domain. One that has gone meanwhile has no requests open.
    pub(super) fn ask_domain(&self, domain: u16, request: DomainRequest) {
        if let Some(domain) = self.machine.domain(domain) {
            self.bus.send(Out::Domain(DomainCall {
                peer: domain.peer.clone(),
                path: domain.path.clone(),
                interface: domain.interface.clone(),
                request,
            }));
        }
    }

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
