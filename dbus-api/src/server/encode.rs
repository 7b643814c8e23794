//! Replies and signals to messages.

use policy::command::{MainConnection, MainSink, MainSource, Reply, ReplyBody, Signal};
use policy::routing_command::RoutingReply;
use zbus::Message;
use zbus::message::{Builder, Header};

use super::OwnReply;
use super::table::Answer;
use crate::names::{COMMAND_INTERFACE, COMMAND_PATH, OWN_INTERFACE, OWN_PATH, ROUTING_INTERFACE, ROUTING_PATH};

/// (qqqnn).
type Connection = (u16, u16, u16, i16, i16);
/// (qs(nn)nnq).
type Sink = (u16, String, (i16, i16), i16, i16, u16);
/// (qs(nn)q).
type Source = (u16, String, (i16, i16), u16);

/// D-Bus strings hold no NUL: a message with one would end the connection.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn connection(connection: &MainConnection) -> Connection {
    (
        connection.id,
        connection.source,
        connection.sink,
        connection.delay,
        connection.state as i16,
    )
}

fn sink(sink: &MainSink) -> Sink {
    (
        sink.id,
        text(&sink.name),
        sink.availability,
        sink.volume,
        sink.mute,
        sink.class,
    )
}

fn source(source: &MainSource) -> Source {
    (source.id, text(&source.name), source.availability, source.class)
}

/// The answer to a command, if its body is what `answer` says.
pub(super) fn reply(call: &Header<'_>, answer: Answer, reply: &Reply) -> Option<zbus::Result<Message>> {
    let to = Message::method_return(call);
    let error = reply.error;
    Some(match (answer, &reply.body) {
        (Answer::Nothing, ReplyBody::Nothing) => to.build(&error),
        (Answer::Connection, ReplyBody::Connection(id)) => to.build(&(error, *id)),
        (Answer::Volume, ReplyBody::Volume(value)) | (Answer::Delay, ReplyBody::Delay(value)) => {
            to.build(&(error, *value))
        }
        (Answer::Connections, ReplyBody::Connections(list)) => {
            to.build(&(error, list.iter().map(connection).collect::<Vec<_>>()))
        }
        (Answer::Sinks, ReplyBody::Sinks(list)) => to.build(&(error, list.iter().map(sink).collect::<Vec<_>>())),
        (Answer::Sources, ReplyBody::Sources(list)) => to.build(&(error, list.iter().map(source).collect::<Vec<_>>())),
        (Answer::Properties, ReplyBody::Properties(list)) => to.build(&(error, list)),
        (Answer::Classes, ReplyBody::Classes(list)) => {
            let class = |class: &policy::command::ClassInfo| (class.id, text(&class.name), class.properties.clone());
            to.build(&(error, list.iter().map(class).collect::<Vec<_>>()))
        }
        (Answer::Notifications, ReplyBody::Notifications(list)) => to.build(&(error, list)),
        _ => return None,
    })
}

/// The answer to a domain's call, if its kind is what `answer` says. Codes are `q` here.
pub(super) fn routing_reply(call: &Header<'_>, answer: Answer, reply: &RoutingReply) -> Option<zbus::Result<Message>> {
    let to = Message::method_return(call);
    Some(match (answer, reply) {
        (Answer::Empty, RoutingReply::Nothing) => to.build(&()),
        (Answer::Code, RoutingReply::Error(error)) => to.build(&(*error as u16)),
        (Answer::Id, RoutingReply::Id { id, error }) => to.build(&(*id, *error as u16)),
        (Answer::Early, RoutingReply::Early { id, connections, error }) => to.build(&(*error as u16, *id, connections)),
        (Answer::Ready, RoutingReply::Ready(ready)) => to.build(ready),
        _ => return None,
    })
}

/// A signal of the routing interface; they have no arguments.
pub(super) fn routing_signal(member: &'static str) -> zbus::Result<Message> {
    Message::signal(ROUTING_PATH, ROUTING_INTERFACE, member).build(&())
}

