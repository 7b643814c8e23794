//! What sets off rules: what was asked, and what is otherwise than before.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Call, Signal, error};
use crate::effect::{EXTERNAL, Effect};
use crate::event::Event;
use crate::machine::Machine;
use crate::routing_command::{RoutingCall, RoutingReply};
use crate::rules::Program;
use crate::rules::catalogue::{Field, Trigger};
use crate::rules::kind::{Element, Kind, Value};
use crate::rules::view::{Link, Request, View};

/// Set off by connections, or asked with what is known of one.
const CONNECTIONS: [Trigger; 2] = [Trigger::ConnectionStateChange, Trigger::DisconnectionRequest];
const VOLUMES: [Trigger; 2] = [Trigger::VolumeChanged, Trigger::SinkMuteStateChanged];
const AVAILABILITY: [Trigger; 2] = [Trigger::SourceAvailabilityChanged, Trigger::SinkAvailabilityChanged];
const REGISTRATIONS: [Trigger; 8] = [
    Trigger::RegisterDomain,
    Trigger::DeregisterDomain,
    Trigger::RegisterSource,
    Trigger::DeregisterSource,
    Trigger::RegisterSink,
    Trigger::DeregisterSink,
    Trigger::RegisterGateway,
    Trigger::DeregisterGateway,
];

/// All that could set off a rule by changing.
pub(super) struct Seen {
    links: BTreeMap<u16, Link>,
    /// mainVolume and mute.
    sinks: BTreeMap<usize, (Option<i16>, Option<bool>)>,
    available: BTreeMap<Element, (i16, i16)>,
    interrupting: BTreeSet<usize>,
    /// With what is known of them.
    registered: BTreeMap<Element, Request>,
    complete: BTreeSet<u16>,
    /// All domains are complete.
    all_complete: bool,
    /// One took too long.
    late: bool,
}

fn number(value: i16) -> Value {
    Value::Number(value.into())
}

fn mute(muted: bool) -> Value {
    Value::Word(Kind::Mute, if muted { 1 } else { 2 })
}

impl Seen {
    /// Of what a rule is on, and nothing else.
    pub fn of(machine: &Machine, program: &Program) -> Self {
        let registry = &machine.state.routing.registry;
        let on = |triggers: &[Trigger]| triggers.iter().any(|it| program.listens_to(*it));
        let complete = registry.domains.iter().filter(|(_, it)| it.complete);
        Self {
            links: given(on(&CONNECTIONS), || {
                machine.links().into_iter().map(|it| (it.id, it)).collect()
            }),
            sinks: given(on(&VOLUMES), || volumes(machine)),
            available: given(on(&AVAILABILITY), || available(machine)),
            interrupting: given(on(&[Trigger::InterruptStateChanged]), || {
                let interrupts = |it: &usize| machine.interrupts(*it) == Some(true);
                machine.sources().into_iter().filter(interrupts).collect()
            }),
            registered: given(on(&REGISTRATIONS), || registered_in(machine)),
            complete: complete.map(|(id, _)| *id).collect(),
            all_complete: machine.all_domains_are_complete(),
            late: machine.domains_are_late(),
        }
    }

    /// What is otherwise now, as requests.
    pub fn changes(&self, machine: &Machine, program: &Program) -> Vec<Request> {
        let now = Self::of(machine, program);
        let mut requests = Vec::new();
        self.registrations(&now, machine, &mut requests);
        for (element, availability) in &now.available {
            let was = self.available.get(element);
            if was.is_some_and(|was| was != availability) {
                let trigger = match element {
                    Element::Source(_) => Trigger::SourceAvailabilityChanged,
                    _ => Trigger::SinkAvailabilityChanged,
                };
                let request = Request::new(trigger).about(machine, *element);
                let state = Value::Word(Kind::Availability, availability.0);
                let request = request.with(Field::Availability, state);
                requests.push(request.with(Field::AvailabilityReason, number(availability.1)));
            }
        }
        for source in now.interrupting.symmetric_difference(&self.interrupting) {
            let state = if now.interrupting.contains(source) { 2 } else { 1 };
            let request = Request::new(Trigger::InterruptStateChanged).about(machine, Element::Source(*source));
            requests.push(request.with(Field::Interrupt, Value::Word(Kind::Interrupt, state)));
        }
        self.volumes(&now, machine, &mut requests);
        self.connections(&now, machine, &mut requests);
        requests
    }

