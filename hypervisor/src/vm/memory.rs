//! Guest memory: sealed memfds, mapped, locked and given to KVM as slots.
//!
//! A memfd without F_SEAL_SHRINK is refused: whoever else holds it could cut it short, and the next access of a vCPU or a
//! device would end the process.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use vm_memory::{
    Address, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap,
    MmapRegion,
};

use super::error::{Fault, host, refuse};
use crate::plan::{Fds, Locked, Region, RegionKind};

/// A map of guest-physical addresses to memory of this process.
pub type Guest = GuestMemoryMmap<()>;

/// Bytes made present at a time: a vCPU that needs a page meanwhile waits no longer than for these.
const PIECE: usize = 256 << 10;
/// Bytes of a huge page.
pub const HUGE_PAGE: u64 = 2 << 20;

/// The memory of one VM.
#[derive(Debug)]
pub struct Memory {
    /// All that the guest has.
    pub all: Guest,
    /// Its RAM: where a kernel is loaded.
    pub ram: Guest,
    /// Its own memory, without windows: what devices of this process and of the host's kernel reach.
    pub own: Guest,
    /// What vhost-user back ends get; none if no region is shared.
    pub shared: Option<Guest>,
    /// What comes with its first use; none if everything is there from the start.
    pub later: Option<Guest>,
    /// Regions with their kinds, by address.
    pub map: Vec<Region>,
}

impl Memory {
    /// Maps and locks the regions of a plan.
    ///
    /// # Errors
    /// A region that is not aligned, overlaps another or has no sealed memfd; no RAM; the limit of locked memory.
    pub fn map(regions: &[Region], fds: &Fds) -> Result<Self, Fault> {
        let mut map = regions.to_vec();
        map.sort_by_key(|region| region.guest_address);
        let mapped: Vec<_> = map
            .iter()
            .map(|region| map_one(region, fds))
            .collect::<Result<_, _>>()?;
        let pick = |wanted: &dyn Fn(&Region) -> bool| {
            let some: Vec<_> = map
                .iter()
                .zip(&mapped)
                .filter(|(region, _)| wanted(region))
                .map(|(_, m)| Arc::clone(m))
                .collect();
            Guest::from_arc_regions(some)
        };
        let all = pick(&|_| true).map_err(|e| Fault::plan(format!("memory regions: {e}; place them side by side")))?;
        let ram = pick(&|region| region.kind == RegionKind::Ram)
            .map_err(|_| Fault::plan("no memory region is of kind \"ram\": add one"))?;
        let own = pick(&|region| region.kind != RegionKind::Window).map_err(Fault::plan)?;
        let shared = pick(&|region| region.shared).ok();
        let later = pick(&|region| region.locked == Locked::OnUse).ok();
        Ok(Self {
            all,
            ram,
            own,
            shared,
            later,
            map,
        })
    }

    /// Address and size of each region with a property, and where it is in this process.
    pub fn regions_where<'a>(
        &'a self,
        wanted: impl Fn(&Region) -> bool + 'a,
    ) -> impl Iterator<Item = (u64, u64, usize)> + 'a {
        self.map
            .iter()
            .zip(self.all.iter())
            .filter(move |(region, _)| wanted(region))
            .map(|(_, mapped)| (mapped.start_addr().raw_value(), mapped.len(), mapped.as_ptr() as usize))
    }
}

fn map_one(region: &Region, fds: &Fds) -> Result<Arc<GuestRegionMmap<()>>, Fault> {
    let at = region.guest_address;
    let unit = if region.kind == RegionKind::Window {
        HUGE_PAGE
    } else {
        4096
    };
    let size = usize::try_from(region.size)
        .ok()
        .filter(|_| at.checked_add(region.size).is_some());
    let Some(size) = size.filter(|size| *size > 0 && region.size.is_multiple_of(unit) && at.is_multiple_of(unit))
    else {
        refuse!("memory region at {at:#x}: address and size must be multiples of {unit} and the size not 0");
    };
    let file = File::from(fds.duplicate(&region.fd)?);
    check_file(&file, region)?;
    let mapping = MmapRegion::from_file(FileOffset::new(file, region.offset), size)
        .map_err(|e| Fault::Host(format!("memory region at {at:#x}: {e}")))?;
    let (start, protected) = (mapping.as_ptr(), region.locked);
    // SAFETY: the range is the mapping just made; the advice changes no content.
    unsafe { libc::madvise(start.cast(), size, libc::MADV_HUGEPAGE) };
    // SAFETY: as above.
    unsafe { libc::madvise(start.cast(), size, libc::MADV_DONTDUMP) };
    let flags = match protected {
        Locked::Now => Some(0),
        Locked::OnUse => Some(libc::MLOCK_ONFAULT),
        Locked::No => None,
    };
    if let Some(flags) = flags {
        // SAFETY: the range is the mapping just made.
        if unsafe { libc::syscall(libc::SYS_mlock2, start, size, flags) } != 0 {
            let error = io::Error::last_os_error();
            return Err(Fault::NotPermitted(format!(
                "memory region at {at:#x}: {size} bytes can't be locked: {error}; raise the limit of locked memory \
                 (ulimit -l, LimitMEMLOCK=) or free memory"
            )));
        }
    }
    let mapped = GuestRegionMmap::new(mapping, GuestAddress(at))
        .ok_or_else(|| Fault::plan(format!("memory region at {at:#x} ends beyond the address space")))?;
    Ok(Arc::new(mapped))
}

