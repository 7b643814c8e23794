//! Policy and engine on one clock, the codec's: a file's machine decides between two periods, its batches go through the product's own
//! tables, the engine mixes. Nothing waits for the machine this runs on, so each run is the same.

use std::path::Path;

use audiod::blocks::EngineBlock;
use audiod::config;
use audiod::control::chimes::Chimes;
use audiod::control::gains::Gains;
use audiod::control::history::{self, History};
use audiod::control::monitor::Names;
use audiod::control::recorder::{Recorders, Seen};
use audiod::system::System;
use dbus_api::history::{Decision, Page};
use policy::command::{Call, Reply};
use policy::routing_command::{DomainRequest, RoutingCall, RoutingReply};
use policy::{Effect, Event, Machine, Model};

use super::{Bench, FakeStream, PERIOD, START};

/// What decides: all of control but its processes, on whatever time it is told.
pub struct Decider {
    pub machine: Machine,
    /// What domains were asked, oldest first.
    pub asked: Vec<DomainRequest>,
    gains: Gains,
    history: History,
    recorders: Recorders,
    chimes: Chimes,
    names: Names,
    /// ms.
    pub now: u64,
}

impl Decider {
    fn new(system: &System, model: Model, block: &'static EngineBlock) -> Self {
        let blocks = [block];
        let mut decider = Self {
            machine: Machine::new(model),
            asked: Vec::new(),
            gains: Gains::new(system, &blocks),
            history: History::new([("main".to_owned(), block.gains.batch())]),
            recorders: Recorders::new(system, &blocks),
            chimes: Chimes::new(system, &blocks),
            names: Names::new(system),
            now: 0,
        };
        for source in 0..decider.names.sources.len() {
            let available = true;
            decider.step(Event::Available { source, available });
        }
        decider
    }

    /// One decision, in control's order.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        let occasion = history::occasion(&event, &self.machine, &self.names);
        self.history.open(self.now, occasion);
        let effects = self.machine.step(event, self.now);
        self.carry_out(effects)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        for effect in &effects {
            match effect {
                Effect::Heard(heard) => self.history.published(&self.gains.publish(heard)),
                Effect::Reply { reply, .. } => self.history.answered(reply.error),
                Effect::Domain { request, .. } => self.asked.push(request.clone()),
                _ => {}
            }
        }
        self.history.close();
        effects
    }

    /// A guest starts its stream.
    pub fn started(&mut self, source: usize) {
        let start_gen = START;
        self.step(Event::StreamStarted { source, start_gen });
    }

    /// What the policy waits for comes when its time has come.
    pub fn tick(&mut self) -> Vec<Effect> {
        match self.machine.next_deadline() {
            Some(deadline) if deadline <= self.now => self.step(Event::Tick),
            _ => Vec::new(),
        }
    }

    /// Looks what the engine took.
    pub fn look(&mut self) {
        for seen in self.recorders.drain(&self.names, &self.chimes) {
            if let Seen::Taken(taken) = seen {
                self.history.taken(taken);
            }
        }
    }

    /// All decisions that are kept.
    pub fn decisions(&self) -> Vec<Decision> {
        let mut all: Vec<Decision> = Vec::new();
        loop {
            let from = all.last().map_or(0, |last| last.number + 1);
            let page: Page = serde_json::from_str(&self.history.page(from, u16::MAX)).unwrap();
            if page.decisions.is_empty() {
                return all;
            }
            all.extend(page.decisions);
        }
    }
}

/// See the module. Each guest of the file has one stream; the codec has 48 kHz and periods of [`PERIOD`].
pub struct Car {
    pub policy: Decider,
    pub bench: Bench,
    periods: u64,
}

impl Car {
    /// The guests are there, their streams not started.
    pub fn new(text: &str, streams: Vec<FakeStream>) -> Self {
        let config::Loaded { system, model, .. } = loaded(text);
        let count = (streams.len(), streams.len());
        assert_eq!((system.guests.len(), system.sources.len()), count);
        let mut bench = Bench::of(&system, streams);
        (0..system.guests.len()).for_each(|guest| bench.stream(guest).view.running = false);
        Self {
            policy: Decider::new(&system, model, bench.block),
            bench,
            periods: 0,
        }
    }

    /// The policy of another text from the next period on.
    pub fn reload(&mut self, text: &str) {
        let policy = &mut self.policy;
        policy.history.open(policy.now, history::reload());
        let effects = policy.machine.reload(loaded(text).model, policy.now).unwrap();
        policy.carry_out(effects);
    }

    pub fn call(&mut self, call: Call) -> Reply {
        let effects = self.policy.step(Event::Call { token: 1, call });
        let reply = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { reply, .. } => Some(reply),
            _ => None,
        });
        reply.expect("a reply")
    }

    /// A domain's call; its ID, where it is answered with one.
    pub fn registered(&mut self, call: RoutingCall) -> u16 {
        let peer = ":1.1".to_owned();
        let effects = self.policy.step(Event::Routing { token: 2, peer, call });
        let id = effects.iter().find_map(|effect| match effect {
            Effect::RoutingReply {
                reply: RoutingReply::Id { id, error: 0 },
                ..
            } => Some(*id),
            _ => None,
        });
        id.expect("an ID")
    }

    /// A guest starts its stream.
    pub fn start(&mut self, source: usize) {
        self.bench.stream(source).view.running = true;
        self.policy.started(source);
    }

    /// A guest stops its stream.
    pub fn stop(&mut self, source: usize) {
        self.bench.stream(source).view.running = false;
        self.policy.step(Event::StreamStopped { source });
    }

    /// Periods pass.
    pub fn run(&mut self, periods: u64) {
        for _ in 0..periods {
            self.policy.tick();
            self.bench.run(1);
            self.periods += 1;
            self.policy.now = self.periods * PERIOD as u64 / 48;
        }
        self.policy.look();
    }

    /// All decisions that are kept.
    pub fn decisions(&self) -> Vec<Decision> {
        self.policy.decisions()
    }

    /// The left channel of all that was played.
    pub fn left(&self) -> Vec<f32> {
        self.bench.played_samples().into_iter().step_by(2).collect()
    }
}

fn loaded(text: &str) -> config::Loaded {
    config::parse(text, Path::new("car.toml")).unwrap_or_else(|report| panic!("{report}"))
}

/// Music and a prompt in the cabin, each of a guest of its own: the prompt ducks the music by 12 dB within 20 ms.
pub const FILE: &str = r#"version = 1
[codecs.main]
backend = "null"
format = "S24"
period = 48
lead = 2

[zones.cabin]
codec = "main"
ramp_ms = 5

[classes.media]
priority = 10
[classes.prompt]
priority = 50

[[matrix]]
holder = "media"
newcomer = "prompt"
action = "duck"
depth_db = -12.0
attack_ms = 20
release_ms = 40

[guests.ivi]
socket = "ivi.sock"
streams.media = { class = "media", zone = "cabin" }
[guests.cluster]
socket = "cluster.sock"
streams.prompt = { class = "prompt", zone = "cabin" }
"#;

/// A mono stream of one value.
pub fn constant(value: f32, periods: usize) -> FakeStream {
    FakeStream::playing(19, 1, 7, value.to_le_bytes().repeat(periods * PERIOD))
}
