//! Signals as data.

use std::future::poll_fn;
use std::pin::Pin;

use policy::command::Signal;
use zbus::export::futures_core::Stream;
use zbus::message::{Flags, Type};
use zbus::{Message, MessageStream};

use super::{Client, Error, wire};
use crate::names::{BUS_NAME, COMMAND_INTERFACE, OWN_INTERFACE, OWN_PATH};

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A signal of the command interface.
    Signal(Signal),
    /// A JSON line of the daemon.
    Event(String),
    /// The daemon came (true) or went (false).
    Daemon(bool),
}

/// See [`Client::signals`].
#[derive(Debug)]
pub struct Signals {
    stream: MessageStream,
    /// To say again to a daemon that comes that its events are wanted.
    client: Client,
}

impl Signals {
    pub(super) async fn new(client: &Client) -> Result<Self, Error> {
        let stream = MessageStream::from(client.connection());
        if client.destination().is_some() {
            let rules = [
                format!("type='signal',sender='{BUS_NAME}',interface='{COMMAND_INTERFACE}'"),
                format!("type='signal',sender='{BUS_NAME}',interface='{OWN_INTERFACE}'"),
                format!("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{BUS_NAME}'"),
            ];
            let bus = "org.freedesktop.DBus";
            for rule in rules {
                let call = client.connection();
                call.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &rule)
                    .await?;
            }
            match client.listen().await {
                // A daemon that comes is told; one that says nothing has nothing to tell either.
                Ok(()) | Err(Error::NoDaemon | Error::NoAnswer(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let client = client.clone();
        Ok(Self { stream, client })
    }

    /// The next one; `None` when the bus is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let message = poll_fn(|context| Pin::new(&mut self.stream).poll_next(context))
                .await?
                .ok()?;
            if message.message_type() == Type::Signal
                && let Some(heard) = decode(&message)
            {
                if heard == Heard::Daemon(true) {
                    self.listen_again().await.ok()?;
                }
                return Some(heard);
            }
        }
    }

    /// Without waiting for an answer, which would come in between what is heard.
    async fn listen_again(&self) -> zbus::Result<()> {
        let call = Message::method_call(OWN_PATH, "Listen")
            .interface(OWN_INTERFACE)
            .destination(BUS_NAME)
            .with_flags(Flags::NO_REPLY_EXPECTED | Flags::NO_AUTO_START);
        self.client.connection().send(&call.build(&())?).await
    }
}

fn decode(message: &Message) -> Option<Heard> {
    let header = message.header();
    let member = header.member()?.as_str();
    match header.interface()?.as_str() {
        COMMAND_INTERFACE => signal(member, message).ok().flatten().map(Heard::Signal),
        OWN_INTERFACE if member == "Event" => message.body().deserialize().ok().map(Heard::Event),
        "org.freedesktop.DBus" if member == "NameOwnerChanged" => {
            let body = message.body();
            let (name, _, new) = body.deserialize::<(&str, &str, &str)>().ok()?;
            (name == BUS_NAME).then_some(Heard::Daemon(!new.is_empty()))
        }
        _ => None,
    }
}

#[rustfmt::skip]
fn signal(member: &str, message: &Message) -> zbus::Result<Option<Signal>> {
    let body = message.body();
    let id = || body.deserialize::<u16>();
    let pair = || body.deserialize::<(u16, i16)>();
    let property = || body.deserialize::<(u16, (i16, i16))>();
    let notification = || body.deserialize::<(u16, (i16, i16, i16))>();
    let updated = || body.deserialize::<(u16, u16, Vec<(i16, i16)>)>();
    Ok(Some(match member {
        "NewMainConnection" => Signal::NewMainConnection(wire::connection(body.deserialize::<(wire::Connection,)>()?.0)),
        "RemovedMainConnection" => Signal::RemovedMainConnection { connection: id()? },
        "MainConnectionStateChanged" => {
            let (connection, state) = pair()?;
            Signal::MainConnectionStateChanged { connection, state: wire::state(state) }
        }
        "TimingInformationChanged" => pair().map(|(connection, delay)| Signal::TimingInformationChanged { connection, delay })?,
        "SinkAdded" => Signal::SinkAdded(wire::sink(body.deserialize::<(wire::Sink,)>()?.0)),
        "SinkRemoved" => Signal::SinkRemoved { sink: id()? },
        "SourceAdded" => Signal::SourceAdded(wire::source(body.deserialize::<(wire::Source,)>()?.0)),
        "SourceRemoved" => Signal::SourceRemoved { source: id()? },
        "NumberOfSinkClassesChanged" => Signal::NumberOfSinkClassesChanged,
        "NumberOfSourceClassesChanged" => Signal::NumberOfSourceClassesChanged,
        "MainSinkSoundPropertyChanged" =>
            property().map(|(sink, property)| Signal::MainSinkSoundPropertyChanged { sink, property })?,
        "MainSourceSoundPropertyChanged" =>
            property().map(|(source, property)| Signal::MainSourceSoundPropertyChanged { source, property })?,
        "VolumeChanged" => pair().map(|(sink, volume)| Signal::VolumeChanged { sink, volume })?,
        "SinkMuteStateChanged" => pair().map(|(sink, state)| Signal::SinkMuteStateChanged { sink, state })?,
        "SystemPropertyChanged" => Signal::SystemPropertyChanged { property: body.deserialize::<((i16, i16),)>()?.0 },
        "SinkUpdated" => updated().map(|(sink, class, properties)| Signal::SinkUpdated { sink, class, properties })?,
        "SourceUpdated" => updated().map(|(source, class, properties)| Signal::SourceUpdated { source, class, properties })?,
        "SinkNotification" => property().map(|(sink, payload)| Signal::SinkNotification { sink, payload })?,
        "SourceNotification" => property().map(|(source, payload)| Signal::SourceNotification { source, payload })?,
        "SinkMainNotificationConfigurationChanged" => notification()
            .map(|(sink, notification)| Signal::SinkMainNotificationConfigurationChanged { sink, notification })?,
        "SourceMainNotificationConfigurationChanged" => notification()
            .map(|(source, notification)| Signal::SourceMainNotificationConfigurationChanged { source, notification })?,
        "SinkAvailabilityChanged" =>
            property().map(|(sink, availability)| Signal::SinkAvailabilityChanged { sink, availability })?,
        "SourceAvailabilityChanged" =>
            property().map(|(source, availability)| Signal::SourceAvailabilityChanged { source, availability })?,
        _ => return Ok(None),
    }))
}
