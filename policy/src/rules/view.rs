//! What rules can see, and what set them off.

use std::collections::BTreeMap;

use super::catalogue::{Field, Trigger};
use super::kind::{Element, Kind, Value};
use crate::Db10;

/// A main connection, or one that was pushed (DISCONNECTED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// mainConnectionID.
    pub id: u16,
    /// Its source; see [`Element`].
    pub source: usize,
    /// Its sink; see [`Element`].
    pub sink: usize,
    /// `am_ConnectionState_e`.
    pub state: i16,
    /// The newer, the greater.
    pub order: u64,
}

/// Which property or notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// A sound property.
    Sound,
    /// A main sound property.
    MainSound,
    /// Status of a notification.
    NotificationStatus,
    /// Parameter of a notification.
    NotificationParam,
    /// Status of a main notification.
    MainNotificationStatus,
    /// Parameter of a main notification.
    MainNotificationParam,
}

/// What the machine knows, read-only. `None`: there is no such thing, or it has no such value.
pub trait View {
    /// All sources, the model's first.
    fn sources(&self) -> Vec<usize>;
    /// All sinks, the model's first.
    fn sinks(&self) -> Vec<usize>;
    /// All gateways.
    fn gateways(&self) -> Vec<u16>;
    /// All main connections, the pushed ones too, by ID.
    fn links(&self) -> Vec<Link>;
    /// The domains' source of this name.
    fn find_source(&self, name: &str) -> Option<usize>;
    /// The domains' sink of this name.
    fn find_sink(&self, name: &str) -> Option<usize>;
    /// The domain of this name.
    fn find_domain(&self, name: &str) -> Option<u16>;
    /// The gateway of this name.
    fn find_gateway(&self, name: &str) -> Option<u16>;
    /// A name; of a connection `None`.
    fn name(&self, of: Element) -> Option<String>;
    /// Class of a source or sink.
    fn class(&self, of: Element) -> Option<usize>;
    /// Domain of a source, sink or gateway.
    fn domain(&self, of: Element) -> Option<u16>;
    /// Out of the rules' reach.
    fn protected(&self, source: usize) -> bool;
    /// Priority of a class.
    fn priority(&self, class: usize) -> Option<i64>;
    /// Wanted gain of a source, gain of a sink's mainVolume.
    fn gain(&self, of: Element) -> Option<Db10>;
    /// mainVolume.
    fn main_volume(&self, sink: usize) -> Option<i16>;
    /// What a mainVolume means at a sink.
    fn scale(&self, sink: usize, volume: i16) -> Option<Db10>;
    /// The strictest limit of rules, 0.1 dB, 0 = none; `None` for a side = any there.
    fn limit(&self, source: Option<usize>, sink: Option<usize>) -> Db10;
    /// Of a source or sink.
    fn muted(&self, of: Element) -> Option<bool>;
    /// Availability and reason of a source or sink.
    fn availability(&self, of: Element) -> Option<(i16, i16)>;
    /// Format of a connection.
    fn format(&self, connection: u16) -> Option<u16>;
    /// Whether a source interrupts.
    fn interrupts(&self, source: usize) -> Option<bool>;
    /// `am_SourceState_e` or `am_DomainState_e`.
    fn state(&self, of: Element) -> Option<i16>;
    /// It is there.
    fn registered(&self, of: Element) -> bool;
    /// A domain, or all of them, have registered all they have.
    fn complete(&self, domain: Option<u16>) -> bool;
    /// A property or notification of a source or sink.
    fn property(&self, of: Element, which: Property, kind: i16) -> Option<i16>;
    /// A system property.
    fn system_property(&self, kind: i16) -> Option<i16>;
    /// Sinks a source goes to by itself.
    fn usual_sinks(&self, source: usize) -> Vec<usize>;
}

/// What set off rules, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What happened.
    pub trigger: Trigger,
    fields: BTreeMap<Field, Value>,
}

impl Request {
    /// Nothing known yet.
    pub fn new(trigger: Trigger) -> Self {
        Self {
            trigger,
            fields: BTreeMap::from([(Field::Trigger, Value::Word(Kind::Trigger, trigger.code()))]),
        }
    }

    /// Adds what is known.
    #[must_use]
    pub fn with(mut self, field: Field, value: Value) -> Self {
        self.fields.insert(field, value);
        self
    }

    /// Adds an element, if there is one, with its class and domain.
    #[must_use]
    pub fn about(mut self, view: &(impl View + ?Sized), element: Element) -> Self {
        let field = match element {
            Element::Source(_) => Field::Source,
            Element::Sink(_) => Field::Sink,
            Element::Class(_) => Field::Class,
            Element::Connection(_) => Field::Connection,
            Element::Domain(_) => Field::Domain,
            Element::Gateway(_) => Field::Gateway,
        };
        let class = view.class(element).filter(|_| matches!(element, Element::Source(_)));
        let class = class.map(|class| Value::Element(Element::Class(class)));
        let domain = view
            .domain(element)
            .map(|domain| Value::Element(Element::Domain(domain)));
        self = self.with(field, Value::Element(element));
        for (field, value) in [(Field::Class, class), (Field::Domain, domain)] {
            if let Some(value) = value {
                self.fields.entry(field).or_insert(value);
            }
        }
        self
    }

    /// A field; [`Value::Absent`] if the trigger doesn't have it.
    pub fn get(&self, field: Field) -> Value {
        self.fields.get(&field).cloned().unwrap_or_default()
    }

    /// The element in a field.
    pub fn element(&self, field: Field) -> Option<Element> {
        self.get(field).element()
    }
}
