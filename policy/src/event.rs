//! What goes into a step.

use crate::Db10;
use crate::command::Call;
use crate::routing_command::RoutingCall;

/// One event. `source` and `sink` are indices in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client's call; answered by exactly one [`crate::Effect::Reply`] with the same token.
    Call {
        /// The caller's token.
        token: u64,
        /// The call.
        call: Call,
    },
    /// A guest's stream was started (START); it waits for the decision with this `start_gen`.
    StreamStarted {
        /// Source.
        source: usize,
        /// The stream block's `start_gen`.
        start_gen: u32,
    },
    /// It was stopped: a pause if it is started again, an end if it is released.
    StreamStopped {
        /// Source.
        source: usize,
    },
    /// It was released: its automatic connection ends.
    StreamReleased {
        /// Source.
        source: usize,
    },
    /// The source's guest came (its driver connected) or went (front end gone: its streams are as released).
    Available {
        /// Source.
        source: usize,
        /// There now.
        available: bool,
    },
    /// A guest changed its control elements: a request for a wanted gain and user mute.
    UserGain {
        /// Source.
        source: usize,
        /// 0.1 dB.
        gain: Db10,
        /// Muted in the guest.
        mute: bool,
    },
    /// A chime began or ended to sound (a source of a safety class as any other to the matrix, never reached by it).
    Sounding {
        /// Source.
        source: usize,
        /// Begins.
        on: bool,
    },
    /// A domain's call; answered by exactly one [`crate::Effect::RoutingReply`] with the same token.
    Routing {
        /// The caller's token.
        token: u64,
        /// The caller's connection to the bus: it speaks for the domains it registered, and for no others.
        peer: String,
        /// The call.
        call: RoutingCall,
    },
    /// A request could not be delivered, or its domain answered it with an error: as an ack with that error.
    RequestFailed {
        /// The domain's connection.
        peer: String,
        /// The request's handle.
        handle: u16,
    },
    /// A connection has left the bus: its domains are deregistered.
    PeerLost {
        /// The connection.
        peer: String,
    },
    /// The daemon is about to end: connections are offered to domains that go on without it, one after the other until one accepts.
    /// [`crate::Machine::hands_over`] says until when.
    Rundown,
    /// Nothing but time.
    Tick,
}
