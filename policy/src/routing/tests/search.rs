//! Routes: by hand, and against an oracle that tries everything.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::routing::search::{Bridge, Graph, Hop, MAX_PATHS, MAX_WORK, Node, Route};
use crate::routing::{Conversion, Rules};

const MONO: u16 = 1;
const STEREO: u16 = 2;

fn node(domain: u16, formats: &[u16]) -> Node {
    let formats = formats.to_vec();
    Node { domain, formats }
}

fn gateway(sink: u16, source: u16) -> Bridge {
    let formats = vec![MONO, STEREO];
    let conversion = Conversion::new(formats.clone(), formats, vec![true; 4]).unwrap();
    Bridge {
        sink,
        source,
        converter: false,
        conversion,
        name: format!("{sink}>{source}"),
    }
}

/// A chain of so many domains: source `n` and sink `n` in domain `n`, gateways from each sink to the next source.
fn chain(domains: u16) -> Graph {
    let both = &[MONO, STEREO];
    Graph {
        sources: (1..=domains).map(|n| (n, node(n, both))).collect(),
        sinks: (1..=domains).map(|n| (n, node(n, both))).collect(),
        bridges: (1..domains).map(|n| gateway(n, n + 1)).collect(),
    }
}

fn routes(graph: &Graph, source: u16, sink: u16) -> Result<Vec<Route>, i16> {
    graph.routes(source, sink, &Rules::default())
}

#[test]
fn one_to_four_domains_are_crossed_in_stereo_where_both_are_possible() {
    for domains in 1..=4 {
        let found = routes(&chain(domains), 1, domains).unwrap();
        let expected: Route = (1..=domains)
            .map(|n| Hop {
                domain: n,
                source: n,
                sink: n,
                format: STEREO,
            })
            .collect();
        assert_eq!(found[0], expected);
        assert_eq!(
            found.len(),
            1 << domains,
            "each format of each hop is a route of its own"
        );
    }
}

#[test]
fn an_unknown_end_is_8_and_no_route_is_7() {
    let mut graph = chain(2);
    assert_eq!(routes(&graph, 9, 1), Err(8));
    assert_eq!(routes(&graph, 1, 9), Err(8));
    graph.bridges.clear();
    assert_eq!(routes(&graph, 1, 2), Err(7));
    graph = chain(1);
    graph.sinks.insert(1, node(1, &[3]));
    assert_eq!(routes(&graph, 1, 1), Err(7), "no format in common");
}

#[test]
fn the_policy_says_which_format_comes_first() {
    let rules = Rules {
        formats: vec![MONO],
        ..Rules::default()
    };
    let found = chain(1).routes(1, 1, &rules).unwrap();
    assert_eq!(found.iter().map(|it| it[0].format).collect::<Vec<_>>(), [MONO, STEREO]);
}

#[test]
fn a_gateway_that_makes_mono_of_stereo_is_crossed_with_a_format_on_each_side() {
    let mut graph = chain(2);
    graph.bridges[0].conversion =
        Conversion::new(vec![MONO, STEREO], vec![MONO, STEREO], vec![false, false, true, false]).unwrap();
    let found = routes(&graph, 1, 2).unwrap();
    let formats: Vec<Vec<u16>> = found
        .iter()
        .map(|it| it.iter().map(|hop| hop.format).collect())
        .collect();
    assert_eq!(formats, [[STEREO, MONO]]);
}

#[test]
fn a_domain_is_entered_again_only_where_there_is_no_other_way() {
    // Domain 1 -> 2 -> 1: source 1, sink 1, source 2, sink 2, source 3 (domain 1), sink 3 (domain 1).
    let both = &[MONO, STEREO];
    let mut graph = chain(2);
    graph.sources.insert(3, node(1, &[MONO]));
    graph.sinks.insert(3, node(1, &[MONO]));
    graph.sources.insert(1, node(1, &[STEREO]));
    graph.bridges.push(gateway(2, 3));
    let found = routes(&graph, 1, 3).unwrap();
    assert!(found.iter().all(|it| it.len() == 3), "out and back in");
    graph.sources.insert(1, node(1, both));
    let found = routes(&graph, 1, 3).unwrap();
    assert!(found.iter().all(|it| it.len() == 1), "and not where it is not needed");
}

#[test]
fn a_sink_that_feeds_a_converter_is_no_gateway() {
    let mut graph = chain(2);
    graph.sources.insert(7, node(1, &[STEREO]));
    graph.bridges.push(Bridge {
        converter: true,
        ..gateway(1, 7)
    });
    assert_eq!(routes(&graph, 1, 2), Err(7));
}

