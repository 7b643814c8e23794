//! A zone while it is mixed: the bus that policy fills, the safety slots that it can't reach, and the limiter between them.

use mix::{Format, Limiter, MAX_CHANNELS, Matrix, Segment, gain, meter};

use crate::blocks::engine::ZoneMeter;
use crate::system::ZoneConfig;

use super::levels::{lower_floor, raise_peak};

/// Time in which a limiter comes back, ms.
const RELEASE_MS: u32 = 100;

/// See the module.
pub(super) struct Zone {
    /// Index in `System::zones`.
    pub index: usize,
    outputs: Vec<usize>,
    pub positions: Vec<u8>,
    period: usize,
    bus: Vec<f32>,
    safety: Vec<f32>,
    safety_used: bool,
    limiter: Limiter,
    full_scale: f32,
}

impl Zone {
    pub fn new(index: usize, config: &ZoneConfig, period: usize, rate: u32, format: Format) -> Self {
        let channels = config.channels.len().min(MAX_CHANNELS);
        Self {
            index,
            outputs: config
                .channels
                .iter()
                .take(channels)
                .map(|&channel| channel as usize)
                .collect(),
            positions: config.positions.iter().take(channels).copied().collect(),
            period,
            bus: vec![0.0; channels * period],
            safety: vec![0.0; channels * period],
            safety_used: false,
            limiter: Limiter::new(rate / 1000 * RELEASE_MS),
            full_scale: format.full_scale(),
        }
    }

    pub fn clear(&mut self) {
        self.bus.fill(0.0);
        if std::mem::take(&mut self.safety_used) {
            self.safety.fill(0.0);
        }
    }

    /// Adds one channel of a stream below the limiter.
    pub fn add(&mut self, matrix: &Matrix, channel: usize, samples: &[f32], gain: &Segment) {
        for (bus, row) in self.bus.chunks_exact_mut(self.period).zip(&matrix.gains) {
            gain::mix(bus, samples, row[channel], gain);
        }
    }

    /// Adds one channel of a safety stream or chime above the limiter.
    pub fn add_safety(&mut self, matrix: &Matrix, channel: usize, samples: &[f32], gain: &Segment) {
        self.safety_used = true;
        for (bus, row) in self.safety.chunks_exact_mut(self.period).zip(&matrix.gains) {
            gain::mix(bus, samples, row[channel], gain);
        }
    }

    /// Limits the bus to what the safety slots leave, and adds both to the codec's channels.
    pub fn finish(&mut self, output: &mut [f32], meters: &ZoneMeter) {
        let need = if self.safety_used {
            meter::peak(&self.safety)
        } else {
            0.0
        };
        // Without safety sound the codec's own format is the ceiling: a sample of exactly -1.0 has to pass.
        let ceiling = if need > 0.0 { self.full_scale - need } else { 1.0 };
        let limited = self.limiter.run(&mut self.bus, self.outputs.len(), ceiling);
        raise_peak(&meters.peak, limited.peak);
        lower_floor(&meters.limiter, limited.gain);
        for (zone_channel, &codec_channel) in self.outputs.iter().enumerate() {
            let here = zone_channel * self.period..(zone_channel + 1) * self.period;
            let there = codec_channel * self.period..(codec_channel + 1) * self.period;
            if let Some(out) = output.get_mut(there) {
                gain::add(out, &self.bus[here.clone()]);
                if self.safety_used {
                    gain::add(out, &self.safety[here]);
                }
            }
        }
    }
}
