//! What a stream's offer makes of the stock Linux driver: the shortest period and the longest buffer that its clients get.
//!
//! The driver (`sound/virtio/virtio_pcm.c`, `virtsnd_pcm_build_hw`) has module parameters in milliseconds and turns them into
//! *bytes*: the least period is 10 ms of the smallest format, fewest channels and lowest rate offered, the greatest period
//! (80 ms) and buffer (160 ms, whole pages) of the largest. A client that plays something larger than the smallest may thus
//! have shorter periods: the offer decides the guest's latency. Our device refuses periods shorter than the codec's own.

use serde::Serialize;
use vhost_sound::config::{Direction, StreamConfig};

use super::words::{FORMATS, RATES, format_name, sample_bytes};
use crate::system::System;

/// Module parameters as shipped, and the page a buffer is rounded to.
const PERIOD_MS: (u32, u32) = (10, 80);
const BUFFER_MS: u32 = 160;
const PERIODS_MAX: u32 = 16;
const PAGE: u32 = 4096;
/// The driver knows the rates up to 192 kHz.
const DRIVER_RATES: usize = 13;

/// The driver's limits for a stream, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Shortest period.
    pub period_min: u32,
    /// Longest period.
    pub period_max: u32,
    /// Longest buffer.
    pub buffer_max: u32,
}

impl Limits {
    /// `None` if the driver knows none of the rates.
    pub fn of(stream: &StreamConfig) -> Option<Self> {
        let sizes = formats(stream).map(sample_bytes);
        let (least, most) = sizes.fold((u32::MAX, 0), |(least, most), size| (least.min(size), most.max(size)));
        let lowest = rates(stream).min()?;
        let highest = rates(stream).max()?;
        let small = least.min(most) * u32::from(stream.channels_min);
        let large = most * u32::from(stream.channels_max);
        // The kernel divides the rate first.
        Some(Self {
            period_min: small * PERIOD_MS.0 * (lowest / 1000),
            period_max: large * PERIOD_MS.1 * (highest / 1000),
            buffer_max: (large * BUFFER_MS * (highest / 1000)).next_multiple_of(PAGE),
        })
    }
}

fn formats(stream: &StreamConfig) -> impl Iterator<Item = u32> {
    let offered = stream.formats;
    FORMATS
        .iter()
        .map(|(_, number)| *number)
        .filter(move |number| offered >> number & 1 == 1)
}

fn rates(stream: &StreamConfig) -> impl Iterator<Item = u32> {
    let offered = stream.rates;
    let known = RATES.iter().take(DRIVER_RATES).enumerate();
    known
        .filter(move |(number, _)| offered >> number & 1 == 1)
        .map(|(_, &rate)| rate)
}

/// What decides the shortest period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// The smallest that is offered.
    Offer,
    /// The codec's own period.
    Codec,
}

/// One stream as a stock driver's client meets it, playing (or recording) what it most probably will.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offer {
    /// `guest.stream`.
    pub stream: String,
    /// Capture rather than playback.
    pub capture: bool,
    /// Format of the figures.
    pub format: &'static str,
    /// Channels of the figures.
    pub channels: u32,
    /// Rate of the figures, Hz.
    pub rate: u32,
    /// Shortest period, frames.
    pub period_frames: u32,
    /// Shortest period, ms.
    pub period_ms: f64,
    /// What decides it.
    pub limited_by: Limit,
    /// Longest buffer, ms.
    pub buffer_ms: f64,
}

impl Offer {
    /// `None` if the driver can't use the stream.
    pub fn of(name: &str, stream: &StreamConfig, codec_period: (u32, u32)) -> Option<Self> {
        let limits = Limits::of(stream)?;
        let (format, channels, rate) = usual(stream, codec_period.1)?;
        let frame = sample_bytes(format) * channels;
        let by_offer = limits.period_min.div_ceil(frame);
        let by_codec = (u64::from(codec_period.0) * u64::from(rate)).div_ceil(u64::from(codec_period.1.max(1))) as u32;
        let period = by_offer.max(by_codec);
        let buffer = limits.buffer_max.min(limits.period_max * PERIODS_MAX) / frame;
        let ms = |frames: u32| f64::from(frames) * 1000.0 / f64::from(rate);
        Some(Self {
            stream: name.to_owned(),
            capture: stream.direction == Direction::Capture,
            format: format_name(format),
            channels,
            rate,
            period_frames: period,
            period_ms: ms(period),
            limited_by: if by_offer > by_codec {
                Limit::Offer
            } else {
                Limit::Codec
            },
            buffer_ms: ms(buffer),
        })
    }
}

