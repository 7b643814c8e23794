//! Rules: what can be written, what can't, and what comes of it.

mod actions;
mod bounded;
mod language;
mod page;
mod random;
mod triggers;
mod wrong;

use std::sync::atomic::{AtomicUsize, Ordering};

use super::fixture::{Bench, car};
use crate::Model;
use crate::file::{Document, read_rules};
use crate::report::Report;
use crate::rules::Program;

/// What rules mean in a model, and what is wrong with them.
fn read(text: &str, model: &Model) -> (Program, Report) {
    let doc = Document::parse(text);
    let program = read_rules(&doc.root(), model);
    (program, doc.finish("rules.toml"))
}

/// The small car with these rules, which are right.
fn ruled(text: &str) -> Model {
    with_rules(car(), text)
}

pub(super) fn with_rules(mut model: Model, text: &str) -> Model {
    let (program, report) = read(text, &model);
    assert_eq!(report.to_string(), "");
    model.rules = program;
    model
}

/// One rule, of a name of its own.
fn rule(on: &str, when: &str, then: &str) -> String {
    static RULES: AtomicUsize = AtomicUsize::new(0);
    let name = RULES.fetch_add(1, Ordering::Relaxed);
    format!("[[rules]]\nname = \"rule {name}\"\non = \"{on}\"\nwhen = '{when}'\ndo = [{then}]\n")
}

fn bench(text: &str) -> Bench {
    Bench::new(ruled(text))
}
