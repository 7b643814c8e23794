//! `[[rules]]`: see [`crate::rules`].

use std::collections::{BTreeMap, BTreeSet};

use super::placed::Placed;
use super::{Found, MAX_NAME, Table, Value, code, did_you_mean, listed};
use crate::Model;
use crate::report::{Diagnostic, Span};
use crate::rules::action::Step;
use crate::rules::ast::Expr;
use crate::rules::catalogue::{Field, Trigger};
use crate::rules::check::{self, Scope};
use crate::rules::keys::{Key, Verb};
use crate::rules::kind::{Element, Kind, Type, Value as Worth};
use crate::rules::{PRIORITY, Program, Rule};

/// Most conditions, and most actions, of one rule.
const MAX_PARTS: usize = 16;

/// All rules.
pub(crate) fn read(root: &Table<'_>, model: &Model) -> Program {
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    let mut rules = Vec::new();
    for table in root.tables("rules") {
        if root.doc().is_full() {
            break;
        }
        let reader = Reader { table, model };
        if let Some(name) = reader.name() {
            if let Some(first) = names.insert(name.value, name.span) {
                let found = Diagnostic::error(code::DUPLICATE, name.span, "two rules have this name");
                table.doc().push(found.label("again here").see(first, "first here"));
            }
            rules.extend(reader.rule(name.value));
        } else {
            // For what else is wrong with it.
            reader.rule("");
        }
    }
    Program::new(rules)
}

struct Reader<'d, 'm> {
    table: Table<'d>,
    model: &'m Model,
}

impl<'d> Reader<'d, '_> {
    fn push(&self, found: Diagnostic) {
        self.table.doc().push(found);
    }

    fn name(&self) -> Option<Found<&'d str>> {
        let name = self
            .table
            .need("name", "name it, as `name = \"quiet-for-phone\"`")?
            .text()?;
        if name.value.chars().count() > MAX_NAME {
            let found = Diagnostic::error(code::BAD_NAME, name.span, "this name is too long");
            self.push(found.label(format!("a name has 1 to {MAX_NAME} characters")));
        }
        Some(name)
    }

    fn rule(&self, name: &str) -> Option<Rule> {
        let on = self.triggers();
        let scope = on.as_deref().unwrap_or_default();
        let when = self.conditions(scope);
        let then = self.steps(scope);
        let priority = self.table.integer("priority", -1000..=1000).map(|found| found.value);
        let overrides = self.table.bool_or("overrides", false);
        let last = self.table.bool_or("break", false);
        if let (true, Some(span), Some(then)) = (overrides, self.table.key_span("overrides"), &then)
            && !then.iter().any(|step| matches!(step.verb, Verb::Limit | Verb::Mute))
        {
            let found = Diagnostic::warning(code::NO_EFFECT, span, "`overrides` has no effect here");
            self.push(found.label("only a limit or mute goes before the matrix's duck"));
        }
        Some(Rule {
            name: name.to_owned(),
            line: self.table.doc().line(self.table.span()),
            on: on?,
            priority: priority.and_then(|it| i32::try_from(it).ok()).unwrap_or(PRIORITY),
            when: when?,
            then: then?,
            overrides,
            last,
        })
    }

    fn triggers(&self) -> Option<Vec<Trigger>> {
        let cure = "say what sets it off, as `on = \"user.connection_request\"`";
        let value = self.table.need("on", cure)?;
        let names: Vec<&str> = Trigger::ALL.iter().map(|it| it.name()).collect();
        if value.items().is_empty() {
            let found = Diagnostic::error(code::OUT_OF_RANGE, value.span, "nothing sets this rule off");
            self.push(found.label("names no trigger").help(cure));
        }
        let found = value.names_of("trigger", "triggers", &names);
        let triggers: Vec<Trigger> = found.iter().map(|it| Trigger::ALL[it.value]).collect();
        (!triggers.is_empty()).then_some(triggers)
    }

    fn conditions(&self, on: &[Trigger]) -> Option<Vec<Expr>> {
        let Some(value) = self.table.get("when") else {
            return Some(Vec::new());
        };
        let items = value.items();
        self.bounded(value.span, items.len(), "conditions")?;
        let all: Vec<_> = items
            .iter()
            .map(|item| self.expression(item, Type::one(Kind::Bool), on))
            .collect();
        all.into_iter().collect()
    }

    fn bounded(&self, span: Span, count: usize, what: &str) -> Option<()> {
        if count <= MAX_PARTS {
            return Some(());
        }
        let message = format!("{count} {what}: there is room for {MAX_PARTS}");
        let found = Diagnostic::error(code::TOO_MANY, span, message);
        self.push(found.label("too many").help("split it into several rules"));
        None
    }

    fn steps(&self, on: &[Trigger]) -> Option<Vec<Step>> {
        let cure = "say what it does, as `do = [{ disconnect = { class = \"media\" } }]`";
        let value = self.table.need("do", cure)?;
        let items = value.items();
        if items.is_empty() {
            let found = Diagnostic::error(code::OUT_OF_RANGE, value.span, "this rule does nothing");
            self.push(found.label("names no action").help(cure));
            return None;
        }
        self.bounded(value.span, items.len(), "actions")?;
        let all: Vec<_> = items.iter().map(|item| self.step(item, on)).collect();
        all.into_iter().collect()
    }

    fn step(&self, item: &Value<'d>, on: &[Trigger]) -> Option<Step> {
        let table = item.table()?;
        let verbs: Vec<_> = (Verb::ALL.iter())
            .filter_map(|verb| Some((*verb, table.get(verb.name())?)))
            .collect();
        let [(verb, value)] = verbs.as_slice() else {
            let (message, label) = match verbs.len() {
                0 => ("there is no action here".to_owned(), "names none".to_owned()),
                many => (
                    format!("{many} actions in one"),
                    listed(verbs.iter().map(|(verb, _)| verb.name())),
                ),
            };
            let found = Diagnostic::error(code::CONFLICT, item.span, message);
            self.push(
                found
                    .label(label)
                    .help("write each as a table of its own: `{ limit = { … } }, { mute = { … } }`"),
            );
            return None;
        };
        let keys = value.table()?;
        let action = ActionReader {
            rule: self,
            verb: *verb,
            keys,
            span: item.span,
            on,
        };
        Some(Step {
            verb: *verb,
            line: self.table.doc().line(item.span),
            keys: action.read()?,
        })
    }

    fn expression(&self, value: &Value<'d>, wants: Type, on: &[Trigger]) -> Option<Expr> {
        let text = value.text()?;
        let scope = Scope { model: self.model, on };
        match check::check(text.value, wants, scope) {
            Ok(expr) => Some(expr),
            Err(findings) => {
                let placed = Placed::new(self.table.doc(), text.span, text.value);
                for found in findings {
                    let at = placed.span(found.range);
                    let report = Diagnostic::error(found.code, at, found.message);
                    self.push(report.label(found.label).maybe_help(found.help));
                }
                None
            }
        }
    }
}

