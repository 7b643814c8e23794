//! Clients' calls, answered with the codes the AudioManager's generic controller gives (its live behaviour, not its XML).
//!
//! | situation | code |
//! |---|---|
//! | Connect: unknown source or sink | 8, ID 0 |
//! | Connect: protected source, refused by the matrix, no ID left | 7, ID 0 |
//! | Connect: connected pair | 0, the same ID |
//! | Disconnect: unknown ID | 7 |
//! | volume, mute, gain, sound property, notification: unknown ID; mute state other than 1, 2 | 2 |
//! | volume or gain out of range | 0, clamped |
//! | gain or mute of a protected source | 7 |
//! | sound property or notification type an element hasn't | 1 |
//! | system property | see [`super::system`] |
//! | lists and volume of an unknown ID; timing of an unknown connection | 8 |
//! | timing of a connection | 7, -1: not known |
//!
//! The reply comes before the signals of what it began.

use super::connections::Finding;
use super::streams::availability;
use super::{Machine, signal};
use crate::command::{Call, ClassInfo, MainSink, MainSource, Property, Reply, ReplyBody, Signal, error};
use crate::effect::Effect;
use crate::machine::state::{Place, clamp_gain};
use crate::{Db10, curve};

const MUTED: i16 = 1;
const UNMUTED: i16 = 2;

fn mute_state(mute: bool) -> i16 {
    if mute { MUTED } else { UNMUTED }
}

fn parse_mute(state: i16) -> Option<bool> {
    match state {
        MUTED => Some(true),
        UNMUTED => Some(false),
        _ => None,
    }
}

/// Answers one call.
struct Answer<'a> {
    token: u64,
    effects: &'a mut Vec<Effect>,
}

impl Answer<'_> {
    fn give(&mut self, error: i16, body: ReplyBody) {
        let reply = Reply { error, body };
        self.effects.push(Effect::Reply {
            token: self.token,
            reply,
        });
    }

    fn code(&mut self, error: i16) {
        self.give(error, ReplyBody::Nothing);
    }
}

impl Machine {
    pub(super) fn call(&mut self, token: u64, call: &Call, effects: &mut Vec<Effect>) {
        let before = self.before(call);
        self.answer(token, call, effects);
        self.follow(call, before, effects);
    }

    fn answer(&mut self, token: u64, call: &Call, effects: &mut Vec<Effect>) {
        if self.domain_call(token, call, effects) {
            return;
        }
        let mut answer = Answer { token, effects };
        match *call {
            Call::Connect { source, sink } => self.connect(source, sink, answer),
            Call::Disconnect { connection } => self.disconnect(connection, answer),
            Call::SetVolume { sink, volume } => self.set_volume(sink, |_| volume, answer),
            Call::VolumeStep { sink, step } => self.set_volume(sink, |now| now.saturating_add(step), answer),
            Call::SetSinkMuteState { sink, state } => self.set_sink_mute(sink, state, answer),
            Call::SetSourceGain { source, gain } => self.set_source(source, Some((Some(gain), None)), answer),
            Call::SetSourceMute { source, state } => {
                self.set_source(source, parse_mute(state).map(|mute| (None, Some(mute))), answer);
            }
            Call::SetMainSinkSoundProperty { sink, property } => self.set_zone_properties(sink, &[property], answer),
            Call::SetMainSinkSoundProperties { sink, ref properties } => {
                self.set_zone_properties(sink, properties, answer);
            }
            Call::SetSinkMainNotificationConfiguration { sink, .. } => {
                answer.code(not_configured(self.sink_index(sink)));
            }
            Call::SetMainSourceSoundProperty { source, .. }
            | Call::SetMainSourceSoundProperties { source, .. }
            | Call::SetSourceMainNotificationConfiguration { source, .. } => {
                answer.code(not_configured(self.source_index(source)));
            }
            Call::SetSystemProperty { property } => self.set_system_properties(&[property], answer),
            Call::SetSystemProperties { ref properties } => self.set_system_properties(properties, answer),
            ref query => {
                let reply = self.query(query);
                answer.give(reply.error, reply.body);
            }
        }
    }

    fn source_index(&self, id: u16) -> Option<usize> {
        self.state.ids.sources.index(id)
    }

    fn sink_index(&self, id: u16) -> Option<usize> {
        self.state.ids.sinks.index(id)
    }

