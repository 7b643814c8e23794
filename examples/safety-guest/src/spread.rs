//! Middle, mean and most of what a take measured, without allocation.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Samples that the middle is found in; those after them count for mean and most.
const KEPT: usize = 8192;

struct Store(UnsafeCell<[[u32; KEPT]; 2]>, AtomicBool);

// SAFETY: handed out to one at a time, as the flag says.
unsafe impl Sync for Store {}

static STORE: Store = Store(UnsafeCell::new([[0; KEPT]; 2]), AtomicBool::new(false));

struct Samples {
    kept: &'static mut [u32],
    count: u32,
    sum: u64,
    most: u32,
}

/// What came of them.
#[derive(Clone, Copy, Default)]
pub struct Spread {
    /// The middle one.
    pub p50: u32,
    /// Their mean.
    pub mean: u32,
    /// The greatest.
    pub most: u32,
}

impl core::fmt::Display for Spread {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(to, "{},{},{}", self.p50, self.mean, self.most)
    }
}

/// Two kinds of samples; their room is free again when this is dropped.
pub struct Two([Samples; 2]);

impl Two {
    /// None while another one is there.
    pub fn new() -> Option<Self> {
        if STORE.1.swap(true, Relaxed) {
            return None;
        }
        // SAFETY: the flag was not set, so nobody else has it.
        let both = unsafe { &mut *STORE.0.get() };
        Some(Self(both.each_mut().map(|kept| Samples {
            kept,
            count: 0,
            sum: 0,
            most: 0,
        })))
    }

    /// One more of each kind.
    pub fn add(&mut self, samples: [u32; 2]) {
        for (all, sample) in self.0.iter_mut().zip(samples) {
            all.add(sample);
        }
    }

    /// What came of them.
    pub fn spreads(mut self) -> [Spread; 2] {
        self.0.each_mut().map(Samples::spread)
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        STORE.1.store(false, Relaxed);
    }
}

impl Samples {
    fn add(&mut self, sample: u32) {
        if let Some(place) = self.kept.get_mut(self.count as usize) {
            *place = sample;
        }
        self.count += 1;
        self.sum += u64::from(sample);
        self.most = self.most.max(sample);
    }

    /// Zeros of none.
    fn spread(&mut self) -> Spread {
        let kept = (self.count as usize).min(KEPT);
        let Some(samples) = self.kept.get_mut(..kept).filter(|samples| !samples.is_empty()) else {
            return Spread::default();
        };
        samples.sort_unstable();
        Spread {
            p50: samples[kept / 2],
            mean: (self.sum / u64::from(self.count)) as u32,
            most: self.most,
        }
    }
}
