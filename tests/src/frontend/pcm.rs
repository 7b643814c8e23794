//! A player and a recorder in the stock driver's order, paced by completions only.
//!
//! ```text
//!  open: SET_PARAMS ─ PREPARE ─► fill the ring ─ START ─► refill what came back … ─► drained ─ STOP ─ RELEASE ─► closed
//! ```

use std::time::{Duration, Instant};

use super::proto::{Params, RXQ, S_OK, TXQ, code};
use super::{FrontendError, Slot, SoundFrontend};

/// What a run showed.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Stats {
    /// Messages that came back with OK.
    pub completions: u64,
    /// Messages that came back with an error.
    pub errors: u64,
    /// Times all of a full ring came back between two looks, which a stock driver takes for no progress (EIO).
    pub full_laps: u64,
    /// Messages that never came back.
    pub lost: u64,
    /// XRUN events.
    pub xruns: u64,
    /// Smallest, largest and last `latency_bytes`.
    pub latency_bytes: (u32, u32, u32),
    /// Gaps between completions, ms: median, 99th percentile, largest.
    pub gap_ms: (f64, f64, f64),
    /// From START to the last completion, ms.
    pub wall_ms: f64,
    /// When START had been answered.
    #[serde(skip)]
    pub started: Option<Instant>,
    /// When full laps were found.
    #[serde(skip)]
    pub laps: Vec<Instant>,
}

/// One stream's open PCM.
#[derive(Debug)]
pub struct Pcm {
    /// Stream id.
    pub stream: u32,
    /// As set.
    pub params: Params,
    /// The ring's messages.
    pub slots: Vec<Slot>,
    queue: usize,
}

fn ok(what: &str, status: u32) -> Result<(), FrontendError> {
    if status == S_OK {
        Ok(())
    } else {
        Err(FrontendError::Refused {
            what: what.into(),
            status,
        })
    }
}

impl Pcm {
    /// SET_PARAMS and PREPARE of a playback (TXQ) or capture (RXQ) stream, and room for its ring.
    ///
    /// # Errors
    /// Refused or Timeout, OutOfMemory.
    pub fn open(fe: &mut SoundFrontend, queue: usize, stream: u32, params: Params) -> Result<Self, FrontendError> {
        let count = (params.buffer_bytes / params.period_bytes.max(1)) as usize;
        let slots = fe.slots(queue, stream, params.period_bytes, count)?;
        let pcm = Self {
            stream,
            params,
            slots,
            queue,
        };
        pcm.prepare(fe)?;
        Ok(pcm)
    }

    /// SET_PARAMS and PREPARE again, as for each cycle of a stock driver.
    ///
    /// # Errors
    /// Refused or Timeout.
    pub fn prepare(&self, fe: &mut SoundFrontend) -> Result<(), FrontendError> {
        ok("SET_PARAMS", fe.set_params(self.stream, &self.params)?)?;
        ok("PREPARE", fe.stream(code::PREPARE, self.stream)?)
    }

