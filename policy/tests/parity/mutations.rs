//! Where an item's file stands for several things (eight operators, 35 triggers, 18 actions), each of them alone makes it fail: every
//! trigger, condition and action of its rules is taken out singly, every condition made one that never holds, and each time the
//! run has to differ.

use std::collections::BTreeSet;

use policy::rules::catalogue::{Function, Trigger};
use policy::rules::keys::Verb;

use super::ITEMS;
use super::runner::{fails_with, own_policy};

/// A line of a policy, and what stands there instead; `None`: nothing.
type Change = (usize, Option<String>);

/// The parts of a list in brackets, split where it is not within others.
fn parts(list: &str) -> Vec<String> {
    let inner = list.trim().trim_start_matches('[').trim_end_matches(']');
    let (mut depth, mut quoted) = (0, None);
    let mut parts = vec![String::new()];
    for c in inner.chars() {
        match (quoted, c) {
            (Some(quote), _) if quote == c => quoted = None,
            (None, '"' | '\'') => quoted = Some(c),
            (None, '{' | '[' | '(') => depth += 1,
            (None, '}' | ']' | ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("one at least").push(c);
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// A rule's lines.
struct Lines {
    from: usize,
    to: usize,
    /// It is there to show that it never acts.
    shows_no: bool,
}

fn rules(policy: &str) -> Vec<Lines> {
    let lines: Vec<&str> = policy.lines().collect();
    let heads = (0..lines.len()).filter(|at| lines[*at] == "[[rules]]");
    let rule = |from: usize| {
        let to = (from + 1..lines.len()).find(|at| lines[*at].starts_with('['));
        let to = to.unwrap_or(lines.len());
        let shows_no = lines[from..to].contains(&"name = \"never\"");
        Lines { from, to, shows_no }
    };
    heads.map(rule).collect()
}

/// All that can be broken alone in a rule.
fn changes(policy: &str, rule: &Lines) -> Vec<Change> {
    let mut all = Vec::new();
    for (at, line) in policy.lines().enumerate().take(rule.to).skip(rule.from) {
        match line.split_once(" = ") {
            Some(("when", _)) => all.extend([(at, None), (at, Some("when = 'false'".to_owned()))]),
            Some((key @ ("on" | "do"), value)) => all.extend(without_each(key, value, line).map(|it| (at, Some(it)))),
            _ => {}
        }
    }
    all
}

/// A list without one of its parts; without its only one the rule never acts.
fn without_each(key: &str, value: &str, line: &str) -> impl Iterator<Item = String> {
    let parts = parts(value);
    (0..parts.len()).map(move |out| {
        let all = parts.iter().enumerate();
        let left: Vec<&str> = all.filter(|it| it.0 != out).map(|it| it.1.trim()).collect();
        if left.is_empty() {
            format!("{line}\nwhen = 'false'")
        } else {
            format!("{key} = [{}]", left.join(", "))
        }
    })
}

/// The policy with one line changed; a condition that is there twice then is the changed one.
fn changed(policy: &str, (at, instead): &Change) -> String {
    let mut lines: Vec<String> = policy.lines().map(str::to_owned).collect();
    let never = instead.as_ref().is_some_and(|it| it.contains("\nwhen = "));
    lines[*at] = instead.clone().unwrap_or_default();
    if never {
        let end = (*at + 1..lines.len()).find(|it| lines[*it].starts_with('['));
        let start = (0..*at).rev().find(|it| lines[*it].starts_with('[')).unwrap_or(0);
        for line in &mut lines[start..end.unwrap_or(policy.lines().count())] {
            if line.starts_with("when = ") {
                line.clear();
            }
        }
    }
    lines.join("\n")
}

/// What stands for a change in a message.
fn told(name: &str, own: &str, (at, instead): &Change) -> String {
    let line = own.lines().nth(*at).unwrap_or_default();
    format!("{name}: {instead:?} instead of `{line}`")
}

/// Of each condition both are missed: that it holds (never, and an effect is gone) and that it doesn't (always, and there is one too
/// many). Only where others go before a rule (by its name) its trigger and action are not missed.
#[test]
fn each_trigger_condition_and_action_alone_makes_its_item_fail() {
    let (mut unnoticed, mut count) = (Vec::new(), 0);
    for (name, text) in ITEMS {
        let own = own_policy(text);
        let notices = |change: &Change| fails_with(text, |whole| whole.replace(&own, &changed(&own, change)));
        let of_condition = |change: &Change| own.lines().nth(change.0).is_some_and(|it| it.starts_with("when"));
        for rule in rules(&own) {
            let changes = changes(&own, &rule);
            count += changes.len();
            let to_be_missed = changes.iter().filter(|it| of_condition(it) || !rule.shows_no);
            let missed = to_be_missed.filter(|change| !notices(change));
            unnoticed.extend(missed.map(|change| told(name, &own, change)));
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
    assert!(count >= 600, "{count}");
}

/// What the language has is in an item's rules: so what alone makes an item fail is all of it.
#[test]
fn every_trigger_operator_function_and_action_is_in_an_item() {
    let policies: String = ITEMS.iter().map(|(_, text)| own_policy(text)).collect();
    let mut missing = BTreeSet::new();
    let mut want = |is: bool, name: &str| {
        if !is {
            missing.insert(name.to_owned());
        }
    };
    // Those of guests' streams and of chimes are not AudioManager's.
    let own = |it: &&Trigger| it.name().starts_with("stream.") || it.name().starts_with("chime.");
    for it in Trigger::ALL.iter().filter(|it| !own(it)) {
        want(policies.contains(&format!("\"{}\"", it.name())), it.name());
    }
    for it in Function::ALL {
        want(policies.contains(&format!("{}(", it.name())), it.name());
    }
    for it in Verb::ALL {
        want(policies.contains(&format!("{{ {} = ", it.name())), it.name());
    }
    for it in ["==", "!=", ">", ">=", "<", "<=", "has", "lacks"] {
        want(policies.contains(&format!(" {it} ")), it);
    }
    assert!(missing.is_empty(), "{missing:?}");
}
