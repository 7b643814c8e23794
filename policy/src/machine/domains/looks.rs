//! What the simulation and the proof look at: connections over domains, requests under way, and what of all this decides the future.

use std::collections::BTreeMap;

use super::state::{Goal, Main, Open, Registration, Routing, Segment, Target, What};
use crate::Time;
use crate::command::ConnectionState;
use crate::machine::Machine;
use crate::machine::essence::Sum;
use crate::routing::{Crossfader, Gateway, Hop, Registry, Sink, Source};
use crate::routing_command::End;
use crate::rules::action::Ramp;

impl Machine {
    /// Whether this request of a peer may still be acknowledged.
    pub(crate) fn awaits(&self, peer: &str, handle: u16) -> bool {
        let open = self.state.routing.open.get(peer);
        open.is_some_and(|open| open.contains_key(&handle))
    }

    /// When the next request that waits is too late, or domains have had their time to register.
    pub(crate) fn ack_deadline(&self) -> Option<Time> {
        let routing = &self.state.routing;
        let registration = match routing.registration {
            Registration::Until(until) => Some(until),
            _ => None,
        };
        let late = routing.all_open().map(|it| it.deadline);
        late.chain(registration).min()
    }

    /// Main connections over domains: ID, sourceID, sinkID, state.
    pub fn mains(&self) -> impl Iterator<Item = (u16, u16, u16, ConnectionState)> + '_ {
        let mains = self.state.routing.mains.iter();
        mains.map(|(id, it)| (*id, it.source, it.sink, it.state))
    }

    /// Whether a connection of this source over domains takes the place of another: it ducks others before it is connected.
    pub(crate) fn takes_over(&self, source: u16) -> bool {
        let mains = self.state.routing.mains.values();
        mains.filter(|it| it.source == source).any(|it| it.covers)
    }

    /// Requests that a domain owes its ack, and how long the first has waited, ms.
    pub fn owes(&self, domain: u16) -> (usize, Time) {
        let open = self.state.routing.all_open().filter(|it| it.domain == domain);
        let name = self.domain(domain).map_or("", |it| it.name.as_str());
        let patience = self.model.routing.ack_ms_of(name);
        let waited = |it: &Open| (self.state.now + patience).saturating_sub(it.deadline);
        let each = open.map(waited);
        each.fold((0, 0), |(count, longest), waited| (count + 1, longest.max(waited)))
    }

    /// A class's classID.
    pub(crate) fn class_id(&self, class: usize) -> Option<u16> {
        self.state.ids.classes.id(class)
    }

    /// A main connection that is held up because the matrix says so.
    pub(crate) fn is_held_up(&self, main: u16) -> bool {
        let main = self.state.routing.mains.get(&main);
        main.is_some_and(|it| it.waiting || self.is_paused(it))
    }

    /// Nothing of this level is under way, and nothing of it was refused.
    pub(crate) fn level_is_settled(&self, end: End) -> bool {
        let target = match end {
            End::Source(source) => Target::SourceVolume(source),
            End::Sink(sink) => Target::SinkVolume(sink),
        };
        let routing = &self.state.routing;
        routing.under_way(target).is_none() && !routing.refused.iter().any(|it| it.0 == target)
    }
}

