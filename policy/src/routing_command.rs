//! The AudioManager routing interface as data (names and numbers: GENIVI AudioManager 8, Routing 6.0): what domains call here, what
//! they are answered, what is asked of them. `dbus-api` turns these into messages and back; nothing here knows D-Bus.
//!
//! Every [`RoutingCall`] is answered by exactly one [`RoutingReply`], whose kind the call fixes. Codes are those of
//! [`crate::command::error`]:
//!
//! | situation | code |
//! |---|---|
//! | registering: unknown domain | 4 |
//! | registering: static ID over 100, no room | 7 |
//! | registering: the name or the static ID is taken | 5 |
//! | registering: a gateway's or converter's ends unknown | 8 |
//! | registering: a conversion matrix of the wrong size, an empty or too long name or list | 2 |
//! | deregistering, updating, asking for the domain: unknown ID | 8 |
//! | another domain's element, by its peer | 7 |
//! | peeking a class that doesn't exist | 8, ID 0 |
//!
//! Peeking a name that isn't registered reserves an ID for it and answers 0 with that ID.

use crate::command::{Availability, ConnectionState, Notification, Property};
use crate::routing::Hop;

/// `am_ConnectionFormat_e`, extensible by the project.
pub mod format {
    /// One channel.
    pub const MONO: u16 = 1;
    /// Two.
    pub const STEREO: u16 = 2;
    /// Not digital.
    pub const ANALOG: u16 = 3;
    /// Whatever both ends agree on.
    pub const AUTO: u16 = 4;
}

/// `am_DomainState_e`.
pub mod domain_state {
    /// Does as it is told.
    pub const CONTROLLED: i16 = 1;
    /// Was there first.
    pub const INDEPENDENT_STARTUP: i16 = 2;
    /// Goes on when the daemon ends.
    pub const INDEPENDENT_RUNDOWN: i16 = 3;
}

/// `am_SourceState_e`.
pub mod source_state {
    /// The source takes no states: none is ever sent to it.
    pub const UNKNOWN: i16 = 0;
    /// Sounds.
    pub const ON: i16 = 1;
    /// Doesn't.
    pub const OFF: i16 = 2;
    /// Will go on.
    pub const PAUSED: i16 = 3;
}

/// `am_HotSink_e`.
pub mod hot_sink {
    /// Input A is heard.
    pub const SINK_A: i16 = 1;
    /// Input B is.
    pub const SINK_B: i16 = 2;
    /// Both are.
    pub const INTERMEDIATE: i16 = 3;
}

/// `am_InterruptState_e`.
pub mod interrupt_state {
    /// Over.
    pub const OFF: i16 = 1;
    /// Sounds on its own.
    pub const INTERRUPTED: i16 = 2;
}

/// `am_Domain_s`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct DomainData {
    pub id: u16,
    pub name: String,
    pub node_name: String,
    pub early: bool,
    pub complete: bool,
    pub state: i16,
    /// Where it takes requests.
    pub bus_name: String,
    pub path: String,
    pub interface: String,
}

/// `am_Source_s`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct SourceData {
    pub id: u16,
    pub domain: u16,
    pub name: String,
    pub class: u16,
    pub state: i16,
    pub volume: i16,
    pub visible: bool,
    pub availability: Availability,
    pub interrupt: i16,
    pub lists: Lists,
}

/// `am_Sink_s`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct SinkData {
    pub id: u16,
    pub domain: u16,
    pub name: String,
    pub class: u16,
    pub volume: i16,
    pub visible: bool,
    pub availability: Availability,
    pub mute: i16,
    pub main_volume: i16,
    pub lists: Lists,
}

/// What sources and sinks have in common.
#[derive(Clone, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Lists {
    /// Connection formats.
    pub formats: Vec<u16>,
    /// Sound properties, towards the domain.
    pub sound: Vec<Property>,
    /// Main sound properties, towards clients.
    pub main_sound: Vec<Property>,
    /// Notification configurations, towards the domain.
    pub notifications: Vec<Notification>,
    /// Main notification configurations, towards clients.
    pub main_notifications: Vec<Notification>,
}

