//! Carries out what rules decided: by the calls clients have, so that rules can do nothing that a client can't, but for limits,
//! pushed and suspended connections of guests' streams.

use super::{MAX_PUSHED, Machine, Pushed};
use crate::command::Call;
use crate::effect::Effect;
use crate::machine::state::Place;
use crate::routing_command::Kind;
use crate::rules::action::{Action, Change, Live, Part, Target};
use crate::rules::kind::Element;
use crate::rules::{Decided, Program};

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

/// Nobody's: the answer is thrown away.
const TOKEN: u64 = 0;

impl Machine {
    pub(super) fn act(&mut self, program: &Program, decided: &Decided, effects: &mut Vec<Effect>) {
        debug_assert!(decided.rule < program.rules().len());
        #[cfg(test)]
        if mutant::is(Mutant::RulesDoNothing) {
            return;
        }
        match &decided.action {
            Action::Connect { pairs, format } => {
                for (source, sink) in pairs {
                    self.join((*source, *sink), *format, effects);
                }
            }
            Action::Disconnect(live) => live.iter().for_each(|it| self.part(it, effects)),
            Action::Push(live) => live.iter().for_each(|it| self.push(it, effects)),
            Action::Suspend(live) => live.iter().for_each(|it| self.suspend_by(it, decided.line)),
            Action::SetMainVolume { sinks, change, ramp } => {
                for sink in sinks {
                    self.ramp_sink(*sink, *ramp);
                    self.set_main_volume(*sink, *change, effects);
                }
            }
            Action::SetGain { sources, change, ramp } => {
                for source in sources {
                    self.ramp_source(source.source(), *ramp);
                    self.set_gain(*source, *change, effects);
                }
            }
            Action::Limit(limit) => self.limit_to(limit, decided),
            Action::Unlimit { spots, mutes, mask } => self.unlimit(spots, *mutes, *mask),
            Action::SetProperties { of, properties } => {
                for element in of {
                    let properties = properties.clone();
                    let call = match (*element, self.id_of(*element)) {
                        (Element::Source(_), Some(source)) => Call::SetMainSourceSoundProperties { source, properties },
                        (_, Some(sink)) => Call::SetMainSinkSoundProperties { sink, properties },
                        _ => continue,
                    };
                    self.call(TOKEN, &call, effects);
                }
            }
            Action::SetNotification { of, notification } => {
                let notification = *notification;
                for element in of {
                    let call = match (*element, self.id_of(*element)) {
                        (Element::Source(_), Some(source)) => {
                            Call::SetSourceMainNotificationConfiguration { source, notification }
                        }
                        (_, Some(sink)) => Call::SetSinkMainNotificationConfiguration { sink, notification },
                        _ => continue,
                    };
                    self.call(TOKEN, &call, effects);
                }
            }
            Action::SetSystemProperties(properties) => {
                // Of one that the file doesn't have nothing is set.
                let _: i16 = self.set_system(properties, false, effects);
            }
            // A mark in the record of decisions, which has it already: see `Machine::acted`.
            Action::SetDebug(_) => {}
            Action::Register(names) => self.register_named(names, effects),
            Action::Transfer => self.run_down(effects),
        }
    }

    fn register_named(&mut self, names: &[(Part, String)], effects: &mut Vec<Effect>) {
        let mut signals = Vec::new();
        for (part, name) in names {
            let kind = match part {
                Part::Source => Kind::Source,
                Part::Sink => Kind::Sink,
                Part::Gateway => Kind::Gateway,
            };
            let _: bool = self.register_known(kind, name, &mut signals);
        }
        effects.extend(signals.into_iter().map(Effect::Signal));
    }

    fn join(&mut self, (source, sink): (Target, usize), format: Option<u16>, effects: &mut Vec<Effect>) {
        let from = source.source();
        self.state
            .ruled
            .pushed
            .retain(|_, it| (it.source, it.sink) != (from, sink));
        if let Some(id) = self.state.connection_between(from, sink) {
            let suspended = self
                .state
                .connections
                .get(&id)
                .is_some_and(|it| matches!(it.place, Place::Held { .. }));
            if suspended {
                let finding = self.find(from, sink);
                self.arrive(id, &finding, effects);
            }
            return;
        }
        let ends = (self.id_of(Element::Source(from)), self.id_of(Element::Sink(sink)));
        if let (Some(source), Some(sink)) = ends {
            match format {
                Some(_) if self.is_over_domains(source, sink) => {
                    self.connect_over_domains(TOKEN, (source, sink), format, effects);
                }
                _ => self.call(TOKEN, &Call::Connect { source, sink }, effects),
            }
        }
    }

    fn part(&mut self, live: &Live, effects: &mut Vec<Effect>) {
        if self.state.ruled.pushed.remove(&live.id).is_none() {
            self.call(TOKEN, &Call::Disconnect { connection: live.id }, effects);
        }
    }

    fn push(&mut self, live: &Live, effects: &mut Vec<Effect>) {
        if self.state.routing.has_main(live.id) {
            return self.park_main(live.id);
        }
        if !self.state.connections.contains_key(&live.id) || self.state.ruled.pushed.len() >= MAX_PUSHED {
            return;
        }
        let order = self.state.tick_order();
        self.part(live, effects);
        let pushed = Pushed {
            source: live.source.source(),
            sink: live.sink,
            order,
        };
        self.state.ruled.pushed.insert(live.id, pushed);
    }

    /// Until it is resumed, or its stream stops.
    fn suspend_by(&mut self, live: &Live, line: u32) {
        let Some(connection) = self.state.connections.get_mut(&live.id) else {
            return self.hold_main(live.id, line);
        };
        if let Place::Admitted(order) | Place::Waiting(order) = connection.place {
            connection.place = Place::Held { line, order };
        }
    }

    fn set_main_volume(&mut self, sink: usize, change: Change<i16>, effects: &mut Vec<Effect>) {
        let Some(id) = self.id_of(Element::Sink(sink)) else {
            return;
        };
        let call = match change {
            Change::To(volume) => Call::SetVolume { sink: id, volume },
            Change::By(step) => Call::VolumeStep { sink: id, step },
            Change::Restore => match self.model.sinks.get(sink) {
                Some(described) => Call::SetVolume {
                    sink: id,
                    volume: described.main_volume,
                },
                None => match self.known_main_volume(id) {
                    Some(volume) => Call::SetVolume { sink: id, volume },
                    None => return,
                },
            },
        };
        self.call(TOKEN, &call, effects);
    }

    fn set_gain(&mut self, source: Target, change: Change<crate::Db10>, effects: &mut Vec<Effect>) {
        let source = source.source();
        if self.set_domain_gain(source, change) {
            return;
        }
        let (Some(id), Some(state)) = (self.id_of(Element::Source(source)), self.state.sources.get(source)) else {
            return;
        };
        let gain = match change {
            Change::To(gain) => gain,
            Change::By(step) => state.gain.saturating_add(step),
            Change::Restore => self.model.sources[source].gain,
        };
        self.call(TOKEN, &Call::SetSourceGain { source: id, gain }, effects);
    }
}
