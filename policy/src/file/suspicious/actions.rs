//! Actions that do nothing, or whose effect never ends.

use super::{Action, Look};
use crate::curve;
use crate::file::code;
use crate::report::Diagnostic;
use crate::routing::known::Registers;
use crate::rules::ast::Expr;
use crate::rules::keys::{Key, Verb};
use crate::rules::kind::{Element, Value as Worth};

pub(super) fn look(look: &Look<'_, '_>) {
    for action in look.steps() {
        match action.step.verb {
            Verb::Limit | Verb::Mute => held(look, action),
            Verb::Unlimit => without(look, action, &[Verb::Limit], "no rule limits anything"),
            Verb::Unmute => without(look, action, &[Verb::Mute], "no rule mutes anything"),
            Verb::Pop | Verb::Resume => {
                without(
                    look,
                    action,
                    &[Verb::Push, Verb::Suspend],
                    "no rule pushes or suspends anything",
                );
            }
            Verb::Suspend => suspended(look, action),
            Verb::SetVolume => volume(look, action),
            Verb::Register => registered(look, action),
            _ => {}
        }
        excepted(look, action);
    }
}

fn any(look: &Look<'_, '_>, verbs: &[Verb]) -> bool {
    look.steps().any(|it| verbs.contains(&it.step.verb))
}

/// A limit that nothing reaches, or that nobody ends.
fn held(look: &Look<'_, '_>, action: &Action<'_, '_>) {
    let verb = action.step.verb;
    if [Key::Gain, Key::Below].iter().any(|key| action.number(*key) == Some(0)) && action.number(Key::Below).is_none() {
        let found = Diagnostic::warning(code::NO_EFFECT, action.at(Key::Gain), "a limit of 0 dB has no effect");
        let found = found.label("nothing is louder than its guest made it");
        look.doubt(found.help("give a gain, as `gain_db = -14`"));
    }
    let sticky = action.step.keys.get(&Key::Sticky) == Some(&Expr::Value(Worth::Bool(true)));
    let ends = if verb == Verb::Limit {
        Verb::Unlimit
    } else {
        Verb::Unmute
    };
    if !sticky || look.steps().any(|it| it.step.verb == ends && covers(it, action)) {
        return;
    }
    let message = format!("nothing ever ends this `{}`", verb.name());
    let found = Diagnostic::warning(code::FOR_EVER, action.at(Key::Sticky), message);
    let label = format!("no rule has an `{}` whose pattern covers it", ends.name());
    look.doubt(found.label(label).help(format!(
        "write a rule with `{}`, or take `sticky` out: it holds while its cause sounds then",
        ends.name()
    )));
}

/// Whether the pattern of what ends could cover that of what holds.
fn covers(end: &Action<'_, '_>, held: &Action<'_, '_>) -> bool {
    let mask = |action: &Action<'_, '_>| {
        let pattern = action.number(Key::Pattern).unwrap_or(i64::from(u32::MAX));
        // An expression may be anything.
        (
            action.has(Key::Pattern) && action.number(Key::Pattern).is_none(),
            pattern,
        )
    };
    let ((any_end, end), (any_held, held)) = (mask(end), mask(held));
    any_end || any_held || held & !end == 0
}

/// What undoes something that no rule does.
fn without(look: &Look<'_, '_>, action: &Action<'_, '_>, done_by: &[Verb], label: &str) {
    if any(look, done_by) {
        return;
    }
    let message = format!("this `{}` has no effect", action.step.verb.name());
    let verbs: Vec<&str> = done_by.iter().map(|it| it.name()).collect();
    let found = Diagnostic::warning(code::NO_EFFECT, action.span, message).label(label);
    look.doubt(found.help(format!(
        "take it out, or write the rule with `{}`",
        verbs.join("` or `")
    )));
}

fn suspended(look: &Look<'_, '_>, action: &Action<'_, '_>) {
    if any(look, &[Verb::Resume, Verb::Pop, Verb::Connect, Verb::Disconnect]) {
        return;
    }
    let found = Diagnostic::warning(code::FOR_EVER, action.span, "nothing ever ends this `suspend`");
    let found = found.label("no rule resumes anything");
    look.doubt(found.help("write a rule with `resume`, as `do = [{ resume = { class = \"media\" } }]`"));
}

/// A mainVolume that a zone doesn't have.
fn volume(look: &Look<'_, '_>, action: &Action<'_, '_>) {
    let Some(volume) = action.number(Key::MainVolume) else {
        return;
    };
    for element in action.named(Key::Sink).unwrap_or_default() {
        let Element::Sink(sink) = element else { continue };
        let Some(zone) = look.model.sinks.get(sink) else {
            continue;
        };
        let (least, most) = curve::range(&zone.curve);
        if (i64::from(least)..=i64::from(most)).contains(&volume) {
            continue;
        }
        let message = format!("`{}` has no mainVolume {volume}", zone.name);
        let found = Diagnostic::warning(code::BEYOND, action.at(Key::MainVolume), message);
        let nearest = volume.clamp(least.into(), most.into());
        let found = found.label(format!("{least} to {most} is possible: it becomes {nearest}"));
        look.doubt(found.help(format!("write {nearest} if that is meant, or widen the zone's curve")));
    }
}

/// What registers by itself.
fn registered(look: &Look<'_, '_>, action: &Action<'_, '_>) {
    let known = &look.model.routing.known;
    for key in [Key::SourceName, Key::SinkName, Key::GatewayName] {
        let names = match action.step.keys.get(&key) {
            Some(Expr::List(items)) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => continue,
        };
        for name in names {
            let Expr::Value(Worth::Text(name)) = name else { continue };
            let by = match key {
                Key::SourceName => known.sources.get(name).map(|it| it.end.registers),
                Key::SinkName => known.sinks.get(name).map(|it| it.end.registers),
                _ => known.gateways.get(name).map(|it| it.registers),
            };
            let who = match by {
                Some(Registers::Domain) => "its domain registers it",
                Some(Registers::Policy) => "it is registered as soon as its domain is there",
                _ => continue,
            };
            let message = format!("registering `{name}` has no effect");
            let found = Diagnostic::warning(code::NO_EFFECT, action.at(key), message).label(who);
            look.doubt(found.help("write `register = \"rule\"` where it is described, or take this out"));
        }
    }
}

/// Exceptions from what isn't meant anyway, or from all that is.
fn excepted(look: &Look<'_, '_>, action: &Action<'_, '_>) {
    let pairs = [
        (Key::Class, Key::ExceptClass),
        (Key::Source, Key::ExceptSource),
        (Key::Sink, Key::ExceptSink),
    ];
    for (of, except) in pairs {
        let (Some(all), Some(but)) = (action.named(of), action.named(except)) else {
            continue;
        };
        let common = all.iter().filter(|it| but.contains(it)).count();
        let (message, label) = if common == 0 {
            ("this exception has no effect", "it is none of those that are named")
        } else if common == all.len() {
            ("this action has no effect", "it excepts all that is named")
        } else {
            continue;
        };
        let found = Diagnostic::warning(code::NO_EFFECT, action.at(except), message).label(label);
        let (of, except) = (of.name(), except.name());
        look.doubt(found.help(format!(
            "`{of}` says which, `{except}` takes some of these out: one of them is enough here"
        )));
    }
}
