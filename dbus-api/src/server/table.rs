//! Every method and signal in one table: what is accepted, how it is decoded, what is answered. Dispatch and Introspect
//! both read it.

use policy::command::Call;

use super::args::{Arg, Args};
use super::shape::{self, Shape};
use super::{OwnCall, What};

/// A declared out argument or signal argument.
pub(super) type Out = (&'static str, &'static str);

/// What the answer to a method must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// `n`.
    Nothing,
    /// `nq`.
    Connection,
    /// `nn`.
    Volume,
    /// `nn`.
    Delay,
    /// `na(qqqnn)`.
    Connections,
    /// `na(qs(nn)nnq)`.
    Sinks,
    /// `na(qs(nn)q)`.
    Sources,
    /// `na(nn)`.
    Properties,
    /// `na(qsa(nn))`.
    Classes,
    /// `na(nnn)`.
    Notifications,
    /// `s`.
    Json,
    /// `s`.
    Decisions,
    /// `ns`.
    Text,
    /// No arguments.
    Empty,
    /// `q`.
    Code,
    /// `qq`.
    Id,
    /// `qqaq`: AudioManager's XML has the code only; a domain needs the connections' IDs.
    Early,
    /// `b`.
    Ready,
}

impl Answer {
    /// Out arguments, in order.
    pub(super) fn outs(self) -> &'static [Out] {
        match self {
            Self::Nothing => &[("result", "n")],
            Self::Connection => &[("result", "n"), ("mainConnectionID", "q")],
            Self::Volume => &[("result", "n"), ("mainVolume", "n")],
            Self::Delay => &[("result", "n"), ("delay", "n")],
            Self::Connections => &[("result", "n"), ("listMainConnections", "a(qqqnn)")],
            Self::Sinks => &[("result", "n"), ("listMainSinks", "a(qs(nn)nnq)")],
            Self::Sources => &[("result", "n"), ("listMainSources", "a(qs(nn)q)")],
            Self::Properties => &[("result", "n"), ("listProperties", "a(nn)")],
            Self::Classes => &[("result", "n"), ("listClasses", "a(qsa(nn))")],
            Self::Notifications => &[("result", "n"), ("listNotificationConfigurations", "a(nnn)")],
            Self::Json => &[("status", "s")],
            Self::Decisions => &[("decisions", "s")],
            Self::Text => &[("result", "n"), ("text", "s")],
            Self::Empty => &[],
            Self::Code => &[("error", "q")],
            Self::Id => &[("id", "q"), ("error", "q")],
            Self::Early => &[("error", "q"), ("mainConnectionID", "q"), ("connectionIDs", "aq")],
            Self::Ready => &[("state", "b")],
        }
    }
}

/// One method.
pub(super) struct Method {
    /// As the code of AudioManager dispatches it.
    pub(super) member: &'static str,
    /// As its published XML spells it, where that differs.
    pub(super) also: Option<&'static str>,
    /// In arguments.
    pub(super) takes: &'static [Arg],
    /// Out arguments.
    pub(super) answer: Answer,
    /// Makes the call.
    pub(super) make: fn(&Args) -> What,
}

/// One signal.
pub(super) struct SignalRow {
    pub(super) member: &'static str,
    pub(super) args: &'static [Out],
}

pub(super) const fn arg(name: &'static str, shape: Shape) -> Arg {
    Arg { name, shape }
}

const SINK: Arg = arg("sinkID", shape::ID);
const SOURCE: Arg = arg("sourceID", shape::ID);
const CONNECTION: Arg = arg("mainConnectionID", shape::ID);
const VOLUME: Arg = arg("mainVolume", shape::VALUE);
const STEP: Arg = arg("volumeStep", shape::VALUE);
const MUTE: Arg = arg("muteState", shape::VALUE);
const GAIN: Arg = arg("gain", shape::VALUE);
const SOUND: Arg = arg("soundProperty", shape::PROPERTY);
const SYSTEM: Arg = arg("systemProperty", shape::PROPERTY);
const SOUNDS: Arg = arg("listSoundProperties", Shape::List(&shape::PROPERTY));
const SYSTEMS: Arg = arg("listSystemProperties", Shape::List(&shape::PROPERTY));
const CONFIGURATION: Arg = arg("mainNotificationConfiguration", shape::NOTIFICATION);
const FROM: Arg = arg("from", shape::NUMBER);
const MOST: Arg = arg("most", shape::ID);
const NAME: Arg = arg("name", shape::TEXT);

