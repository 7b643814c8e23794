//! Rules that never come: nobody sends what they wait for, their conditions exclude each other, or an earlier one goes before.

use super::{Look, Written};
use crate::file::{Value, code, listed};
use crate::model::Source;
use crate::report::{Diagnostic, Span};
use crate::rules::Rule;
use crate::rules::action::Step;
use crate::rules::ast::{Expr, Join, Op};
use crate::rules::catalogue::{Field, Function, Trigger};
use crate::rules::kind::{Element, Value as Worth};

pub(super) fn look(look: &Look<'_, '_>) {
    for written in look.written {
        let unsent = unsent(look, written);
        if !unsent && !excluded(look, written) && !foreign(look, written) {
            shadowed(look, written);
        }
    }
}

/// Triggers that nobody sends: whether that are all of a rule's.
fn unsent(look: &Look<'_, '_>, written: &Written<'_, '_>) -> bool {
    let Some(value) = written.table.get("on") else {
        return false;
    };
    let mut silent = 0;
    for item in value.items() {
        let trigger = item.text().and_then(|text| Trigger::of_name(text.value));
        let Some((trigger, cause)) = trigger.and_then(|trigger| Some((trigger, nobody(look, trigger)?))) else {
            continue;
        };
        silent += 1;
        let found = Diagnostic::warning(code::NEVER, item.span, format!("`{}` never comes", trigger.name()));
        look.doubt(
            found
                .label(cause)
                .help("take it out, or name what is to set this rule off"),
        );
    }
    silent == written.rule.on.len()
}

/// Why nobody sends a trigger.
fn nobody(look: &Look<'_, '_>, trigger: Trigger) -> Option<&'static str> {
    let any = |is: fn(&Source) -> bool| look.model.sources.iter().any(is);
    let routing = &look.model.routing;
    match trigger {
        Trigger::ChimeStarted | Trigger::ChimeStopped => (!any(is_chime)).then_some("there is no chime"),
        Trigger::StreamStarted | Trigger::StreamStopped | Trigger::StreamReleased => {
            (!any(|it| !is_chime(it))).then_some("no guest has a stream")
        }
        Trigger::RegisterDomain
        | Trigger::DeregisterDomain
        | Trigger::RegisterGateway
        | Trigger::DeregisterGateway
        | Trigger::RegisterEarlyConnection
        | Trigger::DomainRegistrationComplete
        | Trigger::InterruptStateChanged
        | Trigger::SinkNotificationDataChanged
        | Trigger::SourceNotificationDataChanged => {
            let none = routing.only_known && routing.known.domains.is_empty();
            none.then_some("domains send it: none is named here, and others are refused")
        }
        _ => None,
    }
}

fn is_chime(source: &Source) -> bool {
    source.name.starts_with("chime.")
}

/// All that must hold, each with the condition of the file that it is part of.
fn demands<'r>(rule: &'r Rule, spans: &[Span]) -> Vec<(Span, &'r Expr)> {
    fn add<'r>(expr: &'r Expr, span: Span, all: &mut Vec<(Span, &'r Expr)>) {
        match expr {
            Expr::Joined(Join::And, parts) => parts.iter().for_each(|part| add(part, span, all)),
            other => all.push((span, other)),
        }
    }
    let mut all = Vec::new();
    for (expr, span) in rule.when.iter().zip(spans) {
        add(expr, *span, &mut all);
    }
    all
}

fn conditions(written: &Written<'_, '_>) -> Vec<Span> {
    let value: Option<Value<'_>> = written.table.get("when");
    let items = value.map(|value| value.items()).unwrap_or_default();
    items.iter().map(|item| item.span).collect()
}

/// What must be equal to what: a field or call, and a value that is written.
fn equalities<'r>(demands: &[(Span, &'r Expr)]) -> Vec<(Span, Expr, &'r Worth)> {
    let sides = demands.iter().filter_map(|(span, expr)| match expr {
        Expr::Test(Op::Equal, sides) => match &**sides {
            [Expr::Value(worth), other] | [other, Expr::Value(worth)] => Some((*span, plain(other), worth)),
            _ => None,
        },
        _ => None,
    });
    sides.collect()
}

/// The same thing is written the same way.
fn plain(expr: &Expr) -> Expr {
    match expr {
        Expr::Call(Function::Class, of) if of.as_slice() == [Expr::Request(Field::Source)] => {
            Expr::Request(Field::Class)
        }
        Expr::Call(function, none) if none.is_empty() => function.field().map_or_else(|| expr.clone(), Expr::Request),
        other => other.clone(),
    }
}

