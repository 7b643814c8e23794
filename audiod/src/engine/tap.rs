//! Where a source goes: one tap a zone of the engine's codec, each with its moving gain and its channel matrix.

use mix::{Matrix, Ramp, Segment, meter};

use crate::blocks::engine::SourceMeter;
use crate::blocks::gains::Row;

use super::levels::raise_peak;
use super::maps::Maps;
use super::zone::Zone;

struct Tap {
    ramp: Ramp,
    generation: u32,
    matrix: Matrix,
    /// A safety source sounds in this zone.
    safety: bool,
}

/// See the module.
pub(super) struct Taps {
    taps: Vec<Tap>,
    maps: Maps,
    /// The gain table has no say; added after the limiter.
    pub safety: bool,
}

/// Planar samples of one period, each channel `frames` long.
#[derive(Clone, Copy)]
pub(super) struct Planar<'a> {
    pub samples: &'a [f32],
    pub frames: usize,
    pub channels: usize,
    /// Highest magnitude in it.
    pub peak: f32,
}

impl Taps {
    /// `safety_zones`: one a zone of this codec.
    pub fn new(safety: bool, safety_zones: &[bool], maps: Maps) -> Self {
        let tap = |&safety: &bool| Tap {
            ramp: Ramp::at(0.0),
            generation: 0,
            matrix: Matrix::SILENT,
            safety,
        };
        Self {
            taps: safety_zones.iter().map(tap).collect(),
            maps,
            safety,
        }
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

    /// A stream of `channels` comes from now on.
    pub fn take_channels(&mut self, channels: usize, zones: &[Zone]) {
        let positions = self.maps.positions(channels);
        for (tap, zone) in self.taps.iter_mut().zip(zones) {
            tap.matrix = Matrix::between(positions, &zone.positions);
        }
    }

    /// Something of the source is heard in one of these zones.
    pub fn audible(&self) -> bool {
        self.taps
            .iter()
            .any(|tap| if self.safety { tap.safety } else { !tap.ramp.silent() })
    }

    /// One period. Ramps run on also without samples: what a duck does to a paused stream is over when it comes back.
    pub fn run(&mut self, planar: Option<Planar<'_>>, frames: usize, zones: &mut [Zone], meters: &SourceMeter) {
        for (tap, zone) in self.taps.iter_mut().zip(zones) {
            let gain = tap.ramp.advance(frames);
            let Some(planar) = planar else { continue };
            if self.safety && tap.safety {
                raise_peak(&meters.peak_out, planar.peak);
                add_safety(planar, tap, zone);
            } else if !self.safety && !gain.silent() {
                raise_peak(&meters.peak_out, planar.peak * gain.loudest());
                add(planar, tap, &gain, zone);
            }
        }
    }
}

fn add(planar: Planar<'_>, tap: &Tap, gain: &Segment, zone: &mut Zone) {
    for (channel, samples) in planar.channels() {
        zone.add(&tap.matrix, channel, samples, gain);
    }
}

fn add_safety(planar: Planar<'_>, tap: &Tap, zone: &mut Zone) {
    let unity = Segment::steady(1.0);
    for (channel, samples) in planar.channels() {
        zone.add_safety(&tap.matrix, channel, samples, &unity);
    }
}

impl<'a> Planar<'a> {
    /// The first `channels` of `samples`, measured.
    pub fn new(samples: &'a [f32], frames: usize, channels: usize) -> Self {
        let samples = &samples[..(frames * channels).min(samples.len())];
        Self {
            samples,
            frames,
            channels,
            peak: meter::peak(samples),
        }
    }

    fn channels(self) -> impl Iterator<Item = (usize, &'a [f32])> {
        self.samples
            .chunks_exact(self.frames.max(1))
            .take(self.channels)
            .enumerate()
    }
}
