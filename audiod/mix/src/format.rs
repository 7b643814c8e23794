//! Samples as bytes: every linear PCM format of virtio-sound (virtio 1.3 §5.14.6.6.2, `VIRTIO_SND_PCM_FMT_*`), little endian.
//!
//! Integers of up to 24 bits pass through `f32` and back bit for bit; wider ones keep 24 bits. The way back rounds to the
//! nearest value (ties to even) and saturates. No dither: the bits either fit or the listener's codec has fewer than ours.

/// Loudest magnitude taken from a guest: +18 dBFS.
pub const LOUDEST: f32 = 7.943_282;

/// Samples that were not taken as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// NaN, became 0.
    pub not_a_number: u32,
    /// Beyond [`LOUDEST`], clamped to it.
    pub clamped: u32,
}

/// A sample format. `S20` and `S24` lie in the low bits of four bytes, `S18_3` and the like in the low bits of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Format {
    S8,
    U8,
    S16,
    U16,
    S18In3,
    U18In3,
    S20In3,
    U20In3,
    S24In3,
    U24In3,
    S20,
    U20,
    S24,
    U24,
    S32,
    U32,
    Float,
    Float64,
}

/// Adding this much rounds an `f64` to the nearest integer, ties to even: 1.5 * 2^52, whose last bit counts ones.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

impl Format {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::S8,
        Self::U8,
        Self::S16,
        Self::U16,
        Self::S18In3,
        Self::U18In3,
        Self::S20In3,
        Self::U20In3,
        Self::S24In3,
        Self::U24In3,
        Self::S20,
        Self::U20,
        Self::S24,
        Self::U24,
        Self::S32,
        Self::U32,
        Self::Float,
        Self::Float64,
    ];

    /// From `VIRTIO_SND_PCM_FMT_*`; `None` for what is not linear PCM (ADPCM, μ-law, A-law, DSD, IEC 958).
    pub fn from_virtio(number: u32) -> Option<Self> {
        Self::ALL.get((number as usize).checked_sub(3)?).copied()
    }

    /// Bytes of one sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::S8 | Self::U8 => 1,
            Self::S16 | Self::U16 => 2,
            Self::S18In3 | Self::U18In3 | Self::S20In3 | Self::U20In3 | Self::S24In3 | Self::U24In3 => 3,
            Self::Float64 => 8,
            _ => 4,
        }
    }

    /// Significant bits of an integer format; 24 and 53 for the floats (their mantissas).
    pub const fn bits(self) -> u32 {
        match self {
            Self::S8 | Self::U8 => 8,
            Self::S16 | Self::U16 => 16,
            Self::S18In3 | Self::U18In3 => 18,
            Self::S20In3 | Self::U20In3 | Self::S20 | Self::U20 => 20,
            Self::S24In3 | Self::U24In3 | Self::S24 | Self::U24 | Self::Float => 24,
            Self::S32 | Self::U32 => 32,
            Self::Float64 => 53,
        }
    }

    const fn unsigned(self) -> bool {
        matches!(
            self,
            Self::U8 | Self::U16 | Self::U18In3 | Self::U20In3 | Self::U24In3 | Self::U20 | Self::U24 | Self::U32
        )
    }

    /// Largest value that the way back does not saturate.
    pub fn full_scale(self) -> f32 {
        match self {
            Self::Float | Self::Float64 => 1.0,
            Self::S32 | Self::U32 => 1.0 - f32::EPSILON / 2.0,
            _ => 1.0 - 1.0 / (1u32 << (self.bits() - 1)) as f32,
        }
    }

    /// Takes interleaved frames of `channels` apart into `planar`, `channels` slices of one length, one behind the other. Stops
    /// at the shorter of both and leaves the rest as it is.
    pub fn decode(self, bytes: &[u8], channels: usize, planar: &mut [f32], faults: &mut Faults) {
        match self {
            Self::S8 | Self::U8 => self.decode_integer::<1>(bytes, channels, planar),
            Self::S16 | Self::U16 => self.decode_integer::<2>(bytes, channels, planar),
            Self::Float => take(bytes, channels, planar, |b| taken(f32::from_le_bytes(b), faults)),
            Self::Float64 => take(bytes, channels, planar, |b| taken(f64::from_le_bytes(b) as f32, faults)),
            _ if self.bytes() == 3 => self.decode_integer::<3>(bytes, channels, planar),
            _ => self.decode_integer::<4>(bytes, channels, planar),
        }
    }

    fn decode_integer<const N: usize>(self, bytes: &[u8], channels: usize, planar: &mut [f32]) {
        let shift = 32 - self.bits();
        let flip = if self.unsigned() { 1u32 << 31 } else { 0 };
        take(bytes, channels, planar, |sample: [u8; N]| {
            let mut word = [0; 4];
            word[..N].copy_from_slice(&sample);
            // Left-justified, so that bits above the significant ones (which a guest may leave dirty) fall away.
            let value = (u32::from_le_bytes(word) << shift) ^ flip;
            value.cast_signed() as f32 * (1.0 / 2_147_483_648.0)
        });
    }

    /// Puts `planar`, `channels` slices of one length, together to interleaved frames. Stops at the shorter of both. NaN becomes 0.
    pub fn encode(self, planar: &[f32], channels: usize, bytes: &mut [u8]) {
        match self {
            Self::S8 | Self::U8 => self.encode_integer::<1>(planar, channels, bytes),
            Self::S16 | Self::U16 => self.encode_integer::<2>(planar, channels, bytes),
            Self::Float => put(planar, channels, bytes, |x| finite(x).to_le_bytes()),
            Self::Float64 => put(planar, channels, bytes, |x| f64::from(finite(x)).to_le_bytes()),
            _ if self.bytes() == 3 => self.encode_integer::<3>(planar, channels, bytes),
            _ => self.encode_integer::<4>(planar, channels, bytes),
        }
    }

    fn encode_integer<const N: usize>(self, planar: &[f32], channels: usize, bytes: &mut [u8]) {
        let scale = (1u64 << (self.bits() - 1)) as f64;
        let flip = if self.unsigned() { 1u32 << (self.bits() - 1) } else { 0 };
        // Unsigned values have no sign to extend into the bits above the significant ones.
        let mask = if self.unsigned() {
            u32::MAX >> (32 - self.bits())
        } else {
            u32::MAX
        };
        put(planar, channels, bytes, |x| {
            let wanted = (f64::from(finite(x)) * scale).clamp(-scale, scale - 1.0);
            // The integer is then the low half of the mantissa, in two's complement.
            let rounded = (wanted + ROUNDING).to_bits() as u32;
            let word = (rounded ^ flip) & mask;
            let mut sample = [0; N];
            sample.copy_from_slice(&word.to_le_bytes()[..N]);
            sample
        });
    }
}

