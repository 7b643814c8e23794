//! `bounce`: rings and buffers of a stock guest shadowed in a pool, which is all that the service VM sees.
//!
//! ```text
//!  guest RAM: avail ring ──chain──► copied into the pool, one indirect chain ──► shadow avail ring : audiod
//!             used ring ◄── written parts copied back, checked ◄── shadow used ring (hostile) ◄──────┘
//! ```
//! Each chain of the guest is one chain of the shadow, in the same order, so a ring's indices are the same on both sides and
//! GET_VRING_BASE needs no translation. The guest's memory is read and written through `virtio-queue` and `vm-memory`, which check every
//! address; what audiod writes into the pool is read once, its indices are checked against what is under way.
//!
//! Stock drivers of Linux 6.1 queue their whole ring and fill it later, so playback data is copied again each millisecond as
//! long as it waits, oldest first. And a driver doesn't kick for PCM messages where they are polled (VIRTIO_SND_PCM_F_MSG_POLLING,
//! which audiod offers): both PCM rings are looked at each millisecond, each ten when nothing has moved for a second.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::fence;
use std::time::{Duration, Instant};

use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Address, ByteValued, Bytes, FileOffset, GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

use super::Ended;
use super::pool::Pool;
use crate::devices::virtio::worker::vm_queue;
use vhost_sound::block::QUEUES;
use vhost_sound::framing::{Code, MAX_FDS, dword, set_dword, word};
use vhost_sound::wire::{F_EVENT_IDX, F_INDIRECT_DESC};

/// Largest queue.
const MAX_QUEUE: u16 = 1024;
/// A queue's part of the pool: descriptors, avail ring, used ring, indirect tables.
const AVAIL: u32 = 16 << 10;
const USED: u32 = 20 << 10;
const TABLES: u32 = 32 << 10;
const RING: u32 = 64 << 10;
/// Bytes of an indirect table: one descriptor to read, one to write.
const TABLE: u32 = 32;
/// Most bytes of one message.
const MOST: u32 = 512 << 10;
/// Most descriptors of one message.
const MOST_PARTS: usize = 4096;
/// Playback bytes that are copied again each millisecond.
const REFRESHED: u32 = 16 << 10;
/// Where the pool is, as audiod is told: guest-physical, and in our address space.
const POOL_GUEST: u64 = 0x1000_0000;
const POOL_USER: u64 = 0x2000_0000;
/// Index of the playback queue, and of the capture queue.
const TX: usize = 2;
const RX: usize = 3;
/// Rings that are looked at unasked.
pub(super) const POLLED: [usize; 2] = [TX, RX];
/// Between two looks, milliseconds: while something moves, and later.
const LOOK_MS: u64 = 1;
const IDLE_LOOK_MS: u64 = 10;
/// How long after the last chain something is taken to be moving.
const MOVING: Duration = Duration::from_secs(1);
/// Bytes of a message's status.
const STATUS: u32 = 8;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// See the module.
pub(super) struct Bounce {
    pool: Pool,
    memory: GuestMemoryMmap,
    /// The device's addresses of its memory: start, guest-physical, length.
    regions: Vec<(u64, u64, u64)>,
    queues: [Shadow; QUEUES],
    /// When a chain was last copied in.
    moved: Instant,
}

#[derive(Default)]
struct Shadow {
    size: u16,
    /// The guest's areas, in the device's addresses: descriptors, avail, used.
    areas: (u64, u64, u64),
    base: u16,
    running: Option<Running>,
}

struct Running {
    queue: Queue,
    /// The guest's avail ring, for its flags.
    avail: GuestAddress,
    size: u16,
    next_avail: u16,
    next_used: u16,
    flights: Vec<Option<Flight>>,
    free: Vec<u16>,
    /// Slots under way, in the order of the guest.
    order: VecDeque<u16>,
}

/// A chain under way.
struct Flight {
    head: u16,
    at: u32,
    reads: Vec<(GuestAddress, u32)>,
    writes: Vec<(GuestAddress, u32)>,
    readable: u32,
    writable: u32,
}

impl Flight {
    fn written_at(&self) -> u32 {
        self.at + self.readable.next_multiple_of(16)
    }
}

fn device(what: impl std::fmt::Display) -> Ended {
    Ended::Device(what.to_string())
}

impl Bounce {
    /// With this pool, which audiod has as the guest's window.
    ///
    /// # Errors
    /// A pool that is too small, or what `mmap` says.
    pub fn new(pool: OwnedFd) -> io::Result<Self> {
        let pool = Pool::new(pool, QUEUES as u32 * RING)?;
        Ok(Self {
            pool,
            memory: GuestMemoryMmap::new(),
            regions: Vec::new(),
            queues: Default::default(),
            moved: Instant::now(),
        })
    }

