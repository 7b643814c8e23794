//! The bundled hypervisor: a small KVM VMM, one process a VM, static partitions from one manifest.

pub mod plan;
pub mod vm;
