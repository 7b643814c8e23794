//! A guest that plays on the shortest ring in the board's virtual time, with callers that mean ill on the bus or without.
//!
//! ```text
//!  the board: hostile-bus attack ══ dbus-daemon ══ audiod ──► cabin.wav ──► console `wavN` ───────────────┐
//!             hostile-bus play ── our front end, SCHED_FIFO; counts the engine's calls ──► console `saysN` ── judged outside
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::coded;
use crate::rig::{Car, Take};
use crate::short_ring::{Silence, Taken};
use crate::virtual_board;

const FRAME: usize = 4;

/// The car: the shortest lead, at codec periods of 1 ms.
#[must_use]
pub fn car() -> Car {
    Car {
        period: 48,
        lead: 2,
        ..Car::default()
    }
}

/// What the guest plays, for so many seconds.
#[must_use]
pub fn take(seconds: f64) -> Take {
    Take {
        ring: (48, 2),
        seconds,
        ..Take::default()
    }
}

/// What attackers came to.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Attacked {
    /// Calls.
    pub calls: u64,
    /// Domains that wanted to be registered.
    pub domains: u64,
    /// Answers with LimitsExceeded.
    pub limited: u64,
}

/// What a run said.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Said {
    /// The take.
    pub taken: Taken,
    /// System calls of the codec's thread a period.
    pub calls_a_period: f64,
    /// By how much the control process's memory has grown meanwhile, bytes.
    pub grown: usize,
    /// Before and after the take; `None` = nobody attacked.
    pub attacked: Option<(Attacked, Attacked)>,
}

/// A run that was judged.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it said.
    pub said: Said,
    /// Silence inside the take.
    pub silences: Vec<Silence>,
}

impl Run {
    /// Whether every sample is there, in one piece, and nothing was late.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.silences.is_empty() && self.said.taken.stats.xruns + self.said.taken.stats.full_laps == 0
    }
}

/// Plays in `folder` for so many seconds without an attack, then under one with so many domains.
///
/// # Errors
/// As [`virtual_board::run`]; a message or frame was lost or changed.
pub fn run(folder: &Path, seconds: f64, domains: u64, limit: Duration) -> anyhow::Result<[Run; 2]> {
    let line = |how: &str| {
        let ports = "/dev/virtio-ports";
        format!("hostile-bus play {how} {seconds} {domains} {ports}/wav-{how} > {ports}/says-{how} || exit 1\n")
    };
    let script = line("quiet") + &line("attacked");
    let consoles = ["wav-quiet", "says-quiet", "wav-attacked", "says-attacked"].map(str::to_owned);
    let logs = virtual_board::run(folder, &["hostile-bus"], &script, &consoles, limit)?;
    let judged = |at: usize| {
        let said: Said = serde_json::from_str(&logs[at + 1].text()).context("what the run said")?;
        let captured = coded::samples(logs[at].path())?;
        let part = captured
            .get(said.taken.from * FRAME..)
            .context("the file is too short")?;
        let silences = said.taken.silences(take(seconds), part)?;
        let run = Run { said, silences };
        println!("{run:?}");
        anyhow::Ok(run)
    };
    Ok([judged(0)?, judged(2)?])
}
