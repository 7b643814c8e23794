//! What the machine promises.

mod calls;
mod domains;
mod example;
mod fixture;
mod judge;
mod lasting;
mod legal;
mod matrix;
pub(in crate::machine) mod mutant;
mod properties;
mod prove;
mod reload;
mod rules;
mod since;
mod snapshots;
mod streams;
mod usage;
