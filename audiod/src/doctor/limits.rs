//! What the kernel and the session allow a real-time process.

use std::fs;

use super::{Finding, Level};

/// All findings about limits, in a fixed order.
pub fn look() -> Vec<Finding> {
    vec![
        realtime(),
        locked_memory(),
        throttling(),
        preemption(),
        huge_pages(),
        governor(),
    ]
}

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

fn realtime() -> Finding {
    let priority = limit(libc::RLIMIT_RTPRIO);
    let tried = can_be_fifo();
    match (tried, priority, is_root()) {
        (true, ..) => Finding::new("real-time scheduling", Level::Good, "SCHED_FIFO is allowed".into(), ""),
        (false, 0, false) => Finding::new(
            "real-time scheduling",
            Level::Warning,
            "RLIMIT_RTPRIO is 0".into(),
            "LimitRTPRIO=80 in the unit, or `@audio - rtprio 80` in /etc/security/limits.d/",
        ),
        (false, ..) => Finding::new(
            "real-time scheduling",
            Level::Warning,
            "the kernel refuses SCHED_FIFO to this control group or sandbox".into(),
            "run outside the container, or give its control group real-time time",
        ),
    }
}

/// Tries SCHED_FIFO on a thread of its own, which then ends.
fn can_be_fifo() -> bool {
    std::thread::spawn(|| {
        let parameter = libc::sched_param { sched_priority: 1 };
        // SAFETY: concerns the calling thread only.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &parameter) == 0 }
    })
    .join()
    .unwrap_or(false)
}

fn locked_memory() -> Finding {
    let bytes = limit(libc::RLIMIT_MEMLOCK);
    if bytes == libc::RLIM_INFINITY || bytes >= 256 << 20 || is_root() {
        return Finding::new("locked memory", Level::Good, "enough".into(), "");
    }
    Finding::new(
        "locked memory",
        Level::Warning,
        format!("only {} KiB", bytes >> 10),
        "LimitMEMLOCK=infinity in the unit, or `@audio - memlock unlimited` in /etc/security/limits.d/",
    )
}

fn number(path: &str) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn throttling() -> Finding {
    match number("/proc/sys/kernel/sched_rt_runtime_us") {
        Some(-1) | None => Finding::new("real-time throttling", Level::Good, "off".into(), ""),
        Some(runtime) => Finding::new(
            "real-time throttling",
            Level::Warning,
            format!(
                "real-time threads get {runtime} us a period of {} us",
                number("/proc/sys/kernel/sched_rt_period_us").unwrap_or(1_000_000)
            ),
            "sysctl kernel.sched_rt_runtime_us=-1 on a machine that only does this",
        ),
    }
}

fn preemption() -> Finding {
    let version = fs::read_to_string("/proc/version").unwrap_or_default();
    if fs::read_to_string("/sys/kernel/realtime").is_ok_and(|text| text.trim() == "1") || version.contains("PREEMPT_RT")
    {
        return Finding::new("kernel", Level::Good, "PREEMPT_RT".into(), "");
    }
    Finding::new(
        "kernel",
        Level::Warning,
        "not PREEMPT_RT: wake-ups may be late by some 100 us".into(),
        "Debian's linux-image-rt flavour, for codec periods of 1 ms and below",
    )
}

fn huge_pages() -> Finding {
    match fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled") {
        Ok(words) if words.contains("[always]") => Finding::new(
            "huge pages",
            Level::Warning,
            "the kernel gathers any process's pages, some 100 us at a time in which nothing else runs".into(),
            "transparent_hugepage=madvise on the kernel's command line, for codec periods of 1 ms and below",
        ),
        _ => Finding::new("huge pages", Level::Good, "not gathered unasked".into(), ""),
    }
}

fn governor() -> Finding {
    match fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") {
        Ok(name) if name.trim() != "performance" => Finding::new(
            "frequency scaling",
            Level::Warning,
            format!("governor {}", name.trim()),
            "the performance governor on the audio CPU",
        ),
        Ok(_) => Finding::new("frequency scaling", Level::Good, "performance".into(), ""),
        Err(_) => Finding::new("frequency scaling", Level::Good, "none".into(), ""),
    }
}
