//! What never registers, ways that don't join, properties that never change.

use std::collections::BTreeSet;

use super::Look;
use crate::file::{Entry, Table, code};
use crate::report::{Diagnostic, Span};
use crate::routing::known::{KnownGateway, Names, Registers};
use crate::rules::ast::Expr;
use crate::rules::keys::{Key, Verb};
use crate::rules::kind::Value as Worth;

pub(super) fn look(look: &Look<'_, '_>) {
    for domain in look.root.elements("domains") {
        empty(look, &domain);
        for (key, list) in [(Key::SourceName, "sources"), (Key::SinkName, "sinks")] {
            for entry in domain.table.elements(list) {
                unregistered(look, &entry, key);
            }
        }
    }
    for gateway in look.root.elements("gateways") {
        unregistered(look, &gateway, Key::GatewayName);
        circle(look, &gateway);
        bypassed(look, &gateway);
    }
    topologies(look);
    properties(look);
}

/// The domain of a sink or source; `None` is audiod's own.
fn domain_of<'l>(look: &'l Look<'_, '_>, name: &str) -> Option<&'l str> {
    let known = &look.model.routing.known;
    let sink = known.sinks.get(name).map(|it| it.end.domain.as_str());
    sink.or_else(|| known.sources.get(name).map(|it| it.end.domain.as_str()))
}

fn ends<'l>(look: &'l Look<'_, '_>, gateway: &KnownGateway) -> (Option<&'l str>, Option<&'l str>) {
    (domain_of(look, &gateway.sink), domain_of(look, &gateway.source))
}

/// Whether gateways of the file lead from one domain to another.
pub(super) fn joined(look: &Look<'_, '_>, from: Option<&str>, to: Option<&str>) -> bool {
    let mut reached = BTreeSet::from([from]);
    let gateways = &look.model.routing.known.gateways;
    // Each round reaches one domain more, or is the last.
    for _ in 0..=gateways.len() {
        let ways = gateways.values().map(|it| ends(look, it));
        let next: Vec<_> = ways.filter(|(here, _)| reached.contains(here)).map(|it| it.1).collect();
        reached.extend(next);
    }
    reached.contains(&to)
}

/// A domain of which nothing may register.
fn empty(look: &Look<'_, '_>, domain: &Entry<'_>) {
    let known = &look.model.routing.known;
    let is = |of: &str| of == domain.name;
    let has = known.sources.values().any(|it| is(&it.end.domain))
        || known.sinks.values().any(|it| is(&it.end.domain))
        || known.gateways.values().any(|it| is(&it.domain));
    if has || !look.model.routing.only_known {
        return;
    }
    let message = format!("domain `{}` has nothing", domain.name);
    let found = Diagnostic::warning(code::UNUSED, domain.span, message);
    let label = "no source, sink or gateway of it is named here, and others are refused";
    let help = format!(
        "name what it has, as [domains.{}.sinks.NAME], or let `unknown = \"accept\"`",
        domain.name
    );
    look.doubt(found.label(label).help(help));
}

/// What a rule is to register, and none does.
fn unregistered(look: &Look<'_, '_>, entry: &Entry<'_>, key: Key) {
    let known = &look.model.routing.known;
    let registers = match key {
        Key::SourceName => known.sources.get(entry.name).map(|it| it.end.registers),
        Key::SinkName => known.sinks.get(entry.name).map(|it| it.end.registers),
        _ => known.gateways.get(entry.name).map(|it| it.registers),
    };
    if registers != Some(Registers::Rule) {
        return;
    }
    let names = |expr: &Expr| match expr {
        Expr::Value(Worth::Text(name)) => name == entry.name,
        // Whatever it comes to when it acts.
        _ => true,
    };
    let registers = look.steps().filter(|it| it.step.verb == Verb::Register);
    let mut exprs = registers.filter_map(|it| it.step.keys.get(&key));
    let done = exprs.any(|expr| match expr {
        Expr::List(items) => items.iter().any(names),
        one => names(one),
    });
    if done {
        return;
    }
    let span = entry.table.key_span("register").unwrap_or(entry.span);
    let message = format!("`{}` is never registered", entry.name);
    let found = Diagnostic::warning(code::NEVER, span, message).label("left to a rule, and no rule registers it");
    let what = key.name();
    let help = format!(
        "write a rule with `register = {{ {what} = \"{}\" }}`, or `register = \"policy\"`",
        entry.name
    );
    look.doubt(found.help(help));
}

/// A gateway that leads nowhere.
fn circle(look: &Look<'_, '_>, entry: &Entry<'_>) {
    let Some(gateway) = look.model.routing.known.gateways.get(entry.name) else {
        return;
    };
    let (from, to) = ends(look, gateway);
    if from == to {
        let message = format!("gateway `{}` leads nowhere", entry.name);
        let found = Diagnostic::warning(code::NO_EFFECT, entry.span, message);
        let label = format!("`{}` and `{}` are of one domain", gateway.sink, gateway.source);
        look.doubt(
            found
                .label(label)
                .help("a gateway's sink and source are of different domains"),
        );
    }
}

