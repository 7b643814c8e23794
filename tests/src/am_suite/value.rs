//! What is in a message's body, whatever its types.

use std::fmt;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use zbus::Message;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Any integer.
    Int(i64),
    /// `b`.
    Flag(bool),
    /// `s`.
    Text(String),
    /// Fields of a structure, entries of a list.
    Many(Vec<Value>),
}

impl Value {
    /// Its number; a flag's is 0 or 1.
    #[must_use]
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Flag(flag) => Some(i64::from(*flag)),
            _ => None,
        }
    }

    /// Its fields or entries.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        match self {
            Self::Many(items) => items,
            _ => &[],
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Many(items) => write!(f, "({})", listed(items)),
        }
    }
}

/// Values with a space between.
#[must_use]
pub fn listed(values: &[Value]) -> String {
    let all: Vec<String> = values.iter().map(ToString::to_string).collect();
    all.join(" ")
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("integers, flags, text, structures and lists")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Many(Vec::new()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.visit_i64(i64::try_from(value).map_err(|_| E::custom("integer too large"))?)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(field) = fields.next_element::<Value>()? {
            all.push(field);
        }
        Ok(Value::Many(all))
    }
}

/// The body's signature as its bytes in the header have it (zbus's parsed form hides a lone structure's parentheses).
#[must_use]
pub fn signature(message: &Message) -> String {
    let parsed = message.body().signature().to_string();
    let length = u8::try_from(parsed.len()).unwrap_or(u8::MAX);
    let lone = format!("\u{1}g\0{}{parsed}\0", char::from(length));
    let bytes = message.data().bytes();
    match bytes.windows(lone.len()).any(|window| window == lone.as_bytes()) {
        true => parsed,
        false => message.body().signature().to_string_no_parens(),
    }
}

/// How many complete types a signature has.
#[must_use]
pub fn count(signature: &str) -> usize {
    let (mut count, mut depth) = (0, 0_u32);
    for character in signature.chars() {
        match character {
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.saturating_sub(1),
            'a' => continue,
            _ => {}
        }
        count += usize::from(depth == 0);
    }
    count
}

/// The arguments of a message.
///
/// # Errors
/// They can't be read.
pub fn arguments(message: &Message) -> Result<Vec<Value>> {
    let signature = signature(message);
    let body = message.body();
    if signature.is_empty() {
        return Ok(Vec::new());
    }
    let read = body
        .data()
        .deserialize_for_signature::<_, Value>(body.signature().clone());
    let (value, _) = read.with_context(|| format!("arguments of types `{signature}` can't be read"))?;
    Ok(match (count(&signature), value) {
        (1, value) => vec![value],
        (_, Value::Many(values)) => values,
        (_, value) => vec![value],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_structure_is_one_argument_and_its_fields_are_several() {
        let signal = |body: &(i16, i16)| Message::signal("/a", "a.b", "C").build(body).unwrap();
        let lone = Message::signal("/a", "a.b", "C").build(&((1_i16, 2_i16),)).unwrap();

        assert_eq!(arguments(&signal(&(1, 2))).unwrap().len(), 2);
        assert_eq!(
            arguments(&lone).unwrap(),
            [Value::Many(vec![Value::Int(1), Value::Int(2)])]
        );
        assert_eq!(
            (count("na(qs(nn)q)"), count("(nn)"), count(""), count("aq")),
            (2, 1, 0, 1)
        );
    }
}
