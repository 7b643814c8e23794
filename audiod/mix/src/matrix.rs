//! Which channel goes where, by `VIRTIO_SND_CHMAP_*` positions (virtio 1.3 §5.14.6.9.1).
//!
//! A position that both sides have is passed on unchanged. One that only the stream has is folded into the zone's nearest
//! speakers (centre and surrounds at -3 dB, LFE left out); nothing is normalised: what gets too loud is the limiter's
//! business, so that a stream alone keeps its bits.

use crate::MAX_CHANNELS;

/// `VIRTIO_SND_CHMAP_*`, as far as used here.
pub mod position {
    /// No position.
    pub const NONE: u8 = 0;
    /// One channel for all.
    pub const MONO: u8 = 2;
    /// Front left.
    pub const FL: u8 = 3;
    /// Front right.
    pub const FR: u8 = 4;
    /// Rear left.
    pub const RL: u8 = 5;
    /// Rear right.
    pub const RR: u8 = 6;
    /// Front centre.
    pub const FC: u8 = 7;
    /// Low frequency effects.
    pub const LFE: u8 = 8;
    /// Side left.
    pub const SL: u8 = 9;
    /// Side right.
    pub const SR: u8 = 10;
    /// Rear centre.
    pub const RC: u8 = 11;
}

use position::{FC, FL, FR, LFE, MONO, RC, RL, RR, SL, SR};

/// -3 dB.
const HALF_POWER: f32 = core::f32::consts::FRAC_1_SQRT_2;

/// The usual positions of a stream of `channels` that brought no map (the order of the stock driver's standard maps).
pub fn usual(channels: usize) -> &'static [u8] {
    match channels {
        1 => &[MONO],
        2 => &[FL, FR],
        3 => &[FL, FR, FC],
        4 => &[FL, FR, RL, RR],
        5 => &[FL, FR, RL, RR, FC],
        6 => &[FL, FR, RL, RR, FC, LFE],
        7 => &[FL, FR, RL, RR, FC, LFE, RC],
        8 => &[FL, FR, RL, RR, FC, LFE, SL, SR],
        _ => &[],
    }
}

/// Coefficients from stream channels to zone channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    /// `[zone channel][stream channel]`.
    pub gains: [[f32; MAX_CHANNELS]; MAX_CHANNELS],
}

impl Matrix {
    /// Nothing goes anywhere.
    pub const SILENT: Self = Self {
        gains: [[0.0; MAX_CHANNELS]; MAX_CHANNELS],
    };

    /// From a stream's positions to a zone's. Channels beyond eight are left out.
    pub fn between(stream: &[u8], zone: &[u8]) -> Self {
        let mut matrix = Self::SILENT;
        let zone = &zone[..zone.len().min(MAX_CHANNELS)];
        for (from, &wanted) in stream.iter().take(MAX_CHANNELS).enumerate() {
            matrix.place(from, wanted, zone);
        }
        if let [MONO] = zone {
            matrix.average(stream);
        }
        matrix
    }

    /// Of the zone's channels only these, bit by index.
    #[must_use]
    pub fn only(mut self, channels: u8) -> Self {
        for (channel, row) in self.gains.iter_mut().enumerate() {
            if channels >> channel & 1 == 0 {
                *row = [0.0; MAX_CHANNELS];
            }
        }
        self
    }

    fn place(&mut self, from: usize, wanted: u8, zone: &[u8]) {
        if let Some(to) = zone.iter().position(|&at| at == wanted) {
            self.gains[to][from] = 1.0;
            return;
        }
        for &(targets, gain) in folds(wanted) {
            let mut found = false;
            for target in targets {
                if let Some(to) = zone.iter().position(|at| at == target) {
                    self.gains[to][from] = gain;
                    found = true;
                }
            }
            if found {
                return;
            }
        }
    }

    /// A mono zone hears all full-range channels alike, together at most as loud as one.
    fn average(&mut self, stream: &[u8]) {
        let heard = |&&at: &&u8| at != LFE && at != position::NONE;
        let count = stream.iter().take(MAX_CHANNELS).filter(heard).count().max(1);
        for (gain, at) in self.gains[0].iter_mut().zip(stream) {
            *gain = if heard(&at) { 1.0 / count as f32 } else { 0.0 };
        }
    }
}

type Fold = (&'static [u8], f32);

/// Where a position goes that the zone lacks: the first row of which the zone has a speaker.
fn folds(wanted: u8) -> &'static [Fold] {
    match wanted {
        MONO => &[(&[FC], 1.0), (&[FL, FR], 1.0)],
        FC => &[(&[MONO], 1.0), (&[FL, FR], HALF_POWER)],
        FL | FR => &[(&[MONO], 1.0), (&[FC], HALF_POWER)],
        RL => &[(&[SL], 1.0), (&[FL], HALF_POWER), (&[FC], 0.5)],
        RR => &[(&[SR], 1.0), (&[FR], HALF_POWER), (&[FC], 0.5)],
        SL => &[(&[RL], 1.0), (&[FL], HALF_POWER), (&[FC], 0.5)],
        SR => &[(&[RR], 1.0), (&[FR], HALF_POWER), (&[FC], 0.5)],
        RC => &[(&[RL, RR], HALF_POWER), (&[SL, SR], HALF_POWER), (&[FL, FR], 0.5)],
        _ => &[],
    }
}