    /// A message of set-up, and what audiod is told instead.
    ///
    /// # Errors
    /// A queue or size that can't be.
    pub fn set(&mut self, code: Code, payload: &mut [u8]) -> Result<(), Ended> {
        if code == Code::SET_FEATURES {
            // Shadow chains are indirect whatever the guest's are.
            set_dword(payload, 0, dword(payload, 0) | F_INDIRECT_DESC);
            return Ok(());
        }
        let (index, value) = (word(payload, 0) as usize, word(payload, 4));
        let shadow = self
            .queues
            .get_mut(index)
            .ok_or_else(|| device(format!("queue {index}")))?;
        match code {
            Code::SET_VRING_NUM => {
                let size = u16::try_from(value)
                    .ok()
                    .filter(|size| size.is_power_of_two() && *size <= MAX_QUEUE);
                shadow.size = size.ok_or_else(|| device(format!("a queue of {value}")))?;
            }
            Code::SET_VRING_BASE => shadow.base = value as u16,
            _ => {
                shadow.areas = (dword(payload, 8), dword(payload, 24), dword(payload, 16));
                let ring = POOL_USER + u64::from(RING) * index as u64;
                set_dword(payload, 8, ring);
                set_dword(payload, 16, ring + u64::from(USED));
                set_dword(payload, 24, ring + u64::from(AVAIL));
                set_dword(payload, 32, 0);
            }
        }
        Ok(())
    }

    /// Maps the device's memory table; gives the one audiod gets, which is the pool.
    ///
    /// # Errors
    /// A table that is none.
    pub fn set_memory(&mut self, payload: &[u8], fds: Vec<OwnedFd>) -> Result<Vec<u8>, Ended> {
        let count = word(payload, 0) as usize;
        if count == 0 || count > MAX_FDS || count != fds.len() || payload.len() != 8 + 32 * count {
            return Err(device("a memory table without its descriptors"));
        }
        let (mut mapped, mut regions) = (Vec::new(), Vec::new());
        for (index, fd) in fds.into_iter().enumerate() {
            let field = |nth: usize| dword(payload, 8 + 32 * index + 8 * nth);
            let (guest, len, user, offset) = (field(0), field(1), field(2), field(3));
            let size = usize::try_from(len).map_err(device)?;
            let mapping = MmapRegion::from_file(FileOffset::new(File::from(fd), offset), size).map_err(device)?;
            let region = GuestRegionMmap::new(mapping, GuestAddress(guest));
            mapped.push(region.ok_or_else(|| device("memory beyond the address space"))?);
            regions.push((user, guest, len));
        }
        self.memory = GuestMemoryMmap::from_regions(mapped).map_err(device)?;
        self.regions = regions;
        let pool = [1, POOL_GUEST, u64::from(self.pool.len()), POOL_USER, 0];
        Ok(pool.iter().flat_map(|field| field.to_ne_bytes()).collect())
    }

    fn guest(&self, user: u64) -> Result<GuestAddress, Ended> {
        let inside = |(start, guest, len): &(u64, u64, u64)| {
            let from = user.checked_sub(*start).filter(|from| from < len)?;
            Some(GuestAddress(guest + from))
        };
        self.regions
            .iter()
            .find_map(inside)
            .ok_or_else(|| device(format!("a ring at {user:#x}")))
    }

    /// Starts a queue whose set-up is complete.
    ///
    /// # Errors
    /// Areas outside of the guest's memory.
    pub fn start(&mut self, index: usize) -> Result<(), Ended> {
        let Some(shadow) = self.queues.get(index) else {
            return Err(device(format!("queue {index}")));
        };
        let (size, base, areas) = (shadow.size, shadow.base, shadow.areas);
        let (desc, avail, used) = (self.guest(areas.0)?, self.guest(areas.1)?, self.guest(areas.2)?);
        let mut queue = vm_queue(size, [desc, avail, used]).map_err(device)?;
        queue.set_next_avail(base);
        let used_index = used.checked_add(2).ok_or_else(|| device("a ring"))?;
        let theirs: u16 = self.memory.read_obj(used_index).map_err(device)?;
        queue.set_next_used(u16::from_le(theirs));
        self.stop(index);
        let ring = RING * index as u32;
        self.pool.write(ring, &vec![0; RING as usize]);
        self.pool.store16(ring + AVAIL + 2, base);
        self.pool.store16(ring + USED + 2, base);
        if let Some(shadow) = self.queues.get_mut(index) {
            shadow.running = Some(Running {
                queue,
                avail,
                size,
                next_avail: base,
                next_used: base,
                flights: (0..size).map(|_| None).collect(),
                free: (0..size).rev().collect(),
                order: VecDeque::new(),
            });
        }
        Ok(())
    }

