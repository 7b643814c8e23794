//! From a tree to a checked expression: names become indices, types are right.
//!
//! A text in quotes is whatever its place wants: a class where a class is wanted, and so on. So what stands beside it is looked at
//! first.

mod calls;

#[cfg(test)]
pub(crate) use calls::way;

use super::ast::{Expr, Node, Op, Tree};
use super::catalogue::{Field, Function, Trigger};
use super::kind::{Element, Kind, Type, Value, all_words, kinds_of_word};
use super::messages::Finding;
use crate::file::{code, did_you_mean, listed};
use crate::{Db10, MUTE, Model};

/// What an expression may refer to.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'m> {
    pub model: &'m Model,
    /// What sets off the rule.
    pub on: &'m [Trigger],
}

/// Checks one expression of a wanted type (a single one where a list is wanted is a list of one).
pub(crate) fn check(text: &str, wants: Type, scope: Scope<'_>) -> Result<Expr, Vec<Finding>> {
    let node = super::parse::parse(text).map_err(|found| vec![found])?;
    let mut checker = Checker {
        scope,
        findings: Vec::new(),
    };
    let typed = checker.infer(&node, Some(wants));
    let Some((expr, is)) = typed.filter(|_| checker.findings.is_empty()) else {
        return Err(checker.findings);
    };
    if is == wants || (wants.list && is.kind == wants.kind) {
        return Ok(expr);
    }
    checker.wrong_type(&node, is, wants);
    Err(checker.findings)
}

/// Checks a name that stands for itself, as in `source = "ivi.media"`.
pub(crate) fn name(text: &str, kind: Kind, model: &Model) -> Option<Expr> {
    if matches!(kind, Kind::Domain | Kind::Gateway) || !kind.is_named() {
        return None;
    }
    resolve(text, kind, model)
}

/// Names of a kind: of sources and sinks the model's first, then those that the file describes in domains.
pub(crate) fn names(kind: Kind, model: &Model) -> Vec<&str> {
    let known = &model.routing.known;
    match kind {
        Kind::Source => {
            let own = model.sources.iter().map(|it| it.name.as_str());
            own.chain(known.sources.keys().map(String::as_str)).collect()
        }
        Kind::Sink => {
            let own = model.sinks.iter().map(|it| it.name.as_str());
            own.chain(known.sinks.keys().map(String::as_str)).collect()
        }
        Kind::Class => model.classes.iter().map(|it| it.name.as_str()).collect(),
        Kind::Trigger => Trigger::ALL.iter().map(|it| it.name()).collect(),
        _ => Vec::new(),
    }
}

fn resolve(text: &str, kind: Kind, model: &Model) -> Option<Expr> {
    let index = names(kind, model).iter().position(|name| *name == text);
    match (kind, index) {
        (Kind::Source, Some(index)) if index >= model.sources.len() => return Some(Expr::Source(text.to_owned())),
        (Kind::Sink, Some(index)) if index >= model.sinks.len() => return Some(Expr::Sink(text.to_owned())),
        _ => {}
    }
    let value = match kind {
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Source => Value::Element(Element::Source(index?)),
        Kind::Sink => Value::Element(Element::Sink(index?)),
        Kind::Class => Value::Element(Element::Class(index?)),
        Kind::Trigger => Value::Word(Kind::Trigger, Trigger::of_name(text)?.code()),
        Kind::Domain => return Some(Expr::Domain(text.to_owned())),
        Kind::Gateway => return Some(Expr::Gateway(text.to_owned())),
        _ => return None,
    };
    Some(Expr::Value(value))
}

struct Checker<'m> {
    scope: Scope<'m>,
    findings: Vec<Finding>,
}

type Typed = (Expr, Type);

/// Its type depends on its place.
fn is_open(node: &Node) -> bool {
    match &node.tree {
        Tree::Text(_) => true,
        Tree::Path(path) => {
            path.len() == 1
                && !path
                    .iter()
                    .any(|it| matches!(it.as_str(), "all" | "others" | "true" | "false"))
        }
        Tree::List(items) => items.iter().all(is_open),
        _ => false,
    }
}

