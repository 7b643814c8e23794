//! What setting a VM up costs: system calls, counted by tracing the thread that does it.
#![allow(clippy::unwrap_used)]

#[path = "vm/guests.rs"]
mod guests;
#[path = "vm/rig.rs"]
mod rig;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

use hypervisor::plan::Locked;
use hypervisor::vm::Exit;
use rig::{Rig, plan};

/// Set in the process that is traced.
const TRACED: &str = "CARILLON_TRACED";
/// The most system calls from `run` to the sandbox for one vCPU, 16 MiB and a console.
const MOST: u32 = 70;

/// A system call that nothing else makes here: it marks begin and end.
fn mark() {
    // SAFETY: it takes nothing and can't fail.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

#[test]
fn set_up_takes_few_system_calls() {
    if std::env::var_os(TRACED).is_some() {
        let rig = Rig::new(&guests::hello());
        mark();
        // As of a safety partition: everything is there before it starts.
        let mut plan = plan();
        plan.memory[0].locked = Locked::Now;
        let outcome = rig.run_with(plan, || {
            mark();
            Ok(())
        });
        assert_eq!(outcome.exit.unwrap(), Exit::PowerOff);
        return;
    }
    let calls = trace("set_up_takes_few_system_calls");

    let count: u32 = calls.values().sum();
    println!("{count} system calls: {calls:?}");
    assert!((10..=MOST).contains(&count), "{count}: {calls:?}");
}

/// Runs a test of this program in a traced process; gives the calls between the two marks by number.
fn trace(test: &str) -> BTreeMap<i64, u32> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--test-threads", "1"]).env(TRACED, "1");
    // SAFETY: only async-signal-safe calls in the child.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let child = i32::try_from(command.spawn().unwrap().id()).unwrap();
    let mut status = 0;
    // SAFETY: `status` lives; the child stops at its exec.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
    // SAFETY: the child is stopped and ours.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, child, 0, options) }, 0);
    go_on(child, 0);
    let mut tracer = Tracer::default();
    loop {
        // SAFETY: `status` lives.
        let thread = unsafe { libc::waitpid(-1, &mut status, libc::__WALL) };
        assert!(thread > 0, "the traced process was lost");
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if thread == child {
                assert_eq!(status, 0, "the traced test failed");
                return tracer.counted;
            }
            continue;
        }
        go_on(thread, tracer.stopped(thread, libc::WSTOPSIG(status)));
    }
}

fn go_on(thread: i32, signal: i32) {
    // SAFETY: the thread is stopped and ours; one that was killed meanwhile is reported by the next wait.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0, signal) };
}

#[derive(Default)]
struct Tracer {
    /// Threads inside a call.
    inside: BTreeMap<i32, bool>,
    /// Who set the first mark, until it sets the second.
    marked: Option<i32>,
    counted: BTreeMap<i64, u32>,
    is_over: bool,
}

impl Tracer {
    /// Notes a stop; gives the signal to deliver.
    fn stopped(&mut self, thread: i32, signal: i32) -> i32 {
        if signal != libc::SIGTRAP | 0x80 {
            // Stops of tracing itself (exec, clone, a new thread) are nobody's signals.
            return if signal == libc::SIGTRAP || signal == libc::SIGSTOP {
                0
            } else {
                signal
            };
        }
        let inside = self.inside.entry(thread).or_default();
        *inside = !*inside;
        if *inside {
            self.called(thread);
        }
        0
    }

    fn called(&mut self, thread: i32) {
        // SAFETY: all zeros is a value of it; the thread is stopped, and the registers fit.
        let number = unsafe {
            let mut registers: libc::user_regs_struct = std::mem::zeroed();
            libc::ptrace(libc::PTRACE_GETREGS, thread, 0, &raw mut registers);
            registers.orig_rax as i64
        };
        match (number == libc::SYS_getppid, self.marked) {
            (true, None) if !self.is_over => self.marked = Some(thread),
            (true, Some(_)) => (self.marked, self.is_over) = (None, true),
            (false, Some(by)) if by == thread => *self.counted.entry(number).or_default() += 1,
            _ => {}
        }
    }
}
