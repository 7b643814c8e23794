//! Guest memory: mapping the files a front end hands over, translating addresses, surviving files that shrink.
//!
//! A front end describes its guest's memory as regions of files. [`GuestMemory::map`] checks each file, maps it shared and
//! prefaults it (never in the real-time thread); afterwards the real-time thread only translates: guest physical addresses
//! ([`GuestMemory::physical`], for buffers) and the front end's own ([`GuestMemory::front_end`], for vrings), both to
//! bounded [`VolatileSlice`]s. Nothing here ever makes a Rust reference to guest memory.
//!
//! ```text
//!  map() ──► mapped, registered ──SIGBUS──► gone: zero pages in its place, gone() is true
//!               │                              │
//!               └────────────drop()────────────┴──► unregistered, unmapped
//! ```
//! A file may be truncated while we use it; the access then raises SIGBUS, which [`sigbus`] turns into the `gone` flag.

mod call;
mod eventfd;
mod mapping;
pub mod sigbus;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::Acquire;

pub use call::{Call, Doorbell};
pub use eventfd::{EventFd, EventFdError};
use mapping::Mapping;
pub use vm_memory::VolatileSlice;

use crate::block::{DeviceBlock, MAX_REGIONS, Region};

/// One region as the front end announced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionSpec {
    /// Guest physical address.
    pub gpa: u64,
    /// Length in bytes.
    pub len: u64,
    /// Address in the front end's own address space.
    pub front_end_addr: u64,
    /// Where the region starts in its file.
    pub file_offset: u64,
}

impl RegionSpec {
    /// Reads a region out of the device block.
    pub fn load(region: &Region) -> Self {
        Self {
            gpa: region.gpa.load(Acquire),
            len: region.len.load(Acquire),
            front_end_addr: region.front_end_addr.load(Acquire),
            file_offset: region.file_offset.load(Acquire),
        }
    }
}

/// Why a memory table was refused.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// More regions than files, or more than `MAX_REGIONS`.
    #[error("{regions} memory regions came with {files} files (at most {MAX_REGIONS} regions)")]
    Count {
        /// Regions announced.
        regions: usize,
        /// Files handed over.
        files: usize,
    },
    /// Empty, or its end does not fit into 64 bits.
    #[error("memory region {region}: length {len:#x} is zero or runs past the end of the address space")]
    Length {
        /// Index of the region.
        region: usize,
        /// Its length.
        len: u64,
    },
    /// Two regions share guest physical or front-end addresses.
    #[error("memory regions {first} and {second} overlap")]
    Overlap {
        /// Index of one.
        first: usize,
        /// Index of the other.
        second: usize,
    },
    /// Not a regular file (a pipe, a directory, a socket).
    #[error(
        "memory region {region}: its descriptor is no regular file (mode {mode:#o}); guest memory must be a memfd, tmpfs or hugetlbfs file"
    )]
    NotAFile {
        /// Index of the region.
        region: usize,
        /// `st_mode`.
        mode: u32,
    },
    /// A file whose pages may have to be fetched from a disk, a network or another process.
    #[error(
        "memory region {region}: its file system (magic {magic:#x}) may block; use a memfd, tmpfs (share=on) or hugetlbfs file"
    )]
    FileSystem {
        /// Index of the region.
        region: usize,
        /// `f_type` of `fstatfs`.
        magic: i64,
    },
    /// The file ends before the region does.
    #[error("memory region {region}: its file has {file_len:#x} bytes, the region ends at {end:#x}")]
    TooShort {
        /// Index of the region.
        region: usize,
        /// Length of the file.
        file_len: u64,
        /// End of the region in the file.
        end: u64,
    },
    /// No free slot to guard the mapping against SIGBUS.
    #[error(
        "memory region {region}: more than {} regions are mapped in this process",
        sigbus::SLOTS
    )]
    TooMany {
        /// Index of the region.
        region: usize,
    },
    /// A system call failed.
    #[error("memory region {region}: {call}: {source}")]
    System {
        /// Index of the region.
        region: usize,
        /// Which call.
        call: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// What the log should say about a region that was accepted all the same.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryWarning {
    /// The front end can shrink the file under us; the guest would be stopped by it.
    #[error("memory region {region}: no F_SEAL_SHRINK on its file, its owner can make it vanish")]
    NotSealed {
        /// Index of the region.
        region: usize,
    },
    /// Pages could not be brought in ahead of use; the real-time thread may fault on them.
    #[error("memory region {region}: could not be prefaulted: {reason}")]
    NotPrefaulted {
        /// Index of the region.
        region: usize,
        /// What `madvise` said.
        reason: String,
    },
}

/// The memory of one guest, mapped.
pub struct GuestMemory {
    regions: Vec<Mapping>,
    generation: u32,
    warnings: Vec<MemoryWarning>,
}

impl GuestMemory {
    /// Maps and prefaults a memory table. Takes system calls and time: not for the real-time thread.
    /// `generation` is the `DeviceBlock::mem_gen` the table belongs to; `files[n]` is the file of `specs[n]`.
    ///
    /// # Errors
    /// [`MemoryError`] names the first region that cannot be used; nothing stays mapped.
    pub fn map<F: AsFd>(generation: u32, specs: &[RegionSpec], files: &[F]) -> Result<Self, MemoryError> {
        let mut memory = Self::map_cold(generation, specs, files)?;
        for (index, (mapping, file)) in memory.regions.iter().zip(files).enumerate() {
            if let Err(reason) = mapping.prefault(file.as_fd()) {
                memory.warnings.push(MemoryWarning::NotPrefaulted {
                    region: index,
                    reason: reason.to_string(),
                });
            }
        }
        Ok(memory)
    }

