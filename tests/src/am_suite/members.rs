//! What AudioManager's interfaces have: members, the types they answer with, the codes they can.

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// A method of the command interface.
    Command,
    /// A method of the routing interface.
    Routing,
    /// A method the daemon calls on a domain.
    Domain,
    /// A signal of the command interface.
    Signal,
    /// A signal of the routing interface.
    Ready,
}

/// How a member answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// With its code first.
    First,
    /// With its code last.
    Last,
    /// It carries a code itself, as its last argument.
    Carries,
    /// There is none.
    None,
}

/// One member.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// As the code of AudioManager has it.
    pub name: &'static str,
    /// Where.
    pub side: Side,
    /// Types of its answer (of a signal or a call to a domain: of its arguments).
    pub types: &'static str,
    /// Where its code is.
    pub code: Code,
    /// Codes it can have.
    pub codes: &'static [i64],
    /// It sets off, ends or shows state sequences of main connections.
    pub moves: bool,
}

const fn member(name: &'static str, side: Side, types: &'static str, code: Code, codes: &'static [i64]) -> Member {
    Member {
        name,
        side,
        types,
        code,
        codes,
        moves: false,
    }
}

const fn moves(member: Member) -> Member {
    Member { moves: true, ..member }
}

const fn command(name: &'static str, types: &'static str, codes: &'static [i64]) -> Member {
    member(name, Side::Command, types, Code::First, codes)
}

const fn registers(name: &'static str, codes: &'static [i64]) -> Member {
    member(name, Side::Routing, "qq", Code::Last, codes)
}

const fn changes(name: &'static str) -> Member {
    member(name, Side::Routing, "q", Code::Last, &[0, 7, 8])
}

const fn updates(name: &'static str) -> Member {
    member(name, Side::Routing, "q", Code::Last, &[0, 2, 7, 8])
}

const fn ack(name: &'static str, codes: &'static [i64]) -> Member {
    member(name, Side::Routing, "", Code::Carries, codes)
}

const fn hook(name: &'static str) -> Member {
    member(name, Side::Routing, "", Code::None, &[])
}

const fn asked(name: &'static str, types: &'static str) -> Member {
    member(name, Side::Domain, types, Code::None, &[])
}

const fn signal(name: &'static str, types: &'static str) -> Member {
    member(name, Side::Signal, types, Code::None, &[])
}

