//! Whether a VM that ended is started again, and when.
//!
//! ```text
//!  Down ──start──► Up ──ended──► policy says again, limit not reached ──► Waiting ──delay──► Up
//!                   │                       │ no
//!                   └──stopped──► Down ◄────┘
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::manifest::{Restart, RestartPolicy};

/// The time in which restarts are counted.
const WITHIN: Duration = Duration::from_secs(60);

/// How a VM's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest powered off.
    PowerOff,
    /// The guest asked for a reset.
    Reset,
    /// Somebody asked for it.
    Stopped,
    /// Panic, watchdog, an error, a signal.
    Failed,
}

impl End {
    /// From the exit code of a VMM process that was not asked to stop.
    pub fn of(code: Option<u8>) -> Self {
        match code {
            Some(0) => Self::PowerOff,
            Some(10) => Self::Reset,
            _ => Self::Failed,
        }
    }
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start it then.
    At(Instant),
    /// Leave it down: it is done.
    Down,
    /// Leave it down: too many restarts.
    GivenUp,
}

/// Restarts of one partition.
#[derive(Debug)]
pub struct Life {
    rule: Restart,
    restarts: VecDeque<Instant>,
}

impl Life {
    /// Nothing has happened yet.
    pub fn new(rule: Restart) -> Self {
        Self {
            rule,
            restarts: VecDeque::new(),
        }
    }

    /// The VM ended.
    pub fn ended(&mut self, end: End, now: Instant) -> Next {
        let again = match (end, self.rule.policy) {
            (End::Stopped, _) => false,
            (End::Reset, _) => true,
            (End::PowerOff, policy) => policy == RestartPolicy::Always,
            (End::Failed, policy) => policy != RestartPolicy::Never,
        };
        if !again {
            return Next::Down;
        }
        while self.restarts.front().is_some_and(|at| now.duration_since(*at) > WITHIN) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= self.rule.limit as usize {
            return Next::GivenUp;
        }
        self.restarts.push_back(now);
        Next::At(now + Duration::from_millis(self.rule.delay_ms.into()))
    }

    /// How often within the last minute of restarts.
    pub fn restarts(&self) -> usize {
        self.restarts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(policy: RestartPolicy, end: End) -> bool {
        let rule = Restart {
            policy,
            ..Restart::default()
        };
        matches!(Life::new(rule).ended(end, Instant::now()), Next::At(_))
    }

    #[test]
    fn who_is_started_again_is_what_the_manifest_says() {
        use RestartPolicy::{Always, Never, OnFailure};
        let ends = [End::PowerOff, End::Reset, End::Stopped, End::Failed];
        let table = |policy| ends.map(|end| again(policy, end));
        assert_eq!(table(Always), [true, true, false, true]);
        assert_eq!(table(OnFailure), [false, true, false, true]);
        assert_eq!(table(Never), [false, true, false, false]);
    }

    #[test]
    fn it_is_left_down_when_it_fails_too_often_within_a_minute() {
        let mut life = Life::new(Restart {
            limit: 2,
            delay_ms: 100,
            ..Restart::default()
        });
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        assert_eq!(
            life.ended(End::Failed, start),
            Next::At(start + Duration::from_millis(100))
        );
        assert!(matches!(life.ended(End::Failed, second(10)), Next::At(_)));
        assert_eq!(life.ended(End::Failed, second(20)), Next::GivenUp);
        assert!(matches!(life.ended(End::Failed, second(61)), Next::At(_)));
    }
}