pub(super) const fn row(
    member: &'static str,
    takes: &'static [Arg],
    answer: Answer,
    make: fn(&Args) -> What,
) -> Method {
    Method {
        member,
        also: None,
        takes,
        answer,
        make,
    }
}

pub(super) const fn spelled(method: Method, also: &'static str) -> Method {
    Method {
        also: Some(also),
        ..method
    }
}

/// Methods of `org.genivi.audiomanager.commandinterface`.
#[rustfmt::skip]
pub(super) static COMMAND: [Method; 22] = [
    row("Connect", &[SOURCE, SINK], Answer::Connection,
        |a| What::Command(Call::Connect { source: a.id(0), sink: a.id(1) })),
    row("Disconnect", &[CONNECTION], Answer::Nothing,
        |a| What::Command(Call::Disconnect { connection: a.id(0) })),
    row("SetVolume", &[SINK, VOLUME], Answer::Nothing,
        |a| What::Command(Call::SetVolume { sink: a.id(0), volume: a.value(1) })),
    row("VolumeStep", &[SINK, STEP], Answer::Nothing,
        |a| What::Command(Call::VolumeStep { sink: a.id(0), step: a.value(1) })),
    row("SetSinkMuteState", &[SINK, MUTE], Answer::Nothing,
        |a| What::Command(Call::SetSinkMuteState { sink: a.id(0), state: a.value(1) })),
    row("SetMainSinkSoundProperty", &[SINK, SOUND], Answer::Nothing,
        |a| What::Command(Call::SetMainSinkSoundProperty { sink: a.id(0), property: a.property(1) })),
    row("SetMainSourceSoundProperty", &[SOURCE, SOUND], Answer::Nothing,
        |a| What::Command(Call::SetMainSourceSoundProperty { source: a.id(0), property: a.property(1) })),
    row("SetSystemProperty", &[SYSTEM], Answer::Nothing,
        |a| What::Command(Call::SetSystemProperty { property: a.property(0) })),
    row("getVolume", &[SINK], Answer::Volume,
        |a| What::Command(Call::GetVolume { sink: a.id(0) })),
    row("GetListMainConnections", &[], Answer::Connections,
        |_| What::Command(Call::GetListMainConnections)),
    row("GetListMainSinks", &[], Answer::Sinks,
        |_| What::Command(Call::GetListMainSinks)),
    row("GetListMainSources", &[], Answer::Sources,
        |_| What::Command(Call::GetListMainSources)),
    row("GetListMainSinkSoundProperties", &[SINK], Answer::Properties,
        |a| What::Command(Call::GetListMainSinkSoundProperties { sink: a.id(0) })),
    row("GetListMainSourceSoundProperties", &[SOURCE], Answer::Properties,
        |a| What::Command(Call::GetListMainSourceSoundProperties { source: a.id(0) })),
    row("GetListSourceClasses", &[], Answer::Classes,
        |_| What::Command(Call::GetListSourceClasses)),
    row("GetListSinkClasses", &[], Answer::Classes,
        |_| What::Command(Call::GetListSinkClasses)),
    row("GetListSystemProperties", &[], Answer::Properties,
        |_| What::Command(Call::GetListSystemProperties)),
    row("GetTimingInformation", &[CONNECTION], Answer::Delay,
        |a| What::Command(Call::GetTimingInformation { connection: a.id(0) })),
    spelled(row("getListSinkMainNotificationConfigurations", &[SINK], Answer::Notifications,
        |a| What::Command(Call::GetListSinkMainNotificationConfigurations { sink: a.id(0) })),
        "GetListSinkMainNotificationConfigurations"),
    spelled(row("getListSourceMainNotificationConfigurations", &[SOURCE], Answer::Notifications,
        |a| What::Command(Call::GetListSourceMainNotificationConfigurations { source: a.id(0) })),
        "GetListSourceMainNotificationConfigurations"),
    spelled(row("setSinkMainNotificationConfiguration", &[SINK, CONFIGURATION], Answer::Nothing,
        |a| What::Command(Call::SetSinkMainNotificationConfiguration { sink: a.id(0), notification: a.notification(1) })),
        "setMainSinkNotificationConfiguration"),
    spelled(row("setSourceMainNotificationConfiguration", &[SOURCE, CONFIGURATION], Answer::Nothing,
        |a| What::Command(Call::SetSourceMainNotificationConfiguration { source: a.id(0), notification: a.notification(1) })),
        "setMainSourceNotificationConfiguration"),
];

