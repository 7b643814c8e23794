//! Actions as they are written: their keys and the types of these.

use super::kind::{Kind, Type};

/// A key of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Key {
    Class,
    Source,
    Sink,
    Connection,
    ExceptClass,
    ExceptSource,
    ExceptSink,
    ConnectionState,
    Order,
    MainVolume,
    MainVolumeStep,
    Gain,
    GainStep,
    Restore,
    Below,
    Pattern,
    Ramp,
    Cause,
    Sticky,
    PropertyType,
    PropertyValue,
    Properties,
    NotificationType,
    NotificationStatus,
    NotificationParam,
    SourceName,
    SinkName,
    GatewayName,
    Format,
    RampType,
}

/// Name and type of each key. Where a list is wanted, a single one is a list of one.
const KEYS: [(Key, &str, Type); 30] = [
    (Key::Class, "class", Type::list(Kind::Class)),
    (Key::Source, "source", Type::list(Kind::Source)),
    (Key::Sink, "sink", Type::list(Kind::Sink)),
    (Key::Connection, "connection", Type::list(Kind::Connection)),
    (Key::ExceptClass, "except_class", Type::list(Kind::Class)),
    (Key::ExceptSource, "except_source", Type::list(Kind::Source)),
    (Key::ExceptSink, "except_sink", Type::list(Kind::Sink)),
    (Key::ConnectionState, "connection_state", Type::list(Kind::State)),
    (Key::Order, "order", Type::one(Kind::Order)),
    (Key::MainVolume, "main_volume", Type::one(Kind::Number)),
    (Key::MainVolumeStep, "main_volume_step", Type::one(Kind::Number)),
    (Key::Gain, "gain_db", Type::one(Kind::Gain)),
    (Key::GainStep, "gain_step_db", Type::one(Kind::Gain)),
    (Key::Restore, "restore", Type::one(Kind::Bool)),
    (Key::Below, "below_db", Type::one(Kind::Gain)),
    (Key::Pattern, "pattern", Type::one(Kind::Number)),
    (Key::Ramp, "ramp_ms", Type::one(Kind::Number)),
    (Key::Cause, "cause", Type::one(Kind::Source)),
    (Key::Sticky, "sticky", Type::one(Kind::Bool)),
    (Key::PropertyType, "property_type", Type::one(Kind::Number)),
    (Key::PropertyValue, "property_value", Type::one(Kind::Number)),
    (Key::Properties, "properties", Type::list(Kind::Number)),
    (Key::NotificationType, "notification_type", Type::one(Kind::Number)),
    (Key::NotificationStatus, "status", Type::one(Kind::Number)),
    (Key::NotificationParam, "param", Type::one(Kind::Number)),
    (Key::SourceName, "source", Type::list(Kind::Text)),
    (Key::SinkName, "sink", Type::list(Kind::Text)),
    (Key::GatewayName, "gateway", Type::list(Kind::Text)),
    (Key::Format, "format", Type::one(Kind::Number)),
    (Key::RampType, "ramp", Type::one(Kind::Number)),
];

impl Key {
    /// As written.
    pub fn name(self) -> &'static str {
        KEYS.iter().find(|it| it.0 == self).map_or("", |it| it.1)
    }

    /// What it takes.
    pub fn wants(self) -> Type {
        KEYS.iter()
            .find(|it| it.0 == self)
            .map_or(Type::one(Kind::Number), |it| it.2)
    }
}

macro_rules! actions {
    ($($variant:ident $name:literal [$($key:ident)*] needs [$($needed:ident)*] $what:literal)*) => {
        /// What a rule does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb { $(#[doc = $what] $variant,)* }

        impl Verb {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As written in `do`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The keys it knows.
            pub fn keys(self) -> &'static [Key] {
                match self { $(Self::$variant => &[$(Key::$key,)*],)* }
            }

            /// The keys of which it needs one.
            pub fn needs(self) -> &'static [Key] {
                match self { $(Self::$variant => &[$(Key::$needed,)*],)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $what,)* }
            }
        }
    };
}

actions! {
    Connect "connect" [Class Source Sink ExceptClass Order Format] needs []
        "connects a pair, over domains in this format; a source or sink alone: whatever waits there; a class: its first by order; none: the newest of each"
    Pop "pop" [Class Source Sink ExceptClass Order Format] needs []
        "as connect, of what was pushed or suspended"
    Resume "resume" [Class Source Sink ExceptClass Order Format] needs []
        "as connect, of what was suspended or pushed"
    Disconnect "disconnect"
        [Class Source Sink Connection ConnectionState ExceptClass ExceptSource ExceptSink] needs []
        "ends main connections; without a filter all"
    Push "push" [Class Source Sink Connection ExceptClass ExceptSource ExceptSink] needs []
        "ends main connections and keeps them for pop"
    Suspend "suspend" [Class Source Sink Connection ExceptClass ExceptSource ExceptSink] needs []
        "pauses main connections until resume"
    SetVolume "set_volume"
        [Class Source Sink Connection MainVolume MainVolumeStep Gain GainStep Restore Ramp RampType]
        needs [MainVolume MainVolumeStep Gain GainStep Restore]
        "sets the mainVolume of sinks, or the wanted gain of sources; the first that is given, in this order"
    Limit "limit" [Class Source Sink Connection Gain Below Pattern Ramp Cause Sticky] needs [Gain Below]
        "holds sources at or below a gain, or below their cause"
    Unlimit "unlimit" [Class Source Sink Connection Pattern] needs []
        "ends limits whose pattern is covered; without a target all"
    Mute "mute" [Class Source Sink Connection Pattern Ramp Cause Sticky] needs []
        "silences sources; without a target all at the request's sink"
    Unmute "unmute" [Class Source Sink Connection Pattern] needs []
        "ends what mute did; without a target at the request's sink"
    SetProperty "set_property" [Source Sink PropertyType PropertyValue] needs [PropertyType]
        "sets a main sound property"
    SetProperties "set_properties" [Source Sink Properties] needs [Properties]
        "sets main sound properties: pairs of type and value"
    SetSystemProperty "set_system_property" [PropertyType PropertyValue] needs [PropertyType]
        "sets a system property"
    SetSystemProperties "set_system_properties" [Properties] needs [Properties]
        "sets system properties: pairs of type and value"
    SetDebug "set_debug" [PropertyType PropertyValue] needs [PropertyType]
        "changes nothing: puts a mark of type and value into the record of decisions"
    SetNotification "set_notification_configuration"
        [Source Sink NotificationType NotificationStatus NotificationParam] needs [NotificationType]
        "configures a main notification"
    Register "register" [SourceName SinkName GatewayName] needs [SourceName SinkName GatewayName]
        "registers elements that the file describes and leaves to rules, by name"
    Transfer "transfer" [] needs [] "hands connections over to domains that outlive this process"
}

impl Verb {
    /// The action of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|it| it.name() == name).copied()
    }
}
