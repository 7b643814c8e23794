//! A judge that sees what a machine is told and what it says, and nothing of how it decides.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::command::{Call, ConnectionState, Reply, ReplyBody, Signal};
use crate::effect::{CauseKind, Effect, Heard, Mode, Tap};
use crate::event::Event;
use crate::model::{Holder, Model, Newcomer};
use crate::{MUTE, Machine, curve};

use ConnectionState::{Connected, Connecting, Disconnected, Disconnecting, Suspended, Unknown};

type Verdict = Result<(), TestCaseError>;

/// What it knows from events and effects alone.
pub(super) struct Judge {
    running: Vec<bool>,
    sounding: Vec<bool>,
    start_gen: Vec<u32>,
    /// By ID, as signalled.
    connections: BTreeMap<u16, ConnectionState>,
    heard: Heard,
    other_file: bool,
}

impl Judge {
    /// Begins with a machine at first start or restored.
    pub fn new(machine: &Machine) -> Self {
        let states = (0..machine.model().sources.len()).filter_map(|source| machine.state_of(source));
        let states: Vec<_> = states.collect();
        Self {
            running: states.iter().map(|it| it.running).collect(),
            sounding: states.iter().map(|it| it.sounding).collect(),
            start_gen: states.iter().map(|it| it.start_gen).collect(),
            connections: machine.connections().map(|it| (it.id, it.state)).collect(),
            heard: machine.heard().clone(),
            other_file: false,
        }
    }

    /// The file changed: who was there stays there, whatever it says about newcomers now.
    pub fn after_a_change(machine: &Machine) -> Self {
        Self {
            other_file: true,
            ..Self::new(machine)
        }
    }

    /// Judges one step.
    pub fn step(&mut self, machine: &Machine, event: &Event, effects: &[Effect]) -> Verdict {
        self.note(machine.model(), event);
        self.replies(event, effects)?;
        let before = self.connections.len();
        for effect in effects {
            if let Effect::Signal(signal) = effect {
                self.signal(signal)?;
            }
        }
        // Each of the rules that one event sets off may move every connection.
        let rules = if machine.model().rules.is_empty() { 1 } else { 64 };
        let most = rules * (before.max(self.connections.len()) + machine.model().sinks.len());
        prop_assert!(effects.len() <= 8 * most + 4, "{} effects", effects.len());
        self.all_settled(machine)?;
        self.said_what_is_heard(machine, effects)?;
        self.as_heard(machine)?;
        self.one_of_a_class(machine.model())?;
        for source in 0..self.running.len() {
            self.source(machine, source)?;
        }
        Ok(())
    }

    fn note(&mut self, model: &Model, event: &Event) {
        match *event {
            Event::StreamStarted { source, start_gen } if source < self.running.len() => {
                self.running[source] = true;
                self.start_gen[source] = start_gen;
            }
            Event::StreamStopped { source }
            | Event::StreamReleased { source }
            | Event::Available {
                source,
                available: false,
            } if source < self.running.len() => {
                self.running[source] = false;
            }
            Event::Sounding { source, on } if model.protected(source) => self.sounding[source] = on,
            _ => {}
        }
    }

    /// One reply a call, with its token, before everything else.
    fn replies(&self, event: &Event, effects: &[Effect]) -> Verdict {
        let replies = effects.iter().filter(|it| matches!(it, Effect::Reply { .. })).count();
        let Event::Call { token, call } = event else {
            prop_assert_eq!(replies, 0);
            return Ok(());
        };
        prop_assert_eq!(replies, 1);
        let Some(Effect::Reply { token: answered, reply }) = effects.first() else {
            return Err(TestCaseError::fail("the reply is not the first effect"));
        };
        prop_assert_eq!(answered, token);
        if let (Call::Connect { .. }, Reply { error, body }) = (call, reply) {
            let ReplyBody::Connection(id) = body else {
                return Err(TestCaseError::fail("Connect without an ID"));
            };
            prop_assert_eq!(*error == 0, *id != 0);
            let announced = |it: &Effect| matches!(it, Effect::Signal(Signal::NewMainConnection(new)) if new.id == *id);
            let known = self.connections.contains_key(id) || effects.iter().any(announced);
            prop_assert!(*error != 0 || known, "accepted, and nobody heard of it");
        }
        Ok(())
    }

