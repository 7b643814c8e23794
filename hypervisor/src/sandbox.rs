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

use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::unistd::{Uid, User, initgroups, setgid, setuid};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
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
    let only = |argument, operator, value| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
        Ok::<_, BackendError>(vec![SeccompRule::new(vec![condition])?])
    };
    let filter = || {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = RUNNING.iter().map(|&number| (number, Vec::new())).collect();
        let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
        rules.insert(libc::SYS_mmap, only(2, executable, 0)?);
        // An ended VM's threads become ordinary ones.
        let ordinary = only(1, SeccompCmpOp::Eq, libc::SCHED_OTHER as u64)?;
        rules.insert(libc::SYS_sched_setscheduler, ordinary);
        let arch = TargetArch::try_from(std::env::consts::ARCH)?;
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
    };
    filter().map_err(io::Error::other)
}

/// Puts the filter on all threads of this process; any other call ends it.
///
/// # Errors
/// What the kernel says.
pub fn lock(program: &BpfProgram) -> io::Result<()> {
    prctl::set_no_new_privs()?;
    seccompiler::apply_filter_all_threads(program).map_err(io::Error::other)
}

/// Raises what a VM needs and its own user may not have: locked memory, SCHED_FIFO. Refusals show when it is used.
pub fn raise_limits() {
    let _ = setrlimit(Resource::RLIMIT_RTPRIO, 99, 99);
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
}

/// Becomes `name` for good. Does nothing when not root.
///
/// # Errors
/// `NotFound` when there is no such user; what the change says.
pub fn become_user(name: &str) -> io::Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let user = User::from_name(name)?.ok_or(io::ErrorKind::NotFound)?;
    // In this order each change is still permitted.
    initgroups(&CString::new(name)?, user.gid)?;
    setgid(user.gid)?;
    Ok(setuid(user.uid)?)
}
