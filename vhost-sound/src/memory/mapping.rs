//! One region: checks of its file, the mapping, the guard against SIGBUS.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use vm_memory::VolatileSlice;

use super::sigbus::Guard;
use super::{MemoryError, RegionSpec};

/// A mapped region. The guard is taken back before the memory is unmapped.
pub(super) struct Mapping {
    spec: RegionSpec,
    /// Start of the mapping; the region starts `lead` bytes later.
    base: NonNull<u8>,
    mapped: usize,
    lead: usize,
    sealed: bool,
    guard: Guard,
}

// SAFETY: the mapping belongs to this value alone; all access is by volatile slices.
unsafe impl Send for Mapping {}
// SAFETY: as above, guest memory is shared with other processes anyway and never accessed through references.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(index: usize, spec: RegionSpec, file: BorrowedFd<'_>) -> Result<Self, MemoryError> {
        let granule = check_file(index, &spec, file)?;
        // Only multiples of the file's own page size can be mapped (2 MiB and more on hugetlbfs).
        let lead = spec.file_offset % granule;
        let mapped = (lead + spec.len).next_multiple_of(granule);
        let too_long = |_| MemoryError::Length {
            region: index,
            len: spec.len,
        };
        let offset = libc::off_t::try_from(spec.file_offset - lead).map_err(too_long)?;
        let (mapped, lead) = (usize::try_from(mapped).map_err(too_long)?, lead as usize);
        // SAFETY: a new shared mapping at an address of the kernel's choice; nothing existing is replaced.
        let at = unsafe {
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                prot,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset,
            )
        };
        let Some(base) = NonNull::new(at.cast::<u8>()).filter(|_| at != libc::MAP_FAILED) else {
            return Err(system(index, "mmap"));
        };
        let Some(guard) = Guard::new(base.as_ptr() as usize, mapped) else {
            // SAFETY: exactly the mapping made above, not yet known to anybody.
            unsafe { libc::munmap(at, mapped) };
            return Err(MemoryError::TooMany { region: index });
        };
        Ok(Self {
            spec,
            base,
            mapped,
            lead,
            sealed: shrink_sealed(file),
            guard,
        })
    }

    pub(super) fn spec(&self) -> &RegionSpec {
        &self.spec
    }

    pub(super) fn sealed(&self) -> bool {
        self.sealed
    }

    pub(super) fn gone(&self) -> bool {
        self.guard.gone()
    }

    /// Up to `len` bytes from `offset` in the region; `None` when the offset is outside.
    pub(super) fn prefix(&self, offset: u64, len: usize) -> Option<VolatileSlice<'_>> {
        let left = self.spec.len.checked_sub(offset).filter(|&left| left > 0)?;
        let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        let start = self.lead + offset as usize;
        // SAFETY: `start + len` is at most `lead + spec.len`, which is within the mapping, and the slice's lifetime ends
        // with this value's; when the file vanishes the handler puts other memory at the same place.
        Some(unsafe { VolatileSlice::new(self.base.as_ptr().add(start), len) })
    }

    /// Brings in the pages that the file already has (holes stay holes: a guest that never touched them won't send them).
    pub(super) fn prefault(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        let first = self.spec.file_offset - self.lead as u64;
        let end = first + self.mapped as u64;
        let mut at = first;
        while let Some((from, to)) = next_data(file, at, end)? {
            let start = (from - first) as usize / PAGE * PAGE;
            let len = (to - first) as usize - start;
            // SAFETY: `start + len` is within our own mapping; the call changes no contents.
            let rc = unsafe { libc::madvise(self.base.as_ptr().add(start).cast(), len, libc::MADV_POPULATE_WRITE) };
            if rc < 0 {
                return Err(io::Error::last_os_error());
            }
            at = to;
        }
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.guard.release();
        // SAFETY: exactly the mapping made in `new` (or the zero pages put over it); no slice outlives `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped) };
    }
}

/// Pages of device-dax on all our machines.
const DAX_PAGE: u64 = 2 << 20;
/// `madvise` wants addresses on page boundaries; files' own extents always are, region ends need not be.
const PAGE: usize = 4096;

fn system(region: usize, call: &'static str) -> MemoryError {
    MemoryError::System {
        region,
        call,
        source: io::Error::last_os_error(),
    }
}

