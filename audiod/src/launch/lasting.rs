//! Device blocks that outlive the whole daemon: a guest whose daemon was killed reconnects and sends nothing again.
//!
//! They are files of a memory file system, one a guest, named after its socket: in the service manager's runtime directory
//! (`RUNTIME_DIRECTORY`), the user's (`XDG_RUNTIME_DIR`), or a private folder of `/dev/shm`. Where none can be used the
//! block is a plain memfd, and the guest's streams are not found again by the next daemon; said once in the log. Files
//! whose socket is no more are removed by the next start.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use vhost_sound::block::DeviceBlock;
use vhost_sound::shared::Shared;

use crate::system::GuestConfig;

const PREFIX: &str = "device-";
/// Longest name of a file.
const MAX_NAME: usize = 255;

/// See the module.
pub struct Keeper {
    folders: Vec<PathBuf>,
}

impl Keeper {
    /// Finds the folders, makes them if need be, and tidies them up.
    pub fn find() -> Self {
        // SAFETY: always succeeds.
        let user = unsafe { libc::geteuid() };
        let folders = [
            env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from),
            env::var_os("XDG_RUNTIME_DIR").map(|folder| Path::new(&folder).join("carillon")),
            Some(PathBuf::from(format!("/dev/shm/carillon-{user}"))),
        ];
        Self::within(folders.into_iter().flatten(), user)
    }

    fn within(folders: impl Iterator<Item = PathBuf>, user: u32) -> Self {
        let folders: Vec<PathBuf> = folders.filter(|folder| private(folder, user)).collect();
        folders.iter().for_each(|folder| tidy(folder));
        Self { folders }
    }

    /// The block of a guest, as the last daemon left it or new.
    ///
    /// # Errors
    /// What making shared memory says.
    pub fn device(&self, guest: &GuestConfig) -> io::Result<Shared<DeviceBlock>> {
        let mut why = "no private folder on a memory file system".to_owned();
        let port = guest.window.as_ref().and_then(|window| window.port);
        let name = match port {
            Some(port) => Some(format!("{PREFIX}vsock-{port}")),
            None => name_of(&guest.socket),
        };
        if let Some(name) = name {
            for folder in &self.folders {
                let path = folder.join(&name);
                match Shared::lasting(&path) {
                    Ok((block, _)) => return Ok(block),
                    Err(error) => why = format!("{}: {error}", path.display()),
                }
            }
        }
        eprintln!(
            "audiod: guest {}: its streams will not outlive this daemon ({why})",
            guest.name
        );
        Shared::create()
    }
}

/// Whether this folder is (or could be made) ours alone.
fn private(folder: &Path, user: u32) -> bool {
    let made = DirBuilder::new().mode(0o700).create(folder);
    let there = made.is_ok() || made.is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists);
    let ours = |found: fs::Metadata| found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0;
    there && fs::symlink_metadata(folder).is_ok_and(ours)
}

/// Removes what belongs to sockets that are no more.
fn tidy(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // A vsock port leaves no file behind that could be gone.
        let socket = socket_of(entry.file_name().as_bytes()).filter(|socket| socket.is_absolute());
        if socket.is_some_and(|socket| fs::symlink_metadata(socket).is_err()) {
            // Somebody else's start did it, or nobody can: it is only memory.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// The file's name: the socket's absolute path, percent-encoded. `None` when it is too long for one.
fn name_of(socket: &Path) -> Option<String> {
    let path = std::path::absolute(socket).ok()?;
    let mut name = PREFIX.to_owned();
    for &byte in path.as_os_str().as_bytes() {
        if plain(byte) {
            name.push(char::from(byte));
        } else {
            name += &format!("%{byte:02x}");
        }
    }
    (name.len() <= MAX_NAME).then_some(name)
}

/// The path in a name of [`name_of`].
fn socket_of(name: &[u8]) -> Option<PathBuf> {
    let mut rest = name.strip_prefix(PREFIX.as_bytes())?;
    let mut path = Vec::new();
    while let [first, tail @ ..] = rest {
        if let (b'%', [high, low, more @ ..]) = (first, tail) {
            let digits = [*high, *low];
            path.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            rest = more;
        } else {
            path.push(*first);
            rest = tail;
        }
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;
    use vhost_sound::config::DeviceConfig;

    fn guest(socket: &Path) -> GuestConfig {
        GuestConfig {
            name: "ivi".into(),
            socket: socket.into(),
            window: None,
            device: DeviceConfig {
                guest: "ivi".into(),
                streams: Vec::new(),
                jacks: Vec::new(),
                channel_maps: Vec::new(),
                queue_size: 64,
                codec_period: (48, 48_000),
            },
        }
    }

    fn keeper(name: &str) -> (Keeper, PathBuf) {
        let folder = PathBuf::from(format!("/dev/shm/carillon-test-{name}-{}", std::process::id()));
        // SAFETY: always succeeds.
        let keeper = Keeper::within([folder.clone()].into_iter(), unsafe { libc::geteuid() });
        (keeper, folder)
    }

    #[test]
    fn a_name_leads_back_to_its_socket() {
        for path in ["/run/carillon/ivi.sock", "/tmp/a b%c/ü.sock"] {
            assert_eq!(
                socket_of(name_of(Path::new(path)).unwrap().as_bytes()),
                Some(PathBuf::from(path))
            );
        }
        assert_eq!(socket_of(b"something else"), None);
    }

    #[test]
    fn a_block_is_found_again_while_its_socket_is_there_and_removed_after() {
        let (first, folder) = keeper("tidy");
        let socket = folder.join("ivi.sock");
        fs::write(&socket, "").unwrap();
        first.device(&guest(&socket)).unwrap().cmd_seq.store(7, Relaxed);

        let again = keeper("tidy").0.device(&guest(&socket)).unwrap().cmd_seq.load(Relaxed);
        fs::remove_file(&socket).unwrap();
        let _third = keeper("tidy");
        let left = fs::read_dir(&folder).unwrap().count();

        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((again, left), (7, 0));
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_used() {
        assert!(!private(Path::new("/dev/shm"), 0));
    }
}
