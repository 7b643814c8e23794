//! The Carillon audio daemon: three processes of one binary. See ARCHITECTURE.md.

pub mod blocks;
pub mod doctor;
pub mod failure;
pub mod plan;
pub mod sandbox;
pub mod supervisor;
pub mod system;
