//! What domains call, as the items' files have it.

use std::collections::BTreeMap;

use policy::routing::{BUILT_IN, Hop};
use policy::routing_command::{
    AckResult, CrossfaderData, DomainData, DomainRequest, GatewayData, Kind, Lists, RoutingCall, SinkData, SourceData,
};

use super::{Run, kind_of, number};

impl Run {
    pub(super) fn routing(&self, domain: &str, words: &[&str]) -> RoutingCall {
        let keys: BTreeMap<&str, &str> = words.iter().filter_map(|it| it.split_once('=')).collect();
        let key = |key: &str, default: i16| keys.get(key).map_or(default, |it| number(it));
        let own = self.domains.get(domain).copied().unwrap_or(0);
        match *words {
            ["domain", ..] => RoutingCall::RegisterDomain(DomainData {
                name: keys.get("name").copied().unwrap_or(domain).to_owned(),
                bus_name: format!("org.example.{domain}"),
                path: "/".to_owned(),
                interface: "org.example.domain".to_owned(),
                early: key("early", 0) == 1,
                complete: key("complete", 0) == 1,
                state: key("state", 1),
                ..DomainData::default()
            }),
            ["source", name, ..] => RoutingCall::RegisterSource(SourceData {
                id: key("id", 0) as u16,
                domain: own,
                name: name.to_owned(),
                class: self.class(keys.get("class").copied()),
                state: key("state", 2),
                volume: key("volume", 0),
                visible: key("visible", 1) == 1,
                availability: (key("available", 1), 0),
                interrupt: 1,
                lists: lists(&keys),
            }),
            ["sink", name, ..] => RoutingCall::RegisterSink(SinkData {
                id: key("id", 0) as u16,
                domain: own,
                name: name.to_owned(),
                class: self.class(keys.get("class").copied()),
                volume: key("volume", 0),
                visible: key("visible", 1) == 1,
                availability: (key("available", 1), 0),
                mute: key("mute", 2),
                main_volume: key("main", 10),
                lists: lists(&keys),
            }),
            ["gateway", ref rest @ ..] => RoutingCall::RegisterGateway(self.bridge(own, rest)),
            ["converter", ref rest @ ..] => RoutingCall::RegisterConverter(self.bridge(own, rest)),
            ["crossfader", name, a, b, source] => RoutingCall::RegisterCrossfader(CrossfaderData {
                id: 0,
                name: name.to_owned(),
                sink_a: self.id(Kind::Sink, a),
                sink_b: self.id(Kind::Sink, b),
                source: self.id(Kind::Source, source),
                hot_sink: 1,
            }),
            ["deregister", kind, name] => {
                let kind = kind_named(kind);
                RoutingCall::Deregister {
                    kind,
                    id: self.id(kind, name),
                }
            }
            ["peek", kind, name] => RoutingCall::Peek {
                kind: kind_named(kind),
                name: name.to_owned(),
            },
            ["early", source, sink] => {
                let (source, sink) = (self.id(Kind::Source, source), self.id(Kind::Sink, sink));
                let hop = Hop {
                    domain: own,
                    source,
                    sink,
                    format: 2,
                };
                RoutingCall::RegisterEarlyConnection {
                    domain: own,
                    source,
                    sink,
                    state: policy::command::ConnectionState::Connected,
                    route: vec![hop],
                }
            }
            ["hook", ref what @ ..] => self.hook(own, what),
            _ => panic!("unknown call {words:?}"),
        }
    }

    fn hook(&self, domain: u16, words: &[&str]) -> RoutingCall {
        match *words {
            ["ready"] => RoutingCall::ConfirmRoutingReady { domain },
            ["complete"] => RoutingCall::HookDomainRegistrationComplete { domain },
            ["state", state] => RoutingCall::HookDomainStateChange {
                domain,
                state: number(state),
            },
            ["interrupt", source, state] => RoutingCall::HookInterruptStatusChange {
                source: self.id(Kind::Source, source),
                state: number(state),
            },
            ["available", end, state, reason] => RoutingCall::HookAvailabilityStatusChange {
                end: self.end(end),
                availability: (number(state), number(reason)),
            },
            ["notify", end, kind, value] => RoutingCall::HookNotificationDataChange {
                end: self.end(end),
                payload: (kind_of(kind), number(value)),
            },
            ["timing", connection, delay] => RoutingCall::HookTimingInformationChanged {
                connection: number(connection) as u16,
                delay: number(delay),
            },
            ["changed", end, kind, value] => RoutingCall::SendChangedData {
                volumes: Vec::new(),
                properties: vec![(self.end(end), (kind_of(kind), number(value)))],
            },
            _ => panic!("unknown hook {words:?}"),
        }
    }

