//! The search for routes: all simple paths from a source to a sink over domains, shortest first.
//!
//! ```text
//!  edges   source ─► sink                  in one domain, with a format in common
//!          sink ─gateway or converter─► source   where its conversion matrix has a true cell
//!  passes  1  no domain is entered twice
//!          2  only if 1 found nothing: one domain is entered a second time
//! ```
//!
//! A sink that feeds a converter or crossfader is not tried as a gateway. At most [`MAX_PATHS`] paths; the formats that are possible along one
//! path are routes of their own, in the policy's order of priority, the main source's hop deciding first. The work is bounded
//! ([`MAX_WORK`] hops tried a pass): what a registry of any size costs is known.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::conversion::Conversion;
use super::registry::Registry;
use super::rules::Rules;
use crate::command::error;

/// Most paths looked for (`MAX_ROUTING_PATHS`).
pub const MAX_PATHS: usize = 5;
/// Most routes (paths with formats chosen).
pub const MAX_ROUTES: usize = 64;
/// Most hops of a path.
pub const MAX_HOPS: usize = 12;
/// Hops tried at most.
pub const MAX_WORK: usize = 20_000;
/// Times a route may enter a domain again (`MAX_ALLOWED_DOMAIN_CYCLES`).
pub const MAX_DOMAIN_CYCLES: usize = 1;

/// One segment: a source connected to a sink of the same domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hop {
    /// Domain of both.
    pub domain: u16,
    /// sourceID.
    pub source: u16,
    /// sinkID.
    pub sink: u16,
    /// Connection format.
    pub format: u16,
}

/// Segments from the main source to the main sink.
pub type Route = Vec<Hop>;

/// A source or a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its domain.
    pub domain: u16,
    /// Its connection formats.
    pub formats: Vec<u16>,
}

/// A gateway or converter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// In.
    pub sink: u16,
    /// Out.
    pub source: u16,
    /// A converter.
    pub converter: bool,
    /// What it does to formats.
    pub conversion: Conversion,
    /// Its name, for topologies.
    pub name: String,
}

/// What routes are searched in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// By sourceID.
    pub sources: BTreeMap<u16, Node>,
    /// By sinkID.
    pub sinks: BTreeMap<u16, Node>,
    /// Converters and gateways.
    pub bridges: Vec<Bridge>,
}

impl Graph {
    /// Of all that is registered; with `busy` given, without the gateways and converters an end of which is in there.
    pub fn of(registry: &Registry, busy: Option<&BTreeSet<(u16, u16)>>) -> Self {
        let node = |domain: u16, formats: &[u16]| Node {
            domain,
            formats: formats.to_vec(),
        };
        let all = registry.converters.values().map(|it| (true, it));
        let all = all.chain(registry.gateways.values().map(|it| (false, it)));
        let carries = |sink: u16, source: u16| {
            busy.is_some_and(|busy| busy.iter().any(|(from, to)| *from == source || *to == sink))
        };
        // A crossfader's inputs are two bridges to its output; what it makes of formats is its own.
        let inputs = registry.crossfaders.values().flat_map(|it| {
            let out = registry.sources.get(&it.source).map_or(&[][..], |it| &it.lists.formats);
            let into = |sink: u16| registry.sinks.get(&sink).map_or(&[][..], |it| &it.lists.formats);
            [it.sink_a, it.sink_b].map(|sink| Bridge {
                name: it.name.clone(),
                sink,
                source: it.source,
                converter: true,
                conversion: Conversion::whole(into(sink), out),
            })
        });
        let is_fed = |sink: u16| busy.is_some_and(|busy| busy.iter().any(|(_, to)| *to == sink));
        let inputs: Vec<Bridge> = inputs.filter(|it| !is_fed(it.sink)).collect();
        Self {
            sources: (registry.sources.iter())
                .map(|(id, it)| (*id, node(it.domain, &it.lists.formats)))
                .collect(),
            sinks: (registry.sinks.iter())
                .map(|(id, it)| (*id, node(it.domain, &it.lists.formats)))
                .collect(),
            bridges: all
                .filter(|(_, it)| !carries(it.sink, it.source))
                .map(|(converter, it)| Bridge {
                    sink: it.sink,
                    source: it.source,
                    converter,
                    conversion: it.conversion.clone(),
                    name: it.name.clone(),
                })
                .chain(inputs)
                .collect(),
        }
    }