impl Checker<'_> {
    fn push(&mut self, code: &'static str, node: &Node, message: impl Into<String>) -> &mut Finding {
        let at = self.findings.len();
        self.findings.push(Finding::new(code, node.start..node.end, message));
        &mut self.findings[at]
    }

    fn say(&mut self, code: &'static str, node: &Node, message: String, label: String, help: Option<String>) {
        let found = self.push(code, node, message);
        found.label = label;
        found.help = help;
    }

    fn infer(&mut self, node: &Node, hint: Option<Type>) -> Option<Typed> {
        match &node.tree {
            Tree::Number { number, gain } => self.number(node, *number, *gain, hint),
            Tree::Text(text) => self.text(node, text, hint.map_or(Kind::Text, |it| it.kind)),
            Tree::Path(path) => self.path(node, path, hint),
            Tree::List(items) => self.list(node, items, hint),
            Tree::Call { name, name_end, items } => self.call(node, name, *name_end, items),
            Tree::Test(op, sides) => self.test(*op, &sides[0], &sides[1]),
            Tree::Joined(join, parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.truth(part)).collect();
                let parts: Option<Vec<Expr>> = parts.into_iter().collect();
                Some((Expr::Joined(*join, parts?), Type::one(Kind::Bool)))
            }
            Tree::Not(inner) => {
                let inner = self.truth(inner)?;
                Some((Expr::Not(Box::new(inner)), Type::one(Kind::Bool)))
            }
        }
    }

    fn truth(&mut self, node: &Node) -> Option<Expr> {
        let wants = Type::one(Kind::Bool);
        let (expr, is) = self.infer(node, Some(wants))?;
        if is == wants {
            return Some(expr);
        }
        self.wrong_type(node, is, wants);
        None
    }

    fn wrong_type(&mut self, node: &Node, is: Type, wants: Type) {
        let help = match wants.kind {
            Kind::Bool => Some("compare it with something, as `… == …`".to_owned()),
            Kind::Gain if is.kind == Kind::Number => Some("write the number with its unit, as `-14 dB`".to_owned()),
            Kind::Source if is.kind == Kind::Class => Some("write `sources(…)` for all of a class".to_owned()),
            _ => None,
        };
        self.say(
            code::WRONG_TYPE,
            node,
            format!("expected a {wants}"),
            format!("this is a {is}"),
            help,
        );
    }

    fn number(&mut self, node: &Node, number: f64, gain: bool, hint: Option<Type>) -> Option<Typed> {
        let wants_gain = hint.is_some_and(|it| it.kind == Kind::Gain);
        if gain {
            let range = f64::from(MUTE) / 10.0..=100.0;
            if !range.contains(&number) {
                let label = format!("{} to {} dB is possible", range.start(), range.end());
                self.say(
                    code::OUT_OF_RANGE,
                    node,
                    format!("{number} dB is out of range"),
                    label,
                    None,
                );
                return None;
            }
            let value = Value::Gain((number * 10.0).round() as Db10);
            return Some((Expr::Value(value), Type::one(Kind::Gain)));
        }
        if wants_gain || number.fract() != 0.0 {
            let help = Some(format!("write `{number} dB`"));
            let label = "has no unit".to_owned();
            self.say(
                code::WRONG_TYPE,
                node,
                format!("is {number} a gain?"),
                label,
                help.filter(|_| wants_gain || number.abs() <= 300.0),
            );
            return None;
        }
        Some((Expr::Value(Value::Number(number as i64)), Type::one(Kind::Number)))
    }

    fn text(&mut self, node: &Node, text: &str, kind: Kind) -> Option<Typed> {
        if let Some(expr) = resolve(text, kind, self.scope.model) {
            return Some((expr, Type::one(kind)));
        }
        if Value::word(kind, text).is_some() {
            let help = Some(format!("write `{text}` without quotes"));
            let label = "is a word, not a name".to_owned();
            self.say(
                code::WRONG_TYPE,
                node,
                format!("expected a {}", kind.name()),
                label,
                help,
            );
            return None;
        }
        if kind.is_named() {
            self.no_such(node, text, &[kind]);
        } else {
            let message = format!("expected a {}", kind.name());
            self.say(code::WRONG_TYPE, node, message, "this is a text".to_owned(), None);
        }
        None
    }

    /// A name that nothing of these kinds has.
    fn no_such(&mut self, node: &Node, text: &str, kinds: &[Kind]) {
        let model = self.scope.model;
        let words: Vec<&str> = kinds.iter().flat_map(|kind| names(*kind, model)).collect();
        let what: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let what = what.join(" or ");
        let help = did_you_mean(text, words.iter().copied());
        self.say(
            code::UNKNOWN_NAME,
            node,
            format!("there is no {what} `{text}`"),
            format!("known: {}", listed(words.iter().copied())),
            help,
        );
    }

    fn path(&mut self, node: &Node, path: &[String], hint: Option<Type>) -> Option<Typed> {
        let one = |kind| Type::one(kind);
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["true"] => return Some((Expr::Value(Value::Bool(true)), one(Kind::Bool))),
            ["false"] => return Some((Expr::Value(Value::Bool(false)), one(Kind::Bool))),
            ["all"] => return Some((Expr::All, Type::list(Kind::Connection))),
            ["others"] => return Some((Expr::Others, Type::list(Kind::Connection))),
            ["request", field] => return self.field(node, field),
            [word] => {
                if let Some(kind) = self.kind_of_word(word, hint) {
                    return Some((Expr::Value(Value::word(kind, word)?), one(kind)));
                }
            }
            _ => {}
        }
        self.unknown(node, &parts.join("."), hint);
        None
    }

    fn kind_of_word(&self, word: &str, hint: Option<Type>) -> Option<Kind> {
        let kinds = kinds_of_word(word);
        let wanted = hint.map(|it| it.kind).filter(|kind| kinds.contains(kind));
        wanted.or_else(|| kinds.first().copied())
    }

    fn unknown(&mut self, node: &Node, text: &str, hint: Option<Type>) {
        let model = self.scope.model;
        let kinds = [Kind::Source, Kind::Sink, Kind::Class];
        let is_name = kinds.iter().any(|kind| names(*kind, model).contains(&text));
        let fields = Field::ALL.iter().map(|it| format!("request.{}", it.name()));
        let mut words: Vec<String> = fields.collect();
        match hint.map(|it| it.kind.words()).filter(|words| !words.is_empty()) {
            Some(wanted) => words.extend(wanted.iter().map(|(word, _)| (*word).to_owned())),
            None => words.extend(all_words().map(str::to_owned)),
        }
        words.extend(["all", "others"].map(str::to_owned));
        let help = if is_name {
            Some(format!("write a name in quotes: \"{text}\""))
        } else if Function::of_name(text).is_some() {
            Some(format!("write `{text}(…)`"))
        } else {
            did_you_mean(text, words.iter().map(String::as_str))
        };
        let label = match hint.map(|it| it.kind.words()).filter(|words| !words.is_empty()) {
            Some(wanted) => format!("possible: {}", listed(wanted.iter().map(|(word, _)| *word))),
            None => "is no word of this language".to_owned(),
        };
        self.say(code::UNKNOWN_WORD, node, format!("`{text}` is not known"), label, help);
    }

    fn field(&mut self, node: &Node, name: &str) -> Option<Typed> {
        let Some(field) = Field::ALL.iter().find(|it| it.name() == name).copied() else {
            let words = || Field::ALL.iter().map(|it| it.name());
            let help = did_you_mean(name, words());
            let label = format!("fields: {}", listed(words()));
            self.say(
                code::UNKNOWN_WORD,
                node,
                format!("a request has no `{name}`"),
                label,
                help,
            );
            return None;
        };
        self.request(node, field)
    }

    fn request(&mut self, node: &Node, field: Field) -> Option<Typed> {
        let on = self.scope.on;
        let has = |it: &Trigger| field == Field::Trigger || it.fields().contains(&field);
        if !on.is_empty() && !on.iter().any(has) {
            let able = Trigger::ALL.iter().filter(|it| has(it)).map(|it| it.name());
            let able: Vec<&str> = able.collect();
            let mine = listed(on.iter().map(|it| it.name()));
            self.say(
                code::CONFLICT,
                node,
                format!("`request.{}` is never there", field.name()),
                format!("{mine} doesn't have it"),
                Some(format!("triggers that have it: {}", listed(able))),
            );
            return None;
        }
        Some((Expr::Request(field), Type::one(field.kind())))
    }

    fn list(&mut self, node: &Node, items: &[Node], hint: Option<Type>) -> Option<Typed> {
        let mut kind = hint.map(|it| it.kind);
        // Whatever says of itself what it is decides for the others.
        if let Some(first) = items.iter().find(|it| !is_open(it)).filter(|_| kind.is_none()) {
            kind = self.infer(first, None).map(|it| it.1.kind);
        }
        let mut all = Vec::new();
        let before = self.findings.len();
        for item in items {
            let Some((expr, is)) = self.infer(item, kind.map(Type::one)) else {
                continue;
            };
            if is.list || kind.is_some_and(|kind| kind != is.kind) {
                self.wrong_type(item, is, Type::one(kind.unwrap_or(is.kind)));
                continue;
            }
            kind = Some(is.kind);
            all.push(expr);
        }
        if self.findings.len() > before {
            return None;
        }
        match kind {
            Some(kind) => Some((Expr::List(all), Type::list(kind))),
            None => {
                self.push(code::OUT_OF_RANGE, node, "an empty list of what?").label = "has nothing".to_owned();
                None
            }
        }
    }

    fn test(&mut self, op: Op, left: &Node, right: &Node) -> Option<Typed> {
        let member = matches!(op, Op::Has | Op::Lacks);
        let as_right = |is: Type| Type {
            list: is.list && !member,
            ..is
        };
        let as_left = |is: Type| Type {
            list: is.list || member,
            ..is
        };
        let (left_typed, right_typed) = if is_open(left) && !is_open(right) {
            let right_typed = self.infer(right, None)?;
            (self.infer(left, Some(as_left(right_typed.1))), Some(right_typed))
        } else {
            let left_typed = self.infer(left, None);
            let hint = left_typed.as_ref().map(|it| as_right(it.1));
            match hint {
                None if is_open(right) => (None, None),
                _ => {
                    let right_typed = self.infer(right, hint);
                    (left_typed, right_typed)
                }
            }
        };
        let ((left_expr, left_is), (right_expr, right_is)) = (left_typed?, right_typed?);
        self.comparable(op, (left, left_is), (right, right_is))?;
        Some((Expr::Test(op, Box::new([left_expr, right_expr])), Type::one(Kind::Bool)))
    }

    fn comparable(&mut self, op: Op, left: (&Node, Type), right: (&Node, Type)) -> Option<()> {
        let whole = Node {
            start: left.0.start,
            end: right.0.end,
            ..left.0.clone()
        };
        let member = matches!(op, Op::Has | Op::Lacks);
        if left.1.kind != right.1.kind {
            let message = format!("a {} and a {} can't be compared", left.1, right.1);
            let help = match (left.1.kind, right.1.kind) {
                (Kind::Source, Kind::Class) => Some("write `class(…)` on the left".to_owned()),
                (Kind::Class, Kind::Source) => Some("write `class(…)` on the right".to_owned()),
                (Kind::Gain, Kind::Number) => Some("write the number with its unit, as `-14 dB`".to_owned()),
                (Kind::SourceState, Kind::State) => Some("write `state(connection(…))` on the left".to_owned()),
                (_, Kind::Text) => Some("write `name(…)` on the left".to_owned()),
                _ => None,
            };
            self.say(
                code::WRONG_TYPE,
                &whole,
                message,
                "these are of different types".to_owned(),
                help,
            );
            return None;
        }
        let (message, help) = match op {
            Op::Has | Op::Lacks if !left.1.list => (format!("a {} is no list", left.1), "write `==` or `!=`"),
            Op::Has | Op::Lacks if right.1.list => (
                "a list has single ones, no lists".to_owned(),
                "test one after the other, joined by `&&`",
            ),
            _ if !member && (left.1.list || right.1.list) => (
                format!("a list can't be compared by `{}`", op.sign()),
                "write `has` or `lacks`, with the list on the left",
            ),
            Op::Greater | Op::AtLeast | Op::Less | Op::AtMost if !left.1.kind.is_ordered() => (
                format!("a {} is not less or greater than another", left.1),
                "write `==` or `!=`, or compare `priority(…)`",
            ),
            _ => return Some(()),
        };
        self.say(
            code::WRONG_TYPE,
            &whole,
            message,
            format!("`{}` doesn't fit here", op.sign()),
            Some(help.to_owned()),
        );
        None
    }
}
