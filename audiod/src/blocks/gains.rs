//! The gain table: what the policy wants to be heard, as one batch that the engine takes whole at a period's edge.
//!
//! Two slots and an index. Control fills the slot that is not active, then flips the index; it may be stopped or killed
//! anywhere in between without the engine noticing. The engine copies the active slot at a period's edge. A slot that changed
//! under it is not used: control has published two batches meanwhile, and the other slot has a whole one. So it never waits.

use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use super::{MAX_SOURCES, MAX_ZONES};

/// What happens to a source that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Pulled at its rate and thrown away: no route, or refused.
    Discard = 0,
    /// Pulled and heard where a tap has a gain.
    Play = 1,
    /// Not pulled: paused by the policy; its frames stay where they are.
    Stall = 2,
}

/// One source at one zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap {
    /// Target gain, linear, 0.0 to 1.0.
    pub gain: f32,
    /// Frames from the present gain to the target; 0 = at once.
    pub ramp: u32,
    /// Changes with every new target, so that an unchanged tap is not ramped again.
    pub generation: u32,
}

/// One source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// What happens to it.
    pub mode: Mode,
    /// The stream's `start_gen` this row was decided for; frames of another START are held until it catches up. Of a stream that
    /// doesn't run never its own: it may go on under it.
    pub decided: u32,
    /// One a zone.
    pub taps: [Tap; MAX_ZONES],
}

impl Row {
    /// A source nobody has decided about.
    pub const SILENT: Row = Row {
        mode: Mode::Discard,
        decided: 0,
        taps: [Tap {
            gain: 0.0,
            ramp: 0,
            generation: 0,
        }; MAX_ZONES],
    };
}

#[repr(C)]
struct TapWords {
    gain: AtomicU32,
    ramp: AtomicU32,
    generation: AtomicU32,
}

#[repr(C)]
struct RowWords {
    mode: AtomicU32,
    decided: AtomicU32,
    taps: [TapWords; MAX_ZONES],
}

#[repr(C)]
struct Slot {
    sequence: AtomicU32,
    batch: AtomicU32,
    rows: [RowWords; MAX_SOURCES],
}

/// Times that the engine looks in one period. A slot is torn only by two publications in the time of one copy.
const LOOKS: usize = 4;

/// See the module.
#[repr(C)]
pub struct GainTable {
    active: AtomicU32,
    batch: AtomicU32,
    slots: [Slot; 2],
}

impl GainTable {
    /// Control: publishes a whole batch; rows beyond `rows` become [`Row::SILENT`]. Returns its number. One writer only.
    pub fn publish(&self, rows: &[Row]) -> u32 {
        let batch = self.batch.load(Relaxed).wrapping_add(1);
        let spare = (self.active.load(Relaxed) & 1) ^ 1;
        let slot = &self.slots[spare as usize];
        let sequence = slot.sequence.load(Relaxed) | 1;
        slot.sequence.store(sequence, Relaxed);
        fence(Release);
        for (index, words) in slot.rows.iter().enumerate() {
            words.store(rows.get(index).unwrap_or(&Row::SILENT));
        }
        slot.batch.store(batch, Relaxed);
        slot.sequence.store(sequence.wrapping_add(1), Release);
        self.active.store(spare, Release);
        self.batch.store(batch, Release);
        batch
    }

    /// The number of batches published so far; the engine reads the table when it changed.
    pub fn batch(&self) -> u32 {
        self.batch.load(Acquire)
    }

    /// Engine: copies the active batch into `rows` and returns its number. `None` when it changed each time that was looked:
    /// `rows` is then not to be used.
    #[must_use]
    pub fn read(&self, rows: &mut [Row; MAX_SOURCES]) -> Option<u32> {
        (0..LOOKS).find_map(|_| self.look(rows))
    }

    fn look(&self, rows: &mut [Row; MAX_SOURCES]) -> Option<u32> {
        let slot = &self.slots[(self.active.load(Acquire) & 1) as usize];
        let before = slot.sequence.load(Acquire);
        if before & 1 == 1 {
            return None;
        }
        for (words, row) in slot.rows.iter().zip(rows.iter_mut()) {
            words.load(row);
        }
        let batch = slot.batch.load(Relaxed);
        fence(Acquire);
        (slot.sequence.load(Relaxed) == before).then_some(batch)
    }
}

impl RowWords {
    fn store(&self, row: &Row) {
        self.mode.store(row.mode as u32, Relaxed);
        self.decided.store(row.decided, Relaxed);
        for (words, tap) in self.taps.iter().zip(&row.taps) {
            words.gain.store(tap.gain.to_bits(), Relaxed);
            words.ramp.store(tap.ramp, Relaxed);
            words.generation.store(tap.generation, Relaxed);
        }
    }

    fn load(&self, row: &mut Row) {
        row.mode = match self.mode.load(Relaxed) {
            1 => Mode::Play,
            2 => Mode::Stall,
            _ => Mode::Discard,
        };
        row.decided = self.decided.load(Relaxed);
        for (words, tap) in self.taps.iter().zip(row.taps.iter_mut()) {
            tap.gain = f32::from_bits(words.gain.load(Relaxed));
            tap.ramp = words.ramp.load(Relaxed);
            tap.generation = words.generation.load(Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use vhost_sound::shared::Shared;

    use super::*;
    use crate::blocks::EngineBlock;

    fn row(batch: u32) -> Row {
        Row {
            decided: batch,
            ..Row::SILENT
        }
    }

    #[test]
    fn what_is_read_is_one_batch_whole_and_by_its_own_number() {
        let block: Shared<EngineBlock> = Shared::private().unwrap();
        let stop = AtomicBool::new(false);
        let mut rows = Box::new([Row::SILENT; MAX_SOURCES]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let next = block.gains.batch() + 1;
                    assert_eq!(block.gains.publish(&[row(next); MAX_SOURCES]), next);
                }
            });
            let mut taken = 0;
            while taken < 20_000 {
                let Some(batch) = block.gains.read(&mut rows) else {
                    continue;
                };
                assert!(
                    rows.iter().all(|row| row.decided == batch),
                    "of several batches, or misnumbered"
                );
                taken += 1;
            }
            stop.store(true, Relaxed);
        });
    }

    #[test]
    fn a_batch_that_is_being_written_is_not_taken() {
        let block: Shared<EngineBlock> = Shared::private().unwrap();
        let mut rows = Box::new([Row::SILENT; MAX_SOURCES]);
        block.gains.publish(&[row(1); MAX_SOURCES]);
        let active = block.gains.active.load(Relaxed) as usize;

        block.gains.slots[active].sequence.fetch_add(1, Relaxed);
        assert_eq!(block.gains.read(&mut rows), None);

        block.gains.slots[active].sequence.fetch_add(1, Relaxed);
        assert_eq!(block.gains.read(&mut rows), Some(1));
    }
}
