//! The bundled hypervisor: a small KVM VMM, one process a VM, static partitions from one manifest.

pub mod acpi;
pub mod arch;
pub mod boot;
pub mod check;
pub mod cli;
pub mod devices;
mod entry;
pub mod manifest;
pub mod map;
pub mod parent;
pub mod plan;
pub mod sandbox;
pub mod vfio;
pub mod vm;
