//! Device blocks that outlive the whole daemon: a guest whose daemon was killed reconnects and sends nothing again.
//!
//! They are files of a memory file system, one a guest, named after its socket: in the service manager's runtime directory
//! (`RUNTIME_DIRECTORY`), the user's (`XDG_RUNTIME_DIR`), or a private folder of `/dev/shm`. Where none can be used the
//! block is a plain memfd, and the guest's streams are not found again by the next daemon; said once in the log.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use vhost_sound::block::DeviceBlock;
use vhost_sound::shared::Shared;

use crate::system::GuestConfig;

/// See the module.
pub struct Keeper {
    folder: Option<PathBuf>,
}

impl Keeper {
    /// Finds the folder, making it if need be.
    pub fn find() -> Self {
        // SAFETY: always succeeds.
        let user = unsafe { libc::geteuid() };
        let folders = [
            env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from),
            env::var_os("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("carillon")),
            Some(PathBuf::from(format!("/dev/shm/carillon-{user}"))),
        ];
        let folder = folders.into_iter().flatten().find(|folder| private(folder, user));
        Self { folder }
    }

    /// The block of a guest, as the last daemon left it or new.
    ///
    /// # Errors
    /// What making shared memory says.
    pub fn device(&self, guest: &GuestConfig) -> io::Result<Shared<DeviceBlock>> {
        let Some(folder) = &self.folder else {
            eprintln!(
                "audiod: guest {}: its streams will not outlive this daemon (no private memory folder)",
                guest.name
            );
            return Shared::create();
        };
        let path = folder.join(format!("device-{:016x}", name_of(&guest.socket)));
        match Shared::lasting(&path) {
            Ok((block, _)) => Ok(block),
            Err(error) => {
                let path = path.display();
                eprintln!(
                    "audiod: guest {}: its streams will not outlive this daemon ({path}: {error})",
                    guest.name
                );
                Shared::create()
            }
        }
    }
}

/// Whether this folder is (or could be made) ours alone.
fn private(folder: &Path, user: u32) -> bool {
    let made = DirBuilder::new().mode(0o700).create(folder);
    let there = made.is_ok() || made.is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists);
    there
        && fs::symlink_metadata(folder)
            .is_ok_and(|found| found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0)
}

/// FNV-1a of the socket's absolute path.
fn name_of(socket: &Path) -> u64 {
    let path = std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned());
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
