//! The real-time mixing core: no_std, no alloc, no unsafe, so that the compiler proves that none of it allocates, locks or
//! calls the system. Everything works on planar `f32` (one slice a channel), full scale = 1.0.
//!
//! ```text
//!  bytes ─► format::decode ─► meter ─► gain::mix (ramp x matrix) ─► zone bus ─► Limiter ─► gain::add (safety) ─► format::encode
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_macros)]

pub mod format;
pub mod gain;
pub mod limiter;
pub mod matrix;
pub mod meter;

pub use format::{Faults, Format};
pub use gain::{Ramp, Segment};
pub use limiter::Limiter;
pub use matrix::Matrix;

/// Most channels of a stream or a codec.
pub const MAX_CHANNELS: usize = 8;
