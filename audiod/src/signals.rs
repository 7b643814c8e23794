//! Signals as a descriptor: blocked in every thread, read where a process waits anyway.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Blocks `signals` for this thread and those it will start; they can be read from the descriptor instead.
///
/// # Errors
/// What `signalfd` says.
pub fn descriptor(signals: &[libc::c_int]) -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialised by sigemptyset before use; plain calls otherwise.
    let fd = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        for &signal in signals {
            libc::sigaddset(&mut set, signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The signals that wait in a descriptor.
pub fn drain(fd: RawFd) -> Vec<libc::c_int> {
    let mut seen = Vec::new();
    loop {
        // SAFETY: the structure is plain data of exactly the size read.
        let (got, info) = unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let size = size_of::<libc::signalfd_siginfo>();
            (libc::read(fd, (&raw mut info).cast(), size), info)
        };
        if got <= 0 {
            return seen;
        }
        seen.push(info.ssi_signo.cast_signed());
    }
}

/// Waits until one of `polls` is ready or `timeout_ms` passed (negative: no limit). A signal's interruption counts as nothing.
///
/// # Errors
/// What `poll` says.
pub fn wait(polls: &mut [libc::pollfd], timeout_ms: libc::c_int) -> io::Result<()> {
    // SAFETY: `polls` is a valid array for the call; negative descriptors are ignored by the kernel.
    let count = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, timeout_ms) };
    if count < 0 {
        polls.iter_mut().for_each(|poll| poll.revents = 0);
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}

/// An entry for [`wait`].
pub fn entry(fd: libc::c_int, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}
