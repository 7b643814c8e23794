//! What a step is about, in words.

use policy::command::Call;
use policy::routing_command::{Kind, RoutingCall};
use policy::{Event, Machine};

use crate::control::monitor::Names;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// In words.
    pub about: String,
    /// Somebody asked for it: it is a decision whatever comes of it.
    pub asked: bool,
}

/// It only asks what is so.
pub fn reads(event: &Event) -> bool {
    match event {
        Event::Call { call, .. } => call.only_reads(),
        Event::Routing { call, .. } => matches!(
            call,
            RoutingCall::GetDomainOf { .. } | RoutingCall::GetRoutingReadyState
        ),
        _ => false,
    }
}

/// Of an event.
pub fn occasion(event: &Event, machine: &Machine, names: &Names) -> Occasion {
    if reads(event) {
        let (about, asked) = ("a read that found a time was over".to_owned(), false);
        return Occasion { about, asked };
    }
    let of = |asked, about: String| Occasion { about, asked };
    let source = |index: &usize| names.source(*index);
    match event {
        Event::Call { call, .. } => of(!call.only_reads(), call_words(call, machine, names)),
        Event::StreamStarted { source: index, .. } => of(true, format!("{} was started", source(index))),
        Event::StreamStopped { source: index } => of(true, format!("{} was stopped", source(index))),
        Event::StreamReleased { source: index } => of(true, format!("{} was released", source(index))),
        Event::Available {
            source: index,
            available,
        } => {
            let guest = if *available { "came" } else { "went" };
            of(false, format!("the guest of {} {guest}", source(index)))
        }
        Event::UserGain {
            source: index,
            gain,
            mute,
        } => {
            let muted = if *mute { ", muted" } else { "" };
            let gain = f32::from(*gain) / 10.0;
            of(true, format!("the guest sets {} to {gain:.1} dB{muted}", source(index)))
        }
        Event::Sounding { source: index, on } => of(
            true,
            format!("{} {}", source(index), if *on { "sounds" } else { "has ended" }),
        ),
        Event::Routing { call, .. } => of(routing_asks(call), routing_words(call)),
        Event::RequestFailed { handle, .. } => of(true, format!("request {handle} to a domain failed")),
        Event::PeerLost { peer } => of(true, format!("{peer} has left the bus")),
        Event::Rundown => of(true, "the daemon ends".to_owned()),
        Event::Tick => of(false, "a time was over".to_owned()),
    }
}

/// Reads are no decisions.
fn routing_asks(call: &RoutingCall) -> bool {
    !matches!(
        call,
        RoutingCall::Peek { .. }
            | RoutingCall::PeekClass { .. }
            | RoutingCall::GetDomainOf { .. }
            | RoutingCall::GetRoutingReadyState
            | RoutingCall::AckVolumeTick { .. }
    )
}

fn call_words(call: &Call, machine: &Machine, names: &Names) -> String {
    let source = |id: u16| source_name(id, machine, names);
    let sink = |id: u16| sink_name(id, machine, names);
    let mute = |state: i16| if state == 1 { "mute" } else { "unmute" };
    match call {
        Call::Connect { source: from, sink: to } => format!("Connect {} to {}", source(*from), sink(*to)),
        Call::Disconnect { connection } => format!("Disconnect connection {connection}"),
        Call::SetVolume { sink: to, volume } => format!("SetVolume {} to {volume}", sink(*to)),
        Call::VolumeStep { sink: to, step } => format!("VolumeStep {} by {step}", sink(*to)),
        Call::SetSinkMuteState { sink: to, state } => format!("{} {}", mute(*state), sink(*to)),
        Call::SetSourceGain { source: from, gain } => {
            format!("set {} to {:.1} dB", source(*from), f32::from(*gain) / 10.0)
        }
        Call::SetSourceMute { source: from, state } => format!("{} {}", mute(*state), source(*from)),
        other => format!("{other:?}"),
    }
}

fn routing_words(call: &RoutingCall) -> String {
    match call {
        RoutingCall::RegisterDomain(data) => format!("domain {} is registered", data.name),
        RoutingCall::RegisterSource(data) => format!("source {} of a domain is registered", data.name),
        RoutingCall::RegisterSink(data) => format!("sink {} of a domain is registered", data.name),
        RoutingCall::RegisterGateway(data) | RoutingCall::RegisterConverter(data) => {
            format!("gateway or converter {} is registered", data.name)
        }
        RoutingCall::RegisterCrossfader(data) => format!("crossfader {} is registered", data.name),
        RoutingCall::Deregister { kind, id } => format!("{} {id} is deregistered", kind_word(*kind)),
        RoutingCall::Ack { handle, error, .. } => format!("a domain acknowledges request {handle} with {error}"),
        other => format!("{other:?}"),
    }
}

fn kind_word(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}

fn source_name(id: u16, machine: &Machine, names: &Names) -> String {
    let ours = (0..names.sources.len()).find(|index| machine.source_id(*index) == Some(id));
    let theirs = || machine.registry().sources.get(&id).map(|it| it.name.clone());
    let name = ours.map(|index| names.source(index).to_owned()).or_else(theirs);
    name.unwrap_or_else(|| format!("source {id}"))
}

fn sink_name(id: u16, machine: &Machine, names: &Names) -> String {
    let ours = (0..names.sinks.len()).find(|index| machine.sink_id(*index) == Some(id));
    let theirs = || machine.registry().sinks.get(&id).map(|it| it.name.clone());
    let name = ours.map(|index| names.sink(index).to_owned()).or_else(theirs);
    name.unwrap_or_else(|| format!("sink {id}"))
}
