//! Connections that begin before the daemon decides about them, and those that outlive it.
//!
//! ```text
//!  early    registerEarlyConnection ─► CONNECTED (or SUSPENDED) as it is; its ends may be registered later, clients see it then
//!  late     Rundown ─► each connection is offered to each domain in DS_INDEPENDENT_RUNDOWN until one accepts;
//!                      those that can go on (`early`) are asked to, and offered them once they say that they do
//! ```

use super::matrix::Found;
use super::requests::Sent;
use super::state::{Goal, MAX_MAINS, Main, Segment, What};
use crate::command::{ConnectionState, Signal, error};
use crate::effect::Effect;
use crate::machine::Machine;
use crate::routing::search::MAX_HOPS;
use crate::routing::{Hop, Route};
use crate::routing_command::{End, RoutingReply, domain_state};

impl Machine {
    /// Takes over what runs already. A domain may announce its own segments only.
    pub(super) fn early_connection(
        &mut self,
        peer: &str,
        domain: u16,
        ends: (u16, u16),
        state: ConnectionState,
        route: Route,
        signals: &mut Vec<Signal>,
    ) -> RoutingReply {
        let legal = self.check_early(peer, domain, ends, state, &route);
        match legal.and_then(|class| self.new_early(ends, class, state, route).ok_or(error::NOT_POSSIBLE)) {
            Ok((id, connections)) => {
                self.show_early(None, signals);
                RoutingReply::Early {
                    id,
                    connections,
                    error: error::OK,
                }
            }
            Err(error) => RoutingReply::Early {
                id: 0,
                connections: Vec::new(),
                error,
            },
        }
    }

    /// Whether it can be taken over; its class.
    fn check_early(
        &self,
        peer: &str,
        domain: u16,
        (source, sink): (u16, u16),
        state: ConnectionState,
        route: &[Hop],
    ) -> Result<u16, i16> {
        self.in_domain(peer, domain)?;
        let ends = route
            .first()
            .map(|hop| hop.source)
            .zip(route.last().map(|hop| hop.sink));
        let states = [ConnectionState::Connected, ConnectionState::Suspended];
        if ends != Some((source, sink)) || route.len() > MAX_HOPS || !states.contains(&state) {
            return Err(error::OUT_OF_RANGE);
        }
        if route.iter().any(|hop| !self.owns(peer, hop.domain)) {
            return Err(error::NOT_POSSIBLE);
        }
        let ids = &self.state.ids;
        let known = |hop: &Hop| ids.sources.is_known(hop.source) && ids.sinks.is_known(hop.sink);
        let own = |hop: &Hop| {
            [End::Source(hop.source), End::Sink(hop.sink)]
                .into_iter()
                .all(|end| self.domain_of(end).is_none_or(|domain| domain == hop.domain))
        };
        if !route.iter().all(known) {
            return Err(error::NON_EXISTENT);
        }
        if !route.iter().all(own) {
            return Err(error::NOT_POSSIBLE);
        }
        let taken = route.iter().any(|hop| self.state.routing.segment_of(hop).is_some());
        if taken || self.main_between(source, sink).is_some() {
            return Err(error::ALREADY_EXISTS);
        }
        let class = self.class_of(source);
        match self.find_at((class, route), sink, None) {
            Found::Closed => Err(error::NOT_POSSIBLE),
            _ => Ok(class),
        }
    }

    fn new_early(
        &mut self,
        (source, sink): (u16, u16),
        class: u16,
        state: ConnectionState,
        route: Route,
    ) -> Option<(u16, Vec<u16>)> {
        if self.state.routing.mains.len() >= MAX_MAINS {
            return None;
        }
        let id = self.state.free_connection_id()?;
        self.state.last_connection = id;
        let mut connections = Vec::new();
        for hop in route.iter().copied() {
            let segment = self.state.routing.free_segment()?;
            self.state.routing.last_segment = segment;
            let new = Segment {
                hop,
                up: true,
                delay: -1,
            };
            self.state.routing.segments.insert(segment, new);
            connections.push(segment);
        }
        let found = self.find_at((class, &route), sink, None);
        let main = Main {
            source,
            sink,
            class,
            route,
            state,
            since: self.state.now,
            order: 0,
            waiting: false,
            goal: Goal::Up,
            hold: false,
            failed: false,
            shown: false,
            delay: -1,
            held: None,
            covers: false,
        };
        self.state.routing.mains.insert(id, main);
        match found {
            Found::Free => self.admit_main(id),
            _ => self.wait_main(id),
        }
        Some((id, connections))
    }

