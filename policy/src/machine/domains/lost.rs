//! What goes away: elements, domains, and after a restart what contradicts the model.

use std::collections::BTreeSet;

use super::state::{Goal, Target};
use crate::command::Signal;
use crate::machine::Machine;
use crate::machine::state::MAX_CONNECTIONS;
#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};
use crate::routing_command::Kind;

impl Machine {
    pub(super) fn deregister(&mut self, peer: &str, kind: Kind, id: u16, signals: &mut Vec<Signal>) -> Result<(), i16> {
        self.may_change(peer, kind, id)?;
        match kind {
            Kind::Domain => self.deregister_domain(id, signals),
            _ => self.lose(kind, id, signals),
        }
        Ok(())
    }

    /// A domain goes, and all it registered. Requests to it end.
    pub(super) fn deregister_domain(&mut self, domain: u16, signals: &mut Vec<Signal>) {
        let registry = &self.state.routing.registry;
        let kinds = [
            Kind::Crossfader,
            Kind::Converter,
            Kind::Gateway,
            Kind::Source,
            Kind::Sink,
        ];
        let all = kinds.into_iter().flat_map(|kind| {
            let ids = registry.of_domain(kind, domain);
            ids.into_iter().map(move |id| (kind, id))
        });
        for (kind, id) in all.collect::<Vec<_>>() {
            self.lose(kind, id, signals);
        }
        self.close(|open| open.domain == domain);
        self.state.routing.asked_to_stay.remove(&domain);
        self.state.routing.registry.remove(Kind::Domain, domain);
    }

    /// An element goes: connections over it are disconnected and removed, what they had in other domains is taken down.
    fn lose(&mut self, kind: Kind, id: u16, signals: &mut Vec<Signal>) {
        let routing = &self.state.routing;
        let bridge = match kind {
            Kind::Gateway => routing.registry.gateways.get(&id),
            Kind::Converter => routing.registry.converters.get(&id),
            _ => None,
        };
        let bridge = bridge.map(|it| (it.sink, it.source));
        let fades = self.ends_through(kind, id);
        let routing = &mut self.state.routing;
        let over = |main: &super::state::Main| match kind {
            Kind::Source => main.source == id || main.uses_source(id),
            Kind::Sink => main.sink == id || main.route.iter().any(|hop| hop.sink == id),
            Kind::Crossfader => fades.contains(&(main.source, main.sink)),
            _ => bridge.is_some_and(|(sink, source)| {
                let mut pairs = main.route.windows(2);
                pairs.any(|hops| matches!(hops, [from, to] if from.sink == sink && to.source == source))
            }),
        };
        let taken: Vec<u16> = routing
            .mains
            .iter()
            .filter(|it| it.1.goal != Goal::Gone && over(it.1))
            .map(|it| *it.0)
            .collect();
        self.remember_lost(&taken);
        let routing = &mut self.state.routing;
        for main in routing
            .mains
            .iter_mut()
            .filter(|it| taken.contains(it.0))
            .map(|it| it.1)
        {
            #[cfg(test)]
            if mutant::is(Mutant::KeepsLost) {
                continue;
            }
            main.goal = Goal::Gone;
            main.failed = true;
        }
        match kind {
            Kind::Source => self.lose_source(id, signals),
            Kind::Sink => self.lose_sink(id, signals),
            _ => {}
        }
        self.state.routing.registry.remove(kind, id);
        let known: BTreeSet<u16> = self.state.routing.registry.crossfaders.keys().copied().collect();
        let lost = |target: Target| matches!(target, Target::CrossFade(id) if !known.contains(&id));
        self.close(|open| lost(open.what.target()));
        self.state.routing.refused.retain(|it| !lost(it.0));
    }

    /// Ends of the connections that go through a crossfader.
    fn ends_through(&self, kind: Kind, id: u16) -> BTreeSet<(u16, u16)> {
        let mains = self.state.routing.mains.values();
        let through = mains.filter(|it| {
            kind == Kind::Crossfader
                && self
                    .crossfaders_of(&it.route)
                    .iter()
                    .any(|(crossfader, _)| *crossfader == id)
        });
        through.map(|it| (it.source, it.sink)).collect()
    }

    /// After a restart, perhaps with another file: what contradicts the model or itself is left out.
    pub(in crate::machine) fn fit_domains(&mut self) {
        let mut signals = Vec::new();
        for kind in [Kind::Source, Kind::Sink] {
            for id in self.state.routing.registry.ids(kind) {
                let built_in = match kind {
                    Kind::Source => self.state.ids.sources.index(id),
                    _ => self.state.ids.sinks.index(id),
                };
                if built_in.is_some() {
                    self.lose(kind, id, &mut signals);
                }
            }
        }
        let order = self.state.order;
        let connections = &self.state.connections;
        let mains = &mut self.state.routing.mains;
        mains.retain(|id, _| (1..=MAX_CONNECTIONS).contains(id) && !connections.contains_key(id));
        for main in mains.values_mut() {
            main.order = main.order.min(order);
        }
        let known: BTreeSet<u16> = mains.keys().copied().collect();
        self.state.connections.retain(|_, it| {
            it.held.retain(|main| known.contains(main));
            it.direct || !it.held.is_empty()
        });
    }

    /// A segment of these main connections between a guest's stream and a zone is gone.
    pub(in crate::machine) fn lose_held(&mut self, held: &BTreeSet<u16>) {
        #[cfg(test)]
        if mutant::is(Mutant::ForgetsHeld) {
            return;
        }
        for id in held {
            if let Some(main) = self.state.routing.mains.get_mut(id) {
                main.goal = Goal::Gone;
            }
        }
    }

    fn lose_source(&mut self, id: u16, signals: &mut Vec<Signal>) {
        self.lose_segments(|hop| hop.source == id);
        let targets = [
            Target::SourceState(id),
            Target::SourceVolume(id),
            Target::SourceSound(id),
            Target::SourceNotification(id),
        ];
        self.forget_targets(&targets);
        let routing = &mut self.state.routing;
        routing.refused.retain(|it| !targets.contains(&it.0));
        routing.driven.remove(&id);
        if routing.registry.sources.get(&id).is_some_and(|it| it.visible) {
            signals.push(Signal::SourceRemoved { source: id });
        }
    }

    fn lose_sink(&mut self, id: u16, signals: &mut Vec<Signal>) {
        self.lose_segments(|hop| hop.sink == id);
        let targets = [
            Target::SinkVolume(id),
            Target::SinkSound(id),
            Target::SinkNotification(id),
        ];
        self.forget_targets(&targets);
        let routing = &mut self.state.routing;
        routing.refused.retain(|it| !targets.contains(&it.0));
        if routing.registry.sinks.get(&id).is_some_and(|it| it.visible) {
            signals.push(Signal::SinkRemoved { sink: id });
        }
    }

    fn lose_segments(&mut self, is: impl Fn(&crate::routing::Hop) -> bool) {
        let segments = self.state.routing.segments.iter().filter(|(_, it)| is(&it.hop));
        for id in segments.map(|it| *it.0).collect::<Vec<_>>() {
            self.close(|open| open.what.target() == Target::Segment(id));
            self.state.routing.segments.remove(&id);
        }
    }
}
