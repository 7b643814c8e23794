//! Arguments of a call: which body signatures are accepted, and what is in the body.
//!
//! Any integer may come as `n`, `q`, `i` or `u`, whatever the method declares, as in `GLIB_DBUS_TYPES_TOLERANT` builds of
//! AudioManager; here the value is checked against the declared type instead of being cut to 16 bits.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use zbus::Message;
use zbus::message::EndianSig;

/// Longest text argument, bytes.
const TEXT_LIMIT: usize = 255;

/// Type of one declared argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `q`: an ID.
    Id,
    /// `n`: a value.
    Value,
    /// `(nn)`: type and value.
    Property,
    /// `(nnn)`: type, status, parameter.
    Notification,
    /// `s`.
    Text,
}

impl Shape {
    /// As D-Bus spells it.
    pub(super) fn signature(self) -> &'static str {
        match self {
            Self::Id => "q",
            Self::Value => "n",
            Self::Property => "(nn)",
            Self::Notification => "(nnn)",
            Self::Text => "s",
        }
    }

    /// Allowed values of its integers, in order. Types are u16 in AudioManager and `n` on the wire: both readings are taken.
    fn ranges(self) -> &'static [(i64, i64)] {
        const ID: (i64, i64) = (0, 0xffff);
        const VALUE: (i64, i64) = (-0x8000, 0x7fff);
        const TYPE: (i64, i64) = (-0x8000, 0xffff);
        match self {
            Self::Id => &[ID],
            Self::Value => &[VALUE],
            Self::Property => &[TYPE, VALUE],
            Self::Notification => &[TYPE, VALUE, VALUE],
            Self::Text => &[],
        }
    }
}

/// One declared argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arg {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

/// Decoded and checked arguments: the integers in order, structures flattened; at most one text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Args {
    ints: Vec<i64>,
    text: Option<String>,
}

impl Args {
    /// The bits of the integer at `index`.
    fn bits(&self, index: usize) -> u16 {
        // In range of i16 or u16 by `decode`, so the low 16 bits are the value.
        self.ints.get(index).map_or(0, |value| *value as u16)
    }

    pub(super) fn id(&self, index: usize) -> u16 {
        self.bits(index)
    }

    pub(super) fn value(&self, index: usize) -> i16 {
        self.bits(index) as i16
    }

    pub(super) fn property(&self, index: usize) -> (i16, i16) {
        (self.value(index), self.value(index + 1))
    }

    pub(super) fn notification(&self, index: usize) -> (i16, i16, i16) {
        (self.value(index), self.value(index + 1), self.value(index + 2))
    }

    pub(super) fn text(&self) -> String {
        self.text.clone().unwrap_or_default()
    }
}

/// Decodes the body of `message` as `declared`.
///
/// # Errors
/// What is wrong with it, in words for the caller.
pub(super) fn decode(message: &Message, declared: &[Arg]) -> Result<Args, String> {
    let wanted: String = declared.iter().map(|arg| arg.shape.signature()).collect();
    let found = body_signature(message);
    if !accepts(&wanted, &found) {
        return Err(format!("arguments have the types '{found}', wanted '{wanted}'"));
    }
    let body = message.body();
    let (args, used) = body
        .data()
        .deserialize_for_signature::<_, Args>(body.signature().clone())
        .map_err(|error| format!("arguments can't be read as '{found}': {error}"))?;
    if used != body.len() {
        return Err(format!("{} bytes follow the arguments", body.len() - used));
    }
    check(&args, declared)?;
    Ok(args)
}

/// `found` is `wanted`, integers of 16 and 32 bits counting as the same.
fn accepts(wanted: &str, found: &str) -> bool {
    let same = |(wanted, found): (u8, u8)| wanted == found || (b"nq".contains(&wanted) && b"nqiu".contains(&found));
    wanted.len() == found.len() && wanted.bytes().zip(found.bytes()).all(same)
}

fn check(args: &Args, declared: &[Arg]) -> Result<(), String> {
    let mut ints = args.ints.iter();
    for arg in declared {
        for (least, most) in arg.shape.ranges() {
            let value = ints.next().ok_or("too few arguments")?;
            if value < least || value > most {
                return Err(format!("{} is {value}, allowed are {least} to {most}", arg.name));
            }
        }
    }
    match &args.text {
        Some(text) if text.len() > TEXT_LIMIT => Err(format!("text of {} bytes, at most {TEXT_LIMIT}", text.len())),
        _ => Ok(()),
    }
}

/// The body's signature as the header spells it. (zbus's parsed form doesn't tell a body of one structure from one of its
/// fields.)
fn body_signature(message: &Message) -> String {
    let parsed = || message.body().signature().to_string_no_parens();
    match message.body().signature() {
        zbus::Signature::Structure(_) => header_signature(message).unwrap_or_else(parsed),
        _ => parsed(),
    }
}

