//! What there is to write: triggers, fields of the request, functions, as tables. The reader, the evaluator, error messages and
//! the documentation's test go by them.

use super::kind::{Kind, Type};

macro_rules! triggers {
    ($($variant:ident $name:literal [$($field:ident)*] $what:literal)*) => {
        /// What sets off rules. The first 35 are AudioManager's, the others ours.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Trigger { $(#[doc = $what] $variant,)* }

        impl Trigger {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As written in `on`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Fields of `request` that it may fill, besides `trigger`.
            pub fn fields(self) -> &'static [Field] {
                match self { $(Self::$variant => &[$(Field::$field,)*],)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $what,)* }
            }
        }
    };
}

triggers! {
    ConnectionRequest "user.connection_request" [Source Sink Class Domain Connection ConnectionState Status]
        "a client asked for a connection (decided already: see `request.status`)"
    DisconnectionRequest "user.disconnection_request" [Source Sink Class Domain Connection ConnectionState Status]
        "a client asked for the end of a connection"
    SetSinkMuteState "user.set_sink_mute_state" [Sink Domain Mute Status] "a client muted or unmuted a sink"
    SetVolume "user.set_volume" [Sink Domain MainVolume IsStep Status] "a client set a mainVolume, or a step of it"
    SetSinkMainSoundProperty "user.set_sink_main_sound_property" [Sink Domain PropertyType PropertyValue Status]
        "a client set a sink's main sound property"
    SetSourceMainSoundProperty "user.set_source_main_sound_property"
        [Source Class Domain PropertyType PropertyValue Status] "a client set a source's main sound property"
    SetSinkMainSoundProperties "user.set_sink_main_sound_properties" [Sink Domain Status]
        "a client set several of a sink's main sound properties"
    SetSourceMainSoundProperties "user.set_source_main_sound_properties" [Source Class Domain Status]
        "a client set several of a source's main sound properties"
    SetSystemProperty "user.set_system_property" [SystemPropertyType SystemPropertyValue Status]
        "a client set a system property"
    SetSystemProperties "user.set_system_properties" [Status] "a client set several system properties"
    SetSinkMainNotificationConfiguration "user.set_sink_main_notification_configuration"
        [Sink Domain NotificationConfigurationType NotificationConfigurationStatus NotificationConfigurationParam Status]
        "a client configured a sink's notification"
    SetSourceMainNotificationConfiguration "user.set_source_main_notification_configuration"
        [Source Class Domain NotificationConfigurationType NotificationConfigurationStatus
            NotificationConfigurationParam Status]
        "a client configured a source's notification"
    SourceAvailabilityChanged "system.source_availability_changed"
        [Source Class Domain Availability AvailabilityReason] "a source came or went"
    SinkAvailabilityChanged "system.sink_availability_changed" [Sink Domain Availability AvailabilityReason]
        "a sink came or went"
    InterruptStateChanged "system.interrupt_state_changed" [Source Class Domain Interrupt]
        "a source began or ended to interrupt"
    SinkNotificationDataChanged "system.sink_notification_data_changed"
        [Sink Domain NotificationType NotificationValue] "a sink notified"
    SourceNotificationDataChanged "system.source_notification_data_changed"
        [Source Class Domain NotificationType NotificationValue] "a source notified"
    RegisterDomain "system.register_domain" [Domain] "a domain registered"
    RegisterSource "system.register_source" [Source Class Domain] "a source registered"
    RegisterSink "system.register_sink" [Sink Domain] "a sink registered"
    RegisterGateway "system.register_gateway" [Gateway Domain] "a gateway registered"
    RegisterEarlyConnection "system.register_early_connection" [Source Sink Class Domain Connection]
        "a domain told of a connection from before the start"
    DeregisterDomain "system.deregister_domain" [Domain] "a domain is gone"
    DeregisterSource "system.deregister_source" [Source Class Domain] "a source is gone"
    DeregisterSink "system.deregister_sink" [Sink Domain] "a sink is gone"
    DeregisterGateway "system.deregister_gateway" [Gateway Domain] "a gateway is gone"
    DomainRegistrationComplete "system.domain_registration_complete" [Domain]
        "a domain has registered all it has"
    AllDomainRegistrationComplete "system.all_domain_registration_complete" [Status]
        "all domains have registered all they have: status 0, or 4 if what was to outlive the boot is lost; 7: one took too long"
    ConnectionStateChange "system.connection_state_change"
        [Source Sink Class Domain Connection ConnectionState] "a main connection's state changed"
    StoredSinkVolume "system.stored_sink_volume" [Sink MainVolume] "the mainVolume of before the boot was found, and taken"
    SinkMuteStateChanged "system.sink_mute_state_changed" [Sink Domain Mute] "a sink was muted or unmuted, by whomever"
    SinkMainSoundPropertyChanged "system.sink_main_sound_property_changed"
        [Sink Domain PropertyType PropertyValue] "a sink's main sound property changed"
    SourceMainSoundPropertyChanged "system.source_main_sound_property_changed"
        [Source Class Domain PropertyType PropertyValue] "a source's main sound property changed"
    VolumeChanged "system.volume_changed" [Sink Domain MainVolume] "a sink's mainVolume changed, by whomever"
    AnyUser "user.all"
        [Source Sink Class Domain Connection ConnectionState Mute MainVolume IsStep PropertyType PropertyValue
            SystemPropertyType SystemPropertyValue NotificationConfigurationType NotificationConfigurationStatus
            NotificationConfigurationParam Status]
        "any trigger whose name begins with `user.`"
    StreamStarted "stream.started" [Source Class] "a guest started a stream"
    StreamStopped "stream.stopped" [Source Class] "a guest stopped a stream"
    StreamReleased "stream.released" [Source Class] "a stream is gone"
    ChimeStarted "chime.started" [Source Class] "a chime began to sound"
    ChimeStopped "chime.stopped" [Source Class] "a chime ended"
}

