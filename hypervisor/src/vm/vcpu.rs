//! One vCPU: a thread that enters the guest and answers its exits.
//!
//! ```text
//!  spawned ──► placed (CPUs, priority) ──► waits for the start ──► KVM_RUN ◄──► exit answered
//!                   │ failed                      │ called off       │ ending set, or an exit nobody can answer
//!                   ▼                             ▼                  ▼
//!                 told                          over               over
//! ```
//! A signal calls a vCPU out of the guest ([`super::threads`]); one that comes between the look at the ending and the entry is lost,
//! so it is sent until the thread has ended.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kvm_ioctls::{VcpuExit, VcpuFd};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::unistd::Pid;

use super::bus::Bus;
use super::ending::Ending;
use super::error::{Fault, host};
use super::stats;
use crate::plan::Thread;

/// Exits that came to this process, by kind.
#[derive(Default)]
pub struct Counters {
    exits: AtomicU64,
    port: AtomicU64,
    memory: AtomicU64,
}

/// What can be asked of a running vCPU from another thread.
pub struct Gauge {
    counters: Counters,
    kvm: Option<OwnedFd>,
}

impl Gauge {
    /// For this vCPU; KVM's own counters are there from Linux 5.14 on.
    pub fn new(vcpu: &VcpuFd) -> Self {
        Self {
            counters: Counters::default(),
            kvm: stats::open(vcpu).ok(),
        }
    }

    /// All counters by name.
    pub fn read(&self) -> BTreeMap<String, u64> {
        let mut all = self
            .kvm
            .as_ref()
            .and_then(|fd| stats::read(fd).ok())
            .unwrap_or_default();
        let ours = &self.counters;
        for (name, value) in [
            ("user-exits", &ours.exits),
            ("user-port", &ours.port),
            ("user-memory", &ours.memory),
        ] {
            all.insert(name.to_owned(), value.load(Ordering::Relaxed));
        }
        all
    }
}

/// A vCPU and what it needs to run.
pub struct Vcpu {
    /// KVM's side.
    pub fd: VcpuFd,
    /// Who answers.
    pub bus: Arc<Bus>,
    /// Where the end is told.
    pub ending: Arc<Ending>,
    /// Counters.
    pub gauge: Arc<Gauge>,
}

impl Vcpu {
    /// Enters the guest until the VM is over.
    pub fn run(mut self) {
        while !self.ending.is_set() {
            if let Err(fault) = self.enter() {
                self.ending.set(Err(fault));
            }
        }
    }

    fn enter(&mut self) -> Result<(), Fault> {
        let exit = match self.fd.run() {
            Ok(exit) => exit,
            Err(e) if matches!(e.errno(), libc::EINTR | libc::EAGAIN) => return Ok(()),
            Err(e) => return Err(Fault::runtime(format!("a vCPU can't go on: {e}"))),
        };
        let counters = &self.gauge.counters;
        counters.exits.fetch_add(1, Ordering::Relaxed);
        match exit {
            VcpuExit::IoIn(port, data) => {
                counters.port.fetch_add(1, Ordering::Relaxed);
                self.bus.ports.read(port.into(), data);
            }
            VcpuExit::IoOut(port, data) => {
                counters.port.fetch_add(1, Ordering::Relaxed);
                self.bus.ports.write(port.into(), data);
            }
            VcpuExit::MmioRead(address, data) => {
                counters.memory.fetch_add(1, Ordering::Relaxed);
                self.bus.memory.read(address, data);
            }
            VcpuExit::MmioWrite(address, data) => {
                counters.memory.fetch_add(1, Ordering::Relaxed);
                self.bus.memory.write(address, data);
            }
            VcpuExit::Intr | VcpuExit::Hlt => {}
            other => {
                let what = format!("{other:?}");
                return Err(self.stuck(&what));
            }
        }
        Ok(())
    }

    /// The guest did what no processor survives (a triple fault), or what KVM can't emulate.
    fn stuck(&self, what: &str) -> Fault {
        let at = crate::arch::program_counter(&self.fd).map_or(String::new(), |at| format!(" at {at:#x}"));
        Fault::runtime(format!("the guest can't go on{at}: {what}"))
    }
}

/// Places the calling thread as the plan says.
///
/// # Errors
/// A CPU that isn't there, or a priority that isn't allowed.
pub fn place(thread: &Thread, name: &str) -> Result<(), Fault> {
    let short = CString::new(name.bytes().take(15).collect::<Vec<u8>>()).map_err(Fault::plan)?;
    prctl::set_name(&short).map_err(host("thread name"))?;
    if !thread.cpus.is_empty() {
        let mut set = CpuSet::new();
        for cpu in &thread.cpus {
            // One beyond the set's size isn't there either.
            let _ = set.set(*cpu);
        }
        sched_setaffinity(Pid::from_raw(0), &set).map_err(|error| {
            let error = io::Error::from(error);
            Fault::plan(format!(
                "thread {name}: CPUs {:?}: {error}; name CPUs that are there",
                thread.cpus
            ))
        })?;
    }
    if let Some(priority) = thread.fifo {
        let parameters = libc::sched_param {
            sched_priority: priority.into(),
        };
        // SAFETY: the parameters live until the call returns.
        if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) } != 0 {
            let error = io::Error::last_os_error();
            return Err(Fault::NotPermitted(format!(
                "thread {name}: SCHED_FIFO {priority}: {error}; raise the limit of real-time priority (ulimit -r, LimitRTPRIO=)"
            )));
        }
    }
    Ok(())
}

/// Makes the calling thread an ordinary one (SCHED_OTHER) or one that runs when nobody else wants to (SCHED_IDLE): what is left to do
/// is nobody's deadline, and giving a VM back takes milliseconds that others on its CPUs would miss.
pub fn release(policy: libc::c_int) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters live until the call returns. Less is always allowed.
    unsafe { libc::sched_setscheduler(0, policy, &parameters) };
}
