//! The saved block: control's own state (the policy's snapshot) as bytes, so that its successor goes on with the same
//! connections and volumes. Two slots and an index: a control killed while saving leaves the older, whole one.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use vhost_sound::shared::Block;

/// Largest snapshot, bytes.
pub const MAX_SAVED: usize = 256 * 1024;
const WORD: usize = size_of::<u64>();

#[repr(C)]
struct Slot {
    /// Bytes.
    len: AtomicU64,
    words: [AtomicU64; MAX_SAVED / WORD],
}

/// See the module.
#[repr(C)]
pub struct SavedBlock {
    /// 0 = nothing saved yet, otherwise 1 + the slot that holds.
    active: AtomicU64,
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
        if bytes.len() > MAX_SAVED {
            return false;
        }
        let spare = if self.active.load(Relaxed) == 1 { 1 } else { 0 };
        let slot = &self.slots[spare];
        for (cell, part) in slot.words.iter().zip(bytes.chunks(WORD)) {
            let mut word = [0; WORD];
            word[..part.len()].copy_from_slice(part);
            cell.store(u64::from_ne_bytes(word), Relaxed);
        }
        slot.len.store(bytes.len() as u64, Relaxed);
        self.active.store(spare as u64 + 1, Release);
        true
    }

    /// What was saved last.
    pub fn load(&self) -> Option<Vec<u8>> {
        let slot = self.slots.get((self.active.load(Acquire) as usize).checked_sub(1)?)?;
        let len = (slot.len.load(Relaxed) as usize).min(MAX_SAVED);
        let words = slot.words[..len.div_ceil(WORD)].iter();
        let mut bytes: Vec<u8> = words.flat_map(|cell| cell.load(Relaxed).to_ne_bytes()).collect();
        bytes.truncate(len);
        Some(bytes)
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
        for round in [&b"one"[..], b"second", b"", b"eight by", b"nine byte"] {
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