    /// All routes, the best first.
    ///
    /// # Errors
    /// 8 an end is not there, 7 there is no route.
    pub fn routes(&self, source: u16, sink: u16, rules: &Rules) -> Result<Vec<Route>, i16> {
        self.routes_over(source, sink, rules, None)
    }

    /// As [`Self::routes`], over the gateways of these ways only (see [`Rules::ways`]); converters are no gateways.
    ///
    /// # Errors
    /// As [`Self::routes`].
    pub fn routes_over(
        &self,
        source: u16,
        sink: u16,
        rules: &Rules,
        ways: Option<&[&[String]]>,
    ) -> Result<Vec<Route>, i16> {
        if !self.sources.contains_key(&source) || !self.sinks.contains_key(&sink) {
            return Err(error::NON_EXISTENT);
        }
        for cycles in 0..=MAX_DOMAIN_CYCLES {
            let mut search = Search::new(self, rules, sink, cycles);
            search.ways = ways;
            search.run(source);
            if !search.found.is_empty() {
                return Ok(search.found);
            }
        }
        Err(error::NOT_POSSIBLE)
    }

    /// The formats a source and a sink have in common, the best first.
    fn common(&self, source: u16, sink: u16, rules: &Rules) -> Vec<u16> {
        let (Some(from), Some(to)) = (self.sources.get(&source), self.sinks.get(&sink)) else {
            return Vec::new();
        };
        if from.domain != to.domain {
            return Vec::new();
        }
        let both: BTreeSet<u16> = from
            .formats
            .iter()
            .filter(|it| to.formats.contains(it))
            .copied()
            .collect();
        let mut both: Vec<u16> = both.into_iter().collect();
        both.sort_by_key(|format| rules.rank(*format));
        both
    }

    /// Gateways or converters out of a sink.
    fn bridges_of(&self, sink: u16) -> impl Iterator<Item = (usize, &Bridge)> {
        let converts = self.bridges.iter().any(|it| it.sink == sink && it.converter);
        let of_sink =
            move |it: &(usize, &Bridge)| it.1.sink == sink && it.1.converter == converts && it.1.conversion.any();
        self.bridges.iter().enumerate().filter(of_sink)
    }
}

/// One pass.
struct Search<'a> {
    graph: &'a Graph,
    rules: &'a Rules,
    target: u16,
    cycles: usize,
    ways: Option<&'a [&'a [String]]>,
    /// Fewest hops from a source to the target.
    distance: BTreeMap<u16, usize>,
    work: usize,
    paths: usize,
    found: Vec<Route>,
}

