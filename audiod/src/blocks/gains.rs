//! The gain table: what the policy wants to be heard, as one batch that the engine takes whole at a period's edge.
//!
//! Two slots and an index. Control fills the slot that is not active, then flips the index; it may be stopped or killed
//! anywhere in between without the engine noticing. The engine copies the active slot at a period's edge and keeps its old
//! gains when the slot changed under it (it then tries again one period later), so it never waits.

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
    /// The stream's `start_gen` this row was decided for; frames of a later START are held until it catches up.
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
    rows: [RowWords; MAX_SOURCES],
}

/// See the module.
#[repr(C)]
pub struct GainTable {
    active: AtomicU32,
    batch: AtomicU32,
    slots: [Slot; 2],
}

impl GainTable {
    /// Control: publishes a whole batch; rows beyond `rows` become [`Row::SILENT`]. One writer only.
    pub fn publish(&self, rows: &[Row]) {
        let spare = (self.active.load(Relaxed) & 1) ^ 1;
        let slot = &self.slots[spare as usize];
        let sequence = slot.sequence.load(Relaxed) | 1;
        slot.sequence.store(sequence, Relaxed);
        fence(Release);
        for (index, words) in slot.rows.iter().enumerate() {
            words.store(rows.get(index).unwrap_or(&Row::SILENT));
        }
        slot.sequence.store(sequence.wrapping_add(1), Release);
        self.active.store(spare, Release);
        self.batch.fetch_add(1, Release);
    }

    /// The number of batches published so far; the engine reads the table when it changed.
    pub fn batch(&self) -> u32 {
        self.batch.load(Acquire)
    }

    /// Engine: copies the active batch into `rows`. `false` when it changed meanwhile: `rows` is then not to be used.
    #[must_use]
    pub fn read(&self, rows: &mut [Row; MAX_SOURCES]) -> bool {
        let slot = &self.slots[(self.active.load(Acquire) & 1) as usize];
        let before = slot.sequence.load(Acquire);
        if before & 1 == 1 {
            return false;
        }
        for (words, row) in slot.rows.iter().zip(rows.iter_mut()) {
            words.load(row);
        }
        fence(Acquire);
        slot.sequence.load(Relaxed) == before
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
