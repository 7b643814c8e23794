//! Another policy for the same sources and sinks, while they sound.
//!
//! ```text
//!   model ─► classes, who is shown, volumes ─► zones streams connect to by themselves ─► the matrix again ─► settle ─► heard
//!            (signals for what changed)        (ended, begun)                            (in the order of arrival)
//! ```
//! What the new file says the same of stays as it is, to the last bit. Those that are there arrive once more, in the order in which
//! they came: whom the new matrix rejects or stops is DISCONNECTED and remembered as refused with the new line; whom it delays is
//! SUSPENDED and waits. Volumes, mutes and wanted gains stay the user's: the file only says what they are at first.

use std::collections::BTreeSet;

use super::connections::{Finding, refusal};
use super::ids::Ids;
use super::presence::{Present, blocker, present_at};
use super::ruled::Ruled;
use super::state::Place;
use super::{Machine, signal};
use crate::command::Signal;
use crate::effect::Effect;
use crate::matrix::Arrival;
use crate::model::{Holder, Model};
use crate::rules::Rule;
use crate::{Time, curve};

#[cfg(test)]
use super::tests::mutant::{self, Mutant};

/// Why a model can't take the other's place while it runs; the cure is a restart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy's {what} changed: only a restart can do that")]
pub struct ReloadError {
    /// Sources, sinks, or which sources are protected.
    pub what: &'static str,
}

impl Machine {
    /// Takes another model with the same sources and sinks. Nothing is changed when it is refused.
    ///
    /// # Errors
    /// Its sources or sinks are others, or others are protected.
    pub fn reload(&mut self, mut model: Model, now: Time) -> Result<Vec<Effect>, ReloadError> {
        self.fits(&model)?;
        model.compile();
        self.state.now = self.state.now.max(now);
        let mut effects = Vec::new();
        self.expire(&mut effects);
        let shown_before = self.shown_connections();
        let ruled = self.save_ruled();
        let class_volumes = self.save_class_volumes();
        let old = std::mem::replace(&mut self.model, model);
        self.reloads += 1;
        // By the names of their rules: what no rule of the new file holds is let go.
        self.state.ruled = Ruled::default();
        self.restore_ruled(&ruled);
        self.state.class_volumes = super::volumes::class_volumes(&self.model, &class_volumes);
        self.fit_system();
        self.name_classes(&old, &mut effects);
        self.show_elements(&old, &shown_before, &mut effects);
        self.fit_volumes(&mut effects);
        self.refit_usage(&old);
        self.fit_domains();
        self.cite_anew(&old);
        self.hold_anew(&old);
        self.leave_zones(&mut effects);
        self.judge_again(&old, &mut effects);
        self.join_zones(&old, &mut effects);
        self.settle_all(&mut effects);
        let before = self.heard.clone();
        self.listen();
        if self.heard != before {
            effects.push(Effect::Heard(self.heard.clone()));
        }
        Ok(effects)
    }

    fn fits(&self, model: &Model) -> Result<(), ReloadError> {
        let old = &self.model;
        let sources = old.sources.iter().map(|it| (&it.name, &it.safety_sinks));
        if !sources.eq(model.sources.iter().map(|it| (&it.name, &it.safety_sinks))) {
            return Err(ReloadError { what: "sources" });
        }
        let sinks = old.sinks.iter().map(|it| &it.name);
        if !sinks.eq(model.sinks.iter().map(|it| &it.name)) {
            return Err(ReloadError { what: "sinks" });
        }
        let mut sources = 0..old.sources.len();
        if sources.any(|source| old.protected(source) != model.protected(source)) {
            return Err(ReloadError { what: "safety sources" });
        }
        Ok(())
    }

    fn shown_connections(&self) -> BTreeSet<u16> {
        let all = self.state.connections.keys().copied();
        all.filter(|id| self.shown(*id)).collect()
    }