    fn connect(&mut self, source: u16, sink: u16, mut answer: Answer) {
        let (Some(source), Some(sink)) = (self.source_index(source), self.sink_index(sink)) else {
            return answer.give(error::NON_EXISTENT, ReplyBody::Connection(0));
        };
        let refused = ReplyBody::Connection(0);
        if self.model.protected(source) {
            return answer.give(error::NOT_POSSIBLE, refused);
        }
        let running = self.state.sources[source].running;
        let finding = if running {
            self.find(source, sink)
        } else {
            Finding::Free
        };
        if let Some(id) = self.state.connection_between(source, sink) {
            answer.give(error::OK, ReplyBody::Connection(id));
            self.promote(id, false, answer.effects);
            return self.connect_again(id, running.then_some(finding), answer.effects);
        }
        if let Finding::Closed(refusal) = finding {
            self.state.sources[source].refused.insert(sink, refusal);
            return answer.give(error::NOT_POSSIBLE, refused);
        }
        // The answer comes first on the wire, so the ID is looked up before it is taken.
        let Some(id) = self.state.free_connection_id() else {
            return answer.give(error::NOT_POSSIBLE, refused);
        };
        answer.give(error::OK, ReplyBody::Connection(id));
        self.make((source, sink), false, answer.effects);
        if running {
            self.arrive(id, &finding, answer.effects);
        }
    }

    /// Connect on a connected pair: from now on the user's, and, where its stream runs, arriving again.
    fn connect_again(&mut self, id: u16, finding: Option<Finding>, effects: &mut Vec<Effect>) {
        let Some(connection) = self.state.connections.get_mut(&id) else {
            return;
        };
        connection.automatic = false;
        let there = matches!(connection.place, Place::Admitted(_));
        match finding {
            Some(finding) if finding == Finding::Free || !there => self.arrive(id, &finding, effects),
            _ => {}
        }
    }

    fn disconnect(&mut self, id: u16, mut answer: Answer) {
        let Some(connection) = self.state.connections.get(&id).filter(|it| it.direct) else {
            return answer.code(error::NOT_POSSIBLE);
        };
        // A refusal stands for what others still run over.
        if connection.held.is_empty() {
            self.state.sources[connection.source].refused.remove(&connection.sink);
        }
        answer.code(error::OK);
        self.give_back(id, answer.effects);
    }

    fn set_volume(&mut self, id: u16, wanted: impl FnOnce(i16) -> i16, mut answer: Answer) {
        let Some(sink) = self.sink_index(id) else {
            return answer.code(error::OUT_OF_RANGE);
        };
        answer.code(error::OK);
        let described = &self.model.sinks[sink];
        let state = &mut self.state.sinks[sink];
        let volume = curve::clamp(&described.curve, wanted(state.volume));
        if std::mem::replace(&mut state.volume, volume) != volume && described.visible {
            signal(answer.effects, Signal::VolumeChanged { sink: id, volume });
        }
    }

    fn set_sink_mute(&mut self, id: u16, state: i16, mut answer: Answer) {
        let (Some(sink), Some(mute)) = (self.sink_index(id), parse_mute(state)) else {
            return answer.code(error::OUT_OF_RANGE);
        };
        answer.code(error::OK);
        let before = std::mem::replace(&mut self.state.sinks[sink].mute, mute);
        if before != mute && self.model.sinks[sink].visible {
            signal(answer.effects, Signal::SinkMuteStateChanged { sink: id, state });
        }
    }

    /// A source's wanted gain or user mute; `None` = the value was out of range.
    fn set_source(&mut self, id: u16, change: Option<(Option<Db10>, Option<bool>)>, mut answer: Answer) {
        let (Some(source), Some((gain, mute))) = (self.source_index(id), change) else {
            return answer.code(error::OUT_OF_RANGE);
        };
        if self.model.protected(source) {
            return answer.code(error::NOT_POSSIBLE);
        }
        answer.code(error::OK);
        let state = &mut self.state.sources[source];
        state.gain = gain.map_or(state.gain, clamp_gain);
        state.mute = mute.unwrap_or(state.mute);
        self.show_guest(source, answer.effects);
    }

    /// A zone has no sound properties but its classes' volumes.
    fn set_zone_properties(&mut self, sink: u16, properties: &[Property], mut answer: Answer) {
        let known = self.sink_index(sink).is_some();
        if !known || !properties.iter().all(|it| self.class_of_volume(it.0).is_some()) {
            return answer.code(not_configured(self.sink_index(sink)));
        }
        let mut late = Vec::new();
        for property in properties {
            self.set_class_volume(sink, *property, &mut late);
        }
        answer.code(error::OK);
        answer.effects.extend(late.into_iter().map(Effect::Signal));
    }

