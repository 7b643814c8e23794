//! A control process without sound: three sources, two sinks, the return codes of AudioManager's generic controller.

use dbus_api::history::{Decision, Page};
use dbus_api::server::{Out, OwnCall, OwnReply, Request, What};
use dbus_api::status::{Chime, Codec, Direction, Guest, Route, Status, Stream, StreamState, Zone};
use policy::command::{
    Call, ClassInfo, ConnectionState, MainConnection, MainSink, MainSource, Reply, ReplyBody, Signal, error,
};
use tokio::sync::mpsc::{Receiver, UnboundedSender};

/// The state of the fake.
pub struct Fake {
    sources: Vec<(MainSource, i16, i16)>,
    sinks: Vec<MainSink>,
    connections: Vec<MainConnection>,
    next: u16,
    chimed: u64,
    /// Looks at the status until the chime has ended.
    sounds: u64,
}

impl Default for Fake {
    fn default() -> Self {
        let source = |id, name: &str, class| {
            let name = name.to_owned();
            (
                MainSource {
                    id,
                    name,
                    availability: (1, 0),
                    class,
                },
                0,
                2,
            )
        };
        let sink = |id, name: &str, volume| MainSink {
            id,
            name: name.to_owned(),
            availability: (1, 0),
            volume,
            mute: 2,
            class: 1,
        };
        Self {
            sources: vec![
                source(101, "ivi.media", 1),
                source(102, "cluster.prompt", 2),
                source(103, "chime.belt", 3),
            ],
            sinks: vec![sink(101, "cabin", 50), sink(102, "rear", 30)],
            connections: Vec::new(),
            next: 1,
            chimed: 0,
            sounds: 0,
        }
    }
}

fn reply(error: i16, body: ReplyBody) -> Reply {
    Reply { error, body }
}

/// Decisions 5 to 305 of which at most 100 come at a time.
fn history(from: u32, most: u16) -> Page {
    let decision = |number| Decision {
        number,
        about: format!("SetVolume cabin to {number}"),
        ..Decision::default()
    };
    let from = from.max(5);
    let end = (from + u32::from(most).min(100)).min(305);
    Page {
        first: 5,
        next: 305,
        decisions: (from..end).map(decision).collect(),
    }
}

impl Fake {
    /// Answers requests until the bus is gone.
    pub async fn serve(mut self, mut requests: Receiver<Request>, outs: UnboundedSender<Out>) {
        while let Some(Request { token, what, .. }) = requests.recv().await {
            let mut signals = Vec::new();
            let out = match what {
                What::Command(call) => Out::Reply {
                    token,
                    reply: self.command(&call, &mut signals),
                },
                What::Own(call) => Out::OwnReply {
                    token,
                    reply: self.own(&call),
                },
                _ => continue,
            };
            if outs.send(out).is_err() {
                return;
            }
            for signal in signals {
                let _ = outs.send(Out::Signal(signal));
            }
        }
    }

    fn own(&mut self, call: &OwnCall) -> OwnReply {
        match call {
            OwnCall::Status => {
                let status = self.status();
                self.sounds = self.sounds.saturating_sub(1);
                OwnReply::Json(serde_json::to_string(&status).unwrap())
            }
            OwnCall::Chime { name } if name == "belt" => {
                self.chimed += 1;
                self.sounds = 3;
                OwnReply::Result {
                    error: error::OK,
                    text: String::new(),
                }
            }
            OwnCall::History { from, most } => OwnReply::Json(serde_json::to_string(&history(*from, *most)).unwrap()),
            OwnCall::Reload => OwnReply::Result {
                error: policy::command::error::NOT_POSSIBLE,
                text: "error[restart]: no\n --> a car.toml:3:1\n".to_owned(),
            },
            OwnCall::Chime { name } => OwnReply::Result {
                error: error::NON_EXISTENT,
                text: format!("there is no chime {name}; did you mean belt?"),
            },
        }
    }

    fn sink(&mut self, id: u16) -> Option<&mut MainSink> {
        self.sinks.iter_mut().find(|sink| sink.id == id)
    }

