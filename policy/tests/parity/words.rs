//! Effects as the items' files have them.

use policy::MUTE;
use policy::command::{Reply, ReplyBody, Signal};
use policy::effect::{EXTERNAL, Heard};
use policy::routing_command::{DomainRequest, Kind, RoutingReply};

use super::Run;

impl Run {
    pub(super) fn differences(&self, before: &Heard) -> Vec<String> {
        let mut said = Vec::new();
        for (source, row) in self.heard.sources.iter().enumerate() {
            for (sink, tap) in row.taps.iter().enumerate() {
                let was = before
                    .sources
                    .get(source)
                    .and_then(|it| it.taps.get(sink))
                    .map_or(MUTE, |it| it.gain);
                if was == tap.gain {
                    continue;
                }
                let why = tap.causes.first().map_or(String::new(), |cause| {
                    let by = cause.kind.by().and_then(|by| self.by(by));
                    format!(
                        ", {}{}",
                        cause.kind.name(),
                        by.map_or(String::new(), |by| format!(" by {by}"))
                    )
                });
                let (source, sink) = (&self.model.sources[source].name, &self.model.sinks[sink].name);
                said.push(format!(
                    "heard: {source} at {sink} {} in {} ms{why}",
                    db(tap.gain),
                    tap.ramp_ms
                ));
            }
        }
        said
    }

    pub(super) fn by(&self, index: usize) -> Option<String> {
        match index.checked_sub(EXTERNAL) {
            Some(id) => Some(self.name(Kind::Source, u16::try_from(id).ok()?)),
            None => self.model.sources.get(index).map(|it| it.name.clone()),
        }
    }

    pub(super) fn reply(&self, reply: &Reply) -> Vec<String> {
        let error = reply.error;
        let mut said = Vec::new();
        match &reply.body {
            ReplyBody::Nothing => said.push(format!("reply {error}")),
            ReplyBody::Connection(id) => said.push(format!("reply {error}, connection {id}")),
            ReplyBody::Volume(volume) => said.push(format!("reply {error}, volume {volume}")),
            ReplyBody::Delay(delay) => said.push(format!("reply {error}, delay {delay}")),
            ReplyBody::Connections(all) => {
                said.push(format!("reply {error}"));
                said.extend(all.iter().map(|it| {
                    let (source, sink) = (self.name(Kind::Source, it.source), self.name(Kind::Sink, it.sink));
                    format!("- {} {source} > {sink} {:?} delay {}", it.id, it.state, it.delay)
                }));
            }
            ReplyBody::Sinks(all) => {
                said.push(format!("reply {error}"));
                said.extend(all.iter().map(|it| {
                    format!(
                        "- {} {} {:?} volume {} mute {} class {}",
                        it.id, it.name, it.availability, it.volume, it.mute, it.class
                    )
                }));
            }
            ReplyBody::Sources(all) => {
                said.push(format!("reply {error}"));
                said.extend(
                    all.iter()
                        .map(|it| format!("- {} {} {:?} class {}", it.id, it.name, it.availability, it.class)),
                );
            }
            ReplyBody::Properties(all) => said.push(format!("reply {error}, {}", properties(all))),
            ReplyBody::Classes(all) => {
                said.push(format!("reply {error}"));
                said.extend(
                    all.iter()
                        .map(|it| format!("- {} {} {:?}", it.id, it.name, it.properties)),
                );
            }
            ReplyBody::Notifications(all) => said.push(format!("reply {error}, {all:?}")),
        }
        said
    }

    pub(super) fn signal(&self, signal: &Signal) -> String {
        let sink = |id: &u16| self.name(Kind::Sink, *id);
        let source = |id: &u16| self.name(Kind::Source, *id);
        match signal {
            Signal::NewMainConnection(it) => format!(
                "NewMainConnection {} {} > {}",
                it.id,
                source(&it.source),
                sink(&it.sink)
            ),
            Signal::RemovedMainConnection { connection } => format!("RemovedMainConnection {connection}"),
            Signal::MainConnectionStateChanged { connection, state } => {
                format!("MainConnectionStateChanged {connection} {state:?}")
            }
            Signal::TimingInformationChanged { connection, delay } => {
                format!("TimingInformationChanged {connection} {delay}")
            }
            Signal::SinkAdded(it) => format!(
                "SinkAdded {} {} volume {} mute {} class {}",
                it.id, it.name, it.volume, it.mute, it.class
            ),
            Signal::SourceAdded(it) => format!("SourceAdded {} {} class {}", it.id, it.name, it.class),
            Signal::SinkRemoved { sink: it } => format!("SinkRemoved {}", sink(it)),
            Signal::SourceRemoved { source: it } => format!("SourceRemoved {}", source(it)),
            Signal::MainSinkSoundPropertyChanged { sink: it, property } => {
                format!("MainSinkSoundPropertyChanged {} {}", sink(it), properties(&[*property]))
            }
            Signal::MainSourceSoundPropertyChanged { source: it, property } => {
                format!(
                    "MainSourceSoundPropertyChanged {} {}",
                    source(it),
                    properties(&[*property])
                )
            }
            Signal::VolumeChanged { sink: it, volume } => format!("VolumeChanged {} {volume}", sink(it)),
            Signal::SinkMuteStateChanged { sink: it, state } => format!("SinkMuteStateChanged {} {state}", sink(it)),
            Signal::SystemPropertyChanged { property } => format!("SystemPropertyChanged {}", properties(&[*property])),
            Signal::SinkNotification { sink: it, payload } => {
                format!("SinkNotification {} {}", sink(it), properties(&[*payload]))
            }
            Signal::SourceNotification { source: it, payload } => {
                format!("SourceNotification {} {}", source(it), properties(&[*payload]))
            }
            Signal::SinkAvailabilityChanged { sink: it, availability } => {
                format!("SinkAvailabilityChanged {} {availability:?}", sink(it))
            }
            Signal::SourceAvailabilityChanged {
                source: it,
                availability,
            } => {
                format!("SourceAvailabilityChanged {} {availability:?}", source(it))
            }
            Signal::SinkMainNotificationConfigurationChanged { sink: it, notification } => {
                format!("SinkMainNotificationConfigurationChanged {} {notification:?}", sink(it))
            }
            Signal::SourceMainNotificationConfigurationChanged {
                source: it,
                notification,
            } => {
                format!(
                    "SourceMainNotificationConfigurationChanged {} {notification:?}",
                    source(it)
                )
            }
            other => format!("{other:?}"),
        }
    }

