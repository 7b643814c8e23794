//! Policies: a process becomes a rule, but for what the machine does of its own accord.

use std::collections::BTreeSet;

use policy::file::{MAX_NAME, code, did_you_mean, listed};
use policy::report::Diagnostic;

use super::super::draft::Rule;
use super::super::xml::{Attr, El};
use super::action::{self, Step};
use super::condition;
use super::translate::{Scope, Why};
use super::{Reader, built_in, words};

/// A process while it is read.
struct Process<'a> {
    element: El<'a>,
    triggers: Vec<&'static str>,
    /// Translated conditions.
    when: Vec<String>,
    /// Why there can be no rule, if so.
    refused: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn policies(&mut self, section: El<'a>) {
        section.known(&[], &["policy"]);
        section.mapped("[[rules]]");
        let mut names: BTreeSet<String> = self.draft.rules.iter().map(|rule| rule.name.clone()).collect();
        for policy in section.all("policy") {
            policy.known(&["trigger"], &["process"]);
            policy.mapped("`on` of its rules");
            let triggers = triggers(policy);
            let processes = policy.all("process");
            if processes.is_empty() {
                let found = Diagnostic::error(code::MISSING_KEY, policy.span(), "this policy does nothing")
                    .label("has no <process>");
                policy.input.push(found.help("add a <process> with an <action>"));
            }
            for process in processes {
                if let Some(rule) = self.process(process, &triggers, &mut names) {
                    self.draft.rules.push(rule);
                }
            }
        }
        // Theirs run by ascending priority over all policies, in the order of the file among equals; so do ours.
    }

    fn process(&self, element: El<'a>, triggers: &[&'static str], names: &mut BTreeSet<String>) -> Option<Rule> {
        element.known(&["name", "priority"], &["condition", "action", "break"]);
        let mut process = Process {
            element,
            triggers: triggers.to_vec(),
            when: Vec::new(),
            refused: None,
        };
        let conditions = element.all("condition");
        conditions
            .iter()
            .for_each(|condition| self.condition(*condition, &mut process));
        let actions = element.all("action");
        if actions.is_empty() {
            let message = "this process does nothing";
            let found = Diagnostic::error(code::MISSING_KEY, element.span(), message).label("has no <action>");
            element.input.push(found.help("add an <action>"));
        }
        let scope = Scope { reader: self, triggers };
        let last = breaks(element);
        let mut steps = action::steps(&scope, &actions, !conditions.is_empty());
        let name = rule_name(element, triggers, names);
        let priority = element.attr("priority").and_then(|attr| {
            attr.mapped("`priority`");
            attr.integer(-1000..=1000)
        });
        if steps.done.is_empty() && steps.built_in {
            if !last {
                nothing_else(element, &conditions);
                return None;
            }
            // What keeps later rules from being asked has to do something.
            steps.done.push(action::nothing(triggers));
        }
        if let Some(why) = process.refused.or_else(|| steps.refused()) {
            element.input.lost(element.at(), why.clone());
            element.input.refused(element.range(), &why);
            element.rest_lost(&why);
            return None;
        }
        element.mapped(format!("rule `{name}`"));
        Some(Rule {
            name,
            on: triggers.iter().map(|trigger| words::trigger(trigger)).collect(),
            when: process.when,
            then: steps.done.into_iter().map(|Step(text)| text).collect(),
            priority,
            last,
            overrides: false,
            from: element.input.place(element.span()),
            of: element.range(),
        })
    }

    fn condition(&self, element: El<'a>, process: &mut Process<'a>) {
        element.known(&[], &["text()"]);
        let Some((text, span)) = element.text() else {
            element.approximated("says nothing");
            return;
        };
        let scope = Scope {
            reader: self,
            triggers: &process.triggers,
        };
        let error = |message: String, cause: String, help: Option<String>| {
            let found = Diagnostic::error(code::EXPRESSION, span, message);
            process.element.input.push(found.label(cause).maybe_help(help));
        };
        let condition = match condition::parse(text) {
            Ok(condition) => condition,
            Err((message, cause)) => {
                error(
                    message,
                    cause,
                    Some("as `name(CLASS, REQUESTING) EQ \"BASE\"`".to_owned()),
                );
                return;
            }
        };
        match scope.condition(&condition) {
            Ok(said) => {
                match said.note {
                    Some(note) => approximated(&element, note),
                    None => {
                        element.mapped("`when`");
                        element.text_mapped(format!("`{}`", said.text));
                    }
                }
                process.when.push(said.text);
            }
            Err(Why::Wrong(message, cause, help)) => error(message, cause, help),
            Err(Why::Lost(why)) => {
                let why = format!("the condition can't be asked: {why}");
                process.refused.get_or_insert(why);
            }
        }
    }
}

