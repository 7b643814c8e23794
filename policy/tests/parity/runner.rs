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

#[path = "domains.rs"]
mod domains;
#[path = "words.rs"]
mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use domains::result_of;
use policy::command::Call;
use policy::effect::{Effect, Heard};
use policy::file::{Document, read};
use policy::model::Restore;
use policy::report::Report;
use policy::routing::BUILT_IN;
use policy::routing_command::{DomainRequest, End, Kind, RoutingCall};
use policy::{Event, Machine, Model, Time};
use words::{db, routing_reply};

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

impl Item {
    fn of(text: &str) -> Self {
        toml::from_str(text).expect("an item")
    }

    fn whole_policy(&self) -> String {
        if self.policy.trim_start().starts_with("version") {
            self.policy.clone()
        } else {
            format!("{CAR}{}", self.policy)
        }
    }

    /// Its events with the effects they have under a policy; and whether that has mistakes.
    fn play(&self, policy: &str) -> (String, Report) {
        let (mut run, report) = Run::new(policy);
        let mut said = String::from("\n");
        if report.errors() > 0 {
            let lines = report.to_string();
            lines.lines().for_each(|line| _ = writeln!(said, "    {line}"));
        }
        for line in self.run.lines().map(str::trim_end) {
            if line.starts_with('#') {
                _ = writeln!(said, "{line}");
            } else if !line.is_empty() && !line.starts_with(' ') {
                _ = writeln!(said, "{line}");
                run.event(line).iter().for_each(|line| _ = writeln!(said, "    {line}"));
            }
        }
        (said, report)
    }

    fn is_as_said(&self, said: &str) -> bool {
        self.run.trim_end() == said.trim_start_matches('\n').trim_end()
    }
}

/// Runs an item; panics where an event has other effects than it is said to have.
pub fn check(name: &str, text: &str) {
    let item = Item::of(text);
    assert!(!item.title.is_empty());
    let (said, report) = item.play(&item.whole_policy());
    // What is wrong with a policy is what one item is about; others show one thing alone, and may well be suspicious for that.
    assert_eq!(report.errors() == 0, name != "CF1", "{name}: {report}");
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

/// Whether an item fails with another policy than its own: other effects, a mistake, or what it speaks of isn't there.
pub fn fails_with(text: &str, change: impl Fn(&str) -> String) -> bool {
    let item = Item::of(text);
    let policy = change(&item.whole_policy());
    let played = std::panic::catch_unwind(|| item.play(&policy));
    played.map_or(true, |(said, report)| report.errors() > 0 || !item.is_as_said(&said))
}

/// An item's own part of its policy.
pub fn own_policy(text: &str) -> String {
    Item::of(text).policy
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
    fn new(policy: &str) -> (Self, Report) {
        let doc = Document::parse(policy);
        let model = read(&doc);
        let report = doc.finish("car.toml");
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

fn peer(domain: &str) -> String {
    format!(":{domain}")
}
