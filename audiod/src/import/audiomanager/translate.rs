//! Functions and operands of the generic controller as expressions of our rules.

use policy::file::did_you_mean;

use super::condition::{Condition, Op, SCALED, Term};
use super::{Reader, words};

/// Why something can't be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The input is wrong: message, cause, cure.
    Wrong(String, String, Option<String>),
    /// Our rules don't have it.
    Lost(String),
}

fn lost<T>(why: impl Into<String>) -> Result<T, Why> {
    Err(Why::Lost(why.into()))
}

/// Kinds of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Source,
    Sink,
    Class,
    Domain,
    Gateway,
    Connection,
}

impl Of {
    fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Class => "class",
            Self::Domain => "domain",
            Self::Gateway => "gateway",
            Self::Connection => "connection",
        }
    }

    fn named(operand: &str) -> Option<Self> {
        Some(match operand {
            "SOURCE" => Self::Source,
            "SINK" => Self::Sink,
            "CLASS" => Self::Class,
            "DOMAIN" => Self::Domain,
            "GATEWAY" => Self::Gateway,
            "CONNECTION" => Self::Connection,
            _ => return None,
        })
    }
}

/// What an expression gives: decides how the other side is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    /// The name of an element.
    Name(Of),
    /// Elements.
    Elements(Of),
    Word,
    Number,
    /// 0.1 dB there, dB here.
    Gain,
    /// The lower the higher there, the other way round here.
    Priority,
    Bool,
}

struct Value {
    text: String,
    gives: Gives,
}

impl Value {
    fn new(text: impl Into<String>, gives: Gives) -> Result<Self, Why> {
        let text = text.into();
        Ok(Self { text, gives })
    }
}

/// Every function, for those who misspell one.
const FUNCTIONS: [&str; 32] = [
    "name",
    "elements",
    "priority",
    "volume",
    "mainVolume",
    "isMainVolumeStep",
    "volumeLimit",
    "muteState",
    "availability",
    "availabilityReason",
    "connectionState",
    "connectionFormat",
    "interruptState",
    "state",
    "isRegistered",
    "isRegistrationComplete",
    "peek",
    "soundProperty",
    "mainSoundPropertyType",
    "mainSoundPropertyValue",
    "systemPropertyType",
    "systemPropertyValue",
    "notificationConfigurationStatus",
    "notificationConfigurationParam",
    "notificationDataType",
    "notificationDataValue",
    "mainNotificationConfigurationType",
    "mainNotificationConfigurationStatus",
    "mainNotificationConfigurationParam",
    "error",
    "count",
    "scale",
];

/// Every function, as it is called there.
pub(super) fn functions() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.into_iter()
}

/// A condition of ours, and what it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub text: String,
    pub note: Option<&'static str>,
}

/// What names mean where an expression stands.
pub(super) struct Scope<'r, 'a> {
    pub reader: &'r Reader<'a>,
    pub triggers: &'r [&'static str],
}

impl Scope<'_, '_> {
    /// A whole condition.
    pub fn condition(&self, condition: &Condition) -> Result<Said, Why> {
        if let Some(said) = self.others(condition)? {
            return Ok(said);
        }
        let left = self.value(&condition.left)?;
        let right = self.right(&condition.right, left.gives)?;
        let op = match left.gives {
            Gives::Priority => turned(condition.op),
            _ => condition.op.ours,
        };
        let scales = condition.left.scaled().or(condition.right.scaled()).is_some();
        Ok(Said {
            text: format!("{} {op} {right}", left.text),
            note: scales.then_some(SCALED),
        })
    }

    /// `connectionState(CONNECTIONOFCLASS, x, OTHERS) INC CS_CONNECTED`: whether the class has another connection.
    fn others(&self, condition: &Condition) -> Result<Option<Said>, Why> {
        let Term::Call(name, operands) = &condition.left else {
            return Ok(None);
        };
        if operands.last() != Some(&Term::Word("OTHERS".to_owned())) {
            return Ok(None);
        }
        let [Term::Word(of), which, _] = operands.as_slice() else {
            return lost("`OTHERS` goes with connections of a class, source or sink here");
        };
        let connected = condition.right == Term::Word("CS_CONNECTED".to_owned());
        let (element, op) = match (name.as_str(), of.as_str(), condition.op.theirs) {
            ("connectionState", "CONNECTIONOFCLASS", op @ ("INC" | "EXC")) if connected => {
                (self.element(Of::Class, which)?, op)
            }
            ("connectionState", "CONNECTIONOFSINK", op @ ("INC" | "EXC")) if connected => {
                (self.element(Of::Sink, which)?, op)
            }
            _ => return lost("of `OTHERS` only whether they are connected can be asked"),
        };
        // When our rules are asked, what was to be connected is there already, and what was to be disconnected is gone.
        let own = i64::from(self.triggers != ["USER_DISCONNECTION_REQUEST"]);
        let many = if op == "INC" { ">" } else { "<=" };
        Ok(Some(Said {
            text: format!("count(connections({element})) {many} {own}"),
            note: Some("counts connections, in whatever state: the requested one is there already"),
        }))
    }

