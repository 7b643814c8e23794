//! What a child gives up once it is set up: privileges, and every system call it does not need.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Raises what an unprivileged user needs for sound (as root, before [`become_user`]). Refusals are left to `doctor`.
pub fn raise_limits() {
    for (resource, want) in [
        (libc::RLIMIT_RTPRIO, 80),
        (libc::RLIMIT_MEMLOCK, libc::RLIM_INFINITY),
        (libc::RLIMIT_NOFILE, 4096),
    ] {
        let mut limit = libc::rlimit {
            rlim_cur: want,
            rlim_max: want,
        };
        // SAFETY: `limit` is valid for the calls. Who may not raise the hard limit gets up to it.
        unsafe {
            if libc::setrlimit(resource, &limit) < 0 && libc::getrlimit(resource, &mut limit) == 0 {
                limit.rlim_cur = limit.rlim_max.min(want);
                libc::setrlimit(resource, &limit);
            }
        }
    }
}

/// Becomes `name` for good. Does nothing when not root.
///
/// # Errors
/// When the user doesn't exist or the change is refused.
pub fn become_user(name: &str) -> io::Result<()> {
    // SAFETY: always succeeds.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    let (uid, gid) = look_up(name)?;
    // SAFETY: plain calls; the order (groups, gid, uid) keeps each permitted.
    let done = unsafe {
        let groups = std::ffi::CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
        libc::initgroups(groups.as_ptr(), gid) == 0 && libc::setgid(gid) == 0 && libc::setuid(uid) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// User and group id of a user name.
///
/// # Errors
/// `NotFound` when there is no such user.
pub fn look_up(name: &str) -> io::Result<(u32, u32)> {
    let name = std::ffi::CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `name` is a valid C string; the result is read before any other getpw call.
    unsafe {
        let entry = libc::getpwnam(name.as_ptr());
        if entry.is_null() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            Ok(((*entry).pw_uid, (*entry).pw_gid))
        }
    }
}

/// No new privileges by any exec, for this process and its children.
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

/// System calls both children need when running: memory, time, threads, their descriptors, their end.
const BOTH: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    libc::SYS_mlockall,
    libc::SYS_futex,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_getparam,
    libc::SYS_ppoll,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_getrandom,
    libc::SYS_clone3,
    libc::SYS_clone,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_prctl,
    libc::SYS_restart_syscall,
    libc::SYS_prlimit64,
    libc::SYS_getrusage,
    libc::SYS_ioctl,
    libc::SYS_eventfd2,
    libc::SYS_readlinkat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_membarrier,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
];

/// What control needs besides: sockets (the bus comes and goes) and its event loop.
const CONTROL: &[libc::c_long] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_accept4,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_pipe2,
    libc::SYS_socketpair,
    libc::SYS_ftruncate,
    libc::SYS_memfd_create,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_uname,
    libc::SYS_getcwd,
    libc::SYS_pwrite64,
    libc::SYS_fsync,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_getdents64,
    libc::SYS_faccessat2,
    libc::SYS_faccessat,
    libc::SYS_kill,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
];

/// Which filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// No sockets, no new processes, no new files but what alsa-lib re-opens after an xrun.
    Engine,
    /// Sockets too.
    Control,
}

/// Puts the filter on all threads of this process. Anything else ends the process (and the supervisor starts a new one).
///
/// # Errors
/// When the kernel refuses the filter.
pub fn filter(profile: Profile) -> io::Result<()> {
    let extra: &[libc::c_long] = if profile == Profile::Control { CONTROL } else { &[] };
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
        BOTH.iter().chain(extra).map(|&number| (number, Vec::new())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    no_new_privileges()?;
    seccompiler::apply_filter_all_threads(&program).map_err(io::Error::other)
}
