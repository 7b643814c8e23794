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

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// System calls of a running VM.
const RUNNING: &[libc::c_long] = calls! {
    // Files, devices and eventfds that were handed over.
    SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_fdatasync SYS_lseek SYS_fstat
    SYS_ioctl SYS_fcntl SYS_close SYS_eventfd2 SYS_getrandom
    // Waiting.
    SYS_epoll_pwait SYS_epoll_ctl SYS_ppoll SYS_timerfd_settime SYS_timerfd_gettime
    SYS_clock_gettime SYS_clock_nanosleep SYS_nanosleep SYS_restart_syscall
    // Connected sockets, and those that come to a listening one.
    SYS_accept4 SYS_getsockopt SYS_setsockopt SYS_sendmsg SYS_recvmsg SYS_sendto SYS_recvfrom SYS_shutdown
    // Memory; `mmap` has a rule of its own.
    SYS_munmap SYS_mprotect SYS_mremap SYS_madvise SYS_brk SYS_munlock SYS_membarrier
    // Threads that are there, and their signals and end.
    SYS_futex SYS_tgkill SYS_getpid SYS_gettid SYS_sched_yield SYS_sched_getaffinity SYS_rseq
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack SYS_exit SYS_exit_group
};

/// Those that newer architectures don't have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[libc::c_long] = calls! { SYS_poll SYS_epoll_wait };
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[libc::c_long] = &[];

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
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = RUNNING
            .iter()
            .chain(OLDER)
            .map(|&number| (number, Vec::new()))
            .collect();
        let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
        rules.insert(libc::SYS_mmap, only(2, executable, 0)?);
        // An ended VM's threads become ordinary ones, the one that makes memory present gives way to all.
        let less = [libc::SCHED_OTHER, libc::SCHED_IDLE].map(|policy| only(1, SeccompCmpOp::Eq, policy as u64));
        let less = less.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        rules.insert(libc::SYS_sched_setscheduler, less);
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
