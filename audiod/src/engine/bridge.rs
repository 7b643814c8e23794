//! From one codec's clock to another's: a source whose home codec is not the zone's is heard through a small FIFO and a
//! resampler that follows the drift.
//!
//! ```text
//!  home engine, its clock                                   sink engine, its clock
//!  pull ─► decode ─► convert ─► Sender ──frames (rtrb)──► Receiver ─► resampler ─► taps ─► zones
//!                                 ◄──heard, audible (Link)──┘   └ ratio steered by the fill (PI)
//!
//!  Receiver:  waiting ──fill reaches the target──► flowing ──runs dry──► waiting
//! ```
//! The target is what the sink takes at once plus one period of the home codec (it comes in periods) plus one more of the
//! longer of both for late wake-ups. Neither side waits for the other: a FIFO that is full or dry is counted and heard. At
//! most [`PULL`] of speed is added or taken away, so no clock within that is ever out of step.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Release},
};

use mix::MAX_CHANNELS;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::blocks::engine::SourceMeter;
use crate::blocks::gains::{Mode, Row};
use crate::system::{CodecConfig, System};

use super::latency::Pending;
use super::levels::count;
use super::resample::{Steer, bridge_converter};
use super::tap::{Planar, Taps};
use super::zone::Zone;

/// Most that the resampler leaves its nominal ratio.
const PULL: f64 = 0.005;
/// Time in which a fill error is worked off, s.
const SETTLE: f64 = 1.0;
/// Time over which the fill is averaged, s.
const SMOOTH: f64 = 0.1;
const NS: u128 = 1_000_000_000;
/// The FIFO's size, in targets.
const ROOM: usize = 6;

/// One frame at the home codec's rate.
#[derive(Clone, Copy)]
struct Frame {
    /// Which START it belongs to, and of how many channels.
    start: u32,
    channels: u32,
    samples: [f32; MAX_CHANNELS],
}

/// What both ends know.
#[derive(Default)]
struct Link {
    /// Time of the last push, ns of the engines' clock.
    pushed_ns: AtomicU64,
    /// When frame 0 would have been heard at the present pace, ns: with the time, it says which frame is heard now.
    epoch_ns: AtomicU64,
    /// A zone of the sink hears it.
    audible: AtomicBool,
}

/// The home engine's end.
pub(super) struct Sender {
    /// Index in `System::sources`.
    pub source: usize,
    frames: Producer<Frame>,
    link: Arc<Link>,
    sent: u64,
}

/// The sink engine's end.
pub(super) struct Receiver {
    /// Index in `System::sources`.
    pub source: usize,
    frames: Consumer<Frame>,
    link: Arc<Link>,
    taps: Taps,
    resampler: Box<dyn Steer>,
    input: Vec<f32>,
    output: Vec<f32>,
    channels: usize,
    /// Channels the matrix is made for.
    shown: usize,
    start: u32,
    control: Control,
    pending: Pending,
    taken: u64,
    flowing: bool,
}

/// One codec's ends of all bridges; see [`build`].
#[derive(Default)]
pub struct Bridges {
    pub(super) senders: Vec<Sender>,
    pub(super) receivers: Vec<Receiver>,
}

/// All bridges of a system, by codec: between the home codec of each playback source and every other codec that has a zone.
/// A pair that no resampler can be made for is left out.
pub fn build(system: &System) -> Vec<Bridges> {
    let mut all: Vec<Bridges> = system.codecs.iter().map(|_| Bridges::default()).collect();
    for (index, source) in system.sources.iter().enumerate().take(crate::blocks::MAX_SOURCES) {
        if super::records(system, source) {
            continue;
        }
        for sink in (0..system.codecs.len()).filter(|&sink| sink != source.codec) {
            let Some((sender, receiver)) = pair(system, index, sink) else {
                continue;
            };
            if let (Some(home), true) = (all.get_mut(source.codec), sink != source.codec) {
                home.senders.push(sender);
                all[sink].receivers.push(receiver);
            }
        }
    }
    all
}

