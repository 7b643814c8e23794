//! The parent: makes memory and descriptors from the manifest, starts a VMM process for each VM, watches, starts again.
//!
//! ```text
//!  VM:  Down ──start──► Up (its door answers) ──door closed──► ended ──policy──► Waiting ──due──► Up
//!                        ▲                                       └─────────────► Down
//!                        └── adopted: its door answered a parent that came later
//! ```
//! It reads no guest data and is in nobody's way: when it dies VMs run on, and the next `run` finds them by the run folder.
//! Wanting sound links are connected here and handed over, since VMM processes may not connect.

mod bus;
pub mod door;
pub mod folder;
mod life;
mod memory;
mod orders;
mod quota;
pub mod resolve;
pub mod socket;
pub mod start;
mod vm;
mod watch;

pub use orders::{Order, Outcome, State, ask, states, stop};
pub use watch::{Parent, RunError};
