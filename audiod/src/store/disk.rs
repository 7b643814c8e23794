//! The few things the store does to a folder, one system call each, so that a test can stop it after any of them.

use std::ffi::{CString, c_int};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::MAX_BYTES;

/// A folder to keep files in.
pub trait Disk {
    /// A file being written.
    type File;
    /// An empty file of this name, whatever was there.
    ///
    /// # Errors
    /// What the system says; so for all.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Adds some of `bytes`; how many.
    #[allow(clippy::missing_errors_doc, reason = "as `create`")]
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<usize>;
    /// What was written is on the disk when this returns.
    #[allow(clippy::missing_errors_doc, reason = "as `create`")]
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// Takes the place of what was there, at once.
    #[allow(clippy::missing_errors_doc, reason = "as `create`")]
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Names are on the disk when this returns.
    #[allow(clippy::missing_errors_doc, reason = "as `create`")]
    fn sync_folder(&self) -> io::Result<()>;
    /// The whole file, or `None` if there is none.
    #[allow(clippy::missing_errors_doc, reason = "as `create`")]
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Whether there is one.
    fn exists(&self, name: &str) -> bool;
}

/// A folder by a descriptor, which keeps working where its path can't be reached any more.
pub struct Folder(OwnedFd);

impl Folder {
    /// Works in this folder. For [`Disk::sync_folder`] it must have been opened for reading.
    pub fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    fn open(&self, name: &str, flags: c_int) -> io::Result<File> {
        let name = c_name(name)?;
        let always = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: a valid C string and a descriptor we own.
        let raw = unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags | always, 0o600 as libc::mode_t) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor.
        Ok(unsafe { File::from_raw_fd(raw) })
    }
}

fn c_name(name: &str) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl Disk for Folder {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        self.open(name, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // SAFETY: a plain call on a descriptor that is open.
        checked(unsafe { libc::fsync(file.as_raw_fd()) })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to, folder) = (c_name(from)?, c_name(to)?, self.0.as_raw_fd());
        // The C library's function makes another call of it where there are no flags, which the filter doesn't know.
        // SAFETY: valid C strings and a descriptor we own.
        let done = unsafe { libc::syscall(libc::SYS_renameat2, folder, from.as_ptr(), folder, to.as_ptr(), 0) };
        checked(if done == 0 { 0 } else { -1 })
    }

    fn sync_folder(&self) -> io::Result<()> {
        // SAFETY: a plain call on a descriptor we own.
        checked(unsafe { libc::fsync(self.0.as_raw_fd()) })
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open(name, libc::O_RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        // One more than there may be, so that too much is noticed.
        file.take(2 * MAX_BYTES as u64).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn exists(&self, name: &str) -> bool {
        let Ok(name) = c_name(name) else { return false };
        // SAFETY: `found` is plain data that the call fills; a valid C string, a descriptor we own.
        unsafe {
            let mut found: libc::stat = std::mem::zeroed();
            libc::fstatat(
                self.0.as_raw_fd(),
                name.as_ptr(),
                &raw mut found,
                libc::AT_SYMLINK_NOFOLLOW,
            ) == 0
        }
    }
}

fn checked(returned: c_int) -> io::Result<()> {
    if returned == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