/// A gateway that no topology leads over, where only topologies lead anywhere.
fn bypassed(look: &Look<'_, '_>, entry: &Entry<'_>) {
    let routing = &look.model.routing;
    let mut patterns = routing.known.topologies.iter().map(|it| &it.via);
    let leads = patterns.any(|via| via.iter().any(|it| it == "*" || it == entry.name));
    if !routing.only_topologies || leads {
        return;
    }
    let message = format!("nothing goes over gateway `{}`", entry.name);
    let found = Diagnostic::warning(code::UNUSED, entry.span, message);
    let label = "`only_topologies`, and none of them leads over it";
    look.doubt(
        found
            .label(label)
            .help(format!("write one with `via = \"{}\"`, or take it out", entry.name)),
    );
}

fn topologies(look: &Look<'_, '_>) {
    let known = &look.model.routing.known.topologies;
    let tables = look.root.tables("topologies");
    for (at, (table, topology)) in tables.iter().zip(known).enumerate() {
        apart(look, table, &topology.via);
        let within = |all: &Names, some: &Names| match (all, some) {
            (Names::All, _) => true,
            (Names::These(_), Names::All) => false,
            (all, Names::These(names)) => names.iter().all(|name| all.has(name)),
        };
        let covers = tables.iter().zip(known).take(at).find(|(_, it)| {
            within(&it.classes, &topology.classes)
                && within(&it.sources, &topology.sources)
                && within(&it.sinks, &topology.sinks)
                && it.via == topology.via
        });
        if let Some((first, _)) = covers {
            let found = Diagnostic::warning(code::SHADOWED, table.span(), "this topology allows nothing new");
            let found = found
                .label("an earlier one allows it all")
                .see(first.span(), "this one");
            look.doubt(found.help("take one of them out"));
        }
    }
}

/// Two gateways in a row, of which the second doesn't begin where the first ends.
fn apart(look: &Look<'_, '_>, table: &Table<'_>, via: &[String]) {
    let gateways = &look.model.routing.known.gateways;
    let gaps = via.windows(2).filter_map(|two| {
        let (first, second) = (gateways.get(&two[0])?, gateways.get(&two[1])?);
        let (ends, begins) = (ends(look, first).1, ends(look, second).0);
        (ends != begins).then_some((two, ends, begins))
    });
    for (two, ends, begins) in gaps {
        let span: Span = table.key_span("via").unwrap_or(table.span());
        let name = |domain: Option<&str>| domain.unwrap_or(crate::routing::BUILT_IN_NAME).to_owned();
        let message = format!("`{}` doesn't lead to `{}`", two[0], two[1]);
        let found = Diagnostic::warning(code::NEVER, span, message);
        let label = format!(
            "it ends in domain `{}`, the other begins in `{}`",
            name(ends),
            name(begins)
        );
        look.doubt(
            found
                .label(label)
                .help("name them from source to sink, with `\"*\"` for those between"),
        );
    }
}

/// Properties about which something is said that never matters.
fn properties(look: &Look<'_, '_>) {
    let set = |kind: i16| {
        let steps = look.steps();
        let mut sets = steps.filter(|it| matches!(it.step.verb, Verb::SetSystemProperty | Verb::SetSystemProperties));
        sets.any(|it| match it.step.keys.get(&Key::PropertyType) {
            Some(Expr::Value(worth)) => worth.property_type() == Some(kind),
            _ => true,
        })
    };
    let tables = look.root.tables("system_properties").into_iter();
    for (table, property) in tables.zip(&look.model.system_properties) {
        let Some(span) = table.key_span("lasting").filter(|_| property.lasting) else {
            continue;
        };
        if !property.writable && !set(property.kind) {
            let found = Diagnostic::warning(code::NO_EFFECT, span, "`lasting` has no effect here");
            let found = found.label("it never changes: no rule sets it, clients may not");
            look.doubt(found.help("write `writable = true`, or take it out"));
        }
    }
    for table in look.root.tables("main_sound_properties") {
        let kind = table.get("type").and_then(|value| value.integer(1..=u16::MAX.into()));
        let Some(kind) = kind.map(|found| found.value as u16 as i16) else {
            continue;
        };
        let own = look.model.routing.main_sound(kind);
        if let Some(span) = table.key_span("sound").filter(|_| !own.down && !own.up) {
            let found = Diagnostic::warning(code::NO_EFFECT, span, "`sound` has no effect here");
            let found = found.label("its `direction` is none: neither sets the other");
            look.doubt(found.help("write `direction = \"down\"`, \"up\" or \"both\", or take it out"));
        }
    }
}
