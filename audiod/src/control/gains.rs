//! From what the policy wants heard to the engines' gain tables: dB to linear, ramps to frames, and a new generation only
//! for a tap whose target changed, so that a batch touches nothing else.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::fence;

use policy::effect::{Heard, Mode as PolicyMode, SourceHeard, Tap as PolicyTap};

use crate::blocks::gains::{Mode, Row, Tap};
use crate::blocks::{EngineBlock, MAX_SOURCES};
use crate::system::{Column, System};

/// What became of a batch, by engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Its number in the engine's table.
    pub batches: Vec<u32>,
    /// The period that the engine had begun when it lay there.
    pub begun: Vec<u64>,
}

/// See the module.
pub struct Gains {
    blocks: Vec<&'static EngineBlock>,
    /// With the rate of its codec, by column.
    columns: Vec<(Column, u32)>,
    rows: Vec<Row>,
}

impl Gains {
    /// Takes the tables over as they are: a successor's first batch changes nothing that is still wanted.
    pub fn new(system: &System, blocks: &[&'static EngineBlock]) -> Self {
        let rate = |codec: usize| system.codecs.get(codec).map_or(48_000, |codec| codec.rate);
        let mut rows = [Row::SILENT; MAX_SOURCES];
        // The only writer is this process: what is read is whole.
        if let Some(block) = blocks.first()
            && block.gains.read(&mut rows).is_none()
        {
            rows = [Row::SILENT; MAX_SOURCES];
        }
        Self {
            blocks: blocks.to_vec(),
            columns: system
                .columns()
                .map(|column| (column, rate(system.zones[column.zone].codec)))
                .collect(),
            rows: rows[..system.sources.len().min(MAX_SOURCES)].to_vec(),
        }
    }

    /// One decision, one batch. Each engine takes it at the edge of the next period it begins: of a number at most one more
    /// than what it had begun by then.
    pub fn publish(&mut self, heard: &Heard) -> Published {
        for (row, source) in self.rows.iter_mut().zip(&heard.sources) {
            head_for(row, source, &self.columns);
        }
        let batches = self
            .blocks
            .iter()
            .map(|block| block.gains.publish(&self.rows))
            .collect();
        // Pairs with that of `Engine::take_gains`.
        fence(SeqCst);
        let begun = self.blocks.iter().map(|block| block.begun.load(Relaxed)).collect();
        Published { batches, begun }
    }
}

fn head_for(row: &mut Row, source: &SourceHeard, columns: &[(Column, u32)]) {
    row.mode = match source.mode {
        PolicyMode::Discard => Mode::Discard,
        PolicyMode::Play => Mode::Play,
        PolicyMode::Stall => Mode::Stall,
    };
    row.decided = source.decided;
    for (tap, (column, rate)) in row.taps.iter_mut().zip(columns) {
        let zone = source.taps.get(column.zone);
        let wanted = match column.group {
            None => zone,
            Some(group) => zone.and_then(|zone| zone.groups.get(group)),
        };
        if let Some(wanted) = wanted {
            turn(tap, wanted, *rate);
        }
    }
}

fn turn(tap: &mut Tap, wanted: &PolicyTap, rate: u32) {
    let gain = linear(wanted.gain);
    if gain.to_bits() != tap.gain.to_bits() {
        let frames = u64::from(wanted.ramp_ms) * u64::from(rate) / 1000;
        *tap = Tap {
            gain,
            ramp: u32::try_from(frames).unwrap_or(u32::MAX),
            generation: tap.generation.wrapping_add(1),
        };
    }
}

/// Linear gain of 0.1 dB steps; exactly 1 at 0 dB, exactly 0 for silence.
pub fn linear(gain: policy::Db10) -> f32 {
    match gain {
        policy::MUTE..0 if gain > policy::MUTE => 10f32.powf(f32::from(gain) / 200.0),
        0.. => 1.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap(gain: i16, ramp_ms: u32) -> PolicyTap {
        PolicyTap {
            gain,
            ramp_ms,
            causes: Vec::new(),
            groups: Vec::new(),
        }
    }

    #[test]
    fn unity_and_silence_are_exact() {
        assert_eq!([0, 5, -3000, -3001, i16::MIN].map(linear), [1.0, 1.0, 0.0, 0.0, 0.0]);
        assert!((linear(-200) - 0.1).abs() < 1e-7);
    }

    #[test]
    fn only_a_tap_with_a_new_target_gets_a_new_generation() {
        let columns = [(0, 48_000), (1, 8_000)].map(|(zone, rate)| (Column { zone, group: None }, rate));
        let mut row = Row::SILENT;
        let mut heard = SourceHeard {
            mode: PolicyMode::Play,
            decided: 1,
            taps: vec![tap(0, 10), tap(-3000, 10)],
        };
        head_for(&mut row, &heard, &columns);
        assert_eq!([row.taps[0].generation, row.taps[1].generation], [1, 0]);
        assert_eq!((row.taps[0].gain, row.taps[0].ramp), (1.0, 480));

        heard.taps = vec![tap(0, 99), tap(-100, 20)];
        head_for(&mut row, &heard, &columns);

        assert_eq!((row.taps[0].generation, row.taps[0].ramp), (1, 480));
        assert_eq!((row.taps[1].generation, row.taps[1].ramp), (1, 160));
    }
}
