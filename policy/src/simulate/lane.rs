//! One source at one sink over time.

use serde::Serialize;

use super::Reason;
use crate::{Db10, MUTE, Time};

/// Heading for a gain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Turn {
    /// When it begins, ms.
    pub at: Time,
    /// From this gain, linear: where the one before had come to.
    pub from: f64,
    /// To this one, 0.1 dB; `None` = silence.
    pub tenths_db: Option<Db10>,
    /// In this time, ms; linear in amplitude.
    pub ramp_ms: u32,
    /// Why, strongest first.
    pub reasons: Vec<Reason>,
}

impl Turn {
    fn amplitude(&self, now: Time) -> f64 {
        let to = linear(self.tenths_db.unwrap_or(MUTE));
        let gone = now.saturating_sub(self.at);
        if gone >= Time::from(self.ramp_ms) {
            return to;
        }
        self.from + (to - self.from) * (gone as f64 / f64::from(self.ramp_ms))
    }
}

/// A source at a sink over time. Before its first turn it is silent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lane {
    /// Source.
    pub source: String,
    /// Sink.
    pub sink: String,
    /// In the order of time.
    pub turns: Vec<Turn>,
}

/// Linear gain; exactly 0 for silence.
pub fn linear(gain: Db10) -> f64 {
    if gain <= MUTE {
        return 0.0;
    }
    10f64.powf(f64::from(gain) / 200.0)
}

/// dB of a linear gain; `None` = silence.
pub fn decibels(amplitude: f64) -> Option<f64> {
    (amplitude > linear(MUTE + 1) / 2.0).then(|| 20.0 * amplitude.log10())
}

impl Lane {
    pub(super) fn new(source: String, sink: String) -> Self {
        Self {
            source,
            sink,
            turns: Vec::new(),
        }
    }

    /// Heads for another gain, or goes on to the same (`moves` is false) for other reasons.
    pub(super) fn turn(&mut self, at: Time, reasons: &[Reason], gain: Option<Db10>, ramp_ms: u32, moves: bool) {
        let from = self.amplitude(at);
        let under_way = self.turns.last().filter(|_| !moves);
        let left = under_way.map_or(0, |it| (it.at + Time::from(it.ramp_ms)).saturating_sub(at));
        let ramp_ms = if moves {
            ramp_ms
        } else {
            u32::try_from(left).unwrap_or(u32::MAX)
        };
        let reasons = reasons.to_vec();
        self.turns.push(Turn {
            at,
            from,
            tenths_db: gain,
            ramp_ms,
            reasons,
        });
    }

    /// Its gain at a time not before its last turn, linear.
    pub fn amplitude(&self, now: Time) -> f64 {
        let turn = self.turns.iter().rev().find(|turn| turn.at <= now);
        turn.map_or(0.0, |turn| turn.amplitude(now))
    }

    /// Whether it was ever meant to be heard, or kept from it.
    pub fn was_heard(&self) -> bool {
        self.turns
            .iter()
            .any(|turn| turn.tenths_db.is_some() || !turn.reasons.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_linear_in_amplitude_and_the_next_begins_where_it_was() {
        let mut lane = Lane::new("a".into(), "b".into());
        lane.turn(0, &[], Some(0), 0, true);
        lane.turn(100, &[], None, 100, true);
        assert!((lane.amplitude(150) - 0.5).abs() < 1e-9);

        lane.turn(150, &[], Some(0), 100, true);

        assert!((lane.amplitude(200) - 0.75).abs() < 1e-9);
        assert!((lane.amplitude(250) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn another_reason_for_the_same_gain_lets_the_ramp_go_on() {
        let mut lane = Lane::new("a".into(), "b".into());
        lane.turn(0, &[], Some(0), 0, true);
        lane.turn(100, &[], None, 100, true);

        lane.turn(150, &[], None, 0, false);

        assert!((lane.amplitude(175) - 0.25).abs() < 1e-9);
        assert_eq!(lane.amplitude(200), 0.0);
    }
}
