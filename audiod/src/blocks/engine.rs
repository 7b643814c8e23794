//! The engine block: what the engine tells the world, and the chimes it is asked for.

use std::sync::atomic::{AtomicU32, AtomicU64};

use vhost_sound::shared::Block;

use super::{GainTable, MAX_CHIMES, MAX_SOURCES, MAX_ZONES, Recorder};

/// One chime of the bank.
#[repr(C)]
pub struct ChimeCell {
    /// Control: raised to ask for one more sounding.
    pub wanted: AtomicU32,
    /// Control: raised to cut it short.
    pub cancelled: AtomicU32,
    /// Engine: the `wanted` it has begun to sound.
    pub begun: AtomicU32,
    /// Engine: the `wanted` it has sounded to the end.
    pub ended: AtomicU32,
    /// Engine: how long one sounding is, frames of the codec.
    pub frames: AtomicU32,
    /// Engine: codec frame at which the last sounding began.
    pub begun_at: AtomicU64,
}

/// Live levels of a source. Peaks are linear f32 bits, the highest since control last swapped them to 0.
#[repr(C)]
pub struct SourceMeter {
    /// Before the policy's gain.
    pub peak_in: AtomicU32,
    /// After it (loudest zone).
    pub peak_out: AtomicU32,
    /// Mean square before gain over the last 100 ms, f32 bits.
    pub mean_square: AtomicU32,
    /// Frames pulled from the guest, at the source's own rate.
    pub frames: AtomicU64,
    /// NaN samples that became 0.
    pub not_a_number: AtomicU32,
    /// Samples clamped to +18 dBFS.
    pub clamped: AtomicU32,
    /// Periods in which the guest had too little.
    pub starved: AtomicU32,
    /// What the engine does with it: 0 idle, 1 held for a decision, 2 playing, 3 discarding, 4 stalled.
    pub doing: AtomicU32,
}

/// Live levels of a zone.
#[repr(C)]
pub struct ZoneMeter {
    /// Peak of the zone bus before the limiter, linear f32 bits.
    pub peak: AtomicU32,
    /// Lowest limiter gain since control last swapped it, f32 bits (1.0 = idle; 0 bits = never written).
    pub limiter: AtomicU32,
}

/// See the module.
#[repr(C)]
pub struct EngineBlock {
    /// Raised once a period; the supervisor takes over zeroing when it stops.
    pub heartbeat: AtomicU64,
    /// Process id of the engine that beats.
    pub pid: AtomicU32,
    /// 1 when the engine runs with real-time scheduling.
    pub realtime: AtomicU32,
    /// Next codec frame to be written (appl).
    pub written: AtomicU64,
    /// Codec frame played last seen (hw).
    pub played: AtomicU64,
    /// Periods mixed.
    pub periods: AtomicU64,
    /// The number of the period that began last, the first is 1: `periods` and the one at work.
    pub begun: AtomicU64,
    /// Times the engine was woken.
    pub wakeups: AtomicU64,
    /// Codec underruns (late engine).
    pub underruns: AtomicU64,
    /// Frames lost to them.
    pub underrun_frames: AtomicU64,
    /// 1 while the codec stands still and a timer paces the streams.
    pub stalled: AtomicU32,
    /// Longest time from wake-up to everything written, nanoseconds.
    pub busy_max_ns: AtomicU64,
    /// Major and minor page faults of the engine thread after set-up.
    pub faults: AtomicU64,
    /// What the policy wants heard.
    pub gains: GainTable,
    /// Chimes.
    pub chimes: [ChimeCell; MAX_CHIMES],
    /// Sources' levels.
    pub sources: [SourceMeter; MAX_SOURCES],
    /// Zones' levels.
    pub zones: [ZoneMeter; MAX_ZONES],
    /// Flight recorder.
    pub recorder: Recorder,
}

// SAFETY: repr(C), atomics and arrays of such structures only.
unsafe impl Block for EngineBlock {
    const NAME: &'static str = "carillon-engine";
}