/// A path on its way: (source, sink) of each hop, the bridge after each, the domains entered.
#[derive(Default)]
struct Path {
    hops: Vec<(u16, u16)>,
    bridges: Vec<usize>,
    domains: Vec<u16>,
    entered_again: usize,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph, rules: &'a Rules, target: u16, cycles: usize) -> Self {
        let mut search = Self {
            graph,
            rules,
            target,
            cycles,
            ways: None,
            distance: BTreeMap::new(),
            work: 0,
            paths: 0,
            found: Vec::new(),
        };
        search.measure();
        search
    }

    /// Fewest hops to the target from each source, backwards, whatever the formats of a whole path allow.
    fn measure(&mut self) {
        let mut sinks = BTreeSet::from([self.target]);
        let mut seen = BTreeSet::new();
        for hops in 1..=MAX_HOPS {
            let mut next = BTreeSet::new();
            for sink in std::mem::take(&mut sinks) {
                seen.insert(sink);
                let domain = self.graph.sinks.get(&sink).map(|it| it.domain);
                let sources = self.graph.sources.iter().filter(|it| Some(it.1.domain) == domain);
                for source in sources.map(|it| *it.0) {
                    if self.distance.contains_key(&source) || self.graph.common(source, sink, self.rules).is_empty() {
                        continue;
                    }
                    self.distance.insert(source, hops);
                    let into = self.graph.bridges.iter().filter(|it| it.source == source);
                    next.extend(into.map(|it| it.sink).filter(|sink| !seen.contains(sink)));
                }
            }
            sinks = next;
        }
    }

    fn run(&mut self, source: u16) {
        let Some(shortest) = self.distance.get(&source).copied() else {
            return;
        };
        for hops in shortest..=MAX_HOPS {
            let domain = self.graph.sources.get(&source).map_or(0, |it| it.domain);
            let mut path = Path {
                domains: vec![domain],
                ..Path::default()
            };
            self.extend(&mut path, source, hops);
            if self.full() {
                return;
            }
        }
    }

    fn full(&self) -> bool {
        self.paths >= MAX_PATHS || self.work >= MAX_WORK || self.found.len() >= MAX_ROUTES
    }

    /// Goes on from `source` with exactly `left` hops to go.
    fn extend(&mut self, path: &mut Path, source: u16, left: usize) {
        if self.distance.get(&source).is_none_or(|least| *least > left) || self.full() {
            return;
        }
        self.work += 1;
        if left == 1 {
            if !path.hops.iter().any(|hop| hop.1 == self.target)
                && !self.graph.common(source, self.target, self.rules).is_empty()
            {
                path.hops.push((source, self.target));
                self.choose(path);
                path.hops.pop();
            }
            return;
        }
        let graph = self.graph;
        let domain = graph.sources.get(&source).map(|it| it.domain);
        let sinks = graph.sinks.iter().filter(|it| Some(it.1.domain) == domain);
        for sink in sinks.map(|it| *it.0) {
            let visited = path.hops.iter().any(|hop| hop.1 == sink);
            if visited || sink == self.target || graph.common(source, sink, self.rules).is_empty() {
                continue;
            }
            path.hops.push((source, sink));
            for (index, bridge) in graph.bridges_of(sink) {
                self.cross(path, index, bridge, left - 1);
            }
            path.hops.pop();
        }
    }

    fn cross(&mut self, path: &mut Path, index: usize, bridge: &Bridge, left: usize) {
        let Some(node) = self.graph.sources.get(&bridge.source) else {
            return;
        };
        if path.hops.iter().any(|hop| hop.0 == bridge.source) {
            return;
        }
        let stays = path.domains.last() == Some(&node.domain);
        let again = usize::from(!stays && path.domains.contains(&node.domain));
        if path.entered_again + again > self.cycles {
            return;
        }
        path.entered_again += again;
        path.domains.push(node.domain);
        path.bridges.push(index);
        self.extend(path, bridge.source, left);
        path.bridges.pop();
        path.domains.pop();
        path.entered_again -= again;
    }

    /// The formats of a whole path, the best first. A path without any is none.
    fn choose(&mut self, path: &Path) {
        let bridges = path.bridges.iter().filter_map(|it| self.graph.bridges.get(*it));
        let over: Vec<&str> = bridges.filter(|it| !it.converter).map(|it| it.name.as_str()).collect();
        if !Rules::allows(self.ways, &over) {
            return;
        }
        let before = self.found.len();
        let mut formats = Vec::new();
        self.formats(path, &mut formats);
        if self.found.len() > before {
            self.paths += 1;
        }
    }

    fn formats(&mut self, path: &Path, chosen: &mut Vec<u16>) {
        let at = chosen.len();
        self.work += 1;
        let Some((source, sink)) = path.hops.get(at) else {
            self.found.push(self.route(path, chosen));
            return;
        };
        let before = at
            .checked_sub(1)
            .and_then(|it| self.graph.bridges.get(*path.bridges.get(it)?));
        let graph = self.graph;
        for format in graph.common(*source, *sink, self.rules) {
            let fits = match (before, chosen.last()) {
                (Some(bridge), Some(from)) => bridge.conversion.converts(*from, format),
                _ => true,
            };
            if fits && self.found.len() < MAX_ROUTES && self.work < MAX_WORK {
                chosen.push(format);
                self.formats(path, chosen);
                chosen.pop();
            }
        }
    }

    fn route(&self, path: &Path, formats: &[u16]) -> Route {
        let hops = path.hops.iter().zip(formats);
        hops.map(|((source, sink), format)| Hop {
            domain: self.graph.sources.get(source).map_or(0, |it| it.domain),
            source: *source,
            sink: *sink,
            format: *format,
        })
        .collect()
    }
}
