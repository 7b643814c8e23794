//! The policy's state machine: events in, effects out.
//!
//! ```text
//!  Event ─► calls    (clients)          ─┐                       ┌─► Reply, Signal   as they come
//!        ─► streams  (guests, chimes)   ─┼─► settle ─► standings ┼─► GuestControl
//!                                        │   (who waits, who     └─► Heard           last, only if it changed
//!                                        │    is paused)
//!  connection, as clients see it (every arrow is one MainConnectionStateChanged):
//!
//!   New ─► CONNECTING ──► CONNECTED ◄──── CONNECTING ◄─┐          (goes on)
//!               │             └─────────► SUSPENDED ───┘          (paused, delayed, refused at a start)
//!               └──────────────────────────► ▲
//!   CONNECTED or SUSPENDED ─► DISCONNECTING ─► DISCONNECTED ─► Removed
//!
//!  its place in its sink's matrix:
//!
//!   Idle ──stream starts──► Admitted (heard; paused while a newer one says so) ◄── holders gone ── Waiting
//!     ▲  └────────────────► Waiting ─────────────────────────────────────────────────────────────────┘
//!     │  └────────────────► Refused                  (a connection that only the start would make isn't made)
//!     └──stream stops────── any
//! ```
//!
//! Decisions, where the specification leaves room:
//! * A connection whose stream isn't running is CONNECTED, a holder to nobody: a guest's pause ducks nobody. Its next start is an
//!   arrival like the first: refusals, delays and "newest wins" are decided again.
//! * One that waited arrives when its holders are gone; a paused holder is not gone.
//! * What `stop` disconnected or `reject` refused stays so until the stream is started or connected again.
//! * `Connect` on a pair that is connected makes the connection the user's and lets it arrive again, so it is the newest;
//!   where it would now be refused or delayed but is there already, nothing changes.
//! * A source its user muted ducks nobody.
//!
//! * A running source that is heard nowhere any more stays [`Mode::Play`](crate::Mode::Play) for its ramp to silence, so that it
//!   fades instead of being cut; [`Machine::next_deadline`] says when that is over.
//!
//! Guests' streams and zones are built in (the mixer is ours): a connection between them completes its transition in the step that
//! begins it. Connections over domains of other processes go on as these acknowledge: see `domains`.

mod calls;
mod connections;
mod domains;
mod essence;
mod heard;
mod ids;
mod lasting;
mod presence;
mod reload;
mod ruled;
mod since;
mod snapshot;
mod state;
mod streams;
pub mod system;
mod usage;
pub mod volumes;

#[cfg(test)]
mod tests;

pub use reload::ReloadError;
pub use ruled::Overruns;
pub use since::{Changed, Mark};
pub use snapshot::RestoreError;

use std::collections::BTreeSet;

use crate::command::{ConnectionState, Signal};
use crate::effect::{EXTERNAL, Effect, Heard};
use crate::event::Event;
use crate::routing::{Domain, Registry};
use crate::rules::Decided;
use crate::{Db10, Model, Time};
use heard::{Before, Fades, Standings};
use state::State;

/// Rounds of settling: a stop at a zone may take down a connection over domains, which may let another arrive at a zone.
const SETTLE_ROUNDS: usize = 8;

/// The policy of one system. The same model and events give the same effects, byte for byte.
#[derive(Clone, Debug)]
pub struct Machine {
    model: Model,
    state: State,
    heard: Heard,
    standings: Standings,
    fades: Fades,
    overruns: Overruns,
    /// What rules did because of the last event, in this order.
    acted: Vec<Decided>,
    /// Ramps that rules gave to changes of volume in this step: of a source or at a sink, ms.
    ramps: Vec<(Option<usize>, Option<usize>, u32)>,
    /// Rules may yet put another in the place of who has just left: nobody comes up before they have.
    undecided: bool,
    /// How often it was given another model.
    reloads: u64,
}

/// A main connection, with the model's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// mainConnectionID.
    pub id: u16,
    /// Source.
    pub source: usize,
    /// Sink.
    pub sink: usize,
    /// Its state.
    pub state: ConnectionState,
    /// Made by a stream's start; it ends with the stream.
    pub automatic: bool,
    /// In this state since.
    pub since: Time,
}

