//! The guest's side of a window: what its VMM does so that audiod in the service VM reaches rings and buffers, and nothing more.
//!
//! ```text
//!  guest's VMM: virtio-sound device ══ vhost-user with descriptors ══► relay ── bytes over vsock ──► audiod, service VM
//!                     ▲ irqfd                                            │ regions as offsets in the window
//!                     └──────── doorbell word, an ioeventfd ◄────────────┴──────── kicks as messages
//! ```
//! In `bounce` the relay has a pool in between ([`bounce`]): audiod sees copies of what the guest queues, and no guest memory.
//!
//! The device speaks standard vhost-user and doesn't know that its back end is in another VM; the [`relay`] turns descriptors
//! into offsets. Everything that comes back is hostile: it is checked, bounded in size and time, and never a descriptor.

mod bounce;
mod pool;
pub mod relay;

pub use relay::{Ended, Piece, Relay};
