//! This host.

use std::fs;
use std::io::{self, Read};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{AccessFlags, Uid, faccessat};

use super::Host;

/// Longest text read; nothing looked at is longer.
const MAX_TEXT: u64 = 64 << 10;

/// The host this program runs on.
pub struct System;

/// This process's limit, or root's.
fn limit(resource: Resource, root: u64) -> u64 {
    if Uid::effective().is_root() {
        root
    } else {
        getrlimit(resource).map_or(0, |(soft, _)| soft)
    }
}

impl Host for System {
    fn text(&self, path: &str) -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(path)?.take(MAX_TEXT).read_to_string(&mut text)?;
        Ok(text)
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn target(&self, path: &str) -> io::Result<String> {
        let target = fs::read_link(path)?;
        let name = target.file_name().ok_or(io::ErrorKind::NotFound)?;
        Ok(name.to_string_lossy().into_owned())
    }

    fn usable(&self, path: &str, write: bool) -> io::Result<()> {
        let mut access = AccessFlags::R_OK;
        access.set(AccessFlags::W_OK, write);
        Ok(faccessat(AT_FDCWD, path, access, AtFlags::AT_EACCESS)?)
    }

    fn memlock(&self) -> u64 {
        limit(Resource::RLIMIT_MEMLOCK, u64::MAX)
    }

    fn rtprio(&self) -> u64 {
        limit(Resource::RLIMIT_RTPRIO, 99)
    }
}
