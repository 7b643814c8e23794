//! The PCM stream's life (virtio 1.3 §5.14.6.6.1) and what SET_PARAMS may ask for.
//!
//! ```text
//!           SET_PARAMS          PREPARE          START            STOP           RELEASE
//!  IDLE ──────────────► PARAMS ─────────► PREPARED ──► RUNNING ─────────► STOPPED ───────► RELEASED
//!                        ▲  ▲ SET_PARAMS     │  ▲ │        ▲      START     │                 │ │
//!                        │  └────────────────┘  │ │RELEASE └────────────────┘                 │ │
//!                        │                      │ └──────────────────────────────────────────►│ │
//!                        └──────────────────────┴────────── SET_PARAMS, PREPARE ──────────────┴─┘
//! ```
//! SET_PARAMS in PARAMS and PREPARE in PREPARED are allowed too: Linux repeats them.

use crate::block::stream_state::{IDLE, PARAMS, PREPARED, RELEASED, RUNNING, STOPPED};
use crate::config::{DeviceConfig, StreamConfig};
use crate::wire::{RATES, SetParams, Status, code, pcm_feature, sample_bytes};

/// PCM features every stream offers. The engine looks at running streams once a period whether kicked or not.
pub const FEATURES: u32 = pcm_feature::MSG_POLLING | pcm_feature::EVT_SHMEM_PERIODS | pcm_feature::EVT_XRUNS;

/// A request that a stream's state forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request {request:#x} is not allowed in state {}", state_name(*.state))]
pub struct IllegalTransition {
    /// The request's code.
    pub request: u32,
    /// The state it came in.
    pub state: u32,
}

/// Name of a `stream_state`.
pub fn state_name(state: u32) -> &'static str {
    match state {
        IDLE => "idle",
        PARAMS => "params",
        PREPARED => "prepared",
        RUNNING => "running",
        STOPPED => "stopped",
        RELEASED => "released",
        _ => "unknown",
    }
}

/// The state after `request` in `state`.
///
/// # Errors
/// [`IllegalTransition`].
pub fn next_state(state: u32, request: u32) -> Result<u32, IllegalTransition> {
    match (request, state) {
        (code::PCM_SET_PARAMS, IDLE | PARAMS | PREPARED | RELEASED) => Ok(PARAMS),
        (code::PCM_PREPARE, PARAMS | PREPARED | RELEASED) => Ok(PREPARED),
        (code::PCM_START, PREPARED | STOPPED) => Ok(RUNNING),
        (code::PCM_STOP, RUNNING) => Ok(STOPPED),
        (code::PCM_RELEASE, PREPARED | STOPPED) => Ok(RELEASED),
        _ => Err(IllegalTransition { request, state }),
    }
}

/// Parameters that are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// Channels out of range.
    #[error("{got} channels (offered: {min} to {max})")]
    Channels {
        /// Asked for.
        got: u8,
        /// Fewest.
        min: u8,
        /// Most.
        max: u8,
    },
    /// A format that is not offered.
    #[error("format {0} is not offered")]
    Format(u8),
    /// A rate that is not offered.
    #[error("rate {0} is not offered")]
    Rate(u8),
    /// Features that are not offered.
    #[error("features {0:#x} are not all offered ({FEATURES:#x} are)")]
    Features(u32),
    /// A period or buffer that cannot be.
    #[error("a buffer of {buffer} bytes is no whole number of periods of {period} bytes")]
    Divisor {
        /// Bytes of the buffer.
        buffer: u32,
        /// Bytes of the period.
        period: u32,
    },
    /// A period that ends inside a frame.
    #[error("a period of {period} bytes is no whole number of frames of {frame} bytes")]
    Frame {
        /// Bytes of the period.
        period: u32,
        /// Bytes of a frame.
        frame: u32,
    },
    /// Shorter than the codec can serve.
    #[error(
        "a period of {period} and a buffer of {buffer} frames at {hz} Hz: the codec's period of {codec} frames at {codec_hz} Hz needs a period at least as long and a buffer of at least two"
    )]
    TooShort {
        /// Frames of the period.
        period: u32,
        /// Frames of the buffer.
        buffer: u32,
        /// Rate asked for.
        hz: u32,
        /// Frames of the codec's period.
        codec: u32,
        /// The codec's rate.
        codec_hz: u32,
    },
}

impl ParamsError {
    /// What the guest is told.
    pub fn status(&self) -> Status {
        match self {
            Self::Divisor { .. } => Status::BadMsg,
            _ => Status::NotSupp,
        }
    }
}

