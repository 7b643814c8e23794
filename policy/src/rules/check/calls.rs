//! Calls of functions: the first form that fits.

use super::{Checker, Typed, is_open, names};
use crate::file::{code, did_you_mean};
use crate::rules::ast::{Expr, Node, Tree};
use crate::rules::catalogue::{Form, Function};
use crate::rules::kind::{Kind, Type};

impl Checker<'_> {
    pub(super) fn call(&mut self, node: &Node, name: &str, name_end: usize, items: &[Node]) -> Option<Typed> {
        let Some(function) = Function::of_name(name) else {
            let words = || Function::ALL.iter().map(|it| it.name());
            let at = Node {
                end: name_end,
                ..node.clone()
            };
            let help = did_you_mean(name, words());
            let label = "is none of the functions".to_owned();
            self.say(
                code::UNKNOWN_NAME,
                &at,
                format!("there is no function `{name}`"),
                label,
                help,
            );
            return None;
        };
        if function == Function::Count {
            return self.count(node, items);
        }
        if let ([], Some(field)) = (items, function.field()) {
            return self.request(node, field);
        }
        self.overloaded(node, function, items)
    }

    fn count(&mut self, node: &Node, items: &[Node]) -> Option<Typed> {
        let [item] = items else {
            let found = self.push(code::WRONG_TYPE, node, "`count` takes one list");
            found.label = format!("{} given", items.len());
            return None;
        };
        let (expr, is) = self.infer(item, None)?;
        if !is.list {
            let help = Some("as in `count(connections(\"media\"))`".to_owned());
            self.say(
                code::WRONG_TYPE,
                item,
                "expected a list".to_owned(),
                format!("this is a {is}"),
                help,
            );
            return None;
        }
        Some((Expr::Call(Function::Count, vec![expr]), Type::one(Kind::Number)))
    }

    /// The first form that fits.
    fn overloaded(&mut self, node: &Node, function: Function, items: &[Node]) -> Option<Typed> {
        let mut known: Vec<Option<Typed>> = Vec::new();
        for item in items {
            known.push(if is_open(item) {
                None
            } else {
                Some(self.infer(item, None)?)
            });
        }
        let fits = |form: &&&Form| {
            let mut pairs = form.takes.iter().zip(&known);
            form.takes.len() == items.len() && pairs.all(|(takes, is)| is.as_ref().is_none_or(|is| is.1 == *takes))
        };
        let forms: Vec<&Form> = function.forms().iter().collect();
        let candidates: Vec<&Form> = forms.iter().filter(fits).copied().collect();
        if candidates.is_empty() {
            self.no_form(node, function, items, &known);
            return None;
        }
        let only_domains = candidates.len() == 1 || matches!(function, Function::Domain | Function::Gateway);
        for form in &candidates {
            if let Some(args) = self.arguments(form, items, &known, only_domains) {
                return Some((Expr::Call(function, args), form.gives));
            }
        }
        self.no_argument(&candidates, items, &known);
        None
    }

    /// All arguments as this form takes them, or nothing; says nothing.
    fn arguments(&self, form: &Form, items: &[Node], known: &[Option<Typed>], domains: bool) -> Option<Vec<Expr>> {
        let mut args = Vec::new();
        for ((takes, item), known) in form.takes.iter().zip(items).zip(known) {
            if let Some((expr, _)) = known {
                args.push(expr.clone());
                continue;
            }
            if matches!(takes.kind, Kind::Domain | Kind::Gateway) && !domains {
                return None;
            }
            let mut quiet = Checker {
                scope: self.scope,
                findings: Vec::new(),
            };
            let (expr, is) = quiet.infer(item, Some(*takes))?;
            if is != *takes {
                return None;
            }
            args.push(expr);
        }
        Some(args)
    }

    fn no_form(&mut self, node: &Node, function: Function, items: &[Node], known: &[Option<Typed>]) {
        let given: Vec<String> = known
            .iter()
            .map(|it| it.as_ref().map_or_else(|| "…".to_owned(), |it| it.1.to_string()))
            .collect();
        let ways: Vec<String> = function.forms().iter().map(|form| way(function, form)).collect();
        let wrong = function.forms().iter().all(|form| form.takes.len() != items.len());
        let message = if wrong {
            format!("`{}` doesn't take {} arguments", function.name(), items.len())
        } else {
            format!("`{}` doesn't take ({})", function.name(), given.join(", "))
        };
        let label = "no form of it fits".to_owned();
        let help = Some(format!("write {}", ways.join(" or ")));
        self.say(code::WRONG_TYPE, node, message, label, help);
    }

    /// Something in quotes, or a word, that fits in none of the forms.
    fn no_argument(&mut self, forms: &[&Form], items: &[Node], known: &[Option<Typed>]) {
        for (at, item) in items.iter().enumerate() {
            if known.get(at).is_some_and(Option::is_some) {
                continue;
            }
            let mut kinds: Vec<Kind> = forms
                .iter()
                .filter_map(|it| it.takes.get(at))
                .map(|it| it.kind)
                .collect();
            kinds.dedup();
            let fits = |kind: &Kind| {
                let mut quiet = Checker {
                    scope: self.scope,
                    findings: Vec::new(),
                };
                let dynamic = matches!(kind, Kind::Domain | Kind::Gateway) && kinds.len() > 1;
                !dynamic
                    && quiet
                        .infer(item, Some(Type::one(*kind)))
                        .is_some_and(|it| it.1.kind == *kind)
            };
            if kinds.iter().any(fits) {
                continue;
            }
            match &item.tree {
                Tree::Text(text) => {
                    let domain = kinds.contains(&Kind::Domain);
                    let named: Vec<Kind> = kinds
                        .iter()
                        .copied()
                        .filter(|kind| !names(*kind, self.scope.model).is_empty())
                        .collect();
                    self.no_such(item, text, &named);
                    if let Some(found) = self.findings.last_mut().filter(|it| domain && it.help.is_none()) {
                        found.help = Some(format!("a domain is written as `domain(\"{text}\")`"));
                    }
                }
                _ => {
                    if let Some((_, is)) = self.infer(item, kinds.first().map(|kind| Type::one(*kind))) {
                        let wants = kinds.first().copied().unwrap_or(Kind::Text);
                        self.wrong_type(item, is, Type::one(wants));
                    }
                }
            }
        }
    }
}

/// A form as it is written.
pub(crate) fn way(function: Function, form: &Form) -> String {
    let takes: Vec<String> = form.takes.iter().map(Type::to_string).collect();
    format!("`{}({})`", function.name(), takes.join(", "))
}