    /// Seconds of one period.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_secs_f64(self.params.seconds(u64::from(self.params.period_bytes)))
    }

    /// Posts all slots, unkicked-for data included, and kicks once.
    ///
    /// # Errors
    /// QueueFull.
    pub fn fill(&self, fe: &mut SoundFrontend) -> Result<(), FrontendError> {
        for slot in &self.slots {
            fe.post(*slot)?;
        }
        fe.kick(self.queue);
        Ok(())
    }

    /// START.
    ///
    /// # Errors
    /// Refused or Timeout.
    pub fn start(&self, fe: &mut SoundFrontend) -> Result<Instant, FrontendError> {
        let before = Instant::now();
        ok("START", fe.stream(code::START, self.stream)?)?;
        Ok(before)
    }

    /// STOP.
    ///
    /// # Errors
    /// Refused or Timeout.
    pub fn stop(&self, fe: &mut SoundFrontend) -> Result<(), FrontendError> {
        ok("STOP", fe.stream(code::STOP, self.stream)?)
    }

    /// RELEASE.
    ///
    /// # Errors
    /// Refused or Timeout.
    pub fn release(&self, fe: &mut SoundFrontend) -> Result<(), FrontendError> {
        ok("RELEASE", fe.stream(code::RELEASE, self.stream)?)
    }

    /// Plays `data` (padded with zeros to whole periods) from a prepared stream, drains, stops and releases.
    ///
    /// # Errors
    /// A refused or unanswered request. Messages that never came back are in the statistics, not an error.
    pub fn play(&self, fe: &mut SoundFrontend, data: &[u8]) -> Result<Stats, FrontendError> {
        let period = self.params.period_bytes.max(1) as usize;
        self.play_periods(fe, data.chunks(period).map(<[u8]>::to_vec))
    }

    /// As [`Pcm::play`], with the periods as they are made.
    ///
    /// # Errors
    /// As there.
    pub fn play_periods(
        &self,
        fe: &mut SoundFrontend,
        mut periods: impl Iterator<Item = Vec<u8>>,
    ) -> Result<Stats, FrontendError> {
        let mut waiting = 0;
        for slot in &self.slots {
            waiting += usize::from(self.feed(fe, *slot, periods.next())?);
        }
        fe.kick(self.queue);
        self.run(fe, waiting, |fe, slot, _| self.feed(fe, slot, periods.next()))
    }

    fn feed(&self, fe: &mut SoundFrontend, slot: Slot, data: Option<Vec<u8>>) -> Result<bool, FrontendError> {
        let Some(mut bytes) = data else { return Ok(false) };
        bytes.resize(slot.len as usize, 0);
        fe.ram.write(slot.data, &bytes);
        fe.post(slot)?;
        Ok(true)
    }

    /// Records `bytes` bytes from a prepared stream, stops and releases.
    ///
    /// # Errors
    /// As `play`.
    pub fn record(&self, fe: &mut SoundFrontend, bytes: usize) -> Result<(Vec<u8>, Stats), FrontendError> {
        self.fill(fe)?;
        let mut out = Vec::new();
        let mut left = bytes
            .div_ceil(self.params.period_bytes.max(1) as usize)
            .saturating_sub(self.slots.len());
        let stats = self.run(fe, self.slots.len(), |fe, slot, used| {
            out.extend(fe.ram.read(slot.data, used.saturating_sub(8).min(slot.len) as usize));
            let more = left > 0;
            if more {
                left -= 1;
                fe.post(slot)?;
            }
            Ok(more)
        })?;
        Ok((out, stats))
    }

    fn run(
        &self,
        fe: &mut SoundFrontend,
        mut waiting: usize,
        mut next: impl FnMut(&mut SoundFrontend, Slot, u32) -> Result<bool, FrontendError>,
    ) -> Result<Stats, FrontendError> {
        let began = self.start(fe)?;
        let mut tally = Tally::new(began);
        tally.stats.started = Some(Instant::now());
        let patience = Duration::from_secs(2).max(self.period() * 4);
        let mut last = Instant::now();
        while waiting > 0 && last.elapsed() < patience {
            let done = fe.completions(self.queue, self.stream);
            tally.look(&done, waiting == done.len() && waiting == self.slots.len());
            for completion in &done {
                last = completion.at;
                waiting -= 1;
                waiting += usize::from(next(fe, completion.slot, completion.used)?);
            }
            if done.is_empty() {
                fe.pause(self.queue, last + patience);
            } else {
                fe.kick(self.queue);
            }
            tally.events(&fe.events(), self.stream);
        }
        self.stop(fe)?;
        self.release(fe)?;
        let late = fe.wait_completions(
            self.queue,
            self.stream,
            waiting,
            Duration::from_millis(if waiting > 0 { 500 } else { 0 }),
        );
        Ok(tally.finish((waiting - late.len().min(waiting)) as u64))
    }
}

struct Tally {
    stats: Stats,
    began: Instant,
    last: Option<Instant>,
    gaps: Vec<f64>,
}

impl Tally {
    fn new(began: Instant) -> Self {
        let stats = Stats {
            latency_bytes: (u32::MAX, 0, 0),
            ..Stats::default()
        };
        Self {
            stats,
            began,
            last: None,
            gaps: Vec::new(),
        }
    }

    fn look(&mut self, done: &[super::Completion], whole_ring: bool) {
        if whole_ring && done.len() > 1 {
            self.stats.full_laps += 1;
            self.stats.laps.push(Instant::now());
        }
        for c in done {
            if c.status == S_OK {
                self.stats.completions += 1;
                let (low, high, _) = self.stats.latency_bytes;
                self.stats.latency_bytes = (low.min(c.latency), high.max(c.latency), c.latency);
            } else {
                self.stats.errors += 1;
            }
            if let Some(last) = self.last {
                self.gaps.push((c.at - last).as_secs_f64() * 1e3);
            }
            self.last = Some(c.at);
        }
    }

    fn events(&mut self, events: &[(u32, u32)], stream: u32) {
        self.stats.xruns += events.iter().filter(|e| **e == (code::EVT_XRUN, stream)).count() as u64;
    }

    fn finish(mut self, lost: u64) -> Stats {
        self.gaps.sort_by(f64::total_cmp);
        let at = |q: f64| {
            self.gaps
                .get((self.gaps.len() as f64 * q) as usize)
                .or(self.gaps.last())
                .copied()
                .unwrap_or(0.0)
        };
        self.stats.gap_ms = (at(0.5), at(0.99), at(1.0));
        self.stats.wall_ms = self.last.map_or(0.0, |l| (l - self.began).as_secs_f64() * 1e3);
        self.stats.lost = lost;
        if self.stats.latency_bytes.0 == u32::MAX {
            self.stats.latency_bytes.0 = 0;
        }
        self.stats
    }
}

/// Queue of a stream's direction byte.
#[must_use]
pub fn queue_of(direction: u8) -> usize {
    if direction == 1 { RXQ } else { TXQ }
}
