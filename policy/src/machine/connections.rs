//! The life of main connections: made, arriving in their sink's matrix, suspended and going on, removed.

use std::collections::BTreeSet;

use super::presence::{Present, blocker, pauser, present_at};
use super::state::{Connection, Place, Refusal};
use super::{Machine, signal};
use crate::command::{ConnectionState, MainConnection, Signal};
use crate::effect::Effect;
use crate::matrix::{Arrival, Verdict};
use crate::model::Holder;

#[cfg(test)]
use super::tests::mutant::{self, Mutant};

/// What a newcomer finds at a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Free to play.
    Free,
    /// It would have to wait.
    Busy,
    /// It would be refused.
    Closed(Refusal),
}

pub(super) fn refusal<A>(by: usize, verdict: Verdict<A>) -> Refusal {
    Refusal {
        by,
        duck: verdict.duck,
        line: verdict.line,
    }
}

impl Machine {
    /// What `source` would find at `sink` if it arrived now.
    pub(super) fn find(&self, source: usize, sink: usize) -> Finding {
        let present = present_at(&self.model, &self.state, sink);
        match blocker(&self.model, &present, source) {
            None => Finding::Free,
            Some((by, verdict)) if verdict.action == Arrival::Reject => Finding::Closed(refusal(by, verdict)),
            Some(_) => Finding::Busy,
        }
    }

    /// Whether a guest's stream could be heard somewhere now: at a zone that it connects to by itself or that it is offered to, or at
    /// a domain's sink, and the matrix wouldn't refuse it. Whether it is connected to one doesn't matter, and one that would
    /// only have to wait could be. Guests are shown it by their jacks.
    pub fn could_be_heard(&self, source: usize) -> bool {
        let Some(own) = self.model.sources.get(source) else {
            return false;
        };
        let offered = |sink: usize| own.auto_connect.contains(&sink) || (own.visible && self.model.sinks[sink].visible);
        let open = |sink: usize| !matches!(self.find(source, sink), Finding::Closed(_));
        self.model.protected(source)
            || (0..self.model.sinks.len()).any(|sink| offered(sink) && open(sink))
            || self.could_reach_a_domain(source)
    }

    /// Makes a connection, announces it and begins to connect; `None` when all IDs are taken.
    pub(super) fn make(&mut self, at: (usize, usize), automatic: bool, effects: &mut Vec<Effect>) -> Option<u16> {
        let id = self.state.free_connection_id()?;
        self.state.last_connection = id;
        let (source, sink) = at;
        let connection = Connection {
            source,
            sink,
            automatic,
            state: ConnectionState::Unknown,
            since: self.state.now,
            place: Place::Idle,
            direct: true,
            held: BTreeSet::new(),
        };
        self.state.connections.insert(id, connection);
        self.announce_built_in(id, effects);
        Some(id)
    }

    /// Tells of a new main connection and begins to connect it.
    fn announce_built_in(&mut self, id: u16, effects: &mut Vec<Effect>) {
        if self.shown(id) {
            if let Some(announced) = self.main_connection(id) {
                signal(effects, Signal::NewMainConnection(announced));
            }
            // Not known, and it stays so: clients wait for it.
            signal(
                effects,
                Signal::TimingInformationChanged {
                    connection: id,
                    delay: -1,
                },
            );
        }
        self.transition(id, ConnectionState::Connecting, effects);
    }

    /// A segment of others becomes a main connection too.
    pub(super) fn promote(&mut self, id: u16, automatic: bool, effects: &mut Vec<Effect>) {
        let Some(connection) = self.state.connections.get_mut(&id).filter(|it| !it.direct) else {
            return;
        };
        connection.direct = true;
        connection.automatic = automatic;
        connection.state = ConnectionState::Unknown;
        self.announce_built_in(id, effects);
    }

