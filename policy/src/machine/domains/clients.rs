//! Clients' calls about domains' sources, sinks and connections.
//!
//! | situation | code |
//! |---|---|
//! | Connect: unknown end | 8, ID 0 |
//! | Connect: no route, refused by the matrix, no room for requests or connections | 7, ID 0 |
//! | Connect: an end is unavailable | 4, ID 0; the connection is kept, DISCONNECTED |
//! | Connect: connected pair | 0, the same ID |
//!
//! A Connect's first request leaves before its reply, everything else after it.

use std::collections::BTreeSet;

use super::matrix::Found;
use super::register::{is_available, main_sink, main_source};
use super::state::{Goal, MAX_MAINS, Main, Target};
use crate::command::{Call, ConnectionState, MainSink, MainSource, Reply, ReplyBody, Signal, error};
use crate::curve;
use crate::effect::Effect;
use crate::machine::system::ONLY_TOPOLOGIES;
use crate::machine::{Machine, signal};
use crate::routing::search::{Graph, Node};
use crate::routing::{BUILT_IN, Route};
use crate::routing_command::{End, Kind, format};

fn reply(error: i16, body: ReplyBody) -> Reply {
    Reply { error, body }
}

pub(super) fn code(error: i16) -> Reply {
    reply(error, ReplyBody::Nothing)
}

impl Machine {
    /// Answers a call that is about domains; `false` = it isn't.
    pub(in crate::machine) fn domain_call(&mut self, token: u64, call: &Call, effects: &mut Vec<Effect>) -> bool {
        let registry = &self.state.routing.registry;
        let is = |end: End| registry.has(end.kind(), end.id());
        let mut late = Vec::new();
        let reply = match *call {
            Call::Connect { source, sink } => {
                if !self.is_over_domains(source, sink) {
                    return false;
                }
                self.connect_over_domains(token, (source, sink), None, effects);
                self.settle_domains(effects);
                return true;
            }
            Call::Disconnect { connection } if self.state.routing.has_main(connection) => {
                self.disconnect_main(connection);
                code(error::OK)
            }
            Call::SetVolume { sink, volume } if is(End::Sink(sink)) => self.set_domain_volume(sink, |_| volume),
            Call::VolumeStep { sink, step } if is(End::Sink(sink)) => {
                self.set_domain_volume(sink, |now| now.saturating_add(step))
            }
            Call::SetSinkMuteState { sink, state } if is(End::Sink(sink)) => self.set_domain_mute(sink, state),
            Call::SetMainSinkSoundProperty { sink, property } if is(End::Sink(sink)) => {
                self.set_main_properties(End::Sink(sink), &[property], &mut late, effects)
            }
            Call::SetMainSourceSoundProperty { source, property } if is(End::Source(source)) => {
                self.set_main_properties(End::Source(source), &[property], &mut late, effects)
            }
            Call::SetMainSinkSoundProperties { sink, ref properties } if is(End::Sink(sink)) => {
                self.set_main_properties(End::Sink(sink), properties, &mut late, effects)
            }
            Call::SetMainSourceSoundProperties { source, ref properties } if is(End::Source(source)) => {
                self.set_main_properties(End::Source(source), properties, &mut late, effects)
            }
            Call::SetSinkMainNotificationConfiguration { sink, notification } if is(End::Sink(sink)) => {
                self.set_main_notification(End::Sink(sink), notification, &mut late, effects)
            }
            Call::SetSourceMainNotificationConfiguration { source, notification } if is(End::Source(source)) => {
                self.set_main_notification(End::Source(source), notification, &mut late, effects)
            }
            ref query => match self.domain_query(query) {
                Some(reply) => reply,
                None => return false,
            },
        };
        effects.push(Effect::Reply { token, reply });
        effects.extend(late.into_iter().map(Effect::Signal));
        self.settle_domains(effects);
        true
    }