#[test]
fn a_gateway_in_use_is_not_taken_where_only_free_ones_may_be() {
    use crate::routing::registry::{Gateway, Registry, Sink, Source};
    let lists = crate::routing_command::Lists {
        formats: vec![STEREO],
        ..Default::default()
    };
    let mut registry = Registry::default();
    for id in [1, 2] {
        let source = Source {
            name: String::new(),
            domain: id,
            class: 0,
            visible: true,
            availability: (1, 0),
            state: 2,
            volume: 0,
            base_volume: 0,
            release_ms: None,
            ramp: Default::default(),
            interrupt: 1,
            lists: lists.clone(),
        };
        let sink = Sink {
            name: String::new(),
            domain: id,
            class: 0,
            visible: true,
            availability: (1, 0),
            volume: 0,
            main_volume: 0,
            wanted_volume: 0,
            mute: false,
            wanted_mute: false,
            ramp: Default::default(),
            lists: lists.clone(),
        };
        registry.sources.insert(id, source);
        registry.sinks.insert(id, sink);
    }
    let conversion = Conversion::new(vec![STEREO], vec![STEREO], vec![true]).unwrap();
    let gateway = Gateway {
        name: String::new(),
        sink: 1,
        source: 2,
        domain: 1,
        conversion,
    };
    registry.gateways.insert(1, gateway);
    let carried = BTreeSet::from([(9, 1)]);
    assert_eq!(routes(&Graph::of(&registry, None), 1, 2).map(|it| it.len()), Ok(1));
    assert_eq!(routes(&Graph::of(&registry, Some(&carried)), 1, 2), Err(7));
}

#[test]
fn a_registry_made_to_be_searched_for_ever_is_not() {
    // Sixteen domains, each with a gateway to each other: far more simple paths than atoms.
    let both = &[STEREO];
    let mut graph = Graph::default();
    for from in 1..=16_u16 {
        graph.sources.insert(from, node(from, both));
        for to in 1..=16 {
            graph.sinks.insert(from * 100 + to, node(from, both));
            graph.sources.insert(from * 100 + to, node(to, both));
            graph.bridges.push(gateway(from * 100 + to, from * 100 + to));
        }
    }
    // Its formats allow no hop into the target but from a source nobody reaches.
    graph.sources.insert(9999, node(99, both));
    graph.sinks.insert(9999, node(99, both));
    assert_eq!(routes(&graph, 1, 9999), Err(7));
    graph.sinks.insert(9998, node(16, both));
    assert!(routes(&graph, 1, 9998).is_ok());
    const { assert!(MAX_WORK <= 20_000) };
}

/// Everything there is, tried: each order of each set of bridges, each choice of formats.
fn oracle(graph: &Graph, source: u16, sink: u16, cycles: usize) -> BTreeMap<Vec<(u16, u16)>, BTreeSet<Route>> {
    let mut all = BTreeMap::new();
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    while let Some(order) = orders.pop() {
        for next in 0..graph.bridges.len() {
            if !order.contains(&next) {
                orders.push(order.iter().copied().chain([next]).collect());
            }
        }
        let crossed: Vec<&Bridge> = order.iter().map(|index| &graph.bridges[*index]).collect();
        let sources = [source].into_iter().chain(crossed.iter().map(|it| it.source));
        let sinks = crossed.iter().map(|it| it.sink).chain([sink]);
        let hops: Vec<(u16, u16)> = sources.zip(sinks).collect();
        let converts = |sink: u16| graph.bridges.iter().any(|it| it.converter && it.sink == sink);
        let legal = crossed.iter().all(|it| it.converter == converts(it.sink)) && is_simple(graph, &hops, cycles);
        let routes = if legal {
            assignments(graph, &hops, &crossed)
        } else {
            BTreeSet::new()
        };
        if !routes.is_empty() {
            all.insert(hops, routes);
        }
    }
    all
}

fn is_simple(graph: &Graph, hops: &[(u16, u16)], cycles: usize) -> bool {
    let distinct = |ids: Vec<u16>| ids.iter().collect::<BTreeSet<_>>().len() == ids.len();
    if !distinct(hops.iter().map(|it| it.0).collect()) || !distinct(hops.iter().map(|it| it.1).collect()) {
        return false;
    }
    let mut domains: Vec<u16> = hops.iter().map(|it| graph.sources[&it.0].domain).collect();
    if hops
        .iter()
        .any(|it| graph.sources[&it.0].domain != graph.sinks[&it.1].domain)
    {
        return false;
    }
    domains.dedup();
    domains.len() - domains.iter().collect::<BTreeSet<_>>().len() <= cycles
}