    /// The right side, as the left one wants it.
    fn right(&self, term: &Term, gives: Gives) -> Result<String, Why> {
        match (term, gives) {
            (Term::Call(..), _) => Ok(self.value(term)?.text),
            (Term::Word(word), _)
                if words::field(word).is_some() && !matches!(gives, Gives::Name(_) | Gives::Elements(_)) =>
            {
                Ok(words::field(word).unwrap_or_default().to_owned())
            }
            (term, Gives::Name(of)) => match term {
                Term::Word(word) if words::field(word).is_some() => Ok(format!("name({})", self.element(of, term)?)),
                Term::Text(name) | Term::Word(name) | Term::Number(name) => Ok(format!("\"{}\"", self.ours(of, name)?)),
                Term::Call(..) => Ok(self.value(term)?.text),
            },
            (term, Gives::Elements(of)) => self.element(of, term),
            (Term::Word(word) | Term::Text(word), Gives::Word | Gives::Bool | Gives::Number) => {
                match words::enumerator(word) {
                    Some(ours) => Ok(ours),
                    None => lost(format!(
                        "`{word}` is a project's own enumerator: its number stands in its own schema"
                    )),
                }
            }
            (Term::Number(number), Gives::Gain) => Ok(format!("{:.1} dB", number.parse::<f64>().unwrap_or(0.0) / 10.0)),
            (Term::Number(number), Gives::Priority) => Ok(whole(number)?.saturating_neg().to_string()),
            (Term::Number(number), Gives::Bool) => Ok((whole(number)? != 0).to_string()),
            (Term::Number(number), Gives::Number | Gives::Word) => Ok(whole(number)?.to_string()),
            (term, _) => lost(format!("`{term}` is nothing to compare with here")),
        }
    }

    /// Our name of an element.
    fn ours(&self, of: Of, name: &str) -> Result<String, Why> {
        let reader = self.reader;
        let end = |found: Option<&(super::Is, policy::report::Span)>| match found {
            Some((super::Is::Here(ours), _)) => Ok(ours.clone()),
            Some((super::Is::Gone(why), _)) => lost(format!("{} `{name}`: {why}", of.word())),
            None => lost(format!("there is no {} `{name}`", of.word())),
        };
        match of {
            Of::Source => end(reader.sources.get(name)),
            Of::Sink => end(reader.sinks.get(name)),
            Of::Class => match reader.classes.get(name) {
                Some(class) if class.used && !class.capture => Ok(class.ours.clone()),
                Some(_) => lost(format!("no stream is of class `{name}`")),
                None => lost(format!("there is no class `{name}`")),
            },
            Of::Domain => match reader.domains.get(name) {
                Some((guest, _)) => Ok(guest.clone()),
                None => lost(format!("there is no domain `{name}`")),
            },
            Of::Gateway => match reader.draft.gateways.iter().any(|gateway| gateway.name == name) {
                true => Ok(name.to_owned()),
                false => lost(format!("there is no gateway `{name}`")),
            },
            Of::Connection => {
                let Some((source, sink)) = name.split_once(':') else {
                    return lost(format!("`{name}` is no connection"));
                };
                Ok(format!(
                    "{}:{}",
                    self.ours(Of::Source, source)?,
                    self.ours(Of::Sink, sink)?
                ))
            }
        }
    }

    /// An element: `request.source`, `class("BASE")` …
    pub fn element(&self, of: Of, term: &Term) -> Result<String, Why> {
        match term {
            Term::Word(word) if word == "REQUESTING" || words::field(word).is_some() => self.requesting(of),
            Term::Text(name) | Term::Word(name) | Term::Number(name) => match of {
                Of::Connection => match name.split_once(':') {
                    Some((source, sink)) => {
                        let (source, sink) = (self.ours(Of::Source, source)?, self.ours(Of::Sink, sink)?);
                        Ok(format!("connection(source(\"{source}\"), sink(\"{sink}\"))"))
                    }
                    None => lost(format!("`{name}` is no connection")),
                },
                _ => Ok(format!("{}(\"{}\")", of.word(), self.ours(of, name)?)),
            },
            Term::Call(..) => {
                let value = self.value(term)?;
                // `name(x)` of an element where the element itself is wanted.
                let inner = value.text.strip_prefix("name(").and_then(|text| text.strip_suffix(')'));
                Ok(inner.map_or(value.text.clone(), str::to_owned))
            }
        }
    }