struct ActionReader<'r, 'd, 'm> {
    rule: &'r Reader<'d, 'm>,
    verb: Verb,
    keys: Table<'d>,
    span: Span,
    on: &'r [Trigger],
}

const TARGETS: [Key; 4] = [Key::Class, Key::Source, Key::Sink, Key::Connection];

impl<'d> ActionReader<'_, 'd, '_> {
    fn read(&self) -> Option<BTreeMap<Key, Expr>> {
        let mut read = BTreeMap::new();
        let mut whole = true;
        let mut given = BTreeSet::new();
        for key in self.verb.keys() {
            let Some(value) = self.keys.get(key.name()) else {
                continue;
            };
            given.insert(*key);
            match self.value(*key, &value) {
                Some(expr) => {
                    self.reaches_safety(*key, &expr, value.span);
                    read.insert(*key, expr);
                }
                None => whole = false,
            }
        }
        self.needed(&given);
        self.held(&given);
        self.of_volume(&given);
        self.of_the_file(&read);
        whole.then_some(read)
    }

    fn missing(&self, message: String, label: &str, help: String) {
        let found = Diagnostic::error(code::MISSING_KEY, self.span, message);
        self.rule.push(found.label(label).help(help));
    }

    fn needed(&self, given: &BTreeSet<Key>) {
        let name = self.verb.name();
        let needs = self.verb.needs();
        if !needs.is_empty() && !needs.iter().any(|key| given.contains(key)) {
            let keys = listed(needs.iter().map(|key| key.name()));
            let help = format!("give {}: {keys}", if needs.len() > 1 { "one of these" } else { "it" });
            self.missing(format!("`{name}` says not enough"), "something is missing", help);
        }
        let of_end = matches!(
            self.verb,
            Verb::SetProperty | Verb::SetProperties | Verb::SetNotification
        );
        let targetless = self.verb == Verb::Limit && !TARGETS.iter().any(|key| given.contains(key))
            || of_end && !given.contains(&Key::Source) && !given.contains(&Key::Sink);
        if targetless {
            let help = if of_end {
                "say of what: `source` or `sink`"
            } else {
                "say of what: `source`, `class`, `connection` or `sink`"
            };
            self.missing(format!("`{name}` of what?"), "has no target", help.to_owned());
        }
    }