    fn class(&self, name: Option<&str>) -> u16 {
        let index = self.model.classes.iter().position(|it| Some(it.name.as_str()) == name);
        match index {
            Some(index) => 101 + u16::try_from(index).expect("few classes"),
            None => name.map_or(0, |it| number(it) as u16),
        }
    }

    fn bridge(&self, control_domain: u16, words: &[&str]) -> GatewayData {
        let [name, sink, source, rest @ ..] = words else {
            panic!("NAME SINK SOURCE, not {words:?}");
        };
        let (sink_name, source_name) = (*sink, *source);
        let (sink, source) = (self.id(Kind::Sink, sink), self.id(Kind::Source, source));
        let registry = self.machine.registry();
        let domain = |kind, id, name: &str| match registry.domain_of(kind, id) {
            Some(domain) => domain,
            None if self.model.sources.iter().any(|it| it.name == name) => BUILT_IN,
            None if self.model.sinks.iter().any(|it| it.name == name) => BUILT_IN,
            None => 0,
        };
        let formats: Vec<(u16, u16)> = match rest {
            [] => vec![(1, 1), (2, 2)],
            rest => rest
                .iter()
                .filter_map(|it| it.split_once('>'))
                .map(|(from, to)| (number(from) as u16, number(to) as u16))
                .collect(),
        };
        let matrix = formats
            .iter()
            .enumerate()
            .flat_map(|(row, _)| (0..formats.len()).map(move |column| row == column));
        GatewayData {
            id: 0,
            name: (*name).to_owned(),
            sink,
            source,
            domain_sink: domain(Kind::Sink, sink, sink_name),
            domain_source: domain(Kind::Source, source, source_name),
            control_domain,
            sink_formats: formats.iter().map(|it| it.0).collect(),
            source_formats: formats.iter().map(|it| it.1).collect(),
            matrix: matrix.collect(),
        }
    }
}

fn kind_named(name: &str) -> Kind {
    match name {
        "domain" => Kind::Domain,
        "source" => Kind::Source,
        "sink" => Kind::Sink,
        "gateway" => Kind::Gateway,
        "converter" => Kind::Converter,
        "crossfader" => Kind::Crossfader,
        other => panic!("no kind {other}"),
    }
}

/// `formats=1,2`, `sound=1:0,2:0`, `main=…` is the volume, `mainsound=…`, `nc=8:1:80`, `mainnc=…`.
fn lists(keys: &BTreeMap<&str, &str>) -> Lists {
    let list = |key: &str| {
        keys.get(key)
            .map(|it| it.split(',').collect::<Vec<_>>())
            .unwrap_or_default()
    };
    let parts = |text: &str| text.split(':').map(number).collect::<Vec<_>>();
    let pairs = |key: &str| list(key).into_iter().map(|it| (parts(it)[0], parts(it)[1])).collect();
    let triples = |key: &str| {
        list(key)
            .into_iter()
            .map(|it| (parts(it)[0], parts(it)[1], parts(it)[2]))
            .collect()
    };
    let formats: Vec<u16> = list("formats").into_iter().map(|it| number(it) as u16).collect();
    Lists {
        formats: if formats.is_empty() { vec![1, 2] } else { formats },
        sound: pairs("sound"),
        main_sound: pairs("mainsound"),
        notifications: triples("nc"),
        main_notifications: triples("mainnc"),
    }
}

pub(super) fn result_of(request: &DomainRequest) -> AckResult {
    match *request {
        DomainRequest::Connect { connection, .. } => AckResult::Connect { connection },
        DomainRequest::Disconnect { connection, .. } => AckResult::Disconnect { connection },
        DomainRequest::SetSourceState { .. } => AckResult::SourceState,
        DomainRequest::SetSinkVolume { volume, .. } => AckResult::SinkVolume { volume },
        DomainRequest::SetSourceVolume { volume, .. } => AckResult::SourceVolume { volume },
        DomainRequest::SetSinkSoundProperty { .. } | DomainRequest::SetSinkSoundProperties { .. } => {
            AckResult::SinkSoundProperty
        }
        DomainRequest::SetSourceSoundProperty { .. } | DomainRequest::SetSourceSoundProperties { .. } => {
            AckResult::SourceSoundProperty
        }
        DomainRequest::SetSinkNotificationConfiguration { .. } => AckResult::SinkNotification,
        DomainRequest::SetSourceNotificationConfiguration { .. } => AckResult::SourceNotification,
        DomainRequest::TransferConnection { .. } => AckResult::TransferConnection,
        DomainRequest::CrossFade { hot_sink, .. } => AckResult::CrossFading { hot_sink },
        DomainRequest::SetVolumes { .. } => AckResult::SetVolumes,
        DomainRequest::SetDomainState { .. } | DomainRequest::Abort { .. } => panic!("has no ack"),
    }
}