    /// The connection's life, transition by transition.
    fn signal(&mut self, signal: &Signal) -> Verdict {
        match signal {
            Signal::NewMainConnection(new) => {
                prop_assert_eq!(new.state, Unknown);
                prop_assert_eq!(self.connections.insert(new.id, Unknown), None);
            }
            Signal::MainConnectionStateChanged { connection, state } => {
                let before = self.connections.insert(*connection, *state);
                let legal = matches!(
                    (before, state),
                    (Some(Unknown | Suspended), Connecting)
                        | (Some(Connecting), Connected | Suspended)
                        | (Some(Connected), Suspended)
                        | (Some(Connecting | Connected | Suspended), Disconnecting)
                        | (Some(Disconnecting), Disconnected)
                );
                prop_assert!(legal, "{before:?} to {state:?}");
            }
            Signal::RemovedMainConnection { connection } => {
                prop_assert_eq!(self.connections.remove(connection), Some(Disconnected));
            }
            _ => {}
        }
        Ok(())
    }

    fn all_settled(&self, machine: &Machine) -> Verdict {
        for (id, state) in &self.connections {
            prop_assert!(
                matches!(state, Connected | Suspended),
                "connection {id} is left {state:?}"
            );
        }
        let real: BTreeMap<u16, ConnectionState> = machine.connections().map(|it| (it.id, it.state)).collect();
        prop_assert_eq!(&real, &self.connections);
        Ok(())
    }

    /// A connection is what is heard of it.
    fn as_heard(&self, machine: &Machine) -> Verdict {
        for it in machine.connections() {
            let heard = self.is_heard(machine.model(), it.source, it.sink);
            let causes = &self.heard.sources[it.source].taps[it.sink].causes;
            let kind = causes.first().map(|cause| cause.kind);
            let held_up = matches!(
                kind,
                Some(
                    CauseKind::Paused { .. }
                        | CauseKind::Delayed { .. }
                        | CauseKind::Rejected { .. }
                        | CauseKind::RuleSuspended
                )
            );
            match it.state {
                Suspended => prop_assert!(held_up, "suspended and not held up: {kind:?}"),
                _ => prop_assert_eq!(heard, self.running[it.source], "connected, but {:?}", kind),
            }
        }
        Ok(())
    }

    /// A class that doesn't mix with itself is heard once at a sink.
    fn one_of_a_class(&self, model: &Model) -> Verdict {
        for (one, source) in model.sources.iter().enumerate() {
            let cell = model.cell(source.class, source.class);
            let shares = matches!(cell.holder, Holder::Mix | Holder::Duck) && cell.newcomer == Newcomer::Play;
            let stays = self.other_file && cell.holder != Holder::Pause;
            if shares || stays || model.protected(one) {
                continue;
            }
            for other in one + 1..model.sources.len() {
                let both = |sink: usize| self.is_heard(model, one, sink) && self.is_heard(model, other, sink);
                if model.sources[other].class == source.class && (0..model.sinks.len()).any(both) {
                    return Err(TestCaseError::fail("two of a class that doesn't mix"));
                }
            }
        }
        Ok(())
    }

    /// `Heard` comes last, and exactly when it changed.
    fn said_what_is_heard(&mut self, machine: &Machine, effects: &[Effect]) -> Verdict {
        let before = std::mem::replace(&mut self.heard, machine.heard().clone());
        let said: Vec<usize> = (effects.iter().enumerate())
            .filter_map(|(index, it)| matches!(it, Effect::Heard(_)).then_some(index))
            .collect();
        if before == self.heard {
            prop_assert_eq!(said, Vec::<usize>::new());
        } else {
            prop_assert_eq!(said, vec![effects.len() - 1]);
            prop_assert_eq!(effects.last(), Some(&Effect::Heard(self.heard.clone())));
        }
        Ok(())
    }

    fn active(&self, source: usize) -> bool {
        self.running[source] || self.sounding[source]
    }

