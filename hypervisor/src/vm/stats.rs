//! KVM's own counters of a vCPU, by its binary statistics (Linux Documentation/virt/kvm/api.rst, 4.131).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use vhost_sound::wire::word;
use vmm_sys_util::ioctl::ioctl;
use vmm_sys_util::ioctl_io_nr;

ioctl_io_nr!(KVM_GET_STATS_FD, kvm_bindings::KVMIO, 0xce);

/// Opens the statistics of a VM or a vCPU.
///
/// # Errors
/// The kernel has none.
pub fn open(of: &impl AsRawFd) -> io::Result<OwnedFd> {
    // SAFETY: the call takes no memory and makes a descriptor.
    let fd = unsafe { ioctl(of, KVM_GET_STATS_FD()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// All single-valued counters.
///
/// # Errors
/// The file isn't as documented.
pub fn read(fd: &OwnedFd) -> io::Result<BTreeMap<String, u64>> {
    let file = File::from(fd.try_clone()?);
    let mut header = [0; 24];
    file.read_exact_at(&mut header, 0)?;
    let [name_size, count, descriptors_at, values_at] = [4, 8, 16, 20].map(|at| word(&header, at).unwrap_or(0));
    let size = 16 + name_size as usize;
    if count > 4096 || name_size > 256 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut descriptors = vec![0; size * count as usize];
    file.read_exact_at(&mut descriptors, descriptors_at.into())?;
    let mut all = BTreeMap::new();
    for descriptor in descriptors.chunks_exact(size) {
        // flags u32, exponent i16, size u16, offset u32, bucket size u32, name
        if u16::from_le_bytes([descriptor[6], descriptor[7]]) != 1 {
            continue;
        }
        let mut value = [0; 8];
        file.read_exact_at(
            &mut value,
            u64::from(values_at) + u64::from(word(descriptor, 8).unwrap_or(0)),
        )?;
        let name = descriptor[16..].split(|byte| *byte == 0).next().unwrap_or_default();
        all.insert(String::from_utf8_lossy(name).into_owned(), u64::from_ne_bytes(value));
    }
    Ok(all)
}
