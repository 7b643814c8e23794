//! Acks, and what failed.

use super::state::{Goal, Target, What};
use crate::command::{ConnectionState, Property, Signal, error};
use crate::effect::Effect;
use crate::machine::Machine;
use crate::routing::rules::MainSound;
use crate::routing_command::{AckResult, End, source_state};

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

/// An ack for what was asked.
fn fits(what: &What, result: AckResult) -> bool {
    match (what, result) {
        (What::Connect { segment }, AckResult::Connect { connection })
        | (What::Disconnect { segment }, AckResult::Disconnect { connection }) => *segment == connection,
        (What::SourceState { .. }, AckResult::SourceState)
        | (What::SinkVolume { .. }, AckResult::SinkVolume { .. })
        | (What::SourceVolume { .. }, AckResult::SourceVolume { .. })
        | (What::SinkSound { .. }, AckResult::SinkSoundProperty)
        | (What::SourceSound { .. }, AckResult::SourceSoundProperty)
        | (What::SinkNotification { .. }, AckResult::SinkNotification)
        | (What::SourceNotification { .. }, AckResult::SourceNotification)
        | (What::Transfer { .. }, AckResult::TransferConnection)
        | (What::CrossFade { .. }, AckResult::CrossFading { .. })
        | (What::Volumes(_), AckResult::SetVolumes) => true,
        _ => false,
    }
}

impl Machine {
    /// An ack. One that is nobody's, another peer's, of another kind or too late is dropped and counted.
    pub(super) fn ack(&mut self, peer: &str, handle: u16, result: AckResult, error: u16, signals: &mut Vec<Signal>) {
        let open = &mut self.state.routing.open;
        #[cfg(test)]
        let peer = match open.iter().find(|(_, it)| it.contains_key(&handle)) {
            Some((other, _)) if mutant::is(Mutant::TakesForeignAcks) => other.clone(),
            _ => peer.to_owned(),
        };
        #[cfg(test)]
        let peer = peer.as_str();
        let what = open.get_mut(peer).and_then(|open| {
            let fits = fits(&open.get(&handle)?.what, result);
            fits.then(|| open.remove(&handle)).flatten().map(|it| it.what)
        });
        let Some(what) = what else {
            self.state.routing.dropped_acks += 1;
            return;
        };
        if error == error::OK as u16 {
            self.done(&what, signals);
        } else {
            self.reached(&what, result, error);
            self.failed(&what);
            self.give_up(&what);
        }
    }

    /// The transport couldn't deliver a request, or its domain doesn't know it.
    pub(in crate::machine) fn request_failed(&mut self, peer: &str, handle: u16, effects: &mut Vec<Effect>) {
        let open = self.state.routing.open.get_mut(peer);
        match open.and_then(|open| open.remove(&handle)) {
            Some(open) => {
                self.failed(&open.what);
                self.give_up(&open.what);
            }
            None => self.state.routing.dropped_acks += 1,
        }
        self.settle_domains(effects);
    }

    /// It is as it was asked for.
    fn done(&mut self, what: &What, signals: &mut Vec<Signal>) {
        self.state.routing.forgive(what.target());
        let routing = &mut self.state.routing;
        let registry = &mut routing.registry;
        match *what {
            What::Connect { segment } => {
                if let Some(segment) = routing.segments.get_mut(&segment) {
                    segment.up = true;
                }
            }
            What::Disconnect { segment } => drop(routing.segments.remove(&segment)),
            What::Transfer { main, .. } => drop(routing.offers.remove(&main)),
            What::SourceState { source, state } => {
                if let Some(source) = registry.sources.get_mut(&source) {
                    source.state = state;
                }
                if state == source_state::OFF {
                    routing.driven.remove(&source);
                }
            }
            What::SourceVolume { source, volume, .. } => {
                if let Some(source) = registry.sources.get_mut(&source) {
                    source.volume = volume;
                }
            }
            What::SinkVolume { .. } => self.sink_volume_done(what, signals),
            What::SinkSound { sink, ref properties } => self.sound_done(End::Sink(sink), properties, signals),
            What::SourceSound { source, ref properties } => self.sound_done(End::Source(source), properties, signals),
            What::CrossFade { crossfader, hot_sink } => {
                if let Some(crossfader) = registry.crossfaders.get_mut(&crossfader) {
                    crossfader.hot_sink = hot_sink;
                }
            }
            What::Volumes(ref all) => all.iter().for_each(|it| self.done(it, signals)),
            What::SinkNotification { sink, notification } => {
                self.notification_done(End::Sink(sink), notification, signals);
            }
            What::SourceNotification { source, notification } => {
                self.notification_done(End::Source(source), notification, signals);
            }
        }
    }

    fn sound_done(&mut self, end: End, properties: &[Property], signals: &mut Vec<Signal>) {
        for property in properties {
            if let Some(lists) = self.lists_mut(end) {
                set_property(&mut lists.sound, *property);
            }
            self.sound_changed(end, *property, |main| main.down, signals);
        }
    }