    fn domain_query(&self, call: &Call) -> Option<Reply> {
        let registry = &self.state.routing.registry;
        let sink = |id: u16| registry.sinks.get(&id);
        let source = |id: u16| registry.sources.get(&id);
        let body = match *call {
            Call::GetVolume { sink: id } => ReplyBody::Volume(sink(id)?.main_volume),
            Call::GetListMainSinkSoundProperties { sink: id } => {
                let own = sink(id)?.lists.main_sound.iter().copied();
                ReplyBody::Properties(own.chain(self.class_volumes_of(id)).collect())
            }
            Call::GetListMainSourceSoundProperties { source: id } => {
                ReplyBody::Properties(source(id)?.lists.main_sound.clone())
            }
            Call::GetListSinkMainNotificationConfigurations { sink: id } => {
                ReplyBody::Notifications(sink(id)?.lists.main_notifications.clone())
            }
            Call::GetListSourceMainNotificationConfigurations { source: id } => {
                ReplyBody::Notifications(source(id)?.lists.main_notifications.clone())
            }
            Call::GetTimingInformation { connection } => {
                let delay = self.state.routing.mains.get(&connection)?.delay;
                let error = if delay < 0 { error::NOT_POSSIBLE } else { error::OK };
                return Some(reply(error, ReplyBody::Delay(delay)));
            }
            _ => return None,
        };
        Some(reply(error::OK, body))
    }