    /// Whatever holds must end.
    fn held(&self, given: &BTreeSet<Key>) {
        if !matches!(self.verb, Verb::Limit | Verb::Mute) || given.contains(&Key::Cause) {
            return;
        }
        let known = self.on.is_empty() || self.on.iter().any(|it| it.fields().contains(&Field::Source));
        if known || given.contains(&Key::Sticky) && !given.contains(&Key::Below) {
            return;
        }
        let triggers = listed(self.on.iter().map(|it| it.name()));
        let label = format!("{triggers} has no source that could be the cause");
        let found = Diagnostic::error(code::MISSING_KEY, self.span, "nothing would end this");
        self.rule.push(
            found
                .label(label)
                .help("give its `cause`: the source while which it holds, or write `sticky = true`"),
        );
    }

    /// mainVolume is a sink's, a gain is a source's.
    fn of_volume(&self, given: &BTreeSet<Key>) {
        if self.verb != Verb::SetVolume {
            return;
        }
        let gain = given.contains(&Key::Gain) || given.contains(&Key::GainStep);
        let main = given.contains(&Key::MainVolume) || given.contains(&Key::MainVolumeStep);
        let sources = [Key::Class, Key::Source, Key::Connection];
        let (message, help) = if gain && !main && !sources.iter().any(|key| given.contains(key)) {
            (
                "a gain is a source's",
                "name a `source`, `class` or `connection`, or give `main_volume`",
            )
        } else if main && given.contains(&Key::Source) {
            ("a mainVolume is a sink's", "name a `sink`, or give `gain_db`")
        } else {
            return;
        };
        let found = Diagnostic::error(code::CONFLICT, self.span, message);
        self.rule.push(found.label("these don't go together").help(help));
    }

    /// What is to be registered is described in the file, system properties are listed there.
    fn of_the_file(&self, read: &BTreeMap<Key, Expr>) {
        let known = &self.rule.model.routing.known;
        for (key, expr) in read {
            let of = |expr: &Expr| match (key, expr) {
                (Key::SourceName, Expr::Value(Worth::Text(name))) => {
                    Some(("source", name.clone(), known.sources.contains_key(name)))
                }
                (Key::SinkName, Expr::Value(Worth::Text(name))) => {
                    Some(("sink", name.clone(), known.sinks.contains_key(name)))
                }
                (Key::GatewayName, Expr::Value(Worth::Text(name))) => {
                    Some(("gateway", name.clone(), known.gateways.contains_key(name)))
                }
                _ => None,
            };
            let all: Vec<_> = match expr {
                Expr::List(items) => items.iter().filter_map(of).collect(),
                one => of(one).into_iter().collect(),
            };
            for (kind, name, _) in all.into_iter().filter(|it| !it.2) {
                let found = Diagnostic::error(
                    code::UNKNOWN_NAME,
                    self.span,
                    format!("no domain has a {kind} `{name}`"),
                );
                let help =
                    format!("describe it in its domain, with `registers = \"rule\"`: [domains.NAME.{kind}s.{name}]");
                self.rule
                    .push(found.label("only what the file describes can be registered").help(help));
            }
        }
        if self.verb == Verb::SetSystemProperty
            && let Some(Expr::Value(kind)) = read.get(&Key::PropertyType)
            && let (Some(kind), Some(number)) = (kind.property_type(), kind.number())
            && !self.rule.model.system_properties.iter().any(|it| it.kind == kind)
        {
            let found = Diagnostic::error(
                code::UNKNOWN_NAME,
                self.span,
                format!("there is no system property {number}"),
            );
            let help = format!("add it: `[[system_properties]]` with `type = {number}`");
            self.rule.push(found.label("so it can't be set").help(help));
        }
    }

