//! The Carillon audio daemon: three processes of one binary. See ARCHITECTURE.md.

pub mod blocks;
pub mod cli;
pub mod codec;
pub mod config;
pub mod doctor;
pub mod engine;
pub mod failure;
pub mod plan;
pub mod sandbox;
pub mod supervisor;
pub mod system;
