//! Where a source goes: one tap a zone of the engine's codec, and one a channel group there, each with its moving gain and its channel
//! matrix. A zone's own tap has the channels of no group. A safety source has one a zone, with all channels.

use mix::{Matrix, Ramp, Segment, meter};

use crate::blocks::engine::SourceMeter;
use crate::blocks::gains::Row;

use super::levels::raise_peak;
use super::maps::Maps;
use super::zone::Zone;
use crate::blocks::MAX_ZONES;
use crate::system::{Column, SourceConfig, System};

struct Tap {
    ramp: Ramp,
    generation: u32,
    matrix: Matrix,
    place: Spot,
}

/// Of which channels a tap is.
#[derive(Clone, Copy)]
struct Spot {
    /// Place among the codec's zones.
    zone: usize,
    /// In the gain table.
    column: usize,
    /// Channels of the zone, bit by index.
    channels: u8,
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
    /// Those of a source at a codec.
    pub fn new(system: &System, source: &SourceConfig, codec: usize) -> Self {
        let tap = |place: Spot| Tap {
            ramp: Ramp::at(0.0),
            generation: 0,
            matrix: Matrix::SILENT,
            place,
        };
        Self {
            taps: spots(system, source, codec).into_iter().map(tap).collect(),
            maps: Maps::of(system, source),
            safety: source.safety,
        }
    }

    /// A batch of gains arrived: taps with a new target head for it.
    pub fn take_row(&mut self, row: &Row) {
        for tap in &mut self.taps {
            let wanted = &row.taps[tap.place.column];
            if wanted.generation != tap.generation {
                tap.generation = wanted.generation;
                tap.ramp.head_for(wanted.gain.clamp(0.0, 1.0), wanted.ramp);
            }
        }
    }

    /// A stream of `channels` comes from now on.
    pub fn take_channels(&mut self, channels: usize, zones: &[Zone]) {
        let positions = self.maps.positions(channels);
        for tap in &mut self.taps {
            if let Some(zone) = zones.get(tap.place.zone) {
                tap.matrix = Matrix::between(positions, &zone.positions).only(tap.place.channels);
            }
        }
    }

    /// Something of the source is heard in one of these zones.
    pub fn audible(&self) -> bool {
        self.taps.iter().any(|tap| {
            if self.safety {
                tap.place.safety
            } else {
                !tap.ramp.silent()
            }
        })
    }

    /// One period. Ramps run on also without samples: what a duck does to a paused stream is over when it comes back.
    pub fn run(&mut self, planar: Option<Planar<'_>>, frames: usize, zones: &mut [Zone], meters: &SourceMeter) {
        for tap in &mut self.taps {
            let gain = tap.ramp.advance(frames);
            let Some((planar, zone)) = planar.zip(zones.get_mut(tap.place.zone)) else {
                continue;
            };
            if self.safety && tap.place.safety {
                raise_peak(&meters.peak_out, planar.peak);
                add_safety(planar, tap, zone);
            } else if !self.safety && !gain.silent() {
                raise_peak(&meters.peak_out, planar.peak * gain.loudest());
                add(planar, tap, &gain, zone);
            }
        }
    }
}

/// Where a source has taps at a codec: one a column of its zones that has a channel.
fn spots(system: &System, source: &SourceConfig, codec: usize) -> Vec<Spot> {
    let here = |column: &Column| system.zones[column.zone].codec == codec;
    let here = system.columns().take(MAX_ZONES).enumerate().filter(|it| here(&it.1));
    let spot = |(column, at): (usize, Column)| {
        let zone = &system.zones[at.zone];
        let channels = match at.group {
            Some(_) if source.safety => 0,
            Some(place) => zone.groups[place].channels,
            None if source.safety => u8::MAX,
            None if zone.is_all_groups() => 0,
            None => !zone.grouped(),
        };
        let before = system.zones[..at.zone].iter().filter(|zone| zone.codec == codec);
        Spot {
            zone: before.count(),
            column,
            channels,
            safety: source.safety_zones.contains(&at.zone),
        }
    };
    here.map(spot).filter(|spot| spot.channels != 0).collect()
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
