//! The policy's matrix at a domain's sink: who is there, who is paused, who ducks whom.

use super::state::{Goal, Main};
use crate::command::ConnectionState;
use crate::effect::EXTERNAL;
use crate::machine::Machine;
use crate::machine::heard::{Beyond, By, Far};
use crate::matrix::{Arrival, Verdict};
use crate::model::{Duck, Holder};
use crate::routing::{BUILT_IN, Hop};

/// What a newcomer finds at a domain's sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Free,
    Busy,
    Closed,
}

/// The guest's stream by which a route comes to a zone.
fn ends_built_in(route: &[Hop]) -> Option<u16> {
    route.last().filter(|hop| hop.domain == BUILT_IN).map(|hop| hop.source)
}

/// They come to their zone by streams of their own: the matrix judges these there, and nothing is done to them twice.
fn are_apart(one: &[Hop], other: &[Hop]) -> bool {
    matches!((ends_built_in(one), ends_built_in(other)), (Some(one), Some(other)) if one != other)
}

impl Machine {
    fn class(&self, id: u16) -> Option<usize> {
        self.state.ids.classes.index(id)
    }

    /// What the later `coming` does to `held`, both classIDs. Classes the policy doesn't know are mixed.
    fn pressure_of(&self, held: u16, coming: u16) -> Option<Verdict<Holder>> {
        Some(self.model.class_pressure(self.class(held)?, self.class(coming)?))
    }

    fn arrival_of(&self, held: u16, coming: u16) -> Option<Verdict<Arrival>> {
        Some(self.model.class_arrival(self.class(held)?, self.class(coming)?))
    }

    /// Main connections admitted at a sink, oldest first.
    pub(super) fn there(&self, sink: u16) -> Vec<(u16, &Main)> {
        let all = self.state.routing.mains.iter();
        let there = all.filter(|(_, it)| it.sink == sink && it.goal == Goal::Up && !it.waiting);
        let mut there: Vec<(u16, &Main)> = there.map(|(id, it)| (*id, it)).collect();
        there.sort_by_key(|(_, it)| it.order);
        there
    }

    /// What a connection of this class and route finds at a sink; `own` is not in its own way.
    pub(super) fn find_at(&self, (class, route): (u16, &[Hop]), sink: u16, own: Option<u16>) -> Found {
        let mut found = Found::Free;
        for (id, holder) in self.there(sink) {
            if Some(id) == own || are_apart(&holder.route, route) {
                continue;
            }
            match self.arrival_of(holder.class, class).map(|it| it.action) {
                Some(Arrival::Reject) => return Found::Closed,
                Some(Arrival::Delay) => found = Found::Busy,
                _ => {}
            }
        }
        found
    }

    /// Puts a connection among those that are there, as the newest, and takes away whom its class stops.
    pub(super) fn admit_main(&mut self, id: u16) {
        let order = self.state.tick_order();
        let Some(main) = self.state.routing.mains.get_mut(&id) else {
            return;
        };
        main.order = order;
        main.waiting = false;
        let (class, sink, route) = (main.class, main.sink, main.route.clone());
        let stopped = self.there(sink).into_iter().filter(|(other, holder)| {
            let verdict = self.pressure_of(holder.class, class);
            let apart = are_apart(&holder.route, &route);
            *other != id && !apart && verdict.is_some_and(|it| it.action == Holder::Stop)
        });
        for other in stopped.map(|it| it.0).collect::<Vec<_>>() {
            if let Some(main) = self.state.routing.mains.get_mut(&other) {
                main.goal = Goal::Displaced { by: id };
            }
        }
    }

    /// Whether a newer one pauses this one.
    pub(super) fn is_paused(&self, main: &Main) -> bool {
        self.pauser_of(main).is_some()
    }

    /// To be connected now.
    pub(super) fn aims_up(&self, main: &Main) -> bool {
        main.goal == Goal::Up && !main.waiting && main.held.is_none() && !self.is_paused(main)
    }

    /// The deepest duck of a source by others heard at its sinks, and by interrupts; or what a rule takes, if that is more.
    pub(super) fn duck_of(&self, source: u16) -> Option<Duck> {
        let mains = self.state.routing.mains.values();
        let own: Vec<&Main> = mains.filter(|it| it.source == source && self.aims_up(it)).collect();
        let sinks: Vec<u16> = own.iter().map(|it| it.sink).collect();
        let duck = self.deepest(own.into_iter()).map(|by| by.duck);
        self.strictest_beyond(source, &sinks, duck)
    }

