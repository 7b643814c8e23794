//! One split virtqueue in guest memory (virtio 1.3 §2.7): the three areas and the fields in them, little endian.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use vm_memory::{Bytes, VolatileSlice};

use super::store::crash_point;
use crate::block::{MAX_QUEUE, QueueBlock};
use crate::memory::GuestMemory;

/// Bytes of a descriptor.
pub(crate) const DESCRIPTOR: usize = 16;
/// Device → driver: don't kick.
pub(crate) const NO_NOTIFY: u16 = 1;
/// Driver → device: don't call.
pub(crate) const NO_INTERRUPT: u16 = 1;

/// Where the areas lie (front-end addresses) and how many descriptors they have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub desc: u64,
    pub avail: u64,
    pub used: u64,
    pub size: u16,
}

impl Layout {
    /// What control wants the ring to be; `None` unless the size is a power of two up to `MAX_QUEUE`.
    pub(crate) fn wanted(block: &QueueBlock) -> Option<Self> {
        let size = block.size.load(Acquire);
        (size.is_power_of_two() && size as usize <= MAX_QUEUE).then(|| Self {
            desc: block.desc.load(Acquire),
            avail: block.avail.load(Acquire),
            used: block.used.load(Acquire),
            size: size as u16,
        })
    }

    /// What the engine runs on, as it recorded it.
    pub(crate) fn own(block: &QueueBlock) -> Option<Self> {
        let size = block.own_size.load(Acquire);
        (size.is_power_of_two() && size as usize <= MAX_QUEUE).then(|| Self {
            desc: block.own_desc.load(Acquire),
            avail: block.own_avail.load(Acquire),
            used: block.own_used.load(Acquire),
            size: size as u16,
        })
    }

    /// Finds the areas in memory; `None` when one is outside or not aligned as §2.7 demands.
    pub(crate) fn open(self, memory: &GuestMemory) -> Option<Vring<'_>> {
        let size = usize::from(self.size);
        let area = |addr, len, align| {
            memory
                .front_end(addr, len)
                .filter(|area| (area.ptr_guard().as_ptr() as usize).is_multiple_of(align))
        };
        Some(Vring {
            desc: area(self.desc, DESCRIPTOR * size, 16)?,
            avail: area(self.avail, 6 + 2 * size, 2)?,
            used: area(self.used, 6 + 8 * size, 4)?,
            size: self.size,
        })
    }
}

/// The areas, found. Accesses cannot fail: offsets are within the areas, alignment was checked.
pub(crate) struct Vring<'m> {
    desc: VolatileSlice<'m>,
    avail: VolatileSlice<'m>,
    used: VolatileSlice<'m>,
    size: u16,
}

impl Vring<'_> {
    pub(crate) fn size(&self) -> u16 {
        self.size
    }

    /// The descriptor's 16 bytes, read once.
    pub(crate) fn descriptor(&self, index: u16) -> Option<[u8; DESCRIPTOR]> {
        let mut bytes = [0; DESCRIPTOR];
        self.desc.read_slice(&mut bytes, DESCRIPTOR * usize::from(index)).ok()?;
        Some(bytes)
    }

    fn slot(&self, index: u16) -> usize {
        usize::from(index & (self.size - 1))
    }

    pub(crate) fn avail_flags(&self) -> u16 {
        u16::from_le(self.avail.load(0, Relaxed).unwrap_or(0))
    }

    pub(crate) fn avail_idx(&self) -> u16 {
        u16::from_le(self.avail.load(2, Acquire).unwrap_or(0))
    }

    pub(crate) fn avail_head(&self, index: u16) -> u16 {
        u16::from_le(self.avail.load(4 + 2 * self.slot(index), Relaxed).unwrap_or(0))
    }

    pub(crate) fn used_event(&self) -> u16 {
        u16::from_le(self.avail.load(4 + 2 * usize::from(self.size), Acquire).unwrap_or(0))
    }

    pub(crate) fn used_idx(&self) -> u16 {
        u16::from_le(self.used.load(2, Acquire).unwrap_or(0))
    }

    pub(crate) fn set_used_flags(&self, flags: u16) {
        self.store16(0, flags);
    }

    pub(crate) fn set_used_element(&self, index: u16, head: u32, len: u32) {
        crash_point();
        let mut element = [0; 8];
        element[..4].copy_from_slice(&head.to_le_bytes());
        element[4..].copy_from_slice(&len.to_le_bytes());
        // Cannot fail: the slot is inside the area.
        let _ = self.used.write_slice(&element, 4 + 8 * self.slot(index));
    }

    pub(crate) fn set_used_idx(&self, index: u16) {
        self.store16(2, index);
    }

    pub(crate) fn set_avail_event(&self, index: u16) {
        self.store16(4 + 8 * usize::from(self.size), index);
    }

    fn store16(&self, offset: usize, value: u16) {
        crash_point();
        // Cannot fail: in bounds and aligned.
        let _ = self.used.store(value.to_le(), offset, Release);
    }
}