impl Trigger {
    /// The trigger of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|it| it.name() == name).copied()
    }

    /// As a value of an expression.
    pub(super) fn code(self) -> i16 {
        i16::try_from(Self::ALL.iter().position(|it| *it == self).unwrap_or_default()).unwrap_or_default()
    }

    /// Whether a rule `on` this one is set off by `other`.
    pub fn includes(self, other: Self) -> bool {
        self == other || self == Self::AnyUser && other.name().starts_with("user.")
    }
}

macro_rules! fields {
    ($($variant:ident $name:literal $kind:ident)*) => {
        /// A field of `request`: what is known of what set off a rule. Absent where the trigger doesn't have it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum Field { $($variant,)* }

        impl Field {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As written after `request.`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is.
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }
        }
    };
}

fields! {
    Trigger "trigger" Trigger
    Source "source" Source
    Sink "sink" Sink
    Class "class" Class
    Domain "domain" Domain
    Gateway "gateway" Gateway
    Connection "connection" Connection
    ConnectionState "connection_state" State
    Status "status" Number
    MainVolume "main_volume" Number
    IsStep "is_step" Bool
    Mute "mute" Mute
    Availability "availability" Availability
    AvailabilityReason "availability_reason" Number
    Interrupt "interrupt" Interrupt
    PropertyType "property_type" Number
    PropertyValue "property_value" Number
    SystemPropertyType "system_property_type" Number
    SystemPropertyValue "system_property_value" Number
    NotificationType "notification_type" Number
    NotificationValue "notification_value" Number
    NotificationConfigurationType "notification_configuration_type" Number
    NotificationConfigurationStatus "notification_configuration_status" Number
    NotificationConfigurationParam "notification_configuration_param" Number
}

/// One way to call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Arguments.
    pub takes: &'static [Type],
    /// Result.
    pub gives: Type,
}

macro_rules! ty {
    ([$kind:ident]) => {
        Type::list(Kind::$kind)
    };
    ($kind:ident) => {
        Type::one(Kind::$kind)
    };
}

macro_rules! functions {
    ($($variant:ident $name:literal { $(($($arg:tt),*) -> $gives:tt)* } $what:literal)*) => {
        /// A function. Those without arguments are of the request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Function { $(#[doc = $what] $variant,)* }

        impl Function {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As written.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its forms. [`Function::Count`] takes any list.
            pub fn forms(self) -> &'static [Form] {
                match self {
                    $(Self::$variant => const { &[$(Form { takes: &[$(ty!($arg)),*], gives: ty!($gives) }),*] },)*
                }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $what,)* }
            }
        }
    };
}

