//! The bundled hypervisor: a small KVM VMM, one process a VM, static partitions from one manifest.
// What boots on x86-64 only is checked, but not used, elsewhere.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

mod acpi;
mod arch;
mod boot;
pub mod check;
pub mod cli;
mod devices;
mod entry;
pub mod manifest;
pub mod map;
pub mod parent;
pub mod plan;
pub mod sandbox;
mod vfio;
pub mod vm;
pub mod window;

pub use arch::layout;
