//! What outlives a boot, on disk: one small file, written anew as a whole by a thread of its own.
//!
//! ```text
//!   save ─► slot (the newest) ─► gathered for at most 350 ms ─► NAME.new: written, synchronised ─► renamed to NAME ─► folder
//!                                (a stop: at once)                                                               synchronised
//!   at the start:  NAME ─► header, length, checksum fit? ─ yes ─► the state
//!                                                        └ no ──► renamed to NAME.damaged-N, told, not used
//! ```
//! At every moment the folder holds the old file or the new one, whole; see `format` for how one tells. A disk that refuses is told
//! once and tried again.

mod disk;
mod format;
mod slot;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod time_tests;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use disk::{Disk, Folder};
pub use format::{Damage, MAX_BYTES};
use slot::{Slot, Turn};

/// Unusable files that are kept for whoever looks into it; the last place is used over and over.
const ASIDE: u32 = 9;

/// Reads what was kept. `None`: nothing is there, or nothing that can be used; that is told, and set aside.
pub fn load<D: Disk>(disk: &D, name: &str) -> Option<Vec<u8>> {
    let bytes = match disk.read(name) {
        Ok(bytes) => bytes?,
        Err(error) => {
            tracing::error!("state: {name} can't be read: {error}; starting without it");
            return None;
        }
    };
    match format::open(&bytes) {
        Ok(body) => Some(body.to_vec()),
        Err(damage) => {
            set_aside(disk, name, &damage.to_string());
            None
        }
    }
}

/// Moves a file that can't be used out of the way, and says so.
pub fn set_aside<D: Disk>(disk: &D, name: &str, why: &str) {
    let place = |number| format!("{name}.damaged-{number}");
    let free = (1..ASIDE).find(|number| !disk.exists(&place(*number))).unwrap_or(ASIDE);
    let aside = place(free);
    match disk.rename(name, &aside).and_then(|()| disk.sync_folder()) {
        Ok(()) => tracing::error!("state: {name} can't be used: {why}; set aside as {aside}, starting without it"),
        Err(error) => tracing::error!("state: {name} can't be used: {why}; nor can it be set aside: {error}"),
    }
}

/// Puts `body` in the place of what was kept. Stopped anywhere, the old one or this one is there.
///
/// # Errors
/// What the disk says.
pub fn replace<D: Disk>(disk: &D, name: &str, body: &[u8]) -> io::Result<()> {
    let new = format!("{name}.new");
    let mut file = disk.create(&new)?;
    let bytes = format::seal(body);
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        match disk.write(&mut file, rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    disk.sync(&file)?;
    disk.rename(&new, name)?;
    disk.sync_folder()
}

struct Shared {
    slot: Mutex<Slot>,
    changed: Condvar,
    began: Instant,
}

impl Shared {
    fn new() -> Self {
        Self {
            slot: Mutex::default(),
            changed: Condvar::new(),
            began: Instant::now(),
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A thread that panicked took the process with it; there is no half-done slot.
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to write; and whether it is the last.
    fn take(&self) -> (Option<Vec<u8>>, bool) {
        let mut slot = self.lock();
        loop {
            slot = match slot.turn(self.now()) {
                Turn::Write(body) => return (Some(body), false),
                Turn::End(body) => return (body, true),
                Turn::Wait(Some(wait)) => {
                    let woken = self.changed.wait_timeout(slot, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                Turn::Wait(None) => self.changed.wait(slot).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The writer. Dropped without [`Store::stop`], what was saved last may not be written.
pub struct Store {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Store {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start<D: Disk + Send + 'static>(disk: D, name: String) -> io::Result<Self> {
        let shared = Arc::new(Shared::new());
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("state".into()).spawn(move || {
            let mut told = false;
            loop {
                let (body, last) = own.take();
                if let Some(body) = body {
                    match replace(&disk, &name, &body) {
                        Ok(()) => told = false,
                        Err(error) => {
                            if !told {
                                tracing::error!("state: {name} can't be written: {error}; tried again");
                            }
                            told = true;
                            own.lock().put_back(body, own.now());
                        }
                    }
                }
                if last {
                    return;
                }
            }
        })?;
        Ok(Self { shared, thread })
    }

    /// Has this written soon, unless something newer comes. Never waits for the disk.
    pub fn save(&self, body: Vec<u8>) {
        self.shared.lock().offer(body, self.shared.now());
        self.shared.changed.notify_one();
    }

    /// Writes what is left, and ends.
    pub fn stop(self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_one();
        let _ = self.thread.join();
    }
}