    /// A sound property changed: with it the main ones that stand for it in this direction.
    pub(super) fn sound_changed(
        &mut self,
        end: End,
        (kind, value): Property,
        counts: impl Fn(&MainSound) -> bool,
        signals: &mut Vec<Signal>,
    ) {
        let rules = &self.model.routing;
        let Some(lists) = self.lists_of(end) else { return };
        let own = lists.main_sound.iter().map(|it| it.0);
        let stand = own.filter(|main| {
            let main = rules.main_sound(*main);
            main.sound == kind && counts(&main)
        });
        for main in stand.collect::<Vec<_>>() {
            self.main_property_done(end, (main, value), signals);
        }
    }

    fn sink_volume_done(&mut self, what: &What, signals: &mut Vec<Signal>) {
        let What::SinkVolume {
            sink: id,
            volume,
            main_volume,
            mute,
            ..
        } = *what
        else {
            return;
        };
        let Some(sink) = self.state.routing.registry.sinks.get_mut(&id) else {
            return;
        };
        sink.volume = volume;
        if !mute && std::mem::replace(&mut sink.main_volume, main_volume) != main_volume && sink.visible {
            signals.push(Signal::VolumeChanged {
                sink: id,
                volume: main_volume,
            });
        }
        if std::mem::replace(&mut sink.mute, mute) != mute && sink.visible {
            let state = if mute { 1 } else { 2 };
            signals.push(Signal::SinkMuteStateChanged { sink: id, state });
        }
    }

    /// An aborted ramp or fade stays where it got to.
    fn reached(&mut self, what: &What, result: AckResult, error: u16) {
        if error != error::ABORTED as u16 {
            return;
        }
        let registry = &mut self.state.routing.registry;
        match (what, result) {
            (What::CrossFade { crossfader, .. }, AckResult::CrossFading { hot_sink }) => {
                if let Some(crossfader) = registry.crossfaders.get_mut(crossfader) {
                    crossfader.hot_sink = hot_sink;
                }
            }
            (What::SinkVolume { sink, .. }, AckResult::SinkVolume { volume }) => {
                if let Some(sink) = registry.sinks.get_mut(sink) {
                    sink.volume = volume;
                }
            }
            (What::SourceVolume { source, .. }, AckResult::SourceVolume { volume }) => {
                if let Some(source) = registry.sources.get_mut(source) {
                    source.volume = volume;
                }
            }
            _ => {}
        }
    }

    /// Refused or too late: those that needed it fail, and it isn't asked for again until someone asks anew.
    pub(super) fn failed(&mut self, what: &What) {
        let routing = &mut self.state.routing;
        match *what {
            What::Connect { segment } => {
                let Some(hop) = routing.segments.get(&segment).map(|it| it.hop) else {
                    return;
                };
                let needs = |main: &&mut super::state::Main| {
                    main.goal == Goal::Up
                        && main.uses(hop.source, hop.sink)
                        && main.state != ConnectionState::Connected
                        && !main.waiting
                };
                for main in routing.mains.values_mut().filter(needs) {
                    main.goal = Goal::Gone;
                    main.failed = true;
                }
            }
            // The next domain is asked.
            What::Disconnect { .. } | What::Transfer { .. } => {}
            What::SinkVolume { sink, mute, .. } => {
                routing.refuse(what.target(), what.value());
                if let Some(sink) = routing.registry.sinks.get_mut(&sink) {
                    if mute {
                        sink.wanted_mute = sink.mute;
                    } else {
                        sink.wanted_volume = sink.main_volume;
                    }
                }
            }
            What::Volumes(ref all) => all.iter().for_each(|it| self.failed(it)),
            _ => routing.refuse(what.target(), what.value()),
        }
    }

    /// Nothing more will come of it. A segment whose fate is unknown is taken to be none.
    pub(super) fn give_up(&mut self, what: &What) {
        let routing = &mut self.state.routing;
        match *what {
            What::Connect { segment } | What::Disconnect { segment } => drop(routing.segments.remove(&segment)),
            What::SourceState { source, state } if state == source_state::OFF => {
                routing.driven.remove(&source);
            }
            _ => {}
        }
    }

    /// A volume on its way.
    pub(super) fn volume_tick(&mut self, peer: &str, handle: u16, end: End, volume: i16) {
        let routing = &mut self.state.routing;
        let open = routing.open.get(peer).and_then(|open| open.get(&handle));
        let target = match end {
            End::Source(source) => Target::SourceVolume(source),
            End::Sink(sink) => Target::SinkVolume(sink),
        };
        if !open.is_some_and(|it| it.what.is_about(target)) {
            routing.dropped_acks += 1;
            return;
        }
        match end {
            End::Source(source) => {
                if let Some(source) = routing.registry.sources.get_mut(&source) {
                    source.volume = volume;
                }
            }
            End::Sink(sink) => {
                if let Some(sink) = routing.registry.sinks.get_mut(&sink) {
                    sink.volume = volume;
                }
            }
        }
    }
}

/// Writes a property that is in the list.
pub(super) fn set_property(list: &mut [(i16, i16)], property: (i16, i16)) -> bool {
    let known = list.iter_mut().find(|it| it.0 == property.0);
    known.is_some_and(|known| std::mem::replace(known, property) != property)
}
