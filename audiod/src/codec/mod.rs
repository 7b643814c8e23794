//! Codecs: where the mix goes. One small trait, so that the engine does not know which one it drives.
//!
//! | module | codec | clock |
//! |---|---|---|
//! | [`sim`] | the simulated card behind `wav` and `null`: a ring in shared memory that plays by the clock alone | `CLOCK_MONOTONIC` |
//! | [`alsa`] | a sound card, or an alsa-lib plugin | the card's |
//! | `cpal` (feature `cpal`) | the desktop's output | the device's, interpolated |
//! | [`offline`] | collects what it is given, waits for nobody | none |
//!
//! All of them count frames from 0 at their start. A codec never loops and never waits: what is not there in time is
//! silence, and the frames that came too late are counted by whoever wrote them.
#![deny(clippy::disallowed_types)]

pub mod alsa;
#[cfg(feature = "cpal")]
pub mod cpal;
pub mod offline;
pub mod sim;
pub mod wav;

use std::os::fd::OwnedFd;

use mix::Format;

use crate::system::{Backend, CodecConfig, CodecFormat};

/// What a codec's frames look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Hz.
    pub rate: u32,
    /// Playback channels.
    pub channels: usize,
    /// Capture channels, 0 = none.
    pub capture_channels: usize,
    /// Sample format.
    pub format: Format,
}

impl Shape {
    /// As configured.
    pub fn of(config: &CodecConfig) -> Self {
        let format = match config.format {
            CodecFormat::S16 => Format::S16,
            CodecFormat::S24 => Format::S24,
            CodecFormat::S32 => Format::S32,
            CodecFormat::F32 => Format::Float,
        };
        Self {
            rate: config.rate,
            channels: config.channels as usize,
            capture_channels: config.capture_channels as usize,
            format,
        }
    }

    /// Bytes of one playback frame.
    pub fn frame_bytes(&self) -> usize {
        self.channels * self.format.bytes()
    }

    /// Bytes of one capture frame.
    pub fn capture_frame_bytes(&self) -> usize {
        self.capture_channels * self.format.bytes()
    }
}

/// Who wakes the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// A timer, disciplined to the codec's position.
    Timer,
    /// Nobody: the position is wherever the engine left off.
    Offline,
}

/// A codec as the engine's real-time thread sees it. No call allocates, locks or blocks.
pub trait Codec: Send {
    /// What its frames look like.
    fn shape(&self) -> Shape;

    /// Who wakes the engine.
    fn clock(&self) -> Clock {
        Clock::Timer
    }

    /// The frame it plays next. Never goes back.
    fn position(&mut self) -> u64;

    /// The frame after the last that anybody has written, also an engine that died.
    fn written(&self) -> u64;

    /// Puts frames where they are to be played; `at` is not below [`Codec::written`]. Frames between the two become silence.
    /// Where the position has already passed `at` they are played from the position on instead: a late engine costs silence,
    /// no frame. Returns the frame at which the first of them is played.
    fn write(&mut self, at: u64, bytes: &[u8]) -> u64;

    /// The frame its input records next. Never goes back.
    fn recorded(&mut self) -> u64 {
        self.position()
    }

    /// Takes recorded frames from frame `from` on; returns how many frames there were.
    fn read(&mut self, from: u64, into: &mut [u8]) -> usize;

    /// Called when the position has not moved for a while; may make system calls.
    fn recover(&mut self) {}

    /// The engine's time, nanoseconds: `CLOCK_MONOTONIC`, unless a test keeps its own.
    fn now(&self) -> u64 {
        now_ns()
    }

    /// Sleeps until then.
    fn sleep_until(&mut self, ns: u64) {
        sleep_until(ns);
    }
}

impl<C: Codec + ?Sized> Codec for Box<C> {
    fn shape(&self) -> Shape {
        (**self).shape()
    }
    fn clock(&self) -> Clock {
        (**self).clock()
    }
    fn position(&mut self) -> u64 {
        (**self).position()
    }
    fn written(&self) -> u64 {
        (**self).written()
    }
    fn write(&mut self, at: u64, bytes: &[u8]) -> u64 {
        (**self).write(at, bytes)
    }
    fn recorded(&mut self) -> u64 {
        (**self).recorded()
    }
    fn read(&mut self, from: u64, into: &mut [u8]) -> usize {
        (**self).read(from, into)
    }
    fn recover(&mut self) {
        (**self).recover();
    }
    fn now(&self) -> u64 {
        (**self).now()
    }
    fn sleep_until(&mut self, ns: u64) {
        (**self).sleep_until(ns);
    }
}

/// `CLOCK_MONOTONIC`, nanoseconds. No system call on Linux (vDSO).
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Sleeps until `CLOCK_MONOTONIC` says `ns`; a signal ends it early.
pub fn sleep_until(ns: u64) {
    let time = libc::timespec {
        tv_sec: (ns / 1_000_000_000).cast_signed() as libc::time_t,
        tv_nsec: (ns % 1_000_000_000).cast_signed() as libc::c_long,
    };
    // SAFETY: `time` is valid for the call. An interrupted sleep is only an early wake-up.
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const time,
            std::ptr::null_mut(),
        )
    };
}

/// Why a codec could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// This build has no such codec.
    #[error("codec {name}: {what} is not in this build; use `wav` or `null`")]
    Missing {
        /// The codec.
        name: String,
        /// What it would take.
        what: &'static str,
    },
    /// The device can't be used.
    #[error("codec {name}: {device}: {what}; {cure}")]
    Device {
        /// The codec.
        name: String,
        /// As in `aplay -D`.
        device: String,
        /// What is wrong.
        what: String,
        /// What to do about it.
        cure: &'static str,
    },
    /// The simulated card did not come with it, or is none.
    #[error("codec {name}: {source}")]
    Card {
        /// The codec.
        name: String,
        /// What is wrong.
        source: std::io::Error,
    },
}

/// Opens a codec for the engine. `card`: what the supervisor keeps of it: the simulated card of `wav` and `null`, the PCM of an
/// ALSA `hw:` device ([`alsa::open_pcm`]; without it the device is opened here and ends with the engine).
///
/// # Errors
/// See [`CodecError`].
pub fn open(config: &CodecConfig, card: Option<OwnedFd>) -> Result<Box<dyn Codec>, CodecError> {
    let name = || config.name.clone();
    match &config.backend {
        Backend::Wav { .. } | Backend::Null => {
            let opened = card
                .ok_or(std::io::ErrorKind::NotFound.into())
                .and_then(sim::SimCard::open);
            let card = opened.map_err(|source| CodecError::Card { name: name(), source })?;
            Ok(Box::new(card))
        }
        Backend::Alsa { device } => alsa::open(config, device, card),
        #[cfg(feature = "cpal")]
        Backend::Cpal { device } => Ok(Box::new(cpal::open(config, device.as_deref())?)),
        #[cfg(not(feature = "cpal"))]
        Backend::Cpal { .. } => Err(CodecError::Missing {
            name: name(),
            what: "cpal (cargo feature `cpal`)",
        }),
    }
}
