//! Levels in the engine block: `f32` bits in atomics that control swaps out at its leisure.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Raises a peak. One writer; a swap by the reader in between loses at most this one period's value.
pub(super) fn raise_peak(cell: &AtomicU32, peak: f32) {
    if peak > f32::from_bits(cell.load(Relaxed)) {
        cell.store(peak.to_bits(), Relaxed);
    }
}

/// Lowers the lowest gain; 0 bits = nothing there yet.
pub(super) fn lower_floor(cell: &AtomicU32, gain: f32) {
    let before = cell.load(Relaxed);
    if before == 0 || gain < f32::from_bits(before) {
        cell.store(gain.max(f32::MIN_POSITIVE).to_bits(), Relaxed);
    }
}

/// A counter of ours that others read.
pub(super) fn count(cell: &AtomicU32, by: u32) {
    if by != 0 {
        cell.store(cell.load(Relaxed).wrapping_add(by), Relaxed);
    }
}