/// All of them.
pub static MEMBERS: &[Member] = &[
    moves(command("Connect", "nq", &[0, 4, 7, 8])),
    moves(command("Disconnect", "n", &[0, 7])),
    command("SetVolume", "n", &[0, 2]),
    command("VolumeStep", "n", &[0, 2]),
    command("SetSinkMuteState", "n", &[0, 2]),
    command("SetMainSinkSoundProperty", "n", &[0, 1, 2, 7]),
    command("SetMainSourceSoundProperty", "n", &[0, 1, 2]),
    command("SetSystemProperty", "n", &[0, 7]),
    command("getVolume", "nn", &[0, 8]),
    moves(command("GetListMainConnections", "na(qqqnn)", &[0])),
    command("GetListMainSinks", "na(qs(nn)nnq)", &[0]),
    command("GetListMainSources", "na(qs(nn)q)", &[0]),
    command("GetListMainSinkSoundProperties", "na(nn)", &[0, 8]),
    command("GetListMainSourceSoundProperties", "na(nn)", &[0, 8]),
    command("GetListSourceClasses", "na(qsa(nn))", &[0]),
    command("GetListSinkClasses", "na(qsa(nn))", &[0]),
    command("GetListSystemProperties", "na(nn)", &[0]),
    command("GetTimingInformation", "nn", &[0, 7, 8]),
    command("getListSinkMainNotificationConfigurations", "na(nnn)", &[0, 8]),
    command("getListSourceMainNotificationConfigurations", "na(nnn)", &[0, 8]),
    command("setSinkMainNotificationConfiguration", "n", &[0, 1, 2]),
    command("setSourceMainNotificationConfiguration", "n", &[0, 1, 2]),
    registers("registerDomain", &[0, 2, 5, 7]),
    registers("registerSink", &[0, 2, 4, 5, 7]),
    registers("registerSource", &[0, 2, 4, 5, 7]),
    registers("registerGateway", &[0, 2, 4, 5, 7, 8]),
    registers("registerConverter", &[0, 2, 4, 5, 7, 8]),
    registers("registerCrossfader", &[0, 2, 5, 7, 8]),
    moves(changes("deregisterDomain")),
    moves(changes("deregisterGateway")),
    changes("deregisterConverter"),
    moves(changes("deregisterSink")),
    moves(changes("deregisterSource")),
    changes("deregisterCrossfader"),
    registers("peekDomain", &[0, 2]),
    registers("peekSink", &[0, 2]),
    registers("peekSource", &[0, 2]),
    registers("peekSinkClassID", &[0, 8]),
    registers("peekSourceClassID", &[0, 8]),
    registers("getDomainOfSource", &[0, 8]),
    registers("getDomainOfSink", &[0, 8]),
    updates("updateSink"),
    updates("updateSource"),
    updates("updateGateway"),
    updates("updateConverter"),
    moves(member(
        "registerEarlyConnection",
        Side::Routing,
        "qqaq",
        Code::First,
        &[0, 2, 4, 5, 7, 8],
    )),
    moves(ack("ackConnect", &[0, 7])),
    moves(ack("ackDisconnect", &[0, 7])),
    moves(ack("ackSetSinkVolume", &[0, 7, 9])),
    ack("ackSetSourceVolume", &[0, 7]),
    moves(ack("ackSetSourceState", &[0, 7])),
    ack("ackSetSinkSoundProperty", &[0, 7]),
    ack("ackSetSourceSoundProperty", &[0, 7]),
    ack("ackSetSinkSoundProperties", &[0, 7]),
    ack("ackSetSourceSoundProperties", &[0, 7]),
    ack("ackSinkNotificationConfiguration", &[0, 7]),
    ack("ackSourceNotificationConfiguration", &[0, 7]),
    ack("ackCrossFading", &[0, 7]),
    ack("ackSetVolumes", &[0, 7]),
    ack("ackTransferConnection", &[0, 7]),
    hook("ackSinkVolumeTick"),
    hook("ackSourceVolumeTick"),
    hook("hookInterruptStatusChange"),
    hook("hookDomainRegistrationComplete"),
    hook("confirmRoutingReady"),
    hook("confirmRoutingRundown"),
    hook("hookSinkNotificationDataChange"),
    hook("hookSourceNotificationDataChange"),
    moves(hook("hookSinkAvailablityStatusChange")),
    moves(hook("hookSourceAvailablityStatusChange")),
    hook("hookDomainStateChange"),
    hook("hookTimingInformationChanged"),
    hook("sendChangedData"),
    member("getRoutingReadyState", Side::Routing, "b", Code::None, &[]),
    moves(asked("asyncConnect", "qqqqi")),
    moves(asked("asyncDisconnect", "qq")),
    moves(asked("asyncSetSinkVolume", "qqnnq")),
    asked("asyncSetSourceVolume", "qqnnq"),
    moves(asked("asyncSetSourceState", "qqi")),
    asked("asyncSetSinkSoundProperty", "qq(nn)"),
    asked("asyncSetSourceSoundProperty", "qq(nn)"),
    asked("asyncSetSinkSoundProperties", "qqa(nn)"),
    asked("asyncSetSourceSoundProperties", "qqa(nn)"),
    asked("asyncSetSinkNotificationConfiguration", "qq(nnn)"),
    asked("asyncSetSourceNotificationConfiguration", "qq(nnn)"),
    asked("asyncCrossFade", "qqqqq"),
    asked("asyncSetVolumes", "qa(nqnnq)"),
    asked("asyncTransferConnection", "qqa(ss)i"),
    moves(asked("asyncAbort", "q")),
    asked("setDomainState", "qq"),
    moves(signal("NewMainConnection", "(qqqnn)")),
    moves(signal("RemovedMainConnection", "q")),
    moves(signal("MainConnectionStateChanged", "qn")),
    signal("TimingInformationChanged", "qn"),
    signal("SinkAdded", "(qs(nn)nnq)"),
    signal("SinkRemoved", "q"),
    signal("SourceAdded", "(qs(nn)q)"),
    signal("SourceRemoved", "q"),
    signal("NumberOfSinkClassesChanged", ""),
    signal("NumberOfSourceClassesChanged", ""),
    signal("MainSinkSoundPropertyChanged", "q(nn)"),
    signal("MainSourceSoundPropertyChanged", "q(nn)"),
    signal("VolumeChanged", "qn"),
    signal("SinkMuteStateChanged", "qn"),
    signal("SystemPropertyChanged", "(nn)"),
    signal("SinkUpdated", "qqa(nn)"),
    signal("SourceUpdated", "qqa(nn)"),
    signal("SinkNotification", "q(nn)"),
    signal("SourceNotification", "q(nn)"),
    signal("SinkMainNotificationConfigurationChanged", "q(nnn)"),
    signal("SourceMainNotificationConfigurationChanged", "q(nnn)"),
    signal("SinkAvailabilityChanged", "q(nn)"),
    signal("SourceAvailabilityChanged", "q(nn)"),
    member("setRoutingReady", Side::Ready, "", Code::None, &[]),
    member("setRoutingRundown", Side::Ready, "", Code::None, &[]),
];

/// The member of this name, also by the right spelling of what AudioManager misspells.
#[must_use]
pub fn find(name: &str) -> Option<&'static Member> {
    let name = match name {
        "hookSinkAvailabilityStatusChange" => "hookSinkAvailablityStatusChange",
        "hookSourceAvailabilityStatusChange" => "hookSourceAvailablityStatusChange",
        name => name,
    };
    MEMBERS.iter().find(|member| member.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_what_the_interfaces_have() {
        let count = |side| MEMBERS.iter().filter(|it| it.side == side).count();

        assert_eq!((count(Side::Command), count(Side::Signal)), (22, 23));
        assert_eq!(count(Side::Routing), 52, "44 dispatched by the code, 8 in its XML only");
        assert_eq!((count(Side::Domain), count(Side::Ready)), (16, 2));
    }
}