    fn stop(&mut self, index: usize) {
        let running = self.queues.get_mut(index).and_then(|shadow| shadow.running.take());
        for flight in running.into_iter().flat_map(|running| running.flights).flatten() {
            self.pool.give(flight.at);
        }
    }

    /// An answer on its way to the device.
    pub fn answered(&mut self, code: Option<Code>, payload: &mut [u8]) {
        match code {
            // Both rings would need both events; flags are enough.
            Some(Code::GET_FEATURES) => set_dword(payload, 0, dword(payload, 0) & !F_EVENT_IDX),
            Some(Code::GET_VRING_BASE) => self.stop(word(payload, 0) as usize),
            _ => {}
        }
    }

    /// Copies what the guest made available; true: audiod wants to be kicked.
    ///
    /// # Errors
    /// A guest whose ring or chains are none.
    pub fn forward(&mut self, index: usize) -> Result<bool, Ended> {
        let (pool, memory, ring) = (&mut self.pool, &self.memory, RING * index as u32);
        let Some(running) = self.queues.get_mut(index).and_then(|shadow| shadow.running.as_mut()) else {
            return Ok(false);
        };
        let mut forwarded = false;
        while let Some(slot) = running.free.last().copied() {
            let Some(chain) = running.queue.pop_descriptor_chain(memory) else {
                break;
            };
            let (head, mut reads, mut writes) = (chain.head_index(), Vec::new(), Vec::new());
            let (mut readable, mut writable) = (0u32, 0u32);
            for descriptor in chain.take(MOST_PARTS) {
                let part = (descriptor.addr(), descriptor.len());
                let (parts, sum) = if descriptor.is_write_only() {
                    (&mut writes, &mut writable)
                } else {
                    (&mut reads, &mut readable)
                };
                parts.push(part);
                *sum = sum.saturating_add(part.1);
            }
            if readable.saturating_add(writable) > MOST {
                return Err(device(format!("a message of more than {MOST} bytes in queue {index}")));
            }
            let Some(at) = pool.take(readable.next_multiple_of(16) + writable) else {
                // Until something is given back.
                running.queue.set_next_avail(running.queue.next_avail().wrapping_sub(1));
                break;
            };
            let flight = Flight {
                head,
                at,
                reads,
                writes,
                readable,
                writable,
            };
            copy_in(pool, memory, &flight).map_err(device)?;
            put(pool, ring, slot, &flight);
            pool.store16(
                ring + AVAIL + 4 + 2 * u32::from(running.next_avail % running.size),
                slot,
            );
            running.next_avail = running.next_avail.wrapping_add(1);
            running.free.pop();
            running.order.push_back(slot);
            running.flights[usize::from(slot)] = Some(flight);
            forwarded = true;
        }
        if forwarded {
            self.moved = Instant::now();
            pool.store16(ring + AVAIL + 2, running.next_avail);
            fence(SeqCst);
        }
        Ok(forwarded && pool.load16(ring + USED) & 1 == 0)
    }

    /// Copies back what audiod is done with: which queues' guests want to be called.
    ///
    /// audiod returns all messages of a stream before it answers RELEASE. The guest sees that order too: what the control queue has
    /// is noted first and given last.
    ///
    /// # Errors
    /// Used elements that name no chain under way.
    pub fn take_back(&mut self) -> Result<[bool; QUEUES], Ended> {
        let noted = self.pool.load16(USED + 2);
        let mut wanted = [false; QUEUES];
        for index in (1..QUEUES).chain([0]) {
            let used = match index {
                0 => noted,
                _ => self.pool.load16(RING * index as u32 + USED + 2),
            };
            wanted[index] = self.take_back_from(index, used)?;
        }
        Ok(wanted)
    }

