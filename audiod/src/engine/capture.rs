//! Capture: what the codec's input recorded, a period at a time, to the capture streams.
//!
//! ```text
//!   codec ─► Intake (planar, one period) ─► each stream: matrix ─► (convert) ─► its format ─► rx ring
//! ```
//! A stream that is not allowed the input hears silence at its own rate, and so does every stream while the codec stands
//! still. What a guest has no buffers for is lost to it alone.

use std::sync::atomic::Ordering::Relaxed;

use mix::{Faults, Format, MAX_CHANNELS, Matrix, Segment, gain, matrix, meter};
use vhost_sound::ring::StreamView;

use crate::blocks::engine::SourceMeter;
use crate::codec::{Codec, Shape};

use super::guest::Guest;
use super::helper::{Return, Wanted};
use super::levels::{count, raise_peak};
use super::maps::Maps;
use super::resample::Convert;
use super::source::{Doing, hertz};

/// Periods the intake may be behind before it skips to the present.
const BACKLOG: u64 = 16;

/// The codec's input, one period of it.
pub(super) struct Intake {
    next: u64,
    shape: Shape,
    period: usize,
    bytes: Vec<u8>,
    planar: Vec<f32>,
}

impl Intake {
    pub fn new(shape: Shape, period: usize, recorded: u64) -> Self {
        Self {
            next: recorded,
            shape,
            period,
            bytes: vec![0; shape.capture_frame_bytes() * period],
            planar: vec![0.0; shape.capture_channels * period],
        }
    }

    /// Nobody listens: the present is where the next listener begins.
    pub fn skip(&mut self, codec: &mut impl Codec) {
        self.next = codec.recorded();
    }

    /// The next period, if the input has recorded it. Returns the frames recorded after it.
    pub fn take(&mut self, codec: &mut impl Codec) -> Option<u64> {
        let period = self.period as u64;
        let recorded = codec.recorded();
        if recorded.saturating_sub(self.next) > BACKLOG * period {
            self.next = recorded - period;
        }
        if recorded < self.next + period {
            return None;
        }
        if self.shape.capture_channels > 0 {
            let got = codec.read(self.next, &mut self.bytes) * self.shape.capture_frame_bytes();
            if let Some(missing) = self.bytes.get_mut(got..) {
                missing.fill(0);
            }
            let mut faults = Faults::default();
            let (format, channels) = (self.shape.format, self.shape.capture_channels);
            format.decode(&self.bytes, channels, &mut self.planar, &mut faults);
        }
        self.next += period;
        Some(recorded - self.next)
    }

    /// One period of silence, while the codec stands still.
    pub fn silence(&mut self) {
        self.planar.fill(0.0);
    }
}

/// One capture stream of one guest.
pub(super) struct Capture {
    /// Index in `System::sources`.
    pub index: usize,
    /// Index among the engine's guests.
    pub guest: usize,
    stream: usize,
    allowed: bool,
    maps: Maps,
    format: Option<Format>,
    channels: usize,
    stream_rate: u32,
    params_gen: Option<u32>,
    start_gen: u32,
    matrix: Matrix,
    converter: Option<Box<dyn Convert>>,
    converting: bool,
    ready: bool,
    /// Bytes of a frame that the ring had room for before it was full.
    cut: usize,
    mixed: Vec<f32>,
    converted: Vec<f32>,
    bytes: Vec<u8>,
}