    fn value(&self, key: Key, value: &Value<'d>) -> Option<Expr> {
        let wants = key.wants();
        if key == Key::Properties {
            return properties(value);
        }
        value.may_be_text();
        if wants.list {
            value.may_be_list();
        }
        if value.is_text() {
            return self.text(value, wants);
        }
        let constant = match wants.kind {
            Kind::Gain if key == Key::GainStep => {
                let found = value.thousandths_signed(-100.0..=100.0)?;
                Worth::Gain(i16::try_from(found.value / 100).unwrap_or(0))
            }
            Kind::Gain => Worth::Gain(value.gain()?.value),
            Kind::Number => Worth::Number(value.integer(i64::from(i16::MIN)..=i64::from(u32::MAX))?.value),
            Kind::Bool => Worth::Bool(value.boolean()?.value),
            _ if wants.list => {
                let items = value.list("a name, an expression, or a list of these")?;
                let items: Vec<_> = items
                    .iter()
                    .map(|item| self.text(item, Type::one(wants.kind)))
                    .collect();
                return Some(Expr::List(items.into_iter().collect::<Option<_>>()?));
            }
            _ => {
                value.text()?;
                return None;
            }
        };
        Some(Expr::Value(constant))
    }

    /// A name, or an expression.
    fn text(&self, value: &Value<'d>, wants: Type) -> Option<Expr> {
        let text = value.text()?;
        let model = self.rule.model;
        if let Some(expr) = check::name(text.value, wants.kind, model) {
            return Some(expr);
        }
        let expression = text.value.contains(['(', '[', ' ', '"', '\''])
            || text.value.starts_with("request.")
            || ["all", "others"].contains(&text.value);
        if expression || !matches!(wants.kind, Kind::Source | Kind::Sink | Kind::Class | Kind::Gateway) {
            return self.rule.expression(value, wants, self.on);
        }
        if wants.kind == Kind::Gateway {
            return Some(Expr::Gateway(text.value.to_owned()));
        }
        let names = check::names(wants.kind, model);
        let what = wants.kind.name();
        let field = format!("request.{what}");
        let words = names
            .iter()
            .copied()
            .chain([field.as_str(), "request.source", "request.sink"]);
        let help = did_you_mean(text.value, words);
        let message = format!("there is no {what} `{}`", text.value);
        let found = Diagnostic::error(code::UNKNOWN_NAME, text.span, message);
        let label = format!("known: {}", listed(names.iter().copied()));
        self.rule.push(found.label(label).maybe_help(help));
        None
    }

    /// Nothing of a safety class is ever a target.
    fn reaches_safety(&self, key: Key, expr: &Expr, span: Span) {
        if !TARGETS.contains(&key) {
            return;
        }
        let mut named = Vec::new();
        elements(expr, &mut named);
        let model = self.rule.model;
        for element in named {
            let name = match element {
                Element::Source(source) if model.protected(source) => model.sources.get(source).map(|it| &it.name),
                Element::Class(class) => model.classes.get(class).filter(|it| it.safety).map(|it| &it.name),
                _ => None,
            };
            if let Some(name) = name {
                let message = format!("`{name}` is out of the rules' reach");
                let found = Diagnostic::error(code::SAFETY, span, message);
                self.rule.push(
                    found
                        .label("what is of a safety class always sounds as it was made")
                        .help("take it out; it may be a `cause`"),
                );
            }
        }
    }
}

/// Elements that an expression names.
fn elements(expr: &Expr, named: &mut Vec<Element>) {
    match expr {
        Expr::Value(Worth::Element(element)) => named.push(*element),
        Expr::List(parts) | Expr::Call(_, parts) | Expr::Joined(_, parts) => {
            parts.iter().for_each(|part| elements(part, named));
        }
        Expr::Test(_, sides) => sides.iter().for_each(|side| elements(side, named)),
        Expr::Not(inner) => elements(inner, named),
        _ => {}
    }
}

/// `[[1, 5], [2, -3]]`.
fn properties(value: &Value<'_>) -> Option<Expr> {
    let wanted = "pairs of type and value, as `[[1, 5], [2, -3]]`";
    let mut flat = Vec::new();
    for item in value.list(wanted)? {
        let pair = item.list(wanted)?;
        let [kind, worth] = pair.as_slice() else {
            return item.out_of_range(
                "a property is a pair of type and value",
                format!("has {} values", pair.len()),
            );
        };
        for (number, most) in [(kind, i64::from(u16::MAX)), (worth, i64::from(i16::MAX))] {
            let number = number.integer(i64::from(i16::MIN)..=most)?.value;
            flat.push(Expr::Value(Worth::Number(number)));
        }
    }
    Some(Expr::List(flat))
}
