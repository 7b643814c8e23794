//! Domains of other processes: what they register, and main connections over their segments.
//!
//! Nothing here is a list of actions with an undo for each. Every element has a state as its domain last acknowledged it and one
//! that follows from the main connections; where they differ and nothing is under way for the element, one request goes out. So
//! requests wait for each other only where they share an element, and a failed connection is rolled back by no longer being
//! wanted.
//!
//! ```text
//!  RoutingCall ─► register ─┐
//!              ─► acks     ─┼─► settle: displaced ► waiting ► each main connection ► levels ► orphans ─► Effect::Domain
//!  Call        ─► clients  ─┘      (again until nothing moves)
//!  time        ─► expire   ─┘
//!
//!  a main connection:
//!
//!   New ─► UNKNOWN ─► CONNECTING ─► CONNECTED        sink muted ► segments ► sources ON ► CONNECTED ► sink as it was
//!                        │  ▲          │             (playback: sink side first; capture: source side first)
//!                        ▼  │          ▼
//!                      SUSPENDED ◄─────┘             sources PAUSED, the route stays
//!   any ─► DISCONNECTING ─► DISCONNECTED             sources OFF ► segments, in the other order; what others use stays
//!            goal Gone: ─► Removed
//!            goal Parked (an end was or is unavailable), Displaced (stopped by one that isn't connected yet): kept
//!
//!  a request: sent ──ack──► done
//!               └─5 s──► asyncAbort, its connection fails ──ack or 10 s──► done
//! ```
//!
//! Decisions, where AudioManager leaves room or is wrong:
//! * Who is ducked for a connection stays ducked while another takes its place: that one ducks as it will once it is connected.
//! * A connection that its newcomer stopped comes back when the newcomer fails before it is connected.
//! * A shared segment and its source stay as long as any connection wants them.
//! * A sink is muted for a new connection only while no other is heard there.
//! * A request refused or timed out is not sent again until someone asks anew.

mod acks;
mod clients;
mod crossfade;
mod early;
mod known;
mod levels;
mod looks;
mod lost;
mod mains;
mod matrix;
mod register;
mod remembered;
mod requests;
mod ruled;
mod settings;
mod settle;
mod state;
mod states;
mod told;

pub(super) use remembered::Remembered;
pub(super) use state::Routing;

use super::Machine;
use crate::command::error;
use crate::effect::Effect;
use crate::routing_command::{RoutingCall, RoutingReply};

impl Machine {
    /// A domain's call, answered once.
    pub(super) fn routing_call(&mut self, token: u64, peer: &str, call: RoutingCall, effects: &mut Vec<Effect>) {
        let mut signals = Vec::new();
        self.state.routing.news |= matches!(
            call,
            RoutingCall::RegisterDomain(_)
                | RoutingCall::RegisterSource(_)
                | RoutingCall::RegisterSink(_)
                | RoutingCall::RegisterGateway(_)
                | RoutingCall::RegisterConverter(_)
                | RoutingCall::RegisterCrossfader(_)
                | RoutingCall::HookDomainRegistrationComplete { .. }
        );
        let reply = self.take_routing_call(peer, call, &mut signals);
        let reply = Effect::RoutingReply { token, reply };
        effects.push(reply);
        self.settle_domains(effects);
        effects.extend(signals.into_iter().map(Effect::Signal));
    }

    /// A peer has left the bus, and with it its domains.
    pub(super) fn peer_lost(&mut self, peer: &str, effects: &mut Vec<Effect>) {
        let mut signals = Vec::new();
        let registry = &self.state.routing.registry;
        let domains = registry.domains.iter().filter(|(_, it)| it.peer == peer);
        for domain in domains.map(|it| *it.0).collect::<Vec<_>>() {
            self.deregister_domain(domain, &mut signals);
        }
        self.state.routing.open.remove(peer);
        self.state.routing.handles.remove(peer);
        self.settle_domains(effects);
        effects.extend(signals.into_iter().map(Effect::Signal));
    }

    fn take_routing_call(&mut self, peer: &str, call: RoutingCall, signals: &mut Vec<crate::Signal>) -> RoutingReply {
        match call {
            RoutingCall::Ack { handle, result, error } => {
                self.ack(peer, handle, result, error, signals);
                RoutingReply::Nothing
            }
            RoutingCall::AckVolumeTick { handle, end, volume } => {
                self.volume_tick(peer, handle, end, volume);
                RoutingReply::Nothing
            }
            RoutingCall::RegisterEarlyConnection {
                domain,
                source,
                sink,
                state,
                route,
            } => self.early_connection(peer, domain, (source, sink), state, route, signals),
            RoutingCall::GetRoutingReadyState => RoutingReply::Ready(true),
            call => self.registration(peer, call, signals),
        }
    }
}

/// The reply to something that gives an ID.
fn id_reply(result: Result<u16, i16>) -> RoutingReply {
    match result {
        Ok(id) => RoutingReply::Id { id, error: error::OK },
        Err(error) => RoutingReply::Id { id: 0, error },
    }
}

/// The reply to something that doesn't.
fn code_reply(result: Result<(), i16>) -> RoutingReply {
    RoutingReply::Error(result.err().unwrap_or(error::OK))
}