    /// Connections both ends of which clients see now; `source` has this class from now on.
    pub(super) fn show_early(&mut self, source: Option<(u16, u16)>, signals: &mut Vec<Signal>) {
        for id in self.main_ids() {
            let Some(main) = self.state.routing.mains.get(&id) else {
                continue;
            };
            let visible = self.is_visible(End::Source(main.source)) && self.is_visible(End::Sink(main.sink));
            let Some(main) = self.state.routing.mains.get_mut(&id) else {
                continue;
            };
            if let Some((_, class)) = source.filter(|it| it.0 == main.source) {
                main.class = class;
            }
            if visible && !main.shown && main.goal == Goal::Up {
                main.shown = true;
                signals.extend(self.domain_connection(id).map(Signal::NewMainConnection));
            }
        }
    }

    /// The daemon is about to end.
    pub(in crate::machine) fn run_down(&mut self, effects: &mut Vec<Effect>) {
        let routing = &mut self.state.routing;
        let domains = routing.registry.domains.iter().rev();
        let on = domains.filter(|(_, it)| it.state == domain_state::INDEPENDENT_RUNDOWN);
        let on: Vec<u16> = on.map(|(id, _)| *id).collect();
        let active = [ConnectionState::Connected, ConnectionState::Suspended];
        let mains = routing.mains.iter();
        let offered = mains.filter(|(_, it)| it.goal == Goal::Up && active.contains(&it.state));
        routing.offers = offered.map(|(id, _)| (*id, on.clone())).collect();
        if !self.state.routing.offers.is_empty() {
            self.ask_to_stay(effects);
        }
        self.settle_domains(effects);
    }

    /// Asks the next domain for each connection that none has accepted yet.
    pub(super) fn settle_offers(&mut self, effects: &mut Vec<Effect>) -> bool {
        let offers: Vec<u16> = self.state.routing.offers.keys().copied().collect();
        let mut moved = false;
        for main in offers {
            let what = |domain| What::Transfer { main, domain };
            if !self.is_idle(what(0).target()) {
                continue;
            }
            let routing = &mut self.state.routing;
            let next = routing.offers.get_mut(&main).and_then(Vec::pop);
            if next.is_none() && routing.mains.contains_key(&main) && !routing.asked_to_stay.is_empty() {
                continue;
            }
            moved = true;
            match next.filter(|_| routing.mains.contains_key(&main)) {
                Some(domain) => {
                    // One without room for it doesn't accept.
                    let _: Sent = self.send(domain, what(domain), self.ack_ms(domain), effects);
                }
                None => drop(routing.offers.remove(&main)),
            }
        }
        moved
    }

    /// A route by names, for a process that may know other IDs.
    pub(super) fn named(&self, route: &[Hop]) -> Vec<(String, String)> {
        let registry = &self.state.routing.registry;
        let built_in = |index: Option<usize>| index.and_then(|index| self.model.sources.get(index));
        let source = |id: u16| {
            let guest = built_in(self.state.ids.sources.index(id)).map(|it| it.name.clone());
            guest
                .or_else(|| registry.sources.get(&id).map(|it| it.name.clone()))
                .unwrap_or_default()
        };
        let sink = |id: u16| {
            let zone = self
                .state
                .ids
                .sinks
                .index(id)
                .and_then(|index| self.model.sinks.get(index));
            let zone = zone.map(|it| it.name.clone());
            zone.or_else(|| registry.sinks.get(&id).map(|it| it.name.clone()))
                .unwrap_or_default()
        };
        route.iter().map(|hop| (source(hop.source), sink(hop.sink))).collect()
    }
}