functions! {
    Name "name" { (Source) -> Text (Sink) -> Text (Class) -> Text (Domain) -> Text (Gateway) -> Text (Connection) -> Text }
        "its name; a connection's is `source:sink`"
    Source "source" { (Source) -> Source (Connection) -> Source } "the source of this name, or of a connection"
    Sink "sink" { (Sink) -> Sink (Connection) -> Sink } "the sink of this name, or of a connection"
    Class "class" { (Class) -> Class (Source) -> Class (Sink) -> Class (Connection) -> Class }
        "the class of this name, or of a source, sink, or connection's source"
    Domain "domain" { (Domain) -> Domain (Source) -> Domain (Sink) -> Domain (Gateway) -> Domain }
        "the domain of this name, or of an element"
    Gateway "gateway" { (Gateway) -> Gateway } "the gateway of this name"
    Connection "connection" { (Source) -> Connection (Sink) -> Connection (Source, Sink) -> Connection }
        "the main connection of this source, sink, or pair; the one of lowest ID where there are several"
    Sources "sources" { (Class) -> [Source] (Domain) -> [Source] } "all sources of a class or domain"
    Sinks "sinks" { (Class) -> [Sink] (Domain) -> [Sink] } "all sinks of a class or domain"
    Connections "connections" { (Source) -> [Connection] (Sink) -> [Connection] (Class) -> [Connection] }
        "all main connections of a source, sink, or class"
    Elements "elements" { (Domain, Part) -> [Text] (Class, Part) -> [Text] } "names of all elements of a kind"
    Priority "priority" { (Class) -> Number (Source) -> Number (Sink) -> Number (Connection) -> Number }
        "the priority; of a connection: the sum over its ends"
    Volume "volume" { (Source) -> Gain (Sink) -> Gain (Connection) -> Gain }
        "wanted gain of a source; of a sink its mainVolume in dB; of a connection their sum"
    MainVolume "main_volume" { () -> Number (Sink) -> Number (Connection) -> Number } "mainVolume"
    IsMainVolumeStep "is_main_volume_step" { () -> Bool } "the request is a step of the mainVolume"
    VolumeLimit "volume_limit" { (Source) -> Gain (Sink) -> Gain (Connection) -> Gain }
        "the strictest limit that rules hold there, 0 dB if none"
    MuteState "mute_state" { () -> Mute (Source) -> Mute (Sink) -> Mute (Connection) -> Mute (Class) -> [Mute] }
        "muted or not; a connection is if one of its ends is; of a class: of each source"
    Availability "availability" { () -> Availability (Source) -> Availability (Sink) -> Availability
        (Connection) -> Availability } "available or not; a connection is if both ends are"
    AvailabilityReason "availability_reason" { () -> Number (Source) -> Number (Sink) -> Number } "why"
    ConnectionState "connection_state" { () -> State (Connection) -> State (Source) -> [State] (Sink) -> [State]
        (Class) -> [State] ([Connection]) -> [State] } "states of main connections; of one that isn't there: disconnected"
    ConnectionFormat "connection_format" { (Connection) -> Number } "the format at its source"
    InterruptState "interrupt_state" { () -> Interrupt (Source) -> Interrupt } "off or interrupted"
    State "state" { (Source) -> SourceState (Domain) -> DomainState (Connection) -> State }
        "on, off or paused; of a domain; of a connection, disconnected if it isn't there"
    IsRegistered "is_registered" { (Source) -> Bool (Sink) -> Bool (Gateway) -> Bool (Domain) -> Bool } "it is there"
    IsRegistrationComplete "is_registration_complete" { () -> Bool (Domain) -> Bool }
        "a domain has registered all it has; without argument: all of them"
    Peek "peek" { (Class, Order, Number) -> Connection } "the n-th (from 0) main connection of a class in this order"
    SoundProperty "sound_property" { (Source, Number) -> Number (Sink, Number) -> Number } "value of a sound property"
    MainSoundPropertyType "main_sound_property_type" { () -> Number } "the request's main sound property"
    MainSoundPropertyValue "main_sound_property_value" { () -> Number (Source, Number) -> Number (Sink, Number) -> Number }
        "value of a main sound property"
    SystemPropertyType "system_property_type" { () -> Number } "the request's system property"
    SystemPropertyValue "system_property_value" { () -> Number (Number) -> Number } "value of a system property"
    NotificationConfigurationStatus "notification_configuration_status"
        { (Source, Number) -> Number (Sink, Number) -> Number } "status of a notification"
    NotificationConfigurationParam "notification_configuration_param"
        { (Source, Number) -> Number (Sink, Number) -> Number } "parameter of a notification"
    NotificationDataType "notification_data_type" { () -> Number } "the notification's type"
    NotificationDataValue "notification_data_value" { () -> Number } "the notification's value"
    MainNotificationConfigurationType "main_notification_configuration_type" { () -> Number }
        "the request's main notification"
    MainNotificationConfigurationStatus "main_notification_configuration_status"
        { () -> Number (Source, Number) -> Number (Sink, Number) -> Number } "status of a main notification"
    MainNotificationConfigurationParam "main_notification_configuration_param"
        { () -> Number (Source, Number) -> Number (Sink, Number) -> Number } "parameter of a main notification"
    Error "error" { () -> Number } "the request's status: 0, or why it was refused"
    Count "count" {} "how many a list has"
    Scale "scale" { (Number, Sink) -> Gain } "what a mainVolume means by a sink's curve"
}

impl Function {
    /// The function of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|it| it.name() == name).copied()
    }

    /// The field that a call without arguments stands for.
    pub fn field(self) -> Option<Field> {
        Some(match self {
            Self::MainVolume => Field::MainVolume,
            Self::IsMainVolumeStep => Field::IsStep,
            Self::MuteState => Field::Mute,
            Self::Availability => Field::Availability,
            Self::AvailabilityReason => Field::AvailabilityReason,
            Self::ConnectionState => Field::ConnectionState,
            Self::InterruptState => Field::Interrupt,
            Self::MainSoundPropertyType => Field::PropertyType,
            Self::MainSoundPropertyValue => Field::PropertyValue,
            Self::SystemPropertyType => Field::SystemPropertyType,
            Self::SystemPropertyValue => Field::SystemPropertyValue,
            Self::NotificationDataType => Field::NotificationType,
            Self::NotificationDataValue => Field::NotificationValue,
            Self::MainNotificationConfigurationType => Field::NotificationConfigurationType,
            Self::MainNotificationConfigurationStatus => Field::NotificationConfigurationStatus,
            Self::MainNotificationConfigurationParam => Field::NotificationConfigurationParam,
            Self::Error => Field::Status,
            _ => return None,
        })
    }
}