    /// The request's own element. A sink's request has no source whose class could be meant: its connections' count.
    fn requesting(&self, of: Of) -> Result<String, Why> {
        let about_sources = self.triggers.iter().any(|trigger| {
            trigger.contains("SOURCE") || trigger.contains("CONNECTION") || trigger.contains("INTERRUPT")
        });
        match of {
            Of::Class if !about_sources => lost("a zone has no class: this trigger tells of sinks only"),
            _ => Ok(format!("request.{}", of.word())),
        }
    }

    /// A function.
    fn value(&self, term: &Term) -> Result<Value, Why> {
        let Term::Call(name, operands) = term else {
            return lost(format!("`{term}` is no function"));
        };
        let (first, rest) = match operands.split_first() {
            Some((Term::Word(word), rest)) => (word.as_str(), rest),
            Some((Term::Call(..), _)) if name == "count" => ("", operands.as_slice()),
            Some((term, _)) => return wrong(name, &format!("`{term}` is no kind of element")),
            None => ("USER", operands.as_slice()),
        };
        match name.as_str() {
            "name" => self.name(first, rest),
            "elements" => self.elements(first, rest),
            "connectionState" => self.connection_state(first, rest),
            "peek" => self.peek(first, rest),
            "count" => self.count(rest),
            "isRegistrationComplete" => match rest.first() {
                Some(domain) => {
                    let domain = self.element(Of::Domain, domain)?;
                    Value::new(format!("is_registration_complete({domain})"), Gives::Bool)
                }
                None => Value::new("is_registration_complete()", Gives::Bool),
            },
            "scale" => match term.scaled() {
                Some(volume) => {
                    let volume = self.right(volume, Gives::Number)?;
                    let sink = self.requesting(Of::Sink)?;
                    Value::new(format!("scale({volume}, {sink})"), Gives::Gain)
                }
                None => wrong("scale", "it takes SYSTEM, a volume and the name of a map"),
            },
            _ => self.plain(name, first, rest),
        }
    }

    /// Functions of the request (`USER`) or of one element, and perhaps a number.
    fn plain(&self, name: &str, first: &str, rest: &[Term]) -> Result<Value, Why> {
        let (ours, gives) = match name {
            "priority" => ("priority", Gives::Priority),
            "volume" => ("volume", Gives::Gain),
            "mainVolume" => ("main_volume", Gives::Number),
            "isMainVolumeStep" => ("is_main_volume_step", Gives::Bool),
            "volumeLimit" => ("volume_limit", Gives::Gain),
            "muteState" => ("mute_state", Gives::Word),
            "availability" => ("availability", Gives::Word),
            "availabilityReason" => ("availability_reason", Gives::Number),
            "connectionFormat" => ("connection_format", Gives::Number),
            "interruptState" => ("interrupt_state", Gives::Word),
            "state" => ("state", Gives::Word),
            "isRegistered" => ("is_registered", Gives::Bool),
            "soundProperty" => ("sound_property", Gives::Number),
            "mainSoundPropertyType" => ("main_sound_property_type", Gives::Number),
            "mainSoundPropertyValue" => ("main_sound_property_value", Gives::Number),
            "systemPropertyType" => ("system_property_type", Gives::Number),
            "systemPropertyValue" => ("system_property_value", Gives::Number),
            "notificationConfigurationStatus" => ("notification_configuration_status", Gives::Number),
            "notificationConfigurationParam" => ("notification_configuration_param", Gives::Number),
            "notificationDataType" => ("notification_data_type", Gives::Number),
            "notificationDataValue" => ("notification_data_value", Gives::Number),
            "mainNotificationConfigurationType" => ("main_notification_configuration_type", Gives::Number),
            "mainNotificationConfigurationStatus" => ("main_notification_configuration_status", Gives::Number),
            "mainNotificationConfigurationParam" => ("main_notification_configuration_param", Gives::Number),
            "error" => ("error", Gives::Number),
            other => return Err(misspelt(other)),
        };
        let mut operands = Vec::new();
        let mut more = rest.iter();
        match first {
            "USER" | "SYSTEM" => {}
            _ => match (Of::named(first), more.next()) {
                (Some(of), Some(which)) => operands.push(self.element(of, which)?),
                (Some(_), None) => return wrong(name, "an element is missing after its kind"),
                (None, _) => return lost(format!("`{name}` of `{first}` is not among our functions")),
            },
        }
        if first != "USER" {
            for number in more {
                operands.push(self.right(number, Gives::Number)?);
            }
        }
        Value::new(format!("{ours}({})", operands.join(", ")), gives)
    }

