//! Domains of other processes: a behaviour each, and what holds for every order of events.

mod connections;
mod crossfade;
mod ducking;
mod early;
mod failures;
mod groups;
mod guests;
mod handover;
mod judge;
mod known;
mod limits;
mod properties;
mod registration;
mod requests;
mod rig;
mod settings;
mod snapshots;
