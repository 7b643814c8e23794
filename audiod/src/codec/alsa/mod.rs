//! ALSA. Bare `hw:` devices are driven through the kernel's own interface; every other name (a plugin's) through alsa-lib.
//!
//! ```text
//!   launcher   open_pcm: alsa-lib sets exact parameters, the ring is silent, the card runs ─► descriptor, kept by the supervisor
//!   engine     open(config, descriptor): maps the ring, writes into it; one SYNC_PTR a look and a write, nothing else
//!   supervisor Tail: zeroes ahead through a mapping of its own while no engine beats
//! ```
//! The ring, around the hardware's pointer:
//! ```text
//!   │ history: played, readable │ lead: frames │ tail: zeros, written by the engine each period │ history ...
//!                               ▲ hw           ▲ appl = written
//! ```
//! The card never stops by itself (`stop_threshold = boundary`) and never loops: the tail lasts [`tail_frames`], by when the
//! supervisor has taken the zeroing over. Kernel silence filling is off: it would wipe the history (measured:
//! facts of the project's emulated board).

mod hw;
mod kernel;
mod params;
mod plugin;

use std::os::fd::{FromRawFd, OwnedFd};

use alsa::pcm::PCM;
use alsa::{Direction, PollDescriptors};

pub use hw::{Hw, Tail};
pub use kernel::{Kernel, KernelPcm, Pointers, state};
pub use plugin::Plugin;

use super::{Codec, CodecError, Shape};
use crate::system::CodecConfig;

/// How long the card goes on in silence without anybody, at least, ms.
pub const TAIL_MS: u64 = 10;

/// Frames of silence behind the last frame written: [`TAIL_MS`], or three periods where they are longer, so that a missing
/// beat is noticed in time.
pub fn tail_frames(rate: u32, period: u64) -> u64 {
    (u64::from(rate) * TAIL_MS / 1000).max(3 * period)
}

/// A name that is the hardware itself, with no plugin in between.
pub fn is_hw(device: &str) -> bool {
    device == "hw" || device.starts_with("hw:")
}

/// Opens the playback half of a `hw:` device with exactly the configured parameters and starts it, silent. The card plays on
/// until the last copy of the descriptor is closed.
///
/// # Errors
/// What the device can't do or who holds it, with the cure.
pub fn open_pcm(config: &CodecConfig, device: &str) -> Result<OwnedFd, CodecError> {
    let (fd, frames) = open_half(config, device, Direction::Playback)?;
    let fail = |source| failed(config, device, source);
    let copy = fd.try_clone().map_err(fail)?;
    let mut kernel = KernelPcm::new(copy, Direction::Playback, Some(frames)).map_err(fail)?;
    hw::begin(&mut kernel, u64::from(config.period)).map_err(fail)?;
    Ok(fd)
}

/// Opens a device for the engine. `kept`: the descriptor of [`open_pcm`], if somebody keeps it; else the device is opened here.
///
/// # Errors
/// See [`open_pcm`].
pub fn open(config: &CodecConfig, device: &str, kept: Option<OwnedFd>) -> Result<Box<dyn Codec>, CodecError> {
    if !is_hw(device) {
        return Ok(Box::new(Plugin::open(config, device)?));
    }
    let fd = match kept {
        Some(fd) => fd,
        None => open_pcm(config, device)?,
    };
    let fail = |source| failed(config, device, source);
    let kernel = KernelPcm::new(fd, Direction::Playback, None).map_err(fail)?;
    let input = if config.capture_channels > 0 {
        let (fd, frames) = open_half(config, device, Direction::Capture)?;
        let mut input = KernelPcm::new(fd, Direction::Capture, Some(frames)).map_err(fail)?;
        input.start().map_err(fail)?;
        Some(input)
    } else {
        None
    };
    let hw = Hw::new(kernel, input, Shape::of(config), u64::from(config.period)).map_err(fail)?;
    Ok(Box::new(hw))
}

fn open_half(config: &CodecConfig, device: &str, direction: Direction) -> Result<(OwnedFd, u64), CodecError> {
    let pcm = PCM::new(device, direction, true).map_err(|error| refused(config, device, &error))?;
    let frames = params::set(&pcm, config, device, direction)?;
    let fd = descriptor(&pcm).map_err(|source| failed(config, device, source))?;
    // Closing the handle would stop the card; the descriptor is all that is needed of it. Once a codec and process.
    std::mem::forget(pcm);
    Ok((fd, frames))
}

fn descriptor(pcm: &PCM) -> std::io::Result<OwnedFd> {
    let polls = pcm.get().map_err(std::io::Error::other)?;
    let raw = polls.first().map_or(-1, |poll| poll.fd);
    // SAFETY: a plain call; a bad descriptor is its error.
    let copy = unsafe { libc::fcntl(raw, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn failed(config: &CodecConfig, device: &str, source: std::io::Error) -> CodecError {
    CodecError::Device {
        name: config.name.clone(),
        device: device.to_owned(),
        what: source.to_string(),
        cure: "`audiod doctor --codec` shows the cards, what they can do and who holds them",
    }
}

fn refused(config: &CodecConfig, device: &str, error: &alsa::Error) -> CodecError {
    let cure = match error.errno() {
        libc::EBUSY => "another program holds it (`audiod doctor --codec` names it): end it, or give it another card",
        libc::ENOENT | libc::ENODEV | libc::ENXIO => "there is no such device; `audiod doctor --codec` lists the cards",
        libc::EACCES | libc::EPERM => "the user may not open it: put it in group `audio`",
        _ => "`audiod doctor --codec` shows the cards, what they can do and who holds them",
    };
    CodecError::Device {
        name: config.name.clone(),
        device: device.to_owned(),
        what: error.to_string(),
        cure,
    }
}