/// A source as its guest left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Its guest is there.
    pub available: bool,
    /// Its stream is started.
    pub running: bool,
    /// The chime sounds.
    pub sounding: bool,
    /// The latest START.
    pub start_gen: u32,
    /// Outside the policy's reach.
    pub protected: bool,
}

impl Machine {
    /// A machine at first start: no guest there, nothing connected.
    pub fn new(model: Model) -> Self {
        let state = State::new(&model);
        Self::with_state(model, state)
    }

    fn with_state(mut model: Model, state: State) -> Self {
        model.compile();
        let mut machine = Self {
            model,
            state,
            heard: Heard::default(),
            standings: Standings::new(),
            fades: Fades::new(),
            overruns: Overruns::default(),
            acted: Vec::new(),
            ramps: Vec::new(),
            undecided: false,
            reloads: 0,
        };
        machine.listen();
        machine
    }

    /// Takes one event. Indices that are not the model's are ignored. `now` may stand still; a step back counts as still.
    pub fn step(&mut self, event: Event, now: Time) -> Vec<Effect> {
        self.state.now = self.state.now.max(now);
        let mut effects = Vec::new();
        self.acted.clear();
        self.ramps.clear();
        if let Event::Call { token, call } = &event
            && call.only_reads()
            && self.is_settled()
        {
            self.call(*token, call, &mut effects);
            return effects;
        }
        let eve = self.eve(&event);
        self.undecided = eve.is_some();
        self.expire(&mut effects);
        self.take(event, &mut effects);
        self.start_up(&mut effects);
        self.settle_all(&mut effects);
        self.rule(eve, &mut effects);
        if std::mem::take(&mut self.undecided) {
            self.settle_all(&mut effects);
        }
        self.state.routing.decided();
        let before = self.heard.clone();
        self.listen();
        self.apply_ramps(&before);
        if self.heard != before {
            effects.push(Effect::Heard(self.heard.clone()));
        }
        effects
    }

    /// A step that asks for nothing would change nothing: the last one left nothing over, and no time is up.
    fn is_settled(&self) -> bool {
        let is_up = |deadline| deadline <= self.state.now;
        !self.next_deadline().is_some_and(is_up) && self.state.used.startup.is_empty() && self.state.stored.is_empty()
    }

    /// What rules changed the volume of goes there by the ramp they gave.
    fn apply_ramps(&mut self, before: &Heard) {
        for (of, at, ms) in std::mem::take(&mut self.ramps) {
            for (source, row) in self.heard.sources.iter_mut().enumerate() {
                for (sink, tap) in row.taps.iter_mut().enumerate() {
                    let was = before.sources.get(source).and_then(|it| it.taps.get(sink));
                    let covered = of.is_none_or(|it| it == source) && at.is_none_or(|it| it == sink);
                    let Some(was) = was.filter(|_| covered) else { continue };
                    if was.gain != tap.gain {
                        tap.ramp_ms = ms;
                    }
                    for (group, was) in tap.groups.iter_mut().zip(&was.groups) {
                        if was.gain != group.gain {
                            group.ramp_ms = ms;
                        }
                    }
                }
            }
        }
    }