/// `am_Gateway_s`, and `am_Converter_s` (where all three domains are one).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct GatewayData {
    pub id: u16,
    pub name: String,
    pub sink: u16,
    pub source: u16,
    pub domain_sink: u16,
    pub domain_source: u16,
    pub control_domain: u16,
    pub source_formats: Vec<u16>,
    pub sink_formats: Vec<u16>,
    /// Row-major, rows = sink formats, columns = source formats.
    pub matrix: Vec<bool>,
}

/// `am_Crossfader_s`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct CrossfaderData {
    pub id: u16,
    pub name: String,
    pub sink_a: u16,
    pub sink_b: u16,
    pub source: u16,
    pub hot_sink: i16,
}

/// `am_Volumes_s`: one of several volumes set at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub struct VolumeRamp {
    pub end: End,
    pub volume: i16,
    pub ramp: u16,
    pub time_ms: u16,
}

/// One kind of element that can be registered and peeked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub enum Kind {
    Domain,
    Source,
    Sink,
    Gateway,
    Converter,
    Crossfader,
}

/// Source or sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum End {
    /// A source.
    Source(u16),
    /// A sink.
    Sink(u16),
}

/// One method call of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub enum RoutingCall {
    RegisterDomain(DomainData),
    RegisterSource(SourceData),
    RegisterSink(SinkData),
    RegisterGateway(GatewayData),
    RegisterConverter(GatewayData),
    RegisterCrossfader(CrossfaderData),
    /// `deregisterDomain` … `deregisterCrossfader`.
    Deregister {
        kind: Kind,
        id: u16,
    },
    /// `peekDomain`, `peekSource`, `peekSink`.
    Peek {
        kind: Kind,
        name: String,
    },
    /// `peekSourceClassID`, `peekSinkClassID`.
    PeekClass {
        name: String,
    },
    /// `getDomainOfSource`, `getDomainOfSink`.
    GetDomainOf {
        end: End,
    },
    /// `updateSource`, `updateSink`: class and lists.
    Update {
        end: End,
        class: u16,
        lists: Lists,
    },
    /// `updateGateway`, `updateConverter`: formats and matrix.
    UpdateGateway {
        kind: Kind,
        id: u16,
        source_formats: Vec<u16>,
        sink_formats: Vec<u16>,
        matrix: Vec<bool>,
    },
    /// Every `ack…` but the ticks.
    Ack {
        handle: u16,
        result: AckResult,
        error: u16,
    },
    /// `ackSinkVolumeTick`, `ackSourceVolumeTick`: on the way.
    AckVolumeTick {
        handle: u16,
        end: End,
        volume: i16,
    },
    HookInterruptStatusChange {
        source: u16,
        state: i16,
    },
    HookDomainRegistrationComplete {
        domain: u16,
    },
    ConfirmRoutingReady {
        domain: u16,
    },
    ConfirmRoutingRundown {
        domain: u16,
    },
    /// `hookSinkNotificationDataChange`, `hookSourceNotificationDataChange`.
    HookNotificationDataChange {
        end: End,
        payload: Property,
    },
    /// `hookSinkAvailablityStatusChange` (sic), `hookSourceAvailablityStatusChange`.
    HookAvailabilityStatusChange {
        end: End,
        availability: Availability,
    },
    HookDomainStateChange {
        domain: u16,
        state: i16,
    },
    HookTimingInformationChanged {
        connection: u16,
        delay: i16,
    },
    /// What changed while nobody listened: volumes and sound properties.
    SendChangedData {
        volumes: Vec<(End, i16)>,
        properties: Vec<(End, Property)>,
    },
    GetRoutingReadyState,
    /// A connection that runs already: it was made before anybody decided about it. Its source, sinks and sources on the way may
    /// be peeked names that are registered later. `state`: CONNECTED, or SUSPENDED (it goes on when the matrix lets it).
    RegisterEarlyConnection {
        domain: u16,
        source: u16,
        sink: u16,
        state: ConnectionState,
        route: Vec<Hop>,
    },
}

