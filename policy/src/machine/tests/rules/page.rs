//! `docs/policy-rules.md`: its tables are the catalogue's, and its examples are right. To write the tables anew:
//! `BLESS_RULES=1 cargo nextest run -p policy page`.

use super::super::fixture::car;
use super::read;
use crate::rules::ast::Op;
use crate::rules::catalogue::{Field, Function, Trigger};
use crate::rules::check::way;
use crate::rules::keys::{Key, Verb};
use crate::rules::kind::Kind;

const PAGE: &str = include_str!("../../../../../docs/policy-rules.md");

fn triggers() -> String {
    let mut table = "| `on` | when | fields of `request` |\n|---|---|---|\n".to_owned();
    for trigger in Trigger::ALL {
        let fields: Vec<&str> = trigger.fields().iter().map(|it| it.name()).collect();
        let fields = if *trigger == Trigger::AnyUser {
            "those of it".to_owned()
        } else {
            fields.join(", ")
        };
        table += &format!("| `{}` | {} | {fields} |\n", trigger.name(), trigger.meaning());
    }
    table
}

fn fields() -> String {
    let mut table = "| `request.` | is a |\n|---|---|\n".to_owned();
    for field in Field::ALL {
        table += &format!("| `{}` | {} |\n", field.name(), field.kind().name());
    }
    table
}

fn words() -> String {
    let mut table = "| type | words |\n|---|---|\n".to_owned();
    let kinds = [
        Kind::State,
        Kind::Mute,
        Kind::Availability,
        Kind::SourceState,
        Kind::DomainState,
        Kind::Interrupt,
        Kind::Order,
        Kind::Part,
    ];
    for kind in kinds {
        let words: Vec<String> = kind.words().iter().map(|(word, _)| format!("`{word}`")).collect();
        table += &format!("| {} | {} |\n", kind.name(), words.join(", "));
    }
    table
}

fn functions() -> String {
    let mut table = "| function | gives | what |\n|---|---|---|\n".to_owned();
    for function in Function::ALL {
        let forms: Vec<String> = function.forms().iter().map(|form| way(*function, form)).collect();
        let mut gives: Vec<String> = function.forms().iter().map(|form| form.gives.to_string()).collect();
        gives.dedup();
        let (forms, gives) = match function {
            Function::Count => ("`count(any list)`".to_owned(), "number".to_owned()),
            _ => (forms.join(" "), gives.join(" or ")),
        };
        table += &format!("| {forms} | {gives} | {} |\n", function.meaning());
    }
    table
}

fn actions() -> String {
    let mut table = "| action | keys | what |\n|---|---|---|\n".to_owned();
    for verb in Verb::ALL {
        let keys: Vec<&str> = verb.keys().iter().map(|it| it.name()).collect();
        table += &format!("| `{}` | {} | {} |\n", verb.name(), keys.join(", "), verb.meaning());
    }
    table
}

fn keys() -> String {
    let mut all: Vec<Key> = Verb::ALL.iter().flat_map(|verb| verb.keys()).copied().collect();
    all.sort();
    all.dedup();
    let mut table = "| key | takes a |\n|---|---|\n".to_owned();
    for key in all {
        let takes = match key {
            Key::Properties => "list of pairs of type and value".to_owned(),
            key => key.wants().to_string(),
        };
        table += &format!("| `{}` | {takes} |\n", key.name());
    }
    table
}

/// The page with its tables as they ought to be.
fn right() -> String {
    let mut page = PAGE.to_owned();
    for (name, table) in [
        ("triggers", triggers()),
        ("fields", fields()),
        ("words", words()),
        ("functions", functions()),
        ("actions", actions()),
        ("keys", keys()),
    ] {
        let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
        let start = page.find(&open).expect("a table's beginning") + open.len();
        let end = page.find(&close).expect("a table's end");
        page.replace_range(start..end, &table);
    }
    page
}

#[test]
fn the_page_has_the_catalogues_tables() {
    let right = right();
    if std::env::var_os("BLESS_RULES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy-rules.md");
        std::fs::write(path, right).unwrap();
        return;
    }
    assert_eq!(PAGE, right);
    for op in Op::ALL {
        assert!(PAGE.contains(&format!("`{}`", op.sign())), "{}", op.sign());
    }
}

#[test]
fn the_pages_examples_are_right() {
    let mut examples = 0;
    for part in PAGE.split("```toml\n").skip(1) {
        let example = part.split("```").next().unwrap();
        let (program, report) = read(example, &car());
        assert_eq!(report.to_string(), "", "{example}");
        assert!(!program.is_empty());
        examples += program.rules().len();
    }
    assert!(examples >= 8, "{examples} examples");
}
