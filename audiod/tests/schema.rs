//! The JSON schema: it knows what the readers know, takes what they take and refuses what they refuse.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};

use audiod::config::{self, schema};
use policy::file::code;
use policy::report::Severity;
use serde_json::{Map, Value};

/// A validator of the keywords that the schema uses; an unknown keyword fails.
fn valid(schema: &Value, value: &Value) -> Result<(), String> {
    let Some(words) = schema.as_object() else {
        return Err("no schema".to_owned());
    };
    for (word, wants) in words {
        let holds = match word.as_str() {
            "$schema" | "title" | "description" | "properties" | "additionalProperties" => true,
            "type" => is_type(wants.as_str().unwrap(), value),
            "const" => value == wants,
            "enum" => wants.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|it| it >= wants.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|it| it <= wants.as_f64().unwrap()),
            "minLength" => length(value).is_none_or(|it| it >= wants.as_u64().unwrap()),
            "maxLength" => length(value).is_none_or(|it| it <= wants.as_u64().unwrap()),
            "pattern" => {
                assert_eq!(wants, "^[A-Za-z0-9_-]+$");
                let plain =
                    |it: &str| !it.is_empty() && it.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-".contains(&c));
                value.as_str().is_none_or(plain)
            }
            "required" => {
                let names = wants.as_array().unwrap();
                names.iter().all(|name| {
                    value
                        .as_object()
                        .is_none_or(|it| it.contains_key(name.as_str().unwrap()))
                })
            }
            "anyOf" => wants.as_array().unwrap().iter().any(|way| valid(way, value).is_ok()),
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    valid(wants, item)?;
                }
                true
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(Map::keys) {
                    valid(wants, &Value::from(name.as_str()))?;
                }
                true
            }
            other => return Err(format!("unknown keyword {other}")),
        };
        if !holds {
            return Err(format!("{value} is not {word} {wants}"));
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        match (schema["properties"].get(key), schema.get("additionalProperties")) {
            (Some(known), _) => valid(known, inner).map_err(|why| format!("{key}: {why}"))?,
            (None, Some(Value::Bool(false))) => return Err(format!("{key} is not known")),
            (None, Some(all)) => valid(all, inner).map_err(|why| format!("{key}: {why}"))?,
            (None, None) => {}
        }
    }
    Ok(())
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("unknown type {other}"),
    }
}

fn in_folder(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|it| it.extension().is_some_and(|it| it == "toml"))
        .collect();
    files.sort();
    files
}

fn as_json(text: &str) -> Option<Value> {
    toml::from_str(text).ok()
}

/// Whether the readers take a text, and whether it is an unknown key that they don't take.
fn read(text: &str) -> (bool, bool) {
    match config::parse(text, Path::new("test.toml")) {
        Ok(_) => (true, false),
        Err(report) => (false, report.findings().iter().any(|it| it.code == code::UNKNOWN_KEY)),
    }
}

#[test]
fn the_sample_is_a_right_file_and_shows_and_describes_every_key_that_is_read() {
    let (schema, report) = schema::schema();
    let errors = report.findings().iter().filter(|it| it.severity == Severity::Error);
    assert_eq!(errors.count(), 0, "{report}");
    assert_eq!(report.to_string(), "");

    let mut missing = Vec::new();
    look(&schema, "", &mut missing);
    assert_eq!(
        missing,
        Vec::<String>::new(),
        "keys that docs/every-key.toml doesn't show or describe"
    );
    let root = schema["properties"].as_object().unwrap();
    assert!(root.len() >= 22 && root.contains_key("access") && root.contains_key("volume_groups"));
    assert_eq!(root["decision_limit_ms"]["maximum"], 1000);
    assert_eq!(schema["required"], serde_json::json!(["codecs", "version", "zones"]));
}

