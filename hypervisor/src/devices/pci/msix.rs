//! MSI-X (PCI 3.0, 6.8.2): a table of messages, and sources (queues, or a real device's vectors) that send them.
//!
//! Each source has an eventfd for good. What changes is whether KVM listens to it:
//!
//! ```text
//!              enabled, not masked, source has a vector
//!  detached ─────────────────────────────────────────────► attached: an event is an interrupt, no exit
//!  (events   ◄─────────────────────────────────────────────
//!   count)     masked, disabled or without a vector
//! ```
//! An event that comes while detached stays in the eventfd's counter: it is the pending bit, and KVM raises it when the
//! source is attached again. So masking loses nothing.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::vm::host::{Host, Message};

/// A source that sends nothing.
pub const NO_VECTOR: u16 = 0xffff;
/// Bytes of a table entry.
pub const ENTRY: u64 = 16;

const CONTROL_ENABLE: u16 = 1 << 15;
const CONTROL_MASK: u16 = 1 << 14;

#[derive(Clone, Copy)]
struct Entry {
    message: Message,
    masked: bool,
}

struct Source {
    event: EventFd,
    gsi: u32,
    vector: u16,
    is_attached: bool,
}

/// Table and sources of one function.
pub struct Msix {
    host: Arc<dyn Host>,
    entries: Vec<Entry>,
    sources: Vec<Source>,
    control: u16,
}

impl Msix {
    /// All vectors masked, no source with a vector.
    ///
    /// # Errors
    /// No interrupt numbers or descriptors left.
    pub fn new(host: Arc<dyn Host>, vectors: u16, sources: usize) -> io::Result<Self> {
        let sources = (0..sources)
            .map(|_| {
                let (event, gsi) = (EventFd::new(EFD_NONBLOCK)?, host.new_gsi()?);
                Ok(Source {
                    event,
                    gsi,
                    vector: NO_VECTOR,
                    is_attached: false,
                })
            })
            .collect::<io::Result<_>>()?;
        let entries = vec![
            Entry {
                message: Message::default(),
                masked: true
            };
            vectors.into()
        ];
        Ok(Self {
            host,
            entries,
            sources,
            control: 0,
        })
    }

    /// The eventfd of a source.
    pub fn event(&self, source: usize) -> Option<&EventFd> {
        self.sources.get(source).map(|source| &source.event)
    }

    /// Message control: the table's size and the two bits the guest has.
    pub fn control(&self) -> u16 {
        self.control | (self.entries.len() as u16).wrapping_sub(1) & 0x7ff
    }

    /// Sets the guest's two bits.
    pub fn set_control(&mut self, value: u16) {
        self.control = value & (CONTROL_ENABLE | CONTROL_MASK);
        self.sync();
    }

    /// A source's vector.
    pub fn vector(&self, source: usize) -> u16 {
        self.sources.get(source).map_or(NO_VECTOR, |source| source.vector)
    }

    /// Gives a source a vector; one that isn't there is none.
    pub fn set_vector(&mut self, source: usize, vector: u16) {
        let known = usize::from(vector) < self.entries.len();
        if let Some(source) = self.sources.get_mut(source) {
            source.vector = if known { vector } else { NO_VECTOR };
            self.sync();
        }
    }

    /// A guest's read of the table: aligned, 4 or 8 bytes.
    pub fn table_read(&self, offset: u64, data: &mut [u8]) {
        let Some(index) = entry_of(offset, data.len()) else {
            return;
        };
        if let Some(entry) = self.entries.get(index) {
            let bytes = entry_bytes(*entry);
            let at = (offset % ENTRY) as usize;
            data.copy_from_slice(&bytes[at..at + data.len()]);
        }
    }

    /// A guest's write to the table.
    pub fn table_write(&mut self, offset: u64, data: &[u8]) {
        let Some(index) = entry_of(offset, data.len()) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(index) else {
            return;
        };
        let mut bytes = entry_bytes(*entry);
        let at = (offset % ENTRY) as usize;
        bytes[at..at + data.len()].copy_from_slice(data);
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let address = u64::from(word(0) & !3) | u64::from(word(4)) << 32;
        *entry = Entry {
            message: Message { address, data: word(8) },
            masked: word(12) & 1 != 0,
        };
        self.sync();
    }

    /// A guest's read of the pending bits.
    pub fn pending_read(&self, offset: u64, data: &mut [u8]) {
        for (index, byte) in data.iter_mut().enumerate() {
            let first = (offset as usize + index) * 8;
            let bits = (0..8).filter(|bit| self.is_pending(first + bit));
            *byte = bits.fold(0, |all, bit| all | 1 << bit);
        }
    }

    fn is_pending(&self, vector: usize) -> bool {
        let of_it = self
            .sources
            .iter()
            .filter(|source| usize::from(source.vector) == vector);
        let mut waiting = of_it.filter(|source| !source.is_attached);
        vector < self.entries.len() && waiting.any(|source| has_event(&source.event))
    }