/// S16, stereo, the codec's rate; the nearest to them that is offered.
fn usual(stream: &StreamConfig, codec_rate: u32) -> Option<(u32, u32, u32)> {
    const S16: u32 = 5;
    let format = formats(stream).min_by_key(|&number| (number != S16, number))?;
    let channels = 2.clamp(u32::from(stream.channels_min), u32::from(stream.channels_max));
    let rate = rates(stream).min_by_key(|&rate| rate.abs_diff(codec_rate))?;
    Some((format, channels, rate))
}

/// All streams of a system that a stock driver can use.
pub fn offers(system: &System) -> Vec<Offer> {
    (system.sources.iter())
        .filter_map(|source| {
            let device = &system.guests.get(source.guest)?.device;
            Offer::of(&source.name, device.streams.get(source.stream)?, device.codec_period)
        })
        .collect()
}

/// The offers as a table.
pub fn table(offers: &[Offer]) -> String {
    let header = ["stream", "plays", "shortest period", "set by", "longest buffer"].map(str::to_owned);
    let rows = offers.iter().map(|offer| {
        [
            offer.stream.clone(),
            format!("{} {} ch {} Hz", offer.format, offer.channels, offer.rate),
            format!("{} frames, {:.2} ms", offer.period_frames, offer.period_ms),
            match offer.limited_by {
                Limit::Offer => "offer".to_owned(),
                Limit::Codec => "codec".to_owned(),
            },
            format!("{:.0} ms", offer.buffer_ms),
        ]
    });
    let rows: Vec<[String; 5]> = std::iter::once(header).chain(rows).collect();
    let widths: Vec<usize> = (0..5)
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(formats: &[u32], rates: &[u32], channels: (u8, u8)) -> StreamConfig {
        StreamConfig {
            name: "media".to_owned(),
            direction: Direction::Playback,
            formats: formats.iter().fold(0, |set, number| set | 1 << number),
            rates: rates.iter().fold(0, |set, number| set | 1 << number),
            channels_min: channels.0,
            channels_max: channels.1,
            safety: false,
            controls: true,
            nid: 0,
        }
    }

    /// facts: a device that offers U8, mono, 8 kHz announces a period of 80 bytes, 20 frames of S16 stereo (measured).
    #[test]
    fn a_small_offer_gives_the_stock_driver_the_measured_period() {
        let limits = Limits::of(&stream(&[4, 5, 15, 17], &[1, 7], (1, 6))).unwrap();

        assert_eq!(limits.period_min, 80);
        assert_eq!(limits.period_max, 4 * 6 * 80 * 48);
    }

    /// facts: with S16 stereo 48 kHz alone the driver insists on 10 ms.
    #[test]
    fn an_offer_of_one_format_keeps_the_stock_driver_at_10_ms() {
        let offer = Offer::of("ivi.media", &stream(&[5], &[7], (2, 2)), (48, 48_000)).unwrap();

        assert_eq!((offer.period_frames, offer.limited_by), (480, Limit::Offer));
        // 160 ms are 7.5 pages; a buffer is whole pages.
        assert_eq!(offer.buffer_ms.round(), 171.0);
    }

    #[test]
    fn no_period_is_shorter_than_the_codecs() {
        let offer = Offer::of("ivi.media", &stream(&[4, 5], &[1, 7], (1, 2)), (96, 48_000)).unwrap();

        assert_eq!((offer.period_frames, offer.limited_by), (96, Limit::Codec));
    }

    #[test]
    fn a_rate_that_the_stock_driver_does_not_know_gives_it_nothing() {
        assert_eq!(Limits::of(&stream(&[5], &[13], (2, 2))), None);
    }
}
