//! `monitor`: signals and events as JSON lines.

use dbus_api::client::{Client, Error, Heard, Names};
use policy::command::{MainConnection, MainSink, MainSource, Signal};
use serde_json::{Value, json};

use crate::Failure;
use crate::print::Printer;
use crate::table;

/// Prints until Ctrl-C, the bus's end, or `count` lines.
pub async fn run(client: &Client, out: &Printer, count: Option<u64>) -> Result<(), Failure> {
    let mut signals = client.signals().await?;
    let mut names = Names::ask(client).await.ok();
    out.line(&json!({"monitor": "listening", "daemon": names.is_some()}).to_string())?;
    let mut lines = 0;
    while count.is_none_or(|count| lines < count) {
        let heard = tokio::select! {
            heard = signals.next() => heard,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(heard) = heard else {
            return Err(Error::NoBus {
                address: "this bus".to_owned(),
                cause: "it closed the connection".to_owned(),
            }
            .into());
        };
        if let Heard::Daemon(true) = heard {
            names = None;
        }
        // Asked again when a name is missing: the daemon was away, or something was added.
        if let Heard::Signal(signal) = &heard
            && !names.as_ref().is_some_and(|names| knows(names, signal))
        {
            names = Names::ask(client).await.ok();
        }
        out.line(&line(&heard, &names.clone().unwrap_or_default()))?;
        lines += 1;
    }
    Ok(())
}

fn knows(names: &Names, signal: &Signal) -> bool {
    match signal {
        Signal::NewMainConnection(new) => {
            names.sources.iter().any(|source| source.id == new.source)
                && names.sinks.iter().any(|sink| sink.id == new.sink)
        }
        Signal::VolumeChanged { sink, .. } | Signal::SinkMuteStateChanged { sink, .. } => {
            names.sinks.iter().any(|known| known.id == *sink)
        }
        Signal::SinkAdded(_) | Signal::SinkRemoved { .. } | Signal::SourceAdded(_) | Signal::SourceRemoved { .. } => {
            false
        }
        _ => true,
    }
}

fn line(heard: &Heard, names: &Names) -> String {
    match heard {
        Heard::Signal(signal) => signal_json(signal, names).to_string(),
        // On one line, whatever the daemon made of it.
        Heard::Event(text) => match serde_json::from_str::<Value>(text) {
            Ok(event) => json!({"event": event}).to_string(),
            Err(_) => json!({"event": text}).to_string(),
        },
        Heard::Daemon(there) => json!({"daemon": there}).to_string(),
    }
}

fn connection(c: &MainConnection, names: &Names) -> Value {
    json!({"id": c.id, "source": names.source_name(c.source), "sink": names.sink_name(c.sink), "delay_ms": c.delay,
           "state": table::connection(c.state as i16)})
}

fn sink(sink: &MainSink) -> Value {
    json!({"id": sink.id, "name": sink.name, "availability": sink.availability, "volume": sink.volume,
           "mute": sink.mute == 1, "class": sink.class})
}

fn source(source: &MainSource) -> Value {
    json!({"id": source.id, "name": source.name, "availability": source.availability, "class": source.class})
}

/// A signal by its D-Bus name, with IDs as names.
#[rustfmt::skip]
fn signal_json(signal: &Signal, names: &Names) -> Value {
    let to = |id: u16| names.sink_name(id);
    let from = |id: u16| names.source_name(id);
    match signal {
        Signal::NewMainConnection(new) => json!({"signal": "NewMainConnection", "connection": connection(new, names)}),
        Signal::RemovedMainConnection { connection } =>
            json!({"signal": "RemovedMainConnection", "connection": connection}),
        Signal::MainConnectionStateChanged { connection, state } =>
            json!({"signal": "MainConnectionStateChanged", "connection": connection, "state": table::connection(*state as i16)}),
        Signal::TimingInformationChanged { connection, delay } =>
            json!({"signal": "TimingInformationChanged", "connection": connection, "delay_ms": delay}),
        Signal::SinkAdded(new) => json!({"signal": "SinkAdded", "sink": sink(new)}),
        Signal::SinkRemoved { sink } => json!({"signal": "SinkRemoved", "id": sink}),
        Signal::SourceAdded(new) => json!({"signal": "SourceAdded", "source": source(new)}),
        Signal::SourceRemoved { source } => json!({"signal": "SourceRemoved", "id": source}),
        Signal::NumberOfSinkClassesChanged => json!({"signal": "NumberOfSinkClassesChanged"}),
        Signal::NumberOfSourceClassesChanged => json!({"signal": "NumberOfSourceClassesChanged"}),
        Signal::MainSinkSoundPropertyChanged { sink, property } =>
            json!({"signal": "MainSinkSoundPropertyChanged", "sink": to(*sink), "property": property}),
        Signal::MainSourceSoundPropertyChanged { source, property } =>
            json!({"signal": "MainSourceSoundPropertyChanged", "source": from(*source), "property": property}),
        Signal::VolumeChanged { sink, volume } => json!({"signal": "VolumeChanged", "sink": to(*sink), "volume": volume}),
        Signal::SinkMuteStateChanged { sink, state } =>
            json!({"signal": "SinkMuteStateChanged", "sink": to(*sink), "mute": *state == 1}),
        Signal::SystemPropertyChanged { property } => json!({"signal": "SystemPropertyChanged", "property": property}),
        Signal::SinkUpdated { sink, class, properties } =>
            json!({"signal": "SinkUpdated", "sink": to(*sink), "class": class, "properties": properties}),
        Signal::SourceUpdated { source, class, properties } =>
            json!({"signal": "SourceUpdated", "source": from(*source), "class": class, "properties": properties}),
        Signal::SinkNotification { sink, payload } =>
            json!({"signal": "SinkNotification", "sink": to(*sink), "payload": payload}),
        Signal::SourceNotification { source, payload } =>
            json!({"signal": "SourceNotification", "source": from(*source), "payload": payload}),
        Signal::SinkMainNotificationConfigurationChanged { sink, notification } =>
            json!({"signal": "SinkMainNotificationConfigurationChanged", "sink": to(*sink), "configuration": notification}),
        Signal::SourceMainNotificationConfigurationChanged { source, notification } =>
            json!({"signal": "SourceMainNotificationConfigurationChanged", "source": from(*source), "configuration": notification}),
        Signal::SinkAvailabilityChanged { sink, availability } =>
            json!({"signal": "SinkAvailabilityChanged", "sink": to(*sink), "availability": availability}),
        Signal::SourceAvailabilityChanged { source, availability } =>
            json!({"signal": "SourceAvailabilityChanged", "source": from(*source), "availability": availability}),
    }
}
