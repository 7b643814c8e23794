//! Rules: what can be written, what can't, and what comes of it.

mod actions;
mod bounded;
mod happenings;
mod language;
mod limits;
mod page;
mod random;
mod triggers;
mod wrong;

use std::sync::atomic::{AtomicUsize, Ordering};

use super::fixture::{Bench, CLASS_PHONE, car};
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

const PHONE_STARTS: &str = "stream.started";

const BY_PHONE: &str = r#"class(request.source) == "phone""#;

/// On the phone's start; phone and media are heard together otherwise.
fn on_phone(then: &str) -> Bench {
    let mut model = ruled(&rule(PHONE_STARTS, BY_PHONE, then));
    model.classes[CLASS_PHONE].priority = 10;
    Bench::new(model)
}
