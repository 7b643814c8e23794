//! The AudioManager command interface as data (names and numbers: GENIVI AudioManager 8, Command 4.1). `dbus-api` turns these
//! into messages and back; nothing here knows D-Bus.

/// `am_Error_e`.
pub mod error {
    /// Done.
    pub const OK: i16 = 0;
    /// Not known.
    pub const UNKNOWN: i16 = 1;
    /// A value or ID out of range.
    pub const OUT_OF_RANGE: i16 = 2;
    /// Not used.
    pub const NOT_USED: i16 = 3;
    /// Not available now.
    pub const DATABASE_ERROR: i16 = 4;
    /// There is one already.
    pub const ALREADY_EXISTS: i16 = 5;
    /// Nothing would change.
    pub const NO_CHANGE: i16 = 6;
    /// Not possible: no route, refused by policy.
    pub const NOT_POSSIBLE: i16 = 7;
    /// No such thing.
    pub const NON_EXISTENT: i16 = 8;
    /// Aborted.
    pub const ABORTED: i16 = 9;
    /// Wrong format.
    pub const WRONG_FORMAT: i16 = 10;
    /// Communication failed.
    pub const COMMUNICATION: i16 = 11;
}

/// `am_ConnectionState_e`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[repr(i16)]
pub enum ConnectionState {
    /// CS_UNKNOWN.
    Unknown = 0,
    /// CS_CONNECTING.
    Connecting = 1,
    /// CS_CONNECTED.
    Connected = 2,
    /// CS_DISCONNECTING.
    Disconnecting = 3,
    /// CS_DISCONNECTED.
    Disconnected = 4,
    /// CS_SUSPENDED.
    Suspended = 5,
}

/// `am_Availability_s`: availability (1 available, 2 unavailable) and its reason.
pub type Availability = (i16, i16);
/// Property type and value.
pub type Property = (i16, i16);
/// Notification type, status, parameter.
pub type Notification = (i16, i16, i16);

/// One method call of the command interface; IDs as clients see them (u16).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub enum Call {
    Connect {
        source: u16,
        sink: u16,
    },
    Disconnect {
        connection: u16,
    },
    SetVolume {
        sink: u16,
        volume: i16,
    },
    VolumeStep {
        sink: u16,
        step: i16,
    },
    SetSinkMuteState {
        sink: u16,
        state: i16,
    },
    SetMainSinkSoundProperty {
        sink: u16,
        property: Property,
    },
    SetMainSourceSoundProperty {
        source: u16,
        property: Property,
    },
    SetSystemProperty {
        property: Property,
    },
    /// Several at once: AudioManager's C++ interface has it, its D-Bus interface doesn't.
    SetMainSinkSoundProperties {
        sink: u16,
        properties: Vec<Property>,
    },
    /// As for sinks.
    SetMainSourceSoundProperties {
        source: u16,
        properties: Vec<Property>,
    },
    /// As for sinks.
    SetSystemProperties {
        properties: Vec<Property>,
    },
    GetVolume {
        sink: u16,
    },
    GetListMainConnections,
    GetListMainSinks,
    GetListMainSources,
    GetListMainSinkSoundProperties {
        sink: u16,
    },
    GetListMainSourceSoundProperties {
        source: u16,
    },
    GetListSourceClasses,
    GetListSinkClasses,
    GetListSystemProperties,
    GetTimingInformation {
        connection: u16,
    },
    GetListSinkMainNotificationConfigurations {
        sink: u16,
    },
    GetListSourceMainNotificationConfigurations {
        source: u16,
    },
    SetSinkMainNotificationConfiguration {
        sink: u16,
        notification: Notification,
    },
    SetSourceMainNotificationConfiguration {
        source: u16,
        notification: Notification,
    },
    /// Ours: a source's wanted gain, 0.1 dB, at most 0 (not an AudioManager member).
    SetSourceGain {
        source: u16,
        gain: i16,
    },
    /// Ours: a source's user mute (1 muted, 2 not).
    SetSourceMute {
        source: u16,
        state: i16,
    },
}

