//! Memory of partitions: sealed memfds, made once and kept for as long as the system runs.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A memfd of exactly `size` bytes that nobody can shrink or grow.
///
/// # Errors
/// What the system says: no memory, no huge pages.
pub fn sealed(name: &str, size: u64, huge: bool) -> io::Result<OwnedFd> {
    let name = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    let pages = if huge {
        libc::MFD_HUGETLB | libc::MFD_HUGE_2MB
    } else {
        0
    };
    // SAFETY: a valid C string; a fresh descriptor is ours.
    let file = unsafe {
        let raw = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | pages);
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(raw)
    };
    let length = libc::off_t::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: plain calls on our own descriptor.
    let done = unsafe {
        libc::ftruncate(file.as_raw_fd(), length) == 0 && libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) == 0
    };
    if done {
        Ok(file)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives all pages back: the next VM finds zeros. Those who have it mapped see zeros too.
///
/// # Errors
/// What `fallocate` says.
pub fn clear(file: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain calls on our own descriptor.
    unsafe {
        let length = libc::lseek(file.as_raw_fd(), 0, libc::SEEK_END);
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        if length < 0 || libc::fallocate(file.as_raw_fd(), mode, 0, length) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Memory by name: `ram-P` and `pool-P` of partition P.
#[derive(Debug, Default)]
pub struct Made(BTreeMap<String, OwnedFd>);

impl Made {
    /// The memory of this name, made if it isn't there.
    ///
    /// # Errors
    /// As [`sealed`].
    pub fn get(&mut self, name: &str, size: u64, huge: bool) -> io::Result<&OwnedFd> {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), sealed(name, size, huge)?);
        }
        self.0.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Memory that a VMM process handed back.
    pub fn adopt(&mut self, name: &str, file: OwnedFd) {
        self.0.entry(name.to_owned()).or_insert(file);
    }

    /// Whether there is memory of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Clears the memory of a partition that is started anew.
    ///
    /// # Errors
    /// As [`clear`].
    pub fn clear(&self, partition: &str) -> io::Result<()> {
        for kind in ["ram", "pool"] {
            if let Some(file) = self.0.get(&format!("{kind}-{partition}")) {
                clear(file)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    #[test]
    fn sealed_memory_keeps_its_size_and_is_zero_after_clearing() {
        let file = File::from(sealed("test", 2 << 20, false).unwrap());
        file.write_at(b"secret", 4096).unwrap();
        assert!(file.set_len(4096).is_err() && file.set_len(4 << 20).is_err());
        let fd = OwnedFd::from(file);
        clear(&fd).unwrap();
        let mut bytes = [1; 6];
        File::from(fd).read_exact_at(&mut bytes, 4096).unwrap();
        assert_eq!(bytes, [0; 6]);
    }
}
