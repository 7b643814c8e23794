//! virtio-blk (5.2): read-only images that an initial RAM disk would be too large for, and small disks for state. What was written is
//! on the host's medium once a flush was answered.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use virtio_queue::DescriptorChain;
use vm_memory::{Bytes, GuestAddress};

use super::worker::{Serve, Worker};
use super::{Driver, EVENT_IDX, INDIRECT_DESC, VirtioDevice, read_bytes};
use crate::vm::memory::Guest;
use crate::vm::poller::Poller;

const SECTOR: u64 = 512;
/// VIRTIO_BLK_F_SEG_MAX, _RO and _FLUSH.
const SEG_MAX: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 5;
const FLUSHES: u64 = 1 << 9;
/// VIRTIO_BLK_T_*.
const READ: u32 = 0;
const WRITE: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
/// VIRTIO_BLK_S_*.
const OK: u8 = 0;
const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;
/// Segments of one request, and the most bytes: 128 * 64 KiB.
const SEGMENTS: u32 = 126;
const MOST: u32 = 8 << 20;
/// Bytes copied at once.
const PIECE: usize = 64 << 10;

/// The device.
pub struct Blk(Arc<Worker<Image>>);

struct Image {
    file: File,
    read_only: bool,
    sectors: u64,
    serial: [u8; 20],
}

impl Blk {
    /// An image, served by this poller's thread; the file is open for writing too, unless it is `read_only`.
    ///
    /// # Errors
    /// The image has no size.
    pub fn new(file: File, read_only: bool, serial: &str, poller: &Arc<Poller>) -> io::Result<Self> {
        let sectors = io::Seek::seek(&mut &file, io::SeekFrom::End(0))? / SECTOR;
        let mut id = [0; 20];
        for (to, from) in id.iter_mut().zip(serial.bytes()) {
            *to = from;
        }
        Ok(Self(Worker::new(
            Image {
                file,
                read_only,
                sectors,
                serial: id,
            },
            poller,
        )))
    }
}

impl Image {
    /// What is read goes into the writable parts (without the status), what is written comes from the readable ones (without the header).
    fn answer(&self, memory: &Guest, header: [u8; 16], parts: &Parts) -> Result<u32, u8> {
        let kind = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let sector = header[8..]
            .iter()
            .rev()
            .fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        match kind {
            READ => self.transfer(sector, &parts.writable, |bytes, from, at| {
                self.file.read_exact_at(bytes, from).map_err(|_| IO_ERROR)?;
                memory.write_slice(bytes, at).map_err(|_| IO_ERROR)
            }),
            WRITE if !self.read_only => {
                self.transfer(sector, &parts.readable, |bytes, to, at| {
                    memory.read_slice(bytes, at).map_err(|_| IO_ERROR)?;
                    self.file.write_all_at(bytes, to).map_err(|_| IO_ERROR)
                })?;
                Ok(0)
            }
            FLUSH => self.file.sync_data().map(|()| 0).map_err(|_| IO_ERROR),
            GET_ID => {
                let (at, length) = *parts.writable.first().ok_or(IO_ERROR)?;
                let count = self.serial.len().min(length as usize);
                memory.write_slice(&self.serial[..count], at).map_err(|_| IO_ERROR)?;
                Ok(count as u32)
            }
            _ => Err(UNSUPPORTED),
        }
    }

    /// Piece by piece: bytes, their place in the image and in memory. Whole sectors inside the image only.
    fn transfer(
        &self,
        sector: u64,
        parts: &[(GuestAddress, u32)],
        mut piece: impl FnMut(&mut [u8], u64, GuestAddress) -> Result<(), u8>,
    ) -> Result<u32, u8> {
        let total = parts.iter().fold(0_u32, |sum, (_, length)| sum.saturating_add(*length));
        let mut from = sector.checked_mul(SECTOR).ok_or(IO_ERROR)?;
        let end = from.checked_add(u64::from(total));
        if total > MOST || u64::from(total) % SECTOR != 0 || end.is_none_or(|end| end > self.sectors * SECTOR) {
            return Err(IO_ERROR);
        }
        let mut buffer = vec![0; PIECE];
        for (at, length) in parts {
            let mut done = 0;
            while done < *length {
                let count = ((*length - done) as usize).min(PIECE);
                let at = vm_memory::Address::checked_add(at, done.into()).ok_or(IO_ERROR)?;
                piece(&mut buffer[..count], from, at)?;
                done += count as u32;
                from += count as u64;
            }
        }
        Ok(total)
    }
}

/// What a request's descriptors give, but its header and its status.
#[derive(Default)]
struct Parts {
    readable: Vec<(GuestAddress, u32)>,
    writable: Vec<(GuestAddress, u32)>,
}

impl Serve for Image {
    fn serve(&self, memory: &Guest, chain: DescriptorChain<&Guest>) -> u32 {
        let mut header = [0; 16];
        let mut parts = Parts::default();
        let mut has_header = false;
        for descriptor in chain {
            if descriptor.is_write_only() {
                parts.writable.push((descriptor.addr(), descriptor.len()));
            } else if has_header {
                parts.readable.push((descriptor.addr(), descriptor.len()));
            } else if descriptor.len() >= 16 {
                has_header = memory.read_slice(&mut header, descriptor.addr()).is_ok();
            }
        }
        // The last writable byte is the status; without it there is no way to answer.
        let Some((at, length)) = parts.writable.pop().filter(|(_, length)| *length > 0) else {
            return 0;
        };
        let Some(status_at) = vm_memory::Address::checked_add(&at, u64::from(length) - 1) else {
            return 0;
        };
        if length > 1 {
            parts.writable.push((at, length - 1));
        }
        let answer = if has_header {
            self.answer(memory, header, &parts)
        } else {
            Err(IO_ERROR)
        };
        let (written, status) = answer.map_or_else(|status| (0, status), |written| (written, OK));
        if memory.write_obj(status, status_at).is_err() {
            0
        } else {
            written + 1
        }
    }
}

impl VirtioDevice for Blk {
    fn id(&self) -> u16 {
        2
    }

    fn class(&self) -> u32 {
        0x01_8000
    }

    fn features(&self) -> u64 {
        let access = if self.0.serve().read_only { READ_ONLY } else { FLUSHES };
        SEG_MAX | access | INDIRECT_DESC | EVENT_IDX
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![128]
    }

    /// Capacity in sectors, no limit of a segment's size, most segments.
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut config = [0; 16];
        config[..8].copy_from_slice(&self.0.serve().sectors.to_le_bytes());
        config[12..].copy_from_slice(&SEGMENTS.to_le_bytes());
        read_bytes(&config, offset, data);
    }

    fn activate(&mut self, driver: Driver) -> Result<(), String> {
        self.0.start(driver)
    }

    fn reset(&mut self) {
        self.0.stop();
    }
}
