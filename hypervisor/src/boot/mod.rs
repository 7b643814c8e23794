//! Puts a kernel into guest RAM the way its boot protocol wants it.
//!
//! ```text
//!   kernel ── ELF with a PVH note ──► 32-bit entry, start info   (bare-metal guests, vmlinux)
//!          └─ bzImage ─────────────► 64-bit entry, zero page     (distribution kernels)
//! ```

#[cfg(target_arch = "x86_64")]
mod x86;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use vm_memory::bitmap::BitmapSlice;
use vm_memory::{
    Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, ReadVolatile, VolatileMemoryError,
    VolatileSlice,
};

use crate::vm::error::{Fault, host};
use crate::vm::memory::Guest;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::load;

/// Kernel, initial RAM disk, command line.
pub struct Images {
    /// bzImage or ELF.
    pub kernel: Image,
    /// Initial RAM disk.
    pub initrd: Option<Image>,
    /// Command line.
    pub cmdline: String,
}

/// A file read at a position of its own: several VMs may start from one open file.
pub struct Image {
    file: File,
    position: u64,
}

impl From<File> for Image {
    fn from(file: File) -> Self {
        Self { file, position: 0 }
    }
}

impl Image {
    fn length(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }
}

impl Seek for Image {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length()?.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl Read for Image {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl ReadVolatile for Image {
    fn read_volatile<B: BitmapSlice>(&mut self, buffer: &mut VolatileSlice<B>) -> Result<usize, VolatileMemoryError> {
        let guard = buffer.ptr_guard_mut();
        let at = libc::off_t::try_from(self.position).unwrap_or(libc::off_t::MAX);
        // SAFETY: the guard is of `buffer.len()` bytes of guest memory, into which anyone may write at any time.
        let count = unsafe { libc::pread(self.file.as_raw_fd(), guard.as_ptr().cast(), buffer.len(), at) };
        let count = usize::try_from(count).map_err(|_| VolatileMemoryError::IOError(io::Error::last_os_error()))?;
        self.position += count as u64;
        Ok(count)
    }
}

/// Writes bytes into RAM.
pub(crate) fn write(ram: &Guest, at: u64, bytes: &[u8], what: &str) -> Result<(), Fault> {
    ram.write_slice(bytes, GuestAddress(at)).map_err(|e| {
        Fault::plan(format!(
            "{what}: {} bytes at {at:#x} are not in RAM: {e}; give more memory",
            bytes.len()
        ))
    })
}

/// Reads a file to the highest page-aligned place of the low RAM that ends at or below `limit`; gives address and length.
pub(crate) fn place_initrd(ram: &Guest, mut image: Image, limit: u64) -> Result<(u64, u64), Fault> {
    let length = image.length().map_err(host("initrd"))?;
    let low_end = ram
        .iter()
        .next()
        .map_or(0, |region| region.start_addr().raw_value() + region.len());
    let at = low_end
        .min(limit.saturating_add(1))
        .checked_sub(length)
        .map(|at| at & !0xfff);
    let Some(at) = at.filter(|at| *at > 0x10_0000) else {
        return Err(Fault::plan(format!(
            "the initrd of {length} bytes is not below {low_end:#x}: give more memory"
        )));
    };
    let size = usize::try_from(length).map_err(Fault::plan)?;
    ram.read_exact_volatile_from(GuestAddress(at), &mut image, size)
        .map_err(|e| Fault::plan(format!("the initrd can't be read: {e}")))?;
    Ok((at, length))
}

/// The first bytes of a file.
pub(crate) fn magic(image: &Image) -> Result<[u8; 4], Fault> {
    let mut magic = [0; 4];
    image.file.read_exact_at(&mut magic, 0).map_err(host("kernel"))?;
    Ok(magic)
}