    fn take(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Call { token, call } => self.call(token, &call, effects),
            Event::StreamStarted { source, start_gen } => self.stream_started(source, start_gen, effects),
            Event::StreamStopped { source } => self.stream_stopped(source),
            Event::StreamReleased { source } => self.stream_released(source, effects),
            Event::Available { source, available } => self.available(source, available, effects),
            Event::UserGain { source, gain, mute } => self.user_gain(source, gain, mute, effects),
            Event::Sounding { source, on } => self.sounding(source, on, effects),
            Event::Routing { token, peer, call } => self.routing_call(token, &peer, call, effects),
            Event::RequestFailed { peer, handle } => self.request_failed(&peer, handle, effects),
            Event::PeerLost { peer } => self.peer_lost(&peer, effects),
            Event::Rundown => self.run_down(effects),
            Event::Tick => {}
        }
    }

    /// Settles connections, built in and over domains, which may share segments.
    fn settle_all(&mut self, effects: &mut Vec<Effect>) {
        for _ in 0..SETTLE_ROUNDS {
            self.settle(effects);
            let before = (effects.len(), self.state.connections.len());
            self.settle_domains(effects);
            if before == (effects.len(), self.state.connections.len()) {
                return;
            }
        }
    }

    /// Computes what is heard from the state.
    fn listen(&mut self) {
        let standings = heard::standings(&self.model, &self.state, &self.beyond());
        let before = Before {
            heard: &self.heard,
            standings: &self.standings,
            fades: &self.fades,
        };
        let (heard, fades) = heard::heard(&self.model, &self.state, &standings, before);
        self.heard = heard;
        self.fades = fades;
        self.standings = standings;
    }

    /// When [`Event::Tick`] is due at the latest: a source that was paused, stopped or disconnected has faded and is no longer
    /// pulled from then on, or a domain's ack is late. `None`: nothing changes by time alone.
    pub fn next_deadline(&self) -> Option<Time> {
        let fade = self.fades.iter().flatten().min().copied();
        fade.into_iter().chain(self.domains_deadline()).min()
    }

    /// The time of the latest event.
    pub fn now(&self) -> Time {
        self.state.now
    }

    /// A registered domain: its peer, and where it takes requests.
    pub fn domain(&self, domain: u16) -> Option<&Domain> {
        self.state.routing.registry.domains.get(&domain)
    }

    /// Connections to the bus that have registered domains: for each that is gone after a restart, tell
    /// [`Event::PeerLost`].
    pub fn peers(&self) -> BTreeSet<&str> {
        let domains = self.state.routing.registry.domains.values();
        domains.map(|domain| domain.peer.as_str()).collect()
    }

    /// Connections are still being offered to domains: see [`Event::Rundown`].
    pub fn hands_over(&self) -> bool {
        self.state.routing.hands_over()
    }

    /// Everything domains have registered.
    pub fn registry(&self) -> &Registry {
        &self.state.routing.registry
    }

    /// Acks that were too late, of nobody's request, or another's.
    pub fn dropped_acks(&self) -> u64 {
        self.state.routing.dropped_acks()
    }

    /// What is heard since the last step.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What rules did because of the last event, in this order.
    pub fn acted(&self) -> &[Decided] {
        &self.acted
    }

    /// What was to outlive the boot could not be read: rules are told when all domains are there (status 4).
    pub fn note_lost_store(&mut self) {
        self.state.store_lost = true;
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// All main connections between guests' streams and zones, those of invisible elements too, by ID.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionStatus> + '_ {
        self.state.connections.iter().map(|(id, connection)| ConnectionStatus {
            id: *id,
            source: connection.source,
            sink: connection.sink,
            state: connection.state,
            automatic: connection.automatic,
            since: connection.since,
        })
    }

    /// A source's sourceID.
    pub fn source_id(&self, source: usize) -> Option<u16> {
        self.state.ids.sources.id(source)
    }

    /// The name of a source, the model's or (from [`EXTERNAL`] on) a domain's.
    pub fn source_name(&self, source: usize) -> Option<&str> {
        if let Some(source) = self.model.sources.get(source) {
            return Some(&source.name);
        }
        let id = u16::try_from(source.checked_sub(EXTERNAL)?).ok()?;
        self.state
            .routing
            .registry
            .sources
            .get(&id)
            .map(|source| source.name.as_str())
    }

    /// A sink's sinkID.
    pub fn sink_id(&self, sink: usize) -> Option<u16> {
        self.state.ids.sinks.id(sink)
    }

    /// A source's wanted gain (0.1 dB) and user mute.
    pub fn wanted(&self, source: usize) -> Option<(Db10, bool)> {
        self.state.sources.get(source).map(|source| (source.gain, source.mute))
    }

    /// A sink's mainVolume and mute.
    pub fn volume(&self, sink: usize) -> Option<(i16, bool)> {
        self.state.sinks.get(sink).map(|sink| (sink.volume, sink.mute))
    }

    /// A source as its guest left it.
    pub fn state_of(&self, source: usize) -> Option<SourceStatus> {
        self.state.sources.get(source).map(|state| SourceStatus {
            available: state.available,
            running: state.running,
            sounding: state.sounding,
            start_gen: state.start_gen,
            protected: self.model.protected(source),
        })
    }
}

/// A signal to every client.
fn signal(effects: &mut Vec<Effect>, signal: Signal) {
    effects.push(Effect::Signal(signal));
}
