//! Main sound properties and main notification configurations: clients' side of what domains have.

use std::collections::BTreeMap;

use super::acks::set_property;
use super::clients::code;
use super::requests::Sent;
use super::state::What;
use crate::command::{Notification, Property, Reply, Signal, error};
use crate::effect::Effect;
use crate::machine::Machine;
use crate::routing_command::End;

impl Machine {
    /// Main sound properties, all or none; those of which the domain has the sound property it decides, in one request.
    pub(super) fn set_main_properties(
        &mut self,
        end: End,
        wanted: &[Property],
        late: &mut Vec<Signal>,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let rules = &self.model.routing;
        let volumes: Vec<Property> = wanted
            .iter()
            .copied()
            .filter(|it| self.class_of_volume(it.0).is_some())
            .collect();
        let Some(lists) = self.lists_of(end) else {
            return code(error::OUT_OF_RANGE);
        };
        let known = |it: &Property| lists.main_sound.iter().any(|own| own.0 == it.0);
        let of_class = |it: &Property| matches!(end, End::Sink(_)) && volumes.contains(it);
        if !wanted.iter().all(|it| known(it) || of_class(it)) {
            return code(error::UNKNOWN);
        }
        // Of one that is given twice the last.
        let clamped = wanted.iter().filter(|it| known(it)).map(|(kind, value)| {
            let (low, high) = rules.main_sound(*kind).range;
            (*kind, (*value).clamp(low, high.max(low)))
        });
        let clamped: BTreeMap<i16, i16> = clamped.collect();
        let decided = |it: &Property| {
            let main = rules.main_sound(it.0);
            main.down && lists.sound.iter().any(|own| own.0 == main.sound)
        };
        let (theirs, ours): (Vec<Property>, Vec<Property>) = clamped.into_iter().partition(decided);
        let properties: Vec<Property> = theirs.iter().map(|it| (rules.main_sound(it.0).sound, it.1)).collect();
        if !properties.is_empty() {
            let what = match end {
                End::Sink(sink) => What::SinkSound { sink, properties },
                End::Source(source) => What::SourceSound { source, properties },
            };
            let reply = self.send_setting(end, what, effects);
            if reply.error != error::OK {
                return reply;
            }
        }
        for property in ours {
            self.main_property_done(end, property, late);
        }
        for property in volumes {
            self.set_class_volume(end.id(), property, late);
        }
        code(error::OK)
    }

    fn send_setting(&mut self, end: End, what: What, effects: &mut Vec<Effect>) -> Reply {
        let domain = self.state.routing.registry.domain_of(end.kind(), end.id()).unwrap_or(0);
        if self.send(domain, what, self.ack_ms(domain), effects) != Sent::Yes {
            return code(error::NOT_POSSIBLE);
        }
        code(error::OK)
    }

    pub(super) fn main_property_done(&mut self, end: End, property: Property, signals: &mut Vec<Signal>) {
        let Some(lists) = self.lists_mut(end) else { return };
        if set_property(&mut lists.main_sound, property) {
            signals.push(match end {
                End::Sink(sink) => Signal::MainSinkSoundPropertyChanged { sink, property },
                End::Source(source) => Signal::MainSourceSoundPropertyChanged { source, property },
            });
        }
    }

    /// A main notification configuration; where the domain has one of that type, it decides.
    pub(super) fn set_main_notification(
        &mut self,
        end: End,
        notification: Notification,
        late: &mut Vec<Signal>,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let Some(lists) = self.lists_mut(end) else {
            return code(error::OUT_OF_RANGE);
        };
        if !lists.main_notifications.iter().any(|it| it.0 == notification.0) {
            return code(error::UNKNOWN);
        }
        if !lists.notifications.iter().any(|it| it.0 == notification.0) {
            self.notification_done(end, notification, late);
            return code(error::OK);
        }
        let what = match end {
            End::Sink(sink) => What::SinkNotification { sink, notification },
            End::Source(source) => What::SourceNotification { source, notification },
        };
        self.send_setting(end, what, effects)
    }

    pub(super) fn notification_done(&mut self, end: End, notification: Notification, signals: &mut Vec<Signal>) {
        let Some(lists) = self.lists_mut(end) else { return };
        let write = |list: &mut Vec<Notification>| {
            let known = list.iter_mut().find(|it| it.0 == notification.0);
            known.is_some_and(|known| std::mem::replace(known, notification) != notification)
        };
        write(&mut lists.notifications);
        if write(&mut lists.main_notifications) {
            signals.push(match end {
                End::Sink(sink) => Signal::SinkMainNotificationConfigurationChanged { sink, notification },
                End::Source(source) => Signal::SourceMainNotificationConfigurationChanged { source, notification },
            });
        }
    }
}