    fn registrations(&self, now: &Self, machine: &Machine, requests: &mut Vec<Request>) {
        for element in now.registered.keys().filter(|it| !self.registered.contains_key(it)) {
            requests.push(Request::new(registered(*element)).about(machine, *element));
        }
        let gone = self
            .registered
            .iter()
            .filter(|(it, _)| !now.registered.contains_key(it));
        requests.extend(gone.map(|(_, request)| request.clone()));
        for domain in now.complete.difference(&self.complete) {
            let request = Request::new(Trigger::DomainRegistrationComplete);
            requests.push(request.about(machine, Element::Domain(*domain)));
        }
        let status = match (now.all_complete && !self.all_complete, now.late && !self.late) {
            (true, _) if machine.state.store_lost => error::DATABASE_ERROR,
            (true, _) => error::OK,
            (_, true) => error::NOT_POSSIBLE,
            _ => return,
        };
        let request = Request::new(Trigger::AllDomainRegistrationComplete);
        requests.push(request.with(Field::Status, number(status)));
    }

    fn volumes(&self, now: &Self, machine: &Machine, requests: &mut Vec<Request>) {
        for (sink, (volume, muted)) in &now.sinks {
            let Some((volume_was, muted_was)) = self.sinks.get(sink) else {
                continue;
            };
            let about = |trigger| Request::new(trigger).about(machine, Element::Sink(*sink));
            if let Some(volume) = volume.filter(|_| volume != volume_was) {
                requests.push(about(Trigger::VolumeChanged).with(Field::MainVolume, number(volume)));
            }
            if let Some(muted) = muted.filter(|_| muted != muted_was) {
                requests.push(about(Trigger::SinkMuteStateChanged).with(Field::Mute, mute(muted)));
            }
        }
    }

    fn connections(&self, now: &Self, machine: &Machine, requests: &mut Vec<Request>) {
        for (id, link) in &now.links {
            if self.links.get(id).is_none_or(|was| was.state != link.state) {
                requests.push(changed(machine, link, link.state));
            }
        }
        for link in self.links.values().filter(|it| !now.links.contains_key(&it.id)) {
            const DISCONNECTED: i16 = 4;
            requests.push(changed(machine, link, DISCONNECTED));
        }
    }
}

fn given<T: Default>(is: bool, then: impl FnOnce() -> T) -> T {
    if is { then() } else { T::default() }
}

/// mainVolume and mute of each sink.
fn volumes(machine: &Machine) -> BTreeMap<usize, (Option<i16>, Option<bool>)> {
    let sinks = machine.sinks().into_iter();
    sinks
        .map(|it| (it, (machine.main_volume(it), machine.muted(Element::Sink(it)))))
        .collect()
}

/// Of sources and sinks.
fn ends(machine: &Machine) -> impl Iterator<Item = Element> {
    let sources = machine.sources().into_iter().map(Element::Source);
    sources.chain(machine.sinks().into_iter().map(Element::Sink))
}

fn available(machine: &Machine) -> BTreeMap<Element, (i16, i16)> {
    ends(machine)
        .filter_map(|it| Some((it, machine.availability(it)?)))
        .collect()
}

/// With what is known of them.
fn registered_in(machine: &Machine) -> BTreeMap<Element, Request> {
    let registry = &machine.state.routing.registry;
    let domains = registry.domains.keys().map(|id| Element::Domain(*id));
    let gateways = registry.gateways.keys().map(|id| Element::Gateway(*id));
    let external = |it: &Element| matches!(it, Element::Source(index) | Element::Sink(index) if *index >= EXTERNAL);
    let all = domains.chain(gateways).chain(ends(machine).filter(external));
    all.map(|it| (it, Request::new(deregistered(it)).about(machine, it)))
        .collect()
}

fn changed(machine: &Machine, link: &Link, state: i16) -> Request {
    connection(Request::new(Trigger::ConnectionStateChange), machine, link)
        .with(Field::ConnectionState, Value::Word(Kind::State, state))
}

