//! A car of three domains that acknowledge as they like, and a judge that sees calls, effects and what the domains really did.

mod losses;
mod rest;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::rig::{ack_of, domain, gateway, sink, source};
use crate::command::{Call, ConnectionState, Signal};
use crate::effect::{CauseKind, Effect};
use crate::event::Event;
use crate::machine::tests::fixture::{sink as zone, source as built_in};
use crate::model::Model;
use crate::routing::BUILT_IN;
use crate::routing_command::{DomainRequest, End, Kind, RoutingCall, RoutingReply, source_state};
use crate::{MUTE, Machine, Time};

use ConnectionState::{Connected, Connecting, Disconnected, Disconnecting, Suspended, Unknown};

pub(super) type Verdict = Result<(), TestCaseError>;

/// What happens, by small numbers.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Connect(u8, u8),
    Disconnect(u8),
    Volume(u8, i16),
    Mute(u8, bool),
    /// One of the open requests is done.
    Ack(u8),
    AckAll,
    Refuse(u8, u16),
    /// The domain forgets to acknowledge.
    Forget(u8),
    Undeliverable(u8),
    /// Another peer acknowledges it.
    Foreign(u8),
    Wait(u16),
    Lose(u8, u8),
    PeerLost(u8),
    Available(u8, bool),
    Interrupt(u8, bool),
    /// A guest's stream starts or ends.
    Stream(u8, bool),
    /// Everything that is gone is registered again.
    Register,
}

/// Two guests' streams and a zone come first (see [`World::guests`]), then what domains have (see [`World::register`]).
const FIRST_SOURCE: u16 = 103;
const FIRST_SINK: u16 = 102;
const SOURCES: u16 = 6;
const SINKS: u16 = 5;
/// (domain, class) of each source.
const SOURCE_PLACES: [(usize, u16); 6] = [(0, 101), (0, 102), (0, 103), (1, 101), (1, 103), (2, 102)];
/// Domain of each sink.
const SINK_PLACES: [usize; 5] = [0, 0, 1, 1, 2];

pub(super) struct World {
    pub machine: Machine,
    pub now: Time,
    pending: Vec<(String, DomainRequest)>,
    /// By the source's peer and connection: what is really connected.
    segments: BTreeMap<(String, u16), (u16, u16)>,
    states: BTreeMap<u16, i16>,
    levels: BTreeMap<u16, i16>,
    issued: BTreeMap<(String, u16), Time>,
    connections: BTreeMap<u16, ConnectionState>,
    ends: BTreeMap<u16, (u16, u16)>,
    muted: BTreeSet<u16>,
    away: BTreeSet<End>,
    /// When a request was aborted.
    aborted: BTreeMap<(String, u16), Time>,
    /// Every ack told the truth and was heard.
    honest: bool,
    /// And no volume took too long.
    punctual: bool,
    pub log: Vec<Vec<Effect>>,
}

fn peer(domain: usize) -> String {
    format!(":1.{domain}")
}

impl World {
    pub fn new(model: Model) -> Self {
        let model = Self::guests(model);
        let mut world = Self {
            machine: Machine::new(model),
            now: 0,
            pending: Vec::new(),
            segments: BTreeMap::new(),
            states: BTreeMap::new(),
            levels: BTreeMap::new(),
            issued: BTreeMap::new(),
            connections: BTreeMap::new(),
            ends: BTreeMap::new(),
            muted: BTreeSet::new(),
            away: BTreeSet::new(),
            aborted: BTreeMap::new(),
            honest: true,
            punctual: true,
            log: Vec::new(),
        };
        world.register().expect("registered");
        world
    }

    /// Two guests' streams, of the first two classes, and a zone.
    pub fn guests(mut model: Model) -> Model {
        model.sources = vec![built_in("ivi.media", 0, &[0]), built_in("cluster.prompt", 1, &[0])];
        model.sinks = vec![zone("cabin")];
        model
    }

