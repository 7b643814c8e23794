//! What is played: 1 kHz on the left, and on the right a counter, so that each frame is unlike its neighbours and the check
//! outside is exact.

/// Frames of a cycle.
const CYCLE: u32 = 48;

/// See the module.
#[derive(Clone, Copy)]
pub struct Tone {
    /// Bits below full scale (6 dB each), at most 8.
    pub headroom: u32,
}

impl Tone {
    /// A frame: left in the low half, right in the high one.
    pub fn frame(self, n: u32) -> u32 {
        let phase = (n % CYCLE) as i32;
        let triangle = if phase < 24 { phase } else { 48 - phase };
        let left = (triangle * 2000 - 24_000) >> self.headroom;
        let right = ((n & 0x7fff) as i32) >> self.headroom;
        (left as u32 & 0xffff) | (right as u32) << 16
    }
}
