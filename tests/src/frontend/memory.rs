//! Guest memory as a front end has it: memfd regions, mapped here and sent to the back end.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering, fence};

use vhost::VhostUserMemoryRegionInfo;

/// Bytes of a window: the rings' region starts it, the other one lies in its second half.
pub const WINDOW: u64 = 128 << 20;

/// A memfd of so many zero bytes.
///
/// # Errors
/// What memfd_create or ftruncate said.
pub fn memfd(len: u64) -> io::Result<File> {
    // SAFETY: the name is a valid C string; the result is checked.
    let fd = unsafe { libc::memfd_create(c"guest-ram".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `fd` is a fresh descriptor that nothing else owns.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(len)?;
    Ok(file)
}

/// Zeros a window that an earlier guest used.
fn clear(window: &File) -> io::Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: a plain call on an open file.
    if unsafe { libc::fallocate(window.as_raw_fd(), mode, 0, WINDOW as libc::off_t) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// One memfd region.
#[derive(Debug)]
pub struct Region {
    /// Guest physical address of its first byte.
    pub gpa: u64,
    /// Bytes.
    pub len: usize,
    /// The memfd.
    pub file: File,
    /// Where in the memfd it starts.
    pub offset: u64,
    base: *mut u8,
}

// SAFETY: the mapping is shared memory that lives as long as the Region; every access goes through volatile copies or atomics.
unsafe impl Send for Region {}
// SAFETY: as above; another process writes the same memory anyway, so no `&` access relies on it being still.
unsafe impl Sync for Region {}

impl Region {
    fn new(gpa: u64, len: usize) -> io::Result<Self> {
        let file = memfd(len as u64)?;
        Self::of(gpa, len, file, 0)
    }

    fn of(gpa: u64, len: usize, file: File, offset: u64) -> io::Result<Self> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let at = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: a new shared mapping of a file that is long enough; the result is checked.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED, file.as_raw_fd(), at) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            gpa,
            len,
            file,
            offset,
            base: base.cast(),
        })
    }

    /// Address of the region in this process, as vring addresses are sent.
    #[must_use]
    pub fn user_address(&self) -> u64 {
        self.base as u64
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: base and len are those of the mapping made in `new`, which nothing uses any more.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// All guest memory: one region for rings, one for everything else, with a hole between them.
#[derive(Debug)]
pub struct Ram {
    regions: Vec<Region>,
    next: [AtomicU64; 2],
}

/// Region that holds rings and descriptor tables.
pub const RINGS: usize = 0;
/// Region that holds messages and samples.
pub const DATA: usize = 1;
/// Guest physical address of the second region.
pub const DATA_GPA: u64 = 0x1_0000_0000;

impl Ram {
    /// Two fresh regions of so many bytes, in a window if there is one.
    ///
    /// # Errors
    /// What memfd_create, ftruncate or mmap said; regions that don't fit into the window.
    pub fn new(rings: usize, data: usize, window: Option<&File>) -> io::Result<Self> {
        let half = WINDOW / 2;
        let regions = match window {
            None => vec![Region::new(0, rings)?, Region::new(DATA_GPA, data)?],
            Some(_) if rings as u64 > half || data as u64 > half => return Err(io::ErrorKind::OutOfMemory.into()),
            Some(window) => {
                clear(window)?;
                let region = |gpa, len, at| Region::of(gpa, len, window.try_clone()?, at);
                vec![region(0, rings, 0)?, region(DATA_GPA, data, half)?]
            }
        };
        Ok(Self {
            regions,
            next: [AtomicU64::new(0x1000), AtomicU64::new(0)],
        })
    }

    /// The regions.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The memory table to send.
    #[must_use]
    pub fn table(&self) -> Vec<VhostUserMemoryRegionInfo> {
        let entry = |r: &Region| VhostUserMemoryRegionInfo {
            guest_phys_addr: r.gpa,
            memory_size: r.len as u64,
            userspace_addr: r.user_address(),
            mmap_offset: r.offset,
            mmap_handle: r.file.as_raw_fd(),
        };
        self.regions.iter().map(entry).collect()
    }

    /// Guest address of `len` fresh zero bytes in region `region`, aligned to 4096 if that long, else to 64. `None` when full.
    pub fn alloc(&self, region: usize, len: usize) -> Option<u64> {
        let align = if len >= 4096 { 4096 } else { 64 };
        let next = self.next.get(region)?;
        let start = next.load(Ordering::Relaxed).next_multiple_of(align);
        let r = self.regions.get(region)?;
        let end = start.checked_add(len as u64).filter(|end| *end <= r.len as u64)?;
        next.store(end, Ordering::Relaxed);
        Some(r.gpa + start)
    }

    /// Address in this process of a guest address, 0 outside.
    #[must_use]
    pub fn user(&self, gpa: u64) -> u64 {
        self.locate(gpa, 1).map_or(0, |p| p as u64)
    }

    fn locate(&self, gpa: u64, len: usize) -> Option<*mut u8> {
        let region = self.regions.iter().find(|r| {
            gpa >= r.gpa
                && gpa
                    .checked_add(len as u64)
                    .is_some_and(|end| end <= r.gpa + r.len as u64)
        })?;
        Some(region.base.wrapping_add((gpa - region.gpa) as usize))
    }

    /// Writes bytes. Hostile cases compute addresses freely: outside of the regions nothing happens.
    pub fn write(&self, gpa: u64, bytes: &[u8]) {
        if let Some(to) = self.locate(gpa, bytes.len()) {
            // SAFETY: `locate` has checked that the whole range is inside one live mapping; `bytes` is a separate allocation.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        }
    }

    /// `len` bytes, zeros outside of the regions.
    #[must_use]
    pub fn read(&self, gpa: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        if let Some(from) = self.locate(gpa, len) {
            // SAFETY: as in `write`.
            unsafe { std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), len) };
        }
        out
    }

    /// Reads a ring index or flag.
    #[must_use]
    pub fn load16(&self, gpa: u64) -> u16 {
        let Some(at) = self.locate(gpa, 2).filter(|p| p.addr() % 2 == 0) else {
            return 0;
        };
        // SAFETY: in a live mapping, aligned; shared memory is only ever accessed atomically at this address.
        u16::from_le(unsafe { AtomicU16::from_ptr(at.cast()) }.load(Ordering::Acquire))
    }

    /// Publishes a ring index or flag.
    pub fn store16(&self, gpa: u64, value: u16) {
        let Some(at) = self.locate(gpa, 2).filter(|p| p.addr() % 2 == 0) else {
            return;
        };
        // SAFETY: as in `load16`.
        unsafe { AtomicU16::from_ptr(at.cast()) }.store(value.to_le(), Ordering::Release);
        fence(Ordering::SeqCst);
    }
}
