//! The Carillon audio daemon: three processes of one binary. See ARCHITECTURE.md.

pub mod access;
pub mod blocks;
pub mod card_process;
pub mod cli;
pub mod codec;
pub mod config;
pub mod control;
pub mod doctor;
pub mod engine;
pub mod engine_process;
pub mod failure;
pub mod given;
pub mod import;
pub mod launch;
pub mod plan;
pub mod process;
pub mod sandbox;
pub mod signals;
pub mod store;
pub mod supervisor;
pub mod system;
