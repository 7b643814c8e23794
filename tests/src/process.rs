//! What processes cost and who they are, seen from outside: CPU time, system calls, children, signals.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// All descendants of a process, parents before children, without itself.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = numbers("/proc").filter_map(|p| Some((parent(p)?, p))).collect();
    parents.sort_unstable();
    let mut found = Vec::new();
    let mut next = vec![pid];
    while let Some(parent) = next.pop() {
        for (_, child) in parents.iter().filter(|(p, _)| *p == parent) {
            found.push(*child);
            next.push(*child);
        }
    }
    found
}

/// Numeric names in a folder.
fn numbers(folder: &str) -> impl Iterator<Item = u32> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The fields of /proc/PID/stat after the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// State letter of a process: `R`, `S`, `T` (stopped), `Z` (ended, not reaped)…; `None` when there is no such process.
#[must_use]
pub fn state(pid: u32) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

/// Its arguments, joined by spaces.
#[must_use]
pub fn arguments(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .replace('\0', " ")
}

/// Threads of a process.
#[must_use]
pub fn threads(pid: u32) -> Vec<u32> {
    numbers(&format!("/proc/{pid}/task")).collect()
}

/// Open descriptors of a process.
#[must_use]
pub fn descriptors(pid: u32) -> usize {
    numbers(&format!("/proc/{pid}/fd")).count()
}

/// Resident memory of a process, bytes.
#[must_use]
pub fn resident(pid: u32) -> Option<usize> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: usize = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// CPU time that a process has used, its ended threads included.
///
/// # Errors
/// No such process.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: a valid place for the clock's number.
    let error = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the time.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32))
}

/// Sends a signal.
///
/// # Errors
/// No such process, or not permitted.
pub fn signal(pid: u32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    match unsafe { libc::kill(pid.cast_signed(), signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits until `condition` gives something, looking every 5 ms.
///
/// # Errors
/// `TimedOut`, naming what was waited for.
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> io::Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if Instant::now() >= end {
            let text = format!("{what} did not happen within {limit:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Times a thread has gone to sleep of its own will: as many as it was woken.
#[must_use]
pub fn sleeps(pid: u32, thread: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

/// Name of a thread.
#[must_use]
pub fn thread_name(pid: u32, thread: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/task/{thread}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// Counts system calls of all present and future threads of processes, without slowing them as a tracer would.
#[derive(Debug)]
pub struct SystemCalls {
    events: Vec<OwnedFd>,
}

impl SystemCalls {
    /// Starts counting.
    ///
    /// # Errors
    /// The kernel has no tracepoints, or this user may not use them.
    pub fn count(pids: &[u32]) -> io::Result<Self> {
        let threads: Vec<u32> = pids.iter().flat_map(|pid| threads(*pid)).collect();
        Self::count_threads(&threads)
    }

    /// As [`SystemCalls::count`], of these threads.
    ///
    /// # Errors
    /// As there.
    pub fn count_threads(threads: &[u32]) -> io::Result<Self> {
        let id = tracepoint_id("raw_syscalls/sys_enter")?;
        let events = threads
            .iter()
            .map(|thread| open_event(id, *thread))
            .collect::<io::Result<_>>()?;
        Ok(Self { events })
    }

    /// Counted so far.
    ///
    /// # Errors
    /// What `read` said.
    pub fn read(&self) -> io::Result<u64> {
        let mut sum = 0;
        for event in &self.events {
            let mut count = 0u64;
            // SAFETY: reads at most 8 bytes into a place of 8.
            let got = unsafe { libc::read(event.as_raw_fd(), (&raw mut count).cast(), 8) };
            if got != 8 {
                return Err(io::Error::last_os_error());
            }
            sum += count;
        }
        Ok(sum)
    }
}

fn tracepoint_id(name: &str) -> io::Result<u64> {
    let roots = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let read = |root: &str| fs::read_to_string(format!("{root}/events/{name}/id"));
    let text = roots
        .iter()
        .map(|root| read(root))
        .find(Result::is_ok)
        .unwrap_or_else(|| read(roots[0]))?;
    text.trim().parse().map_err(io::Error::other)
}

/// A counting perf event on a thread and the threads it will make.
fn open_event(tracepoint: u64, thread: u32) -> io::Result<OwnedFd> {
    const TYPE_TRACEPOINT: u32 = 2;
    const INHERIT: u64 = 1 << 1;
    const CLOSE_ON_EXEC: u64 = 1 << 3;
    // struct perf_event_attr in its first size, 64 bytes: type, size, config, then zeros, flags at byte 40.
    let mut attributes = [0u8; 64];
    attributes[..4].copy_from_slice(&TYPE_TRACEPOINT.to_ne_bytes());
    attributes[4..8].copy_from_slice(&64u32.to_ne_bytes());
    attributes[8..16].copy_from_slice(&tracepoint.to_ne_bytes());
    attributes[40..48].copy_from_slice(&INHERIT.to_ne_bytes());
    let (any_cpu, no_group) = (-1, -1);
    // SAFETY: the attributes are as long as they say.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            attributes.as_ptr(),
            thread,
            any_cpu,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn children_of_children_are_found() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & wait"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();

        let sleeper = until("sleep starts", Duration::from_secs(5), || {
            descendants(std::process::id())
                .into_iter()
                .find(|pid| arguments(*pid) == "sleep 60" && parent(*pid) == Some(shell.id()))
        })
        .unwrap();

        signal(sleeper, libc::SIGKILL).unwrap();
        shell.wait().unwrap();
        assert!(state(shell.id()).is_none());
    }

    #[test]
    fn system_calls_are_counted_or_the_kernel_is_named_as_what_forbids_it() {
        let mut child = Command::new("sleep").arg("0.2").spawn().unwrap();

        let calls = SystemCalls::count(&[child.id()]);

        child.wait().unwrap();
        match calls {
            Ok(calls) => assert!((1..10_000).contains(&calls.read().unwrap())),
            Err(error) => assert!(
                matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound),
                "{error}"
            ),
        }
    }

    #[test]
    fn cpu_time_grows_with_work_only() {
        let me = std::process::id();
        let before = cpu_time(me).unwrap();
        let mut sum = 0u64;
        for n in 0..20_000_000u64 {
            sum = sum.wrapping_add(std::hint::black_box(n));
        }

        assert!(cpu_time(me).unwrap() > before, "{sum}");
    }
}