    /// Makes it a segment of a main connection over domains: whether it could.
    pub(super) fn hold(&mut self, (source, sink): (usize, usize), main: u16, effects: &mut Vec<Effect>) -> bool {
        if let Some(id) = self.state.connection_between(source, sink) {
            if let Some(connection) = self.state.connections.get_mut(&id) {
                connection.held.insert(main);
            }
            return true;
        }
        let running = self.state.sources.get(source).is_some_and(|it| it.running);
        let finding = if running {
            self.find(source, sink)
        } else {
            Finding::Free
        };
        if matches!(finding, Finding::Closed(_)) {
            return false;
        }
        let Some(id) = self.state.free_connection_id() else {
            return false;
        };
        self.state.last_connection = id;
        let connection = Connection {
            source,
            sink,
            automatic: false,
            state: ConnectionState::Connecting,
            since: self.state.now,
            place: Place::Idle,
            direct: false,
            held: BTreeSet::from([main]),
        };
        self.state.connections.insert(id, connection);
        if running {
            self.arrive(id, &finding, effects);
        }
        true
    }

    /// It is no longer a segment of that main connection: whether it was.
    pub(super) fn release(&mut self, (source, sink): (usize, usize), main: u16, effects: &mut Vec<Effect>) -> bool {
        let Some(id) = self.state.connection_between(source, sink) else {
            return false;
        };
        let Some(connection) = self.state.connections.get_mut(&id) else {
            return false;
        };
        let was = connection.held.remove(&main);
        #[cfg(test)]
        if mutant::is(Mutant::KeepsSegment) {
            return was;
        }
        if connection.held.is_empty() && !connection.direct {
            self.remove(id, effects);
        }
        was
    }

    /// Its user disconnects a main connection: what others run over stays.
    pub(super) fn give_back(&mut self, id: u16, effects: &mut Vec<Effect>) {
        let held = self.state.connections.get(&id).is_some_and(|it| !it.held.is_empty());
        if !held {
            return self.remove(id, effects);
        }
        self.transition(id, ConnectionState::Disconnecting, effects);
        self.transition(id, ConnectionState::Disconnected, effects);
        if self.shown(id) {
            signal(effects, Signal::RemovedMainConnection { connection: id });
        }
        if let Some(connection) = self.state.connections.get_mut(&id) {
            connection.direct = false;
            connection.automatic = false;
        }
    }

    /// Lets a running source's connection arrive at its sink.
    pub(super) fn arrive(&mut self, id: u16, finding: &Finding, effects: &mut Vec<Effect>) {
        let order = self.state.tick_order();
        let Some(connection) = self.state.connections.get_mut(&id) else {
            return;
        };
        let (source, sink) = (connection.source, connection.sink);
        match finding {
            Finding::Free => self.admit(id, effects),
            Finding::Busy => {
                connection.place = Place::Waiting(order);
                self.state.sources[source].refused.remove(&sink);
            }
            Finding::Closed(refusal) => {
                connection.place = Place::Refused;
                self.state.sources[source].refused.insert(sink, refusal.clone());
            }
        }
    }

    /// Puts a connection among those that are there, and stops whom its class stops.
    fn admit(&mut self, id: u16, effects: &mut Vec<Effect>) {
        let order = self.state.tick_order();
        let Some(connection) = self.state.connections.get_mut(&id) else {
            return;
        };
        connection.place = Place::Admitted(order);
        let (source, sink) = (connection.source, connection.sink);
        self.state.sources[source].refused.remove(&sink);
        self.stop_others(source, sink, effects);
        self.activate(source, sink, effects);
    }

    /// Disconnects those at `sink` that `newcomer` stops, and remembers why.
    pub(super) fn stop_others(&mut self, newcomer: usize, sink: usize, effects: &mut Vec<Effect>) {
        for holder in present_at(&self.model, &self.state, sink) {
            let verdict = self.model.pressure(holder.source, newcomer);
            if holder.source == newcomer || verdict.action != Holder::Stop {
                continue;
            }
            let refused = &mut self.state.sources[holder.source].refused;
            refused.insert(sink, refusal(newcomer, verdict));
            if let Some(id) = self.state.connection_between(holder.source, sink) {
                self.remove(id, effects);
            }
        }
    }