/// Checks SET_PARAMS against what the stream offers and what the codec can serve.
///
/// # Errors
/// The first thing wrong.
pub fn check_params(device: &DeviceConfig, stream: &StreamConfig, params: &SetParams) -> Result<(), ParamsError> {
    let (min, max) = (stream.channels_min, stream.channels_max);
    if params.channels < min.max(1) || params.channels > max {
        let got = params.channels;
        return Err(ParamsError::Channels { got, min, max });
    }
    let sample = sample_bytes(params.format).filter(|_| offered(stream.formats, params.format));
    let sample = sample.ok_or(ParamsError::Format(params.format))?;
    let hz = RATES.get(usize::from(params.rate)).copied();
    let hz = hz
        .filter(|_| offered(stream.rates, params.rate))
        .ok_or(ParamsError::Rate(params.rate))?;
    if params.features & !FEATURES != 0 {
        return Err(ParamsError::Features(params.features));
    }
    let (buffer, period) = (params.buffer_bytes, params.period_bytes);
    if period == 0 || buffer == 0 || !buffer.is_multiple_of(period) {
        return Err(ParamsError::Divisor { buffer, period });
    }
    let frame = sample * u32::from(params.channels);
    if !period.is_multiple_of(frame) {
        return Err(ParamsError::Frame { period, frame });
    }
    let (codec, codec_hz) = device.codec_period;
    let lasts =
        |frames: u32, codecs: u64| u64::from(frames) * u64::from(codec_hz) >= codecs * u64::from(codec) * u64::from(hz);
    let (period, buffer) = (period / frame, buffer / frame);
    if !lasts(period, 1) || !lasts(buffer, 2) {
        return Err(ParamsError::TooShort {
            period,
            buffer,
            hz,
            codec,
            codec_hz,
        });
    }
    Ok(())
}

fn offered(mask: u64, bit: u8) -> bool {
    bit < 64 && mask >> bit & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Direction;

    fn device() -> DeviceConfig {
        DeviceConfig {
            guest: "g".into(),
            streams: vec![StreamConfig {
                name: "media".into(),
                direction: Direction::Playback,
                formats: 1 << 5 | 1 << 19,
                rates: 1 << 6 | 1 << 7,
                channels_min: 1,
                channels_max: 2,
                safety: false,
                controls: true,
                nid: 0,
            }],
            jacks: vec![],
            channel_maps: vec![],
            queue_size: 64,
            codec_period: (48, 48_000),
        }
    }

    fn good() -> SetParams {
        SetParams {
            buffer_bytes: 384,
            period_bytes: 192,
            features: 0,
            channels: 2,
            format: 5,
            rate: 7,
        }
    }

    fn verdict(change: impl FnOnce(&mut SetParams)) -> Result<(), ParamsError> {
        let (device, mut params) = (device(), good());
        change(&mut params);
        check_params(&device, &device.streams[0], &params)
    }

    #[test]
    fn two_codec_periods_are_enough_and_less_is_not_supported() {
        assert_eq!(verdict(|_| ()), Ok(()));
        let short = verdict(|p| (p.period_bytes, p.buffer_bytes) = (96, 384)).unwrap_err();
        assert_eq!(short.status(), Status::NotSupp);
        assert!(matches!(
            verdict(|p| p.buffer_bytes = 192),
            Err(ParamsError::TooShort { buffer: 48, .. })
        ));
        // 44 frames at 44.1 kHz are a little less than 48 at 48 kHz.
        assert!(verdict(|p| (p.rate, p.period_bytes, p.buffer_bytes) = (6, 176, 352)).is_err());
        assert_eq!(
            verdict(|p| (p.rate, p.period_bytes, p.buffer_bytes) = (6, 180, 360)),
            Ok(())
        );
    }

    #[test]
    fn values_that_shift_out_of_a_mask_are_not_offered() {
        for format in [4, 25, 64, 69, 255] {
            assert_eq!(verdict(|p| p.format = format), Err(ParamsError::Format(format)));
        }
        for rate in [0, 14, 64, 71, 255] {
            assert_eq!(verdict(|p| p.rate = rate), Err(ParamsError::Rate(rate)));
        }
    }

    #[test]
    fn wholes_that_are_none_are_malformed() {
        for (buffer, period) in [(0, 0), (384, 0), (385, 192), (0, 192), (192, 384)] {
            let error = verdict(|p| (p.buffer_bytes, p.period_bytes) = (buffer, period)).unwrap_err();
            assert_eq!(error.status(), Status::BadMsg, "{buffer}/{period}");
        }
    }

    #[test]
    fn every_pair_of_state_and_request_is_either_drawn_or_refused() {
        let drawn = [
            (IDLE, code::PCM_SET_PARAMS),
            (PARAMS, code::PCM_SET_PARAMS),
            (PARAMS, code::PCM_PREPARE),
            (PREPARED, code::PCM_SET_PARAMS),
            (PREPARED, code::PCM_PREPARE),
            (PREPARED, code::PCM_START),
            (PREPARED, code::PCM_RELEASE),
            (RUNNING, code::PCM_STOP),
            (STOPPED, code::PCM_START),
            (STOPPED, code::PCM_RELEASE),
            (RELEASED, code::PCM_SET_PARAMS),
            (RELEASED, code::PCM_PREPARE),
        ];
        for state in IDLE..=RELEASED {
            for request in code::PCM_SET_PARAMS..=code::PCM_STOP {
                assert_eq!(next_state(state, request).is_ok(), drawn.contains(&(state, request)));
            }
        }
    }
}