    fn set_system_properties(&mut self, properties: &[Property], mut answer: Answer) {
        let mut late = Vec::new();
        let error = self.set_system(properties, true, &mut late);
        answer.code(error);
        answer.effects.extend(late);
    }

    /// Calls that change nothing.
    fn query(&self, call: &Call) -> Reply {
        let ok = |body| Reply { error: error::OK, body };
        match *call {
            Call::GetVolume { sink } => match self.sink_index(sink) {
                Some(sink) => ok(ReplyBody::Volume(self.state.sinks[sink].volume)),
                None => not_there(ReplyBody::Volume(-1)),
            },
            Call::GetTimingInformation { connection } => {
                let body = ReplyBody::Delay(-1);
                match self.state.connections.get(&connection) {
                    Some(_) => Reply {
                        error: error::NOT_POSSIBLE,
                        body,
                    },
                    None => not_there(body),
                }
            }
            Call::GetListMainSinkSoundProperties { sink } => {
                let mut reply = no_properties(self.sink_index(sink));
                if let ReplyBody::Properties(list) = &mut reply.body {
                    list.extend(self.class_volumes_of(sink));
                }
                reply
            }
            Call::GetListMainSourceSoundProperties { source } => no_properties(self.source_index(source)),
            Call::GetListSinkMainNotificationConfigurations { sink } => no_notifications(self.sink_index(sink)),
            Call::GetListSourceMainNotificationConfigurations { source } => no_notifications(self.source_index(source)),
            Call::GetListMainConnections => {
                let shown = self.state.connections.keys().filter(|id| self.shown(**id));
                let built_in = shown.filter_map(|id| self.main_connection(*id));
                let over_domains = self.domain_connections().filter_map(|id| self.domain_connection(id));
                ok(ReplyBody::Connections(built_in.chain(over_domains).collect()))
            }
            Call::GetListMainSinks => ok(ReplyBody::Sinks(self.list_sinks())),
            Call::GetListMainSources => ok(ReplyBody::Sources(self.list_sources())),
            Call::GetListSystemProperties => ok(ReplyBody::Properties(self.system_values())),
            Call::GetListSourceClasses | Call::GetListSinkClasses => ok(ReplyBody::Classes(self.list_classes())),
            _ => ok(ReplyBody::Properties(Vec::new())),
        }
    }

    pub(super) fn list_sinks(&self) -> Vec<MainSink> {
        let sinks = self.model.sinks.iter().zip(&self.state.sinks).enumerate();
        let shown = sinks
            .filter(|(_, (sink, _))| sink.visible)
            .filter_map(|(index, (sink, state))| {
                Some(MainSink {
                    id: self.sink_id(index)?,
                    name: sink.name.clone(),
                    availability: availability(true),
                    volume: state.volume,
                    mute: mute_state(state.mute),
                    // A zone takes every class.
                    class: 0,
                })
            });
        shown.chain(self.domain_sinks()).collect()
    }

    pub(super) fn list_sources(&self) -> Vec<MainSource> {
        let sources = self.model.sources.iter().zip(&self.state.sources).enumerate();
        let shown = sources
            .filter(|(_, (source, _))| source.visible)
            .filter_map(|(index, (source, state))| {
                Some(MainSource {
                    id: self.source_id(index)?,
                    name: source.name.clone(),
                    availability: availability(state.available),
                    class: self.state.ids.classes.id(source.class).unwrap_or(0),
                })
            });
        shown.chain(self.domain_sources()).collect()
    }

    fn list_classes(&self) -> Vec<ClassInfo> {
        let classes = self.model.classes.iter().enumerate().filter_map(|(index, class)| {
            Some(ClassInfo {
                id: self.state.ids.classes.id(index)?,
                name: class.name.clone(),
                properties: self.class_properties(index),
            })
        });
        classes.collect()
    }
}

/// A property or notification no element has.
fn not_configured(element: Option<usize>) -> i16 {
    match element {
        Some(_) => error::UNKNOWN,
        None => error::OUT_OF_RANGE,
    }
}

fn not_there(body: ReplyBody) -> Reply {
    let error = error::NON_EXISTENT;
    Reply { error, body }
}

/// The list of an element's sound properties: none is configured.
fn no_properties(element: Option<usize>) -> Reply {
    empty(element, ReplyBody::Properties(Vec::new()))
}

/// The list of an element's notifications: none is configured.
fn no_notifications(element: Option<usize>) -> Reply {
    empty(element, ReplyBody::Notifications(Vec::new()))
}

fn empty(element: Option<usize>, body: ReplyBody) -> Reply {
    match element {
        Some(_) => Reply { error: error::OK, body },
        None => not_there(body),
    }
}
