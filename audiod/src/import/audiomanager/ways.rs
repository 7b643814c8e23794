//! Topologies of classes: for domains' routes as they are, for guests' streams and zones as a rule that ends other connections.

use std::collections::BTreeMap;

use policy::file::{code, listed};
use policy::report::{Diagnostic, Span};

use super::super::draft::{Lines, Rule, list, quoted};
use super::super::names::plain;
use super::super::xml::El;
use super::topology::{self, Topology, Way};
use super::{ClassOf, Is, Reader};

/// A topology's text.
pub(super) fn parsed(element: El<'_>) -> Option<Topology> {
    element.known(&[], &["text()"]);
    let Some((text, span)) = element.text() else {
        element.approximated("says nothing");
        return None;
    };
    match topology::parse(text) {
        Ok(topology) => Some(topology),
        Err(cause) => {
            let found = Diagnostic::error(code::EXPRESSION, span, format!("`{text}` is no topology")).label(cause);
            element
                .input
                .push(found.help("as `SinkA^SinkB=Gateway(SourceA^SourceB)^SourceC`"));
            None
        }
    }
}

impl Reader<'_> {
    /// All classes' topologies.
    pub(super) fn topologies(&mut self) {
        let (mut rules, mut ways) = (Vec::new(), Vec::new());
        for class in self.classes.values() {
            let mut allowed = Vec::new();
            let mut open = false;
            for (element, topology) in &class.topologies {
                open |= self.pairs(*element, topology, class.capture, &mut allowed);
                if !self.kept.is_empty() && class.used {
                    ways.extend(self.ways(*element, topology, &class.ours));
                }
            }
            let any = class.topologies.is_empty() || class.capture || !class.used;
            if !any && !open && self.only_topologies && !self.draft.zones.is_empty() {
                rules.extend(rule(class, &allowed));
            }
        }
        self.draft.rules.extend(rules);
        self.draft.topologies.extend(ways);
    }

    /// A `[[topologies]]` for each way of a topology; gateways inside the mixer are none.
    fn ways(&self, element: El<'_>, topology: &Topology, class: &str) -> Vec<Lines> {
        let known = |name: &String| name == "*" || self.draft.gateways.iter().any(|gateway| gateway.name == *name);
        let mut by_way: BTreeMap<Vec<String>, Vec<&Way>> = BTreeMap::new();
        for way in &topology.sources {
            let via = way.gateways.iter().filter(|name| known(name)).cloned().collect();
            by_way.entry(via).or_default().push(way);
        }
        let here = |names: Option<Vec<&str>>, all: &BTreeMap<String, (Is, Span)>| match names {
            None => Some("\"*\"".to_owned()),
            Some(names) => {
                let ours = names.iter().filter_map(|name| all.get(*name)?.0.here());
                let ours: Vec<String> = ours.map(str::to_owned).collect();
                (!ours.is_empty()).then(|| list(&ours))
            }
        };
        let mut made = Vec::new();
        for (via, sources) in by_way {
            let sources: Vec<Way> = sources.into_iter().cloned().collect();
            let ends = (
                here(topology::names(&sources), &self.sources),
                here(topology::names(&topology.sinks), &self.sinks),
            );
            let (Some(source), Some(sink)) = ends else { continue };
            let mut keys = vec![
                format!("class = {}", quoted(class)),
                format!("source = {source}"),
                format!("sink = {sink}"),
            ];
            if !via.is_empty() {
                let via: Vec<String> = via.iter().map(|name| quoted(name)).collect();
                keys.push(format!("via = [{}]", via.join(", ")));
            }
            made.push(Lines {
                name: String::new(),
                keys,
                from: element.input.place(element.span()),
            });
        }
        made
    }

    /// The pairs a topology has as names of our connections; true if it has all.
    fn pairs(&self, element: El<'_>, topology: &Topology, capture: bool, allowed: &mut Vec<String>) -> bool {
        let mut gone = Vec::new();
        let sinks = here(topology::names(&topology.sinks), &self.sinks, &mut gone);
        let sources = here(topology::names(&topology.sources), &self.sources, &mut gone);
        let pairs = sources
            .iter()
            .flat_map(|source| sinks.iter().map(move |sink| format!("{source}:{sink}")));
        allowed.extend(pairs);
        let gateways = topology
            .sources
            .iter()
            .chain(&topology.sinks)
            .flat_map(|way| &way.gateways);
        let inside = gateways
            .filter(|name| !self.draft.gateways.iter().any(|gateway| gateway.name == **name))
            .count();
        let mut how = match (capture && self.kept.is_empty(), self.only_topologies) {
            (true, _) => "what is recorded is the codec's input".to_owned(),
            (false, false) => "not asked for: SYP_CONNECTION_ALLOW_ONLY_TOPOLOGY_ROUTE is 0".to_owned(),
            (false, true) => "a rule ends at once what has another sink; the call was answered with 0".to_owned(),
        };
        if !self.kept.is_empty() {
            how = format!("routes over domains are held to it; of streams and zones {how}");
        }
        if inside > 0 {
            how += "; no gateway is on the way";
        }
        if !gone.is_empty() && !capture {
            how += &format!("; not here: {}", listed(gone.iter().map(String::as_str)));
        }
        element.approximated(&*how);
        element.text_approximated(how);
        topology::names(&topology.sinks).is_none() && topology::names(&topology.sources).is_none()
    }
}

/// Our names of these, or of all.
fn here(names: Option<Vec<&str>>, known: &BTreeMap<String, (Is, Span)>, gone: &mut Vec<String>) -> Vec<String> {
    let Some(names) = names else {
        return known
            .values()
            .filter_map(|(is, _)| is.here())
            .map(str::to_owned)
            .collect();
    };
    let mut found = Vec::new();
    for name in names {
        match known.get(name).and_then(|(is, _)| is.here()) {
            Some(ours) => found.push(ours.to_owned()),
            None => gone.push(name.to_owned()),
        }
    }
    found
}

fn rule(class: &ClassOf<'_>, allowed: &[String]) -> Option<Rule> {
    let first = class.topologies.first()?.0;
    let list: Vec<String> = allowed.iter().map(|pair| format!("\"{pair}\"")).collect();
    let range = first.range().start..class.topologies.last().map_or(first.range().end, |it| it.0.range().end);
    Some(Rule {
        name: plain(&format!("topology-{}", class.ours)),
        on: vec!["user.connection_request".to_owned()],
        when: vec![
            format!("request.class == \"{}\"", class.ours),
            format!("[{}] lacks name(request.connection)", list.join(", ")),
        ],
        then: vec!["{ disconnect = { source = \"request.source\", sink = \"request.sink\" } }".to_owned()],
        priority: Some(-1000),
        last: true,
        from: first.input.place(first.span()),
        of: range,
        ..Rule::default()
    })
}
