//! Shared blocks: fixed-size structures of atomics that two processes map at once.
//!
//! A block lives in a sealed memfd, or in a memory file system's file where it must outlive the whole daemon (or, for tests and the offline clock, on the heap of one process). It holds nothing
//! but atomics, so any byte pattern is a valid value and a reader never sees a torn field.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;

/// A structure that may lie in shared memory.
///
/// # Safety
/// The type is `repr(C)`, consists only of atomics (and arrays or `Block`s of them), has no padding that matters, is valid
/// for every byte pattern and is `Sync`.
pub unsafe trait Block: Sync + Sized + 'static {
    /// What the block is called in `/proc/PID/maps`.
    const NAME: &'static str;
}

/// A mapped block. Dereferences to `T`; clones share the mapping's file.
pub struct Shared<T: Block> {
    at: NonNull<T>,
    len: usize,
    fd: Option<OwnedFd>,
    _owns: PhantomData<T>,
}

// SAFETY: `Block: Sync` and all access goes through `&T`.
unsafe impl<T: Block> Send for Shared<T> {}
// SAFETY: as above; the mapping is only ever read through shared references to atomics.
unsafe impl<T: Block> Sync for Shared<T> {}

impl<T: Block> Shared<T> {
    /// Makes a zeroed block in a new memfd, sealed against resizing, and maps it.
    ///
    /// # Errors
    /// What `memfd_create`, `ftruncate`, `fcntl` or `mmap` say.
    pub fn create() -> io::Result<Self> {
        let name = std::ffi::CString::new(T::NAME).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: `name` is a valid C string for the call.
        let raw = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` is a fresh descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        // SAFETY: plain calls on a descriptor we own.
        let sized = unsafe { libc::ftruncate(fd.as_raw_fd(), Self::bytes() as libc::off_t) };
        if sized < 0 {
            return Err(io::Error::last_os_error());
        }
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: as above.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Self::map(fd)
    }

    /// Makes or takes over a block that outlives every process of ours: a file of a memory file system, so that a whole
    /// daemon that was killed finds what its guests will not tell again. Says whether it was there before.
    ///
    /// # Errors
    /// `PermissionDenied` when the file belongs to another user, `Unsupported` when its file system is a disk's (its pages
    /// would have to be written back under the real-time thread), otherwise what `open`, `ftruncate` or `mmap` say. A file of
    /// another size (another version's) is made anew.
    pub fn lasting(path: &Path) -> io::Result<(Self, bool)> {
        let open = || {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create(true).mode(0o600);
            options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)
        };
        let mut file = open()?;
        // SAFETY: always succeeds.
        if file.metadata()?.uid() != unsafe { libc::geteuid() } {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if file_system(file.as_raw_fd())? != libc::TMPFS_MAGIC {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let was_there = file.metadata()?.len() == Self::bytes() as u64;
        if !was_there {
            std::fs::remove_file(path)?;
            file = open()?;
            file.set_len(Self::bytes() as u64)?;
        }
        Ok((Self::map(file.into())?, was_there))
    }

    /// Maps a block that another process made.
    ///
    /// # Errors
    /// `InvalidData` when the file is not exactly this block's size, otherwise what `mmap` says.
    pub fn map(fd: OwnedFd) -> io::Result<Self> {
        let file = std::fs::File::from(fd);
        if file.metadata()?.len() != Self::bytes() as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: wrong block size", T::NAME),
            ));
        }
        let fd = OwnedFd::from(file);
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new shared mapping of a file we hold, nothing existing is replaced.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                Self::bytes(),
                prot,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                fd.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast::<T>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self {
            at,
            len: Self::bytes(),
            fd: Some(fd),
            _owns: PhantomData,
        })
    }

    /// A block for one process only: an anonymous mapping (no descriptor).
    ///
    /// # Errors
    /// What `mmap` says.
    pub fn private() -> io::Result<Self> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new anonymous mapping, nothing existing is replaced.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), Self::bytes(), prot, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast::<T>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self {
            at,
            len: Self::bytes(),
            fd: None,
            _owns: PhantomData,
        })
    }

    /// The block's file, to be handed to another process; `None` for a private block.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    const fn bytes() -> usize {
        let size = size_of::<T>();
        size.div_ceil(4096) * 4096
    }
}

impl<T: Block> std::ops::Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the mapping is at least `size_of::<T>()` long, page-aligned, lives as long as `self`, and `Block`
        // promises that every byte pattern is a valid `T` made of atomics.
        unsafe { self.at.as_ref() }
    }
}

impl<T: Block> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map` or `private`, which no reference outlives.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.len) };
    }
}

/// `f_type` of the file system a file lies on.
fn file_system(fd: RawFd) -> io::Result<i64> {
    // SAFETY: `statfs` is plain data, and `fd` is open for the call.
    let (done, stat) = unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        (libc::fstatfs(fd, &raw mut stat), stat)
    };
    if done == 0 {
        Ok(stat.f_type)
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    #[repr(C)]
    struct Probe {
        word: AtomicU32,
    }
    // SAFETY: one atomic.
    unsafe impl Block for Probe {
        const NAME: &'static str = "probe";
    }

    #[test]
    fn two_mappings_of_one_block_see_the_same_word() {
        let first = Shared::<Probe>::create().unwrap();
        let second = Shared::<Probe>::map(first.fd().unwrap().try_clone_to_owned().unwrap()).unwrap();
        first.word.store(7, Relaxed);
        assert_eq!(second.word.load(Relaxed), 7);
    }

    #[test]
    fn a_lasting_block_is_found_again_with_its_content() {
        let path = Path::new("/dev/shm").join(format!("carillon-test-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);

        let (first, was_there) = Shared::<Probe>::lasting(&path).unwrap();
        first.word.store(9, Relaxed);
        drop(first);
        let (second, again) = Shared::<Probe>::lasting(&path).unwrap();

        std::fs::remove_file(&path).unwrap();
        assert_eq!((was_there, again, second.word.load(Relaxed)), (false, true, 9));
    }

    #[test]
    fn a_lasting_block_of_another_size_is_made_anew() {
        let path = Path::new("/dev/shm").join(format!("carillon-other-{}", std::process::id()));
        std::fs::write(&path, [1; 12]).unwrap();

        let (block, was_there) = Shared::<Probe>::lasting(&path).unwrap();

        std::fs::remove_file(&path).unwrap();
        assert_eq!((was_there, block.word.load(Relaxed)), (false, 0));
    }

    #[test]
    fn a_file_of_another_size_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(Shared::<Probe>::map(file.into()).is_err());
    }
}