    /// Disconnects and removes.
    pub(super) fn remove(&mut self, id: u16, effects: &mut Vec<Effect>) {
        self.transition(id, ConnectionState::Disconnecting, effects);
        self.transition(id, ConnectionState::Disconnected, effects);
        let shown = self.shown(id);
        if let Some(connection) = self.state.connections.remove(&id) {
            self.lose_held(&connection.held);
        }
        if shown {
            signal(effects, Signal::RemovedMainConnection { connection: id });
        }
    }

    /// Lets those arrive whose holders are gone, then brings every connection's state in line with its place.
    pub(super) fn settle(&mut self, effects: &mut Vec<Effect>) {
        // Each turn moves one waiting connection on, and none comes back to waiting here: bounded by their number.
        while let Some(id) = self.next_to_admit() {
            self.admit(id, effects);
        }
        let scenes: Vec<_> = (0..self.model.sinks.len())
            .map(|sink| present_at(&self.model, &self.state, sink))
            .collect();
        let ids: Vec<u16> = self.state.connections.keys().copied().collect();
        for id in ids {
            let Some(connection) = self.state.connections.get(&id) else {
                continue;
            };
            let state = connection.state;
            let wanted = self.wanted_state(connection, &scenes[connection.sink]);
            if state == wanted {
                continue;
            }
            #[cfg(test)]
            if mutant::is(Mutant::NeverConnects) {
                continue;
            }
            if state == ConnectionState::Suspended {
                self.transition(id, ConnectionState::Connecting, effects);
            }
            self.transition(id, wanted, effects);
        }
    }

    /// The one that waits longest with nobody in its way.
    fn next_to_admit(&self) -> Option<u16> {
        #[cfg(test)]
        if mutant::is(Mutant::NeverAdmits) {
            return None;
        }
        let waiting = (self.state.connections.iter()).filter_map(|(id, connection)| match connection.place {
            Place::Waiting(since) => Some((since, *id, connection)),
            _ => None,
        });
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_by_key(|(since, id, _)| (*since, *id));
        let free = |at: &&(u64, u16, &Connection)| self.find(at.2.source, at.2.sink) == Finding::Free;
        waiting.iter().find(free).map(|(_, id, _)| *id)
    }

    fn wanted_state(&self, connection: &Connection, present: &[Present]) -> ConnectionState {
        let source = connection.source;
        let suspended = match connection.place {
            Place::Idle => false,
            Place::Refused | Place::Waiting(_) | Place::Held { .. } => true,
            Place::Admitted(order) => pauser(&self.model, present, Present { source, order }).is_some(),
        };
        if suspended {
            ConnectionState::Suspended
        } else {
            ConnectionState::Connected
        }
    }

    fn transition(&mut self, id: u16, state: ConnectionState, effects: &mut Vec<Effect>) {
        let now = self.state.now;
        if let Some(connection) = self.state.connections.get_mut(&id) {
            connection.state = state;
            connection.since = now;
        }
        if self.shown(id) {
            signal(effects, Signal::MainConnectionStateChanged { connection: id, state });
        }
    }

    /// Clients see a connection whose both ends they see.
    pub(super) fn shown(&self, id: u16) -> bool {
        self.state.connections.get(&id).is_some_and(|connection| {
            let ends = self.model.sources[connection.source].visible && self.model.sinks[connection.sink].visible;
            ends && connection.direct
        })
    }

    /// A connection as clients see it.
    pub(super) fn main_connection(&self, id: u16) -> Option<MainConnection> {
        let connection = self.state.connections.get(&id)?;
        Some(MainConnection {
            id,
            source: self.state.ids.sources.id(connection.source)?,
            sink: self.state.ids.sinks.id(connection.sink)?,
            delay: -1,
            state: connection.state,
        })
    }
}