/// Keys without a type or a description.
fn look(schema: &Value, path: &str, missing: &mut Vec<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let here = format!("{path}.{key}");
        let types = ["type", "enum", "anyOf"].iter().any(|word| inner.get(*word).is_some());
        // What stands in one line with others has no comment of its own.
        let described = inner.get("description").is_some() || here.contains("rules.do.");
        if !types || !described {
            missing.push(here.clone());
        }
        look(inner, &here, missing);
    }
    for way in schema["anyOf"].as_array().into_iter().flatten() {
        look(way, path, missing);
    }
    for inner in ["items", "additionalProperties"]
        .iter()
        .filter_map(|word| schema.get(*word))
    {
        look(inner, path, missing);
    }
}

#[test]
fn it_takes_every_file_that_the_readers_take() {
    let (schema, _) = schema::schema();
    let mut files = in_folder("../examples");
    files.extend(in_folder("tests/config"));
    let mut taken = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        if read(&text).0 {
            taken += 1;
            let result = valid(&schema, &as_json(&text).unwrap());
            assert_eq!(result, Ok(()), "{}", file.display());
        }
    }
    assert!(taken >= 8, "{taken}");
    assert_eq!(valid(&schema, &as_json(schema::SAMPLE).unwrap()), Ok(()));
}

/// Every table of a document, as the way to it.
fn tables(value: &Value, way: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(map) => {
            found.push(way.clone());
            for (key, inner) in map {
                way.push(key.clone());
                tables(inner, way, found);
                way.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                way.push(index.to_string());
                tables(item, way, found);
                way.pop();
            }
        }
        _ => {}
    }
}

fn at<'v>(value: &'v mut Value, way: &[String]) -> &'v mut Value {
    way.iter().fold(value, |value, step| match value {
        Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
        other => &mut other[step.as_str()],
    })
}

#[test]
fn both_refuse_an_unknown_key_in_every_table() {
    let (schema, _) = schema::schema();
    let sample = as_json(schema::SAMPLE).unwrap();
    let mut ways = Vec::new();
    tables(&sample, &mut Vec::new(), &mut ways);
    let open = [
        "codecs",
        "zones",
        "classes",
        "guests",
        "chimes",
        "volume_groups",
        "domains",
        "gateways",
        "streams",
        "jacks",
        "sinks",
        "sources",
        "groups",
        "group_depth_db",
    ];
    let mut tried = 0;
    for way in ways {
        // Named tables and values: there a key is a name, and its value can't be 1.
        let named = way.last().is_some_and(|last| open.contains(&last.as_str())) && way[0] != "access";
        let mut other = sample.clone();
        at(&mut other, &way)
            .as_object_mut()
            .unwrap()
            .insert("zzz".to_owned(), Value::from(1));
        let (taken, unknown) = read(&toml::to_string(&other).unwrap());
        assert!(!taken && (unknown || named), "{way:?}");
        assert!(valid(&schema, &other).is_err(), "{way:?}");
        tried += 1;
    }
    assert!(tried > 60, "{tried}");
}

/// Every value that is no table, as the way to it.
fn leaves(value: &Value, way: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| {
            way.push(key.clone());
            leaves(inner, way, found);
            way.pop();
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            way.push(index.to_string());
            leaves(item, way, found);
            way.pop();
        }),
        _ => found.push(way.clone()),
    }
}

#[test]
fn both_refuse_a_value_of_another_type_wherever_it_stands() {
    let (schema, _) = schema::schema();
    let sample = as_json(schema::SAMPLE).unwrap();
    let mut ways = Vec::new();
    leaves(&sample, &mut Vec::new(), &mut ways);
    let mut tried = 0;
    for way in ways {
        let mut other = sample.clone();
        let value = at(&mut other, &way);
        *value = if value.is_boolean() {
            Value::from(4711.5)
        } else {
            Value::from(true)
        };
        let text = toml::to_string(&other).unwrap();
        assert!(!read(&text).0, "the readers take {way:?}");
        assert!(valid(&schema, &other).is_err(), "the schema takes {way:?}");
        tried += 1;
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn the_command_prints_it() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_audiod"))
        .arg("schema")
        .output()
        .unwrap();
    assert!(output.status.success());
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, schema::schema().0);
}