    /// IDs for new classes; sources of another class than before.
    fn name_classes(&mut self, old: &Model, effects: &mut Vec<Effect>) {
        let class_ids = |machine: &Self| -> Vec<Option<u16>> {
            let classes = machine.model.sources.iter().map(|it| it.class);
            classes.map(|class| machine.state.ids.classes.id(class)).collect()
        };
        let old_ids: Vec<Option<u16>> = {
            let ids = &self.state.ids.classes;
            old.sources.iter().map(|it| ids.id(it.class)).collect()
        };
        self.state.ids = Ids::new(&self.model, std::mem::take(&mut self.state.ids));
        let names = |model: &Model| -> BTreeSet<String> { model.classes.iter().map(|it| it.name.clone()).collect() };
        if names(old) != names(&self.model) {
            signal(effects, Signal::NumberOfSinkClassesChanged);
            signal(effects, Signal::NumberOfSourceClassesChanged);
        }
        for (source, (before, after)) in old_ids.into_iter().zip(class_ids(self)).enumerate() {
            let shown = self.model.sources[source].visible && old.sources[source].visible;
            if let (Some(id), Some(class)) = (self.source_id(source), after)
                && before != after
                && shown
            {
                let properties = Vec::new();
                signal(
                    effects,
                    Signal::SourceUpdated {
                        source: id,
                        class,
                        properties,
                    },
                );
            }
        }
    }

    /// Elements and connections that clients now see, or no more.
    fn show_elements(&mut self, old: &Model, shown_before: &BTreeSet<u16>, effects: &mut Vec<Effect>) {
        let shown = self.shown_connections();
        for connection in shown_before.difference(&shown).copied() {
            signal(effects, Signal::RemovedMainConnection { connection });
        }
        for (index, (before, after)) in old.sources.iter().zip(&self.model.sources).enumerate() {
            let Some(id) = self.source_id(index) else { continue };
            match (before.visible, after.visible) {
                (true, false) => signal(effects, Signal::SourceRemoved { source: id }),
                (false, true) => {
                    let new = self.list_sources().into_iter().find(|it| it.id == id);
                    effects.extend(new.map(|new| Effect::Signal(Signal::SourceAdded(new))));
                }
                _ => {}
            }
        }
        for (index, (before, after)) in old.sinks.iter().zip(&self.model.sinks).enumerate() {
            let Some(id) = self.sink_id(index) else { continue };
            match (before.visible, after.visible) {
                (true, false) => signal(effects, Signal::SinkRemoved { sink: id }),
                (false, true) => {
                    let new = self.list_sinks().into_iter().find(|it| it.id == id);
                    effects.extend(new.map(|new| Effect::Signal(Signal::SinkAdded(new))));
                }
                _ => {}
            }
        }
        for id in shown.difference(shown_before) {
            let new = self.main_connection(*id);
            effects.extend(new.map(|new| Effect::Signal(Signal::NewMainConnection(new))));
        }
    }

    /// Volumes into the ranges of their new curves.
    fn fit_volumes(&mut self, effects: &mut Vec<Effect>) {
        for (index, (described, state)) in self.model.sinks.iter().zip(&mut self.state.sinks).enumerate() {
            let volume = curve::clamp(&described.curve, state.volume);
            let changed = std::mem::replace(&mut state.volume, volume) != volume;
            if let Some(sink) = self.state.ids.sinks.id(index)
                && changed
                && described.visible
            {
                signal(effects, Signal::VolumeChanged { sink, volume });
            }
        }
    }

    /// What was refused stays so until the stream starts or is connected again; the line that says so is the new file's, if any.
    fn cite_anew(&mut self, old: &Model) {
        let model = &self.model;
        for (source, state) in self.state.sources.iter_mut().enumerate() {
            for refused in state.refused.values_mut() {
                let by = refused.by;
                let stopped = old.pressure(source, by);
                let was_stopped =
                    stopped.action == Holder::Stop && (stopped.line, stopped.duck) == (refused.line, refused.duck);
                let (stop, reject) = (model.pressure(source, by), model.arrival(by, source));
                let stop = (stop.action == Holder::Stop).then_some((stop.duck, stop.line));
                let reject = (reject.action == Arrival::Reject).then_some((reject.duck, reject.line));
                match if was_stopped { stop.or(reject) } else { reject.or(stop) } {
                    Some((duck, line)) => (refused.duck, refused.line) = (duck, line),
                    None => refused.line = None,
                }
            }
        }
    }

