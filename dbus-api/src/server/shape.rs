//! Declared types of arguments: how D-Bus spells them, which spellings are taken for them, what their values may be.
//!
//! Any integer may come as `n`, `q`, `i` or `u`, whatever the method declares, as in `GLIB_DBUS_TYPES_TOLERANT` builds of
//! AudioManager; here the value is checked against the declared range instead of being cut to 16 bits. A list of integers or
//! flags may come as a list of structures of one (`a(q)`), as AudioManager's published XML has some.

use zbus::ObjectPath;
use zbus::names::{BusName, InterfaceName};

use super::args::Item;

/// Longest text argument, bytes.
const TEXT_LIMIT: usize = 255;

/// Type of an argument or of a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// An integer: as D-Bus spells it, least and greatest value.
    Int(char, i64, i64),
    /// `b`.
    Flag,
    /// `s`.
    Text(Form),
    /// `(…)`.
    Struct(&'static [Shape]),
    /// `a…`.
    List(&'static Shape),
}

/// What a text must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Anything.
    Free,
    /// A bus name.
    BusName,
    /// An object path.
    Path,
    /// An interface name.
    Interface,
}

/// `q`: an ID.
pub(super) const ID: Shape = Shape::Int('q', 0, 0xffff);
/// `u`: a number of ours.
pub(super) const NUMBER: Shape = Shape::Int('u', 0, 0xffff_ffff);
/// `n`: a value.
pub(super) const VALUE: Shape = Shape::Int('n', -0x8000, 0x7fff);
/// `n`: a type. They are u16 in AudioManager and `n` on the wire: both readings are taken.
pub(super) const TYPE: Shape = Shape::Int('n', -0x8000, 0xffff);
/// `(nn)`: type and value.
pub(super) const PROPERTY: Shape = Shape::Struct(&[TYPE, VALUE]);
/// `(nnn)`: type, status, parameter.
pub(super) const NOTIFICATION: Shape = Shape::Struct(&[TYPE, VALUE, VALUE]);
/// `s`.
pub(super) const TEXT: Shape = Shape::Text(Form::Free);

impl Shape {
    /// As D-Bus spells it.
    pub(super) fn signature(self) -> String {
        match self {
            Self::Int(kind, ..) => kind.to_string(),
            Self::Flag => "b".to_owned(),
            Self::Text(_) => "s".to_owned(),
            Self::Struct(fields) => format!("({})", fields.iter().map(|it| it.signature()).collect::<String>()),
            Self::List(entry) => format!("a{}", entry.signature()),
        }
    }

    /// Whether `item` is of this type and within its range.
    ///
    /// # Errors
    /// What is wrong, in words for the caller; `name` is the argument's.
    pub(super) fn check(self, name: &str, item: &Item) -> Result<(), String> {
        match (self, item) {
            (Self::Int(_, least, most), Item::Int(value)) if *value < least || *value > most => {
                Err(format!("{name} is {value}, allowed are {least} to {most}"))
            }
            (Self::Int(..), Item::Int(_)) | (Self::Flag, Item::Flag(_)) => Ok(()),
            (Self::Text(form), Item::Text(text)) => form.check(name, text),
            (Self::Struct(fields), Item::Many(items)) if fields.len() == items.len() => {
                let mut pairs = fields.iter().zip(items);
                pairs.try_for_each(|(field, item)| field.check(name, item))
            }
            (Self::List(entry), Item::Many(items)) => items.iter().try_for_each(|item| match (entry, item) {
                (Self::Int(..) | Self::Flag, Item::Many(_)) => {
                    Self::Struct(std::slice::from_ref(entry)).check(name, item)
                }
                (Self::Struct([only]), Item::Int(_) | Item::Flag(_)) => only.check(name, item),
                _ => entry.check(name, item),
            }),
            _ => Err(format!("{name} is not of the type '{}'", self.signature())),
        }
    }
}

impl Form {
    fn check(self, name: &str, text: &str) -> Result<(), String> {
        if text.len() > TEXT_LIMIT {
            return Err(format!("{name} has {} bytes, at most {TEXT_LIMIT}", text.len()));
        }
        let (is, what) = match self {
            Self::Free => return Ok(()),
            Self::BusName => (BusName::try_from(text).is_ok(), "bus name"),
            Self::Path => (ObjectPath::try_from(text).is_ok(), "object path"),
            Self::Interface => (InterfaceName::try_from(text).is_ok(), "interface name"),
        };
        if is {
            Ok(())
        } else {
            Err(format!("{name} is no {what}"))
        }
    }
}

/// `found` is taken for `wanted`: integers of 16 and 32 bits count as the same, and so do `a(q)` and `aq`.
pub(super) fn accepts(wanted: &str, found: &str) -> bool {
    // Nothing declared is longer; what is said of a longer one is cut anyway.
    found.len() <= 255 && canonical(wanted) == canonical(found)
}

fn canonical(signature: &str) -> String {
    let same = |kind| if "nqiu".contains(kind) { 'n' } else { kind };
    let one: String = signature.chars().map(same).collect();
    one.replace("a(n)", "an").replace("a(b)", "ab")
}
