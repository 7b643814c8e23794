//! This host.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read};

use super::Host;

/// Longest text read; nothing looked at is longer.
const MAX_TEXT: u64 = 64 << 10;

/// The host this program runs on.
pub struct System;

fn limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for the call.
    if unsafe { libc::getrlimit(resource, &mut limit) } == 0 {
        limit.rlim_cur
    } else {
        0
    }
}

fn is_root() -> bool {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() == 0 }
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
        let path = CString::new(path).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mode = if write { libc::R_OK | libc::W_OK } else { libc::R_OK };
        // SAFETY: a valid C string.
        if unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn memlock(&self) -> u64 {
        if is_root() {
            u64::MAX
        } else {
            limit(libc::RLIMIT_MEMLOCK)
        }
    }

    fn rtprio(&self) -> u64 {
        if is_root() { 99 } else { limit(libc::RLIMIT_RTPRIO) }
    }
}
