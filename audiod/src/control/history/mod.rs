//! The last 10,000 decisions, for `audioctl history`: each step of the policy that somebody asked for or that changed something.
//!
//! ```text
//!   step ─► open (about what) ─► tell (what it changed), answered, published ─► close ─► kept
//!   engine's flight recorder ─► taken (batch, period, frame) ─► the decisions of that batch and those it took along
//! ```
//! All memory is there and touched from the beginning, so a daemon that decides for years stays as large as it was. A decision itself
//! is always kept; the texts of what decisions changed share a ring, so where they are very long the oldest lose theirs first.
//! It lives as long as the control process.

mod occasion;
mod refusals;
mod texts;

use dbus_api::history::{Decision, Effect, KEPT, Page};
use policy::command::error;

use super::gains::Published;
use crate::config::codecs::MAX_CODECS;
pub use occasion::{Occasion, occasion, reads};
use refusals::Refusals;
use texts::{Brief, Texts};

/// A page's changes are at most about so long, bytes.
const PAGE_BYTES: usize = 128 << 10;
/// One decision's changes are at most so long, bytes.
const CHANGES: usize = 4 << 10;

/// An engine took a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Of which codec.
    pub codec: usize,
    /// Batch.
    pub batch: u32,
    /// Number of the period at whose edge it was taken.
    pub period: u64,
    /// That period's first frame.
    pub frame: u64,
    /// Nothing the engine recorded before it was missed.
    pub seamless: bool,
}

/// One codec's part in a decision.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    batch: u32,
    queued: u64,
    /// Period and frame; period 0 = not taken yet.
    taken: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct Record {
    time_ms: u64,
    about: Brief,
    error: Option<i16>,
    /// Calls of the same caller that were refused after it and have no record of their own.
    more: u32,
    published: bool,
    parts: [Part; MAX_CODECS],
    changes: (u64, usize),
    cut: bool,
}

impl Record {
    const NONE: Self = Self {
        time_ms: u64::MAX,
        about: Brief::EMPTY,
        error: None,
        more: 0,
        published: false,
        parts: [Part {
            batch: 0,
            queued: 0,
            taken: (0, 0),
        }; MAX_CODECS],
        changes: (0, 0),
        cut: false,
    };
}

/// The decision that is being made.
struct Open {
    record: Record,
    asked: bool,
    changes: String,
    caller: String,
}

/// See the module.
pub struct History {
    codecs: Vec<String>,
    /// The batch that each engine is known to have taken last.
    last: Vec<u32>,
    records: Vec<Record>,
    next: u32,
    texts: Texts,
    open: Option<Open>,
    /// Who asks for what is decided next.
    caller: String,
    refusals: Refusals,
}

impl History {
    /// Of codecs of these names, whose tables stand at these batches.
    pub fn new(codecs: impl IntoIterator<Item = (String, u32)>) -> Self {
        let (codecs, last) = codecs.into_iter().unzip();
        Self {
            codecs,
            last,
            records: vec![Record::NONE; KEPT as usize],
            next: 0,
            texts: Texts::new(),
            open: None,
            caller: String::new(),
            refusals: Refusals::default(),
        }
    }

    /// What is decided next is asked for by this connection to the bus.
    pub fn called_by(&mut self, sender: &str) {
        sender.clone_into(&mut self.caller);
    }

    /// A decision begins.
    pub fn open(&mut self, time_ms: u64, occasion: Occasion) {
        let caller = std::mem::take(&mut self.caller);
        let about = match caller.is_empty() {
            true => occasion.about,
            false => format!("{}, for {caller}", occasion.about),
        };
        self.open = Some(Open {
            record: Record {
                time_ms,
                about: Brief::new(&about),
                ..Record::NONE
            },
            asked: occasion.asked,
            changes: String::new(),
            caller,
        });
    }

    /// What it changes: one JSON object.
    pub fn tell(&mut self, line: &str) {
        let Some(open) = &mut self.open else { return };
        if open.changes.len() + line.len() < CHANGES {
            open.changes.push_str(line);
            open.changes.push('\n');
        } else {
            open.record.cut = true;
        }
    }

    /// What its caller is told.
    pub fn answered(&mut self, error: i16) {
        if let Some(open) = &mut self.open {
            open.record.error = Some(error);
        }
    }