fn pair(system: &System, index: usize, sink: usize) -> Option<(Sender, Receiver)> {
    let source = &system.sources[index];
    let (from, to) = (system.codecs.get(source.codec)?, &system.codecs[sink]);
    if system.zones.iter().all(|zone| zone.codec != sink) || from.rate == 0 || to.rate == 0 {
        return None;
    }
    let stream = system
        .guests
        .get(source.guest)
        .and_then(|guest| guest.device.streams.get(source.stream));
    let channels = stream.map_or(MAX_CHANNELS, |stream| {
        usize::from(stream.channels_max).clamp(1, MAX_CHANNELS)
    });
    let period = super::period_of(to);
    let resampler = bridge_converter((from.rate, to.rate), channels, period, PULL * 2.0)?;
    let control = Control::new(from, to);
    let (producer, consumer) = RingBuffer::new(control.target as usize * ROOM);
    let link = Arc::<Link>::default();
    let receiver = Receiver {
        source: index,
        frames: consumer,
        link: Arc::clone(&link),
        taps: Taps::new(system, source, sink),
        input: vec![0.0; resampler.needs_at_most() * channels],
        output: vec![0.0; period * channels],
        resampler,
        channels,
        shown: 0,
        start: 0,
        control,
        pending: Pending::default(),
        taken: 0,
        flowing: false,
    };
    let sender = Sender {
        source: index,
        frames: producer,
        link,
        sent: 0,
    };
    Some((sender, receiver))
}

impl Sender {
    /// Sends one period. Frames that a standing sink has no room for are lost to it.
    pub fn send(&mut self, planar: Planar<'_>, start: u32, now_ns: u64) {
        for index in 0..planar.frames {
            let mut samples = [0.0; MAX_CHANNELS];
            let channels = planar.samples.chunks_exact(planar.frames).take(planar.channels);
            for (sample, channel) in samples.iter_mut().zip(channels) {
                *sample = channel[index];
            }
            let frame = Frame {
                start,
                channels: planar.channels as u32,
                samples,
            };
            if self.frames.push(frame).is_err() {
                break;
            }
            self.sent += 1;
        }
        self.link.pushed_ns.store(now_ns, Release);
    }

    /// Frames sent and not yet heard at `now_ns`, at the home codec's `rate`; `None` when nobody listens.
    pub fn pending(&self, now_ns: u64, rate: u32) -> Option<u64> {
        let since = now_ns.wrapping_sub(self.link.epoch_ns.load(Acquire));
        let heard = u128::from(since) * u128::from(rate) / NS;
        let pending = u128::from(self.sent).saturating_sub(heard) as u64;
        self.link.audible.load(Acquire).then_some(pending)
    }
}

/// The period at hand, as a receiver needs it.
pub(super) struct Now {
    /// Codec frame this period is written at.
    pub at: u64,
    /// Codec frame played next.
    pub played: u64,
    /// What is mixed is written; not while the codec stands still.
    pub written: bool,
    pub ns: u64,
    pub period: usize,
}

impl Receiver {
    /// A batch of gains arrived.
    pub fn take_row(&mut self, row: &Row) {
        self.taps.take_row(row);
    }

    /// One period.
    pub fn run(&mut self, now: &Now, row: &Row, zones: &mut [Zone], meters: &SourceMeter) {
        let heard = (self.taps.safety || row.mode == Mode::Play) && self.taps.audible();
        if heard {
            self.flow(now, zones, meters);
        } else {
            self.flowing = false;
            self.keep_newest();
        }
        let heard = heard && self.flowing;
        let planar = heard.then(|| Planar::new(&self.output, now.period, self.shown));
        self.taps.run(planar, now.period, zones, meters);
        let frames = self.taken - self.pending.now(now.played, 0).min(self.taken);
        let since = u128::from(frames) * NS / u128::from(self.control.rate);
        self.link.epoch_ns.store(now.ns.wrapping_sub(since as u64), Release);
        self.link.audible.store(heard, Release);
    }

    /// The codec plays the period that was due at frame `at` only `by` frames later.
    pub fn played_later(&mut self, at: u64, by: u64) {
        self.pending.moved(at, by);
    }

    /// Nobody listens: no more than the target stays, so that whoever listens next hears the first frame.
    fn keep_newest(&mut self) {
        let surplus = self.frames.slots().saturating_sub(self.control.target as usize);
        for _ in 0..surplus {
            let _ = self.frames.pop();
        }
        self.taken += surplus as u64;
    }

