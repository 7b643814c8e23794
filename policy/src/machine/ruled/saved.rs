//! What rules hold, by names, for snapshots. What names something that is no longer there, or a rule that is no longer written,
//! is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limits::{Held, MAX_LIMITS};
use super::{MAX_PUSHED, Machine, Pushed};
use crate::machine::state::{LAST_ORDER, MAX_CONNECTIONS};
use crate::rules::action::Level;
use crate::rules::kind::Element;
use crate::rules::view::View;

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

/// See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::machine) struct SavedRuled {
    limits: Vec<SavedLimit>,
    pushed: BTreeMap<u16, SavedPushed>,
}

impl SavedRuled {
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.pushed.is_empty()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedLimit {
    source: Option<String>,
    sink: Option<String>,
    level: Level,
    pattern: u32,
    ramp_ms: u32,
    cause: Option<String>,
    sticky: bool,
    overrides: bool,
    rule: String,
    line: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedPushed {
    source: String,
    sink: String,
    order: u64,
}

/// The index of a name; `Err` = there is a name, and nothing has it.
fn index_of(name: Option<&String>, find: impl Fn(&str) -> Option<usize>) -> Result<Option<usize>, ()> {
    match name {
        None => Ok(None),
        Some(name) => find(name).map(Some).ok_or(()),
    }
}

impl Machine {
    pub(in crate::machine) fn save_ruled(&self) -> SavedRuled {
        let sink = |sink: usize| self.name(Element::Sink(sink));
        let source = |source: usize| self.name(Element::Source(source));
        // Of what has no name any more nothing is left; `None` stays `None`.
        let named = |index: Option<usize>, name: &dyn Fn(usize) -> Option<String>| match index {
            None => Some(None),
            Some(index) => name(index).map(Some),
        };
        let limits = self.state.ruled.limits.iter().filter_map(|it| {
            Some(SavedLimit {
                source: named(it.source, &source)?,
                sink: named(it.sink, &sink)?,
                level: it.level,
                pattern: it.pattern,
                ramp_ms: it.ramp_ms,
                cause: named(it.cause, &source)?,
                sticky: it.sticky,
                overrides: it.overrides,
                rule: self.model.rules.rules().get(it.rule)?.name.clone(),
                line: it.line,
            })
        });
        let pushed = self.state.ruled.pushed.iter().filter_map(|(id, it)| {
            let saved = SavedPushed {
                source: source(it.source)?,
                sink: sink(it.sink)?,
                order: it.order,
            };
            Some((*id, saved))
        });
        SavedRuled {
            limits: limits.collect(),
            pushed: pushed.collect(),
        }
    }

    pub(in crate::machine) fn restore_ruled(&mut self, saved: &SavedRuled) {
        let limits = saved.limits.iter().take(MAX_LIMITS).filter_map(|it| self.restored(it));
        self.state.ruled.limits = limits.collect();
        #[cfg(test)]
        if mutant::is(Mutant::ForgetsLimits) {
            self.state.ruled.limits.clear();
        }
        for (id, it) in saved.pushed.iter().take(MAX_PUSHED) {
            let source = self.model.sources.iter().position(|source| source.name == it.source);
            let sink = self.model.sinks.iter().position(|sink| sink.name == it.sink);
            let (Some(source), Some(sink)) = (source, sink) else {
                continue;
            };
            let free = (1..=MAX_CONNECTIONS).contains(id) && !self.state.connections.contains_key(id);
            if free && !self.model.protected(source) && !self.model.rules.is_empty() {
                let order = it.order.min(LAST_ORDER);
                self.state.ruled.pushed.insert(*id, Pushed { source, sink, order });
            }
        }
        self.end_held();
    }

    fn restored(&self, saved: &SavedLimit) -> Option<Held> {
        let source = |name: &str| {
            let mut all = self.sources().into_iter();
            all.find(|it| self.source_name(*it) == Some(name))
        };
        let sink = |name: &str| {
            let mut all = self.sinks().into_iter();
            all.find(|it| self.name(Element::Sink(*it)).as_deref() == Some(name))
        };
        let rules = self.model.rules.rules();
        let rule = rules.iter().position(|rule| rule.name == saved.rule)?;
        let line = rules[rule]
            .then
            .iter()
            .find(|step| step.line == saved.line)
            .map(|it| it.line);
        Some(Held {
            source: index_of(saved.source.as_ref(), source).ok()?,
            sink: index_of(saved.sink.as_ref(), sink).ok()?,
            level: saved.level,
            pattern: saved.pattern,
            ramp_ms: saved.ramp_ms,
            cause: index_of(saved.cause.as_ref(), source).ok()?,
            sticky: saved.sticky,
            overrides: saved.overrides,
            rule,
            line: line.unwrap_or(rules[rule].line),
        })
    }
}
