//! Descriptor chains: a bounded walk over hostile descriptors.
//!
//! Each descriptor's 16 bytes are copied out once and judged as a copy. A walk takes at most [`MAX_CHAIN`] steps, direct
//! and indirect together, so a loop ends as a `CHAIN` fault.

use super::store::guest_read;
use super::vring::{DESCRIPTOR, Vring};
use crate::block::fault;
use crate::memory::GuestMemory;

/// Longest chain taken, descriptors. Linux puts one 4 KiB page in each, without regard to the queue's size.
pub const MAX_CHAIN: u16 = 1024;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// What a walk needs.
pub(crate) struct Context<'m> {
    pub memory: &'m GuestMemory,
    pub vring: Vring<'m>,
    /// INDIRECT_DESC was negotiated.
    pub indirect: bool,
    /// EVENT_IDX was negotiated.
    pub event_idx: bool,
}

/// One buffer of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub gpa: u64,
    pub len: u32,
    pub writable: bool,
}

#[derive(Clone, Copy, Debug)]
enum Table {
    Direct,
    Indirect { gpa: u64, entries: u32 },
}

/// A place in a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    table: Table,
    next: Option<u16>,
    /// Descriptors left before the chain must be a loop.
    left: u16,
    taken: u16,
    writable: bool,
}

impl Walk {
    pub(crate) fn new(head: u16, size: u16) -> Self {
        Self {
            table: Table::Direct,
            next: Some(head),
            left: size.min(MAX_CHAIN),
            taken: 0,
            writable: false,
        }
    }

    /// The next buffer, `None` at the end, or a `fault` code. `reads` counts descriptors.
    pub(crate) fn next(&mut self, context: &Context<'_>, reads: &mut u32) -> Result<Option<Segment>, u32> {
        while let Some(index) = self.next {
            let bytes = self.fetch(context, index)?;
            *reads += 1;
            let gpa = u64::from_le_bytes(field(&bytes, 0));
            let len = u32::from_le_bytes(field(&bytes, 8));
            let flags = u16::from_le_bytes(field(&bytes, 12));
            let next = u16::from_le_bytes(field(&bytes, 14));
            if flags & INDIRECT != 0 {
                self.enter(context, gpa, len, flags)?;
                continue;
            }
            self.next = (flags & NEXT != 0).then_some(next);
            let writable = flags & WRITE != 0;
            if self.writable && !writable {
                return Err(fault::CHAIN);
            }
            self.writable = writable;
            return Ok(Some(Segment { gpa, len, writable }));
        }
        Ok(None)
    }

    fn fetch(&mut self, context: &Context<'_>, index: u16) -> Result<[u8; DESCRIPTOR], u32> {
        self.left = self.left.checked_sub(1).ok_or(fault::CHAIN)?;
        self.taken += 1;
        match self.table {
            Table::Direct if index >= context.vring.size() => Err(fault::INDEX),
            Table::Direct => context.vring.descriptor(index).ok_or(fault::INDEX),
            Table::Indirect { entries, .. } if u32::from(index) >= entries => Err(fault::INDEX),
            Table::Indirect { gpa, .. } => {
                let mut bytes = [0; DESCRIPTOR];
                let at = gpa.checked_add(DESCRIPTOR as u64 * u64::from(index));
                let read = at.is_some_and(|at| guest_read(context.memory, at, &mut bytes));
                if read { Ok(bytes) } else { Err(fault::OUTSIDE_MEMORY) }
            }
        }
    }

    /// Goes on in an indirect table: only one, only last, only if negotiated (§2.7.5.3).
    fn enter(&mut self, context: &Context<'_>, gpa: u64, len: u32, flags: u16) -> Result<(), u32> {
        let nested = matches!(self.table, Table::Indirect { .. });
        let whole = len > 0 && (len as usize).is_multiple_of(DESCRIPTOR);
        if nested || !context.indirect || flags & NEXT != 0 || !whole {
            return Err(fault::CHAIN);
        }
        let entries = len / DESCRIPTOR as u32;
        self.table = Table::Indirect { gpa, entries };
        self.left = u16::try_from(entries)
            .unwrap_or(u16::MAX)
            .min(MAX_CHAIN.saturating_sub(self.taken));
        self.next = Some(0);
        Ok(())
    }
}

fn field<const N: usize>(bytes: &[u8; DESCRIPTOR], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}
