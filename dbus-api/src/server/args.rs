//! Arguments of a call: which body signatures are accepted, and what is in the body.

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use zbus::Message;
use zbus::message::EndianSig;

use super::shape::{Shape, accepts};

/// Largest body that is read, bytes: no method needs more.
const BODY_LIMIT: usize = 64 << 10;

/// One declared argument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arg {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
}

/// A decoded argument or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Int(i64),
    Flag(bool),
    Text(String),
    /// Fields of a structure, entries of a list.
    Many(Vec<Item>),
}

static NOTHING: Item = Item::Many(Vec::new());

/// In range and of the declared type by [`decode`]; anything else reads as 0, false, empty.
impl Item {
    fn bits(&self) -> u16 {
        match self {
            // In range of i16 or u16, so the low 16 bits are the value.
            Self::Int(value) => *value as u16,
            // An entry of a list `a(q)`.
            Self::Many(items) => items.first().map_or(0, Self::bits),
            _ => 0,
        }
    }

    pub(super) fn id(&self) -> u16 {
        self.bits()
    }

    pub(super) fn value(&self) -> i16 {
        self.bits() as i16
    }

    pub(super) fn flag(&self) -> bool {
        match self {
            Self::Flag(flag) => *flag,
            Self::Many(items) => items.first().is_some_and(Self::flag),
            _ => false,
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn list<T>(&self, entry: impl Fn(&Self) -> T) -> Vec<T> {
        match self {
            Self::Many(items) => items.iter().map(entry).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn at(&self, index: usize) -> &Self {
        match self {
            Self::Many(items) => items.get(index).unwrap_or(&NOTHING),
            _ => &NOTHING,
        }
    }

    /// Two values.
    pub(super) fn pair(&self) -> (i16, i16) {
        (self.at(0).value(), self.at(1).value())
    }

    /// Three.
    pub(super) fn triple(&self) -> (i16, i16, i16) {
        (self.at(0).value(), self.at(1).value(), self.at(2).value())
    }
}

/// Decoded and checked arguments, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Args(Vec<Item>);

impl Args {
    pub(super) fn at(&self, index: usize) -> &Item {
        self.0.get(index).unwrap_or(&NOTHING)
    }

    pub(super) fn id(&self, index: usize) -> u16 {
        self.at(index).id()
    }

    pub(super) fn number(&self, index: usize) -> u32 {
        match self.at(index) {
            Item::Int(value) => u32::try_from(*value).unwrap_or(0),
            _ => 0,
        }
    }

    pub(super) fn value(&self, index: usize) -> i16 {
        self.at(index).value()
    }

    pub(super) fn property(&self, index: usize) -> (i16, i16) {
        self.at(index).pair()
    }

    pub(super) fn properties(&self, index: usize) -> Vec<(i16, i16)> {
        self.at(index).list(Item::pair)
    }

    pub(super) fn notification(&self, index: usize) -> (i16, i16, i16) {
        self.at(index).triple()
    }

    pub(super) fn text(&self, index: usize) -> String {
        self.at(index).text()
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
    if body.len() > BODY_LIMIT {
        return Err(format!("arguments of {} bytes, at most {BODY_LIMIT}", body.len()));
    }
    let (item, used) = body
        .data()
        .deserialize_for_signature::<_, Item>(body.signature().clone())
        .map_err(|error| format!("arguments can't be read as '{found}': {error}"))?;
    if used != body.len() {
        return Err(format!("{} bytes follow the arguments", body.len() - used));
    }
    let args = match (declared.len(), item) {
        (1, item) => vec![item],
        (_, Item::Many(items)) => items,
        (_, _) => Vec::new(),
    };
    if args.len() != declared.len() {
        return Err("too few arguments".to_owned());
    }
    for (arg, item) in declared.iter().zip(&args) {
        arg.shape.check(arg.name, item)?;
    }
    Ok(Args(args))
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

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("integers, flags, text, structures and lists")
    }

    fn visit_unit<E>(self) -> Result<Item, E> {
        Ok(Item::Many(Vec::new()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Item, E> {
        Ok(Item::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Item, E> {
        Ok(Item::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Item, E> {
        self.visit_i64(i64::try_from(value).map_err(|_| E::custom("integer too large"))?)
    }

    fn visit_str<E>(self, value: &str) -> Result<Item, E> {
        Ok(Item::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Item, A::Error> {
        let mut all = Vec::new();
        while let Some(field) = fields.next_element::<Item>()? {
            all.push(field);
        }
        Ok(Item::Many(all))
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape;
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
        shape: shape::ID,
    };
    const PROPERTY: Arg = Arg {
        name: "property",
        shape: shape::PROPERTY,
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

    #[test]
    fn lists_keep_their_entries_and_an_empty_one_has_none() {
        const LISTS: [Arg; 3] = [
            Arg {
                name: "formats",
                shape: Shape::List(&shape::ID),
            },
            Arg {
                name: "matrix",
                shape: Shape::List(&Shape::Flag),
            },
            Arg {
                name: "properties",
                shape: Shape::List(&shape::PROPERTY),
            },
        ];
        let none = decode(
            &call(&(Vec::<u16>::new(), Vec::<bool>::new(), Vec::<(i16, i16)>::new())),
            &LISTS,
        )
        .unwrap();
        let wrapped = call(&(vec![(1_u32,), (2,)], vec![(true,)], vec![(3_i32, -4_i16)]));
        let some = decode(&wrapped, &LISTS).unwrap();

        assert!((0..3).all(|index| none.at(index).list(|_| ()).is_empty()));
        assert_eq!(some.at(0).list(Item::id), [1, 2]);
        assert_eq!(some.at(1).list(Item::flag), [true]);
        assert_eq!(some.at(2).list(Item::pair), [(3, -4)]);
        assert!(decode(&call(&(vec![70_000_u32], vec![true], vec![(1_i16, 1_i16)])), &LISTS).is_err());
    }

    #[test]
    fn a_body_larger_than_any_method_needs_is_not_read() {
        const LIST: Arg = Arg {
            name: "formats",
            shape: Shape::List(&shape::ID),
        };

        let error = decode(&call(&vec![1_u16; 1 << 20]), &[LIST]).unwrap_err();

        assert!(error.contains("at most 65536"), "{error}");
    }
}
