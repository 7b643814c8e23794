//! What partitions share: sealed memfds and eventfds, made once and kept for as long as the system runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::stat::fstat;

use crate::vm::memory::create;

/// Gives all pages back: the next VM finds zeros. Those who have it mapped see zeros too.
///
/// # Errors
/// What `fallocate` says.
pub fn clear(file: &OwnedFd) -> io::Result<()> {
    let length = fstat(file)?.st_size;
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    Ok(fallocate(file, hole, 0, length)?)
}

/// Descriptors by name: memory `ram-P` and `pool-P` of partition P, its words of the doorbell `bell-P-QUEUE`.
#[derive(Debug, Default)]
pub struct Made(BTreeMap<String, OwnedFd>);

impl Made {
    /// The memory of this name, made if it isn't there.
    ///
    /// # Errors
    /// As [`create`].
    pub fn get(&mut self, name: &str, size: u64, huge: bool) -> io::Result<&OwnedFd> {
        self.made(name, || Ok(create(name, size, huge)?.0))
    }

    /// The eventfd of this name, made if it isn't there.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn event(&mut self, name: &str) -> io::Result<&OwnedFd> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        self.made(name, || Ok(EventFd::from_flags(flags)?.into()))
    }

    fn made(&mut self, name: &str, make: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<&OwnedFd> {
        match self.0.entry(name.to_owned()) {
            Entry::Occupied(there) => Ok(there.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(make()?)),
        }
    }

    /// What a VMM process handed back.
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
        let file = File::from(create("test", 2 << 20, false).unwrap().0);
        file.write_at(b"secret", 4096).unwrap();
        assert!(file.set_len(4096).is_err() && file.set_len(4 << 20).is_err());
        let fd = OwnedFd::from(file);
        clear(&fd).unwrap();
        let mut bytes = [1; 6];
        File::from(fd).read_exact_at(&mut bytes, 4096).unwrap();
        assert_eq!(bytes, [0; 6]);
    }
}
