//! A pool of memory that another VM sees too: its contents are hostile at any time. Fixed-offset stores and loads, and a heap
//! whose bookkeeping is ours alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

/// See the module.
pub(super) struct Pool {
    memory: MmapRegion,
    len: u32,
    heap: u32,
    /// Taken: start, length; in order.
    taken: BTreeMap<u32, u32>,
}

impl Pool {
    /// Maps a memfd whole; what lies below `heap` is given out by nobody.
    ///
    /// # Errors
    /// Too small, or what `mmap` says.
    pub fn new(file: OwnedFd, heap: u32) -> io::Result<Self> {
        let mut file = File::from(file);
        let len = u32::try_from(file.seek(SeekFrom::End(0))?).ok();
        let len = len.filter(|len| *len > heap).ok_or(io::ErrorKind::InvalidInput)?;
        let memory = MmapRegion::from_file(FileOffset::new(file, 0), len as usize).map_err(io::Error::other)?;
        let taken = BTreeMap::new();
        Ok(Self {
            memory,
            len,
            heap,
            taken,
        })
    }

    /// Bytes of it.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Takes `len` bytes, aligned to 16; `None`: there is no such room now.
    pub fn take(&mut self, len: u32) -> Option<u32> {
        let len = len.max(1);
        let mut at = self.heap;
        for (start, taken) in &self.taken {
            if start - at >= len {
                break;
            }
            at = start.checked_add(*taken)?.checked_next_multiple_of(16)?;
            if at > self.len {
                return None;
            }
        }
        let end = at.checked_add(len).filter(|end| *end <= self.len)?;
        // The next one's start is looked at from a multiple of 16 too.
        let fits = self.taken.range(at..).next().is_none_or(|(next, _)| end <= *next);
        fits.then(|| {
            self.taken.insert(at, len);
            at
        })
    }

    /// Gives back what was taken.
    pub fn give(&mut self, at: u32) {
        self.taken.remove(&at);
    }

    fn bytes(&self) -> VolatileSlice<'_> {
        self.memory.as_volatile_slice()
    }

    /// Copies in. Beyond the end nothing is written: offsets are ours.
    pub fn write(&self, offset: u32, bytes: &[u8]) {
        let _ = self.bytes().write_slice(bytes, offset as usize);
    }

    /// Copies out, once.
    pub fn read(&self, offset: u32, into: &mut [u8]) {
        let _ = self.bytes().read_slice(into, offset as usize);
    }

    /// A 16-bit word, which must be aligned.
    pub fn load16(&self, offset: u32) -> u16 {
        u16::from_le(self.bytes().load(offset as usize, Ordering::Acquire).unwrap_or(0))
    }

    /// Stores a 16-bit word.
    pub fn store16(&self, offset: u32, value: u16) {
        let _ = self.bytes().store(value.to_le(), offset as usize, Ordering::Release);
    }

    /// A 32-bit word, which must be aligned.
    pub fn load32(&self, offset: u32) -> u32 {
        u32::from_le(self.bytes().load(offset as usize, Ordering::Relaxed).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_overlaps_nothing_and_is_found_again_once_given_back() {
        let (file, _) = crate::vm::memory::create("pool", 1 << 16, false).unwrap();
        let mut pool = Pool::new(file, 4096).unwrap();
        let mut seed = 7u32;
        let mut taken: Vec<(u32, u32)> = Vec::new();
        for _ in 0..5000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let len = seed >> 20;
            if seed & 0x100 == 0 && !taken.is_empty() {
                pool.give(taken.swap_remove(seed as usize % taken.len()).0);
            } else if let Some(at) = pool.take(len) {
                assert!(at >= 4096 && at + len <= 1 << 16 && at.is_multiple_of(16));
                assert!(
                    taken.iter().all(|(a, l)| at + len <= *a || a + l <= at),
                    "{at} {len} {taken:?}"
                );
                taken.push((at, len.max(1)));
            }
        }
        taken.iter().for_each(|(at, _)| pool.give(*at));
        assert_eq!(pool.take((1 << 16) - 4096), Some(4096));
        assert_eq!(pool.take(1), None);
    }
}