    fn connect(&mut self, source: u16, sink: u16, signals: &mut Vec<Signal>) -> Reply {
        let known = self.sources.iter().any(|known| known.0.id == source) && self.sink(sink).is_some();
        if !known {
            return reply(error::NON_EXISTENT, ReplyBody::Connection(0));
        }
        if source == 103 {
            return reply(error::NOT_POSSIBLE, ReplyBody::Connection(0));
        }
        if let Some(old) = self
            .connections
            .iter()
            .find(|old| old.source == source && old.sink == sink)
        {
            return reply(error::OK, ReplyBody::Connection(old.id));
        }
        let new = MainConnection {
            id: self.next,
            source,
            sink,
            delay: -1,
            state: ConnectionState::Connected,
        };
        self.next += 1;
        self.connections.push(new.clone());
        signals.push(Signal::NewMainConnection(new.clone()));
        signals.push(Signal::MainConnectionStateChanged {
            connection: new.id,
            state: new.state,
        });
        reply(error::OK, ReplyBody::Connection(new.id))
    }

    fn volume(&mut self, sink: u16, change: impl FnOnce(i32) -> i32, signals: &mut Vec<Signal>) -> Reply {
        let Some(known) = self.sink(sink) else {
            return reply(error::OUT_OF_RANGE, ReplyBody::Nothing);
        };
        known.volume = i16::try_from(change(i32::from(known.volume)).clamp(0, 100)).unwrap();
        let volume = known.volume;
        signals.push(Signal::VolumeChanged { sink, volume });
        reply(error::OK, ReplyBody::Nothing)
    }

    fn command(&mut self, call: &Call, signals: &mut Vec<Signal>) -> Reply {
        match *call {
            Call::Connect { source, sink } => self.connect(source, sink, signals),
            Call::Disconnect { connection } => {
                let before = self.connections.len();
                self.connections.retain(|old| old.id != connection);
                if self.connections.len() == before {
                    return reply(error::NOT_POSSIBLE, ReplyBody::Nothing);
                }
                signals.push(Signal::RemovedMainConnection { connection });
                reply(error::OK, ReplyBody::Nothing)
            }
            Call::SetVolume { sink, volume } => self.volume(sink, |_| volume.into(), signals),
            Call::VolumeStep { sink, step } => self.volume(sink, |old| old + i32::from(step), signals),
            Call::SetSinkMuteState { sink, state } => match self.sink(sink) {
                Some(known) if state == 1 || state == 2 => {
                    known.mute = state;
                    signals.push(Signal::SinkMuteStateChanged { sink, state });
                    reply(error::OK, ReplyBody::Nothing)
                }
                _ => reply(error::OUT_OF_RANGE, ReplyBody::Nothing),
            },
            Call::SetSourceGain { source, gain } => match self.sources.iter_mut().find(|known| known.0.id == source) {
                Some(known) if gain <= 0 => {
                    known.1 = gain;
                    reply(error::OK, ReplyBody::Nothing)
                }
                _ => reply(error::OUT_OF_RANGE, ReplyBody::Nothing),
            },
            Call::SetSourceMute { source, state } => match self.sources.iter_mut().find(|known| known.0.id == source) {
                Some(known) => {
                    known.2 = state;
                    reply(error::OK, ReplyBody::Nothing)
                }
                None => reply(error::OUT_OF_RANGE, ReplyBody::Nothing),
            },
            ref call => self.ask(call),
        }
    }