impl Capture {
    pub fn new(index: usize, guest: usize, stream: usize, allowed: bool, maps: Maps, period: usize) -> Self {
        Self {
            index,
            guest,
            stream,
            allowed,
            maps,
            format: None,
            channels: 0,
            stream_rate: 0,
            params_gen: None,
            start_gen: 0,
            matrix: Matrix::SILENT,
            converter: None,
            converting: false,
            ready: false,
            cut: 0,
            mixed: vec![0.0; period * MAX_CHANNELS],
            converted: Vec::new(),
            bytes: vec![0; period * MAX_CHANNELS * super::WIDEST],
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
        let old = std::mem::replace(&mut self.converter, made);
        let samples = std::mem::replace(&mut self.converted, samples);
        let bytes = std::mem::replace(&mut self.bytes, bytes);
        Return::Converter(old, samples, bytes)
    }

    /// New stream parameters. Returns what is needed before the stream can hear.
    pub fn settle(&mut self, view: &StreamView, shape: Shape) -> Option<Wanted> {
        if self.params_gen == Some(view.params_gen) {
            return None;
        }
        self.params_gen = Some(view.params_gen);
        self.format = Format::from_virtio(view.format);
        self.channels = (view.channels as usize).min(MAX_CHANNELS);
        self.stream_rate = hertz(view.rate).unwrap_or(0);
        self.matrix = Matrix::between(
            matrix::usual(shape.capture_channels),
            self.maps.positions(self.channels),
        );
        self.converting = self.stream_rate != shape.rate;
        self.cut = 0;
        self.ready = false;
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
            capture: true,
        })
    }

    /// Gives the stream one period of the input; `behind` frames were recorded after it.
    pub fn run(
        &mut self,
        guest: &mut impl Guest,
        view: &StreamView,
        intake: &Intake,
        behind: u64,
        meters: &SourceMeter,
    ) {
        let doing = self.decide(view);
        meters.doing.store(doing as u32, Relaxed);
        let Some(format) = self
            .format
            .filter(|_| matches!(doing, Doing::Playing | Doing::Discarding))
        else {
            return;
        };
        self.mix(intake, meters);
        let (frames, delay) = self.convert(intake.period);
        let planar = if self.converting { &self.converted } else { &self.mixed };
        let frame_bytes = format.bytes() * self.channels;
        let planar = &planar[..frames * self.channels];
        let bytes = &mut self.bytes[..frames * frame_bytes];
        format.encode(planar, self.channels, bytes);
        raise_peak(&meters.peak_out, meter::peak(planar));
        let behind = behind * u64::from(self.stream_rate) / u64::from(intake.shape.rate.max(1)) + delay;
        let latency_bytes = u32::try_from(behind * frame_bytes as u64).unwrap_or(u32::MAX);
        // A frame that was cut off goes on with the same byte of the next one, so that no channel shifts.
        let from = self.cut.min(bytes.len());
        let pushed = guest.push(self.stream, &bytes[from..], latency_bytes);
        self.cut = (from + pushed) % frame_bytes.max(1);
        count(&meters.starved, u32::from(from + pushed < bytes.len()));
        let whole = ((from + pushed) / frame_bytes.max(1)) as u64;
        meters.frames.store(meters.frames.load(Relaxed) + whole, Relaxed);
    }

    fn decide(&mut self, view: &StreamView) -> Doing {
        if !view.running || self.format.is_none() {
            self.cut = 0;
            return Doing::Idle;
        }
        if self.start_gen != view.start_gen {
            self.start_gen = view.start_gen;
            self.cut = 0;
            if let Some(converter) = &mut self.converter {
                converter.reset();
            }
        }
        match (self.ready, self.allowed) {
            (false, _) => Doing::Held,
            (true, true) => Doing::Playing,
            (true, false) => Doing::Discarding,
        }
    }

    /// The input's channels to the stream's, in `mixed`.
    fn mix(&mut self, intake: &Intake, meters: &SourceMeter) {
        self.mixed.fill(0.0);
        if !self.allowed {
            return;
        }
        raise_peak(&meters.peak_in, meter::peak(&intake.planar));
        let steady = Segment::steady(1.0);
        for (samples, row) in self.mixed.chunks_exact_mut(intake.period).zip(&self.matrix.gains) {
            for (input, &coefficient) in intake.planar.chunks_exact(intake.period).zip(row) {
                gain::mix(samples, input, coefficient, &steady);
            }
        }
    }

    /// To the stream's rate; returns the frames there are now, and the converter's delay.
    fn convert(&mut self, period: usize) -> (usize, u64) {
        let Some(converter) = self.converter.as_mut().filter(|_| self.converting) else {
            return (period, 0);
        };
        let frames = converter.makes();
        let delay = converter.delay() as u64;
        converter.convert(
            &self.mixed[..period * self.channels],
            &mut self.converted[..frames * self.channels],
        );
        (frames, delay)
    }
}
