//! The virtio-sound device as a vhost-user back end, in two halves that never share an address space.
//!
//! | module | runs in | what it is |
//! |---|---|---|
//! | [`shared`], [`block`] | both | the memory the two halves meet in |
//! | `wire` | both | constants and structures of virtio 1.3 §5.14 |
//! | `config` | both | what a device offers |
//! | `memory` | both | guest memory: mapping, translation, SIGBUS containment |
//! | `ring` | engine | tx and rx rings pulled in place, once a codec period |
//! | `device` | control | control queue, event queue, stream state machine, control elements |
//! | `framing` | control | vhost-user's headers and streams, for both ends |
//! | `link` | control | how rings reach us: vhost-user over AF_UNIX |

pub mod block;
pub mod config;
pub mod device;
pub mod framing;
pub mod link;
pub mod memory;
pub mod ring;
pub mod shared;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod wire;
