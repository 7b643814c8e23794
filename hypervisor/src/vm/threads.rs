//! Threads that are placed before anything else is done in them, and the vCPUs': made before the sandbox, started together, called
//! out of their guests at the end.

use std::os::unix::thread::JoinHandleExt;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

use super::error::{Fault, host};
use super::vcpu::{Vcpu, place, release};
use crate::plan::{Plan, Thread};

/// Between two calls to a vCPU that is still in its guest.
const AGAIN: Duration = Duration::from_micros(200);

/// Makes a thread and places it as the plan says; then `body` runs in it.
///
/// # Errors
/// It can't be made or placed.
pub fn spawn(thread: &Thread, name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Fault> {
    let (placed, result) = channel();
    let thread = thread.clone();
    let run = move || {
        let result = place(&thread, &name);
        let is_good = result.is_ok();
        if placed.send(result).is_ok() && is_good {
            body();
        }
    };
    let handle = std::thread::Builder::new().spawn(run).map_err(host("a thread"))?;
    let ended = |_| Err(Fault::runtime("a thread ended before its start"));
    result.recv().unwrap_or_else(ended)?;
    Ok(handle)
}

/// The vCPUs' threads and their helpers, each waiting for its word to start; dropped without it, they end.
#[derive(Default)]
pub struct Threads(Vec<(JoinHandle<()>, Sender<()>)>);

/// The signal's whole effect is that what it interrupts returns.
extern "C" fn called(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

impl Threads {
    /// Makes and places a thread for each vCPU.
    ///
    /// # Errors
    /// One can't be made or placed.
    pub fn spawn(vcpus: Vec<Vcpu>, plan: &Plan) -> Result<Self, Fault> {
        register_signal_handler(SIGRTMIN(), called).map_err(host("a signal's handler"))?;
        let mut threads = Self::default();
        for (index, (vcpu, thread)) in vcpus.into_iter().zip(&plan.vcpus).enumerate() {
            let run = move || {
                vcpu.run();
                release(libc::SCHED_OTHER);
            };
            threads.add(thread, format!("{}:vcpu{index}", plan.name), run)?;
        }
        Ok(threads)
    }

    /// Adds one that works from the start on, and ends when the ending is set.
    ///
    /// # Errors
    /// It can't be made or placed.
    pub fn add(&mut self, thread: &Thread, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
        let (start, wait) = channel();
        let run = move || {
            if wait.recv().is_ok() {
                work();
            }
        };
        self.0.push((spawn(thread, name, run)?, start));
        Ok(())
    }

    /// Lets all of them go.
    pub fn start(&self) {
        for (_, start) in &self.0 {
            // The thread waits for nothing else.
            let _ = start.send(());
        }
    }

    /// Calls all of them out of the guest, when the ending is set, and waits for their end.
    pub fn join(self) {
        for (handle, start) in self.0 {
            drop(start);
            while !handle.is_finished() {
                // SAFETY: the handle isn't joined yet, so the thread's id is still its own.
                unsafe { libc::pthread_kill(handle.as_pthread_t(), SIGRTMIN()) };
                std::thread::sleep(AGAIN);
            }
            // A panic there was told where it happened.
            let _ = handle.join();
        }
    }
}
