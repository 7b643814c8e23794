//! A split virtqueue (virtio 1.x, 2.7) of one-message chains at fixed places: message n always uses the same descriptors.

use crate::pool::{Part, Pool, barrier};
use crate::transport::{Rings, Transport};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const NO_INTERRUPT: u16 = 1;
const NO_NOTIFY: u16 = 1;

/// A piece of a message: address, bytes, written by the device.
pub type Piece = (u64, u32, bool);

/// See the module.
pub struct Queue {
    transport: Transport,
    index: u16,
    size: u16,
    doorbell: u64,
    descriptors: Part,
    available: Part,
    used: Part,
    added: u16,
    seen: u16,
    /// Notifications sent.
    pub kicks: u32,
}

impl Queue {
    /// At most `most` descriptors, a power of two.
    pub fn new(transport: Transport, index: u16, most: u16, pool: &mut Pool) -> Option<Self> {
        let limit = transport.queue_limit(index);
        if limit == 0 {
            return None;
        }
        let size = limit.min(most);
        let size = 1 << size.ilog2();
        let long = u64::from(size);
        let descriptors = pool.take(16 * long)?;
        let available = pool.take(6 + 2 * long)?;
        let used = pool.take(6 + 8 * long)?;
        if !transport.interrupts() {
            available.set(0, NO_INTERRUPT);
        }
        let rings = Rings {
            descriptors: descriptors.address(),
            available: available.address(),
            used: used.address(),
        };
        transport.set_queue(index, size, &rings);
        Some(Self {
            transport,
            index,
            size,
            doorbell: transport.doorbell(index),
            descriptors,
            available,
            used,
            added: 0,
            seen: 0,
            kicks: 0,
        })
    }

    /// Descriptors.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Offers the message whose chain begins at descriptor `head`; the chain's descriptors are the caller's.
    pub fn add(&mut self, head: u16, pieces: &[Piece]) {
        for (n, (address, bytes, written)) in (head..).zip(pieces) {
            let at = 16 * u64::from(n);
            let last = usize::from(n - head) + 1 == pieces.len();
            let flags = if *written { WRITE } else { 0 } | if last { 0 } else { NEXT };
            self.descriptors.set(at, *address);
            self.descriptors.set(at + 8, *bytes);
            self.descriptors.set(at + 12, flags);
            self.descriptors.set(at + 14, if last { 0 } else { n + 1 });
        }
        let slot = u64::from(self.added % self.size);
        self.available.set(4 + 2 * slot, head);
        barrier();
        self.added = self.added.wrapping_add(1);
        self.available.set(2, self.added);
    }

    /// Tells the device, unless it asked not to be told.
    pub fn kick(&mut self) {
        barrier();
        if self.used.get::<u16>(0) & NO_NOTIFY == 0 {
            self.transport.notify(self.doorbell, self.index);
            self.kicks += 1;
        }
    }

    /// Whether a message came back.
    pub fn ready(&self) -> bool {
        self.used.get::<u16>(2) != self.seen
    }

    /// Takes it: the head of its chain.
    pub fn take(&mut self) -> Option<u16> {
        if !self.ready() {
            return None;
        }
        barrier();
        let slot = u64::from(self.seen % self.size);
        self.seen = self.seen.wrapping_add(1);
        Some(self.used.get::<u32>(4 + 8 * slot) as u16)
    }
}