/// A process that only does what the machine does anyway.
fn nothing_else(process: El<'_>, conditions: &[El<'_>]) {
    let note = built_in("the machine does what clients ask for, whatever the condition says");
    conditions.iter().for_each(|it| approximated(it, &note));
    process.mapped(built_in("the machine does what clients ask for"));
    process.rest_approximated(&note);
}

fn approximated(element: &El<'_>, note: &str) {
    element.approximated(note);
    element.text_approximated(note);
}

fn breaks(process: El<'_>) -> bool {
    let mut last = false;
    for element in process.all("break") {
        element.known(&[], &["text()"]);
        element.mapped("`break`");
        let Some((text, span)) = element.text() else { continue };
        element.text_mapped("`break`");
        match text.to_ascii_uppercase().as_str() {
            "TRUE" => last = true,
            "FALSE" => {}
            _ => {
                let found = Diagnostic::error(code::UNKNOWN_WORD, span, format!("`{text}` is not possible here"));
                element.input.push(found.label("possible: TRUE, FALSE"));
            }
        }
    }
    last
}

/// The triggers of a policy: `;` between them, or any.
fn triggers(policy: El<'_>) -> Vec<&'static str> {
    let Some(attr) = policy.need(
        "trigger",
        "say what sets it off, as `trigger=\"USER_CONNECTION_REQUEST\"`",
    ) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for word in attr
        .value
        .split([';', ',', ' '])
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        if word == words::ANY {
            found.extend(words::TRIGGERS);
            continue;
        }
        match words::TRIGGERS.iter().find(|trigger| **trigger == word) {
            Some(trigger) => found.push(*trigger),
            None => unknown_trigger(&attr, word),
        }
    }
    found.sort_unstable();
    found.dedup();
    attr.mapped("`on`");
    found
}

fn unknown_trigger(attr: &Attr<'_>, word: &str) {
    let known = || words::TRIGGERS.iter().copied();
    let label = format!("known: {}", listed(known()));
    attr.wrong(
        code::UNKNOWN_WORD,
        format!("there is no trigger `{word}`"),
        label,
        did_you_mean(word, known()),
    );
}

/// A name of its own: that of the process, or of its trigger and line.
fn rule_name(process: El<'_>, triggers: &[&'static str], names: &mut BTreeSet<String>) -> String {
    let line = process.input.line(process.span());
    let trigger = match triggers {
        [one] => words::trigger(one),
        _ => "several".to_owned(),
    };
    let short: String = trigger
        .split('.')
        .next_back()
        .unwrap_or_default()
        .chars()
        .take(MAX_NAME - 8)
        .collect();
    if let Some(attr) = process.attr("name").filter(|attr| attr.value.trim().is_empty()) {
        attr.approximated("empty: named by its trigger and line");
    }
    let wanted = match process.attr("name").filter(|attr| !attr.value.trim().is_empty()) {
        Some(attr) => {
            attr.mapped("the rule's name");
            let plain: String = attr
                .value
                .trim()
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_NAME)
                .collect();
            let short: String = plain.chars().take(MAX_NAME - 8).collect();
            if names.contains(&plain) {
                format!("{short}-{line}")
            } else {
                plain
            }
        }
        None => format!("{short}-{line}"),
    };
    let mut name = wanted.clone();
    let mut number = 2;
    while !names.insert(name.clone()) {
        name = format!("{wanted}.{number}");
        number += 1;
    }
    name
}