/// Walks the header fields, `a(yv)` at offset 12, to field 8 (D-Bus Specification, "Message Format"). `None` if a field of
/// a type that no known field has comes first.
fn header_signature(message: &Message) -> Option<String> {
    let bytes = message.data().bytes();
    let little = message.primary_header().endian_sig() == EndianSig::Little;
    let word = |at: usize| {
        let raw: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(if little {
            u32::from_le_bytes(raw)
        } else {
            u32::from_be_bytes(raw)
        })
        .ok()
    };
    let end = 16 + word(12)?;
    let mut at = 16;
    while at < end {
        // byte code, then the variant: its signature (length, one character, 0) and value.
        let (code, length, kind) = (*bytes.get(at)?, *bytes.get(at + 1)?, *bytes.get(at + 2)?);
        if length != 1 {
            return None;
        }
        let value = at + 4;
        let next = match kind {
            b'g' => {
                let length = usize::from(*bytes.get(value)?);
                let text = bytes.get(value + 1..value + 1 + length)?;
                if code == 8 {
                    return String::from_utf8(text.to_vec()).ok();
                }
                value + length + 2
            }
            b's' | b'o' => value.checked_add(word(value)?)?.checked_add(5)?,
            b'u' | b'i' => value + 4,
            _ => return None,
        };
        at = next.next_multiple_of(8);
    }
    None
}

impl<'de> Deserialize<'de> for Args {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ArgsVisitor)
    }
}

struct ArgsVisitor;

impl<'de> Visitor<'de> for ArgsVisitor {
    type Value = Args;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("integers and text")
    }

    fn visit_unit<E>(self) -> Result<Args, E> {
        Ok(Args::default())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Args, E> {
        Ok(Args {
            ints: vec![value],
            text: None,
        })
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Args, E> {
        self.visit_i64(i64::try_from(value).map_err(|_| E::custom("integer too large"))?)
    }

    fn visit_str<E>(self, value: &str) -> Result<Args, E> {
        Ok(Args {
            ints: Vec::new(),
            text: Some(value.to_owned()),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Args, A::Error> {
        let mut all = Args::default();
        while let Some(field) = fields.next_element::<Args>()? {
            all.ints.extend(field.ints);
            if field.text.is_some() && all.text.is_some() {
                return Err(A::Error::custom("more than one text"));
            }
            all.text = all.text.or(field.text);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &(impl serde::Serialize + zbus::DynamicType)) -> Message {
        Message::method_call("/a/long/path", "Member")
            .interface("a.b.C")
            .destination("org.genivi.audiomanager")
            .sender(":1.23")
            .build(body)
            .unwrap()
    }

    const ID: Arg = Arg {
        name: "sinkID",
        shape: Shape::Id,
    };
    const PROPERTY: Arg = Arg {
        name: "property",
        shape: Shape::Property,
    };

    #[test]
    fn a_body_of_one_structure_is_told_from_one_of_its_fields() {
        let structure = call(&((1_i16, 2_i16),));
        let fields = call(&(1_i16, 2_i16));

        assert_eq!(body_signature(&structure), "(nn)");
        assert_eq!(body_signature(&fields), "nn");
        assert_eq!(decode(&structure, &[PROPERTY]).unwrap().property(0), (1, 2));
        assert!(decode(&fields, &[PROPERTY]).is_err());
    }

    #[test]
    fn a_call_of_a_big_endian_client_is_read_as_it_meant_it() {
        let message = Message::method_call("/a", "Member").endian(zbus::wire::Endian::Big);
        let message = message.build(&(258_u16, (-3_i16, 4_i32))).unwrap();

        assert_eq!(body_signature(&message), "q(ni)");
        let args = decode(&message, &[ID, PROPERTY]).unwrap();
        assert_eq!((args.id(0), args.property(1)), (258, (-3, 4)));
    }

    #[test]
    fn all_four_integer_types_are_taken_within_the_declared_range() {
        for value in [0_i64, 7, 32767] {
            let bodies = [
                call(&i16::try_from(value).unwrap()),
                call(&u16::try_from(value).unwrap()),
                call(&i32::try_from(value).unwrap()),
                call(&u32::try_from(value).unwrap()),
            ];
            for message in bodies {
                assert_eq!(i64::from(decode(&message, &[ID]).unwrap().id(0)), value);
            }
        }
        assert_eq!(decode(&call(&65535_u32), &[ID]).unwrap().id(0), 65535);
    }

    #[test]
    fn a_value_out_of_range_is_named_and_not_cut() {
        assert!(
            decode(&call(&65536_u32), &[ID])
                .unwrap_err()
                .contains("sinkID is 65536")
        );
        assert!(decode(&call(&-1_i16), &[ID]).unwrap_err().contains("sinkID is -1"));
        let args = decode(&call(&((61440_u16, 1_i16),)), &[PROPERTY]).unwrap();
        assert_eq!(args.property(0), (-4096, 1));
        assert!(decode(&call(&((0_i32, 40000_i32),)), &[PROPERTY]).is_err());
    }

    #[test]
    fn other_types_are_refused_with_both_signatures_named() {
        let error = decode(&call(&("x", 1_u16)), &[ID]).unwrap_err();

        assert_eq!(error, "arguments have the types 'sq', wanted 'q'");
        assert!(decode(&call(&()), &[ID]).is_err());
        assert!(decode(&call(&1_u64), &[ID]).is_err());
        assert!(decode(&call(&vec![1_u16]), &[ID]).is_err());
    }
}