    pub fn step(&mut self, event: Event) -> Result<Vec<Effect>, TestCaseError> {
        let effects = self.machine.step(event.clone(), self.now);
        for effect in &effects {
            match effect {
                Effect::Signal(signal) => self.signal(signal)?,
                Effect::Domain { domain, request } => self.request(*domain, request)?,
                _ => {}
            }
        }
        let answers = effects
            .iter()
            .filter(|it| matches!(it, Effect::Reply { .. } | Effect::RoutingReply { .. }));
        let asked = matches!(event, Event::Call { .. } | Event::Routing { .. });
        prop_assert_eq!(answers.count(), usize::from(asked));
        self.log.push(effects.clone());
        Ok(effects)
    }

    fn signal(&mut self, signal: &Signal) -> Verdict {
        match signal {
            Signal::NewMainConnection(new) => {
                prop_assert_eq!(self.connections.insert(new.id, Unknown), None);
                self.ends.insert(new.id, (new.source, new.sink));
            }
            Signal::MainConnectionStateChanged { connection, state } => {
                let before = self.connections.insert(*connection, *state);
                let legal = matches!(
                    (before, state),
                    (Some(Unknown), Unknown | Connecting | Disconnecting | Disconnected)
                        | (Some(Connecting), Connected | Suspended | Disconnecting)
                        | (Some(Connected), Suspended | Disconnecting)
                        | (Some(Suspended), Connecting | Disconnecting)
                        | (Some(Disconnecting), Disconnected | Connecting)
                        | (Some(Disconnected), Connecting)
                );
                prop_assert!(legal, "{before:?} to {state:?}");
            }
            Signal::RemovedMainConnection { connection } => {
                prop_assert_eq!(self.connections.remove(connection), Some(Disconnected));
                self.ends.remove(connection);
            }
            _ => {}
        }
        Ok(())
    }

    fn request(&mut self, domain: u16, request: &DomainRequest) -> Verdict {
        let Some(peer) = self.machine.domain(domain).map(|it| it.peer.clone()) else {
            return Err(TestCaseError::fail("a request to nobody"));
        };
        let handle = request.handle();
        if let DomainRequest::Abort { .. } = request {
            let volume = |it: &(String, DomainRequest)| {
                it.0 == peer && it.1.handle() == handle && matches!(it.1, DomainRequest::SetSinkVolume { .. })
            };
            self.punctual &= !self.pending.iter().any(volume);
            self.aborted.insert((peer, handle), self.now);
            return Ok(());
        }
        prop_assert!((1..=1023).contains(&handle));
        let before = self.issued.insert((peer.clone(), handle), self.now);
        prop_assert!(before.is_none_or(|it| self.now - it >= 10_000), "handle {handle} again");
        self.aborted.remove(&(peer.clone(), handle));
        let (aborted, now) = (&self.aborted, self.now);
        let given_up = |it: &(String, DomainRequest)| {
            let at = aborted.get(&(it.0.clone(), it.1.handle()));
            at.is_some_and(|at| now - at >= 10_000)
        };
        let before = self.pending.len();
        self.pending.retain(|it| !given_up(it));
        self.honest &= self.pending.len() == before;
        let same = |it: &&(String, DomainRequest)| target(&it.1) == target(request);
        let twice = self.pending.iter().find(same);
        prop_assert!(!self.honest || twice.is_none(), "{request:?} beside {twice:?}");
        self.pending.push((peer, request.clone()));
        Ok(())
    }

    fn routing(&mut self, peer: String, call: RoutingCall) -> Result<RoutingReply, TestCaseError> {
        let effects = self.step(Event::Routing { token: 1, peer, call })?;
        let mut replies = effects.into_iter().filter_map(|it| match it {
            Effect::RoutingReply { reply, .. } => Some(reply),
            _ => None,
        });
        replies.next().ok_or_else(|| TestCaseError::fail("no reply"))
    }