    /// What is heard is another.
    pub fn published(&mut self, published: &Published) {
        let Some(open) = &mut self.open else { return };
        open.record.published = true;
        let all = published.batches.iter().zip(&published.begun);
        for (part, (&batch, &queued)) in open.record.parts.iter_mut().zip(all) {
            *part = Part {
                batch,
                queued,
                taken: (0, 0),
            };
        }
    }

    /// It ends. What nobody asked for and what changed nothing, and reads, are no decisions.
    pub fn close(&mut self) {
        let Some(Open {
            mut record,
            asked,
            changes,
            caller,
        }) = self.open.take()
        else {
            return;
        };
        if !asked && changes.is_empty() && !record.published {
            return;
        }
        if !caller.is_empty() {
            let refused = record.error.is_some_and(|code| code != error::OK);
            if !refused || !changes.is_empty() || record.published {
                self.refusals.forget(&caller);
            } else if let Some(number) = self.refusals.counted_by(&caller).filter(|it| *it >= self.first()) {
                self.records[(number % KEPT) as usize].more += 1;
                return;
            } else {
                self.refusals.note(&caller, self.next);
            }
        }
        record.changes = (self.texts.keep(&changes), changes.len());
        self.records[(self.next % KEPT) as usize] = record;
        self.next += 1;
    }

    /// An engine took a batch, and with it those that were published since the last it took.
    pub fn taken(&mut self, taken: Taken) {
        let Some(last) = self.last.get_mut(taken.codec) else {
            return;
        };
        let since = taken.batch.wrapping_sub(std::mem::replace(last, taken.batch));
        // A new engine takes again what its predecessor had.
        let fresh = if taken.seamless { since } else { since.min(1) };
        for number in (self.first()..self.next).rev() {
            let part = &mut self.records[(number % KEPT) as usize];
            if !part.published {
                continue;
            }
            let part = &mut part.parts[taken.codec];
            let behind = taken.batch.wrapping_sub(part.batch);
            if behind > u32::MAX / 2 {
                continue;
            }
            if behind >= fresh {
                break;
            }
            part.taken = (taken.period, taken.frame);
        }
    }

    fn first(&self) -> u32 {
        self.next.saturating_sub(KEPT)
    }

    /// Up to `most` decisions from number `from` on, as JSON.
    pub fn page(&self, from: u32, most: u16) -> String {
        let mut page = Page {
            first: self.first(),
            next: self.next,
            decisions: Vec::new(),
        };
        let mut bytes = 0;
        for number in from.max(page.first)..self.next {
            if page.decisions.len() >= usize::from(most) || bytes > PAGE_BYTES {
                break;
            }
            let record = &self.records[(number % KEPT) as usize];
            bytes += record.changes.1;
            page.decisions.push(self.decision(number, record));
        }
        // A structure of numbers and texts; there is nothing in it that JSON can't say.
        serde_json::to_string(&page).unwrap_or_default()
    }

    fn decision(&self, number: u32, record: &Record) -> Decision {
        let changes = self.texts.get(record.changes);
        let lost = changes.is_none();
        let lines = changes.unwrap_or_default();
        let effect = |(codec, part): (&String, &Part)| Effect {
            codec: codec.clone(),
            batch: part.batch,
            queued: part.queued,
            period: (part.taken.0 > 0).then_some(part.taken.0),
            frame: (part.taken.0 > 0).then_some(part.taken.1),
        };
        let parts = self.codecs.iter().zip(&record.parts).filter(|_| record.published);
        Decision {
            number,
            time_ms: record.time_ms,
            about: record.about.to_string(),
            error: record.error,
            more: record.more,
            changes: lines
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
            changes_lost: lost || record.cut,
            effects: parts.map(effect).collect(),
        }
    }
}

/// A reload is a decision, too.
pub fn reload() -> Occasion {
    Occasion {
        about: "the file was read again".to_owned(),
        asked: true,
    }
}

/// The code that a routing call is answered with.
pub fn routing_error(reply: &policy::routing_command::RoutingReply) -> i16 {
    use policy::routing_command::RoutingReply;
    match reply {
        RoutingReply::Error(error) | RoutingReply::Id { error, .. } | RoutingReply::Early { error, .. } => *error,
        RoutingReply::Nothing | RoutingReply::Ready(_) => error::OK,
    }
}

#[cfg(test)]
mod tests;
