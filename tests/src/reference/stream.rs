//! One stream of the reference device: life cycle, pending messages, the clock that consumes them.
//!
//! ```text
//!  New ─SET_PARAMS─► Set ─PREPARE─► Prepared ─START─► Running ⇄ Stopped ─RELEASE─► Released ─PREPARE / SET_PARAMS─►
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Mutation;
use super::device::Chain;
use crate::frontend::proto::{Params, S_IO_ERR, S_NOT_SUPP, S_OK, code};

/// Life cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Never set up.
    #[default]
    New,
    /// Has parameters.
    Set,
    /// Takes messages.
    Prepared,
    /// Consumes them.
    Running,
    /// Paused.
    Stopped,
    /// Back to where messages aren't taken.
    Released,
}

/// A message on its way.
pub struct Pending {
    /// Its chain.
    pub chain: Chain,
    /// When it came.
    pub since: Instant,
}

/// A message to give back: status, latency, bytes recorded (`None`: say nothing of them, used = 0).
pub struct Done {
    /// Its chain.
    pub chain: Chain,
    /// Status.
    pub status: u32,
    /// Bytes recorded.
    pub recorded: Option<u32>,
}

/// One stream.
#[derive(Default)]
pub struct Stream {
    /// Captures.
    pub input: bool,
    /// Life cycle.
    pub state: State,
    /// As accepted.
    pub params: Option<Params>,
    /// Feature bits as the driver named them, accepted or not (only a mutant tells).
    pub echoed: u32,
    /// Messages not yet done.
    pub pending: VecDeque<Pending>,
    /// An XRUN event is due.
    pub xrun: bool,
    starved: bool,
    consumed: u64,
    paced: Option<Instant>,
    count: u64,
}

impl Stream {
    /// PREPARE, START, STOP or RELEASE; the status.
    pub fn request(&mut self, request: u32, mutation: Mutation) -> u32 {
        use State::{Prepared, Released, Running, Set, Stopped};
        let next = match (request, self.state) {
            (code::PREPARE, Set | Prepared | Released) => Prepared,
            (code::START, Prepared | Stopped) => Running,
            (code::START, Running) if mutation.breaks(21) => Running,
            (code::STOP, Running) => Stopped,
            (code::RELEASE, Prepared | Stopped) => Released,
            _ => return S_NOT_SUPP,
        };
        if next == Running {
            self.paced = Some(Instant::now());
            self.starved = false;
        }
        self.state = next;
        S_OK
    }

    /// What the clock has finished by now.
    pub fn tick(&mut self, now: Instant, mutation: Mutation) -> Vec<Done> {
        let mut done = Vec::new();
        if mutation.breaks(22) && self.state == State::Prepared {
            while self
                .pending
                .front()
                .is_some_and(|p| now - p.since > Duration::from_millis(150))
            {
                done.extend(self.pending.pop_front().map(|p| Done {
                    chain: p.chain,
                    status: S_IO_ERR,
                    recorded: Some(0),
                }));
            }
        }
        let goes_on = mutation.breaks(23) && self.state == State::Stopped;
        let (Some(params), Some(paced)) = (self.params, self.paced) else {
            return done;
        };
        if self.state != State::Running && !goes_on {
            return done;
        }
        let rate = f64::from(params.hz()) * f64::from(params.frame_bytes());
        let due = (now.duration_since(paced).as_secs_f64() * rate) as u64;
        self.paced = Some(paced + Duration::from_secs_f64(due as f64 / rate));
        self.consumed += due;
        while let Some(front) = self.pending.front() {
            let size = self.size(front, mutation);
            if self.consumed < size {
                break;
            }
            self.consumed -= size;
            self.count += 1;
            done.extend(self.pending.pop_front().map(|p| Done {
                recorded: Some(size as u32),
                chain: p.chain,
                status: S_OK,
            }));
        }
        self.starve();
        done
    }

    fn size(&self, message: &Pending, mutation: Mutation) -> u64 {
        let payload = message.chain.payload(self.input);
        match (self.input, mutation) {
            (true, Mutation(9)) if self.count % 2 == 1 => payload / 2,
            (false, Mutation(8)) => payload.saturating_sub(4),
            _ => payload,
        }
    }

    fn starve(&mut self) {
        let empty = self.pending.is_empty();
        if empty {
            self.consumed = 0;
            self.xrun |= !self.starved;
        }
        self.starved = empty;
    }

    /// RELEASE: everything comes back.
    pub fn flush(&mut self, was: State, mutation: Mutation) -> Vec<Done> {
        self.consumed = 0;
        if mutation.breaks(6) && was == State::Stopped && !self.input {
            self.pending.clear();
        }
        let recorded = if mutation.breaks(26) && self.input {
            None
        } else {
            Some(0)
        };
        self.pending
            .drain(..)
            .map(|p| Done {
                chain: p.chain,
                status: S_OK,
                recorded,
            })
            .collect()
    }
}