    fn take_back_from(&mut self, index: usize, used: u16) -> Result<bool, Ended> {
        let (pool, memory, ring) = (&mut self.pool, &self.memory, RING * index as u32);
        let running = self.queues.get_mut(index);
        let Some(running) = running.and_then(|shadow| shadow.running.as_mut()) else {
            return Ok(false);
        };
        let (many, under_way) = (used.wrapping_sub(running.next_used), running.order.len());
        if usize::from(many) > under_way {
            let what = format!("queue {index}: {many} chains used, {under_way} are under way");
            return Err(Ended::Protocol(what));
        }
        for _ in 0..many {
            let element = ring + USED + 4 + 8 * u32::from(running.next_used % running.size);
            let (slot, len) = (pool.load32(element), pool.load32(element + 4));
            let flight = running.flights.get_mut(slot as usize).and_then(Option::take);
            let Some(flight) = flight else {
                let what = format!("queue {index}: chain {slot} is not under way");
                return Err(Ended::Protocol(what));
            };
            let written = len.min(flight.writable);
            for part in written_parts(index, written, flight.writable) {
                copy_out(pool, memory, &flight, part).map_err(device)?;
            }
            running.queue.add_used(memory, flight.head, written).map_err(device)?;
            pool.give(flight.at);
            running.order.retain(|other| u32::from(*other) != slot);
            running.free.push(slot as u16);
            running.next_used = running.next_used.wrapping_add(1);
        }
        fence(SeqCst);
        let flags: u16 = memory.read_obj(running.avail).map_err(device)?;
        Ok(many > 0 && u16::from_le(flags) & 1 == 0)
    }

    /// Copies playback data that waits once more.
    pub fn refresh(&mut self) {
        let Some(running) = &self.queues[TX].running else {
            return;
        };
        let mut left = REFRESHED;
        for slot in &running.order {
            let Some(flight) = &running.flights[usize::from(*slot)] else {
                continue;
            };
            // It was readable when it was forwarded; if it is not any more, the guest hears what it was.
            let _ = copy_in(&self.pool, &self.memory, flight);
            match left.checked_sub(flight.readable) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }

    /// When the polled rings and [`Self::refresh`] are due, milliseconds.
    pub fn tick_ms(&self) -> Option<u64> {
        let running = |index: &usize| self.queues[*index].running.as_ref();
        let mut rings = POLLED.iter().filter_map(running).peekable();
        rings.peek()?;
        let moving = self.moved.elapsed() < MOVING || rings.any(|ring| !ring.order.is_empty());
        Some(if moving { LOOK_MS } else { IDLE_LOOK_MS })
    }
}

/// The shadow's descriptors of a chain.
fn put(pool: &Pool, ring: u32, slot: u16, flight: &Flight) {
    let table = ring + TABLES + TABLE * u32::from(slot);
    let (reads, writes) = (!flight.reads.is_empty(), !flight.writes.is_empty());
    let mut entries = Vec::new();
    if reads || !writes {
        let next = if writes { NEXT } else { 0 };
        entries.push(descriptor(flight.at, flight.readable, next, 1));
    }
    if writes {
        entries.push(descriptor(flight.written_at(), flight.writable, WRITE, 0));
    }
    let bytes = entries.concat();
    pool.write(table, &bytes);
    pool.write(
        ring + 16 * u32::from(slot),
        &descriptor(table, bytes.len() as u32, INDIRECT, 0),
    );
}

fn descriptor(at: u32, len: u32, flags: u16, next: u16) -> Vec<u8> {
    let descriptor = Descriptor::new(POOL_GUEST + u64::from(at), len, flags, next);
    descriptor.as_slice().to_vec()
}

fn copy_in(pool: &Pool, memory: &GuestMemoryMmap, flight: &Flight) -> Result<(), vm_memory::GuestMemoryError> {
    let mut at = flight.at;
    let mut buffer = Vec::new();
    for (from, len) in &flight.reads {
        buffer.resize(*len as usize, 0);
        memory.read_slice(&mut buffer, *from)?;
        pool.write(at, &buffer);
        at += len;
    }
    Ok(())
}

/// What was written of a message. A capture message's status is its last 8 bytes, however little was recorded
/// (virtio 1.3, 5.14.6.8).
fn written_parts(index: usize, written: u32, writable: u32) -> [Range<u32>; 2] {
    if index == RX && written >= STATUS {
        [0..written - STATUS, writable - STATUS..writable]
    } else {
        [0..written, 0..0]
    }
}

/// Copies a part of what may be written back to the guest.
fn copy_out(
    pool: &Pool,
    memory: &GuestMemoryMmap,
    flight: &Flight,
    part: Range<u32>,
) -> Result<(), vm_memory::GuestMemoryError> {
    let mut start = 0;
    let mut buffer = Vec::new();
    for (to, len) in &flight.writes {
        let (from, end) = (part.start.max(start), part.end.min(start + len));
        if from < end {
            buffer.resize((end - from) as usize, 0);
            pool.read(flight.written_at() + from, &mut buffer);
            let at = to.0.saturating_add(u64::from(from - start));
            memory.write_slice(&buffer, GuestAddress(at))?;
        }
        start += len;
    }
    Ok(())
}
