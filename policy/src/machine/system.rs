//! System properties: what the whole system is like, by a type and a value. The file names those that there are; clients may set
//! those that are `writable`, rules all of them.
//!
//! | situation | code |
//! |---|---|
//! | set by a client: not in the file, or read-only | 7, and none of several is set |
//! | set to what it is | 0, no signal |
//!
//! Types from 61440 on (`-4096` as the wire's `n`) are AudioManager's own, and mean the same here:
//!
//! | type | what | else |
//! |---|---|---|
//! | 61569 | how long all domains may take to register, ms | `[routing] registration_ms` |
//! | 61570 | 1 once sound properties of before the start are back (set here) | not there |
//! | 61696 | 1: routes over domains only where a topology allows them | `[routing] only_topologies` |

use super::{Machine, signal};
use crate::Time;
use crate::command::{Property, Signal, error};
use crate::effect::Effect;
use crate::model::SystemProperty;

/// `SYP_REGISTRATION_DOMAIN_TIMEOUT`.
pub const DOMAIN_TIMEOUT: i16 = 61569_u16 as i16;
/// `SYP_SOUND_PROP_RESTORED`.
pub const SOUND_RESTORED: i16 = 61570_u16 as i16;
/// `SYP_CONNECTION_ALLOW_ONLY_TOPOLOGY_ROUTES`.
pub const ONLY_TOPOLOGIES: i16 = 61696_u16 as i16;

impl Machine {
    /// A system property's value.
    pub(super) fn system_value(&self, kind: i16) -> Option<i16> {
        self.state.system.get(&kind).copied()
    }

    /// All of them, in the order of their types.
    pub(super) fn system_values(&self) -> Vec<Property> {
        self.state.system.iter().map(|(kind, value)| (*kind, *value)).collect()
    }

    /// Sets system properties, all or none; the code.
    pub(super) fn set_system(&mut self, properties: &[Property], client: bool, effects: &mut Vec<Effect>) -> i16 {
        let described = &self.model.system_properties;
        let may = |it: &SystemProperty| it.writable || !client;
        let allowed = |(kind, _): &Property| described.iter().any(|it| it.kind == *kind && may(it));
        if !properties.iter().all(allowed) {
            return error::NOT_POSSIBLE;
        }
        for (kind, value) in properties {
            let before = self.state.system.insert(*kind, *value);
            if before != Some(*value) {
                let property = (*kind, *value);
                signal(effects, Signal::SystemPropertyChanged { property });
            }
        }
        error::OK
    }

    /// Those that the model has, with the values that are known, those that it no longer has without.
    pub(super) fn fit_system(&mut self) {
        let known = std::mem::take(&mut self.state.system);
        let described = self.model.system_properties.iter();
        self.state.system = described
            .map(|it| (it.kind, known.get(&it.kind).copied().unwrap_or(it.value)))
            .collect();
    }

    /// How long all domains may take to register, ms.
    pub(super) fn registration_ms(&self) -> Time {
        let own = self.system_value(DOMAIN_TIMEOUT);
        own.and_then(|it| Time::try_from(it).ok())
            .unwrap_or(self.model.routing.registration_ms)
    }
}