/// A connection, its ends and state.
fn connection(request: Request, machine: &Machine, link: &Link) -> Request {
    request
        .about(machine, Element::Source(link.source))
        .about(machine, Element::Sink(link.sink))
        .with(Field::Connection, Value::Element(Element::Connection(link.id)))
        .with(Field::ConnectionState, Value::Word(Kind::State, link.state))
}

fn registered(element: Element) -> Trigger {
    match element {
        Element::Source(_) => Trigger::RegisterSource,
        Element::Sink(_) => Trigger::RegisterSink,
        Element::Gateway(_) => Trigger::RegisterGateway,
        _ => Trigger::RegisterDomain,
    }
}

fn deregistered(element: Element) -> Trigger {
    match element {
        Element::Source(_) => Trigger::DeregisterSource,
        Element::Sink(_) => Trigger::DeregisterSink,
        Element::Gateway(_) => Trigger::DeregisterGateway,
        _ => Trigger::DeregisterDomain,
    }
}

/// What an event is itself. It has been taken and answered.
pub(super) fn requests_of(machine: &Machine, event: &Event, before: &Seen, effects: &[Effect]) -> Vec<Request> {
    let about = |trigger, source: usize| {
        let known = source < machine.model.sources.len();
        known.then(|| Request::new(trigger).about(machine, Element::Source(source)))
    };
    let request = match event {
        Event::Call { call, .. } => asked(machine, call, before, effects),
        Event::StreamStarted { source, .. } => about(Trigger::StreamStarted, *source),
        Event::StreamStopped { source } => about(Trigger::StreamStopped, *source),
        Event::StreamReleased { source } => about(Trigger::StreamReleased, *source),
        Event::Sounding { source, on } => {
            let trigger = if *on {
                Trigger::ChimeStarted
            } else {
                Trigger::ChimeStopped
            };
            about(trigger, *source).filter(|_| machine.protected(*source))
        }
        Event::Routing { call, .. } => announced(machine, call, effects),
        _ => None,
    };
    request.into_iter().collect()
}

/// A connection of before the start that was taken over.
fn announced(machine: &Machine, call: &RoutingCall, effects: &[Effect]) -> Option<Request> {
    let RoutingCall::RegisterEarlyConnection { source, sink, .. } = *call else {
        return None;
    };
    let taken = effects.iter().find_map(|effect| match effect {
        Effect::RoutingReply {
            reply: RoutingReply::Early { id, error: 0, .. },
            ..
        } => Some(*id),
        _ => None,
    })?;
    let request = on_source(Request::new(Trigger::RegisterEarlyConnection), machine, source);
    let connection = Value::Element(Element::Connection(taken));
    Some(on_sink(request, machine, sink).with(Field::Connection, connection))
}

/// mainVolumes of before the boot that were taken up.
pub(super) fn stored(machine: &mut Machine) -> Vec<Request> {
    let stored = std::mem::take(&mut machine.state.stored).into_iter();
    let requests = stored.map(|(sink, volume)| {
        let request = Request::new(Trigger::StoredSinkVolume).about(machine, Element::Sink(sink));
        request.with(Field::MainVolume, number(volume))
    });
    requests.collect()
}