    /// Everything as after a reset of the function.
    pub fn reset_vectors(&mut self) {
        for source in &mut self.sources {
            source.vector = NO_VECTOR;
        }
        self.sync();
    }

    /// Lets KVM listen to the sources it is to listen to, with one change of routes for all. What KVM refuses is an
    /// interrupt this guest doesn't get, nothing more.
    fn sync(&mut self) {
        let open = self.control & (CONTROL_ENABLE | CONTROL_MASK) == CONTROL_ENABLE;
        let entries = &self.entries;
        let wanted = |source: &Source| {
            let entry = entries
                .get(usize::from(source.vector))
                .filter(|entry| open && !entry.masked);
            entry.map(|entry| entry.message)
        };
        for source in self.sources.iter_mut().filter(|source| source.is_attached) {
            if wanted(source).is_none() {
                source.is_attached = self.host.detach(source.gsi, &source.event).is_err();
            }
        }
        let routes: Vec<_> = self
            .sources
            .iter()
            .filter_map(|source| Some((source.gsi, wanted(source)?)))
            .collect();
        if routes.is_empty() || self.host.route(&routes).is_err() {
            return;
        }
        for source in self.sources.iter_mut().filter(|source| !source.is_attached) {
            if wanted(source).is_some() {
                source.is_attached = self.host.attach(source.gsi, &source.event).is_ok();
            }
        }
    }
}

fn entry_of(offset: u64, length: usize) -> Option<usize> {
    let aligned = matches!(length, 4 | 8) && offset.is_multiple_of(length as u64);
    aligned.then_some((offset / ENTRY) as usize)
}

fn entry_bytes(entry: Entry) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&entry.message.address.to_le_bytes());
    bytes[8..12].copy_from_slice(&entry.message.data.to_le_bytes());
    bytes[12] = u8::from(entry.masked);
    bytes
}

/// Is there an event in the counter? Looking doesn't take it.
fn has_event(event: &EventFd) -> bool {
    // SAFETY: `event` keeps it open.
    let fd = unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) };
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::virtio::testing::FakeHost;

    fn entry(address: u32, data: u32, masked: u32) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (at, word) in [(0, address), (8, data), (12, masked)] {
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn write(msix: &mut Msix, vector: u64, bytes: [u8; 16]) {
        for at in [0, 4, 8, 12] {
            msix.table_write(vector * ENTRY + at as u64, &bytes[at..at + 4]);
        }
    }

    fn pending(msix: &Msix) -> u8 {
        let mut data = [0];
        msix.pending_read(0, &mut data);
        data[0]
    }

    #[test]
    fn an_event_while_masked_is_pending_and_is_raised_when_unmasked() {
        let host = Arc::new(FakeHost::default());
        let mut msix = Msix::new(host.clone(), 2, 1).unwrap();
        msix.set_control(CONTROL_ENABLE);
        msix.set_vector(0, 1);
        write(&mut msix, 1, entry(0xfee0_0000, 0x41, 1));

        msix.event(0).unwrap().write(1).unwrap();
        assert_eq!((pending(&msix), host.raised()), (0b10, vec![]));

        msix.table_write(ENTRY + 12, &0_u32.to_le_bytes());
        assert_eq!(pending(&msix), 0);
        assert_eq!(
            host.raised(),
            [Message {
                address: 0xfee0_0000,
                data: 0x41
            }]
        );
    }

    #[test]
    fn the_function_mask_holds_everything_back() {
        let host = Arc::new(FakeHost::default());
        let mut msix = Msix::new(host.clone(), 1, 1).unwrap();
        msix.set_vector(0, 0);
        write(&mut msix, 0, entry(0xfee0_0000, 0x42, 0));
        msix.set_control(CONTROL_ENABLE | CONTROL_MASK);

        msix.event(0).unwrap().write(1).unwrap();
        assert_eq!(host.raised(), []);

        msix.set_control(CONTROL_ENABLE);
        assert_eq!(
            host.raised(),
            [Message {
                address: 0xfee0_0000,
                data: 0x42
            }]
        );
    }

    #[test]
    fn a_vector_that_is_not_there_is_no_vector() {
        let mut msix = Msix::new(Arc::new(FakeHost::default()), 2, 1).unwrap();

        msix.set_vector(0, 2);

        assert_eq!((msix.vector(0), msix.control() & 0x7ff), (NO_VECTOR, 1));
    }

    #[test]
    fn accesses_that_are_not_aligned_words_change_nothing() {
        let mut msix = Msix::new(Arc::new(FakeHost::default()), 1, 1).unwrap();

        msix.table_write(1, &[0xff; 4]);
        msix.table_write(0, &[0xff; 2]);
        msix.table_write(16, &[0xff; 8]);
        let mut data = [0; 8];
        msix.table_read(0, &mut data);

        assert_eq!(data, [0; 8]);
    }
}
