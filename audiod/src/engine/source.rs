//! One playback stream of one guest, from its bytes to the zones.
//!
//! ```text
//!   idle ──START──► held ──decided = start_gen──► playing / discarding / stalled (row.mode)
//!    ▲               │ decision_limit                ▲
//!    │               └──────────► discarding ────────┘ decided after all
//!    └──────────────── STOP, RELEASE ◄──────────────────
//! ```
//! Held and stalled streams are not pulled. Safety streams are never held and never look at the gain table.

use std::sync::atomic::Ordering::Relaxed;

use mix::{Faults, Format, MAX_CHANNELS, Matrix, Ramp, Segment, matrix, meter};
use vhost_sound::ring::StreamView;

use crate::blocks::engine::SourceMeter;
use crate::blocks::gains::{Mode, Row};

use super::guest::Guest;
use super::helper::{Return, Wanted};
use super::latency::Pending;
use super::levels::{count, raise_peak};
use super::resample::Convert;
use super::zone::Zone;

/// What a source is doing: `SourceMeter::doing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Doing {
    Idle = 0,
    Held = 1,
    Playing = 2,
    Discarding = 3,
    Stalled = 4,
}

/// What a source needs to know about the period at hand.
pub(super) struct Period<'a> {
    pub frames: usize,
    pub rate: u32,
    /// Codec frame this period is written at.
    pub at: u64,
    /// Codec frame played next.
    pub played: u64,
    /// What is mixed is written; not while the codec stands still.
    pub written: bool,
    pub row: &'a Row,
    /// Periods a started stream waits for its decision.
    pub patience: u32,
}

struct Tap {
    ramp: Ramp,
    generation: u32,
    matrix: Matrix,
}

/// See the module.
pub(super) struct Source {
    /// Index in `System::sources`.
    pub index: usize,
    /// Index among the engine's guests.
    pub guest: usize,
    stream: usize,
    safety: bool,
    safety_zones: Vec<bool>,
    taps: Vec<Tap>,
    doing: Doing,
    format: Option<Format>,
    channels: usize,
    stream_rate: u32,
    params_gen: Option<u32>,
    start_gen: u32,
    waited: u32,
    converter: Option<Box<dyn Convert>>,
    /// The stream's rate is not the codec's.
    converting: bool,
    ready: bool,
    bytes: Vec<u8>,
    carry: usize,
    samples: Vec<f32>,
    converted: Vec<f32>,
    pending: Pending,
    square: (f32, u32),
}

/// What the config says about a source, as the engine needs it.
pub(super) struct Place {
    pub index: usize,
    pub guest: usize,
    pub stream: usize,
    pub safety: bool,
    /// One a zone of this codec.
    pub safety_zones: Vec<bool>,
}

impl Source {
    pub fn new(place: Place, period: usize, sample_bytes: usize) -> Self {
        let zones = place.safety_zones.len();
        let taps = || Tap {
            ramp: Ramp::at(0.0),
            generation: 0,
            matrix: Matrix::SILENT,
        };
        Self {
            index: place.index,
            guest: place.guest,
            stream: place.stream,
            safety: place.safety,
            safety_zones: place.safety_zones,
            taps: (0..zones).map(|_| taps()).collect(),
            doing: Doing::Idle,
            format: None,
            channels: 0,
            stream_rate: 0,
            params_gen: None,
            start_gen: 0,
            waited: 0,
            converter: None,
            converting: false,
            ready: false,
            bytes: vec![0; (period + 1) * MAX_CHANNELS * sample_bytes],
            carry: 0,
            samples: vec![0.0; period * MAX_CHANNELS],
            converted: vec![0.0; period * MAX_CHANNELS],
            pending: Pending::default(),
            square: (0.0, 0),
        }
    }

    /// Its virtio stream id.
    pub fn stream(&self) -> usize {
        self.stream
    }

    /// The converter could not be asked for: ask again.
    pub fn unsettle(&mut self) {
        self.params_gen = None;
    }

    pub fn doing(&self) -> Doing {
        self.doing
    }

