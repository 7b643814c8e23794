//! Runs an item of AudioManager's checklist: a policy file, and events with the effects each must have, through `Machine::step`.
//!
//! An item is a TOML file of `title`, `policy` (what is added to [`CAR`], or the whole file where it begins with `version`) and
//! `run`: events, each a line, and under it, indented, every effect it has. `BLESS_PARITY=1` writes the effects anew; what is
//! written is for people to judge.
//!
//! | event | is |
//! |---|---|
//! | `come`, `go`, `start`, `stop`, `release` SOURCE; `sound`, `silence` CHIME | guests and chimes |
//! | `connect` SOURCE SINK, `disconnect` ID, `volume`, `step` SINK N, `mute`, `unmute` SINK, `gain` SOURCE N | clients |
//! | `property`, `properties` source\|sink:NAME T V …, `system`, `systems` T V …, `notification` source\|sink:NAME T S P | clients |
//! | `ask` connections\|sinks\|sources\|classes\|system, `ask` volume SINK, `ask` timing ID, `ask` properties source\|sink:NAME | clients |
//! | @DOMAIN `domain`, `source`, `sink` NAME KEY=VALUE …, `gateway`, `converter` NAME SINK SOURCE FORMATS, `crossfader` NAME A B SOURCE | domains |
//! | @DOMAIN `ack` \[E\] the oldest request, `ack-all`, `forget` the oldest, `hook` …, `early` SOURCE SINK, `leave`, `deregister` KIND NAME | domains |
//! | `wait` MS, `rundown`, `restart` (control dies), `boot` (the store), `boot-lost` (it is damaged) | the rest |

use std::collections::BTreeMap;
use std::fmt::Write as _;

use policy::command::{Call, Reply, ReplyBody, Signal};
use policy::effect::{EXTERNAL, Effect, Heard};
use policy::file::{Document, read};
use policy::model::Restore;
use policy::routing::{BUILT_IN, Hop};
use policy::routing_command::{
    AckResult, CrossfaderData, DomainData, DomainRequest, End, GatewayData, Kind, Lists, RoutingCall, RoutingReply,
    SinkData, SourceData,
};
use policy::{Event, MUTE, Machine, Model, Time};

/// What most items add to: two zones, a media stream and a radio, a prompt and a phone, a chime.
const CAR: &str = include_str!("car.toml");

/// One item's file.
#[derive(serde::Deserialize)]
struct Item {
    title: String,
    #[serde(default)]
    policy: String,
    run: String,
}

