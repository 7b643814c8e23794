//! What a VMM process gives up: privileges by exec, its user, and every system call it does not need once its VM runs.
//!
//! ```text
//!  started by the parent ─► limits raised ─► own user ─► plan and descriptors taken ─► VM set up ─► [`lock`] ─► guest runs
//! ```
//! From [`lock`] on there is no `open`, `socket`, `connect` or `bind`, no new process or thread: what comes later comes as a
//! descriptor from the parent.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// System calls of a running VM.
const RUNNING: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_fdatasync,
    libc::SYS_preadv,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_ioctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_ppoll,
    libc::SYS_accept4,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
    libc::SYS_futex,
    libc::SYS_tgkill,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getrandom,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_close,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_munlock,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

/// The filter of a running VM, ready to be put on. `mmap` is allowed, but nothing executable.
///
/// # Errors
/// An architecture that seccompiler doesn't know.
pub fn program() -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = RUNNING.iter().map(|&number| (number, Vec::new())).collect();
    let plain = SeccompCondition::new(
        2,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64),
        0,
    );
    let rule = SeccompRule::new(vec![plain.map_err(io::Error::other)?]).map_err(io::Error::other)?;
    rules.insert(libc::SYS_mmap, vec![rule]);
    // An ended VM's threads become ordinary ones.
    let ordinary = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::SCHED_OTHER as u64);
    let rule = SeccompRule::new(vec![ordinary.map_err(io::Error::other)?]).map_err(io::Error::other)?;
    rules.insert(libc::SYS_sched_setscheduler, vec![rule]);
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)
        .and_then(TryInto::try_into)
        .map_err(io::Error::other)
}

/// Puts the filter on all threads of this process; any other call ends it.
///
/// # Errors
/// What the kernel says.
pub fn lock(program: &BpfProgram) -> io::Result<()> {
    no_new_privileges()?;
    seccompiler::apply_filter_all_threads(program).map_err(io::Error::other)
}

/// No new privileges by any exec.
///
/// # Errors
/// What `prctl` says.
pub fn no_new_privileges() -> io::Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Raises what a VM needs and its own user may not have: locked memory, SCHED_FIFO. Refusals show when it is used.
pub fn raise_limits() {
    for (resource, want) in [(libc::RLIMIT_RTPRIO, 99), (libc::RLIMIT_MEMLOCK, libc::RLIM_INFINITY)] {
        let limit = libc::rlimit {
            rlim_cur: want,
            rlim_max: want,
        };
        // SAFETY: `limit` is valid for the call.
        unsafe { libc::setrlimit(resource, &limit) };
    }
}

/// Becomes `name` for good. Does nothing when not root.
///
/// # Errors
/// `NotFound` when there is no such user; what the change says.
pub fn become_user(name: &str) -> io::Result<()> {
    // SAFETY: always succeeds.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    let name = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `name` is a valid C string; the result is read before any other getpw call; the order (groups, gid, uid)
    // keeps each change permitted.
    let done = unsafe {
        let entry = libc::getpwnam(name.as_ptr());
        if entry.is_null() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (uid, gid) = ((*entry).pw_uid, (*entry).pw_gid);
        libc::initgroups(name.as_ptr(), gid) == 0 && libc::setgid(gid) == 0 && libc::setuid(uid) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
