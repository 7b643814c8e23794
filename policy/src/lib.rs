//! Pure routing policy: who is heard where, how loud, and why. No I/O, no clock, no D-Bus.
//!
//! | module | what it is |
//! |---|---|
//! | [`mod@file`], [`report`] | the file that says so: read with all mistakes at once, each with place, cause and cure |
//! | [`model`] | the policy as the file resolved it: classes, sources, sinks, the matrix |
//! | [`command`] | the AudioManager command interface as data: calls, replies, signals |
//! | [`event`], [`effect`] | what goes into a step and what comes out |
//! | [`matrix`] | what two sources at one sink do to each other |
//! | [`rules`] | what is done when something happens and a condition holds |
//! | [`curve`] | mainVolume to dB |
//! | [`effective`] | the whole matrix as it takes effect, cell by cell |
//! | [`simulate`] | the machine on a scenario: who is heard how loud, when and why |
//! | [`prove`] | all its states: what a policy promises, proven or broken with a scenario |
//! | [`machine`] | the state machine: connections, volumes, what is heard |
//! | [`routing`] | domains of other processes: their sources, sinks, gateways, and routes over them |
//! | [`usage`] | volume groups, activation windows, fades, mirrors, connections at the start |
//! | [`routing_command`] | the AudioManager routing interface as data: what domains call, what is asked of them |
//!
//! `step(event, time) → effects`: it never waits; time is the event's timestamp only. What is heard is computed anew at each
//! step from connections, interrupts, user volumes and standing limits, so no action ever has to undo another.

pub mod command;
pub mod curve;
pub mod effect;
pub mod effective;
pub mod event;
pub mod file;
pub mod machine;
pub mod matrix;
pub mod model;
pub mod prove;
pub mod report;
pub mod routing;
pub mod routing_command;
pub mod rules;
pub mod simulate;
mod text;
pub mod usage;

pub use command::{Call, Reply, ReplyBody, Signal};
pub use effect::{Cause, Effect, Heard, Mode, SourceHeard, Tap};
pub use event::Event;
pub use machine::Machine;
pub use model::Model;

/// Milliseconds of a monotonic clock; only differences mean anything.
pub type Time = u64;

/// A gain in 0.1 dB.
pub type Db10 = i16;

/// The gain that means silence (AudioManager's `AM_MUTE`).
pub const MUTE: Db10 = -3000;