/// Runs an item; panics where an event has other effects than it is said to have.
pub fn check(name: &str, text: &str) {
    let item: Item = toml::from_str(text).expect("an item");
    assert!(!item.title.is_empty());
    let policy = if item.policy.trim_start().starts_with("version") {
        item.policy
    } else {
        format!("{CAR}{}", item.policy)
    };
    let (mut run, report) = Run::new(&policy);
    let mut said = String::from("\n");
    // What is wrong with a policy is what one item is about.
    assert_eq!(report.is_empty(), name != "CF1", "{name}: {report}");
    if !report.is_empty() {
        report.lines().for_each(|line| _ = writeln!(said, "    {line}"));
    }
    for line in item.run.lines().map(str::trim_end) {
        if line.starts_with('#') {
            _ = writeln!(said, "{line}");
        } else if !line.is_empty() && !line.starts_with(' ') {
            _ = writeln!(said, "{line}");
            run.event(line).iter().for_each(|line| _ = writeln!(said, "    {line}"));
        }
    }
    if std::env::var_os("BLESS_PARITY").is_some() {
        let start = text.find("run = '''").expect("run") + "run = '''".len();
        let end = text[start..].find("'''").expect("its end") + start;
        let blessed = format!("{}{said}{}", &text[..start], &text[end..]);
        let path = format!("{}/tests/parity/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, blessed).expect("written");
        return;
    }
    assert_eq!(
        item.run.trim_end(),
        said.trim_start_matches('\n').trim_end(),
        "{name}: {}",
        item.title
    );
}

struct Run {
    model: Model,
    machine: Machine,
    now: Time,
    /// Requests without an ack: the domain's name, and what it is.
    open: Vec<(String, DomainRequest)>,
    heard: Heard,
    /// Names of all elements that ever were, by kind and ID.
    names: BTreeMap<(Kind, u16), String>,
    /// By name.
    domains: BTreeMap<String, u16>,
}

impl Run {
    fn new(policy: &str) -> (Self, String) {
        let doc = Document::parse(policy);
        let model = read(&doc);
        let report = doc.finish("car.toml").to_string();
        let machine = Machine::new(model.clone());
        let heard = machine.heard().clone();
        let mut run = Self {
            model,
            machine,
            now: 1000,
            open: Vec::new(),
            heard,
            names: BTreeMap::new(),
            domains: BTreeMap::from([("audiod".to_owned(), BUILT_IN)]),
        };
        run.learn();
        (run, report)
    }

    /// Names of what is there now.
    fn learn(&mut self) {
        for (index, source) in self.model.sources.iter().enumerate() {
            let id = self.machine.source_id(index).expect("an ID");
            self.names.insert((Kind::Source, id), source.name.clone());
        }
        for (index, sink) in self.model.sinks.iter().enumerate() {
            let id = self.machine.sink_id(index).expect("an ID");
            self.names.insert((Kind::Sink, id), sink.name.clone());
        }
        let registry = self.machine.registry();
        let sources = registry
            .sources
            .iter()
            .map(|(id, it)| ((Kind::Source, *id), it.name.clone()));
        let sinks = registry
            .sinks
            .iter()
            .map(|(id, it)| ((Kind::Sink, *id), it.name.clone()));
        let crossfaders = registry
            .crossfaders
            .iter()
            .map(|(id, it)| ((Kind::Crossfader, *id), it.name.clone()));
        let gateways = registry
            .gateways
            .iter()
            .map(|(id, it)| ((Kind::Gateway, *id), it.name.clone()));
        let domains = registry
            .domains
            .iter()
            .map(|(id, it)| ((Kind::Domain, *id), it.name.clone()));
        self.names
            .extend(sources.chain(sinks).chain(crossfaders).chain(gateways).chain(domains));
        self.domains
            .extend(registry.domains.iter().map(|(id, it)| (it.name.clone(), *id)));
    }

    fn id(&self, kind: Kind, name: &str) -> u16 {
        let mut all = self.names.iter().rev();
        let known = all.find(|((of, _), it)| *of == kind && *it == name).map(|it| it.0.1);
        known
            .or_else(|| name.parse().ok())
            .unwrap_or_else(|| panic!("no {kind:?} {name}"))
    }

    fn name(&self, kind: Kind, id: u16) -> String {
        self.names.get(&(kind, id)).cloned().unwrap_or_else(|| id.to_string())
    }

    fn index(&self, name: &str) -> usize {
        let index = self.model.sources.iter().position(|it| it.name == name);
        index.unwrap_or_else(|| panic!("no source {name}"))
    }

    fn end(&self, text: &str) -> End {
        match text.split_once(':') {
            Some(("source", name)) => End::Source(self.id(Kind::Source, name)),
            Some(("sink", name)) => End::Sink(self.id(Kind::Sink, name)),
            _ => panic!("source:NAME or sink:NAME, not {text}"),
        }
    }

    fn event(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["wait", ms] => self.wait(number(ms) as Time),
            ["restart"] => {
                self.machine = Machine::restore(self.model.clone(), &self.machine.snapshot()).expect("a snapshot");
                self.heard = self.machine.heard().clone();
                Vec::new()
            }
            ["boot"] => self.boot(false),
            ["boot-lost"] => self.boot(true),
            [domain, rest @ ..] if domain.starts_with('@') => self.domain(&domain[1..], rest),
            words => {
                let event = self.plain(words);
                self.step(event)
            }
        }
    }

    fn boot(&mut self, lost: bool) -> Vec<String> {
        let kept = self.machine.lasting();
        self.machine = if lost {
            let mut machine = Machine::new(self.model.clone());
            machine.note_lost_store();
            machine
        } else {
            Machine::restore_lasting(self.model.clone(), &kept, Restore::default()).expect("what lasts")
        };
        self.heard = self.machine.heard().clone();
        self.open.clear();
        self.step(Event::Tick)
    }

    fn wait(&mut self, ms: Time) -> Vec<String> {
        let until = self.now + ms;
        let mut said = Vec::new();
        while let Some(at) = self.machine.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            said.extend(self.step(Event::Tick));
        }
        self.now = until;
        said.extend(self.step(Event::Tick));
        said
    }

    fn plain(&self, words: &[&str]) -> Event {
        let available = |source: &str, available| Event::Available {
            source: self.index(source),
            available,
        };
        match *words {
            ["come", source] => available(source, true),
            ["go", source] => available(source, false),
            ["start", source] => Event::StreamStarted {
                source: self.index(source),
                start_gen: 1,
            },
            ["stop", source] => Event::StreamStopped {
                source: self.index(source),
            },
            ["release", source] => Event::StreamReleased {
                source: self.index(source),
            },
            ["sound", chime] => Event::Sounding {
                source: self.index(chime),
                on: true,
            },
            ["silence", chime] => Event::Sounding {
                source: self.index(chime),
                on: false,
            },
            ["rundown"] => Event::Rundown,
            ref call => Event::Call {
                token: 7,
                call: self.call(call),
            },
        }
    }

    fn call(&self, words: &[&str]) -> Call {
        let sink = |name: &str| self.id(Kind::Sink, name);
        let source = |name: &str| self.id(Kind::Source, name);
        match *words {
            ["connect", from, to] => Call::Connect {
                source: source(from),
                sink: sink(to),
            },
            ["disconnect", id] => Call::Disconnect {
                connection: number(id) as u16,
            },
            ["volume", at, volume] => Call::SetVolume {
                sink: sink(at),
                volume: number(volume),
            },
            ["step", at, step] => Call::VolumeStep {
                sink: sink(at),
                step: number(step),
            },
            ["mute", at] => Call::SetSinkMuteState {
                sink: sink(at),
                state: 1,
            },
            ["unmute", at] => Call::SetSinkMuteState {
                sink: sink(at),
                state: 2,
            },
            ["gain", of, gain] => Call::SetSourceGain {
                source: source(of),
                gain: number(gain),
            },
            ["property", end, kind, value] => {
                let property = (kind_of(kind), number(value));
                match self.end(end) {
                    End::Sink(sink) => Call::SetMainSinkSoundProperty { sink, property },
                    End::Source(source) => Call::SetMainSourceSoundProperty { source, property },
                }
            }
            ["properties", end, ref values @ ..] => {
                let properties = pairs(values);
                match self.end(end) {
                    End::Sink(sink) => Call::SetMainSinkSoundProperties { sink, properties },
                    End::Source(source) => Call::SetMainSourceSoundProperties { source, properties },
                }
            }
            ["system", kind, value] => Call::SetSystemProperty {
                property: (kind_of(kind), number(value)),
            },
            ["systems", ref values @ ..] => Call::SetSystemProperties {
                properties: pairs(values),
            },
            ["notification", end, kind, status, param] => {
                let notification = (kind_of(kind), number(status), number(param));
                match self.end(end) {
                    End::Sink(sink) => Call::SetSinkMainNotificationConfiguration { sink, notification },
                    End::Source(source) => Call::SetSourceMainNotificationConfiguration { source, notification },
                }
            }
            ["ask", ref what @ ..] => self.query(what),
            _ => panic!("unknown event {words:?}"),
        }
    }

    fn query(&self, words: &[&str]) -> Call {
        match *words {
            ["connections"] => Call::GetListMainConnections,
            ["sinks"] => Call::GetListMainSinks,
            ["sources"] => Call::GetListMainSources,
            ["classes"] => Call::GetListSourceClasses,
            ["system"] => Call::GetListSystemProperties,
            ["volume", sink] => Call::GetVolume {
                sink: self.id(Kind::Sink, sink),
            },
            ["timing", connection] => Call::GetTimingInformation {
                connection: number(connection) as u16,
            },
            ["properties", end] => match self.end(end) {
                End::Sink(sink) => Call::GetListMainSinkSoundProperties { sink },
                End::Source(source) => Call::GetListMainSourceSoundProperties { source },
            },
            ["notifications", end] => match self.end(end) {
                End::Sink(sink) => Call::GetListSinkMainNotificationConfigurations { sink },
                End::Source(source) => Call::GetListSourceMainNotificationConfigurations { source },
            },
            _ => panic!("unknown question {words:?}"),
        }
    }

    fn domain(&mut self, domain: &str, words: &[&str]) -> Vec<String> {
        match words {
            ["ack"] => self.ack(domain, 0),
            ["ack", error] => self.ack(domain, number(error) as u16),
            ["ack-all"] => {
                let mut said = Vec::new();
                for _ in 0..200 {
                    if !self.open.iter().any(|it| it.0 == domain) {
                        return said;
                    }
                    said.extend(self.ack(domain, 0));
                }
                panic!("requests without end");
            }
            ["forget"] => {
                let oldest = self.open.iter().position(|it| it.0 == domain).expect("a request");
                self.open.remove(oldest);
                Vec::new()
            }
            ["leave"] => {
                self.open.retain(|it| it.0 != domain);
                self.step(Event::PeerLost { peer: peer(domain) })
            }
            words => {
                let call = self.routing(domain, words);
                let (token, peer) = (9, peer(domain));
                self.step(Event::Routing { token, peer, call })
            }
        }
    }

    fn ack(&mut self, domain: &str, error: u16) -> Vec<String> {
        let oldest = self.open.iter().position(|it| it.0 == domain).expect("a request");
        let (_, request) = self.open.remove(oldest);
        let (handle, result) = (request.handle(), result_of(&request));
        let call = RoutingCall::Ack { handle, result, error };
        let (token, peer) = (9, peer(domain));
        let mut said = vec![format!("(ack #{handle})")];
        said.extend(self.step(Event::Routing { token, peer, call }));
        said
    }

    fn routing(&self, domain: &str, words: &[&str]) -> RoutingCall {
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

    fn step(&mut self, event: Event) -> Vec<String> {
        let effects = self.machine.step(event, self.now);
        self.learn();
        let mut said: Vec<String> = Vec::new();
        for effect in &effects {
            match effect {
                Effect::Reply { reply, .. } => said.extend(self.reply(reply)),
                Effect::Signal(signal) => said.push(self.signal(signal)),
                Effect::GuestControl { source, gain, mute } => {
                    said.push(format!(
                        "control of {} shows {}{}",
                        self.model.sources[*source].name,
                        db(*gain),
                        if *mute { " muted" } else { "" }
                    ));
                }
                Effect::RoutingReply { reply, .. } => said.extend(routing_reply(reply)),
                Effect::Domain { domain, request } => {
                    let name = self.name(Kind::Domain, *domain);
                    said.push(format!("{name} <- {}", self.request(request)));
                    match request {
                        DomainRequest::Abort { handle } => {
                            self.open.retain(|it| it.0 != name || it.1.handle() != *handle);
                        }
                        DomainRequest::SetDomainState { .. } => {}
                        request => self.open.push((name, request.clone())),
                    }
                }
                Effect::Heard(heard) => {
                    let before = std::mem::replace(&mut self.heard, heard.clone());
                    said.extend(self.differences(&before));
                }
            }
        }
        let rules = self.machine.model().rules.rules();
        let acted = self.machine.acted().iter().filter_map(|it| rules.get(it.rule));
        let mut acted: Vec<String> = acted.map(|it| format!("rule {}", it.name)).collect();
        acted.dedup();
        acted.extend(said);
        acted
    }

    fn differences(&self, before: &Heard) -> Vec<String> {
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

    fn by(&self, index: usize) -> Option<String> {
        match index.checked_sub(EXTERNAL) {
            Some(id) => Some(self.name(Kind::Source, u16::try_from(id).ok()?)),
            None => self.model.sources.get(index).map(|it| it.name.clone()),
        }
    }

    fn reply(&self, reply: &Reply) -> Vec<String> {
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

    fn signal(&self, signal: &Signal) -> String {
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

    fn request(&self, request: &DomainRequest) -> String {
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

fn number(text: &str) -> i16 {
    text.parse::<i16>().unwrap_or_else(|err| panic!("{text}: {err}"))
}

/// A property's type, which may be one of AudioManager's own, from 61440 on.
fn kind_of(text: &str) -> i16 {
    let wrapped = |it: u16| it as i16;
    text.parse::<u16>().map(wrapped).unwrap_or_else(|_| number(text))
}

fn pairs(words: &[&str]) -> Vec<(i16, i16)> {
    words
        .chunks_exact(2)
        .map(|pair| (kind_of(pair[0]), number(pair[1])))
        .collect()
}

fn properties(all: &[(i16, i16)]) -> String {
    let all: Vec<String> = all
        .iter()
        .map(|(kind, value)| format!("{}={value}", *kind as u16))
        .collect();
    all.join(" ")
}

fn db(gain: i16) -> String {
    match gain {
        MUTE => "silent".to_owned(),
        gain => format!("{:.1} dB", f64::from(gain) / 10.0),
    }
}

fn peer(domain: &str) -> String {
    format!(":{domain}")
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

fn result_of(request: &DomainRequest) -> AckResult {
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

fn routing_reply(reply: &RoutingReply) -> Option<String> {
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
