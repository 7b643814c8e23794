//! States of domains (`am_DomainState_e`): who goes on without the daemon, and until when.
//!
//! ```text
//!  DS_INDEPENDENT_STARTUP ──all registered──► setDomainState(DS_CONTROLLED) ──the domain says so──► DS_CONTROLLED
//!  DS_CONTROLLED, early  ──Rundown──► setDomainState(DS_INDEPENDENT_RUNDOWN) ──says so──► connections are offered to it
//!                                                                            └─ack time-out──► they aren't
//! ```
//! The first `confirmRoutingReady` begins the time that all domains have to register: rules are told when they have, or haven't.
//! A domain is asked once for a state: what it makes of that it tells by `hookDomainStateChange`.

use super::state::Registration;
use crate::effect::Effect;
use crate::machine::Machine;
use crate::routing_command::DomainRequest;
use crate::routing_command::domain_state::{CONTROLLED, INDEPENDENT_RUNDOWN, INDEPENDENT_STARTUP};

impl Machine {
    /// Takes control of domains that ran before it, once they have registered all they have.
    pub(super) fn settle_states(&mut self, effects: &mut Vec<Effect>) -> bool {
        let domains = self.state.routing.registry.domains.iter();
        let due = domains
            .filter(|(_, it)| it.complete && it.state == INDEPENDENT_STARTUP && it.asked_state != Some(CONTROLLED));
        let due: Vec<u16> = due.map(|it| *it.0).collect();
        for domain in &due {
            self.ask_state(*domain, CONTROLLED, effects);
        }
        !due.is_empty()
    }

    fn ask_state(&mut self, id: u16, state: i16, effects: &mut Vec<Effect>) {
        if let Some(domain) = self.state.routing.registry.domains.get_mut(&id) {
            domain.asked_state = Some(state);
            let request = DomainRequest::SetDomainState { domain: id, state };
            effects.push(Effect::Domain { domain: id, request });
        }
    }

    /// Asks the domains that can to go on without the daemon.
    pub(super) fn ask_to_stay(&mut self, effects: &mut Vec<Effect>) {
        let until = self.state.now.saturating_add(self.model.routing.ack_ms);
        let domains = self.state.routing.registry.domains.iter();
        let early = domains.filter(|(_, it)| it.early && it.state == CONTROLLED);
        for domain in early.map(|it| *it.0).collect::<Vec<_>>() {
            self.ask_state(domain, INDEPENDENT_RUNDOWN, effects);
            self.state.routing.asked_to_stay.insert(domain, until);
        }
    }

    /// A domain told its state: one that goes on is offered what nobody has accepted yet.
    pub(super) fn state_told(&mut self, domain: u16, state: i16) {
        let routing = &mut self.state.routing;
        if let Some(known) = routing.registry.domains.get_mut(&domain) {
            known.state = state;
            known.asked_state = known.asked_state.filter(|asked| *asked == state);
        }
        if routing.asked_to_stay.remove(&domain).is_some() && state == INDEPENDENT_RUNDOWN {
            for domains in routing.offers.values_mut() {
                domains.insert(0, domain);
            }
        }
    }

    /// All domains that are there, and all that the file requires, have registered all they have.
    pub(in crate::machine) fn all_domains_are_complete(&self) -> bool {
        let mut domains = self.state.routing.registry.domains.values().peekable();
        domains.peek().is_some() && domains.all(|it| it.complete) && !self.awaits_domains()
    }

    /// They took too long: what the first of them confirmed is over.
    pub(in crate::machine) fn domains_are_late(&self) -> bool {
        self.state.routing.registration == Registration::Late
    }

    /// A domain confirmed that it is ready to register: the first begins the time that all have.
    pub(super) fn ready_told(&mut self) {
        if self.state.routing.registration == Registration::New {
            let until = self.state.now.saturating_add(self.registration_ms());
            self.state.routing.registration = Registration::Until(until);
        }
    }

    pub(super) fn expire_registration(&mut self) {
        let complete = self.all_domains_are_complete();
        let now = self.state.now;
        let registration = &mut self.state.routing.registration;
        if let Registration::Until(until) = *registration {
            if complete {
                *registration = Registration::Done;
            } else if until <= now {
                *registration = Registration::Late;
            }
        }
    }

    /// Those that took too long to say, or are gone.
    pub(super) fn expire_asked(&mut self) {
        let now = self.state.now;
        let routing = &mut self.state.routing;
        let registry = &routing.registry;
        let awaited = |domain: &u16, until: &mut u64| *until > now && registry.domains.contains_key(domain);
        routing.asked_to_stay.retain(awaited);
    }
}
