//! The vCPUs' threads: made and placed before the sandbox, started together, called out of their guests at the end.

use std::os::unix::thread::JoinHandleExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::error::Fault;
use super::vcpu::{Vcpu, accept_kicks, kick_signal, place, release};
use crate::plan::{Plan, Thread};

/// All threads, each waiting for its word to start; dropped without it, they end.
pub struct Threads {
    handles: Vec<(JoinHandle<()>, Sender<()>)>,
}

impl Threads {
    /// Makes and places a thread for each vCPU.
    ///
    /// # Errors
    /// One can't be made or placed.
    pub fn spawn(vcpus: Vec<Vcpu>, plan: &Plan) -> Result<Self, Fault> {
        let mut handles = Vec::new();
        for (index, (vcpu, thread)) in vcpus.into_iter().zip(&plan.vcpus).enumerate() {
            let name = format!("{}:vcpu{index}", plan.name);
            let (start, wait) = channel();
            let (placed, result) = channel();
            let thread = thread.clone();
            let handle = std::thread::Builder::new()
                .spawn(move || run_thread(vcpu, &thread, &name, &placed, &wait))
                .map_err(super::error::host("vCPU thread"))?;
            let result = result
                .recv()
                .unwrap_or_else(|_| Err(Fault::runtime("a vCPU thread ended before its start")));
            handles.push((handle, start));
            result?;
        }
        Ok(Self { handles })
    }

    /// Lets all of them into the guest.
    pub fn start(&self) {
        for (_, start) in &self.handles {
            // The thread waits for nothing else.
            let _ = start.send(());
        }
    }

    /// Calls all of them out of the guest, when the ending is set, and waits for their end.
    pub fn join(self) {
        for (handle, start) in self.handles {
            drop(start);
            // SAFETY: the handle isn't joined yet, so the thread's id is still its own.
            unsafe { libc::pthread_kill(handle.as_pthread_t(), kick_signal()) };
            // A panic there was told where it happened.
            let _ = handle.join();
        }
    }
}

fn run_thread(vcpu: Vcpu, thread: &Thread, name: &str, placed: &Sender<Result<(), Fault>>, wait: &Receiver<()>) {
    let result = accept_kicks(&vcpu.fd).and_then(|()| place(thread, name));
    let is_good = result.is_ok();
    if placed.send(result).is_ok() && is_good && wait.recv().is_ok() {
        vcpu.run();
        release();
    }
}
