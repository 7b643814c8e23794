//! A small car, and a machine that is easy to talk to.

use std::collections::BTreeMap;

use crate::command::{Call, ConnectionState, Reply, Signal};
use crate::effect::{Cause, CauseKind, Effect, Mode, Tap};
use crate::event::Event;
use crate::model::{Cell, Class, Duck, Holder, Model, Newcomer, Sink, Source, Unrouted};
use crate::{Db10, Machine, Time};

/// Sources of [`car`].
pub(in crate::machine) const MEDIA: usize = 0;
pub(in crate::machine) const RADIO: usize = 1;
pub(in crate::machine) const PROMPT: usize = 2;
pub(in crate::machine) const PHONE: usize = 3;
pub(in crate::machine) const PARTITION: usize = 4;
pub(in crate::machine) const BELT: usize = 5;
/// Sinks.
pub(in crate::machine) const CABIN: usize = 0;
pub(in crate::machine) const REAR: usize = 1;
/// Classes.
pub(in crate::machine) const CLASS_MEDIA: usize = 0;
pub(in crate::machine) const CLASS_NAVIGATION: usize = 1;
pub(in crate::machine) const CLASS_PHONE: usize = 2;
pub(in crate::machine) const CLASS_WARNING: usize = 3;

/// The line of the cell media, navigation.
pub(in crate::machine) const DUCK_LINE: u32 = 70;

pub(in crate::machine) fn class(name: &str, priority: i32, safety: bool) -> Class {
    Class {
        name: name.to_owned(),
        priority,
        safety,
        others_at_most: None,
        own_volume: false,
        properties: Vec::new(),
        line: 1,
    }
}

pub(in crate::machine) fn source(name: &str, class: usize, auto_connect: &[usize]) -> Source {
    Source {
        name: name.to_owned(),
        class,
        auto_connect: auto_connect.to_vec(),
        safety_sinks: Vec::new(),
        unrouted: Unrouted::Discard,
        gain: 0,
        visible: true,
        line: 10,
    }
}

pub(in crate::machine) fn safety(name: &str, class: usize, sinks: &[usize]) -> Source {
    Source {
        safety_sinks: sinks.to_vec(),
        ..source(name, class, &[])
    }
}

pub(in crate::machine) fn sink(name: &str) -> Sink {
    Sink {
        name: name.to_owned(),
        main_volume: 10,
        curve: vec![(0, crate::MUTE), (1, -450), (10, 0)],
        muted: false,
        visible: true,
        ramp_ms: 20,
        groups: Vec::new(),
        line: 50,
    }
}

pub(in crate::machine) fn cell(holder: Holder, newcomer: Newcomer) -> Cell {
    Cell {
        holder,
        newcomer,
        duck: Duck {
            depth: -140,
            attack_ms: 51,
            release_ms: 501,
            ..Duck::default()
        },
        line: Some(DUCK_LINE),
    }
}

/// Two media sources, a prompt and a phone in the cabin; a safety partition and a chime in both zones. Written: navigation
/// ducks media by 14 dB.
pub(in crate::machine) fn car() -> Model {
    Model {
        classes: vec![
            class("media", 10, false),
            class("navigation", 50, false),
            class("phone", 70, false),
            class("warning", 1000, true),
        ],
        sources: vec![
            source("ivi.media", CLASS_MEDIA, &[CABIN]),
            source("ivi.radio", CLASS_MEDIA, &[CABIN]),
            source("cluster.prompt", CLASS_NAVIGATION, &[CABIN]),
            source("ivi.phone", CLASS_PHONE, &[CABIN]),
            safety("safety.tone", CLASS_WARNING, &[CABIN, REAR]),
            safety("chime.belt", CLASS_WARNING, &[CABIN, REAR]),
        ],
        sinks: vec![sink("cabin"), sink("rear")],
        groups: Vec::new(),
        cells: BTreeMap::from([((CLASS_MEDIA, CLASS_NAVIGATION), cell(Holder::Duck, Newcomer::Play))]),
        default_duck: Duck {
            depth: -200,
            attack_ms: 52,
            release_ms: 502,
            ..Duck::default()
        },
        routing: crate::routing::Rules::default(),
        usage: crate::usage::Usage::default(),
        rules: crate::rules::Program::default(),
        system_properties: Vec::new(),
    }
}