fn check_file(file: &File, region: &Region) -> Result<(), Fault> {
    let name = &region.fd;
    if !fcntl(file, FcntlArg::F_GET_SEALS).is_ok_and(|seals| seals & libc::F_SEAL_SHRINK != 0) {
        refuse!("the descriptor {name:?} is no memfd sealed against shrinking: seal it");
    }
    let length = file.metadata().map_err(host("size of a memfd"))?.len();
    match region.offset.checked_add(region.size) {
        Some(end) if end <= length && region.offset.is_multiple_of(4096) => Ok(()),
        _ => Err(Fault::plan(format!(
            "memory region at {:#x}: {} bytes from {:#x} are not in the memfd {name:?} of {length} bytes",
            region.guest_address, region.size, region.offset
        ))),
    }
}

/// Makes pages that come with their first use present, piece by piece until `is_over`: then none is left that the host would have to
/// find when it has no more, and nobody who reads them waits for one. To be called by a thread that keeps nobody waiting.
///
/// # Errors
/// The host has no memory left for them, or is older than Linux 5.14.
pub fn populate(memory: &Guest, is_over: impl Fn() -> bool) -> io::Result<()> {
    for region in memory.iter() {
        let size = region.len() as usize;
        for at in (0..size).step_by(PIECE) {
            if is_over() {
                return Ok(());
            }
            // SAFETY: the piece is in the region, which `memory` keeps mapped; the call changes no content.
            let done = unsafe {
                let start = region.as_ptr().add(at).cast();
                libc::madvise(start, PIECE.min(size - at), libc::MADV_POPULATE_WRITE)
            };
            if done != 0 && !is_over() {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// Makes a memfd for guest memory: `size` bytes of zeros, sealed against shrinking and growing; of huge pages if asked for
/// and the host has some left (else of ordinary ones: look at the second value).
///
/// # Errors
/// No memory or no descriptors left.
pub fn create(name: &str, size: u64, huge: bool) -> io::Result<(OwnedFd, bool)> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    if huge && size.is_multiple_of(HUGE_PAGE) {
        let made = create_with(name, size, flags | MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB);
        // Reserves the pages, so that it fails here and not at the guest's first use.
        let length = libc::off_t::try_from(size).unwrap_or(libc::off_t::MAX);
        if let Ok(fd) = made
            && fallocate(&fd, FallocateFlags::empty(), 0, length).is_ok()
        {
            return Ok((fd, true));
        }
    }
    create_with(name, size, flags).map(|fd| (fd, false))
}

fn create_with(name: &str, size: u64, flags: MFdFlags) -> io::Result<OwnedFd> {
    let file = File::from(memfd_create(name, flags)?);
    file.set_len(size)?;
    fcntl(
        &file,
        FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW),
    )?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::FromRawFd;

    fn region(at: u64, size: u64, kind: RegionKind) -> Region {
        Region {
            guest_address: at,
            size,
            fd: "ram".to_owned(),
            offset: 0,
            kind,
            shared: kind == RegionKind::Ram,
            dma: false,
            locked: Locked::No,
        }
    }

    fn fds(size: u64) -> Fds {
        let mut fds = Fds::default();
        fds.insert("ram", create("test", size, false).unwrap().0);
        fds
    }

    #[test]
    fn regions_are_sorted_and_each_view_has_its_own() {
        let regions = [
            region(0x40_0000, 0x20_0000, RegionKind::Window),
            region(0, 0x10_0000, RegionKind::Ram),
        ];

        let memory = Memory::map(&regions, &fds(0x20_0000)).unwrap();

        assert_eq!(memory.all.iter().count(), 2);
        assert_eq!(memory.ram.last_addr(), GuestAddress(0xf_ffff));
        assert_eq!(memory.shared.unwrap().last_addr(), GuestAddress(0xf_ffff));
    }

    #[test]
    fn overlaps_misalignment_a_short_memfd_and_no_ram_are_refused_each_with_its_cure() {
        let cases: [(&[Region], &str); 4] = [
            (
                &[region(0, 8192, RegionKind::Ram), region(4096, 4096, RegionKind::Pool)],
                "side by side",
            ),
            (&[region(0, 5000, RegionKind::Ram)], "multiples of 4096"),
            (&[region(0, 1 << 30, RegionKind::Ram)], "not in the memfd"),
            (&[region(0, 4096, RegionKind::Pool)], "kind \"ram\""),
        ];
        for (regions, expected) in cases {
            let error = Memory::map(regions, &fds(0x20_0000)).unwrap_err().to_string();

            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn memory_that_could_shrink_is_refused() {
        let mut fds = Fds::default();
        // SAFETY: the name is a C string; the descriptor is nobody else's.
        fds.insert("ram", unsafe {
            OwnedFd::from_raw_fd(libc::memfd_create(c"open".as_ptr(), libc::MFD_CLOEXEC))
        });

        let error = Memory::map(&[region(0, 4096, RegionKind::Ram)], &fds).unwrap_err();

        assert!(error.to_string().contains("sealed against shrinking"), "{error}");
    }
}