impl Call {
    /// It only asks what is so.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::GetVolume { .. }
                | Self::GetListMainConnections
                | Self::GetListMainSinks
                | Self::GetListMainSources
                | Self::GetListMainSinkSoundProperties { .. }
                | Self::GetListMainSourceSoundProperties { .. }
                | Self::GetListSourceClasses
                | Self::GetListSinkClasses
                | Self::GetListSystemProperties
                | Self::GetTimingInformation { .. }
                | Self::GetListSinkMainNotificationConfigurations { .. }
                | Self::GetListSourceMainNotificationConfigurations { .. }
        )
    }
}

/// `am_MainConnectionType_s`, (qqqnn).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainConnection {
    /// mainConnectionID.
    pub id: u16,
    /// sourceID.
    pub source: u16,
    /// sinkID.
    pub sink: u16,
    /// Delay in ms, -1 = unknown.
    pub delay: i16,
    /// State.
    pub state: ConnectionState,
}

/// `am_SinkType_s`, (qs(nn)nnq).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainSink {
    /// sinkID.
    pub id: u16,
    /// Name.
    pub name: String,
    /// Availability.
    pub availability: Availability,
    /// mainVolume.
    pub volume: i16,
    /// 1 muted, 2 unmuted.
    pub mute: i16,
    /// sinkClassID.
    pub class: u16,
}

/// `am_SourceType_s`, (qs(nn)q).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MainSource {
    /// sourceID.
    pub id: u16,
    /// Name.
    pub name: String,
    /// Availability.
    pub availability: Availability,
    /// sourceClassID.
    pub class: u16,
}

/// `am_SourceClass_s` or `am_SinkClass_s`, (qsa(nn)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassInfo {
    /// classID.
    pub id: u16,
    /// Name.
    pub name: String,
    /// Properties.
    pub properties: Vec<Property>,
}

/// The answer to a [`Call`]: the return code comes first on the wire, then the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `error`.
    pub error: i16,
    /// What follows it; its kind is fixed by the call, also when `error` is not OK.
    pub body: ReplyBody,
}

/// See [`Reply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyBody {
    /// Nothing.
    Nothing,
    /// Connect: mainConnectionID, 0 on error.
    Connection(u16),
    /// getVolume: mainVolume, -1 on error.
    Volume(i16),
    /// GetTimingInformation: ms, -1 unknown.
    Delay(i16),
    /// GetListMainConnections.
    Connections(Vec<MainConnection>),
    /// GetListMainSinks.
    Sinks(Vec<MainSink>),
    /// GetListMainSources.
    Sources(Vec<MainSource>),
    /// Lists of sound or system properties.
    Properties(Vec<Property>),
    /// Lists of classes.
    Classes(Vec<ClassInfo>),
    /// Lists of notification configurations.
    Notifications(Vec<Notification>),
}

/// One signal of the command interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the interface's own")]
pub enum Signal {
    NewMainConnection(MainConnection),
    RemovedMainConnection {
        connection: u16,
    },
    MainConnectionStateChanged {
        connection: u16,
        state: ConnectionState,
    },
    TimingInformationChanged {
        connection: u16,
        delay: i16,
    },
    SinkAdded(MainSink),
    SinkRemoved {
        sink: u16,
    },
    SourceAdded(MainSource),
    SourceRemoved {
        source: u16,
    },
    NumberOfSinkClassesChanged,
    NumberOfSourceClassesChanged,
    MainSinkSoundPropertyChanged {
        sink: u16,
        property: Property,
    },
    MainSourceSoundPropertyChanged {
        source: u16,
        property: Property,
    },
    VolumeChanged {
        sink: u16,
        volume: i16,
    },
    SinkMuteStateChanged {
        sink: u16,
        state: i16,
    },
    SystemPropertyChanged {
        property: Property,
    },
    SinkUpdated {
        sink: u16,
        class: u16,
        properties: Vec<Property>,
    },
    SourceUpdated {
        source: u16,
        class: u16,
        properties: Vec<Property>,
    },
    SinkNotification {
        sink: u16,
        payload: Property,
    },
    SourceNotification {
        source: u16,
        payload: Property,
    },
    SinkMainNotificationConfigurationChanged {
        sink: u16,
        notification: Notification,
    },
    SourceMainNotificationConfigurationChanged {
        source: u16,
        notification: Notification,
    },
    SinkAvailabilityChanged {
        sink: u16,
        availability: Availability,
    },
    SourceAvailabilityChanged {
        source: u16,
        availability: Availability,
    },
}
