//! virtio-blk (5.2), read-only: images that an initial RAM disk would be too large for.

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
/// VIRTIO_BLK_F_SEG_MAX and _RO.
const SEG_MAX: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 5;
/// VIRTIO_BLK_T_*.
const READ: u32 = 0;
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
    sectors: u64,
    serial: [u8; 20],
}

impl Blk {
    /// An image, served by this poller's thread.
    ///
    /// # Errors
    /// The image has no size.
    pub fn new(file: File, serial: &str, poller: &Arc<Poller>) -> io::Result<Self> {
        let sectors = io::Seek::seek(&mut &file, io::SeekFrom::End(0))? / SECTOR;
        let mut id = [0; 20];
        for (to, from) in id.iter_mut().zip(serial.bytes()) {
            *to = from;
        }
        Ok(Self(Worker::new(
            Image {
                file,
                sectors,
                serial: id,
            },
            poller,
        )))
    }
}

impl Image {
    /// Reads into the writable descriptors but their last byte, which is the status.
    fn answer(&self, memory: &Guest, header: [u8; 16], parts: &[(GuestAddress, u32)]) -> Result<u32, u8> {
        let kind = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let sector = header[8..]
            .iter()
            .rev()
            .fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        let total = parts.iter().fold(0_u32, |sum, (_, length)| sum.saturating_add(*length));
        match kind {
            READ => {
                let end = u64::from(total).checked_add(sector.checked_mul(SECTOR).ok_or(IO_ERROR)?);
                if total > MOST || u64::from(total) % SECTOR != 0 || end.is_none_or(|end| end > self.sectors * SECTOR) {
                    return Err(IO_ERROR);
                }
                self.read(memory, sector * SECTOR, parts)?;
                Ok(total)
            }
            GET_ID => {
                let (at, length) = *parts.first().ok_or(IO_ERROR)?;
                let count = self.serial.len().min(length as usize);
                memory.write_slice(&self.serial[..count], at).map_err(|_| IO_ERROR)?;
                Ok(count as u32)
            }
            _ => Err(UNSUPPORTED),
        }
    }

    fn read(&self, memory: &Guest, mut from: u64, parts: &[(GuestAddress, u32)]) -> Result<(), u8> {
        let mut buffer = vec![0; PIECE];
        for (at, length) in parts {
            let mut done = 0;
            while done < *length {
                let count = ((*length - done) as usize).min(PIECE);
                let to = vm_memory::Address::checked_add(at, done.into()).ok_or(IO_ERROR)?;
                self.file
                    .read_exact_at(&mut buffer[..count], from)
                    .map_err(|_| IO_ERROR)?;
                memory.write_slice(&buffer[..count], to).map_err(|_| IO_ERROR)?;
                done += count as u32;
                from += count as u64;
            }
        }
        Ok(())
    }
}

impl Serve for Image {
    fn serve(&self, memory: &Guest, chain: DescriptorChain<&Guest>) -> u32 {
        let mut header = [0; 16];
        let mut parts: Vec<(GuestAddress, u32)> = Vec::new();
        let mut has_header = false;
        for descriptor in chain {
            if descriptor.is_write_only() {
                parts.push((descriptor.addr(), descriptor.len()));
            } else if !has_header && descriptor.len() >= 16 {
                has_header = memory.read_slice(&mut header, descriptor.addr()).is_ok();
            }
        }
        // The last writable byte is the status; without it there is no way to answer.
        let Some((at, length)) = parts.pop().filter(|(_, length)| *length > 0) else {
            return 0;
        };
        let Some(status_at) = vm_memory::Address::checked_add(&at, u64::from(length) - 1) else {
            return 0;
        };
        if length > 1 {
            parts.push((at, length - 1));
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
        SEG_MAX | READ_ONLY | INDIRECT_DESC | EVENT_IDX
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