    fn ask(&mut self, call: &Call) -> Reply {
        let classes = |names: &[&str]| {
            let class = |(id, name): (u16, &&str)| ClassInfo {
                id,
                name: (*name).to_owned(),
                properties: vec![(1, 2)],
            };
            ReplyBody::Classes((1..).zip(names).map(class).collect())
        };
        match *call {
            Call::GetVolume { sink } => match self.sink(sink) {
                Some(known) => reply(error::OK, ReplyBody::Volume(known.volume)),
                None => reply(error::NON_EXISTENT, ReplyBody::Volume(-1)),
            },
            Call::GetListMainConnections => reply(error::OK, ReplyBody::Connections(self.connections.clone())),
            Call::GetListMainSinks => reply(error::OK, ReplyBody::Sinks(self.sinks.clone())),
            Call::GetListMainSources => {
                let sources = self.sources.iter().map(|known| known.0.clone()).collect();
                reply(error::OK, ReplyBody::Sources(sources))
            }
            Call::GetListSourceClasses => reply(error::OK, classes(&["media", "prompt", "chime"])),
            Call::GetListSinkClasses => reply(error::OK, classes(&["zone"])),
            Call::GetListSystemProperties => reply(error::OK, ReplyBody::Properties(vec![(-4096, 4)])),
            Call::GetListMainSinkSoundProperties { .. } | Call::GetListMainSourceSoundProperties { .. } => {
                reply(error::OK, ReplyBody::Properties(Vec::new()))
            }
            Call::GetListSinkMainNotificationConfigurations { .. }
            | Call::GetListSourceMainNotificationConfigurations { .. } => {
                reply(error::OK, ReplyBody::Notifications(vec![(1, 2, 3)]))
            }
            Call::GetTimingInformation { .. } => reply(error::NON_EXISTENT, ReplyBody::Delay(-1)),
            _ => reply(error::NOT_USED, ReplyBody::Nothing),
        }
    }

    fn status(&self) -> Status {
        let route = |source: u16| {
            let of_source = self
                .connections
                .iter()
                .filter(move |connection| connection.source == source);
            of_source.map(|connection| Route {
                connection: connection.id,
                state: connection.state as i16,
                zone: self
                    .sinks
                    .iter()
                    .find(|sink| sink.id == connection.sink)
                    .unwrap()
                    .name
                    .clone(),
            })
        };
        let stream = |(source, gain, mute): &(MainSource, i16, i16)| Stream {
            id: source.id,
            name: source.name.clone(),
            guest: source.name.split('.').next().unwrap().to_owned(),
            role: ["media", "prompt", "chime"][usize::from(source.class) - 1].to_owned(),
            direction: Direction::Playback,
            state: if route(source.id).next().is_some() {
                StreamState::Running
            } else {
                StreamState::Discarding
            },
            routes: route(source.id).collect(),
            wanted_db: Some(f32::from(*gain) / 10.0),
            mute: *mute == 1,
            effective_db: route(source.id).next().map(|_| f32::from(*gain) / 10.0),
            cause: if source.id == 101 && route(102).next().is_some() {
                "ducked by cluster.prompt"
            } else {
                ""
            }
            .to_owned(),
            level_dbfs: Some(-12.3),
            level_after_dbfs: route(source.id).next().map(|_| -12.3 + f32::from(*gain) / 10.0),
            format: "S16".to_owned(),
            rate: 48_000,
            channels: 2,
            ..Stream::default()
        };
        let zone = |sink: &MainSink| Zone {
            id: sink.id,
            name: sink.name.clone(),
            codec: "main".to_owned(),
            volume: sink.volume,
            volume_db: Some(f32::from(sink.volume - 50) / 2.0),
            mute: sink.mute == 1,
            peak_dbfs: None,
            limiter_db: 0.0,
        };
        Status {
            domains: Vec::new(),
            sinks: Vec::new(),
            dropped_acks: 0,
            recent: Vec::new(),
            version: "0.1.0".to_owned(),
            codecs: vec![Codec {
                name: "main".to_owned(),
                backend: "null".to_owned(),
                rate: 48_000,
                channels: 2,
                period: 48,
                position: 48_000,
                realtime: true,
                ..Codec::default()
            }],
            zones: self.sinks.iter().map(zone).collect(),
            streams: self
                .sources
                .iter()
                .filter(|known| known.0.id != 103)
                .map(stream)
                .collect(),
            chimes: vec![Chime {
                id: 103,
                name: "belt".to_owned(),
                zones: vec!["cabin".to_owned()],
                length_ms: 800,
                sounding: self.sounds > 0,
                requested: self.chimed,
                played: self.chimed - u64::from(self.sounds > 0),
            }],
            guests: vec![
                Guest {
                    name: "ivi".to_owned(),
                    connected: true,
                    ..Guest::default()
                },
                Guest {
                    name: "cluster".to_owned(),
                    connected: true,
                    violations: 2,
                    ..Guest::default()
                },
            ],
        }
    }
}