    fn call(&mut self, call: Call) -> Verdict {
        self.step(Event::Call { token: 1, call }).map(drop)
    }

    /// Registers what isn't: three domains, a gateway from the zone to the first and from one sink of the first two to the next.
    fn register(&mut self) -> Verdict {
        for n in 0..3 {
            self.routing(peer(n), RoutingCall::RegisterDomain(domain(&format!("domain{n}"))))?;
        }
        for (index, (at, class)) in SOURCE_PLACES.iter().enumerate() {
            let data = source(101 + u16::try_from(*at).unwrap(), &format!("source{index}"), *class);
            let reply = self.routing(peer(*at), RoutingCall::RegisterSource(data))?;
            if let RoutingReply::Id { id, error: 0 } = reply {
                self.states.insert(id, source_state::OFF);
                self.away.remove(&End::Source(id));
            }
        }
        for (index, at) in SINK_PLACES.iter().enumerate() {
            let data = sink(101 + u16::try_from(*at).unwrap(), &format!("sink{index}"));
            let reply = self.routing(peer(*at), RoutingCall::RegisterSink(data))?;
            if let RoutingReply::Id { id, error: 0 } = reply {
                self.levels.insert(id, 0);
                self.muted.remove(&id);
                self.away.remove(&End::Sink(id));
            }
        }
        let (sources, sinks) = (FIRST_SOURCE, FIRST_SINK);
        let gateways = [
            (0, (BUILT_IN, 101), (101, sources)),
            (0, (101, sinks), (102, sources + 3)),
            (1, (102, sinks + 2), (103, sources + 5)),
        ];
        for (at, from, to) in gateways {
            let mut data = gateway(from, to);
            data.control_domain = 101 + u16::try_from(at).unwrap();
            self.routing(peer(at), RoutingCall::RegisterGateway(data))?;
        }
        Ok(())
    }

    pub fn take(&mut self, op: &Op) -> Verdict {
        let source = |n: u8| 101 + u16::from(n) % (SOURCES + FIRST_SOURCE - 101);
        let sink = |n: u8| 101 + u16::from(n) % (SINKS + FIRST_SINK - 101);
        match *op {
            Op::Connect(from, to) => self.call(Call::Connect {
                source: source(from),
                sink: sink(to),
            }),
            Op::Disconnect(n) => {
                let ids: Vec<u16> = self.connections.keys().copied().collect();
                let connection = ids.get(usize::from(n) % ids.len().max(1)).copied().unwrap_or(1);
                self.call(Call::Disconnect { connection })
            }
            Op::Volume(to, volume) => self.call(Call::SetVolume { sink: sink(to), volume }),
            Op::Mute(to, mute) => {
                let sink = sink(to);
                let there = self.machine.registry().sinks.contains_key(&sink);
                if mute && there {
                    self.muted.insert(sink);
                } else {
                    self.muted.remove(&sink);
                }
                self.call(Call::SetSinkMuteState {
                    sink,
                    state: if mute { 1 } else { 2 },
                })
            }
            Op::Ack(n) => self.ack(n, 0),
            Op::AckAll => self.ack_all(),
            Op::Refuse(n, error) => {
                self.honest = false;
                self.ack(n, error)
            }
            Op::Forget(n) => {
                self.honest = false;
                self.pick(n);
                Ok(())
            }
            Op::Undeliverable(n) => {
                self.honest = false;
                match self.pick(n) {
                    Some((peer, request)) => {
                        let handle = request.handle();
                        self.step(Event::RequestFailed { peer, handle }).map(drop)
                    }
                    None => Ok(()),
                }
            }
            Op::Foreign(n) => self.foreign(n),
            Op::Wait(ms) => self.wait(Time::from(ms)),
            Op::Lose(kind, n) => self.lose(kind, n),
            Op::PeerLost(n) => self.peer_lost(usize::from(n) % 3),
            Op::Available(n, available) => self.available(n, available),
            Op::Interrupt(n, on) => {
                let (source, state) = (FIRST_SOURCE + u16::from(n) % SOURCES, if on { 2 } else { 1 });
                let at = SOURCE_PLACES[usize::from(n) % 6].0;
                self.routing(peer(at), RoutingCall::HookInterruptStatusChange { source, state })?;
                Ok(())
            }
            Op::Stream(n, on) => {
                let source = usize::from(n) % 2;
                let start_gen = 1;
                let event = if on {
                    Event::StreamStarted { source, start_gen }
                } else {
                    Event::StreamReleased { source }
                };
                self.step(event).map(drop)
            }
            Op::Register => self.register(),
        }
    }