/// Refuses what cannot be guest memory; returns the file's page size.
fn check_file(region: usize, spec: &RegionSpec, file: BorrowedFd<'_>) -> Result<u64, MemoryError> {
    let stat = stat_of(file).map_err(|_| system(region, "fstat"))?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFCHR
        && let Some((file_len, granule)) = dax(stat.st_rdev)
    {
        let end = spec.file_offset + spec.len;
        return if end > file_len {
            Err(MemoryError::TooShort { region, file_len, end })
        } else {
            Ok(granule)
        };
    }
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(MemoryError::NotAFile {
            region,
            mode: stat.st_mode,
        });
    }
    let mut fs = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: as above.
    if unsafe { libc::fstatfs(file.as_raw_fd(), fs.as_mut_ptr()) } < 0 {
        return Err(system(region, "fstatfs"));
    }
    // SAFETY: the call succeeded and filled the buffer.
    let magic = unsafe { fs.assume_init() }.f_type;
    if magic != libc::TMPFS_MAGIC && magic != libc::HUGETLBFS_MAGIC {
        return Err(MemoryError::FileSystem { region, magic });
    }
    let end = spec.file_offset + spec.len;
    let file_len = u64::try_from(stat.st_size).unwrap_or(0);
    if end > file_len {
        return Err(MemoryError::TooShort { region, file_len, end });
    }
    let granule = u64::try_from(stat.st_blksize).unwrap_or(0);
    let huge = magic == libc::HUGETLBFS_MAGIC && granule.is_power_of_two();
    Ok(if huge { granule } else { PAGE as u64 })
}

/// Size and page size of a device-dax node, bytes; `None`: the character device is something else. Its pages are memory of this
/// VM that another one shares: they are always there, nobody can shrink it.
fn dax(device: libc::dev_t) -> Option<(u64, u64)> {
    let folder = format!("/sys/dev/char/{}:{}", libc::major(device), libc::minor(device));
    let bus = std::fs::read_link(format!("{folder}/subsystem")).ok()?;
    if bus.file_name()? != "dax" {
        return None;
    }
    let number = |name: &str| {
        std::fs::read_to_string(format!("{folder}/{name}"))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    Some((number("size")?, number("align").unwrap_or(DAX_PAGE)))
}

fn stat_of(file: BorrowedFd<'_>) -> io::Result<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a valid descriptor and a buffer of the right type.
    if unsafe { libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded and filled the buffer.
    Ok(unsafe { stat.assume_init() })
}

fn file_type(file: BorrowedFd<'_>) -> io::Result<libc::mode_t> {
    Ok(stat_of(file)?.st_mode & libc::S_IFMT)
}

fn shrink_sealed(file: BorrowedFd<'_>) -> bool {
    // SAFETY: a query on a valid descriptor; files without seals answer with an error.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & libc::F_SEAL_SHRINK != 0
}

/// The next extent with data between `at` and `end`.
fn next_data(file: BorrowedFd<'_>, at: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= end {
        return Ok(None);
    }
    // A device has no holes: device-dax answers every seek with the position it is at, which would lead nowhere.
    if file_type(file)? == libc::S_IFCHR {
        return Ok(Some((at, end)));
    }
    let Some(from) = seek(file, at, libc::SEEK_DATA)?.filter(|&from| from < end) else {
        return Ok(None);
    };
    let to = seek(file, from, libc::SEEK_HOLE)?.unwrap_or(end);
    Ok(Some((from, to.clamp(from + 1, end))))
}

fn seek(file: BorrowedFd<'_>, at: u64, whence: libc::c_int) -> io::Result<Option<u64>> {
    let at = libc::off_t::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: a plain call; nobody reads the file by its position.
    let found = unsafe { libc::lseek(file.as_raw_fd(), at, whence) };
    match u64::try_from(found) {
        Ok(found) => Ok(Some(found)),
        Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn all_of_a_device_that_has_no_position_is_brought_in_at_once() {
        // Like device-dax it answers every seek with 0.
        let device = std::fs::File::open("/dev/zero").unwrap();
        let (first, end) = (2 << 20, 8 << 20);

        let (from, to) = next_data(device.as_fd(), first, end).unwrap().unwrap();

        assert_eq!((from, to), (first, end));
        assert_eq!(next_data(device.as_fd(), to, end).unwrap(), None);
    }
}