    fn flow(&mut self, now: &Now, zones: &[Zone], meters: &SourceMeter) {
        let fill = self.frames.slots();
        if !self.flowing {
            // Frames that nobody follows are all there will be: those that are there are heard too.
            let ended = now.ns.saturating_sub(self.link.pushed_ns.load(Acquire)) > self.control.wait_ns;
            if (fill as f64) < self.control.target && !(ended && fill > 0) {
                return;
            }
            self.flowing = true;
            self.resampler.reset();
            self.control.restart();
        }
        let pushed = self.link.pushed_ns.load(Acquire);
        let speed = self.control.step(fill, now.ns.saturating_sub(pushed));
        self.resampler.steer(1.0 / (1.0 + speed));
        let needs = self.resampler.needs();
        let got = self.take(needs, zones);
        self.taken += got as u64;
        if now.written {
            let at = now.at + self.resampler.delay() as u64;
            self.pending.add(at, now.period as u64, got as u64, needs as u64);
        }
        self.resampler.convert(
            &self.input[..needs * self.channels],
            &mut self.output[..now.period * self.channels],
        );
        if got == 0 {
            // The filter has rung out, and nothing followed.
            self.flowing = false;
        }
        count(&meters.starved, u32::from(got < needs));
    }

    /// Up to `needs` frames of one START, planar, silence behind them.
    fn take(&mut self, needs: usize, zones: &[Zone]) -> usize {
        let mut got = 0;
        self.input[..needs * self.channels].fill(0.0);
        while got < needs {
            let Ok(&frame) = self.frames.peek() else { break };
            if (frame.start, frame.channels as usize) != (self.start, self.shown) {
                if got > 0 {
                    break;
                }
                self.start = frame.start;
                self.shown = (frame.channels as usize).min(self.channels);
                self.taps.take_channels(self.shown, zones);
            }
            let _ = self.frames.pop();
            for (channel, sample) in frame.samples.iter().take(self.channels).enumerate() {
                self.input[channel * needs + got] = *sample;
            }
            got += 1;
        }
        got
    }
}

/// Steers the fill to its target: proportional and integral, critically damped.
struct Control {
    target: f64,
    /// Frames the home codec sends at once.
    chunk: f64,
    /// The home codec's rate, Hz; not 0.
    rate: u32,
    /// Time without a frame after which no more are waited for.
    wait_ns: u64,
    smoothing: f64,
    proportional: f64,
    integral: f64,
    error: f64,
    sum: f64,
    settled: bool,
}

impl Control {
    fn new(from: &CodecConfig, to: &CodecConfig) -> Self {
        let (home, sink) = (super::period_of(from) as f64, super::period_of(to) as f64);
        let rate = f64::from(from.rate);
        let takes = sink * rate / f64::from(to.rate);
        let step = sink / f64::from(to.rate);
        let proportional = 2.0 / (rate * SETTLE);
        Self {
            target: (takes + home + takes.max(home)).ceil() + 4.0,
            chunk: home,
            rate: from.rate,
            wait_ns: (4.0 * home.max(takes) / rate * 1e9) as u64,
            smoothing: step / SMOOTH,
            proportional,
            integral: proportional / (2.0 * SETTLE) * step,
            error: 0.0,
            sum: 0.0,
            settled: false,
        }
    }

    fn restart(&mut self) {
        self.settled = false;
        self.error = 0.0;
    }

    /// How much faster than nominal the sink is to take frames, from the fill it finds `since_ns` after the last push.
    fn step(&mut self, fill: usize, since_ns: u64) -> f64 {
        // What the home codec has recorded of its next push counts: without it, the fill is a saw.
        let coming = (since_ns as f64 * f64::from(self.rate) / 1e9).min(self.chunk);
        let error = fill as f64 + coming - self.target;
        if self.settled {
            self.error += (error - self.error) * self.smoothing.min(1.0);
            self.sum = (self.sum + self.error * self.integral).clamp(-PULL, PULL);
        } else {
            self.settled = true;
            self.error = error;
        }
        (self.error * self.proportional + self.sum).clamp(-PULL, PULL)
    }
}