    fn source(&self, machine: &Machine, source: usize) -> Verdict {
        let model = machine.model();
        let heard = &self.heard.sources[source];
        prop_assert_eq!(
            heard.decided == self.start_gen[source],
            self.running[source],
            "a start is owed its decision, and what may go on under the same number none before it does"
        );
        prop_assert_eq!(heard.taps.len(), model.sinks.len());
        for (sink, tap) in heard.taps.iter().enumerate() {
            let groups = &model.sinks[sink].groups;
            prop_assert_eq!(tap.groups.len(), groups.len());
            let names = std::iter::once(None).chain(groups.iter().copied().map(Some));
            for (part, group) in tap.parts().zip(names) {
                self.tap(model, (source, sink), part, group)?;
            }
        }
        if model.protected(source) {
            prop_assert_eq!(heard.mode, Mode::Play);
        } else if self.running[source] {
            let any = (0..heard.taps.len()).any(|sink| self.is_heard(model, source, sink));
            let fades = heard.mode == Mode::Play && !any && machine.next_deadline().is_some();
            prop_assert_eq!(heard.mode == Mode::Play, any || fades);
        }
        Ok(())
    }

    fn tap(&self, model: &Model, (source, sink): (usize, usize), tap: &Tap, group: Option<usize>) -> Verdict {
        if model.sources[source].safety_sinks.contains(&sink) {
            prop_assert_eq!((tap.gain, tap.causes.len()), (0, 0), "nothing reaches a safety source");
            return Ok(());
        }
        let sum: i32 = tap.causes.iter().map(|cause| i32::from(cause.gain)).sum();
        prop_assert_eq!(i32::from(tap.gain), sum.max(MUTE.into()), "the causes explain the gain");
        if !self.running[source] || model.protected(source) {
            prop_assert_eq!(tap.gain, MUTE);
        }
        for cause in &tap.causes {
            // A refusal stands until the next start, whether the holder is still there or not.
            let lasting = !matches!(cause.kind, CauseKind::Rejected { .. });
            if let (Some(by), true) = (cause.kind.by(), lasting) {
                prop_assert!(self.active(by), "{:?} without a running cause", cause.kind);
            }
            if let CauseKind::Ducked { by } = cause.kind {
                prop_assert!(self.is_heard(model, by, sink), "ducked by one that is not heard");
            }
        }
        self.ducked_for_safety(model, (source, sink), tap, group)?;
        self.volume_in_it(model, source, sink, tap)
    }

    /// Everyone heard where a protected source sounds is ducked at least as deep as the cell says.
    fn ducked_for_safety(
        &self,
        model: &Model,
        (source, sink): (usize, usize),
        tap: &Tap,
        group: Option<usize>,
    ) -> Verdict {
        for (by, other) in model.sources.iter().enumerate() {
            let there = other.safety_sinks.contains(&sink) && self.active(by);
            let cell = model.cell(model.sources[source].class, other.class);
            if !there || cell.holder != Holder::Duck || !self.is_heard(model, source, sink) {
                continue;
            }
            let ducked = tap.causes.iter().find(|it| {
                let kinds = [CauseKind::Limited, CauseKind::RuleMuted];
                matches!(it.kind, CauseKind::Ducked { .. }) || kinds.contains(&it.kind)
            });
            let depth = ducked.map_or(0, |cause| cause.gain);
            let wanted = cell.duck.within(group).depth;
            prop_assert!(depth <= wanted, "a duck of {wanted} is missing");
        }
        Ok(())
    }

    /// Nothing is louder than the file lets any mainVolume make it.
    fn volume_in_it(&self, model: &Model, source: usize, sink: usize, tap: &Tap) -> Verdict {
        let curve = &model.sinks[sink].curve;
        let loudest = curve::gain(curve, curve::range(curve).1);
        prop_assert!(tap.gain <= loudest, "source {source} is louder than possible");
        Ok(())
    }

    /// A source that reaches a sink, however quietly.
    fn is_heard(&self, model: &Model, source: usize, sink: usize) -> bool {
        if model.protected(source) {
            return model.sources[source].safety_sinks.contains(&sink) && self.active(source);
        }
        let kept_away = |kind: CauseKind| {
            matches!(
                kind,
                CauseKind::NoRoute
                    | CauseKind::NotRunning
                    | CauseKind::Rejected { .. }
                    | CauseKind::Delayed { .. }
                    | CauseKind::Paused { .. }
                    | CauseKind::RuleSuspended
            )
        };
        let causes = &self.heard.sources[source].taps[sink].causes;
        !causes.iter().any(|cause| kept_away(cause.kind))
    }
}
