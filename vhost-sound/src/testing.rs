//! A guest without a machine: fake memory in a memfd and the driver's side of a vring, for tests of the engine's half.
//!
//! ```text
//! let guest = FakeGuest::new(16 << 20);
//! let block = device_block(&[direction::PLAYBACK], 7680, 1920);
//! let mut tx = FakeDriver::new(&guest, TXQ, 64);
//! tx.set_up(&block);                                    // addresses, wanted = RUNNING
//! let mut rings = DeviceRings::new(&block);
//! rings.set_memory(guest.announce(&block));             // regions in the block, mapped
//! set_stream(&block, 0, stream_state::RUNNING);         // wish, cmd_seq raised
//! tx.send(0, &bytes, &Shape::linux());
//! rings.begin_period(); rings.pull(0, &mut out, 0); rings.end_period();
//! let returned = tx.collect();
//! ```
//! Failures of the set-up panic: this is test code. A driver owns `SLOT` bytes of guest memory for each descriptor, so the
//! message whose head is `h` always lies in slot `h`.

#![allow(clippy::expect_used, clippy::missing_panics_doc)]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};

use vm_memory::Bytes;

use crate::block::{DeviceBlock, TXQ, ring_state};
use crate::memory::{GuestMemory, RegionSpec};
use crate::shared::Shared;

/// Where the fake guest's memory starts, guest physical.
pub const GPA: u64 = 0x4000_0000;
/// Where it starts in the fake front end.
pub const FRONT_END: u64 = 0x7f00_0000_0000;
/// Guest memory for one message: indirect table, header, payload, status.
pub const SLOT: u64 = 64 << 10;
/// Of it, for the indirect table (and so the most descriptors of a message, times 16).
const TABLE: u64 = 16 << 10;

/// `ring_features` bit: indirect descriptors.
pub const INDIRECT_DESC: u64 = 1 << 28;
/// `ring_features` bit: `used_event` and `avail_event`.
pub const EVENT_IDX: u64 = 1 << 29;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// Guest memory: one region of a memfd that can be truncated.
pub struct FakeGuest {
    file: OwnedFd,
    view: GuestMemory,
    len: u64,
}

