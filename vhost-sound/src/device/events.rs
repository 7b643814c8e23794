//! Events to the guest (virtio 1.3 §5.14.6.3, §5.14.6.6.9, §5.14.6.9): XRUN, PERIOD_ELAPSED, jacks, CTL_NOTIFY.
//!
//! What is to be told is a set of bits in the session's words, never a list: while the driver gives no buffers, events of
//! one kind and source are one. An event goes out when a buffer is there; a successor finds the bits.

use std::sync::atomic::Ordering::Acquire;

use super::words::{CONNECTED, ELEMENT, JACK, PERIOD, XRUN, get, lower, periods_seen, raise, set, xruns_seen};
use crate::block::{DeviceBlock, MAX_STREAMS};
use crate::wire::{code, ctl, pcm_feature};

/// Turns the engine's counters into events, for streams whose driver asked for them.
pub(super) fn collect(block: &DeviceBlock) {
    for (n, stream) in block.streams.iter().enumerate() {
        let features = stream.features.load(Acquire);
        let counters = [
            (stream.xruns.load(Acquire), xruns_seen(n), XRUN, pcm_feature::EVT_XRUNS),
            (
                stream.periods.load(Acquire),
                periods_seen(n),
                PERIOD,
                pcm_feature::EVT_SHMEM_PERIODS,
            ),
        ];
        for (count, seen, kind, wanted) in counters {
            if count != get(block, seen) {
                if features & wanted != 0 {
                    raise(block, kind, n);
                }
                set(block, seen, count);
            }
        }
    }
}

/// Forgets what was counted before: nobody is told of another driver's xruns.
pub(super) fn forget(block: &DeviceBlock) {
    for (n, stream) in block.streams.iter().enumerate() {
        set(block, xruns_seen(n), stream.xruns.load(Acquire));
        set(block, periods_seen(n), stream.periods.load(Acquire));
    }
    for kind in [XRUN, PERIOD, JACK, ELEMENT] {
        set(block, kind, 0);
    }
}

/// Whether anything is to be told.
pub(super) fn pending(block: &DeviceBlock) -> bool {
    [XRUN, PERIOD, JACK, ELEMENT].iter().any(|kind| get(block, *kind) != 0)
}

/// The next event, and its bit: to be struck out once the guest has it.
pub(super) fn next(block: &DeviceBlock) -> Option<([u32; 2], (usize, usize))> {
    for kind in [XRUN, ELEMENT, JACK, PERIOD] {
        let bits = get(block, kind);
        if bits == 0 {
            continue;
        }
        let bit = bits.trailing_zeros() as usize;
        let connected = get(block, CONNECTED) >> bit & 1 == 1;
        let event = match kind {
            XRUN => [code::EVT_PCM_XRUN, bit as u32],
            PERIOD => [code::EVT_PCM_PERIOD_ELAPSED, bit as u32],
            JACK if connected => [code::EVT_JACK_CONNECTED, bit as u32],
            JACK => [code::EVT_JACK_DISCONNECTED, bit as u32],
            _ => [code::EVT_CTL_NOTIFY, bit as u32 | u32::from(ctl::MASK_VALUE) << 16],
        };
        return Some((event, (kind, bit)));
    }
    None
}

/// The guest has it.
pub(super) fn told(block: &DeviceBlock, (kind, bit): (usize, usize)) {
    lower(block, kind, bit);
}

const _: () = assert!(2 * MAX_STREAMS <= 32, "a bit a control element");