/// Which `ack…` it is, and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub enum AckResult {
    Connect { connection: u16 },
    Disconnect { connection: u16 },
    SourceState,
    SinkVolume { volume: i16 },
    SourceVolume { volume: i16 },
    SinkSoundProperty,
    SourceSoundProperty,
    SinkNotification,
    SourceNotification,
    CrossFading { hot_sink: i16 },
    SetVolumes,
    TransferConnection,
}

/// The answer to a [`RoutingCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutingReply {
    /// Acks, hooks and confirmations.
    Nothing,
    /// Deregistering and updating.
    Error(i16),
    /// Registering, peeking, asking for a domain: the ID, 0 with most errors.
    Id {
        /// The ID.
        id: u16,
        /// The code.
        error: i16,
    },
    /// `registerEarlyConnection`.
    Early {
        /// mainConnectionID, 0 on error.
        id: u16,
        /// connectionIDs of the segments, in the route's order.
        connections: Vec<u16>,
        /// The code.
        error: i16,
    },
    /// `getRoutingReadyState`.
    Ready(bool),
}

/// One request to a domain, acknowledged by an `ack…` with its handle ([`DomainRequest::Abort`]: by its method return).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub enum DomainRequest {
    Connect {
        handle: u16,
        connection: u16,
        source: u16,
        sink: u16,
        format: u16,
    },
    Disconnect {
        handle: u16,
        connection: u16,
    },
    SetSourceState {
        handle: u16,
        source: u16,
        state: i16,
    },
    SetSinkVolume {
        handle: u16,
        sink: u16,
        volume: i16,
        ramp: u16,
        time_ms: u16,
    },
    SetSourceVolume {
        handle: u16,
        source: u16,
        volume: i16,
        ramp: u16,
        time_ms: u16,
    },
    SetSinkSoundProperty {
        handle: u16,
        sink: u16,
        property: Property,
    },
    SetSourceSoundProperty {
        handle: u16,
        source: u16,
        property: Property,
    },
    SetSinkNotificationConfiguration {
        handle: u16,
        sink: u16,
        notification: Notification,
    },
    SetSourceNotificationConfiguration {
        handle: u16,
        source: u16,
        notification: Notification,
    },
    /// Take over a connection that is to outlive the daemon: its segments by names of source and sink.
    TransferConnection {
        handle: u16,
        domain: u16,
        route: Vec<(String, String)>,
        state: i16,
    },
    /// Acknowledged as [`Self::SetSinkSoundProperty`].
    SetSinkSoundProperties {
        handle: u16,
        sink: u16,
        properties: Vec<Property>,
    },
    /// Acknowledged as [`Self::SetSourceSoundProperty`].
    SetSourceSoundProperties {
        handle: u16,
        source: u16,
        properties: Vec<Property>,
    },
    CrossFade {
        handle: u16,
        crossfader: u16,
        hot_sink: i16,
        ramp: u16,
        time_ms: u16,
    },
    SetVolumes {
        handle: u16,
        volumes: Vec<VolumeRamp>,
    },
    /// `am_DomainState_e`; not acknowledged.
    SetDomainState {
        domain: u16,
        state: i16,
    },
    /// Give up what this handle asked for.
    Abort {
        handle: u16,
    },
}

impl DomainRequest {
    /// Its handle; 0 for the one that has none.
    pub fn handle(&self) -> u16 {
        match *self {
            Self::SetDomainState { .. } => 0,
            Self::Connect { handle, .. }
            | Self::Disconnect { handle, .. }
            | Self::SetSourceState { handle, .. }
            | Self::SetSinkVolume { handle, .. }
            | Self::SetSourceVolume { handle, .. }
            | Self::SetSinkSoundProperty { handle, .. }
            | Self::SetSourceSoundProperty { handle, .. }
            | Self::SetSinkNotificationConfiguration { handle, .. }
            | Self::SetSourceNotificationConfiguration { handle, .. }
            | Self::TransferConnection { handle, .. }
            | Self::SetSinkSoundProperties { handle, .. }
            | Self::SetSourceSoundProperties { handle, .. }
            | Self::CrossFade { handle, .. }
            | Self::SetVolumes { handle, .. }
            | Self::Abort { handle } => handle,
        }
    }
}