/// Conditions of which only one can hold: whether there are such.
fn excluded(look: &Look<'_, '_>, written: &Written<'_, '_>) -> bool {
    let demands = demands(written.rule, &conditions(written));
    if let Some((span, _)) = demands.iter().find(|it| *it.1 == Expr::Value(Worth::Bool(false))) {
        let found = Diagnostic::warning(code::NEVER, *span, "this rule never acts").label("this never holds");
        look.doubt(found.help("take the rule out, or this condition"));
        return true;
    }
    let equal = equalities(&demands);
    for (at, (span, what, worth)) in equal.iter().enumerate() {
        let earlier = &equal[..at];
        let Some((first, ..)) = earlier.iter().find(|it| it.1 == *what && it.2 != *worth) else {
            continue;
        };
        let found = Diagnostic::warning(code::NEVER, *span, "this rule never acts");
        let found = found.label("one thing can't be equal to two at once");
        let found = if first == span {
            found
        } else {
            found.see(*first, "and this")
        };
        look.doubt(found.help("join them by `||`, or write a rule for each"));
        return true;
    }
    false
}

/// A rule on streams or chimes for a source that is none, or a class that has none: whether it is one.
fn foreign(look: &Look<'_, '_>, written: &Written<'_, '_>) -> bool {
    let kind = |trigger: &Trigger| trigger.name().split('.').next().unwrap_or_default().to_owned();
    let kinds: Vec<String> = written.rule.on.iter().map(kind).collect();
    let [streams, chimes] = ["stream", "chime"].map(|kind| kinds.iter().any(|it| it == kind));
    if kinds.iter().any(|it| it != "stream" && it != "chime") {
        return false;
    }
    let sends = |source: &Source| if is_chime(source) { chimes } else { streams };
    let equal = equalities(&demands(written.rule, &conditions(written)));
    for (span, what, worth) in equal {
        let (Expr::Request(field), Worth::Element(element)) = (what, worth) else {
            continue;
        };
        let is = |index: usize, source: &Source| match (field, element) {
            (Field::Class, Element::Class(class)) => source.class == *class,
            (Field::Source, Element::Source(wanted)) => index == *wanted,
            _ => true,
        };
        let mut sources = look.model.sources.iter().enumerate();
        if sources.any(|(index, source)| sends(source) && is(index, source)) {
            continue;
        }
        let on = listed(written.rule.on.iter().map(|it| it.name()));
        let name = match element {
            Element::Class(class) => format!("no source of class `{}` sends", look.class(*class)),
            _ => "that source doesn't send".to_owned(),
        };
        let found = Diagnostic::warning(code::NEVER, span, "this rule never acts").label(format!("{name} {on}"));
        look.doubt(found.help("name one that does, or another trigger"));
        return true;
    }
    false
}

/// A rule that an earlier one always goes before, or that only says it once more.
fn shadowed(look: &Look<'_, '_>, written: &Written<'_, '_>) {
    let rules = look.model.rules.rules();
    let own = written.rule;
    let Some(at) = rules.iter().position(|it| it.name == own.name) else {
        return;
    };
    let covers = |it: &&Rule| {
        let triggers = own.on.iter().all(|mine| it.on.iter().any(|its| its.includes(*mine)));
        triggers && it.when.iter().all(|condition| own.when.contains(condition))
    };
    let Some(earlier) = rules[..at]
        .iter()
        .filter(covers)
        .find(|it| it.last || same(&it.then, &own.then))
    else {
        return;
    };
    let first = look.written.iter().find(|it| it.rule.name == earlier.name);
    let span = name_of(written);
    let (message, label) = if earlier.last {
        (
            "this rule is never looked at",
            "an earlier one acts whenever it would, and ends with `break`",
        )
    } else {
        (
            "this rule has no effect",
            "an earlier one does the same whenever it would",
        )
    };
    let mut found = Diagnostic::warning(code::SHADOWED, span, message).label(label);
    if let Some(first) = first {
        found = found.see(name_of(first), "this one");
    }
    look.doubt(found.help("give it a lower `priority`, so that it comes first, or take one of them out"));
}

fn name_of(written: &Written<'_, '_>) -> Span {
    let name = written.table.get("name").map(|value| value.span);
    name.unwrap_or_else(|| written.table.span())
}

fn same(one: &[Step], other: &[Step]) -> bool {
    let plain = |steps: &[Step]| -> Vec<_> { steps.iter().map(|it| (it.verb, it.keys.clone())).collect() };
    plain(one) == plain(other)
}
