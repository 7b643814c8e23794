//! A guest in another VM, without VMs: its memory is a memfd that the device has as a window, the hypervisor's relay stands
//! between its front end and the device, and a thread plays the part of KVM, which turns doorbell words into interrupts.
//!
//! ```text
//!  front end ══ vhost-user, descriptors ══► Relay ── bytes ──► Session (Way::Window)
//!      ▲ call eventfd ◄── bells ◄── this module's thread ◄── doorbell words ──┘
//! ```

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hypervisor::window::{Piece, Relay};
use vhost_sound::block::QUEUES;
use vhost_sound::link::{Way, Window};

use crate::frontend::memory::{DATA_GPA, WINDOW, memfd};

/// First word of the guest in the doorbell: not 0, so that a mistake is seen.
const FIRST_WORD: u32 = 8;

/// A guest's window, from both sides.
pub struct Windowed {
    /// What the front end's memory lies in; in `bounce`, memfds of its own.
    pub memory: Option<Arc<File>>,
    /// By which way the device has it.
    pub way: Way,
    doorbell: File,
    pool: Option<File>,
}

impl Windowed {
    /// Memory and doorbell.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        Self::of(memfd(WINDOW)?, memfd(4096)?)
    }

    /// A pool of so many bytes that the relay copies to and from: all that the device sees.
    ///
    /// # Errors
    /// What the system says.
    pub fn bouncing(size: u64) -> io::Result<Self> {
        let (pool, doorbell) = (memfd(size)?, memfd(4096)?);
        let mut this = Self::of(pool.try_clone()?, doorbell)?;
        (this.memory, this.pool) = (None, Some(pool));
        Ok(this)
    }

    /// The same in files, for a daemon to open: `PREFIX.memory` and `PREFIX.doorbell` on a memory file system.
    ///
    /// # Errors
    /// What the system says.
    pub fn in_files(prefix: &Path) -> io::Result<Self> {
        let file = |end: &str, len| {
            let path = prefix.with_extension(end);
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)?;
            file.set_len(len).map(|()| file)
        };
        Self::of(file("memory", WINDOW)?, file("doorbell", 4096)?)
    }

    /// Keys of a daemon's guest whose window these files are.
    #[must_use]
    pub fn keys(prefix: &Path) -> String {
        let (memory, doorbell) = (prefix.with_extension("memory"), prefix.with_extension("doorbell"));
        format!(
            "link = \"window\"\nwindow = {{ memory = \"{}\", size_mib = {}, doorbell = \"{}\", first_word = {FIRST_WORD} }}\n",
            memory.display(),
            WINDOW >> 20,
            doorbell.display()
        )
    }

    /// Keys of a daemon's guest whose window this is, while it is there.
    #[must_use]
    pub fn own_keys(&self) -> String {
        let place = |file: &File| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let memory = self.pool.as_ref().or(self.memory.as_deref());
        let size = memory
            .and_then(|file| file.metadata().ok())
            .map_or(0, |data| data.len());
        format!(
            "link = \"window\"\nwindow = {{ memory = \"{}\", size_mib = {}, doorbell = \"{}\", first_word = {FIRST_WORD} }}\n",
            memory.map_or_else(String::new, place),
            size >> 20,
            place(&self.doorbell)
        )
    }

    fn of(memory: File, doorbell: File) -> io::Result<Self> {
        let window = Window {
            file: memory.try_clone()?.into(),
            offset: 0,
            len: memory.metadata()?.len(),
            doorbell: Window::words(doorbell.as_fd(), FIRST_WORD)?,
        };
        Ok(Self {
            memory: Some(Arc::new(memory)),
            way: Way::Window(Arc::new(window)),
            doorbell,
            pool: None,
        })
    }

    /// Listens for front ends at `socket` and joins each with the device at `device`.
    ///
    /// # Errors
    /// What the system says.
    pub fn serve(&self, socket: &Path, device: &Path) -> io::Result<Served> {
        let _none = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket)?;
        let stop = Arc::new(AtomicBool::new(false));
        let rings = Arc::new(AtomicU64::new(0));
        let bells: Bells = Arc::default();
        let (doorbell, stopped, heard, counted) =
            (self.doorbell.try_clone()?, stop.clone(), bells.clone(), rings.clone());
        let kvm = std::thread::spawn(move || interrupt(&doorbell, &stopped, &heard, &counted));
        let (stopped, device) = (stop.clone(), device.to_owned());
        let pool = self.pool.as_ref().map(File::try_clone).transpose()?;
        let waits = listener.try_clone()?;
        let accepts = std::thread::spawn(move || {
            let mut relays = Vec::new();
            for front in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                relays.extend(front.and_then(|front| join(front, &device, &bells, pool.as_ref())));
            }
            // Each ends with its connections.
            relays.into_iter().for_each(|relay: JoinHandle<()>| drop(relay.join()));
        });
        Ok(Served {
            socket: socket.to_owned(),
            listener: waits,
            stop,
            rings,
            threads: vec![accepts, kvm],
        })
    }
}

