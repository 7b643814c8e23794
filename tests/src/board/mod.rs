//! The emulated dev board: a machine under QEMU's translator with SVM (`kvm_amd` works in it), an IOMMU and a codec whose
//! samples land in a WAV file outside. Debian's stock kernel runs on it as the host of nested guests.
//!
//! ```text
//!  Image::build ──► Board::start ──► Running::wait_line / run ──► Running::finish ──► Outcome
//!  (initramfs:       (QEMU)            (consoles, control port)     (power-off,         (status, times,
//!   programs, files,                                                 or dropped =        WAV, logs)
//!   scenario)                                                        killed)
//! ```
//!
//! Two clocks. [`Clock::Free`]: as fast as the machine goes; its codec runs in real time and wants a lead of 8 to 10 ms.
//! [`Clock::Virtual`]: one instruction is one nanosecond, the same from run to run; it needs the QEMU
//! of [`qemu::for_virtual_time`].

pub mod boot;
mod image;
mod log;
mod machine;
pub mod qemu;
mod running;
pub mod safety;
pub mod scene;
pub mod service;
mod system;

pub use image::{Contents, HDA, Image};
pub use log::Log;
pub use machine::{Board, Clock, Codec};
pub use running::{Outcome, Running};
pub use system::System;
pub(crate) use system::UNBRAKED;

use std::path::PathBuf;

/// PCI address of the codec on the board.
pub const CODEC: &str = "0000:00:03.0";

/// Where kernels, QEMU and images are kept: `target/carillon`.
#[must_use]
pub fn cache() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/carillon")
}
