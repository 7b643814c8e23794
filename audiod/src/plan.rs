//! The plan: the resolved system and the policy's text, frozen in a sealed memfd by the launcher and read by the children.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use dbus_api::access::Access;
use serde::{Deserialize, Serialize};

use crate::system::System;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the file resolved to.
    pub system: System,
    /// Where the file was, for messages.
    pub path: std::path::PathBuf,
    /// The file itself; only control reads it again, for the policy part.
    pub text: String,
    /// Who may do what on the bus, by number.
    #[serde(default)]
    pub access: Option<Access>,
    /// Where volumes and connections are kept over a boot.
    #[serde(default)]
    pub state: Option<std::path::PathBuf>,
}

impl Plan {
    /// Writes the plan into a sealed memfd.
    ///
    /// # Errors
    /// What the system calls say.
    pub fn freeze(&self) -> io::Result<OwnedFd> {
        let bytes = serde_json::to_vec(self)?;
        freeze(c"carillon-plan", &bytes)
    }

    /// Reads a frozen plan.
    ///
    /// # Errors
    /// When the descriptor can't be read or is not a plan.
    pub fn thaw(fd: OwnedFd) -> io::Result<Self> {
        let file = std::fs::File::from(fd);
        // By position: the children share one file offset.
        let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// Puts `bytes` into a memfd that nobody can change any more.
///
/// # Errors
/// What the system calls say.
pub fn freeze(name: &std::ffi::CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    // SAFETY: `name` is a valid C string.
    let raw = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor.
    let mut file = unsafe { std::fs::File::from_raw_fd(raw) };
    file.write_all(bytes)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: a plain call on our own descriptor.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file.into())
}