type Bells = Arc<Mutex<Vec<OwnedFd>>>;

/// A relay for one connection; the interrupts are its own from now on.
fn join(front: UnixStream, device: &Path, bells: &Bells, pool: Option<&File>) -> io::Result<JoinHandle<()>> {
    let back = UnixStream::connect(device)?;
    let own: Vec<OwnedFd> = (0..QUEUES).map(|_| eventfd()).collect::<io::Result<_>>()?;
    let given = own.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
    *bells.lock().unwrap_or_else(PoisonError::into_inner) = own;
    let half = WINDOW / 2;
    let pieces = vec![
        Piece {
            guest: 0,
            size: half,
            offset: 0,
        },
        Piece {
            guest: DATA_GPA,
            size: half,
            offset: half,
        },
    ];
    let relay = match pool {
        Some(pool) => Relay::bouncing(front.into(), back.into(), pool.try_clone()?.into(), given)?,
        None => Relay::new(front.into(), back.into(), pieces, given)?,
    };
    Ok(std::thread::spawn(move || drop(relay.run())))
}

fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What KVM does in the kernel: a word that was written raises its eventfd.
fn interrupt(doorbell: &File, stop: &AtomicBool, bells: &Bells, rings: &AtomicU64) {
    let mut seen = [0u8; 4 * QUEUES];
    while !stop.load(Ordering::Acquire) {
        let mut now = seen;
        let _there = doorbell.read_exact_at(&mut now, u64::from(FIRST_WORD) * 4);
        for queue in 0..QUEUES {
            let word = 4 * queue..4 * queue + 4;
            if now[word.clone()] != seen[word] {
                rings.fetch_add(1, Ordering::AcqRel);
                if let Some(bell) = bells.lock().unwrap_or_else(PoisonError::into_inner).get(queue) {
                    let one = 1u64.to_ne_bytes();
                    // SAFETY: eight readable bytes.
                    unsafe { libc::write(bell.as_raw_fd(), one.as_ptr().cast(), one.len()) };
                }
            }
        }
        seen = now;
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A relay that serves. Ends when dropped.
pub struct Served {
    /// Where front ends connect.
    pub socket: PathBuf,
    listener: UnixListener,
    stop: Arc<AtomicBool>,
    rings: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Served {
    /// Times a doorbell word was seen to be rung.
    #[must_use]
    pub fn rings(&self) -> u64 {
        self.rings.load(Ordering::Acquire)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes who waits on it, even if its path is gone.
        // SAFETY: a plain call on our own descriptor.
        unsafe { libc::shutdown(self.listener.as_raw_fd(), libc::SHUT_RDWR) };
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
        let _gone = std::fs::remove_file(&self.socket);
    }
}
