//! Rules at work: what an event set off, what they do, what they hold.
//!
//! ```text
//!  step: take ─► settle ─► domains ─► rules ─► (each action: settle ─► domains ─► what changed sets off rules) ─► heard
//! ```
//!
//! The matrix has decided before any rule is asked, and what rules want of connections they ask of it as clients do. Limits and
//! mutes are no deeds: they are remembered with their cause, and [`limits`] says at each step what comes of them.
//!
//! Too many rules set off by one event: everything rules did because of it is undone; the matrix's decision stands, since a
//! client is owed its answer and a guest its start. [`Machine::overruns`] counts that.

pub(super) mod limits;

mod act;
mod saved;
mod view;
mod watch;

use std::collections::BTreeMap;

use super::Machine;
use crate::effect::Effect;
use crate::event::Event;
use crate::rules::drive::{Overrun, World, drive};
use crate::rules::view::{Request, View};
use crate::rules::{Decided, Program};

use limits::Held;
pub(super) use saved::SavedRuled;
use watch::Seen;

#[cfg(test)]
use super::tests::mutant::{self, Mutant};

/// Connections that were pushed, at most.
const MAX_PUSHED: usize = 64;

/// What rules hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::machine) struct Ruled {
    pub limits: Vec<Held>,
    /// By main connection ID.
    pub pushed: BTreeMap<u16, Pushed>,
}

/// A connection that waits to be popped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::machine) struct Pushed {
    pub source: usize,
    pub sink: usize,
    /// When it was, in the order of events.
    pub order: u64,
}

/// Events that ran out of steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overruns {
    /// How many.
    pub count: u64,
    /// Names of the last rules of the latest one, newest last.
    pub rules: Vec<String>,
}

/// Before an event.
pub(in crate::machine) struct Eve {
    event: Event,
    seen: Seen,
}

impl Machine {
    /// What rules will need to know of the time before an event; nothing where there are no rules.
    pub(in crate::machine) fn eve(&self, event: &Event) -> Option<Eve> {
        (!self.model.rules.is_empty()).then(|| Eve {
            event: event.clone(),
            seen: Seen::of(self, &self.model.rules),
        })
    }

    /// Lets the rules act on what was taken.
    pub(in crate::machine) fn rule(&mut self, eve: Option<Eve>, effects: &mut Vec<Effect>) {
        let Some(Eve { event, seen }) = eve else {
            self.state.stored.clear();
            return;
        };
        let mut first = watch::stored(self);
        first.extend(watch::requests_of(self, &event, &seen, effects));
        let program = self.model.rules.take_rules();
        first.extend(seen.changes(self, &program));
        first.extend(watch::notified(self, effects));
        if first.iter().any(|request| program.listens_to(request.trigger)) {
            self.let_rule(&program, first, effects);
        }
        self.model.rules = program;
        self.end_held();
    }

    fn let_rule(&mut self, program: &Program, first: Vec<Request>, effects: &mut Vec<Effect>) {
        let before = (self.state.clone(), effects.len());
        let mut acting = Acting {
            program,
            machine: self,
            effects,
        };
        if let Err(Overrun { rules }) = drive(program, &mut acting, first) {
            self.overruns.count += 1;
            #[cfg(test)]
            if mutant::is(Mutant::KeepsWhatRanAway) {
                return;
            }
            self.state = before.0;
            effects.truncate(before.1);
            let names = rules.iter().filter_map(|rule| program.rules().get(*rule));
            self.overruns.rules = names.map(|rule| rule.name.clone()).collect();
        }
    }

    /// Events because of which rules set each other off without end.
    pub fn overruns(&self) -> &Overruns {
        &self.overruns
    }
}

struct Acting<'a> {
    program: &'a Program,
    machine: &'a mut Machine,
    effects: &'a mut Vec<Effect>,
}

impl World for Acting<'_> {
    fn view(&self) -> &dyn View {
        self.machine
    }

    fn carry_out(&mut self, decided: &Decided) -> Vec<Request> {
        let seen = Seen::of(self.machine, self.program);
        let mut done = Vec::new();
        self.machine.acted.push(decided.clone());
        self.machine.act(self.program, decided, &mut done);
        self.machine.settle_all(&mut done);
        // Nobody asked for these answers.
        done.retain(|effect| !matches!(effect, Effect::Reply { .. }));
        let mut requests = seen.changes(self.machine, self.program);
        requests.extend(watch::notified(self.machine, &done));
        self.effects.extend(done);
        requests
    }
}