fn asked(machine: &Machine, call: &Call, before: &Seen, effects: &[Effect]) -> Option<Request> {
    let request = match *call {
        Call::Connect { source, sink } => {
            let request = on_sink(
                on_source(Request::new(Trigger::ConnectionRequest), machine, source),
                machine,
                sink,
            );
            let (source, sink) = (machine.source_of(source), machine.sink_of(sink));
            let is = |it: &Link| Some(Element::Source(it.source)) == source && Some(Element::Sink(it.sink)) == sink;
            match machine.links().into_iter().find(is) {
                Some(link) => connection(request, machine, &link),
                None => request,
            }
        }
        Call::Disconnect { connection: id } => {
            let request = Request::new(Trigger::DisconnectionRequest);
            match before.links.get(&id) {
                Some(link) => connection(request, machine, link),
                None => request,
            }
        }
        Call::SetSinkMuteState { sink, state } => on_sink(Request::new(Trigger::SetSinkMuteState), machine, sink)
            .with(Field::Mute, Value::Word(Kind::Mute, state)),
        Call::SetVolume { sink, volume } => on_sink(Request::new(Trigger::SetVolume), machine, sink)
            .with(Field::MainVolume, number(volume))
            .with(Field::IsStep, Value::Bool(false)),
        Call::VolumeStep { sink, step } => on_sink(Request::new(Trigger::SetVolume), machine, sink)
            .with(Field::MainVolume, number(step))
            .with(Field::IsStep, Value::Bool(true)),
        Call::SetMainSinkSoundProperty { sink, property } => {
            let request = on_sink(Request::new(Trigger::SetSinkMainSoundProperty), machine, sink);
            with_property(request, property)
        }
        Call::SetMainSourceSoundProperty { source, property } => {
            let request = on_source(Request::new(Trigger::SetSourceMainSoundProperty), machine, source);
            with_property(request, property)
        }
        Call::SetMainSinkSoundProperties { sink, .. } => {
            on_sink(Request::new(Trigger::SetSinkMainSoundProperties), machine, sink)
        }
        Call::SetMainSourceSoundProperties { source, .. } => {
            on_source(Request::new(Trigger::SetSourceMainSoundProperties), machine, source)
        }
        Call::SetSystemProperties { .. } => Request::new(Trigger::SetSystemProperties),
        Call::SetSystemProperty { property } => Request::new(Trigger::SetSystemProperty)
            .with(Field::SystemPropertyType, Value::of_property_type(property.0))
            .with(Field::SystemPropertyValue, number(property.1)),
        Call::SetSinkMainNotificationConfiguration { sink, notification } => {
            let request = Request::new(Trigger::SetSinkMainNotificationConfiguration);
            with_notification(on_sink(request, machine, sink), notification)
        }
        Call::SetSourceMainNotificationConfiguration { source, notification } => {
            let request = Request::new(Trigger::SetSourceMainNotificationConfiguration);
            with_notification(on_source(request, machine, source), notification)
        }
        _ => return None,
    };
    let status = effects.iter().find_map(|effect| match effect {
        Effect::Reply { reply, .. } => Some(reply.error),
        _ => None,
    });
    Some(match status {
        Some(status) => request.with(Field::Status, number(status)),
        None => request,
    })
}

fn on_source(request: Request, machine: &Machine, id: u16) -> Request {
    match machine.source_of(id) {
        Some(source) => request.about(machine, source),
        None => request,
    }
}

fn on_sink(request: Request, machine: &Machine, id: u16) -> Request {
    match machine.sink_of(id) {
        Some(sink) => request.about(machine, sink),
        None => request,
    }
}

fn with_property(request: Request, (kind, value): (i16, i16)) -> Request {
    request
        .with(Field::PropertyType, Value::of_property_type(kind))
        .with(Field::PropertyValue, number(value))
}

fn with_notification(request: Request, (kind, status, param): (i16, i16, i16)) -> Request {
    request
        .with(Field::NotificationConfigurationType, number(kind))
        .with(Field::NotificationConfigurationStatus, number(status))
        .with(Field::NotificationConfigurationParam, number(param))
}

/// What only signals tell: notifications and properties that changed.
pub(super) fn notified(machine: &Machine, effects: &[Effect]) -> Vec<Request> {
    let signals = effects.iter().filter_map(|effect| match effect {
        Effect::Signal(signal) => Some(signal),
        _ => None,
    });
    let requests = signals.filter_map(|signal| match *signal {
        Signal::SinkNotification { sink, payload } => {
            let request = on_sink(Request::new(Trigger::SinkNotificationDataChanged), machine, sink);
            Some(with_payload(request, payload))
        }
        Signal::SourceNotification { source, payload } => {
            let request = on_source(Request::new(Trigger::SourceNotificationDataChanged), machine, source);
            Some(with_payload(request, payload))
        }
        Signal::MainSinkSoundPropertyChanged { sink, property } => {
            let request = on_sink(Request::new(Trigger::SinkMainSoundPropertyChanged), machine, sink);
            Some(with_property(request, property))
        }
        Signal::MainSourceSoundPropertyChanged { source, property } => {
            let request = on_source(Request::new(Trigger::SourceMainSoundPropertyChanged), machine, source);
            Some(with_property(request, property))
        }
        _ => None,
    });
    requests.collect()
}

fn with_payload(request: Request, (kind, value): (i16, i16)) -> Request {
    request
        .with(Field::NotificationType, number(kind))
        .with(Field::NotificationValue, number(value))
}
