//! A compact virtio-sound device on `vhost-user-backend`, right in every row of the checklist, or broken in exactly one:
//! what the conformance rows are tried against. Paced by the clock, plays nothing, records zeros.

mod control;
mod device;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use vhost::vhost_user::{Error as Gone, Listener};
use vhost_user_backend::{Error, VhostUserDaemon};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

pub use device::Device;

/// A defect: the number of the checklist row it breaks. Row 5 has none: the device plays from the driver's buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutation(pub u32);

impl Mutation {
    fn breaks(self, row: u32) -> bool {
        self.0 == row
    }
}

/// A device that listens until dropped.
pub struct Served {
    /// Its socket.
    pub socket: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Serves one connection after the other on `socket`, with at most one defect (`Mutation(0)` has none).
///
/// # Errors
/// The socket cannot be bound.
pub fn serve(socket: &Path, mutation: Mutation) -> std::io::Result<Served> {
    let mut listener = Listener::new(socket, true).map_err(std::io::Error::other)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let left_running = Arc::new(AtomicBool::new(false));
        while !stopped.load(Ordering::Acquire) {
            if let Err(e) = serve_one(&mut listener, mutation, left_running.clone()) {
                eprintln!("reference device: {e:#}");
            }
        }
    });
    Ok(Served {
        socket: socket.to_owned(),
        stop,
        thread: Some(thread),
    })
}

/// One connection; `left_running` is all that outlives it, and only a mutant looks at it. The listener stays, so that a
/// front end that comes while the last one's threads end waits for them and is not reset.
fn serve_one(listener: &mut Listener, mutation: Mutation, left_running: Arc<AtomicBool>) -> anyhow::Result<()> {
    let device = Arc::new(Device::new(mutation, left_running)?);
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon =
        VhostUserDaemon::new("reference".into(), device.clone(), memory).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    for handler in daemon.get_epoll_handlers() {
        handler.register_listener(device.timer(), EventSet::IN, device::TICK)?;
    }
    daemon.start(listener).map_err(|e| anyhow::anyhow!("{e}"))?;
    let ended = daemon.wait();
    device.end()?;
    match ended {
        Ok(()) | Err(Error::HandleRequest(Gone::Disconnected | Gone::PartialMessage)) => Ok(()),
        Err(e) => Err(anyhow::anyhow!("{e}")),
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // The thread is in `accept`, or about to be: it looks at `stop` after the next connection.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(2);
        while self.thread.as_ref().is_some_and(|t| !t.is_finished()) && std::time::Instant::now() < end {
            let _wake = std::os::unix::net::UnixStream::connect(&self.socket);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _panicked = thread.join();
        }
        let _gone = std::fs::remove_file(&self.socket);
    }
}
