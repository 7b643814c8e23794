//! Frames of a stream that were pulled and not yet played: what `latency_bytes` tells the guest.

/// Periods remembered; a lead is far shorter.
const PERIODS: usize = 64;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// Codec frame at which a pull is played to its end, and frames pulled (at the stream's rate).
    pulls: [(u64, u64); PERIODS],
    next: usize,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            pulls: [(0, 0); PERIODS],
            next: 0,
        }
    }
}

impl Pending {
    /// Remembers a pull that is played to its end before codec frame `until`.
    pub fn add(&mut self, until: u64, frames: u64) {
        self.pulls[self.next] = (until, frames);
        self.next = (self.next + 1) % PERIODS;
    }

    /// Frames pending when codec frame `played` is next, with `more` about to be pulled.
    pub fn now(&self, played: u64, more: u64) -> u64 {
        let pending = self.pulls.iter().filter(|(until, _)| *until > played);
        more + pending.map(|(_, frames)| frames).sum::<u64>()
    }
}
