//! What the loop does with the bus's requests, whoever decides them: the control process, or a test on a clock of its own.
//!
//! ```text
//!   Command, Routing ─► Event::Call, Event::Routing (peer = the caller's connection) ─► step ─► Reply, RoutingReply, Effect::Domain
//!   Own ─► own                                       request not taken ─► Event::RequestFailed
//!   name not its peer's any more ─► its domains deregistered
//!   bus lost ─► every peer lost                      our name owned ─► names watched, then setRoutingReady
//! ```

use std::collections::BTreeSet;

use dbus_api::server::{DomainCall, Out, OwnCall, OwnReply, Request, What};
use policy::routing_command::{DomainRequest, Kind, RoutingCall};
use policy::{Effect, Event, Machine};

use super::bus::Bus;

/// Requests taken from the bus before the guests have their turn: a START is decided after at most so many.
pub const REQUESTS_A_TURN: usize = 32;
/// Token of a call that nobody waits for.
const NOBODY: u64 = 0;

/// See the module.
pub trait Desk {
    /// What decides.
    fn machine(&self) -> &Machine;

    /// Where requests come from and answers go.
    fn bus(&mut self) -> &mut Bus;

    /// Takes one event and carries out what comes of it.
    fn step(&mut self, event: Event);

    /// Answers what isn't the policy's.
    fn own(&mut self, call: OwnCall) -> OwnReply;

    /// What is decided next is asked for by this connection to the bus; by nobody, if empty.
    fn called_by(&mut self, sender: &str);

    /// Domains that were registered before setRoutingReady was said last.
    fn old_domains(&mut self) -> &mut BTreeSet<u16>;

    /// One turn's requests; how many.
    fn take_requests(&mut self) -> usize {
        let requests = self.bus().take_some(REQUESTS_A_TURN);
        let count = requests.len();
        for request in requests {
            self.take_request(request);
            self.bus().flush();
        }
        count
    }

    /// One.
    fn take_request(&mut self, request: Request) {
        let Request { token, sender, what } = request;
        self.called_by(&sender);
        match what {
            What::Command(call) => self.step(Event::Call { token, call }),
            What::Routing(call) => {
                let peer = sender;
                self.replace_old(&peer, &call);
                self.step(Event::Routing { token, peer, call });
            }
            What::Own(call) => {
                let reply = self.own(call);
                self.bus().send(Out::OwnReply { token, reply });
            }
            // The dispatcher keeps it for itself.
            What::Listen => {}
            What::NameOwned => self.name_owned(),
            What::BusLost => {
                let peers: Vec<String> = self.machine().peers().into_iter().map(str::to_owned).collect();
                for peer in peers {
                    self.step(Event::PeerLost { peer });
                }
            }
            What::DomainLost { bus_name } => self.domain_lost(sender, &bus_name),
            What::RequestFailed { handle } => self.step(Event::RequestFailed { peer: sender, handle }),
        }
        // What comes next is nobody's.
        self.called_by("");
    }

    /// Domains of before a restart may be there still; new ones want to know that they can come.
    fn name_owned(&mut self) {
        let domains = self.machine().registry().domains.iter();
        let (ids, watched): (BTreeSet<u16>, Vec<Out>) = domains
            .map(|(id, domain)| {
                let (peer, bus_name) = (domain.peer.clone(), domain.bus_name.clone());
                (*id, Out::Watch { peer, bus_name })
            })
            .unzip();
        *self.old_domains() = ids;
        for out in watched {
            self.bus().send(out);
        }
        self.bus().send(Out::RoutingReady);
    }

    /// A peer's domains under one bus name are gone; it may have others under other names.
    fn domain_lost(&mut self, peer: String, bus_name: &str) {
        let domains = &self.machine().registry().domains;
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

    /// Without the domain's asking.
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
        let mut domains = self.machine().registry().domains.iter();
        let is_old = |domain: &policy::routing::Domain| domain.peer == peer && domain.name == new.name;
        if let Some(id) = domains.find(|it| is_old(it.1)).map(|it| *it.0)
            && self.old_domains().remove(&id)
        {
            self.deregister(peer.to_owned(), id);
        }
    }

    /// Sends what of a decision is for the bus.
    fn send(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { token, reply } => self.bus().send(Out::Reply { token, reply }),
            Effect::RoutingReply { token, reply } => self.bus().send(Out::RoutingReply { token, reply }),
            Effect::Signal(signal) => self.bus().send(Out::Signal(signal)),
            Effect::Domain { domain, request } => self.ask_domain(domain, request),
            Effect::GuestControl { .. } | Effect::Heard(_) => {}
        }
    }

    /// Sends a request to its domain. One that has gone meanwhile has no requests open.
    fn ask_domain(&mut self, domain: u16, request: DomainRequest) {
        let call = self.machine().domain(domain).map(|domain| DomainCall {
            peer: domain.peer.clone(),
            path: domain.path.clone(),
            interface: domain.interface.clone(),
            request,
        });
        if let Some(call) = call {
            self.bus().send(Out::Domain(call));
        }
    }
}
