//! What domains tell of their own accord.

use super::register::is_available;
use super::state::Goal;
use crate::command::Signal;
use crate::machine::Machine;
use crate::routing::Domain;
use crate::routing_command::{End, Kind, RoutingCall};

impl Machine {
    /// What a domain tells about its own elements. What it tells about others is dropped.
    pub(super) fn told(&mut self, peer: &str, call: RoutingCall, signals: &mut Vec<Signal>) {
        match call {
            RoutingCall::HookInterruptStatusChange { source, state } => {
                if self.may_change(peer, Kind::Source, source).is_ok()
                    && let Some(source) = self.state.routing.registry.sources.get_mut(&source)
                {
                    source.interrupt = state;
                }
            }
            RoutingCall::HookDomainRegistrationComplete { domain } => {
                self.with_domain(peer, domain, |domain| domain.complete = true);
            }
            RoutingCall::HookDomainStateChange { domain, state } if self.owns(peer, domain) => {
                self.state_told(domain, state);
            }
            RoutingCall::HookNotificationDataChange { end, payload } => self.notified(peer, end, payload, signals),
            RoutingCall::HookAvailabilityStatusChange { end, availability } => {
                self.availability_told(peer, end, availability, signals);
            }
            RoutingCall::HookTimingInformationChanged { connection, delay } => {
                let segment = self.state.routing.segments.get(&connection).map(|it| it.hop.domain);
                let own = segment.is_some_and(|domain| self.owns(peer, domain));
                if let Some(segment) = self.state.routing.segments.get_mut(&connection).filter(|_| own) {
                    segment.delay = delay.max(-1);
                }
            }
            RoutingCall::SendChangedData { volumes, properties } => {
                for (end, volume) in volumes {
                    self.volume_told(peer, end, volume);
                }
                for (end, property) in properties {
                    self.property_told(peer, end, property, signals);
                }
            }
            RoutingCall::ConfirmRoutingReady { domain } if self.owns(peer, domain) => self.ready_told(),
            // The other confirmations: a domain that didn't confirm is served all the same.
            _ => {}
        }
    }

    fn with_domain(&mut self, peer: &str, domain: u16, change: impl FnOnce(&mut Domain)) {
        let domain = self.state.routing.registry.domains.get_mut(&domain);
        if let Some(domain) = domain.filter(|it| it.peer == peer) {
            change(domain);
        }
    }

    fn notified(&mut self, peer: &str, end: End, payload: (i16, i16), signals: &mut Vec<Signal>) {
        if self.may_change(peer, end.kind(), end.id()).is_err() {
            return;
        }
        let registry = &self.state.routing.registry;
        match end {
            End::Source(source) if registry.sources.get(&source).is_some_and(|it| it.visible) => {
                signals.push(Signal::SourceNotification { source, payload });
            }
            End::Sink(sink) if registry.sinks.get(&sink).is_some_and(|it| it.visible) => {
                signals.push(Signal::SinkNotification { sink, payload });
            }
            _ => {}
        }
    }

    /// Connections of an end that is no longer available are disconnected and kept.
    fn availability_told(&mut self, peer: &str, end: End, availability: (i16, i16), signals: &mut Vec<Signal>) {
        if self.may_change(peer, end.kind(), end.id()).is_err() {
            return;
        }
        let registry = &mut self.state.routing.registry;
        let changed = |known: &mut (i16, i16)| std::mem::replace(known, availability) != availability;
        match end {
            End::Source(source) => {
                let Some(known) = registry.sources.get_mut(&source) else {
                    return;
                };
                if changed(&mut known.availability) && known.visible {
                    signals.push(Signal::SourceAvailabilityChanged { source, availability });
                }
            }
            End::Sink(sink) => {
                let Some(known) = registry.sinks.get_mut(&sink) else {
                    return;
                };
                if changed(&mut known.availability) && known.visible {
                    signals.push(Signal::SinkAvailabilityChanged { sink, availability });
                }
            }
        }
        if is_available(availability) {
            return;
        }
        for main in self.state.routing.mains.values_mut().filter(|it| it.goal == Goal::Up) {
            if End::Source(main.source) == end || End::Sink(main.sink) == end {
                main.goal = Goal::Parked;
                main.waiting = false;
            }
        }
    }

    fn volume_told(&mut self, peer: &str, end: End, volume: i16) {
        if self.may_change(peer, end.kind(), end.id()).is_err() {
            return;
        }
        let registry = &mut self.state.routing.registry;
        match end {
            End::Source(source) => {
                if let Some(source) = registry.sources.get_mut(&source) {
                    source.volume = volume;
                    source.base_volume = self.model.routing.clamp_volume(&source.name, volume);
                }
            }
            End::Sink(sink) => {
                if let Some(sink) = registry.sinks.get_mut(&sink) {
                    sink.volume = volume;
                }
            }
        }
    }

    fn property_told(&mut self, peer: &str, end: End, property: (i16, i16), signals: &mut Vec<Signal>) {
        if self.may_change(peer, end.kind(), end.id()).is_err() {
            return;
        }
        if let Some(lists) = self.lists_mut(end) {
            super::acks::set_property(&mut lists.sound, property);
        }
        self.sound_changed(end, property, |main| main.up, signals);
    }
}
