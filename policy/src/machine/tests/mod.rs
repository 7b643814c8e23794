//! What the machine promises.

mod calls;
mod example;
mod fixture;
mod judge;
mod legal;
mod matrix;
pub(in crate::machine) mod mutant;
mod properties;
mod snapshots;
mod streams;
