//! One playback stream of one guest, from its bytes to the zones.
//!
//! ```text
//!   idle ──START──► held ──decided = start_gen──► playing / discarding / stalled (row.mode)
//!    ▲               │ decision_limit                ▲
//!    │               └──────────► discarding ────────┘ decided after all
//!    └──────────────── STOP, RELEASE ◄──────────────────
//! ```
//! Held and stalled streams are not pulled. A stopped stream rings out of its converter, so that no frame is cut. Safety streams are never held and never look at the gain table.

use std::sync::atomic::Ordering::Relaxed;

use mix::{Faults, Format, MAX_CHANNELS, meter};
use vhost_sound::ring::StreamView;

use crate::blocks::engine::SourceMeter;
use crate::blocks::gains::{Mode, Row};

use super::bridge::Sender;
use super::guest::Guest;
use super::helper::{Return, Wanted};
use super::latency::Pending;
use super::levels::{count, raise_peak};
use super::resample::Convert;
use super::tap::{Planar, Taps};
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
    /// The engine's time.
    pub now_ns: u64,
    pub row: &'a Row,
    /// Periods a started stream waits for its decision.
    pub patience: u32,
}

/// See the module.
pub(super) struct Source {
    /// Index in `System::sources`.
    pub index: usize,
    /// Index among the engine's guests.
    pub guest: usize,
    stream: usize,
    pub taps: Taps,
    bridges: Vec<Sender>,
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
    /// Periods that the converter still rings after a STOP.
    tail: usize,
    samples: Vec<f32>,
    converted: Vec<f32>,
    pending: Pending,
    /// Of `samples`.
    peak: f32,
    square: (f32, u32),
}

/// What the config says about a source, as the engine needs it.
pub(super) struct Place {
    pub index: usize,
    pub guest: usize,
    pub stream: usize,
    pub taps: Taps,
}

impl Source {
    pub fn new(place: Place, period: usize, sample_bytes: usize) -> Self {
        Self {
            index: place.index,
            guest: place.guest,
            stream: place.stream,
            taps: place.taps,
            bridges: Vec::new(),
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
            tail: 0,
            samples: vec![0.0; period * MAX_CHANNELS],
            converted: vec![0.0; period * MAX_CHANNELS],
            pending: Pending::default(),
            peak: 0.0,
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

    /// Also heard on another codec.
    pub fn connect(&mut self, sender: Sender) {
        self.bridges.push(sender);
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
        self.tail = 0;
        self.ready = false;
        self.converting = self.stream_rate != rate;
        self.taps.take_channels(self.channels, zones);
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
        let before = self.doing;
        self.doing = self.decide(view, period);
        meters.doing.store(self.doing as u32, Relaxed);
        if before == Doing::Playing && self.doing == Doing::Idle {
            self.tail = self.ring_out(period.frames);
        }
        match self.doing {
            Doing::Playing | Doing::Discarding => self.pull(guest, period, meters),
            Doing::Idle if self.tail > 0 => self.ring(period.frames),
            _ => {}
        }
        let heard = self.doing == Doing::Playing || self.tail > 0;
        self.tail = self.tail.saturating_sub(1);
        let planar = heard.then(|| match self.converting {
            true => Planar::new(&self.converted, period.frames, self.channels),
            false => Planar {
                samples: &self.samples,
                frames: period.frames,
                channels: self.channels,
                peak: self.peak,
            },
        });
        for sender in &mut self.bridges {
            if let Some(planar) = planar {
                sender.send(planar, self.start_gen, period.now_ns);
            }
        }
        self.taps.run(planar, period.frames, zones, meters);
    }

    /// Periods of silence that push the last frame of a stopped stream through its converter.
    fn ring_out(&self, period: usize) -> usize {
        match &self.converter {
            Some(converter) if self.converting => (2 * converter.delay()).div_ceil(period.max(1)),
            _ => 0,
        }
    }

    fn ring(&mut self, frames: usize) {
        if let Some(converter) = &mut self.converter {
            let input = &mut self.samples[..converter.needs() * self.channels];
            input.fill(0.0);
            converter.convert(input, &mut self.converted[..frames * self.channels]);
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
            self.tail = 0;
            if let Some(converter) = &mut self.converter {
                converter.reset();
            }
        }
        if !self.ready {
            return Doing::Held;
        }
        if self.taps.safety {
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
        let latency = self.latency(period, needs as u64);
        let latency_bytes = u32::try_from(latency * frame_bytes as u64).unwrap_or(u32::MAX);
        let pulled = guest.pull(self.stream, &mut self.bytes[self.carry..wanted], latency_bytes);
        let have = (self.carry + pulled.min(wanted - self.carry)) / frame_bytes;
        self.decode(format, needs, have, meters);
        let rest = (self.carry + pulled) - have * frame_bytes;
        self.bytes.copy_within(have * frame_bytes..have * frame_bytes + rest, 0);
        self.carry = rest;
        if period.written {
            self.pending
                .add(period.at + delay, period.frames as u64, have as u64, needs as u64);
        }
        meters.frames.store(meters.frames.load(Relaxed) + have as u64, Relaxed);
        count(&meters.starved, u32::from(have < needs));
        if let Some(converter) = self.converter.as_mut().filter(|_| self.converting) {
            let input = &self.samples[..needs * self.channels];
            converter.convert(input, &mut self.converted[..period.frames * self.channels]);
        }
    }

    /// The codec plays the period that was due at frame `at` only `by` frames later.
    pub fn played_later(&mut self, at: u64, by: u64) {
        self.pending.moved(at, by);
    }

    /// Frames pulled and not yet played, at the stream's rate, with `more` about to be pulled: where it is heard; where it
    /// is heard on another codec only, there.
    fn latency(&self, period: &Period<'_>, more: u64) -> u64 {
        let more = if period.written { more } else { 0 };
        let told = |sender: &Sender| sender.pending(period.now_ns, period.rate);
        let bridged = self.bridges.iter().filter_map(told).max();
        match bridged.filter(|_| !self.taps.audible()) {
            None => self.pending.now(period.played, more),
            Some(frames) => {
                let converter = self.converter.as_ref().filter(|_| self.converting);
                let delay = converter.map_or(0, |converter| converter.delay() as u64);
                more + (frames + delay) * u64::from(self.stream_rate) / u64::from(period.rate.max(1))
            }
        }
    }

    fn decode(&mut self, format: Format, needs: usize, have: usize, meters: &SourceMeter) {
        let bytes = &self.bytes[..have * format.bytes() * self.channels];
        let mut faults = Faults::default();
        let end = (needs * self.channels).min(self.samples.len());
        let all = &mut self.samples[..end];
        if have < needs {
            all.fill(0.0);
        }
        format.decode(bytes, self.channels, all, &mut faults);
        let (peak, squares) = meter::level(all);
        self.peak = peak;
        raise_peak(&meters.peak_in, peak);
        count(&meters.not_a_number, faults.not_a_number);
        count(&meters.clamped, faults.clamped);
        self.square.0 += squares;
        self.square.1 += all.len() as u32;
        if self.square.1 >= self.stream_rate / 10 * self.channels as u32 {
            let mean = self.square.0 / self.square.1 as f32;
            meters.mean_square.store(mean.to_bits(), Relaxed);
            self.square = (0.0, 0);
        }
    }
}

/// Hz of a `VIRTIO_SND_PCM_RATE_*`.
pub fn hertz(number: u32) -> Option<u32> {
    const RATES: [u32; 14] = [
        5_512, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000, 176_400, 192_000, 384_000,
    ];
    RATES.get(number as usize).copied()
}
