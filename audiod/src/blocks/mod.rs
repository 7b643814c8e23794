//! The blocks the three processes meet in (besides `vhost_sound::block`, one a guest): gains, chimes, meters, heartbeat,
//! flight recorder. Control writes wishes, engine writes facts; nobody waits for anybody.

pub mod engine;
pub mod gains;
pub mod recorder;
pub mod saved;

pub use engine::EngineBlock;
pub use gains::GainTable;
pub use recorder::Recorder;
pub use saved::SavedBlock;

/// Sources in the whole system (streams of all guests). A source's index is `guest * MAX_STREAMS + stream`-free: it is the
/// position in `system::System::sources`.
pub const MAX_SOURCES: usize = 64;
/// Zones in the whole system.
pub const MAX_ZONES: usize = 8;
/// Chimes in the bank.
pub const MAX_CHIMES: usize = 32;
/// Guests (devices).
pub const MAX_GUESTS: usize = 16;