impl FakeGuest {
    /// `len` bytes of zeroed memory.
    pub fn new(len: u64) -> Self {
        // SAFETY: a valid C string; the result is checked.
        let raw = unsafe { libc::memfd_create(c"fake-guest".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        assert!(raw >= 0, "memfd_create");
        // SAFETY: a fresh descriptor.
        let file = unsafe { OwnedFd::from_raw_fd(raw) };
        let guest_len = libc::off_t::try_from(len).expect("length");
        // SAFETY: a plain call on our own descriptor.
        assert_eq!(unsafe { libc::ftruncate(file.as_raw_fd(), guest_len) }, 0);
        let view = GuestMemory::map(0, &[spec(len)], &[file.as_fd()]).expect("map");
        Self { file, view, len }
    }

    /// The memory table as a front end would announce it.
    pub fn spec(&self) -> RegionSpec {
        spec(self.len)
    }

    /// The memory's file.
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Writes the memory table into the block under a new generation and maps it as the engine would.
    pub fn announce(&self, block: &DeviceBlock) -> GuestMemory {
        let (region, spec) = (&block.regions[0], self.spec());
        region.gpa.store(spec.gpa, Release);
        region.len.store(spec.len, Release);
        region.front_end_addr.store(spec.front_end_addr, Release);
        region.file_offset.store(spec.file_offset, Release);
        block.region_count.store(1, Release);
        block.mem_gen.fetch_add(1, Release);
        self.map(block)
    }

    /// Maps the table that stands in the block once more, as an engine's successor would.
    pub fn map(&self, block: &DeviceBlock) -> GuestMemory {
        let file = self.file.try_clone().expect("dup");
        GuestMemory::map_block(block, &[file]).expect("map")
    }

    /// Takes all memory away, as a hostile front end can.
    pub fn truncate(&self) {
        // SAFETY: a plain call on our own descriptor.
        assert_eq!(unsafe { libc::ftruncate(self.file.as_raw_fd(), 0) }, 0);
    }

    /// Writes at a guest physical address.
    pub fn write(&self, gpa: u64, bytes: &[u8]) {
        let run = self.view.physical(gpa, bytes.len()).expect("in guest memory");
        run.write_slice(bytes, 0).expect("in one region");
    }

    /// Reads at a guest physical address.
    pub fn read(&self, gpa: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let run = self.view.physical(gpa, len).expect("in guest memory");
        run.read_slice(&mut bytes, 0).expect("in one region");
        bytes
    }

    /// Reads a 16-bit field, as drivers read indices.
    pub fn read16(&self, gpa: u64) -> u16 {
        let run = self.view.physical(gpa, 2).expect("in guest memory");
        u16::from_le(run.load(0, Acquire).expect("aligned"))
    }

    /// Writes a 16-bit field.
    pub fn write16(&self, gpa: u64, value: u16) {
        let run = self.view.physical(gpa, 2).expect("in guest memory");
        run.store(value.to_le(), 0, Release).expect("aligned");
    }
}

fn spec(len: u64) -> RegionSpec {
    RegionSpec {
        gpa: GPA,
        len,
        front_end_addr: FRONT_END,
        file_offset: 0,
    }
}

/// A block of a device whose streams flow as told (`block::direction`), S16 stereo at 48 kHz, not yet prepared.
pub fn device_block(directions: &[u32], buffer_bytes: u32, period_bytes: u32) -> Shared<DeviceBlock> {
    let block = Shared::<DeviceBlock>::private().expect("memory");
    block.stream_count.store(directions.len() as u32, Release);
    for (stream, way) in block.streams.iter().zip(directions) {
        stream.direction.store(*way, Release);
        stream.buffer_bytes.store(buffer_bytes, Release);
        stream.period_bytes.store(period_bytes, Release);
        stream.channels.store(2, Release);
        stream.format.store(5, Release);
        stream.rate.store(7, Release);
    }
    block
}

/// Raises `cmd_seq` after a wish.
pub fn command(block: &DeviceBlock) {
    block.cmd_seq.fetch_add(1, SeqCst);
}

/// Wishes a stream into a state.
pub fn set_stream(block: &DeviceBlock, stream: usize, state: u32) {
    block.streams[stream].wanted.store(state, Release);
    command(block);
}

/// Wishes a stream released, as control does on RELEASE.
pub fn release_stream(block: &DeviceBlock, stream: usize) {
    block.streams[stream].release_gen.fetch_add(1, Release);
    set_stream(block, stream, crate::block::stream_state::RELEASED);
}

/// How a message is cut into descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes a descriptor, repeated in turn over header, payload and status, which stay apart only if `apart`.
    pub cuts: Vec<u32>,
    /// Header, payload and status begin descriptors of their own (as Linux does).
    pub apart: bool,
    /// Through an indirect table.
    pub indirect: bool,
}

impl Shape {
    /// As Linux: header, a descriptor a 4 KiB page, status; indirect.
    pub fn linux() -> Self {
        Self {
            cuts: vec![4096],
            apart: true,
            indirect: true,
        }
    }

    /// As few direct descriptors as the order of readable and writable parts allows.
    pub fn direct() -> Self {
        Self {
            cuts: vec![u32::MAX],
            apart: false,
            indirect: false,
        }
    }

    fn cut(&self, parts: &[(u64, u32)]) -> Vec<(u64, u32)> {
        let mut whole = parts.to_vec();
        if !self.apart {
            whole = vec![(parts[0].0, parts.iter().map(|part| part.1).sum())];
        }
        let mut sizes = self.cuts.iter().copied().cycle();
        let mut pieces = Vec::new();
        for (mut at, mut left) in whole {
            while left > 0 {
                let len = sizes.next().unwrap_or(left).min(left);
                pieces.push((at, len));
                at += u64::from(len);
                left -= len;
            }
        }
        pieces
    }
}

/// A message the device returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Its head.
    pub head: u16,
    /// Used length.
    pub len: u32,
    /// `VIRTIO_SND_S_*`, 0 if never written.
    pub status: u32,
    /// `latency_bytes`.
    pub latency_bytes: u32,
    /// The payload as it stands in guest memory.
    pub payload: Vec<u8>,
}

#[derive(Clone)]
struct InFlight {
    descriptors: Vec<u16>,
    payload: (u64, u32),
    status: u64,
}