    fn name(&self, first: &str, rest: &[Term]) -> Result<Value, Why> {
        let Some(which) = rest.first() else {
            return wrong("name", "an element is missing after its kind");
        };
        let of = |outer: Of, inner: Of| {
            let inner = self.element(inner, which)?;
            Value::new(format!("name({}({inner}))", outer.word()), Gives::Name(outer))
        };
        match first {
            "CLASSOFSOURCE" => of(Of::Class, Of::Source),
            "CLASSOFSINK" => lost("a zone has no class"),
            "DOMAINOFSOURCE" => of(Of::Domain, Of::Source),
            "DOMAINOFSINK" => of(Of::Domain, Of::Sink),
            "SOURCEOFCLASS" => Value::new(
                format!("sources({})", self.element(Of::Class, which)?),
                Gives::Elements(Of::Source),
            ),
            "SINKOFCLASS" => lost("a zone has no class"),
            other => match Of::named(other) {
                Some(of) => Value::new(format!("name({})", self.element(of, which)?), Gives::Name(of)),
                None => wrong("name", &format!("`{other}` is no kind of element")),
            },
        }
    }

    fn elements(&self, first: &str, rest: &[Term]) -> Result<Value, Why> {
        let (Some(of @ (Of::Domain | Of::Class)), [which, Term::Word(kind)]) = (Of::named(first), rest) else {
            return wrong("elements", "it takes DOMAIN or CLASS, a name and a kind");
        };
        let Some(kind) =
            Of::named(kind).filter(|kind| matches!(kind, Of::Source | Of::Sink | Of::Gateway | Of::Connection))
        else {
            return wrong("elements", &format!("`{kind}` is no kind of element here"));
        };
        let which = self.element(of, which)?;
        Value::new(format!("elements({which}, {})", kind.word()), Gives::Name(kind))
    }

    fn connection_state(&self, first: &str, rest: &[Term]) -> Result<Value, Why> {
        let of = match first {
            "USER" => return Value::new("connection_state()", Gives::Word),
            "CONNECTION" => Of::Connection,
            "CONNECTIONOFSOURCE" => Of::Source,
            "CONNECTIONOFSINK" => Of::Sink,
            "CONNECTIONOFCLASS" => Of::Class,
            other => return wrong("connectionState", &format!("`{other}` is no kind of connection")),
        };
        match rest {
            [which] => Value::new(format!("connection_state({})", self.element(of, which)?), Gives::Word),
            [which, Term::Word(all)] if all == "ALL" => {
                Value::new(format!("connection_state({})", self.element(of, which)?), Gives::Word)
            }
            [source, sink] if of == Of::Connection => {
                let (source, sink) = (self.element(Of::Source, source)?, self.element(Of::Sink, sink)?);
                Value::new(format!("connection_state(connection({source}, {sink}))"), Gives::Word)
            }
            _ => wrong("connectionState", "it takes a kind, a name and perhaps ALL or OTHERS"),
        }
    }

    fn peek(&self, first: &str, rest: &[Term]) -> Result<Value, Why> {
        let of = match first {
            "SOURCEOFCLASS" => Of::Source,
            "SINKOFCLASS" => Of::Sink,
            other => return wrong("peek", &format!("`{other}` is neither SOURCEOFCLASS nor SINKOFCLASS")),
        };
        let Some((class, more)) = rest.split_first() else {
            return wrong("peek", "a class is missing");
        };
        let class = self.element(Of::Class, class)?;
        let order = match more.first() {
            Some(order) => self.right(order, Gives::Word)?,
            None => "high_priority".to_owned(),
        };
        let index = match more.get(1) {
            Some(index) => self.right(index, Gives::Number)?,
            None => "0".to_owned(),
        };
        Value::new(
            format!("name({}(peek({class}, {order}, {index})))", of.word()),
            Gives::Name(of),
        )
    }

    fn count(&self, rest: &[Term]) -> Result<Value, Why> {
        match rest {
            [list @ Term::Call(..)] => Value::new(format!("count({})", self.value(list)?.text), Gives::Number),
            _ => lost("our `count` takes a list, not words in a text"),
        }
    }
}

/// The operator between the negated sides.
fn turned(op: Op) -> &'static str {
    match op.theirs {
        "GT" => "<",
        "GEQ" => "<=",
        "LT" => ">",
        "LEQ" => ">=",
        _ => op.ours,
    }
}

fn whole(number: &str) -> Result<i64, Why> {
    match number.parse::<f64>() {
        Ok(value) if value.fract() == 0.0 && value.abs() < 4e9 => Ok(value as i64),
        _ => lost(format!("`{number}` is not a whole number")),
    }
}

fn wrong<T>(function: &str, cause: &str) -> Result<T, Why> {
    Err(Why::Wrong(
        format!("`{function}` is not used like this"),
        cause.to_owned(),
        None,
    ))
}

fn misspelt(function: &str) -> Why {
    let known = policy::file::listed(FUNCTIONS);
    Why::Wrong(
        format!("there is no function `{function}`"),
        format!("known: {known}"),
        did_you_mean(function, FUNCTIONS),
    )
}
