//! Which record counts a caller's refusals: a flood of calls that are refused must not push out what was decided.

/// Callers remembered.
const CALLERS: usize = 64;
/// A caller's refusals have so many records of their own; the last of them counts those that follow, until something of it is decided.
const APART: u32 = 16;

struct Run {
    caller: String,
    records: u32,
    last: u32,
}

/// See the module.
#[derive(Default)]
pub(super) struct Refusals {
    /// The one whose turn came last is last.
    runs: Vec<Run>,
}

impl Refusals {
    /// Something of this caller is refused: the record that counts it, unless it has one of its own.
    pub(super) fn counted_by(&self, caller: &str) -> Option<u32> {
        let run = self.runs.iter().find(|run| run.caller == caller)?;
        (run.records >= APART).then_some(run.last)
    }

    /// It has this record of its own.
    pub(super) fn note(&mut self, caller: &str, record: u32) {
        let at = self.runs.iter().position(|run| run.caller == caller);
        let mut run = match at {
            Some(at) => self.runs.remove(at),
            None => Run {
                caller: caller.to_owned(),
                records: 0,
                last: 0,
            },
        };
        (run.records, run.last) = (run.records + 1, record);
        if self.runs.len() == CALLERS {
            self.runs.remove(0);
        }
        self.runs.push(run);
    }

    /// Something of it was decided.
    pub(super) fn forget(&mut self, caller: &str) {
        self.runs.retain(|run| run.caller != caller);
    }
}
