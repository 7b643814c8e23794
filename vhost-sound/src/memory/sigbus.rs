//! SIGBUS containment: a region whose file shrinks under us stops its guest, not this process.
//!
//! ```text
//!  access ──SIGBUS──► address in a registered region? ──no──► the handler that was there before (by default: the end)
//!                             │ yes
//!                             ▼
//!              zero pages over the whole region, slot.gone = true ──► the access is repeated and succeeds
//! ```
//! The handler is async-signal-safe: it reads a static table of atomics and calls `mmap` and, for strangers, `sigaction`.

use std::ptr::null_mut;
use std::sync::Once;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};

/// Regions one process can guard.
pub const SLOTS: usize = 512;

/// A slot's life: FREE → TAKEN (being filled) → LIVE → FREE.
const FREE: u32 = 0;
const TAKEN: u32 = 1;
const LIVE: u32 = 2;

struct Slot {
    state: AtomicU32,
    start: AtomicUsize,
    len: AtomicUsize,
    gone: AtomicBool,
}

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        state: AtomicU32::new(FREE),
        start: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        gone: AtomicBool::new(false),
    }
}; SLOTS];

/// What handled SIGBUS before us, as the parts of its `sigaction`. Written once, before our handler is in place.
static PREVIOUS_HANDLER: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static PREVIOUS_FLAGS: AtomicU32 = AtomicU32::new(0);
static INSTALL: Once = Once::new();

/// Puts the handler in place, once for the process. Mapping guest memory does it too; calling it early keeps later
/// libraries' handlers in front of ours from being lost.
///
/// # Panics
/// Never; a refused `sigaction` (impossible for a valid signal) leaves the process as it was.
pub fn install() {
    INSTALL.call_once(|| {
        // SAFETY: an all-zero sigaction is valid; the handler is async-signal-safe and has the SA_SIGINFO signature.
        unsafe {
            let mut previous: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut previous) == 0 {
                PREVIOUS_HANDLER.store(previous.sa_sigaction, Relaxed);
                PREVIOUS_FLAGS.store(previous.sa_flags as u32, Relaxed);
            }
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_sigbus as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(libc::SIGBUS, &action, null_mut());
        }
    });
}

/// A registered region; `release` or drop takes it out of the table.
pub(super) struct Guard {
    slot: Option<&'static Slot>,
}

impl Guard {
    /// Registers `len` bytes at `start`; `None` when the table is full.
    pub(super) fn new(start: usize, len: usize) -> Option<Self> {
        install();
        let slot = TABLE
            .iter()
            .find(|slot| slot.state.compare_exchange(FREE, TAKEN, AcqRel, Relaxed).is_ok())?;
        slot.start.store(start, Relaxed);
        slot.len.store(len, Relaxed);
        slot.gone.store(false, Relaxed);
        slot.state.store(LIVE, Release);
        Some(Self { slot: Some(slot) })
    }

    pub(super) fn gone(&self) -> bool {
        self.slot.is_some_and(|slot| slot.gone.load(Acquire))
    }

    /// To be called before the region is unmapped.
    pub(super) fn release(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.state.store(FREE, Release);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.release();
    }
}

extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: errno is this thread's own; the interrupted code must find it unchanged.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the kernel passes a valid siginfo for a SA_SIGINFO handler.
    let (address, from_kernel) = unsafe { ((*info).si_addr() as usize, (*info).si_code > 0) };
    if !(from_kernel && contain(address)) {
        pass_on(signal, info, context);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Replaces the region around `address`; false when it is not one of ours (or cannot be replaced).
fn contain(address: usize) -> bool {
    for slot in &TABLE {
        if slot.state.load(Acquire) != LIVE {
            continue;
        }
        let (start, len) = (slot.start.load(Relaxed), slot.len.load(Relaxed));
        if address.wrapping_sub(start) >= len {
            continue;
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: the range is a mapping of ours that its owner is using at this moment (it faulted), so it is not being
        // unmapped; replacing it keeps every pointer into it valid.
        let at = unsafe { libc::mmap(start as *mut _, len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return false;
        }
        slot.gone.store(true, Release);
        return true;
    }
    false
}

/// A fault that is not ours: the handler before us gets it, or the default action ends the process.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let handler = PREVIOUS_HANDLER.load(Relaxed);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // SAFETY: restoring the default; the faulting instruction runs again on return and ends the process. A signal
        // sent by `kill` does not come again by itself, so it is raised once more.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            if (*info).si_code <= 0 {
                libc::raise(signal);
            }
        }
    } else if PREVIOUS_FLAGS.load(Relaxed) & libc::SA_SIGINFO as u32 != 0 {
        // SAFETY: the previous owner registered this address as a SA_SIGINFO handler.
        let previous: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
            unsafe { std::mem::transmute(handler) };
        previous(signal, info, context);
    } else {
        // SAFETY: the previous owner registered this address as a plain handler.
        let previous: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(handler) };
        previous(signal);
    }
}
