//! What differs between architectures, behind one set of names.
//!
//! | name | what |
//! |---|---|
//! | `layout` | where RAM, PCI windows, registers and tables are in guest-physical space |
//! | `PINS`, `pin_routes` | interrupt pins of the in-kernel controller and their default routes |
//! | `create_controllers` | interrupt controller and timers in KVM |
//! | `Template`, `Template::set_up` | identity and first state of a vCPU |
//! | `load`, `Entry`, `enter` | kernel, tables and registers of the first vCPU |
//! | `Fixed` | devices every VM of the architecture has: serial port, power |
//!
//! A new architecture is a module with these names; no other module may ask which one it is.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;