// One and two channels have loops of their own, which the compiler can make vectors of: nearly all streams and codecs are that.

fn take<const N: usize>(bytes: &[u8], channels: usize, planar: &mut [f32], mut read: impl FnMut([u8; N]) -> f32) {
    let (samples, _) = bytes.as_chunks::<N>();
    let frames = planar.len() / channels.max(1);
    match channels {
        1 => planar
            .iter_mut()
            .zip(samples)
            .for_each(|(out, sample)| *out = read(*sample)),
        2 => {
            let (left, right) = planar.split_at_mut(frames);
            let (pairs, _) = samples.as_chunks::<2>();
            for ((left, right), pair) in left.iter_mut().zip(right).zip(pairs) {
                (*left, *right) = (read(pair[0]), read(pair[1]));
            }
        }
        _ => {
            for (channel, out) in planar.chunks_exact_mut(frames.max(1)).take(channels).enumerate() {
                let mine = samples.iter().skip(channel).step_by(channels);
                out.iter_mut().zip(mine).for_each(|(out, sample)| *out = read(*sample));
            }
        }
    }
}

fn put<const N: usize>(planar: &[f32], channels: usize, bytes: &mut [u8], write: impl Fn(f32) -> [u8; N]) {
    let (slots, _) = bytes.as_chunks_mut::<N>();
    let frames = planar.len() / channels.max(1);
    match channels {
        1 => slots
            .iter_mut()
            .zip(planar)
            .for_each(|(slot, sample)| *slot = write(*sample)),
        2 => {
            let (left, right) = planar.split_at(frames);
            let (pairs, _) = slots.as_chunks_mut::<2>();
            for (pair, (left, right)) in pairs.iter_mut().zip(left.iter().zip(right)) {
                *pair = [write(*left), write(*right)];
            }
        }
        _ => {
            for (channel, samples) in planar.chunks_exact(frames.max(1)).take(channels).enumerate() {
                let mine = slots.iter_mut().skip(channel).step_by(channels);
                mine.zip(samples).for_each(|(slot, sample)| *slot = write(*sample));
            }
        }
    }
}

fn finite(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample }
}

/// A guest's float as we take it.
fn taken(sample: f32, faults: &mut Faults) -> f32 {
    if sample.is_nan() {
        faults.not_a_number = faults.not_a_number.saturating_add(1);
        return 0.0;
    }
    if sample.abs() > LOUDEST {
        faults.clamped = faults.clamped.saturating_add(1);
        return LOUDEST.copysign(sample);
    }
    sample
}
