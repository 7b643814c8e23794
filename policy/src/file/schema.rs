//! The JSON schema of the whole file, made by watching the readers: they read a sample that has every key, and what they ask for
//! (key by key, with type and range) is the schema. So the schema knows the keys that the readers know, and no others.
//!
//! ```text
//!   sample ─► Document::watched ─► readers ─► Document::schema
//!               │ comments             │ keys asked for, needed; types wanted
//!               └─► descriptions       └─► properties, required, type / minimum / enum / items
//! ```
//! A key takes its description from the comment in its line. Keys of one action of a rule that the sample doesn't show are those
//! of the same name in another action.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};
use toml::de::{DeTable, DeValue};

use super::{Document, MAX_ELEMENT, MAX_NAME};

/// What a reader wanted a value to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    /// A string.
    Text,
    /// One of these.
    Words(Vec<String>),
    /// `true` or `false`.
    Boolean,
    /// Between these.
    Integer(i64, i64),
    /// Between these, in thousandths.
    Number(i64, i64),
    /// dB, or `"mute"`.
    Gain,
    /// A list.
    List,
    /// A list, or its only item.
    Items,
    /// A table.
    Table,
}

/// Names that a table of named tables takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Ours.
    Plain,
    /// Of other programs' things.
    Element,
}

/// What was seen of a document: by the addresses of its values and tables.
#[derive(Default)]
pub(super) struct Seen {
    pub shapes: BTreeMap<usize, BTreeSet<Shape>>,
    pub needed: BTreeMap<usize, BTreeSet<&'static str>>,
    pub naming: BTreeMap<usize, Naming>,
}

/// The key below which every child is an action.
const ACTIONS: &str = "do";

#[derive(Default)]
struct Node {
    shapes: BTreeSet<Shape>,
    items: Option<Box<Node>>,
    object: Option<Object>,
    text: Option<String>,
}

#[derive(Default)]
struct Object {
    keys: BTreeMap<String, Node>,
    /// Needed by all instances.
    needed: Option<BTreeSet<String>>,
    open: Option<(Naming, Box<Node>)>,
}

impl Document<'_> {
    /// What the readers that have read it know, as JSON schema (draft 2020-12). The document has to be
    /// [watched](Document::watched).
    pub fn schema(&self, title: &str) -> Json {
        let mut root = Object::default();
        self.object(&self.root, &mut root);
        if let Some(rules) = root.keys.get_mut("rules") {
            share(rules);
        }
        let mut schema = root.json();
        if let Json::Object(map) = &mut schema {
            map.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
            map.insert("title".into(), json!(title));
        }
        schema
    }

    fn object(&self, table: &DeTable<'_>, into: &mut Object) {
        let notes = self.notes.borrow();
        let Some(seen) = &notes.seen else { return };
        let address = super::address(table);
        let asked = notes.asked.get(&address).cloned().flatten().unwrap_or_default();
        let needed: BTreeSet<String> = (seen.needed.get(&address).into_iter().flatten())
            .map(|key| (*key).to_owned())
            .collect();
        let both = into.needed.take().map_or_else(|| needed.clone(), |all| &all & &needed);
        into.needed = Some(both);
        for key in asked {
            into.keys.entry(key.to_owned()).or_default();
        }
        if let Some(naming) = seen.naming.get(&address) {
            let (_, node) = into.open.get_or_insert_with(|| (*naming, Box::default()));
            table.values().for_each(|value| self.value(value.get_ref(), node));
            return;
        }
        for (key, value) in table {
            if let Some(node) = into.keys.get_mut(key.get_ref().as_ref()) {
                node.text = node.text.take().or_else(|| self.comment(key.span()));
                self.value(value.get_ref(), node);
            }
        }
    }

    fn value(&self, value: &DeValue<'_>, node: &mut Node) {
        let notes = self.notes.borrow();
        let address = std::ptr::from_ref(value).addr();
        let shapes = notes.seen.as_ref().and_then(|seen| seen.shapes.get(&address));
        node.shapes.extend(shapes.into_iter().flatten().cloned());
        match value {
            DeValue::Table(table) => self.object(table, node.object.get_or_insert_default()),
            DeValue::Array(items) => {
                let into = node.items.get_or_insert_default();
                items.iter().for_each(|item| self.value(item.get_ref(), into));
            }
            _ => {}
        }
    }

    /// The comment in the line of a key, if the key is the last of its line.
    fn comment(&self, key: std::ops::Range<usize>) -> Option<String> {
        let rest = self.text.get(key.end..)?.lines().next()?;
        let header = rest.starts_with([']', '"']);
        let (before, comment) = rest.split_once("  # ")?;
        let own = header || before.trim_start().starts_with('=');
        own.then(|| comment.trim().to_owned())
    }
}