    /// A batch of gains arrived: taps with a new target head for it. `zones` are indices in the table.
    pub fn take_row(&mut self, row: &Row, zones: &[Zone]) {
        for (tap, zone) in self.taps.iter_mut().zip(zones) {
            let wanted = &row.taps[zone.index];
            if wanted.generation != tap.generation {
                tap.generation = wanted.generation;
                tap.ramp.head_for(wanted.gain.clamp(0.0, 1.0), wanted.ramp);
            }
        }
    }

    /// A converter came; what is not used any more goes back.
    pub fn take_converter(
        &mut self,
        wanted: Wanted,
        made: Option<Box<dyn Convert>>,
        samples: Vec<f32>,
        bytes: Vec<u8>,
    ) -> Return {
        if self.params_gen != Some(wanted.params_gen) || made.is_none() {
            return Return::Converter(made, samples, bytes);
        }
        self.ready = true;
        self.carry = 0;
        let old = std::mem::replace(&mut self.converter, made);
        let samples = std::mem::replace(&mut self.samples, samples);
        let bytes = std::mem::replace(&mut self.bytes, bytes);
        Return::Converter(old, samples, bytes)
    }

    /// New stream parameters. Returns what is needed before the stream can be heard.
    pub fn settle(&mut self, view: &StreamView, rate: u32, zones: &[Zone]) -> Option<Wanted> {
        if self.params_gen == Some(view.params_gen) {
            return None;
        }
        self.params_gen = Some(view.params_gen);
        self.format = Format::from_virtio(view.format);
        self.channels = (view.channels as usize).min(MAX_CHANNELS);
        self.stream_rate = hertz(view.rate).unwrap_or(0);
        self.carry = 0;
        self.ready = false;
        self.converting = self.stream_rate != rate;
        let positions = matrix::usual(self.channels);
        for (tap, zone) in self.taps.iter_mut().zip(zones) {
            tap.matrix = Matrix::between(positions, &zone.positions);
        }
        self.format?;
        if self.channels == 0 || self.stream_rate == 0 {
            return None;
        }
        if !self.converting {
            self.ready = true;
            return None;
        }
        Some(Wanted {
            source: self.index,
            params_gen: view.params_gen,
            rate: self.stream_rate,
            channels: self.channels,
            capture: false,
        })
    }

    /// One period of this stream.
    pub fn run(
        &mut self,
        guest: &mut impl Guest,
        view: &StreamView,
        period: &Period<'_>,
        zones: &mut [Zone],
        meters: &SourceMeter,
    ) {
        self.doing = self.decide(view, period);
        meters.doing.store(self.doing as u32, Relaxed);
        let heard = matches!(self.doing, Doing::Playing | Doing::Discarding);
        if heard {
            self.pull(guest, period, meters);
        }
        for tap in 0..self.taps.len() {
            // Ramps run on while nothing plays: what a duck does to a paused stream is over when it comes back.
            let gain = self.taps[tap].ramp.advance(period.frames);
            if self.doing == Doing::Playing {
                self.add(tap, &gain, zones, meters, period.frames);
            }
        }
    }

    fn decide(&mut self, view: &StreamView, period: &Period<'_>) -> Doing {
        if !view.running || self.format.is_none() {
            self.carry = 0;
            self.waited = 0;
            return Doing::Idle;
        }
        if self.start_gen != view.start_gen {
            self.start_gen = view.start_gen;
            self.waited = 0;
            if let Some(converter) = &mut self.converter {
                converter.reset();
            }
        }
        if !self.ready {
            return Doing::Held;
        }
        if self.safety {
            return Doing::Playing;
        }
        if period.row.decided != view.start_gen {
            self.waited = self.waited.saturating_add(1);
            return if self.waited > period.patience {
                Doing::Discarding
            } else {
                Doing::Held
            };
        }
        match period.row.mode {
            Mode::Play => Doing::Playing,
            Mode::Discard => Doing::Discarding,
            Mode::Stall => Doing::Stalled,
        }
    }

