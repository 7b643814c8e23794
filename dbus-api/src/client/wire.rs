//! Calls to bodies, and bodies to replies: the other side of `server`.

use policy::command::{Call, ClassInfo, ConnectionState, MainConnection, MainSink, MainSource, Reply, ReplyBody};
use zbus::message::Body;
use zbus::{DynamicType, Message};

use super::{Client, Error};
use crate::names::{COMMAND_INTERFACE, COMMAND_PATH, OWN_INTERFACE, OWN_PATH};

/// (qqqnn), (qs(nn)nnq), (qs(nn)q), (qsa(nn)).
pub(super) type Connection = (u16, u16, u16, i16, i16);
pub(super) type Sink = (u16, String, (i16, i16), i16, i16, u16);
pub(super) type Source = (u16, String, (i16, i16), u16);
type Class = (u16, String, Vec<(i16, i16)>);

async fn send<B: serde::Serialize + DynamicType>(client: &Client, member: &str, body: &B) -> Result<Message, Error> {
    let (path, interface) = match member {
        "SetSourceGain"
        | "SetSourceMute"
        | "SetMainSinkSoundProperties"
        | "SetMainSourceSoundProperties"
        | "SetSystemProperties" => (OWN_PATH, OWN_INTERFACE),
        _ => (COMMAND_PATH, COMMAND_INTERFACE),
    };
    let reply = client
        .connection
        .call_method(client.destination(), path, Some(interface), member, body);
    Ok(reply.await?)
}

/// Makes a call.
#[rustfmt::skip]
pub(super) async fn call(client: &Client, call: &Call) -> Result<Reply, Error> {
    let c = client;
    match *call {
        Call::Connect { source, sink } => with(&send(c, "Connect", &(source, sink)).await?, ReplyBody::Connection),
        Call::Disconnect { connection } => nothing(&send(c, "Disconnect", &connection).await?),
        Call::SetVolume { sink, volume } => nothing(&send(c, "SetVolume", &(sink, volume)).await?),
        Call::VolumeStep { sink, step } => nothing(&send(c, "VolumeStep", &(sink, step)).await?),
        Call::SetSinkMuteState { sink, state } => nothing(&send(c, "SetSinkMuteState", &(sink, state)).await?),
        Call::SetMainSinkSoundProperty { sink, property } =>
            nothing(&send(c, "SetMainSinkSoundProperty", &(sink, property)).await?),
        Call::SetMainSourceSoundProperty { source, property } =>
            nothing(&send(c, "SetMainSourceSoundProperty", &(source, property)).await?),
        Call::SetSystemProperty { property } => nothing(&send(c, "SetSystemProperty", &(property,)).await?),
        Call::GetVolume { sink } => with(&send(c, "getVolume", &sink).await?, ReplyBody::Volume),
        Call::GetListMainConnections =>
            with(&send(c, "GetListMainConnections", &()).await?, |list| ReplyBody::Connections(all(list, connection))),
        Call::GetListMainSinks => with(&send(c, "GetListMainSinks", &()).await?, |list| ReplyBody::Sinks(all(list, sink))),
        Call::GetListMainSources =>
            with(&send(c, "GetListMainSources", &()).await?, |list| ReplyBody::Sources(all(list, source))),
        Call::GetListMainSinkSoundProperties { sink } =>
            with(&send(c, "GetListMainSinkSoundProperties", &sink).await?, ReplyBody::Properties),
        Call::GetListMainSourceSoundProperties { source } =>
            with(&send(c, "GetListMainSourceSoundProperties", &source).await?, ReplyBody::Properties),
        Call::GetListSourceClasses =>
            with(&send(c, "GetListSourceClasses", &()).await?, |list| ReplyBody::Classes(all(list, class))),
        Call::GetListSinkClasses =>
            with(&send(c, "GetListSinkClasses", &()).await?, |list| ReplyBody::Classes(all(list, class))),
        Call::GetListSystemProperties => with(&send(c, "GetListSystemProperties", &()).await?, ReplyBody::Properties),
        Call::GetTimingInformation { connection } =>
            with(&send(c, "GetTimingInformation", &connection).await?, ReplyBody::Delay),
        Call::GetListSinkMainNotificationConfigurations { sink } =>
            with(&send(c, "getListSinkMainNotificationConfigurations", &sink).await?, ReplyBody::Notifications),
        Call::GetListSourceMainNotificationConfigurations { source } =>
            with(&send(c, "getListSourceMainNotificationConfigurations", &source).await?, ReplyBody::Notifications),
        Call::SetSinkMainNotificationConfiguration { sink, notification } =>
            nothing(&send(c, "setSinkMainNotificationConfiguration", &(sink, notification)).await?),
        Call::SetSourceMainNotificationConfiguration { source, notification } =>
            nothing(&send(c, "setSourceMainNotificationConfiguration", &(source, notification)).await?),
        Call::SetSourceGain { source, gain } => nothing(&send(c, "SetSourceGain", &(source, gain)).await?),
        Call::SetSourceMute { source, state } => nothing(&send(c, "SetSourceMute", &(source, state)).await?),
        Call::SetMainSinkSoundProperties { sink, ref properties } =>
            nothing(&send(c, "SetMainSinkSoundProperties", &(sink, properties)).await?),
        Call::SetMainSourceSoundProperties { source, ref properties } =>
            nothing(&send(c, "SetMainSourceSoundProperties", &(source, properties)).await?),
        Call::SetSystemProperties { ref properties } =>
            nothing(&send(c, "SetSystemProperties", &(properties,)).await?),
    }
}

fn nothing(reply: &Message) -> Result<Reply, Error> {
    Ok(Reply {
        error: reply.body().deserialize()?,
        body: ReplyBody::Nothing,
    })
}

/// Reads the return code and one value.
fn with<T>(reply: &Message, make: impl FnOnce(T) -> ReplyBody) -> Result<Reply, Error>
where
    T: for<'de> serde::Deserialize<'de> + zbus::Type,
{
    let body: Body = reply.body();
    let (error, value) = body.deserialize::<(i16, T)>()?;
    Ok(Reply {
        error,
        body: make(value),
    })
}

fn all<A, B>(list: Vec<A>, one: impl FnMut(A) -> B) -> Vec<B> {
    list.into_iter().map(one).collect()
}

/// From `am_ConnectionState_e`.
pub(super) fn state(state: i16) -> ConnectionState {
    match state {
        1 => ConnectionState::Connecting,
        2 => ConnectionState::Connected,
        3 => ConnectionState::Disconnecting,
        4 => ConnectionState::Disconnected,
        5 => ConnectionState::Suspended,
        _ => ConnectionState::Unknown,
    }
}

pub(super) fn connection((id, source, sink, delay, number): Connection) -> MainConnection {
    MainConnection {
        id,
        source,
        sink,
        delay,
        state: state(number),
    }
}

pub(super) fn sink((id, name, availability, volume, mute, class): Sink) -> MainSink {
    MainSink {
        id,
        name,
        availability,
        volume,
        mute,
        class,
    }
}

pub(super) fn source((id, name, availability, class): Source) -> MainSource {
    MainSource {
        id,
        name,
        availability,
        class,
    }
}

fn class((id, name, properties): Class) -> ClassInfo {
    ClassInfo { id, name, properties }
}