impl Routing {
    /// Orders of arrival.
    pub(in crate::machine) fn orders(&self) -> impl Iterator<Item = u64> + '_ {
        self.mains.values().map(|main| main.order)
    }

    /// The places of these main connections among all, in the order of their IDs.
    pub(in crate::machine) fn places_of<'m>(&'m self, mains: impl Iterator<Item = &'m u16>) -> Vec<u32> {
        let place = |id: &u16| self.mains.keys().position(|it| it == id);
        mains.filter_map(place).map(|place| place as u32).collect()
    }

    /// Adds what decides the future: IDs count by their order only, deadlines by how far they are. Handles, the counts of acks, and
    /// the last ID given are left out: what rests is never short in a proof.
    pub(in crate::machine) fn tell(&self, now: Time, ranks: &BTreeMap<u64, u32>, sum: &mut Sum) {
        let Self {
            registry,
            mains,
            segments,
            last_segment: _,
            handles: _,
            open,
            refused,
            driven,
            offers: _,
            asked_to_stay: _,
            registration,
            remembered,
            // Only within a step.
            fresh: _,
            news: _,
            left: _,
            starved: _,
            dropped_acks: _,
        } = self;
        if registry.is_empty() && mains.is_empty() && open.is_empty() && segments.is_empty() {
            return;
        }
        tell_registry(registry, sum);
        for main in mains.values() {
            self.tell_main(main, ranks, sum);
        }
        for Segment { hop, up, delay } in segments.values() {
            tell_hop(hop, sum);
            sum.all([3, u32::from(*up), u32::from(*delay as u16)]);
        }
        // In the order in which they will be too late.
        let mut requests: Vec<(Time, u16, &Open)> = (open.values().flatten())
            .map(|(handle, it)| (it.deadline, *handle, it))
            .collect();
        requests.sort_unstable_by_key(|it| (it.0, it.1));
        requests.iter().for_each(|it| sum.all(self.request(it.2, now)));
        for (target, value) in refused {
            sum.all(self.target(*target));
            sum.add(u32::from(*value as u16));
        }
        driven.iter().for_each(|source| sum.all([5, u32::from(*source)]));
        remembered.tell(sum);
        match registration {
            Registration::Until(until) => sum.all([9, until.saturating_sub(now) as u32]),
            Registration::New => sum.all([10]),
            Registration::Done => sum.all([11]),
            Registration::Late => sum.all([12]),
        }
    }

    fn tell_main(&self, main: &Main, ranks: &BTreeMap<u64, u32>, sum: &mut Sum) {
        let Main {
            source,
            sink,
            class: _,
            route,
            state,
            since: _,
            order,
            waiting,
            goal,
            hold,
            failed,
            shown,
            held,
            covers,
            delay: _,
        } = main;
        let goal = match goal {
            Goal::Up => 0,
            Goal::Parked => 1,
            Goal::Gone => 2,
            Goal::Displaced { by } => 3 + self.places_of([by].into_iter()).first().map_or(0, |place| place + 1),
        };
        let flags = [*waiting, *hold, *failed, *shown, *covers]
            .iter()
            .fold(0, |sum, it| sum << 1 | u32::from(*it));
        sum.all([2, u32::from(*source), u32::from(*sink), *state as u32]);
        sum.all([
            ranks.get(order).copied().unwrap_or(0),
            goal,
            flags,
            held.map_or(0, |line| line + 1),
        ]);
        route.iter().for_each(|hop| tell_hop(hop, sum));
    }

    /// What it is, whether it was given up, and how long it may take yet.
    fn request(&self, open: &Open, now: Time) -> [u32; 6] {
        let Open {
            domain: _,
            what,
            deadline,
            aborted,
        } = open;
        let left = deadline.saturating_sub(now) as u32;
        let [kind, a, b] = self.target(what.target());
        let detail = match *what {
            What::Connect { .. } => 1,
            What::Disconnect { .. } => 2,
            What::SourceState { state, .. } => 3 << 16 | u32::from(state as u16),
            What::SinkVolume { volume, .. } | What::SourceVolume { volume, .. } => 4 << 16 | u32::from(volume as u16),
            _ => 5 << 16,
        };
        [6 << 8 | kind, a, b, detail, u32::from(*aborted), left]
    }

    fn target(&self, target: Target) -> [u32; 3] {
        match target {
            Target::Segment(id) => {
                let hop = self.segments.get(&id).map(|it| it.hop);
                let (source, sink) = hop.map_or((0, 0), |it| (it.source, it.sink));
                [1, u32::from(source), u32::from(sink)]
            }
            Target::SourceState(id) => [2, u32::from(id), 0],
            Target::SinkVolume(id) => [3, u32::from(id), 0],
            Target::SourceVolume(id) => [4, u32::from(id), 0],
            Target::SinkSound(id) => [5, u32::from(id), 0],
            Target::SourceSound(id) => [6, u32::from(id), 0],
            Target::SinkNotification(id) => [7, u32::from(id), 0],
            Target::SourceNotification(id) => [8, u32::from(id), 0],
            Target::Transfer(id) => [9, u32::from(id), 0],
            Target::CrossFade(id) => [10, u32::from(id), 0],
        }
    }
}

fn tell_hop(hop: &Hop, sum: &mut Sum) {
    sum.all([7, u32::from(hop.source), u32::from(hop.sink), u32::from(hop.format)]);
}

/// Names, classes and lists are as their domain declared them each time; what is left is what was acknowledged and wished.
fn tell_registry(registry: &Registry, sum: &mut Sum) {
    let Registry {
        domains,
        sources,
        sinks,
        gateways,
        converters,
        crossfaders,
    } = registry;
    domains
        .iter()
        .for_each(|(id, it)| sum.all([1, u32::from(*id), u32::from(it.complete)]));
    for (
        id,
        Source {
            name: _,
            domain: _,
            class: _,
            visible: _,
            availability,
            state,
            volume,
            base_volume,
            release_ms,
            interrupt,
            ramp,
            lists: _,
        },
    ) in sources
    {
        sum.all([u32::from(*id), availability.0 as u32, *state as u32, *interrupt as u32]);
        sum.all([
            u32::from(*volume as u16),
            u32::from(*base_volume as u16),
            release_ms.map_or(0, |it| u32::from(it) + 1),
        ]);
        tell_ramp(*ramp, sum);
    }
    for (
        id,
        Sink {
            name: _,
            domain: _,
            class: _,
            visible: _,
            availability,
            volume,
            main_volume,
            wanted_volume,
            mute,
            wanted_mute,
            ramp,
            lists: _,
        },
    ) in sinks
    {
        let flags = u32::from(*mute) | u32::from(*wanted_mute) << 1;
        sum.all([u32::from(*id), availability.0 as u32, u32::from(*volume as u16), flags]);
        sum.all([u32::from(*main_volume as u16), u32::from(*wanted_volume as u16)]);
        tell_ramp(*ramp, sum);
    }
    for (id, Gateway { .. }) in gateways.iter().chain(converters) {
        sum.all([4, u32::from(*id)]);
    }
    for (id, Crossfader { hot_sink, .. }) in crossfaders {
        sum.all([8, u32::from(*id), *hot_sink as u32]);
    }
}

fn tell_ramp(ramp: Ramp, sum: &mut Sum) {
    let Ramp { kind, ms } = ramp;
    sum.all([
        kind.map_or(0, |it| u32::from(it) + 1),
        ms.map_or(0, |ms| ms.saturating_add(1)),
    ]);
}
