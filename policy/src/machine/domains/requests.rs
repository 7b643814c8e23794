//! Requests on their way: handles, deadlines, aborts.

use super::state::{Open, Registration, Target, What};
use crate::Time;
use crate::effect::Effect;
use crate::machine::Machine;
use crate::routing_command::{DomainRequest, End, VolumeRamp};

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

/// Whether a request went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// Its domain has too many open, or all handles are open or rest.
    NoHandle,
    /// There is no such domain.
    NoDomain,
}

/// What of a ramp's time fits.
fn to_time(ms: u32) -> u16 {
    u16::try_from(ms).unwrap_or(u16::MAX)
}

impl Machine {
    /// How long after being issued a handle rests.
    fn rest_ms(&self) -> Time {
        2 * self.model.routing.longest_ack_ms()
    }

    /// How many requests could be sent to a domain now.
    pub(super) fn room_for_requests(&mut self, domain: u16) -> usize {
        let (now, rest) = (self.state.now, self.rest_ms());
        let routing = &mut self.state.routing;
        let Some(peer) = routing.registry.peer(domain).map(str::to_owned) else {
            return 0;
        };
        let open = routing.open.get(&peer);
        let of_domain = open.map_or(0, |open| open.values().filter(|it| it.domain == domain).count());
        let handles = routing.handles.entry(peer).or_default();
        handles.rest(now, rest, |handle| open.is_some_and(|open| open.contains_key(&handle)));
        let name = routing.registry.domains.get(&domain).map_or("", |it| it.name.as_str());
        let limit = self.model.routing.open_limit_of(name).saturating_sub(of_domain);
        handles.free().min(limit)
    }

    /// How long a domain has to acknowledge what it is asked, ms.
    pub(super) fn ack_ms(&self, domain: u16) -> Time {
        let known = self.state.routing.registry.domains.get(&domain);
        let rules = &self.model.routing;
        known.map_or(rules.ack_ms, |it| rules.ack_ms_of(&it.name))
    }

    /// Sends one request; it has this long to be acknowledged.
    pub(super) fn send(&mut self, domain: u16, what: What, patience: Time, effects: &mut Vec<Effect>) -> Sent {
        let room = self.room_for_requests(domain);
        let now = self.state.now;
        let routing = &mut self.state.routing;
        let Some(peer) = routing.registry.peer(domain).map(str::to_owned) else {
            return Sent::NoDomain;
        };
        #[cfg(test)]
        if mutant::is(Mutant::ReusesHandles) {
            routing.handles.remove(&peer);
        }
        let issued = if room == 0 {
            None
        } else {
            routing.handles.entry(peer.clone()).or_default().issue(now)
        };
        let Some(handle) = issued else {
            routing.starved = true;
            return Sent::NoHandle;
        };
        let deadline = now.saturating_add(patience);
        let request = self.request(handle, &what);
        let open = Open {
            domain,
            what,
            deadline,
            aborted: false,
        };
        self.state.routing.open.entry(peer).or_default().insert(handle, open);
        if let Some(request) = request {
            effects.push(Effect::Domain { domain, request });
        }
        Sent::Yes
    }

    /// A request as its domain gets it.
    fn request(&self, handle: u16, what: &What) -> Option<DomainRequest> {
        let rules = &self.model.routing;
        Some(match *what {
            What::Connect { segment: connection } => {
                let hop = self.state.routing.segments.get(&connection)?.hop;
                DomainRequest::Connect {
                    handle,
                    connection,
                    source: hop.source,
                    sink: hop.sink,
                    format: hop.format,
                }
            }
            What::Disconnect { segment: connection } => DomainRequest::Disconnect { handle, connection },
            What::SourceState { source, state } => DomainRequest::SetSourceState { handle, source, state },
            What::SinkVolume { sink, volume, ramp, .. } => DomainRequest::SetSinkVolume {
                handle,
                sink,
                volume,
                ramp: ramp.kind.unwrap_or(rules.ramp),
                time_ms: ramp.ms.map_or(rules.ramp_ms, to_time),
            },
            What::SourceVolume { source, volume, ramp } => DomainRequest::SetSourceVolume {
                handle,
                source,
                volume,
                ramp: ramp.kind.unwrap_or(rules.ramp),
                time_ms: ramp.ms.map_or(rules.ramp_ms, to_time),
            },
            What::SinkSound { sink, ref properties } => match *properties.as_slice() {
                [property] => DomainRequest::SetSinkSoundProperty { handle, sink, property },
                _ => DomainRequest::SetSinkSoundProperties {
                    handle,
                    sink,
                    properties: properties.clone(),
                },
            },
            What::SourceSound { source, ref properties } => match *properties.as_slice() {
                [property] => DomainRequest::SetSourceSoundProperty {
                    handle,
                    source,
                    property,
                },
                _ => DomainRequest::SetSourceSoundProperties {
                    handle,
                    source,
                    properties: properties.clone(),
                },
            },
            What::CrossFade { crossfader, hot_sink } => DomainRequest::CrossFade {
                handle,
                crossfader,
                hot_sink,
                ramp: rules.ramp,
                time_ms: rules.ramp_ms,
            },
            What::Volumes(ref all) => DomainRequest::SetVolumes {
                handle,
                volumes: all.iter().filter_map(|it| self.volume_ramp(it)).collect(),
            },
            What::SinkNotification { sink, notification } => DomainRequest::SetSinkNotificationConfiguration {
                handle,
                sink,
                notification,
            },
            What::Transfer { main, domain } => {
                let main = self.state.routing.mains.get(&main)?;
                DomainRequest::TransferConnection {
                    handle,
                    domain,
                    route: self.named(&main.route),
                    state: main.state as i16,
                }
            }
            What::SourceNotification { source, notification } => DomainRequest::SetSourceNotificationConfiguration {
                handle,
                source,
                notification,
            },
        })
    }

