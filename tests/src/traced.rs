//! System calls of a thread counted by tracing it (`ptrace(2)`), for machines whose kernel counts none for us
//! ([`SystemCalls`](crate::process::SystemCalls)). Slower for the traced thread: two stops a call.

use std::io;
use std::time::{Duration, Instant};

/// Stops of system calls come as this signal with `PTRACE_O_TRACESYSGOOD`.
const SYSTEM_CALL: i32 = libc::SIGTRAP | 0x80;

fn ptrace(request: libc::c_uint, thread: i32, data: usize) -> io::Result<()> {
    // SAFETY: the requests used here take no address and write to none.
    let done = unsafe { libc::ptrace(request, thread, std::ptr::null_mut::<libc::c_void>(), data) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// What a traced thread did next, if it did anything.
fn next(thread: i32) -> io::Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: a valid place for the status.
    let got = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL | libc::WNOHANG) };
    match got {
        0 => Ok(None),
        n if n < 0 => Err(io::Error::last_os_error()),
        _ => Ok(Some(status)),
    }
}

/// Counts the calls that a thread enters within `window`, or until it ends.
///
/// # Errors
/// This user may not trace the thread, or there is none.
pub fn system_calls(thread: u32, window: Duration) -> io::Result<u64> {
    let thread = thread as i32;
    ptrace(libc::PTRACE_SEIZE, thread, libc::PTRACE_O_TRACESYSGOOD as usize)?;
    ptrace(libc::PTRACE_INTERRUPT, thread, 0)?;
    let (end, mut stops, mut leaving) = (Instant::now() + window, 0u64, false);
    loop {
        if !leaving && Instant::now() >= end {
            // Let go only where it stands still.
            ptrace(libc::PTRACE_INTERRUPT, thread, 0)?;
            leaving = true;
        }
        let Some(status) = next(thread)? else {
            std::thread::yield_now();
            continue;
        };
        if !libc::WIFSTOPPED(status) {
            break;
        }
        let signal = libc::WSTOPSIG(status);
        let event = status >> 16;
        stops += u64::from(signal == SYSTEM_CALL && !leaving);
        if leaving {
            ptrace(libc::PTRACE_DETACH, thread, 0)?;
            break;
        }
        let passed_on = if signal == SYSTEM_CALL || event != 0 { 0 } else { signal };
        ptrace(libc::PTRACE_SYSCALL, thread, passed_on as usize)?;
    }
    // One stop on the way in, one on the way out.
    Ok(stops.div_ceil(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Calls of a `dd` that reads and writes so often.
    fn counted(blocks: u32) -> u64 {
        let script = format!("echo; read go; exec dd if=/dev/zero of=/dev/null bs=1 count={blocks} 2> /dev/null");
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Up to here it starts, in more calls or fewer.
        let mut up = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut up).unwrap();
        let mut go = shell.stdin.take().unwrap();
        let pid = shell.id();
        let counting = std::thread::spawn(move || system_calls(pid, Duration::from_secs(60)));
        crate::process::until("it is traced", Duration::from_secs(5), || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            (!status.contains("TracerPid:\t0")).then_some(())
        })
        .unwrap();
        std::io::Write::write_all(&mut go, b"\n").unwrap();
        let calls = counting.join().unwrap().unwrap();
        shell.wait().ok();
        calls
    }

    #[test]
    fn each_call_of_a_thread_is_counted_once() {
        let (few, many) = (counted(500), counted(1500));

        assert!(few > 1000, "{few}");
        assert_eq!(many - few, 2000, "a thousand more reads and writes");
    }
}