/// [`car`] with one cell written (or written over).
pub(in crate::machine) fn car_with(holder: usize, newcomer: usize, cell: Cell) -> Model {
    let mut model = car();
    model.cells.insert((holder, newcomer), cell);
    model
}

pub(in crate::machine) struct Bench {
    pub machine: Machine,
    pub now: Time,
    pub effects: Vec<Effect>,
    generation: u32,
}

impl Bench {
    pub fn new(model: Model) -> Self {
        Self {
            machine: Machine::new(model),
            now: 1000,
            effects: Vec::new(),
            generation: 0,
        }
    }

    /// Takes an event 10 ms after the last one.
    pub fn step(&mut self, event: Event) -> &[Effect] {
        self.now += 10;
        self.effects = self.machine.step(event, self.now);
        &self.effects
    }

    /// Lets every fade end.
    pub fn wait(&mut self) {
        while let Some(deadline) = self.machine.next_deadline() {
            self.now = deadline;
            self.effects = self.machine.step(Event::Tick, deadline);
        }
    }

    pub fn start(&mut self, source: usize) {
        self.generation += 1;
        let start_gen = self.generation;
        self.step(Event::StreamStarted { source, start_gen });
    }

    pub fn stop(&mut self, source: usize) {
        self.step(Event::StreamStopped { source });
    }

    pub fn release(&mut self, source: usize) {
        self.step(Event::StreamReleased { source });
    }

    pub fn sound(&mut self, source: usize, on: bool) {
        self.step(Event::Sounding { source, on });
    }

    /// Calls, and gives the one reply.
    pub fn call(&mut self, call: Call) -> Reply {
        self.step(Event::Call { token: 7, call });
        let mut replies = self.effects.iter().filter_map(|effect| match effect {
            Effect::Reply { token: 7, reply } => Some(reply.clone()),
            _ => None,
        });
        let reply = replies.next().expect("a reply");
        assert_eq!(replies.next(), None, "one reply a call");
        reply
    }

    pub fn connect(&mut self, source: usize, sink: usize) -> Reply {
        let source = self.machine.source_id(source).unwrap();
        let sink = self.machine.sink_id(sink).unwrap();
        self.call(Call::Connect { source, sink })
    }

    pub fn signals(&self) -> Vec<Signal> {
        let signals = self.effects.iter().filter_map(|effect| match effect {
            Effect::Signal(signal) => Some(signal.clone()),
            _ => None,
        });
        signals.collect()
    }

    /// The state changes signalled in the last step.
    pub fn changes(&self) -> Vec<(u16, ConnectionState)> {
        let signals = self.signals();
        let changes = signals.iter().filter_map(|signal| match signal {
            Signal::MainConnectionStateChanged { connection, state } => Some((*connection, *state)),
            _ => None,
        });
        changes.collect()
    }

    pub fn tap(&self, source: usize, sink: usize) -> &Tap {
        &self.machine.heard().sources[source].taps[sink]
    }

    /// Gain and ramp.
    pub fn gain(&self, source: usize, sink: usize) -> (Db10, u32) {
        let tap = self.tap(source, sink);
        (tap.gain, tap.ramp_ms)
    }

    pub fn mode(&self, source: usize) -> Mode {
        self.machine.heard().sources[source].mode
    }

    pub fn why(&self, source: usize, sink: usize) -> Vec<CauseKind> {
        self.tap(source, sink).causes.iter().map(|cause| cause.kind).collect()
    }

    pub fn cause(&self, source: usize, sink: usize) -> Cause {
        self.tap(source, sink).causes.first().expect("a cause").clone()
    }

    pub fn state(&self, source: usize, sink: usize) -> Option<ConnectionState> {
        let mut all = self.machine.connections();
        all.find(|it| it.source == source && it.sink == sink).map(|it| it.state)
    }
}
