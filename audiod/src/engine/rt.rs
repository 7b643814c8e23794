//! What makes a thread a real-time thread. Each step that the system refuses is told, with its cure; the engine goes on without.

use std::io;

use thiserror::Error;

/// What was refused.
#[derive(Debug, Error)]
pub enum Refused {
    /// SCHED_FIFO.
    #[error(
        "no real-time scheduling (priority {priority}): {source}; give the user rtprio (limits.conf) or LimitRTPRIO= (systemd)"
    )]
    Scheduling {
        /// Priority asked for.
        priority: i32,
        /// What the system said.
        source: io::Error,
    },
    /// mlockall.
    #[error("memory is not locked: {0}; give the user memlock (limits.conf) or LimitMEMLOCK=infinity (systemd)")]
    Memory(io::Error),
    /// RLIMIT_RTTIME.
    #[error("no limit on real-time run time: {0}")]
    RunTime(io::Error),
}

/// Longest time the thread may run without sleeping before the system stops it: a runaway engine must not freeze the machine.
const RUN_TIME_US: u64 = 200_000;

/// Makes the calling thread real-time. Returns what was refused.
pub fn enter(priority: i32) -> Vec<Refused> {
    flush_denormals();
    let mut refused = Vec::new();
    // SAFETY: a plain call. Guest memory, mapped later, is its owner's to lock.
    if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_ONFAULT) } < 0 {
        refused.push(Refused::Memory(io::Error::last_os_error()));
    }
    // khugepaged copies locked memory as well, and holds up whoever touches it: `audiod doctor` warns. PR_SET_THP_DISABLE would spare
    // this process, but takes its windows away: a page of /dev/dax is a huge one or SIGBUS.
    let limit = libc::rlimit {
        rlim_cur: RUN_TIME_US,
        rlim_max: RUN_TIME_US,
    };
    // SAFETY: `limit` is valid for the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_RTTIME, &raw const limit) } < 0 {
        refused.push(Refused::RunTime(io::Error::last_os_error()));
    }
    let param = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `param` is valid for the call; 0 is the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const param) } < 0 {
        let source = io::Error::last_os_error();
        refused.push(Refused::Scheduling { priority, source });
    }
    refused
}

/// Denormals are read and written as zero in this thread: they cost hundreds of cycles each.
pub fn flush_denormals() {
    #[cfg(target_arch = "x86_64")]
    {
        const FTZ_DAZ: u32 = 1 << 15 | 1 << 6;
        let mut control = 0u32;
        // SAFETY: reads and writes the thread's own MXCSR at a valid address; only rounding of denormals changes.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack));
            control |= FTZ_DAZ;
            std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack));
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: sets FZ in the thread's own FPCR.
        unsafe {
            std::arch::asm!("mrs {t}, fpcr", "orr {t}, {t}, #(1 << 24)", "msr fpcr, {t}", t = out(reg) _, options(nomem, nostack));
        }
    }
}
