//! The bundled hypervisor: a small KVM VMM, one process a VM, static partitions from one manifest.

pub mod check;
pub mod cli;
pub mod manifest;
pub mod map;
pub mod plan;
pub mod vm;