    pub(super) fn request(&self, request: &DomainRequest) -> String {
        let sink = |id: &u16| self.name(Kind::Sink, *id);
        let source = |id: &u16| self.name(Kind::Source, *id);
        let handle = request.handle();
        match request {
            DomainRequest::Connect {
                connection,
                source: from,
                sink: to,
                format,
                ..
            } => {
                format!(
                    "#{handle} connect {connection} {} > {} format {format}",
                    source(from),
                    sink(to)
                )
            }
            DomainRequest::Disconnect { connection, .. } => format!("#{handle} disconnect {connection}"),
            DomainRequest::SetSourceState { source: of, state, .. } => {
                let state = ["unknown", "on", "off", "paused"].get(*state as usize).unwrap_or(&"?");
                format!("#{handle} state {} {state}", source(of))
            }
            DomainRequest::SetSinkVolume {
                sink: of,
                volume,
                ramp,
                time_ms,
                ..
            } => {
                format!(
                    "#{handle} volume of sink {} {} ramp {ramp} {time_ms} ms",
                    sink(of),
                    db(*volume)
                )
            }
            DomainRequest::SetSourceVolume {
                source: of,
                volume,
                ramp,
                time_ms,
                ..
            } => {
                format!(
                    "#{handle} volume of source {} {} ramp {ramp} {time_ms} ms",
                    source(of),
                    db(*volume)
                )
            }
            DomainRequest::SetSinkSoundProperty { sink: of, property, .. } => {
                format!("#{handle} property of sink {} {}", sink(of), properties(&[*property]))
            }
            DomainRequest::SetSourceSoundProperty {
                source: of, property, ..
            } => {
                format!(
                    "#{handle} property of source {} {}",
                    source(of),
                    properties(&[*property])
                )
            }
            DomainRequest::SetSinkSoundProperties {
                sink: of,
                properties: all,
                ..
            } => {
                format!("#{handle} properties of sink {} {}", sink(of), properties(all))
            }
            DomainRequest::SetSourceSoundProperties {
                source: of,
                properties: all,
                ..
            } => {
                format!("#{handle} properties of source {} {}", source(of), properties(all))
            }
            DomainRequest::SetSinkNotificationConfiguration {
                sink: of, notification, ..
            } => {
                format!("#{handle} notification of sink {} {notification:?}", sink(of))
            }
            DomainRequest::SetSourceNotificationConfiguration {
                source: of,
                notification,
                ..
            } => {
                format!("#{handle} notification of source {} {notification:?}", source(of))
            }
            DomainRequest::CrossFade {
                crossfader, hot_sink, ..
            } => {
                format!(
                    "#{handle} cross-fade {} to {hot_sink}",
                    self.name(Kind::Crossfader, *crossfader)
                )
            }
            DomainRequest::TransferConnection { route, state, .. } => {
                format!("#{handle} transfer {route:?} state {state}")
            }
            DomainRequest::SetDomainState { state, .. } => format!("domain state {state}"),
            DomainRequest::Abort { handle } => format!("abort #{handle}"),
            DomainRequest::SetVolumes { volumes, .. } => {
                let all: Vec<String> = volumes
                    .iter()
                    .map(|it| format!("{:?} {}", it.end, db(it.volume)))
                    .collect();
                format!("#{handle} volumes {}", all.join(", "))
            }
        }
    }
}

pub(super) fn properties(all: &[(i16, i16)]) -> String {
    let all: Vec<String> = all
        .iter()
        .map(|(kind, value)| format!("{}={value}", *kind as u16))
        .collect();
    all.join(" ")
}

pub(super) fn db(gain: i16) -> String {
    match gain {
        MUTE => "silent".to_owned(),
        gain => format!("{:.1} dB", f64::from(gain) / 10.0),
    }
}

pub(super) fn routing_reply(reply: &RoutingReply) -> Option<String> {
    match reply {
        RoutingReply::Nothing => None,
        RoutingReply::Error(error) => Some(format!("reply {error}")),
        RoutingReply::Id { id, error } => Some(format!("reply {error}, ID {id}")),
        RoutingReply::Early { id, connections, error } => {
            Some(format!("reply {error}, connection {id} of segments {connections:?}"))
        }
        RoutingReply::Ready(ready) => Some(format!("ready: {ready}")),
    }
}