    /// One volume of several.
    fn volume_ramp(&self, what: &What) -> Option<VolumeRamp> {
        let rules = &self.model.routing;
        let (end, volume, ramp) = match *what {
            What::SinkVolume { sink, volume, ramp, .. } => (End::Sink(sink), volume, ramp),
            What::SourceVolume { source, volume, ramp } => (End::Source(source), volume, ramp),
            _ => return None,
        };
        Some(VolumeRamp {
            end,
            volume,
            ramp: ramp.kind.unwrap_or(rules.ramp),
            time_ms: ramp.ms.map_or(rules.ramp_ms, to_time),
        })
    }

    /// Forgets requests about a target; their acks are too late from now on.
    pub(super) fn close(&mut self, is: impl Fn(&Open) -> bool) {
        for open in self.state.routing.open.values_mut() {
            open.retain(|_, it| !is(it));
        }
    }

    /// As [`Machine::close`], of these; several volumes at once are still awaited for the others.
    pub(super) fn forget_targets(&mut self, targets: &[Target]) {
        for open in self.state.routing.open.values_mut() {
            open.retain(|_, it| match &mut it.what {
                What::Volumes(all) => {
                    all.retain(|one| !targets.contains(&one.target()));
                    !all.is_empty()
                }
                one => !targets.contains(&one.target()),
            });
        }
    }

    /// Requests that took too long: told to be given up, or, if they were, ended.
    pub(in crate::machine) fn expire(&mut self, effects: &mut Vec<Effect>) {
        let now = self.state.now;
        let routing = &self.state.routing;
        let mut due: Vec<(Time, String, u16)> = Vec::new();
        for (peer, open) in &routing.open {
            let late = open.iter().filter(|(_, it)| it.deadline <= now);
            due.extend(late.map(|(handle, it)| (it.deadline, peer.clone(), *handle)));
        }
        due.sort();
        #[cfg(test)]
        if mutant::is(Mutant::NeverAborts) {
            return;
        }
        for (_, peer, handle) in due {
            self.expire_one(&peer, handle, effects);
        }
        self.forget_rested();
        self.expire_asked();
        self.expire_registration();
    }

    fn expire_one(&mut self, peer: &str, handle: u16, effects: &mut Vec<Effect>) {
        let until = self.state.now.saturating_add(self.model.routing.undo_ms);
        let Some(open) = self.state.routing.open.get_mut(peer) else {
            return;
        };
        let Some(one) = open.get_mut(&handle) else { return };
        let (domain, what) = (one.domain, one.what.clone());
        if one.aborted {
            open.remove(&handle);
            self.give_up(&what);
            return;
        }
        one.aborted = true;
        one.deadline = until;
        let request = DomainRequest::Abort { handle };
        effects.push(Effect::Domain { domain, request });
        self.failed(&what);
    }

    /// Handles of peers without a domain, once all have rested.
    fn forget_rested(&mut self) {
        let (now, rest) = (self.state.now, self.rest_ms());
        let routing = &mut self.state.routing;
        let (registry, open) = (&routing.registry, &mut routing.open);
        open.retain(|_, it| !it.is_empty());
        routing.handles.retain(|peer, handles| {
            if registry.domains.values().any(|it| it.peer == *peer) {
                return true;
            }
            handles.rest(now, rest, |_| false);
            handles.free() < usize::from(crate::routing::handles::LAST)
        });
    }

    /// When the next request is late, or a handle is there for who waits for one.
    pub(in crate::machine) fn domains_deadline(&self) -> Option<Time> {
        let routing = &self.state.routing;
        let late = routing.all_open().map(|it| it.deadline).min();
        let handles = routing.handles.values().filter(|_| routing.starved);
        let rested = handles.filter_map(|it| it.next_free(self.rest_ms()));
        // One whose handle is free already waits for an ack, which is late sometime.
        let rested = rested.filter(|at| *at > self.state.now).min();
        let asked = routing.asked_to_stay.values().min().copied();
        let registration = match routing.registration {
            Registration::Until(until) => Some(until),
            _ => None,
        };
        late.into_iter().chain(rested).chain(asked).chain(registration).min()
    }

    /// Whether nothing is under way for a target.
    pub(super) fn is_idle(&self, target: Target) -> bool {
        self.state.routing.under_way(target).is_none()
    }
}
