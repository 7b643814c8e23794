//! The kernel's PCM interface (`sound/asound.h`), as far as a running card needs it: five ioctls and one mapping, 64-bit
//! layouts. alsa-lib is not in the way, so a look at the card takes no lock and allocates nothing.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::AtomicU8;

use alsa::Direction;

/// `SNDRV_PCM_STATE_*`.
pub mod state {
    /// Parameters set, not prepared.
    pub const SETUP: i32 = 1;
    /// Prepared.
    pub const PREPARED: i32 = 2;
    /// Runs.
    pub const RUNNING: i32 = 3;
    /// Stopped by an under- or overrun.
    pub const XRUN: i32 = 4;
    /// Suspended by power management.
    pub const SUSPENDED: i32 = 7;
    /// Unplugged.
    pub const DISCONNECTED: i32 = 8;
}

/// Where a PCM is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointers {
    /// `state`.
    pub state: i32,
    /// Frame the hardware takes next. Its wrap (`boundary`) is over 2^61 on 64-bit machines: never reached.
    pub hw: u64,
    /// Frame the application writes next.
    pub appl: u64,
}

/// A PCM whose ring is mapped. The simulated one of the tests is the other implementation.
pub trait Kernel: Send {
    /// Frames of the ring.
    fn frames(&self) -> u64;
    /// Bytes of a frame.
    fn frame_bytes(&self) -> usize;
    /// The ring, `frames * frame_bytes` long.
    fn data(&self) -> &[AtomicU8];
    /// Looks at the hardware's pointer; with `appl` says how far the application is.
    ///
    /// # Errors
    /// What the driver says: `ENODEV` when the card is gone.
    fn sync(&mut self, appl: Option<u64>) -> io::Result<Pointers>;
    /// Makes a stopped PCM ready to start.
    ///
    /// # Errors
    /// What the driver says.
    fn prepare(&mut self) -> io::Result<()>;
    /// Starts it.
    ///
    /// # Errors
    /// What the driver says.
    fn start(&mut self) -> io::Result<()>;
}

/// The part of the ring that holds frame `at`.
pub(super) fn cells(kernel: &impl Kernel, at: u64) -> &[AtomicU8] {
    let size = kernel.frame_bytes();
    let start = (at % kernel.frames().max(1)) as usize * size;
    kernel.data().get(start..start + size).unwrap_or(&[])
}

#[repr(C)]
struct SyncPtr {
    flags: u32,
    _pad: u32,
    state: i32,
    _pad2: i32,
    hw_ptr: u64,
    _status: [u8; 48],
    appl_ptr: u64,
    avail_min: u64,
    _control: [u8; 48],
}

#[repr(C)]
struct Status {
    state: i32,
    _pad: i32,
    _trigger_and_now: [u8; 32],
    appl_ptr: u64,
    hw_ptr: u64,
    _delay: i64,
    avail: u64,
    _rest: [u8; 80],
}

#[repr(C)]
struct ChannelInfo {
    channel: u32,
    _pad: u32,
    offset: i64,
    first: u32,
    step: u32,
}

const _: () = assert!(size_of::<SyncPtr>() == 136 && size_of::<Status>() == 152 && size_of::<ChannelInfo>() == 24);

const HWSYNC: u32 = 1;
/// Without it `appl_ptr` is set, with it told.
const APPL: u32 = 2;
const AVAIL_MIN: u32 = 4;

const READ: u64 = 2;
const WRITE: u64 = 1;

const fn request(way: u64, number: u64, size: usize) -> u64 {
    way << 30 | (size as u64) << 16 | 0x41 << 8 | number
}

const STATUS: u64 = request(READ, 0x20, size_of::<Status>());
const SYNC_PTR: u64 = request(READ | WRITE, 0x23, size_of::<SyncPtr>());
const CHANNEL_INFO: u64 = request(READ, 0x32, size_of::<ChannelInfo>());
const PREPARE: u64 = request(0, 0x40, 0);
const START: u64 = request(0, 0x42, 0);

/// A real one.
pub struct KernelPcm {
    fd: OwnedFd,
    at: *mut u8,
    len: usize,
    frames: u64,
    frame_bytes: usize,
}

// SAFETY: the mapping is owned by this value and only accessed as atomics.
unsafe impl Send for KernelPcm {}

