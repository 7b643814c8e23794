//! Puts a kernel into guest RAM the way its boot protocol wants it.
//!
//! ```text
//!   kernel ── ELF with a PVH note ──► 32-bit entry, start info   (bare-metal guests, vmlinux)
//!          └─ bzImage ─────────────► 64-bit entry, zero page     (distribution kernels)
//! ```

#[cfg(target_arch = "x86_64")]
mod x86;

use std::fs::File;
use std::os::unix::fs::FileExt;

use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::vm::error::{Fault, host, refuse};
use crate::vm::memory::Guest;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::load;

/// Kernel, initial RAM disk, command line. The files were opened for this VM: they are read by their positions.
pub struct Images {
    /// bzImage or ELF.
    pub kernel: File,
    /// Initial RAM disk.
    pub initrd: Option<File>,
    /// Command line.
    pub cmdline: String,
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
pub(crate) fn place_initrd(ram: &Guest, mut image: File, limit: u64) -> Result<(u64, u64), Fault> {
    let length = image.metadata().map_err(host("initrd"))?.len();
    let low_end = ram
        .iter()
        .next()
        .map_or(0, |region| region.start_addr().raw_value() + region.len());
    let at = low_end
        .min(limit.saturating_add(1))
        .checked_sub(length)
        .map(|at| at & !0xfff);
    let Some(at) = at.filter(|at| *at > 0x10_0000) else {
        refuse!("the initrd of {length} bytes is not below {low_end:#x}: give more memory");
    };
    let size = usize::try_from(length).map_err(Fault::plan)?;
    ram.read_exact_volatile_from(GuestAddress(at), &mut image, size)
        .map_err(|e| Fault::plan(format!("the initrd can't be read: {e}")))?;
    Ok((at, length))
}

/// The first bytes of a file.
pub(crate) fn magic(image: &File) -> Result<[u8; 4], Fault> {
    let mut magic = [0; 4];
    image.read_exact_at(&mut magic, 0).map_err(host("kernel"))?;
    Ok(magic)
}
