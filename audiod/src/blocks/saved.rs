//! The saved block: control's own state (the policy's snapshot) as bytes, so that its successor goes on with the same
//! connections and volumes. Two slots and an index: a control killed while saving leaves the older, whole one.

use std::sync::atomic::{
    AtomicU8, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use vhost_sound::shared::Block;

/// Largest snapshot, bytes.
pub const MAX_SAVED: usize = 256 * 1024;

#[repr(C)]
struct Slot {
    len: AtomicU32,
    bytes: [AtomicU8; MAX_SAVED],
}

/// See the module.
#[repr(C)]
pub struct SavedBlock {
    /// 0 = nothing saved yet, otherwise 1 + the slot that holds.
    active: AtomicU32,
    slots: [Slot; 2],
}

// SAFETY: repr(C), atomics and arrays of such structures only.
unsafe impl Block for SavedBlock {
    const NAME: &'static str = "carillon-saved";
}

impl SavedBlock {
    /// Saves `bytes`; `false` when they are too many (the older snapshot then stays).
    #[must_use]
    pub fn save(&self, bytes: &[u8]) -> bool {
        let Ok(len) = u32::try_from(bytes.len()) else {
            return false;
        };
        if bytes.len() > MAX_SAVED {
            return false;
        }
        let spare = if self.active.load(Relaxed) == 1 { 1 } else { 0 };
        let slot = &self.slots[spare];
        for (cell, byte) in slot.bytes.iter().zip(bytes) {
            cell.store(*byte, Relaxed);
        }
        slot.len.store(len, Relaxed);
        self.active.store(spare as u32 + 1, Release);
        true
    }

    /// What was saved last.
    pub fn load(&self) -> Option<Vec<u8>> {
        let slot = self.slots.get((self.active.load(Acquire) as usize).checked_sub(1)?)?;
        let len = (slot.len.load(Relaxed) as usize).min(MAX_SAVED);
        Some(slot.bytes[..len].iter().map(|cell| cell.load(Relaxed)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vhost_sound::shared::Shared;

    #[test]
    fn the_last_saved_bytes_are_loaded() {
        let block = Shared::<SavedBlock>::private().unwrap();
        assert_eq!(block.load(), None);
        for round in [&b"one"[..], b"second", b""] {
            assert!(block.save(round));
            assert_eq!(block.load().unwrap(), round);
        }
    }

    #[test]
    fn too_much_is_refused_and_the_older_stays() {
        let block = Shared::<SavedBlock>::private().unwrap();
        assert!(block.save(b"kept"));
        assert!(!block.save(&vec![1; MAX_SAVED + 1]));
        assert_eq!(block.load().unwrap(), b"kept");
    }
}
