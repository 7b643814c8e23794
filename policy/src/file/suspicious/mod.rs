//! What is legal but suspicious: the file can be used, but probably doesn't say what was meant.
//!
//! | module | what it doubts |
//! |---|---|
//! | [`classes`] | priorities, what a safety class promises |
//! | [`matrix`] | cells that do nothing, or nothing that is heard |
//! | [`ends`] | zones and streams that nobody hears, curves |
//! | [`usage`] | activation windows, start-up connections, mirrors |
//! | [`rules`], [`actions`] | rules that never come, actions that do nothing or never end |
//! | [`domains`] | what never registers, ways that don't join, properties that never change |
//! | [`reach`] | who may be heard where |
//!
//! All of it is read off the text and the model, without a step of the machine: it costs what reading the file costs, and says nothing
//! about what is *possible* (that is `prove`'s). It is looked for, and told, only where the file has no errors: what is suspicious
//! beside a mistake may be the mistake's consequence.

mod actions;
mod classes;
mod domains;
mod ends;
mod matrix;
mod reach;
mod rules;
mod usage;

use super::{Table, Value};
use crate::Model;
use crate::report::{Diagnostic, Span};
use crate::rules::Rule;
use crate::rules::action::Step;
use crate::rules::ast::Expr;
use crate::rules::keys::Key;
use crate::rules::kind::{Element, Value as Worth};
use reach::Reach;

/// Looks for all of it.
pub(super) fn look(root: &Table<'_>, model: &Model) {
    if root.doc().has_errors() {
        return;
    }
    let written = written(root, model);
    let look = Look {
        root,
        model,
        written: &written,
        reach: Reach::new(model),
    };
    classes::look(&look);
    matrix::look(&look);
    ends::look(&look);
    usage::look(&look);
    rules::look(&look);
    actions::look(&look);
    domains::look(&look);
}

struct Look<'l, 'd> {
    root: &'l Table<'d>,
    model: &'l Model,
    /// The rules in the order of the file.
    written: &'l [Written<'d, 'l>],
    reach: Reach<'l>,
}

impl<'d> Look<'_, 'd> {
    fn doubt(&self, found: Diagnostic) {
        self.root.doc().doubt(found);
    }

    fn class(&self, class: usize) -> &str {
        self.model.classes.get(class).map_or("?", |it| &it.name)
    }

    fn steps(&self) -> impl Iterator<Item = &Action<'d, '_>> {
        self.written.iter().flat_map(|it| it.actions.iter())
    }
}

/// A rule, and where it stands.
struct Written<'d, 'm> {
    table: Table<'d>,
    rule: &'m Rule,
    actions: Vec<Action<'d, 'm>>,
}

/// One of its actions.
struct Action<'d, 'm> {
    span: Span,
    keys: Table<'d>,
    step: &'m Step,
}

impl Action<'_, '_> {
    fn has(&self, key: Key) -> bool {
        self.step.keys.contains_key(&key)
    }

    /// What a key names; `None`: it isn't there, or it depends on what happens.
    fn named(&self, key: Key) -> Option<Vec<Element>> {
        named(self.step.keys.get(&key)?)
    }

    /// A number or gain as it is written.
    fn number(&self, key: Key) -> Option<i64> {
        match self.step.keys.get(&key)? {
            Expr::Value(worth) => worth.number(),
            _ => None,
        }
    }

    /// Where a key stands.
    fn at(&self, key: Key) -> Span {
        self.keys.key_span(key.name()).unwrap_or(self.span)
    }
}

/// Elements that an expression names, if it is nothing but names.
fn named(expr: &Expr) -> Option<Vec<Element>> {
    match expr {
        Expr::Value(Worth::Element(element)) => Some(vec![*element]),
        Expr::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(named).collect();
            Some(items?.concat())
        }
        _ => None,
    }
}

fn written<'d, 'm>(root: &Table<'d>, model: &'m Model) -> Vec<Written<'d, 'm>> {
    let rules = model.rules.rules();
    let tables = root.tables("rules").into_iter();
    let all = tables.filter_map(|table| {
        let name = table.get("name")?.text()?.value;
        let rule = rules.iter().find(|it| it.name == name)?;
        let items = table.get("do").map(|value| value.items()).unwrap_or_default();
        let actions = items.iter().zip(&rule.then);
        Some(Written {
            table,
            rule,
            actions: actions.filter_map(|(item, step)| action(item, step)).collect(),
        })
    });
    all.collect()
}

fn action<'d, 'm>(item: &Value<'d>, step: &'m Step) -> Option<Action<'d, 'm>> {
    Some(Action {
        span: item.span,
        keys: item.table()?.get(step.verb.name())?.table()?,
        step,
    })
}