    fn pick(&mut self, n: u8) -> Option<(String, DomainRequest)> {
        let index = usize::from(n).checked_rem(self.pending.len())?;
        Some(self.pending.remove(index))
    }

    fn ack(&mut self, n: u8, error: u16) -> Verdict {
        let Some((peer, request)) = self.pick(n) else {
            return Ok(());
        };
        if error == 0 {
            self.really(&peer, &request);
        }
        let (handle, result) = (request.handle(), ack_of(&request));
        let dropped = self.machine.dropped_acks();
        self.routing(peer, RoutingCall::Ack { handle, result, error })?;
        // Too late: what was done is unknown here for good.
        self.honest &= self.machine.dropped_acks() == dropped;
        Ok(())
    }

    /// What a domain does before it acknowledges.
    fn really(&mut self, peer: &str, request: &DomainRequest) {
        match *request {
            DomainRequest::Connect {
                connection,
                source,
                sink,
                ..
            } => drop(self.segments.insert((peer.to_owned(), connection), (source, sink))),
            DomainRequest::Disconnect { connection, .. } => {
                self.segments.remove(&(peer.to_owned(), connection));
            }
            DomainRequest::SetSourceState { source, state, .. } => drop(self.states.insert(source, state)),
            DomainRequest::SetSinkVolume { sink, volume, .. } => drop(self.levels.insert(sink, volume)),
            _ => {}
        }
    }

    pub fn ack_all(&mut self) -> Verdict {
        for _ in 0..2000 {
            if self.pending.is_empty() {
                return Ok(());
            }
            self.ack(0, 0)?;
        }
        Err(TestCaseError::fail("requests without end"))
    }

    fn foreign(&mut self, n: u8) -> Verdict {
        let Some(index) = usize::from(n).checked_rem(self.pending.len()) else {
            return Ok(());
        };
        let (owner, request) = self.pending[index].clone();
        let handle = request.handle();
        let other = ":1.99".to_owned();
        prop_assert!(owner != other);
        let result = ack_of(&request);
        let call = RoutingCall::Ack {
            handle,
            result,
            error: 0,
        };
        let effects = self.step(Event::Routing {
            token: 1,
            peer: other,
            call,
        })?;
        prop_assert_eq!(effects.len(), 1, "a stranger's ack did something");
        Ok(())
    }

    fn wait(&mut self, ms: Time) -> Verdict {
        let until = self.now + ms;
        let mut ticks = 0;
        while let Some(deadline) = self.machine.next_deadline().filter(|it| *it <= until) {
            self.now = self.now.max(deadline);
            self.step(Event::Tick)?;
            ticks += 1;
            prop_assert!(ticks < 500, "time stands still at {deadline}");
        }
        self.now = until;
        Ok(())
    }
}

/// What a request is about.
fn target(request: &DomainRequest) -> (u8, u16) {
    match *request {
        DomainRequest::Connect { connection, .. } | DomainRequest::Disconnect { connection, .. } => (0, connection),
        DomainRequest::SetSourceState { source, .. } => (1, source),
        DomainRequest::SetSinkVolume { sink, .. } => (2, sink),
        DomainRequest::SetSourceVolume { source, .. } => (3, source),
        _ => (4, request.handle()),
    }
}