    fn deepest<'a>(&self, mains: impl Iterator<Item = &'a Main>) -> Option<By> {
        let mut deepest: Option<By> = None;
        for by in mains.flat_map(|main| self.ducks_at(main)) {
            if by.duck.depth < deepest.map_or(0, |it| it.duck.depth) {
                deepest = Some(by);
            }
        }
        deepest
    }

    /// A source as causes name it.
    fn cause_of(&self, source: u16) -> usize {
        let built_in = self.state.ids.sources.index(source);
        built_in.unwrap_or(EXTERNAL + usize::from(source))
    }

    fn by<A>(&self, source: u16, verdict: Verdict<A>) -> By {
        By {
            source: self.cause_of(source),
            duck: verdict.duck,
            line: verdict.line,
        }
    }

    /// A guest's stream that isn't started: its connection is nobody's newcomer, as at a zone.
    fn is_idle_stream(&self, main: &Main) -> bool {
        let source = self.state.ids.sources.index(main.source);
        let source = source.and_then(|source| self.state.sources.get(source));
        source.is_some_and(|it| !it.running)
    }

    /// Those that are heard at a sink: connected, even if one that isn't yet takes their place, or about to be in another's place.
    fn ducking_at(&self, sink: u16) -> impl Iterator<Item = &Main> {
        let mains = self.state.routing.mains.values();
        mains.filter(move |it| {
            let there = match it.goal {
                Goal::Up => !it.waiting,
                Goal::Displaced { .. } => true,
                Goal::Parked | Goal::Gone => false,
            };
            it.sink == sink && there && (it.state == ConnectionState::Connected || it.covers)
        })
    }

    fn ducks_at(&self, main: &Main) -> Vec<By> {
        let mut ducks = Vec::new();
        for other in self.ducking_at(main.sink) {
            let apart = are_apart(&main.route, &other.route) || self.is_idle_stream(other);
            if other.source == main.source || apart {
                continue;
            }
            let duck = if other.order > main.order {
                let verdict = self.pressure_of(main.class, other.class);
                let verdict = verdict.filter(|it| it.action == Holder::Duck);
                verdict.map(|it| self.by(other.source, it))
            } else {
                let verdict = self.arrival_of(other.class, main.class);
                let verdict = verdict.filter(|it| it.action == Arrival::Ducked);
                verdict.map(|it| self.by(other.source, it))
            };
            ducks.extend(duck);
        }
        // The mixer ducks a guest's stream for those that are connected nowhere.
        let mixed = ends_built_in(&main.route).is_some();
        let others = self
            .interrupts_at_sink(main.sink, !mixed)
            .filter(|it| it.0 != main.source);
        for (source, class) in others {
            let verdict = self.pressure_of(main.class, class);
            let verdict = verdict.filter(|it| it.action == Holder::Duck);
            ducks.extend(verdict.map(|it| self.by(source, it)));
        }
        ducks
    }

    /// What becomes, at domains' sinks, of guests' streams that are heard there over a zone.
    pub(in crate::machine) fn beyond(&self) -> Beyond {
        let segments = self.state.connections.values().filter(|it| !it.direct);
        let all = segments.map(|segment| {
            let mains = &self.state.routing.mains;
            // What a domain's source plays by a guest's stream is paused and ducked at the source.
            let streams = |main: &&Main| self.state.ids.sources.index(main.source).is_some();
            let over = segment.held.iter().filter_map(|id| mains.get(id));
            let over: Vec<&Main> = over.filter(streams).collect();
            let up = over.iter().any(|main| self.aims_up(main));
            let far = Far {
                paused: over.first().filter(|_| !up).and_then(|main| self.pauser_of(main)),
                ducked: self.deepest(over.iter().copied().filter(|main| self.aims_up(main))),
                held: over.first().filter(|_| !up).and_then(|main| main.held),
            };
            ((segment.source, segment.sink), far)
        });
        all.collect()
    }

    /// Who pauses a connection.
    fn pauser_of(&self, main: &Main) -> Option<By> {
        let (verdict, pauser) = self.pausing(main)?;
        Some(self.by(pauser.source, verdict))
    }

    /// The connection that pauses another, and the verdict that does.
    pub(super) fn pausing(&self, main: &Main) -> Option<(Verdict<Holder>, &Main)> {
        let newer =
            self.there(main.sink).into_iter().rev().filter(|it| {
                it.1.order > main.order && !are_apart(&main.route, &it.1.route) && !self.is_idle_stream(it.1)
            });
        let mut verdicts = newer.filter_map(|(_, it)| Some((self.pressure_of(main.class, it.class)?, it)));
        verdicts.find(|it| it.0.action == Holder::Pause)
    }

    /// Sources that sound on their own at a domain's sink: those connected to it, and those connected nowhere, of which nobody
    /// knows where they sound.
    fn interrupts_at_sink(&self, sink: u16, lone: bool) -> impl Iterator<Item = (u16, u16)> + '_ {
        let routing = &self.state.routing;
        let sounding = routing.registry.sources.iter().filter(|(_, it)| it.interrupts());
        sounding.filter_map(move |(id, it)| {
            let mut mains = routing.mains.values().filter(|main| main.source == *id).peekable();
            let here = lone && mains.peek().is_none() || mains.any(|main| main.sink == sink);
            here.then_some((*id, it.class))
        })
    }
}