    /// As [`GuestMemory::map`] without touching a page: for the control half, which may wait for one.
    ///
    /// # Errors
    /// As [`GuestMemory::map`].
    pub fn map_cold<F: AsFd>(generation: u32, specs: &[RegionSpec], files: &[F]) -> Result<Self, MemoryError> {
        if specs.len() > MAX_REGIONS || specs.len() != files.len() {
            return Err(MemoryError::Count {
                regions: specs.len(),
                files: files.len(),
            });
        }
        check_table(specs)?;
        let mut memory = Self {
            regions: Vec::with_capacity(specs.len()),
            generation,
            warnings: Vec::new(),
        };
        for (index, (spec, file)) in specs.iter().zip(files).enumerate() {
            let mapping = Mapping::new(index, *spec, file.as_fd())?;
            if !mapping.sealed() {
                memory.warnings.push(MemoryWarning::NotSealed { region: index });
            }
            memory.regions.push(mapping);
        }
        Ok(memory)
    }

    /// Maps the table that stands in a device block; `files[n]` is the kept file of `block.regions[n]`, further ones are left
    /// over from a longer table.
    ///
    /// # Errors
    /// As [`GuestMemory::map`].
    pub fn map_block(block: &DeviceBlock, files: &[OwnedFd]) -> Result<Self, MemoryError> {
        let table = table_of(block);
        Self::map(
            block.mem_gen.load(Acquire),
            &table,
            &files[..files.len().min(table.len())],
        )
    }

    /// As [`GuestMemory::map_block`] without touching a page.
    ///
    /// # Errors
    /// As [`GuestMemory::map`].
    pub fn map_block_cold(block: &DeviceBlock, files: &[OwnedFd]) -> Result<Self, MemoryError> {
        let table = table_of(block);
        Self::map_cold(
            block.mem_gen.load(Acquire),
            &table,
            &files[..files.len().min(table.len())],
        )
    }

    /// No memory at all, for a table that was refused: rings that want to run on it break with `OUTSIDE_MEMORY`.
    pub fn empty(generation: u32) -> Self {
        Self {
            regions: Vec::new(),
            generation,
            warnings: Vec::new(),
        }
    }

    /// The `DeviceBlock::mem_gen` this is the table of.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What the log should say about the table.
    pub fn warnings(&self) -> &[MemoryWarning] {
        &self.warnings
    }

    /// Whether a region's file vanished under us. Once true it stays true.
    pub fn gone(&self) -> bool {
        self.regions.iter().any(Mapping::gone)
    }

    /// The memory at guest physical address `gpa`: the longest run of at most `len` bytes inside one region.
    /// `None` when `gpa` is in no region. `len` 0 gives an empty slice.
    pub fn physical(&self, gpa: u64, len: usize) -> Option<VolatileSlice<'_>> {
        self.regions
            .iter()
            .find_map(|region| region.prefix(gpa.checked_sub(region.spec().gpa)?, len))
    }

    /// Whether all of `len` bytes from `gpa` are guest memory (adjacent regions count as one).
    pub fn contains(&self, gpa: u64, len: usize) -> bool {
        let (mut at, mut left) = (gpa, len);
        while left > 0 {
            let Some(run) = self.physical(at, left) else {
                return false;
            };
            left -= run.len();
            match at.checked_add(run.len() as u64) {
                Some(next) => at = next,
                None => return left == 0,
            }
        }
        true
    }

    /// Exactly `len` bytes at the front end's address `addr`; `None` when they are not inside one region.
    pub fn front_end(&self, addr: u64, len: usize) -> Option<VolatileSlice<'_>> {
        self.regions
            .iter()
            .find_map(|region| region.prefix(addr.checked_sub(region.spec().front_end_addr)?, len))
            .filter(|run| run.len() == len)
    }
}

fn table_of(block: &DeviceBlock) -> Vec<RegionSpec> {
    let count = (block.region_count.load(Acquire) as usize).min(MAX_REGIONS);
    block.regions[..count].iter().map(RegionSpec::load).collect()
}

fn check_table(specs: &[RegionSpec]) -> Result<(), MemoryError> {
    for (index, spec) in specs.iter().enumerate() {
        let ends = [spec.gpa, spec.front_end_addr, spec.file_offset].map(|start| start.checked_add(spec.len));
        if spec.len == 0 || ends.contains(&None) || usize::try_from(spec.len).is_err() {
            return Err(MemoryError::Length {
                region: index,
                len: spec.len,
            });
        }
        let overlap = |a: u64, b: u64, b_len: u64| a < b + b_len && b < a + spec.len;
        for (other, earlier) in specs[..index].iter().enumerate() {
            if overlap(spec.gpa, earlier.gpa, earlier.len)
                || overlap(spec.front_end_addr, earlier.front_end_addr, earlier.len)
            {
                return Err(MemoryError::Overlap {
                    first: other,
                    second: index,
                });
            }
        }
    }
    Ok(())
}
