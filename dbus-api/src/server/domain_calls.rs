//! Requests to domains as method calls on the object they named, with the types AudioManager's code sends. It never sends
//! (or sends malformed) asyncTransferConnection, asyncCrossFade, asyncSetVolumes and asyncSet…NotificationConfiguration: their
//! types are those of its XML, of the ack, or of the command interface.

use policy::routing_command::{DomainRequest, End, VolumeRamp};
use zbus::Message;
use zbus::message::{Builder, Flags};

use super::DomainCall;

/// The message; `returns`: its return is waited for.
pub(super) fn message(call: &DomainCall, returns: bool) -> zbus::Result<Message> {
    let to = Message::method_call(call.path.as_str(), member(&call.request)).interface(call.interface.as_str());
    let to = match call.peer.as_str() {
        // Without a bus.
        "" => to,
        peer => to.destination(peer),
    };
    let to = if returns {
        to
    } else {
        to.with_flags(Flags::NO_REPLY_EXPECTED)
    };
    build(to, &call.request)
}

/// Its name.
pub(super) fn member(request: &DomainRequest) -> &'static str {
    use DomainRequest as R;
    match request {
        R::Connect { .. } => "asyncConnect",
        R::Disconnect { .. } => "asyncDisconnect",
        R::SetSourceState { .. } => "asyncSetSourceState",
        R::SetSinkVolume { .. } => "asyncSetSinkVolume",
        R::SetSourceVolume { .. } => "asyncSetSourceVolume",
        R::SetSinkSoundProperty { .. } => "asyncSetSinkSoundProperty",
        R::SetSourceSoundProperty { .. } => "asyncSetSourceSoundProperty",
        R::SetSinkSoundProperties { .. } => "asyncSetSinkSoundProperties",
        R::SetSourceSoundProperties { .. } => "asyncSetSourceSoundProperties",
        R::SetSinkNotificationConfiguration { .. } => "asyncSetSinkNotificationConfiguration",
        R::SetSourceNotificationConfiguration { .. } => "asyncSetSourceNotificationConfiguration",
        R::CrossFade { .. } => "asyncCrossFade",
        R::SetVolumes { .. } => "asyncSetVolumes",
        R::TransferConnection { .. } => "asyncTransferConnection",
        R::SetDomainState { .. } => "setDomainState",
        R::Abort { .. } => "asyncAbort",
    }
}

#[rustfmt::skip]
fn build(to: Builder<'_>, request: &DomainRequest) -> zbus::Result<Message> {
    use DomainRequest as R;
    match request {
        R::Connect { handle, connection, source, sink, format } =>
            to.build(&(*handle, *connection, *source, *sink, i32::from(*format))),
        R::Disconnect { handle, connection } => to.build(&(*handle, *connection)),
        R::SetSourceState { handle, source, state } => to.build(&(*handle, *source, i32::from(*state))),
        R::SetSinkVolume { handle, sink: id, volume, ramp, time_ms }
        | R::SetSourceVolume { handle, source: id, volume, ramp, time_ms } =>
            // The ramp's type is u16 in AudioManager and `n` on the wire.
            to.build(&(*handle, *id, *volume, *ramp as i16, *time_ms)),
        R::SetSinkSoundProperty { handle, sink: id, property }
        | R::SetSourceSoundProperty { handle, source: id, property } => to.build(&(*handle, *id, *property)),
        R::SetSinkSoundProperties { handle, sink: id, properties }
        | R::SetSourceSoundProperties { handle, source: id, properties } => to.build(&(*handle, *id, properties)),
        R::SetSinkNotificationConfiguration { handle, sink: id, notification }
        | R::SetSourceNotificationConfiguration { handle, source: id, notification } =>
            to.build(&(*handle, *id, *notification)),
        R::CrossFade { handle, crossfader, hot_sink, ramp, time_ms } =>
            to.build(&(*handle, *crossfader, *hot_sink as u16, *ramp, *time_ms)),
        R::SetVolumes { handle, volumes } => to.build(&(*handle, volumes.iter().map(volume).collect::<Vec<_>>())),
        R::TransferConnection { handle, domain, route, state } =>
            to.build(&(*handle, *domain, route, i32::from(*state))),
        R::SetDomainState { domain, state } => to.build(&(*domain, *state as u16)),
        R::Abort { handle } => to.build(handle),
    }
}

/// `(nqnnq)`: kind (1 sink, 2 source), ID, volume, ramp, time.
fn volume(volume: &VolumeRamp) -> (i16, u16, i16, i16, u16) {
    let (kind, id) = match volume.end {
        End::Sink(id) => (1, id),
        End::Source(id) => (2, id),
    };
    (kind, id, volume.volume, volume.ramp as i16, volume.time_ms)
}
