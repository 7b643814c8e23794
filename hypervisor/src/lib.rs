//! The bundled hypervisor: a small KVM VMM, one process a VM, static partitions from one manifest.

pub mod check;
pub mod cli;
mod entry;
pub mod manifest;
pub mod map;
pub mod parent;
pub mod plan;
pub mod sandbox;
pub mod vm;