    /// From the guest's memory to planar samples at the codec's rate, in `samples` or `converted`.
    fn pull(&mut self, guest: &mut impl Guest, period: &Period<'_>, meters: &SourceMeter) {
        let Some(format) = self.format else { return };
        let frame_bytes = format.bytes() * self.channels;
        let needs = match &self.converter {
            Some(converter) if self.converting => converter.needs(),
            _ => period.frames,
        };
        let wanted = (needs * frame_bytes).clamp(self.carry, self.bytes.len());
        let delay = match &self.converter {
            Some(converter) if self.converting => converter.delay() as u64,
            _ => 0,
        };
        let more = if period.written { needs as u64 } else { 0 };
        let latency =
            self.pending.now(period.played, more) + delay * u64::from(self.stream_rate) / u64::from(period.rate.max(1));
        let latency_bytes = u32::try_from(latency * frame_bytes as u64).unwrap_or(u32::MAX);
        let pulled = guest.pull(self.stream, &mut self.bytes[self.carry..wanted], latency_bytes);
        let have = (self.carry + pulled.min(wanted - self.carry)) / frame_bytes;
        self.decode(format, needs, have, meters);
        let rest = (self.carry + pulled) - have * frame_bytes;
        self.bytes.copy_within(have * frame_bytes..have * frame_bytes + rest, 0);
        self.carry = rest;
        if period.written {
            self.pending
                .add(period.at, period.frames as u64, have as u64, needs as u64);
        }
        meters.frames.store(meters.frames.load(Relaxed) + have as u64, Relaxed);
        count(&meters.starved, u32::from(have < needs));
        if let Some(converter) = self.converter.as_mut().filter(|_| self.converting) {
            let input = &self.samples[..needs * self.channels];
            converter.convert(input, &mut self.converted[..period.frames * self.channels]);
        }
    }

    fn decode(&mut self, format: Format, needs: usize, have: usize, meters: &SourceMeter) {
        let bytes = &self.bytes[..have * format.bytes() * self.channels];
        let mut faults = Faults::default();
        for (channel, samples) in self
            .samples
            .chunks_exact_mut(needs.max(1))
            .take(self.channels)
            .enumerate()
        {
            format.decode(bytes, self.channels, channel, &mut samples[..have], &mut faults);
            samples[have..].fill(0.0);
        }
        let all = &self.samples[..(needs * self.channels).min(self.samples.len())];
        raise_peak(&meters.peak_in, meter::peak(all));
        count(&meters.not_a_number, faults.not_a_number);
        count(&meters.clamped, faults.clamped);
        self.square.0 += meter::squares(all);
        self.square.1 += all.len() as u32;
        if self.square.1 >= self.stream_rate / 10 * self.channels as u32 {
            let mean = self.square.0 / self.square.1 as f32;
            meters.mean_square.store(mean.to_bits(), Relaxed);
            self.square = (0.0, 0);
        }
    }

    fn add(&self, tap: usize, gain: &Segment, zones: &mut [Zone], meters: &SourceMeter, frames: usize) {
        let Tap { matrix, .. } = &self.taps[tap];
        let planar = if self.converting {
            &self.converted
        } else {
            &self.samples
        };
        let safety = self.safety;
        if safety && !self.safety_zones[tap] || !safety && gain.silent() {
            return;
        }
        let gain = if safety { Segment::steady(1.0) } else { *gain };
        let mut loudest = 0f32;
        for (channel, samples) in planar.chunks_exact(frames).take(self.channels).enumerate() {
            loudest = loudest.max(meter::peak(samples));
            if safety {
                zones[tap].add_safety(matrix, channel, samples, &gain);
            } else {
                zones[tap].add(matrix, channel, samples, &gain);
            }
        }
        raise_peak(&meters.peak_out, loudest * gain.loudest());
    }
}

/// Hz of a `VIRTIO_SND_PCM_RATE_*`.
pub fn hertz(number: u32) -> Option<u32> {
    const RATES: [u32; 14] = [
        5_512, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400, 192_000, 384_000,
    ];
    RATES.get(number as usize).copied()
}
