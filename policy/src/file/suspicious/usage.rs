//! Activation windows, start-up connections, mirrors.

use super::Look;
use crate::curve;
use crate::file::{Table, code, is_capture};
use crate::report::Diagnostic;
use crate::usage::{Activation, Window};

pub(super) fn look(look: &Look<'_, '_>) {
    let tables = look.root.tables("activation");
    let windows = &look.model.usage.windows;
    if tables.len() == windows.len() {
        for (at, (table, window)) in tables.iter().zip(windows).enumerate() {
            if !never(look, table, window) && !all_volumes(look, table, window) {
                let later = tables.iter().zip(windows).skip(at + 1);
                undone(look, (table, window), later);
            }
        }
    }
    startup(look);
    mirrored(look);
}

/// A window that never opens: whether it is one.
fn never(look: &Look<'_, '_>, table: &Table<'_>, window: &Window) -> bool {
    let mut pairs = window
        .sinks
        .iter()
        .flat_map(|sink| window.classes.iter().map(move |class| (*sink, *class)));
    let comes = |(sink, class): (usize, usize)| {
        let safety = look.model.classes.get(class).is_some_and(|it| it.safety);
        !safety && look.reach.may_class(class, sink)
    };
    if pairs.any(comes) {
        return false;
    }
    let found = Diagnostic::warning(code::NEVER, table.span(), "this window never opens");
    let label = "no source of these classes can be heard in these zones";
    look.doubt(
        found
            .label(label)
            .help("name a class and a zone where it is heard; safety classes have no volume"),
    );
    true
}

/// A window that is as wide as all that can be set: whether it is.
fn all_volumes(look: &Look<'_, '_>, table: &Table<'_>, window: &Window) -> bool {
    let sinks = window.sinks.iter().filter_map(|sink| look.model.sinks.get(*sink));
    let mut ranges = sinks.map(|it| curve::range(&it.curve));
    if ranges.any(|(least, most)| window.least > least || window.most < most) {
        return false;
    }
    let found = Diagnostic::warning(code::NO_EFFECT, table.span(), "this window has no effect");
    let label = "every volume that can be set lies in it";
    look.doubt(found.label(label).help("make it narrower, or take it out"));
    true
}

/// A window whose volume a later one changes at once.
fn undone<'t, 'd: 't>(
    look: &Look<'_, '_>,
    (table, window): (&Table<'_>, &Window),
    later: impl Iterator<Item = (&'t Table<'d>, &'t Window)>,
) {
    let covers = |other: &Window| {
        let when = other.on == Activation::Playback || other.on == window.on;
        let where_to = window.sinks.iter().all(|sink| other.sinks.contains(sink));
        when && where_to && window.classes.iter().all(|class| other.classes.contains(class))
    };
    let apart = |other: &Window| other.least > window.most || other.most < window.least;
    let mut later = later;
    let Some((other, _)) = later.find(|(_, other)| covers(other) && apart(other)) else {
        return;
    };
    let found = Diagnostic::warning(code::SHADOWED, table.span(), "this window's volume never stays");
    look.doubt(
        found
            .label("a later one has no volume in common with it, and comes whenever it does")
            .see(other.span(), "this one")
            .help("let them overlap, or keep one of them"),
    );
}

/// A start-up connection without a way.
fn startup(look: &Look<'_, '_>) {
    let (known, routing) = (&look.model.routing.known, &look.model.routing);
    for table in look.root.tables("startup") {
        let text = |key: &'static str| table.get(key).and_then(|value| value.text()).map(|it| it.value);
        let (Some(source), Some(sink)) = (text("source"), text("sink")) else {
            continue;
        };
        let ours = look.model.sources.iter().find(|it| it.name == source);
        let from = known.sources.get(source).map(|it| it.end.domain.as_str());
        let to = known.sinks.get(sink).map(|it| it.end.domain.as_str());
        if from == to {
            continue;
        }
        let class = ours
            .map(|it| it.class)
            .or_else(|| known.sources.get(source)?.end.class.or(routing.default_class));
        let class = class.map_or("", |class| look.class(class));
        let forbidden =
            (routing.ways(class, source, sink, routing.only_topologies)).is_some_and(|ways| ways.is_empty());
        let apart = routing.only_known && !super::domains::joined(look, from, to);
        let label = match (forbidden, apart) {
            (true, _) => "no topology leads there",
            (_, true) => "no gateway that is named here leads there, and others can't register",
            _ => continue,
        };
        let message = format!("`{source}` never reaches `{sink}`");
        let found = Diagnostic::warning(code::NEVER, table.span(), message).label(label);
        look.doubt(found.help("write a [[topologies]] or [gateways.NAME] that leads there, or take this out"));
    }
}

/// A stream that names a mirror and its original.
fn mirrored(look: &Look<'_, '_>) {
    let zones = &look.model.sinks;
    let zone = |name: &str| zones.iter().position(|it| it.name == name);
    for guest in look.root.entries("guests") {
        for stream in guest
            .table
            .entries("streams")
            .iter()
            .filter(|it| !is_capture(&it.table))
        {
            let items = stream.table.get("zone").map(|value| value.items()).unwrap_or_default();
            let named: Vec<_> = items
                .iter()
                .filter_map(|it| Some((zone(it.text()?.value)?, it.span)))
                .collect();
            for (mirror, span) in &named {
                let original = look.model.usage.mirrors.get(mirror);
                let Some((original, at)) = named.iter().find(|it| Some(&it.0) == original) else {
                    continue;
                };
                let message = format!("`{}` is heard in `{}` anyway", stream.name, zones[*mirror].name);
                let found = Diagnostic::warning(code::NO_EFFECT, *span, message);
                let label = format!("it mirrors `{}`", zones[*original].name);
                look.doubt(
                    found
                        .label(label)
                        .see(*at, "the original")
                        .help("name the original only"),
                );
            }
        }
    }
}