fn assignments(graph: &Graph, hops: &[(u16, u16)], crossed: &[&Bridge]) -> BTreeSet<Route> {
    let mut all: Vec<Route> = vec![Vec::new()];
    for (index, (source, sink)) in hops.iter().enumerate() {
        let mut longer = Vec::new();
        for route in &all {
            for format in [MONO, STEREO] {
                let from = &graph.sources[source];
                let taken = from.formats.contains(&format) && graph.sinks[sink].formats.contains(&format);
                let before = route.last().map(|hop: &Hop| hop.format);
                let converted = before.is_none_or(|it| crossed[index - 1].conversion.converts(it, format));
                if taken && converted {
                    let hop = Hop {
                        domain: from.domain,
                        source: *source,
                        sink: *sink,
                        format,
                    };
                    longer.push(route.iter().copied().chain([hop]).collect());
                }
            }
        }
        all = longer;
    }
    all.into_iter().collect()
}

fn graphs() -> impl Strategy<Value = Graph> {
    let formats = || prop_oneof![Just(vec![MONO]), Just(vec![STEREO]), Just(vec![MONO, STEREO])];
    (1_u16..=4).prop_flat_map(move |domains| {
        let nodes = move || vec((1..=domains, formats()), 2..=5);
        let bridge = (0_usize..5, 0_usize..5, prop::bool::weighted(0.2), vec(any::<bool>(), 4));
        (nodes(), nodes(), vec(bridge, 0..=5)).prop_map(|(sources, sinks, bridges)| {
            let ids = |nodes: Vec<(u16, Vec<u16>)>| -> BTreeMap<u16, Node> {
                let nodes = nodes.into_iter().zip(1..);
                nodes
                    .map(|((domain, formats), id)| (id, Node { domain, formats }))
                    .collect()
            };
            let (sources, sinks) = (ids(sources), ids(sinks));
            let mut pairs = BTreeSet::new();
            let mut built = Vec::new();
            for (sink, source, converter, matrix) in bridges {
                let sink = *sinks.keys().nth(sink % sinks.len()).unwrap();
                let source = *sources.keys().nth(source % sources.len()).unwrap();
                let inside = sinks[&sink].domain == sources[&source].domain;
                if pairs.insert((sink, source)) && (inside || !converter) {
                    let both = vec![MONO, STEREO];
                    let conversion = Conversion::new(both.clone(), both, matrix).unwrap();
                    built.push(Bridge {
                        sink,
                        source,
                        converter: converter || inside,
                        conversion,
                        name: String::new(),
                    });
                }
            }
            Graph {
                sources,
                sinks,
                bridges: built,
            }
        })
    })
}

fn agrees(graph: &Graph, source: u16, sink: u16, lengths: &mut BTreeSet<usize>) -> Result<(), TestCaseError> {
    let found = routes(graph, source, sink);
    if !graph.sources.contains_key(&source) || !graph.sinks.contains_key(&sink) {
        prop_assert_eq!(found, Err(8));
        return Ok(());
    }
    let mut all = oracle(graph, source, sink, 0);
    if all.is_empty() {
        all = oracle(graph, source, sink, 1);
    }
    let Ok(found) = found else {
        prop_assert!(all.is_empty(), "missed {all:?}");
        return Ok(());
    };
    lengths.extend(found.iter().map(Vec::len));
    prop_assert!(found.is_sorted_by_key(Vec::len), "shortest first");
    let mut paths: BTreeMap<Vec<(u16, u16)>, Vec<Route>> = BTreeMap::new();
    for route in found {
        let hops = route.iter().map(|hop| (hop.source, hop.sink)).collect();
        paths.entry(hops).or_default().push(route);
    }
    prop_assert_eq!(paths.len(), all.len().min(MAX_PATHS));
    let mut shortest: Vec<usize> = all.keys().map(Vec::len).collect();
    shortest.sort_unstable();
    let mut reached: Vec<usize> = paths.keys().map(Vec::len).collect();
    reached.sort_unstable();
    prop_assert_eq!(&reached[..], &shortest[..reached.len()], "a shorter one was missed");
    for (hops, routes) in paths {
        let ranks = |route: &Route| {
            route
                .iter()
                .map(|it| Rules::default().rank(it.format))
                .collect::<Vec<_>>()
        };
        prop_assert!(routes.is_sorted_by_key(ranks), "the best formats first");
        let set: BTreeSet<Route> = routes.iter().cloned().collect();
        prop_assert_eq!(set.len(), routes.len());
        prop_assert_eq!(Some(&set), all.get(&hops));
    }
    Ok(())
}

#[test]
fn the_search_finds_what_trying_everything_finds() {
    let config = Config {
        cases: 3000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let lengths = std::cell::RefCell::new(BTreeSet::new());
    let found = runner.run(&(graphs(), 1_u16..6, 1_u16..6), |(graph, source, sink)| {
        agrees(&graph, source, sink, &mut lengths.borrow_mut())
    });
    found.unwrap();
    assert!(
        lengths.borrow().is_superset(&BTreeSet::from([1, 2, 3, 4])),
        "routes of one to four hops: {lengths:?}"
    );
}