/// Methods of `org.carillon.Audio1`.
#[rustfmt::skip]
pub(super) static OWN: [Method; 10] = [
    row("Status", &[], Answer::Json, |_| What::Own(OwnCall::Status)),
    row("Chime", &[NAME], Answer::Text, |a| What::Own(OwnCall::Chime { name: a.text(0) })),
    row("Listen", &[], Answer::Text, |_| What::Listen),
    row("Reload", &[], Answer::Text, |_| What::Own(OwnCall::Reload)),
    row("History", &[FROM, MOST], Answer::Decisions,
        |a| What::Own(OwnCall::History { from: a.number(0), most: a.id(1) })),
    row("SetSourceGain", &[SOURCE, GAIN], Answer::Nothing,
        |a| What::Command(Call::SetSourceGain { source: a.id(0), gain: a.value(1) })),
    row("SetSourceMute", &[SOURCE, MUTE], Answer::Nothing,
        |a| What::Command(Call::SetSourceMute { source: a.id(0), state: a.value(1) })),
    row("SetMainSinkSoundProperties", &[SINK, SOUNDS], Answer::Nothing,
        |a| What::Command(Call::SetMainSinkSoundProperties { sink: a.id(0), properties: a.properties(1) })),
    row("SetMainSourceSoundProperties", &[SOURCE, SOUNDS], Answer::Nothing,
        |a| What::Command(Call::SetMainSourceSoundProperties { source: a.id(0), properties: a.properties(1) })),
    row("SetSystemProperties", &[SYSTEMS], Answer::Nothing,
        |a| What::Command(Call::SetSystemProperties { properties: a.properties(0) })),
];

pub(super) const fn signal(member: &'static str, args: &'static [Out]) -> SignalRow {
    SignalRow { member, args }
}

/// Signals of `org.genivi.audiomanager.commandinterface`.
#[rustfmt::skip]
pub(super) static COMMAND_SIGNALS: [SignalRow; 23] = [
    signal("NewMainConnection", &[("mainConnection", "(qqqnn)")]),
    signal("RemovedMainConnection", &[("mainConnectionID", "q")]),
    signal("MainConnectionStateChanged", &[("mainConnectionID", "q"), ("connectionState", "n")]),
    signal("TimingInformationChanged", &[("mainConnectionID", "q"), ("delay", "n")]),
    signal("SinkAdded", &[("newSink", "(qs(nn)nnq)")]),
    signal("SinkRemoved", &[("sinkID", "q")]),
    signal("SourceAdded", &[("newSource", "(qs(nn)q)")]),
    signal("SourceRemoved", &[("sourceID", "q")]),
    signal("NumberOfSinkClassesChanged", &[]),
    signal("NumberOfSourceClassesChanged", &[]),
    signal("MainSinkSoundPropertyChanged", &[("sinkID", "q"), ("soundProperty", "(nn)")]),
    signal("MainSourceSoundPropertyChanged", &[("sourceID", "q"), ("soundProperty", "(nn)")]),
    signal("VolumeChanged", &[("sinkID", "q"), ("volume", "n")]),
    signal("SinkMuteStateChanged", &[("sinkID", "q"), ("muteState", "n")]),
    signal("SystemPropertyChanged", &[("systemProperty", "(nn)")]),
    signal("SinkUpdated", &[("sinkID", "q"), ("sinkClassID", "q"), ("listMainSoundProperties", "a(nn)")]),
    signal("SourceUpdated", &[("sourceID", "q"), ("sourceClassID", "q"), ("listMainSoundProperties", "a(nn)")]),
    signal("SinkNotification", &[("sinkID", "q"), ("notificationPayload", "(nn)")]),
    signal("SourceNotification", &[("sourceID", "q"), ("notificationPayload", "(nn)")]),
    signal("SinkMainNotificationConfigurationChanged", &[("sinkID", "q"), ("mainNotificationConfiguration", "(nnn)")]),
    signal("SourceMainNotificationConfigurationChanged", &[("sourceID", "q"), ("mainNotificationConfiguration", "(nnn)")]),
    signal("SinkAvailabilityChanged", &[("sinkID", "q"), ("availability", "(nn)")]),
    signal("SourceAvailabilityChanged", &[("sourceID", "q"), ("availability", "(nn)")]),
];

/// Signals of `org.carillon.Audio1`.
pub(super) static OWN_SIGNALS: [SignalRow; 1] = [signal("Event", &[("json", "s")])];

/// The method of `member` in `methods`, by either spelling.
pub(super) fn find(methods: &'static [Method], member: &str) -> Option<&'static Method> {
    methods
        .iter()
        .find(|method| method.member == member || method.also == Some(member))
}