/// Actions know each other's keys.
fn share(rules: &mut Node) {
    let rule = rules.items.as_mut().and_then(|it| it.object.as_mut());
    let actions = rule.and_then(|rule| rule.keys.get_mut(ACTIONS));
    let actions = actions.and_then(|it| it.items.as_mut()?.object.as_mut());
    let Some(actions) = actions else { return };
    let mut known: BTreeMap<String, Node> = BTreeMap::new();
    for action in actions.keys.values() {
        for (key, node) in action.object.iter().flat_map(|it| &it.keys) {
            known.entry(key.clone()).or_default().join(node);
        }
    }
    for action in actions.keys.values_mut() {
        for (key, node) in action.object.iter_mut().flat_map(|it| &mut it.keys) {
            if let Some(known) = known.get(key) {
                node.join(known);
            }
        }
    }
}

impl Node {
    /// Takes over what another says; neither has tables.
    fn join(&mut self, other: &Self) {
        self.shapes.extend(other.shapes.iter().cloned());
        self.text = self.text.take().or_else(|| other.text.clone());
        if let Some(items) = &other.items {
            self.items.get_or_insert_default().join(items);
        }
    }

    fn json(&self) -> Json {
        let mut ways = self.ways();
        let mut schema = if ways.len() == 1 {
            ways.remove(0)
        } else if ways.is_empty() {
            json!({})
        } else {
            json!({ "anyOf": ways })
        };
        if let (Some(text), Json::Object(map)) = (&self.text, &mut schema) {
            map.insert("description".into(), json!(text));
        }
        schema
    }

    /// Everything it can be.
    fn ways(&self) -> Vec<Json> {
        let mut ways: Vec<Json> = self.shapes.iter().filter_map(Shape::json).collect();
        ways.extend(self.object.as_ref().map(Object::json));
        if self.shapes.contains(&Shape::Items) {
            let mut item = ways.clone();
            let items = self.items.iter().flat_map(|items| items.ways());
            item.extend(items.filter(|way| !ways.contains(way)));
            ways.clone_from(&item);
            let item = if item.len() == 1 {
                item.remove(0)
            } else {
                json!({ "anyOf": item })
            };
            ways.push(json!({ "type": "array", "items": item }));
        } else if self.shapes.contains(&Shape::List) {
            let item = self.items.as_ref().map_or_else(|| json!({}), |items| items.json());
            ways.push(json!({ "type": "array", "items": item }));
        }
        ways
    }
}

impl Shape {
    pub fn number(range: &std::ops::RangeInclusive<f64>) -> Self {
        let thousandths = |number: f64| (number * 1000.0).round() as i64;
        Self::Number(thousandths(*range.start()), thousandths(*range.end()))
    }

    fn json(&self) -> Option<Json> {
        Some(match self {
            Self::Text => json!({ "type": "string", "minLength": 1 }),
            Self::Words(words) => json!({ "enum": words }),
            Self::Boolean => json!({ "type": "boolean" }),
            Self::Integer(i64::MIN, _) | Self::Integer(_, i64::MAX) => json!({ "type": "integer" }),
            Self::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Self::Number(least, most) => {
                let unit = |thousandths: i64| thousandths as f64 / 1000.0;
                json!({ "type": "number", "minimum": unit(*least), "maximum": unit(*most) })
            }
            Self::Gain => {
                json!({ "anyOf": [{ "type": "number", "minimum": -100, "maximum": 0 }, { "const": "mute" }] })
            }
            Self::List | Self::Items | Self::Table => return None,
        })
    }
}

impl Object {
    fn json(&self) -> Json {
        if let Some((naming, node)) = &self.open {
            let names = match naming {
                Naming::Plain => json!({ "pattern": "^[A-Za-z0-9_-]+$", "maxLength": MAX_NAME }),
                Naming::Element => json!({ "minLength": 1, "maxLength": MAX_ELEMENT }),
            };
            return json!({ "type": "object", "propertyNames": names, "additionalProperties": node.json() });
        }
        let properties: Map<String, Json> = self.keys.iter().map(|(key, node)| (key.clone(), node.json())).collect();
        let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        let needed = self.needed.as_ref().filter(|needed| !needed.is_empty());
        if let (Some(needed), Json::Object(map)) = (needed, &mut schema) {
            map.insert("required".into(), json!(needed));
        }
        schema
    }
}
