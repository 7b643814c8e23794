//! All memory that the device sees: one piece, given at compile time or (`pool=` on the command line) by the hypervisor, which
//! then shows the service VM this piece and nothing else. Handed out once, never returned.

use core::sync::atomic::{Ordering::SeqCst, fence};

/// Bytes of the pool of our own.
const SIZE: u64 = 256 << 10;

#[repr(align(4096))]
struct Own(core::cell::UnsafeCell<[u8; SIZE as usize]>);

// SAFETY: one processor; only `Pool` and the device touch it.
unsafe impl Sync for Own {}

static OWN: Own = Own(core::cell::UnsafeCell::new([0; SIZE as usize]));

/// See the module.
pub struct Pool {
    next: u64,
    end: u64,
}

impl Pool {
    /// The hypervisor's 2 MiB at this address, or our own.
    pub fn new(place: Option<u64>) -> Self {
        let (next, size) = place.map_or((OWN.0.get() as u64, SIZE), |place| (place, 2 << 20));
        Self { next, end: next + size }
    }

    /// `bytes`, zeroed, at a multiple of 64 (no two parts share a cache line).
    pub fn take(&mut self, bytes: u64) -> Option<Part> {
        let start = self.next.next_multiple_of(64);
        let end = start.checked_add(bytes).filter(|end| *end <= self.end)?;
        self.next = end;
        // SAFETY: inside the pool, handed out to nobody else.
        unsafe { core::ptr::write_bytes(start as *mut u8, 0, bytes as usize) }
        Some(Part { start, bytes })
    }
}

/// A piece of the pool. Every access is volatile: the device reads and writes it too.
pub struct Part {
    start: u64,
    bytes: u64,
}

impl Part {
    /// Its address, for the device.
    pub fn address(&self) -> u64 {
        self.start
    }

    fn at<T>(&self, offset: u64) -> *mut T {
        let size = size_of::<T>() as u64;
        assert!(offset.is_multiple_of(size) && offset + size <= self.bytes);
        (self.start + offset) as *mut T
    }

    /// Reads a field.
    pub fn get<T: Plain>(&self, offset: u64) -> T {
        // SAFETY: inside this part, aligned; any bits are a value.
        unsafe { self.at::<T>(offset).read_volatile() }
    }

    /// Writes a field.
    pub fn set<T: Plain>(&self, offset: u64, value: T) {
        // SAFETY: inside this part, aligned.
        unsafe { self.at::<T>(offset).write_volatile(value) }
    }
}

/// Integers: any bits are a value.
pub trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for u64 {}

/// What was written before is seen by the device before what is written after.
pub fn barrier() {
    fence(SeqCst);
}