/// The driver's side of one vring. Cleared `shows` makes a driver that never says what it has seen.
pub struct FakeDriver<'g> {
    guest: &'g FakeGuest,
    queue: usize,
    size: u16,
    base: u64,
    /// Whether `collect` writes `used_event`.
    pub shows: bool,
    free: Vec<u16>,
    in_flight: Vec<Option<InFlight>>,
    avail: u16,
    seen: u16,
}

impl<'g> FakeDriver<'g> {
    /// A ring of `size` descriptors for queue `queue` (TXQ or RXQ): tx in the lower half of guest memory, rx in the upper.
    pub fn new(guest: &'g FakeGuest, queue: usize, size: u16) -> Self {
        let base = GPA + if queue == TXQ { 0 } else { guest.len / 2 };
        assert!(
            RINGS + u64::from(size) * SLOT <= guest.len / 2,
            "guest memory too small for the ring"
        );
        let driver = Self {
            guest,
            queue,
            size,
            base,
            shows: true,
            free: (0..size).rev().collect(),
            in_flight: vec![None; usize::from(size)],
            avail: 0,
            seen: 0,
        };
        guest.write(driver.desc(), &vec![0; RINGS as usize]);
        driver
    }

    /// Descriptor table, guest physical.
    pub fn desc(&self) -> u64 {
        self.base
    }

    /// Available ring, guest physical.
    pub fn avail_ring(&self) -> u64 {
        self.base + 0x8000
    }

    /// Used ring, guest physical.
    pub fn used_ring(&self) -> u64 {
        self.base + 0xc000
    }

    /// Writes the ring into the block and wishes it to run from index `avail` on (0 for a new driver).
    pub fn set_up(&self, block: &DeviceBlock) {
        let queue = &block.queues[self.queue];
        queue.size.store(u32::from(self.size), Release);
        queue.desc.store(self.desc() - GPA + FRONT_END, Release);
        queue.avail.store(self.avail_ring() - GPA + FRONT_END, Release);
        queue.used.store(self.used_ring() - GPA + FRONT_END, Release);
        self.wish(block, ring_state::RUNNING);
    }

    /// Wishes the ring stopped or running.
    pub fn wish(&self, block: &DeviceBlock, state: u32) {
        block.queues[self.queue].wanted.store(state, Release);
        command(block);
    }

    /// Queues a playback message; `None` when the ring is full.
    pub fn send(&mut self, stream: u32, payload: &[u8], shape: &Shape) -> Option<u16> {
        let len = u32::try_from(payload.len()).expect("length");
        let head = *self.free.last()?;
        let data = self.slot(head) + TABLE;
        self.guest.write(data, &stream.to_le_bytes());
        self.guest.write(data + 4, payload);
        let readable = shape.cut(&[(data, 4), (data + 4, len)]);
        let status = data + 4 + u64::from(len);
        let writable = shape.cut(&[(status, 8)]);
        self.enqueue(&readable, &writable, shape, (data + 4, len), status)
    }

    /// Queues a capture buffer of `len` bytes; `None` when the ring is full.
    pub fn offer(&mut self, stream: u32, len: u32, shape: &Shape) -> Option<u16> {
        let head = *self.free.last()?;
        let data = self.slot(head) + TABLE;
        self.guest.write(data, &stream.to_le_bytes());
        let status = data + 4 + u64::from(len);
        let readable = shape.cut(&[(data, 4)]);
        let writable = shape.cut(&[(data + 4, len), (status, 8)]);
        self.enqueue(&readable, &writable, shape, (data + 4, len), status)
    }

    fn slot(&self, head: u16) -> u64 {
        self.base + RINGS + u64::from(head) * SLOT
    }

    fn enqueue(
        &mut self,
        readable: &[(u64, u32)],
        writable: &[(u64, u32)],
        shape: &Shape,
        payload: (u64, u32),
        status: u64,
    ) -> Option<u16> {
        let count = if shape.indirect {
            1
        } else {
            readable.len() + writable.len()
        };
        if self.free.len() < count {
            return None;
        }
        self.guest.write(status, &[0; 8]);
        let parts = readable
            .iter()
            .map(|part| (part, 0))
            .chain(writable.iter().map(|part| (part, WRITE)));
        let parts: Vec<_> = parts.map(|(&(gpa, len), flags)| (gpa, len, flags)).collect();
        let descriptors: Vec<u16> = self.free.split_off(self.free.len() - count).into_iter().rev().collect();
        let head = descriptors[0];
        if shape.indirect {
            let table = self.slot(head);
            assert!(parts.len() * 16 <= TABLE as usize, "too many descriptors for a slot");
            let indices: Vec<u16> = (0..parts.len() as u16).collect();
            self.write_chain(table, &indices, &parts);
            self.descriptor(self.desc(), head, (table, parts.len() as u32 * 16, INDIRECT), 0);
        } else {
            self.write_chain(self.desc(), &descriptors, &parts);
        }
        self.in_flight[usize::from(head)] = Some(InFlight {
            descriptors,
            payload,
            status,
        });
        self.make_available(head);
        Some(head)
    }

