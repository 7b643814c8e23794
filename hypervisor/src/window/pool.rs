//! A pool of memory that another VM sees too: its contents are hostile at any time. Fixed-offset stores and loads, and a heap
//! whose bookkeeping is ours alone.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// See the module.
pub(super) struct Pool {
    base: NonNull<u8>,
    len: u32,
    heap: u32,
    /// Taken: start, length; in order.
    taken: BTreeMap<u32, u32>,
}

// SAFETY: the mapping belongs to this value alone, and is only ever accessed by volatile copies and atomics.
unsafe impl Send for Pool {}

impl Pool {
    /// Maps a memfd whole; what lies below `heap` is given out by nobody.
    ///
    /// # Errors
    /// Too small, or what `mmap` says.
    pub fn new(file: &OwnedFd, heap: u32) -> io::Result<Self> {
        // SAFETY: a plain call; nobody reads the file by its position.
        let len = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_END) };
        let len = u32::try_from(len)
            .ok()
            .filter(|len| *len > heap)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new shared mapping at an address of the kernel's choice.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len as usize,
                prot,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        let base = NonNull::new(at.cast::<u8>()).filter(|_| at != libc::MAP_FAILED);
        let base = base.ok_or_else(io::Error::last_os_error)?;
        Ok(Self {
            base,
            len,
            heap,
            taken: BTreeMap::new(),
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

    fn at(&self, offset: u32, len: usize) -> Option<*mut u8> {
        let end = (offset as usize).checked_add(len)?;
        // SAFETY: within the mapping.
        (end <= self.len as usize).then(|| unsafe { self.base.as_ptr().add(offset as usize) })
    }

    /// Copies in. Beyond the end nothing happens: offsets are ours.
    pub fn write(&self, offset: u32, bytes: &[u8]) {
        if let Some(to) = self.at(offset, bytes.len()) {
            // SAFETY: checked; the source is a separate allocation. Whoever reads it meanwhile reads either.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        }
    }

    /// Copies out, once.
    pub fn read(&self, offset: u32, into: &mut [u8]) {
        if let Some(from) = self.at(offset, into.len()) {
            // SAFETY: as in `write`.
            unsafe { std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
        }
    }

    /// Zeros.
    pub fn clear(&self, offset: u32, len: u32) {
        if let Some(at) = self.at(offset, len as usize) {
            // SAFETY: as in `write`.
            unsafe { std::ptr::write_bytes(at, 0, len as usize) };
        }
    }

    /// A 16-bit word, which must be aligned.
    pub fn load16(&self, offset: u32) -> u16 {
        let word = self.at(offset, 2).filter(|_| offset.is_multiple_of(2));
        word.map_or(0, |word| {
            // SAFETY: in the mapping and aligned; only accessed atomically.
            let word = unsafe { AtomicU16::from_ptr(word.cast()) };
            u16::from_le(word.load(Ordering::Acquire))
        })
    }

    /// Stores a 16-bit word.
    pub fn store16(&self, offset: u32, value: u16) {
        if let Some(word) = self.at(offset, 2).filter(|_| offset.is_multiple_of(2)) {
            // SAFETY: as in `load16`.
            unsafe { AtomicU16::from_ptr(word.cast()) }.store(value.to_le(), Ordering::Release);
        }
    }

    /// A 32-bit word, which must be aligned.
    pub fn load32(&self, offset: u32) -> u32 {
        let word = self.at(offset, 4).filter(|_| offset.is_multiple_of(4));
        word.map_or(0, |word| {
            // SAFETY: in the mapping and aligned; only accessed atomically.
            let word = unsafe { AtomicU32::from_ptr(word.cast()) };
            u32::from_le(word.load(Ordering::Relaxed))
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len as usize) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_overlaps_nothing_and_is_found_again_once_given_back() {
        let (file, _) = crate::vm::memory::create("pool", 1 << 16, false).unwrap();
        let mut pool = Pool::new(&file, 4096).unwrap();
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
