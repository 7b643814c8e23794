//! Who may be heard where.

use std::collections::BTreeSet;

use crate::Model;
use crate::rules::action::Step;
use crate::rules::keys::{Key, Verb};
use crate::rules::kind::Element;

/// Names of a filter; `None`: it isn't there, or it depends on what happens.
type Filter = Option<Vec<Element>>;

/// What an action that connects is about.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Connecting {
    classes: Filter,
    sources: Filter,
    sinks: Filter,
}

impl Connecting {
    fn of(step: &Step) -> Option<Self> {
        let filter = |key: Key| step.keys.get(&key).and_then(super::named);
        matches!(step.verb, Verb::Connect | Verb::Pop | Verb::Resume).then(|| Self {
            classes: filter(Key::Class),
            sources: filter(Key::Source),
            sinks: filter(Key::Sink),
        })
    }
}

fn is_in(filter: &Filter, element: Element) -> bool {
    filter.as_ref().is_none_or(|names| names.contains(&element))
}

/// See the module.
pub(super) struct Reach<'m> {
    model: &'m Model,
    connecting: BTreeSet<Connecting>,
    /// By source and sink: anything could make one heard there.
    may: Vec<Vec<bool>>,
}

impl<'m> Reach<'m> {
    pub fn new(model: &'m Model) -> Self {
        let steps = model.rules.rules().iter().flat_map(|rule| &rule.then);
        let mut reach = Self {
            model,
            connecting: steps.filter_map(Connecting::of).collect(),
            may: Vec::new(),
        };
        reach.may = (0..model.sources.len()).map(|source| reach.of_source(source)).collect();
        reach
    }

    /// Whether a source sounds at a zone without anybody's asking for it.
    pub fn by_itself(&self, source: usize, sink: usize) -> bool {
        let source = self.model.sources.get(source);
        source.is_some_and(|it| it.auto_connect.contains(&sink) || it.safety_sinks.contains(&sink))
    }

    /// Whether anything could make a source heard at a zone: itself, a client, the start, a rule.
    pub fn may(&self, source: usize, sink: usize) -> bool {
        self.may
            .get(source)
            .and_then(|row| row.get(sink))
            .is_some_and(|may| *may)
    }

    fn of_source(&self, source: usize) -> Vec<bool> {
        let (sources, sinks, usage) = (&self.model.sources, &self.model.sinks, &self.model.usage);
        let from = &sources[source];
        let own: Vec<&Connecting> = (self.connecting.iter())
            .filter(|it| is_in(&it.classes, Element::Class(from.class)) && is_in(&it.sources, Element::Source(source)))
            .collect();
        let asked = |(sink, to): (usize, &crate::model::Sink)| {
            from.visible && to.visible
                || usage
                    .startup
                    .iter()
                    .any(|it| it.source == from.name && it.sink == to.name)
                || own.iter().any(|it| is_in(&it.sinks, Element::Sink(sink)))
        };
        let free = !self.model.protected(source);
        let row = sinks.iter().enumerate();
        let mut row: Vec<bool> = row
            .map(|it| self.by_itself(source, it.0) || free && asked(it))
            .collect();
        for (mirror, original) in usage.mirrors.iter().filter(|_| free) {
            row[*mirror] |= row[*original];
        }
        row
    }

    /// Whether sources of two classes can be heard at one zone at the same time.
    pub fn meet(&self, one: usize, other: usize) -> bool {
        self.zones()
            .any(|sink| self.may_class(one, sink) && self.may_class(other, sink))
    }

    /// The same, without anybody's asking for it.
    pub fn meet_by_themselves(&self, one: usize, other: usize) -> bool {
        let by_itself = |class: usize, sink| self.of_class(class).any(|source| self.by_itself(source, sink));
        self.zones().any(|sink| by_itself(one, sink) && by_itself(other, sink))
    }

    /// Whether a source of a class can be heard at a zone.
    pub fn may_class(&self, class: usize, sink: usize) -> bool {
        self.of_class(class).any(|source| self.may(source, sink))
    }

    fn zones(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.model.sinks.len()
    }

    fn of_class(&self, class: usize) -> impl Iterator<Item = usize> + '_ {
        let all = self.model.sources.iter().enumerate();
        all.filter(move |it| it.1.class == class).map(|it| it.0)
    }

    /// Whether a gateway begins at this sink or ends at this source: it is part of a way over domains.
    pub fn is_on_a_way(&self, name: &str) -> bool {
        let gateways = &self.model.routing.known.gateways;
        gateways.values().any(|it| it.sink == name || it.source == name)
    }

    /// Whether a rule could connect something with this source or sink.
    pub fn ruled(&self, end: Element) -> bool {
        self.connecting.iter().any(|it| match end {
            Element::Source(_) => is_in(&it.sources, end),
            _ => is_in(&it.sinks, end),
        })
    }
}