impl KernelPcm {
    /// Takes over a PCM whose parameters are set. `frames`: its ring; for playback it can be told from the descriptor.
    ///
    /// # Errors
    /// `InvalidData` for what is no mapped, interleaved PCM; otherwise what the system calls say.
    pub fn new(fd: OwnedFd, direction: Direction, frames: Option<u64>) -> io::Result<Self> {
        let odd = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        // SAFETY: plain data, all zero is valid.
        let (mut status, mut info): (Status, ChannelInfo) = unsafe { std::mem::zeroed() };
        control(&fd, STATUS, &raw mut status)?;
        control(&fd, CHANNEL_INFO, &raw mut info)?;
        if info.first != 0 || info.step == 0 || !info.step.is_multiple_of(8) || info.offset != 0 {
            return Err(odd("the PCM's ring is not interleaved"));
        }
        // Nowhere else does the kernel tell the size of a ring in use.
        let sum = status.avail.wrapping_add(status.appl_ptr).wrapping_sub(status.hw_ptr);
        let frames = frames.unwrap_or(sum);
        let frame_bytes = info.step as usize / 8;
        let len = usize::try_from(frames)
            .ok()
            .and_then(|frames| frames.checked_mul(frame_bytes));
        let len = len
            .filter(|len| (1..1 << 28).contains(len))
            .ok_or_else(|| odd("the PCM tells no ring size"))?;
        let (read, write) = (libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE);
        let protection = if direction == Direction::Playback { write } else { read };
        // SAFETY: a new mapping; nothing existing is replaced.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            fd,
            at: at.cast(),
            len,
            frames,
            frame_bytes,
        })
    }
}

fn control<T>(fd: &OwnedFd, request: u64, argument: *mut T) -> io::Result<()> {
    // SAFETY: `argument` is valid for the size that the request's number states (or null where it states none).
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), request as libc::Ioctl, argument) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

impl Kernel for KernelPcm {
    fn frames(&self) -> u64 {
        self.frames
    }

    fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    fn data(&self) -> &[AtomicU8] {
        // SAFETY: the mapping is `len` long and lives as long as `self`; others (hardware, the supervisor) change it at any
        // time, which atomics allow. A capture ring is mapped read-only and only ever loaded from.
        unsafe { std::slice::from_raw_parts(self.at.cast(), self.len) }
    }

    fn sync(&mut self, appl: Option<u64>) -> io::Result<Pointers> {
        // SAFETY: plain data, all zero is valid.
        let mut sync: SyncPtr = unsafe { std::mem::zeroed() };
        sync.flags = HWSYNC | AVAIL_MIN | if appl.is_some() { 0 } else { APPL };
        sync.appl_ptr = appl.unwrap_or(0);
        control(&self.fd, SYNC_PTR, &raw mut sync).or_else(|error| self.stopped(error, &mut sync))?;
        Ok(Pointers {
            state: sync.state,
            hw: sync.hw_ptr,
            appl: sync.appl_ptr,
        })
    }

    fn prepare(&mut self) -> io::Result<()> {
        control::<u8>(&self.fd, PREPARE, std::ptr::null_mut())
    }

    fn start(&mut self) -> io::Result<()> {
        control::<u8>(&self.fd, START, std::ptr::null_mut())
    }
}

impl KernelPcm {
    /// A look at the hardware's pointer fails where nothing runs: then the state alone is asked for.
    fn stopped(&self, error: io::Error, sync: &mut SyncPtr) -> io::Result<()> {
        if error.raw_os_error() == Some(libc::ENODEV) {
            return Err(error);
        }
        sync.flags = APPL | AVAIL_MIN;
        control(&self.fd, SYNC_PTR, std::ptr::from_mut(sync))
    }
}

impl Drop for KernelPcm {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`, which no reference outlives.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn the_requests_are_those_of_the_kernels_header() {
        // As the C compiler computes them from sound/asound.h.
        assert_eq!(
            [STATUS, SYNC_PTR, CHANNEL_INFO, PREPARE, START],
            [0x8098_4120, 0xC088_4123, 0x8018_4132, 0x4140, 0x4142]
        );
        assert_eq!(std::mem::offset_of!(Status, appl_ptr), 40);
        assert_eq!(std::mem::offset_of!(Status, avail), 64);
        assert_eq!(std::mem::offset_of!(SyncPtr, appl_ptr), 72);
    }

    #[test]
    fn a_descriptor_that_is_no_pcm_is_an_error() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(KernelPcm::new(file.into(), Direction::Playback, None).is_err());
    }
}
