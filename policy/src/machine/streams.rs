//! What guests and chimes do: streams start, stop and end, guests come and go, control elements move, chimes sound.

use super::connections::Finding;
use super::state::{Place, clamp_gain};
use super::{Machine, signal};
use crate::command::{Availability, Signal};
use crate::effect::Effect;
use crate::{Db10, Model};

/// `am_Availability_s`: available or unavailable, reason unknown.
pub(super) fn availability(available: bool) -> Availability {
    (if available { 1 } else { 2 }, 0)
}

fn exists(model: &Model, source: usize) -> bool {
    source < model.sources.len()
}

impl Machine {
    /// A start is an arrival at every sink the source is connected to or connects to by itself.
    pub(super) fn stream_started(&mut self, source: usize, start_gen: u32, effects: &mut Vec<Effect>) {
        let Some(state) = self.state.sources.get_mut(source) else {
            return;
        };
        state.start_gen = start_gen;
        let was_running = std::mem::replace(&mut state.running, true);
        if was_running {
            return;
        }
        state.refused.clear();
        if self.model.protected(source) {
            self.stop_for_protected(source, effects);
            return;
        }
        for id in self.state.connections_of(source) {
            self.start_again(id, effects);
            let sink = self.state.connections.get(&id).map(|it| it.sink);
            sink.into_iter().for_each(|sink| self.mirror(source, sink, effects));
        }
        for sink in self.model.sources[source].auto_connect.clone() {
            let refused = self.state.sources[source].refused.contains_key(&sink);
            let known = self.state.connection_between(source, sink);
            if let Some(id) = known.filter(|_| !refused) {
                self.promote(id, true, effects);
            }
            if refused || known.is_some() {
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

    /// A connection that was there before its stream was started (again).
    fn start_again(&mut self, id: u16, effects: &mut Vec<Effect>) {
        let Some(connection) = self.state.connections.get(&id) else {
            return;
        };
        let automatic = connection.automatic;
        let finding = self.find(connection.source, connection.sink);
        self.arrive(id, &finding, effects);
        if automatic && matches!(finding, Finding::Closed(_)) {
            self.give_back(id, effects);
        }
    }

    fn stop_for_protected(&mut self, source: usize, effects: &mut Vec<Effect>) {
        for sink in self.model.sources[source].safety_sinks.clone() {
            self.stop_others(source, sink, effects);
        }
    }

    /// A pause by the guest: its connections stay, and are nobody's holder.
    pub(super) fn stream_stopped(&mut self, source: usize) {
        let Some(state) = self.state.sources.get_mut(source) else {
            return;
        };
        state.running = false;
        state.refused.clear();
        for connection in self.state.connections.values_mut().filter(|c| c.source == source) {
            connection.place = Place::Idle;
        }
    }

    /// The end of a stream and of what its start connected.
    pub(super) fn stream_released(&mut self, source: usize, effects: &mut Vec<Effect>) {
        self.stream_stopped(source);
        for id in self.state.connections_of(source) {
            if self.state.connections.get(&id).is_some_and(|it| it.automatic) {
                self.give_back(id, effects);
            }
        }
    }

    pub(super) fn available(&mut self, source: usize, available: bool, effects: &mut Vec<Effect>) {
        if !exists(&self.model, source) {
            return;
        }
        if !available {
            self.stream_released(source, effects);
        }
        let before = std::mem::replace(&mut self.state.sources[source].available, available);
        if before == available || !self.model.sources[source].visible {
            return;
        }
        if let Some(id) = self.source_id(source) {
            let availability = availability(available);
            signal(
                effects,
                Signal::SourceAvailabilityChanged {
                    source: id,
                    availability,
                },
            );
        }
    }

    /// A guest's control elements are its wish. What it gets may be less (out of range; nothing on a protected source).
    pub(super) fn user_gain(&mut self, source: usize, gain: Db10, mute: bool, effects: &mut Vec<Effect>) {
        let protected = self.model.protected(source);
        let Some(state) = self.state.sources.get_mut(source) else {
            return;
        };
        state.shown = (gain, mute);
        if !protected {
            state.gain = clamp_gain(gain);
            state.mute = mute;
        }
        self.show_guest(source, effects);
        self.follow_source(source, effects);
    }

    /// Has the guest's control elements show what is wanted, where they don't yet.
    pub(super) fn show_guest(&mut self, source: usize, effects: &mut Vec<Effect>) {
        let Some(state) = self.state.sources.get_mut(source) else {
            return;
        };
        let (gain, mute) = (state.gain, state.mute);
        if state.shown != (gain, mute) {
            state.shown = (gain, mute);
            effects.push(Effect::GuestControl { source, gain, mute });
        }
    }

    /// A chime. Only protected sources sound without a stream.
    pub(super) fn sounding(&mut self, source: usize, on: bool, effects: &mut Vec<Effect>) {
        if !self.model.protected(source) {
            return;
        }
        let before = std::mem::replace(&mut self.state.sources[source].sounding, on);
        if on && !before {
            self.stop_for_protected(source, effects);
        }
    }
}