    /// What a rule suspended stays so while there is a rule of that name; else it waits for its turn, which may be now.
    fn hold_anew(&mut self, old: &Model) {
        let rules = self.model.rules.rules();
        for connection in self.state.connections.values_mut() {
            let Place::Held { line, order } = connection.place else {
                continue;
            };
            let step_of = |rule: &Rule| Some((rule.name.clone(), rule.then.iter().position(|step| step.line == line)?));
            let before = old.rules.rules().iter().find_map(step_of);
            let now = before.and_then(|(name, step)| {
                let then = &rules.iter().find(|rule| rule.name == name)?.then;
                then.get(step).or(then.last())
            });
            connection.place = match now {
                Some(step) => Place::Held { line: step.line, order },
                None if self.state.sources[connection.source].running => Place::Waiting(order),
                None => Place::Idle,
            };
        }
    }

    /// Ends what streams connected by themselves to zones that the file no longer gives them.
    fn leave_zones(&mut self, effects: &mut Vec<Effect>) {
        let connections = self.state.connections.iter();
        let left = connections
            .filter(|(_, it)| it.automatic && !self.model.sources[it.source].auto_connect.contains(&it.sink));
        let left: Vec<u16> = left.map(|(id, _)| *id).collect();
        for id in left {
            self.give_back(id, effects);
        }
    }

    /// Lets running streams arrive in zones that the file gives them now, as if they had just started.
    fn join_zones(&mut self, old: &Model, effects: &mut Vec<Effect>) {
        for source in 0..self.model.sources.len() {
            if !self.state.sources[source].running || self.model.protected(source) {
                continue;
            }
            let zones = self.model.sources[source].auto_connect.iter();
            let new = zones.filter(|zone| !old.sources[source].auto_connect.contains(zone));
            for sink in new.copied().collect::<Vec<_>>() {
                if let Some(id) = self.state.connection_between(source, sink) {
                    self.promote(id, true, effects);
                    continue;
                }
                match self.find(source, sink) {
                    Finding::Closed(refusal) => {
                        self.state.sources[source].refused.insert(sink, refusal);
                    }
                    finding => {
                        if let Some(id) = self.make((source, sink), true, effects) {
                            self.arrive(id, &finding, effects);
                        }
                    }
                }
            }
        }
    }

    /// Those there arrive once more under the new matrix, oldest first.
    fn judge_again(&mut self, old: &Model, effects: &mut Vec<Effect>) {
        #[cfg(test)]
        if mutant::is(Mutant::KeepsWhatIsIllegal) {
            return;
        }
        for sink in 0..self.model.sinks.len() {
            let mut passed: Vec<Present> = Vec::new();
            for newcomer in present_at(&self.model, &self.state, sink) {
                if self.may_stay(newcomer, sink, &passed, effects) {
                    self.stop_those(old, (newcomer.source, sink), &mut passed, effects);
                    passed.push(newcomer);
                }
            }
        }
    }

    /// Whether `newcomer` may be where `passed` are; otherwise it waits or is disconnected.
    fn may_stay(&mut self, newcomer: Present, sink: usize, passed: &[Present], effects: &mut Vec<Effect>) -> bool {
        let source = newcomer.source;
        if self.model.protected(source) {
            return true;
        }
        let Some((by, verdict)) = blocker(&self.model, passed, source) else {
            return true;
        };
        let Some(id) = self.state.connection_between(source, sink) else {
            return false;
        };
        if verdict.action == Arrival::Reject {
            self.state.sources[source].refused.insert(sink, refusal(by, verdict));
            self.remove(id, effects);
        } else if let Some(connection) = self.state.connections.get_mut(&id) {
            connection.place = Place::Waiting(newcomer.order);
        }
        false
    }

    /// Disconnects those of `passed` whom the newcomer stops. A protected one counts as the newest of all, whenever it came, but has
    /// stopped nobody who came after it: only what its new cell says anew counts.
    fn stop_those(&mut self, old: &Model, at: (usize, usize), passed: &mut Vec<Present>, effects: &mut Vec<Effect>) {
        let (newcomer, sink) = at;
        let protected = self.model.protected(newcomer);
        passed.retain(|holder| {
            let verdict = self.model.pressure(holder.source, newcomer);
            let as_before = protected && old.pressure(holder.source, newcomer).action == Holder::Stop;
            if verdict.action != Holder::Stop || as_before {
                return true;
            }
            let refused = &mut self.state.sources[holder.source].refused;
            refused.insert(sink, refusal(newcomer, verdict));
            if let Some(id) = self.state.connection_between(holder.source, sink) {
                self.remove(id, effects);
            }
            false
        });
    }
}