/// The answer to one of our own calls, if it is what `answer` says.
pub(super) fn own_reply(call: &Header<'_>, answer: Answer, reply: &OwnReply) -> Option<zbus::Result<Message>> {
    let to = Message::method_return(call);
    Some(match (answer, reply) {
        (Answer::Json | Answer::Decisions, OwnReply::Json(json)) => to.build(&text(json)),
        (Answer::Text, OwnReply::Result { error, text: why }) => to.build(&(*error, text(why))),
        _ => return None,
    })
}

/// `org.carillon.Audio1.Event`.
pub(super) fn event(json: &str) -> zbus::Result<Message> {
    Message::signal(OWN_PATH, OWN_INTERFACE, "Event").build(&text(json))
}

fn to(member: &'static str) -> Builder<'static> {
    Message::signal(COMMAND_PATH, COMMAND_INTERFACE, member)
}

/// A signal under its documented name. (AudioManager 8 sends SourceUpdated and
/// SourceMainNotificationConfigurationChanged under the sink's names.)
#[rustfmt::skip]
pub(super) fn signal(signal: &Signal) -> zbus::Result<Message> {
    match signal {
        Signal::NewMainConnection(new) => to("NewMainConnection").build(&(connection(new),)),
        Signal::RemovedMainConnection { connection } => to("RemovedMainConnection").build(connection),
        Signal::MainConnectionStateChanged { connection, state } =>
            to("MainConnectionStateChanged").build(&(*connection, *state as i16)),
        Signal::TimingInformationChanged { connection, delay } =>
            to("TimingInformationChanged").build(&(*connection, *delay)),
        Signal::SinkAdded(new) => to("SinkAdded").build(&(sink(new),)),
        Signal::SinkRemoved { sink } => to("SinkRemoved").build(sink),
        Signal::SourceAdded(new) => to("SourceAdded").build(&(source(new),)),
        Signal::SourceRemoved { source } => to("SourceRemoved").build(source),
        Signal::NumberOfSinkClassesChanged => to("NumberOfSinkClassesChanged").build(&()),
        Signal::NumberOfSourceClassesChanged => to("NumberOfSourceClassesChanged").build(&()),
        Signal::MainSinkSoundPropertyChanged { sink, property } =>
            to("MainSinkSoundPropertyChanged").build(&(*sink, *property)),
        Signal::MainSourceSoundPropertyChanged { source, property } =>
            to("MainSourceSoundPropertyChanged").build(&(*source, *property)),
        Signal::VolumeChanged { sink, volume } => to("VolumeChanged").build(&(*sink, *volume)),
        Signal::SinkMuteStateChanged { sink, state } => to("SinkMuteStateChanged").build(&(*sink, *state)),
        Signal::SystemPropertyChanged { property } => to("SystemPropertyChanged").build(&(*property,)),
        Signal::SinkUpdated { sink, class, properties } => to("SinkUpdated").build(&(*sink, *class, properties)),
        Signal::SourceUpdated { source, class, properties } => to("SourceUpdated").build(&(*source, *class, properties)),
        Signal::SinkNotification { sink, payload } => to("SinkNotification").build(&(*sink, *payload)),
        Signal::SourceNotification { source, payload } => to("SourceNotification").build(&(*source, *payload)),
        Signal::SinkMainNotificationConfigurationChanged { sink, notification } =>
            to("SinkMainNotificationConfigurationChanged").build(&(*sink, *notification)),
        Signal::SourceMainNotificationConfigurationChanged { source, notification } =>
            to("SourceMainNotificationConfigurationChanged").build(&(*source, *notification)),
        Signal::SinkAvailabilityChanged { sink, availability } =>
            to("SinkAvailabilityChanged").build(&(*sink, *availability)),
        Signal::SourceAvailabilityChanged { source, availability } =>
            to("SourceAvailabilityChanged").build(&(*source, *availability)),
    }
}