    /// Domains' visible sinks.
    pub(in crate::machine) fn domain_sinks(&self) -> impl Iterator<Item = MainSink> + '_ {
        let sinks = self.state.routing.registry.sinks.iter().filter(|it| it.1.visible);
        sinks.map(|(id, it)| main_sink(*id, it))
    }

    /// Domains' visible sources.
    pub(in crate::machine) fn domain_sources(&self) -> impl Iterator<Item = MainSource> + '_ {
        let sources = self.state.routing.registry.sources.iter().filter(|it| it.1.visible);
        sources.map(|(id, it)| main_source(*id, it))
    }

    /// IDs of visible connections over domains.
    pub(in crate::machine) fn domain_connections(&self) -> impl Iterator<Item = u16> + '_ {
        let mains = self.state.routing.mains.iter().filter(|it| it.1.shown);
        mains.map(|it| *it.0)
    }

    pub(super) fn main_between(&self, source: u16, sink: u16) -> Option<u16> {
        let mut mains = self.state.routing.mains.iter();
        let of_pair = |it: &Main| it.source == source && it.sink == sink && it.goal != Goal::Gone;
        mains.find(|it| of_pair(it.1)).map(|it| *it.0)
    }

    /// Whether an end of a connection is a domain's.
    pub(in crate::machine) fn is_over_domains(&self, source: u16, sink: u16) -> bool {
        let registry = &self.state.routing.registry;
        registry.sources.contains_key(&source) || registry.sinks.contains_key(&sink)
    }

    /// Answers one Connect; with a format over routes that begin in it only.
    pub(in crate::machine) fn connect_over_domains(
        &mut self,
        token: u64,
        (source, sink): (u16, u16),
        format: Option<u16>,
        effects: &mut Vec<Effect>,
    ) {
        let answer = |error: i16, id: u16| Effect::Reply {
            token,
            reply: reply(error, ReplyBody::Connection(id)),
        };
        let route = match self.route(source, sink, format) {
            Ok(route) => route,
            Err(error) => return effects.push(answer(error, 0)),
        };
        self.forgive_route(&route, sink);
        let known = self.main_between(source, sink);
        let class = self.class_of(source);
        let found = self.find_at((class, &route), sink, known);
        let available = self.ends_are_available(source, sink);
        let there = known.is_some_and(|id| self.there(sink).iter().any(|it| it.0 == id));
        if found == Found::Closed && !there {
            return effects.push(answer(error::NOT_POSSIBLE, 0));
        }
        if let (Some(id), true) = (known, available) {
            effects.push(answer(error::OK, id));
            return self.connect_main_again(id, route, found, there);
        }
        if let Some(_kept) = known {
            return effects.push(answer(error::DATABASE_ERROR, 0));
        }
        if available && !self.has_room(&route) {
            return effects.push(answer(error::NOT_POSSIBLE, 0));
        }
        let Some(id) = self.new_main(source, sink, class, route) else {
            return effects.push(answer(error::NOT_POSSIBLE, 0));
        };
        if !available {
            effects.push(answer(error::DATABASE_ERROR, 0));
            self.announce(id, effects);
            if let Some(main) = self.state.routing.mains.get_mut(&id) {
                main.goal = Goal::Parked;
            }
            return self.transit(id, ConnectionState::Disconnected, effects);
        }
        match found {
            Found::Free => self.admit_main(id),
            _ => self.wait_main(id),
        }
        self.settle_levels(effects);
        effects.push(answer(error::OK, id));
        self.announce(id, effects);
    }

    fn route(&self, source: u16, sink: u16, format: Option<u16>) -> Result<Route, i16> {
        let rules = &self.model.routing;
        let registry = &self.state.routing.registry;
        let busy: BTreeSet<(u16, u16)> = self
            .state
            .routing
            .segments
            .values()
            .map(|it| (it.hop.source, it.hop.sink))
            .collect();
        let mut graph = Graph::of(registry, rules.only_free.then_some(&busy));
        self.add_built_in(&mut graph);
        let ways = self.ways(source, sink);
        let routes = graph.routes_over(source, sink, rules, ways.as_deref())?;
        // A segment that is there already has its format.
        let begins = |route: &Route| format.is_none() || route.first().map(|hop| hop.format) == format;
        let fits = |route: &Route| {
            let mut known = route
                .iter()
                .filter_map(|hop| Some((hop, self.state.routing.segment_of(hop)?.1)));
            begins(route) && known.all(|(hop, segment)| hop.format == segment.hop.format)
        };
        let fitting = routes.into_iter().filter(fits);
        // Of those of one length the one by a crossfader's input that nobody uses.
        let best = fitting.min_by_key(|route| (route.len(), self.inputs_in_use(source, route)));
        best.ok_or(error::NOT_POSSIBLE)
    }

    /// What topologies allow from a source to a sink.
    fn ways(&self, source: u16, sink: u16) -> Option<Vec<&[String]>> {
        let registry = &self.state.routing.registry;
        let class = self.state.ids.classes.index(self.class_of(source));
        let class = class
            .and_then(|it| self.model.classes.get(it))
            .map_or("", |it| it.name.as_str());
        let own = self
            .state
            .ids
            .sources
            .index(source)
            .and_then(|it| self.model.sources.get(it));
        let from = own.map(|it| it.name.as_str());
        let from = from.or_else(|| registry.sources.get(&source).map(|it| it.name.as_str()));
        let own = self.state.ids.sinks.index(sink).and_then(|it| self.model.sinks.get(it));
        let to = own.map(|it| it.name.as_str());
        let to = to.or_else(|| registry.sinks.get(&sink).map(|it| it.name.as_str()));
        let rules = &self.model.routing;
        let only = self
            .system_value(ONLY_TOPOLOGIES)
            .map_or(rules.only_topologies, |it| it != 0);
        rules.ways(class, from?, to?, only)
    }

    /// Guests' streams and zones: everything is converted there. Nothing leads to protected sources.
    fn add_built_in(&self, graph: &mut Graph) {
        let node = || Node {
            domain: BUILT_IN,
            formats: vec![format::STEREO, format::MONO],
        };
        let sources = self.model.sources.iter().enumerate();
        for (index, _) in sources.filter(|it| !self.model.protected(it.0)) {
            graph.sources.extend(self.source_id(index).map(|id| (id, node())));
        }
        for index in 0..self.model.sinks.len() {
            graph.sinks.extend(self.sink_id(index).map(|id| (id, node())));
        }
    }

    /// A source's classID, 0 where it has none.
    pub(super) fn class_of(&self, source: u16) -> u16 {
        if let Some(index) = self.state.ids.sources.index(source) {
            let class = self.model.sources.get(index).map(|it| it.class);
            return class.and_then(|class| self.state.ids.classes.id(class)).unwrap_or(0);
        }
        self.state
            .routing
            .registry
            .sources
            .get(&source)
            .map_or(0, |it| it.class)
    }

    /// Whether a client could connect a guest's stream to a domain's sink now.
    pub(in crate::machine) fn could_reach_a_domain(&self, source: usize) -> bool {
        let Some(id) = self.source_id(source).filter(|id| self.is_visible(End::Source(*id))) else {
            return false;
        };
        let class = self.class_of(id);
        let sinks = self.state.routing.registry.sinks.iter();
        let mut offered = sinks.filter(|(_, it)| it.visible && is_available(it.availability));
        offered.any(|(sink, _)| {
            let route = self.route(id, *sink, None);
            route.is_ok_and(|route| self.find_at((class, &route), *sink, None) != Found::Closed)
        })
    }

    /// Shown to clients.
    pub(super) fn is_visible(&self, end: End) -> bool {
        let registry = &self.state.routing.registry;
        match end {
            End::Source(id) => match self.state.ids.sources.index(id) {
                Some(index) => self.model.sources.get(index).is_some_and(|it| it.visible),
                None => registry.sources.get(&id).is_some_and(|it| it.visible),
            },
            End::Sink(id) => match self.state.ids.sinks.index(id) {
                Some(index) => self.model.sinks.get(index).is_some_and(|it| it.visible),
                None => registry.sinks.get(&id).is_some_and(|it| it.visible),
            },
        }
    }

    /// Whoever asks anew gets a new try.
    fn forgive_route(&mut self, route: &Route, sink: u16) {
        self.state.routing.forgive(Target::SinkVolume(sink));
        for hop in route {
            self.state.routing.forgive(Target::SourceState(hop.source));
        }
        for (crossfader, _) in self.crossfaders_of(route) {
            self.state.routing.forgive(Target::CrossFade(crossfader));
        }
    }

    fn ends_are_available(&self, source: u16, sink: u16) -> bool {
        let registry = &self.state.routing.registry;
        // A guest that is away may come: its streams can be connected ahead, as to a zone.
        registry
            .sources
            .get(&source)
            .is_none_or(|it| is_available(it.availability))
            && registry.sinks.get(&sink).is_none_or(|it| is_available(it.availability))
    }

    /// Every domain on the way could be sent at least what connects it: for each hop a segment and a state, and a mute.
    fn has_room(&mut self, route: &Route) -> bool {
        let domains: BTreeSet<u16> = route.iter().map(|hop| hop.domain).collect();
        domains.into_iter().filter(|it| *it != BUILT_IN).all(|domain| {
            let hops = route.iter().filter(|hop| hop.domain == domain).count();
            self.room_for_requests(domain) > 2 * hops
        })
    }

    fn new_main(&mut self, source: u16, sink: u16, class: u16, route: Route) -> Option<u16> {
        if self.state.routing.mains.len() >= MAX_MAINS {
            return None;
        }
        let id = self.state.free_connection_id()?;
        self.state.last_connection = id;
        let shown = self.is_visible(End::Source(source)) && self.is_visible(End::Sink(sink));
        let main = Main {
            source,
            sink,
            class,
            route,
            state: ConnectionState::Unknown,
            since: self.state.now,
            order: 0,
            waiting: false,
            goal: Goal::Up,
            hold: true,
            failed: false,
            shown,
            delay: -1,
            held: None,
            covers: false,
        };
        self.state.routing.mains.insert(id, main);
        Some(id)
    }

    pub(super) fn wait_main(&mut self, id: u16) {
        let order = self.state.tick_order();
        if let Some(main) = self.state.routing.mains.get_mut(&id) {
            main.waiting = true;
            main.order = order;
        }
    }

    fn announce(&mut self, id: u16, effects: &mut Vec<Effect>) {
        let Some(new) = self.domain_connection(id) else { return };
        if !self.state.routing.mains.get(&id).is_some_and(|it| it.shown) {
            return;
        }
        signal(effects, Signal::NewMainConnection(new));
        self.transit(id, ConnectionState::Unknown, effects);
        let delay = -1;
        signal(effects, Signal::TimingInformationChanged { connection: id, delay });
    }

    /// Connect on a known pair: as at its first time, with the route there is now if it had been taken down.
    fn connect_main_again(&mut self, id: u16, route: Route, found: Found, there: bool) {
        let Some(main) = self.state.routing.mains.get_mut(&id) else {
            return;
        };
        if main.state == ConnectionState::Disconnected {
            main.route = route;
        }
        main.goal = Goal::Up;
        main.failed = false;
        main.held = None;
        match found {
            Found::Free => self.admit_main(id),
            _ if there => {}
            _ => self.wait_main(id),
        }
    }

    fn disconnect_main(&mut self, id: u16) {
        if let Some(main) = self.state.routing.mains.get_mut(&id) {
            main.goal = Goal::Gone;
            main.waiting = false;
        }
    }

    fn set_domain_volume(&mut self, id: u16, wanted: impl FnOnce(i16) -> i16) -> Reply {
        self.state.routing.forgive(Target::SinkVolume(id));
        let of_class = self.class_at(id);
        let now = self.class_volume_at(id);
        if let Some(sink) = self.state.routing.registry.sinks.get_mut(&id) {
            let curve = self.model.routing.curve_of(&sink.name);
            let volume = curve::clamp(curve, wanted(now.unwrap_or(sink.wanted_volume)));
            match of_class.filter(|_| now.is_some()) {
                Some(class) => drop(self.state.class_volumes.insert((class, sink.name.clone()), volume)),
                None => sink.wanted_volume = volume,
            }
        }
        code(error::OK)
    }

    /// The class of the newest that is heard at a domain's sink, one that goes until it is gone.
    fn class_at(&self, sink: u16) -> Option<usize> {
        let mains = self.state.routing.mains.values().filter(|it| it.sink == sink);
        let heard = mains.filter(|it| match it.state {
            ConnectionState::Connected => it.goal != Goal::Up || self.aims_up(it),
            ConnectionState::Disconnecting => true,
            _ => false,
        });
        self.state.ids.classes.index(heard.max_by_key(|it| it.order)?.class)
    }

    /// The mainVolume that this class has of its own there.
    pub(super) fn class_volume_at(&self, sink: u16) -> Option<i16> {
        if self.state.class_volumes.is_empty() {
            return None;
        }
        let name = &self.state.routing.registry.sinks.get(&sink)?.name;
        self.own_volume(self.class_at(sink)?, name)
    }

    fn set_domain_mute(&mut self, id: u16, state: i16) -> Reply {
        if state != 1 && state != 2 {
            return code(error::OUT_OF_RANGE);
        }
        self.state.routing.forgive(Target::SinkVolume(id));
        if let Some(sink) = self.state.routing.registry.sinks.get_mut(&id) {
            sink.wanted_mute = state == 1;
        }
        code(error::OK)
    }
}

impl End {
    /// Source or sink.
    pub fn kind(self) -> Kind {
        match self {
            Self::Source(_) => Kind::Source,
            Self::Sink(_) => Kind::Sink,
        }
    }

    /// Its ID.
    pub fn id(self) -> u16 {
        match self {
            Self::Source(id) | Self::Sink(id) => id,
        }
    }
}
