//! Types of expressions, and their values.

use crate::Db10;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Bool,
    Number,
    /// 0.1 dB inside, dB in the text.
    Gain,
    Text,
    Source,
    Sink,
    Class,
    /// A main connection, by its ID.
    Connection,
    Domain,
    Gateway,
    /// `am_ConnectionState_e`.
    State,
    /// `am_MuteState_e`.
    Mute,
    /// `am_Availability_e`.
    Availability,
    /// `am_SourceState_e`.
    SourceState,
    /// `am_DomainState_e`.
    DomainState,
    /// `am_InterruptState_e`.
    Interrupt,
    /// Which of a class's connections.
    Order,
    /// Which elements of a domain or class.
    Part,
    Trigger,
}

/// Words of the kinds that have words, with AudioManager's numbers.
const WORDS: [(Kind, &[(&str, i16)]); 8] = [
    (
        Kind::State,
        &[
            ("unknown", 0),
            ("connecting", 1),
            ("connected", 2),
            ("disconnecting", 3),
            ("disconnected", 4),
            ("suspended", 5),
        ],
    ),
    (Kind::Mute, &[("muted", 1), ("unmuted", 2)]),
    (Kind::Availability, &[("available", 1), ("unavailable", 2)]),
    (Kind::SourceState, &[("on", 1), ("off", 2), ("paused", 3)]),
    (
        Kind::DomainState,
        &[
            ("controlled", 1),
            ("independent_startup", 2),
            ("independent_rundown", 3),
        ],
    ),
    (Kind::Interrupt, &[("off", 1), ("interrupted", 2)]),
    (
        Kind::Order,
        &[("newest", 0), ("oldest", 1), ("high_priority", 2), ("low_priority", 3)],
    ),
    (
        Kind::Part,
        &[("source", 0), ("sink", 1), ("gateway", 2), ("connection", 3)],
    ),
];

impl Kind {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "yes or no",
            Self::Number => "number",
            Self::Gain => "gain",
            Self::Text => "text",
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Class => "class",
            Self::Connection => "connection",
            Self::Domain => "domain",
            Self::Gateway => "gateway",
            Self::State => "connection state",
            Self::Mute => "mute state",
            Self::Availability => "availability",
            Self::SourceState => "source state",
            Self::DomainState => "domain state",
            Self::Interrupt => "interrupt state",
            Self::Order => "order",
            Self::Part => "kind of element",
            Self::Trigger => "trigger",
        }
    }

    /// Its words, with AudioManager's numbers; none for most kinds.
    pub fn words(self) -> &'static [(&'static str, i16)] {
        WORDS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or(&[], |(_, words)| words)
    }

    /// Has an order: can be less or greater.
    pub fn is_ordered(self) -> bool {
        matches!(self, Self::Number | Self::Gain)
    }

    /// A text in quotes may stand for one.
    pub fn is_named(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Source | Self::Sink | Self::Class | Self::Domain | Self::Gateway | Self::Trigger
        )
    }
}

/// Kinds that have a word.
pub(super) fn kinds_of_word(word: &str) -> Vec<Kind> {
    let kinds = WORDS
        .iter()
        .filter(|(_, words)| words.iter().any(|(it, _)| *it == word));
    kinds.map(|(kind, _)| *kind).collect()
}

/// All words.
pub(super) fn all_words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().flat_map(|(_, words)| words.iter().map(|(word, _)| *word))
}

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Type {
    /// Of it, or of each of it.
    pub kind: Kind,
    /// A list.
    pub list: bool,
}

impl Type {
    /// A single one.
    pub const fn one(kind: Kind) -> Self {
        Self { kind, list: false }
    }

    /// A list.
    pub const fn list(kind: Kind) -> Self {
        Self { kind, list: true }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = if self.list { "list of " } else { "" };
        write!(f, "{list}{}", self.kind.name())
    }
}

/// Something with a name. Sources and sinks are the model's by index; from [`crate::effect::EXTERNAL`] on they are domains',
/// and the rest is their ID. Connections, domains and gateways go by their IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Element {
    Source(usize),
    Sink(usize),
    Class(usize),
    Connection(u16),
    Domain(u16),
    Gateway(u16),
}

/// A value. What isn't there is [`Value::Absent`]: equal to nothing, in no order, in no list.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Value {
    #[default]
    Absent,
    Bool(bool),
    Number(i64),
    Gain(Db10),
    Text(String),
    Element(Element),
    Word(Kind, i16),
    List(Vec<Value>),
}

impl Value {
    /// A word's value.
    pub fn word(kind: Kind, word: &str) -> Option<Self> {
        let mut words = kind.words().iter();
        words
            .find(|(it, _)| *it == word)
            .map(|(_, code)| Self::Word(kind, *code))
    }

    /// As a list: itself alone, or its values; nothing if absent.
    pub fn items(self) -> Vec<Self> {
        match self {
            Self::Absent => Vec::new(),
            Self::List(items) => items,
            one => vec![one],
        }
    }

    /// Its number or gain.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Gain(gain) => Some((*gain).into()),
            _ => None,
        }
    }

    /// A number that fits, or nothing.
    pub fn short(&self) -> Option<i16> {
        self.number().and_then(|number| i16::try_from(number).ok())
    }

    /// A property's type: AudioManager's own, from 0x8000 on, are negative inside as on the wire.
    pub fn property_type(&self) -> Option<i16> {
        let number = self.number()?;
        let wrapped = u16::try_from(number).map(|it| it as i16);
        i16::try_from(number).or(wrapped).ok()
    }

    /// Of a property's type: from 0x8000 on as it is documented, not as on the wire.
    pub fn of_property_type(kind: i16) -> Self {
        Self::Number(i64::from(kind as u16))
    }

    /// The element it is.
    pub fn element(&self) -> Option<Element> {
        match self {
            Self::Element(element) => Some(*element),
            _ => None,
        }
    }
}

impl From<Option<Value>> for Value {
    fn from(value: Option<Value>) -> Self {
        value.unwrap_or_default()
    }
}
