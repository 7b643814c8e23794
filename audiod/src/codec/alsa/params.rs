//! Hardware and software parameters, through alsa-lib, before anything is real time. Exact or an error.

use alsa::pcm::{Access, Format, HwParams, PCM};
use alsa::{Direction, ValueOr};

use super::{CodecError, failed, tail_frames};
use crate::system::{CodecConfig, CodecFormat};

/// Played frames that stay readable behind the pointer, ms.
const HISTORY_MS: u64 = 20;

/// Sets the configured parameters and returns the ring's frames.
pub(super) fn set(pcm: &PCM, config: &CodecConfig, device: &str, direction: Direction) -> Result<u64, CodecError> {
    let frames = hardware(pcm, config, device, direction, Access::MMapInterleaved)?;
    if direction == Direction::Playback {
        let least = least_ring(config);
        if frames < least {
            return Err(cannot(
                config,
                device,
                format!(
                    "its ring holds {frames} frames at most; period, lead and the silence behind them take {least}"
                ),
            ));
        }
    }
    let fail = |error: alsa::Error| failed(config, device, std::io::Error::other(error));
    let software = pcm.sw_params_current().map_err(fail)?;
    let boundary = software.get_boundary().map_err(fail)?;
    // The card is started by hand and stops for nobody.
    software.set_start_threshold(boundary).map_err(fail)?;
    software.set_stop_threshold(boundary).map_err(fail)?;
    pcm.sw_params(&software).map_err(fail)?;
    pcm.prepare().map_err(fail)?;
    Ok(frames)
}

/// Lead, tail and one period to write.
fn least_ring(config: &CodecConfig) -> u64 {
    let period = u64::from(config.period);
    period * (u64::from(config.lead) + 1) + tail_frames(config.rate, period)
}

/// Hardware parameters; returns the ring's frames. Whatever can't be had exactly is an error that says what can.
pub(super) fn hardware(
    pcm: &PCM,
    config: &CodecConfig,
    device: &str,
    direction: Direction,
    access: Access,
) -> Result<u64, CodecError> {
    let fail = |error: alsa::Error| failed(config, device, std::io::Error::other(error));
    let params = HwParams::any(pcm).map_err(fail)?;
    params
        .set_access(access)
        .map_err(|_| cannot(config, device, "it has no interleaved access".to_owned()))?;
    format(&params, config, device)?;
    let channels = match direction {
        Direction::Playback => config.channels,
        Direction::Capture => config.capture_channels,
    };
    params.set_channels(channels).map_err(|_| {
        let (least, most) = (params.get_channels_min(), params.get_channels_max());
        range(config, device, "channels", channels, least, most)
    })?;
    // Plugins convert; a bare device has nothing that could.
    let _ = params.set_rate_resample(!super::is_hw(device));
    params.set_rate(config.rate, ValueOr::Nearest).map_err(|_| {
        let (least, most) = (params.get_rate_min(), params.get_rate_max());
        range(config, device, "Hz", config.rate, least, most)
    })?;
    let period = i64::from(config.period);
    params.set_period_size(period, ValueOr::Nearest).map_err(|_| {
        let (least, most) = (params.get_period_size_min(), params.get_period_size_max());
        range(config, device, "frames a period", period, least, most)
    })?;
    let history = u64::from(config.rate) * HISTORY_MS / 1000;
    let wanted = (least_ring(config) + history).next_multiple_of(u64::from(config.period.max(1)));
    params.set_buffer_size_near(wanted.cast_signed()).map_err(fail)?;
    pcm.hw_params(&params).map_err(fail)?;
    Ok(params.get_buffer_size().map_err(fail)?.cast_unsigned())
}

fn format(params: &HwParams<'_>, config: &CodecConfig, device: &str) -> Result<(), CodecError> {
    let known = [
        (CodecFormat::S16, Format::S16LE, "S16"),
        (CodecFormat::S24, Format::S24LE, "S24"),
        (CodecFormat::S32, Format::S32LE, "S32"),
        (CodecFormat::F32, Format::FloatLE, "FLOAT"),
    ];
    let wanted = known
        .iter()
        .find(|(of, ..)| *of == config.format)
        .map_or(Format::S16LE, |(_, format, _)| *format);
    params.set_format(wanted).map_err(|_| {
        let can: Vec<&str> = known
            .iter()
            .filter(|(_, format, _)| params.test_format(*format).is_ok())
            .map(|(.., name)| *name)
            .collect();
        cannot(
            config,
            device,
            format!("format {wanted:?} can't be had, of ours it has: {}", can.join(", ")),
        )
    })
}

fn range<T: std::fmt::Display>(
    config: &CodecConfig,
    device: &str,
    what: &str,
    wanted: T,
    least: alsa::Result<T>,
    most: alsa::Result<T>,
) -> CodecError {
    let can = match (least, most) {
        (Ok(least), Ok(most)) => format!("{wanted} {what} can't be had exactly, it does {least} to {most}"),
        _ => format!("{wanted} {what} can't be had"),
    };
    cannot(config, device, can)
}

fn cannot(config: &CodecConfig, device: &str, what: String) -> CodecError {
    CodecError::Device {
        name: config.name.clone(),
        device: device.to_owned(),
        what,
        cure: "change the codec's lines to what `audiod doctor --codec` prints",
    }
}
