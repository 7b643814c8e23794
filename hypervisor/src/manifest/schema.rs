//! The manifest's JSON Schema (draft 2020-12), printed from the same table the reader checks by.

use serde_json::{Map, Value, json};

use super::shape::{Kind, MANIFEST, Shape};

/// The schema.
pub fn schema() -> Value {
    let mut schema = table(&MANIFEST);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Carillon partition manifest");
    schema
}

fn table(shape: &Shape) -> Value {
    let properties: Map<String, Value> = shape
        .0
        .iter()
        .map(|key| {
            let mut value = kind(key.kind);
            value["description"] = json!(key.about);
            (key.name.to_owned(), value)
        })
        .collect();
    let required: Vec<&str> = shape
        .0
        .iter()
        .filter(|key| key.need.is_some())
        .map(|key| key.name)
        .collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn kind(kind: Kind) -> Value {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Size(..) => text("^[0-9]+[KMG]$"),
        Kind::Cpus => text("^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"),
        Kind::Pci => text("^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]$"),
        Kind::Ports => text("^0x[0-9a-fA-F]{1,4}(-0x[0-9a-fA-F]{1,4})?$"),
        Kind::Table(shape) => table(shape),
        Kind::Named(shape) => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9_-]{1,24}$" },
            "additionalProperties": table(shape)
        }),
        Kind::List(item) => json!({ "type": "array", "items": self::kind(*item) }),
    }
}
