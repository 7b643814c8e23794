//! virtio-blk (5.2): read-only images that an initial RAM disk would be too large for, and small disks for state. What was written is
//! on the host's medium once a flush was answered.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use virtio_queue::{DescriptorChain, Reader, Writer};

use super::worker::{Serve, Worker};
use super::{Driver, EVENT_IDX, INDIRECT_DESC, Kind, VirtioDevice, read_bytes};
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
const MOST: usize = 8 << 20;
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
        read_bytes(serial.as_bytes(), 0, &mut id);
        let image = Image {
            file,
            read_only,
            sectors,
            serial: id,
        };
        Ok(Self(Worker::new(image, poller)))
    }
}

impl Image {
    /// What is read goes into the writer, which ends before the status; what is written comes from the reader.
    fn answer(&self, reader: &mut Reader, writer: &mut Writer) -> Result<(), u8> {
        let mut header = [0; 16];
        reader.read_exact(&mut header).map_err(|_| IO_ERROR)?;
        let [kind, sector] = [0, 8].map(|at| {
            header[at..at + 8]
                .iter()
                .rev()
                .fold(0, |all, byte| all << 8 | u64::from(*byte))
        });
        let done = match kind as u32 {
            READ => self.transfer(sector, writer.available_bytes(), |bytes, from| {
                self.file.read_exact_at(bytes, from)?;
                writer.write_all(bytes)
            }),
            WRITE if !self.read_only => self.transfer(sector, reader.available_bytes(), |bytes, to| {
                reader.read_exact(bytes)?;
                self.file.write_all_at(bytes, to)
            }),
            FLUSH => self.file.sync_data(),
            GET_ID => writer.write(&self.serial).map(drop),
            _ => return Err(UNSUPPORTED),
        };
        done.map_err(|_| IO_ERROR)
    }

    /// Piece by piece: bytes and their place in the image. Whole sectors inside the image only.
    fn transfer(
        &self,
        sector: u64,
        total: usize,
        mut piece: impl FnMut(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let from = sector.checked_mul(SECTOR).ok_or(io::ErrorKind::InvalidInput)?;
        let end = from.checked_add(total as u64);
        if total > MOST || !(total as u64).is_multiple_of(SECTOR) || end.is_none_or(|end| end > self.sectors * SECTOR) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut buffer = vec![0; PIECE];
        for done in (0..total).step_by(PIECE) {
            let count = PIECE.min(total - done);
            piece(&mut buffer[..count], from + done as u64)?;
        }
        Ok(())
    }
}

impl Serve for Image {
    fn serve(&self, memory: &Guest, chain: DescriptorChain<&Guest>) -> u32 {
        let (Ok(mut reader), Ok(mut writer)) = (Reader::new(memory, chain.clone()), Writer::new(memory, chain)) else {
            return 0;
        };
        // The last writable byte is the status; without it there is no way to answer.
        let room = writer.available_bytes().checked_sub(1);
        let Some(Ok(mut status)) = room.map(|room| writer.split_at(room)) else {
            return 0;
        };
        let done = self.answer(&mut reader, &mut writer);
        let written = done.map_or(0, |()| writer.bytes_written() as u32);
        status.write_obj(done.err().unwrap_or(OK)).map_or(0, |()| written + 1)
    }
}

impl VirtioDevice for Blk {
    fn kind(&self) -> Kind {
        Kind(2, 0x01_8000, vec![128])
    }

    fn features(&self) -> u64 {
        let access = if self.0.serve().read_only { READ_ONLY } else { FLUSHES };
        SEG_MAX | access | INDIRECT_DESC | EVENT_IDX
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