    fn write_chain(&self, table: u64, indices: &[u16], parts: &[(u64, u32, u16)]) {
        for (nth, (&index, &(gpa, len, flags))) in indices.iter().zip(parts).enumerate() {
            let next = indices.get(nth + 1);
            let flags = flags | if next.is_some() { NEXT } else { 0 };
            self.descriptor(table, index, (gpa, len, flags), next.copied().unwrap_or(0));
        }
    }

    /// Writes one descriptor, whatever it says.
    pub fn descriptor(&self, table: u64, index: u16, (gpa, len, flags): (u64, u32, u16), next: u16) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&gpa.to_le_bytes());
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        bytes[12..14].copy_from_slice(&flags.to_le_bytes());
        bytes[14..].copy_from_slice(&next.to_le_bytes());
        self.guest.write(table + 16 * u64::from(index), &bytes);
    }

    /// Puts a head on the available ring, whatever it is.
    pub fn make_available(&mut self, head: u16) {
        let slot = u64::from(self.avail % self.size);
        self.guest.write16(self.avail_ring() + 4 + 2 * slot, head);
        self.set_avail_idx(self.avail.wrapping_add(1));
    }

    /// Writes the available index, whatever it is.
    pub fn set_avail_idx(&mut self, index: u16) {
        self.avail = index;
        self.guest.write16(self.avail_ring() + 2, index);
    }

    /// The available index.
    pub fn avail_idx(&self) -> u16 {
        self.avail
    }

    /// Changes the payload of a message in flight, as Linux 6.1 does (it queues first and fills later).
    pub fn refill(&self, head: u16, payload: &[u8]) {
        let message = self.in_flight[usize::from(head)].as_ref().expect("in flight");
        self.guest.write(message.payload.0, payload);
    }

    /// Heads queued and not yet collected.
    pub fn in_flight(&self) -> usize {
        self.in_flight.iter().flatten().count()
    }

    /// Whether a Linux driver that now added one more message would kick.
    pub fn would_kick(&self, event_idx: bool) -> bool {
        if event_idx {
            let event = self.guest.read16(self.used_ring() + 4 + 8 * u64::from(self.size));
            event == self.avail
        } else {
            self.guest.read16(self.used_ring()) & 1 == 0
        }
    }

    /// The device's used index, without taking anything.
    pub fn used_idx(&self) -> u16 {
        self.guest.read16(self.used_ring() + 2)
    }

    /// Takes what the device returned, in order. Panics when a head comes back that is not in flight.
    pub fn collect(&mut self) -> Vec<Returned> {
        let mut all = Vec::new();
        while self.seen != self.used_idx() {
            let slot = u64::from(self.seen % self.size);
            let element = self.guest.read(self.used_ring() + 4 + 8 * slot, 8);
            let word = |at: usize| u32::from_le_bytes([element[at], element[at + 1], element[at + 2], element[at + 3]]);
            let head = u16::try_from(word(0)).expect("a head");
            let message = self.in_flight[usize::from(head)]
                .take()
                .expect("a head comes back once");
            let status = self.guest.read(message.status, 8);
            all.push(Returned {
                head,
                len: word(4),
                status: u32::from_le_bytes([status[0], status[1], status[2], status[3]]),
                latency_bytes: u32::from_le_bytes([status[4], status[5], status[6], status[7]]),
                payload: self.guest.read(message.payload.0, message.payload.1 as usize),
            });
            self.free.extend(message.descriptors.iter().rev());
            self.seen = self.seen.wrapping_add(1);
        }
        if self.shows {
            self.guest
                .write16(self.avail_ring() + 4 + 2 * u64::from(self.size), self.seen);
        }
        all
    }
}

/// Bytes for the three areas of a ring of up to 1024 descriptors.
const RINGS: u64 = 0x1_0000;
