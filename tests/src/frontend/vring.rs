//! The driver's side of a split virtqueue, with EVENT_IDX and INDIRECT_DESC, and raw access for hostile tests.

use std::sync::Arc;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::FrontendError;
use super::memory::{RINGS, Ram};

/// One buffer of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seg {
    /// Guest address.
    pub gpa: u64,
    /// Bytes.
    pub len: u32,
    /// The device writes it.
    pub write: bool,
}

impl Seg {
    /// A buffer the device reads.
    #[must_use]
    pub fn ro(gpa: u64, len: u32) -> Self {
        Self { gpa, len, write: false }
    }

    /// A buffer the device writes.
    #[must_use]
    pub fn wo(gpa: u64, len: u32) -> Self {
        Self { gpa, len, write: true }
    }
}

/// Descriptor flag: another follows.
pub const NEXT: u16 = 1;
/// Descriptor flag: the device writes it.
pub const WRITE: u16 = 2;
/// Descriptor flag: a table of descriptors.
pub const INDIRECT: u16 = 4;
/// Most descriptors of an indirect table here.
pub const MAX_INDIRECT: usize = 512;

/// One queue.
#[derive(Debug)]
pub struct Vring {
    ram: Arc<Ram>,
    /// Entries.
    pub size: u16,
    /// Descriptor table.
    pub desc: u64,
    /// Available ring.
    pub avail: u64,
    /// Used ring.
    pub used: u64,
    /// Rings the device.
    pub kick: EventFd,
    /// Rung by the device.
    pub call: EventFd,
    /// Rung by a device that gave the ring up (vhost-user's form of DEVICE_NEEDS_RESET).
    pub err: EventFd,
    indirect_tables: u64,
    event_idx: bool,
    indirect: bool,
    free: Vec<u16>,
    chains: Vec<Vec<u16>>,
    next_avail: u16,
    kicked: u16,
    next_used: u16,
    /// Kicks that the device asked for.
    pub kicks: u64,
}

impl Vring {
    /// A fresh queue of `size` entries.
    ///
    /// # Errors
    /// Out of guest memory or descriptors.
    pub fn new(ram: Arc<Ram>, size: u16, event_idx: bool, indirect: bool) -> Result<Self, FrontendError> {
        let n = usize::from(size);
        let alloc = |len: usize| ram.alloc(RINGS, len.max(4096)).ok_or(FrontendError::OutOfMemory);
        let (desc, avail, used) = (alloc(16 * n)?, alloc(6 + 2 * n)?, alloc(6 + 8 * n)?);
        let indirect_tables = alloc(if indirect { n * MAX_INDIRECT * 16 } else { 16 })?;
        Ok(Self {
            kick: EventFd::new(EFD_NONBLOCK)?,
            call: EventFd::new(EFD_NONBLOCK)?,
            err: EventFd::new(EFD_NONBLOCK)?,
            free: (0..size).rev().collect(),
            chains: vec![Vec::new(); n],
            ram,
            size,
            desc,
            avail,
            used,
            indirect_tables,
            event_idx,
            indirect,
            next_avail: 0,
            kicked: 0,
            next_used: 0,
            kicks: 0,
        })
    }

    /// Chains in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.chains.iter().filter(|c| !c.is_empty()).count()
    }

    /// The used index as the device published it.
    #[must_use]
    pub fn used_index(&self) -> u16 {
        self.ram.load16(self.used + 2)
    }

    /// Makes a chain available without kicking; its head, or `None` when there are too few descriptors.
    pub fn submit(&mut self, segs: &[Seg]) -> Option<u16> {
        let indirect = self.indirect && segs.len() > 1 && segs.len() <= MAX_INDIRECT;
        let need = if indirect { 1 } else { segs.len() };
        if need == 0 || need > self.free.len() {
            return None;
        }
        let ids: Vec<u16> = self.free.split_off(self.free.len() - need);
        let head = *ids.first()?;
        if indirect {
            let table = self.indirect_tables + u64::from(head) * (MAX_INDIRECT as u64) * 16;
            let next: Vec<u16> = (0..segs.len() as u16).collect();
            self.write_chain(table, &next, segs);
            self.write_desc(head, table, segs.len() as u32 * 16, INDIRECT, 0);
        } else {
            self.write_chain(self.desc, &ids, segs);
        }
        if let Some(chain) = self.chains.get_mut(usize::from(head)) {
            *chain = ids;
        }
        self.push_avail(head);
        Some(head)
    }

    fn write_chain(&self, table: u64, ids: &[u16], segs: &[Seg]) {
        for (i, seg) in segs.iter().enumerate() {
            let next = ids.get(i + 1);
            let flags = if seg.write { WRITE } else { 0 } | if next.is_some() { NEXT } else { 0 };
            let id = u64::from(ids.get(i).copied().unwrap_or(0));
            self.write_desc_at(table + 16 * id, seg.gpa, seg.len, flags, next.copied().unwrap_or(0));
        }
    }

    /// Raw: writes descriptor `id` of the table.
    pub fn write_desc(&self, id: u16, gpa: u64, len: u32, flags: u16, next: u16) {
        self.write_desc_at(self.desc + 16 * u64::from(id), gpa, len, flags, next);
    }

    fn write_desc_at(&self, at: u64, gpa: u64, len: u32, flags: u16, next: u16) {
        let mut bytes = gpa.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        self.ram.write(at, &bytes);
    }

    /// Raw: puts any head into the available ring and publishes it.
    pub fn push_avail(&mut self, head: u16) {
        let slot = u64::from(self.next_avail % self.size);
        self.ram.store16(self.avail + 4 + 2 * slot, head);
        self.next_avail = self.next_avail.wrapping_add(1);
        self.ram.store16(self.avail + 2, self.next_avail);
    }

    /// Raw: lets the available index jump by `by` without entries.
    pub fn jump_avail(&mut self, by: u16) {
        self.next_avail = self.next_avail.wrapping_add(by);
        self.ram.store16(self.avail + 2, self.next_avail);
    }

    /// Kicks unless the device said it need not be.
    pub fn kick(&mut self) {
        let needed = if self.event_idx {
            let event = self.ram.load16(self.used + 4 + 8 * u64::from(self.size));
            let fresh = self.next_avail.wrapping_sub(self.kicked);
            self.next_avail.wrapping_sub(event).wrapping_sub(1) < fresh
        } else {
            self.ram.load16(self.used) & 1 == 0
        };
        self.kicked = self.next_avail;
        if needed {
            self.kicks += 1;
            self.force_kick();
        }
    }

    /// Kicks whatever the device said. A full eventfd is a kick that was not yet read.
    pub fn force_kick(&self) {
        let _already_signalled = self.kick.write(1);
    }

    /// The next used chain: head and written length; asks for an interrupt at the one after it.
    pub fn pop_used(&mut self) -> Option<(u16, u32)> {
        if self.used_index() == self.next_used {
            return None;
        }
        let slot = u64::from(self.next_used % self.size);
        let entry = self.ram.read(self.used + 4 + 8 * slot, 8);
        let head = super::proto::word(&entry, 0) as u16;
        self.next_used = self.next_used.wrapping_add(1);
        if self.event_idx {
            self.ram
                .store16(self.avail + 4 + 2 * u64::from(self.size), self.next_used);
        }
        if let Some(chain) = self.chains.get_mut(usize::from(head)) {
            self.free.append(chain);
        }
        Some((head, super::proto::word(&entry, 4)))
    }
}
