//! What has changed of a machine since somebody looked at it, besides the time: an older snapshot of one that is the same but for the
//! time leads to the same, since all that is to happen later is kept as the moment it is due.
//!
//! Every field of the state is named here, so that one that is added must be decided on.

use super::Machine;
use super::domains::Routing;
use super::heard::Fades;
use super::state::{Connection, SourceState, State};
use crate::Db10;
use crate::effect::Heard;

#[cfg(test)]
use super::tests::mutant::{self, Mutant};

/// How much of a machine has changed since a [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// The time at most: a [`Machine::snapshot`] of then is as good as one of now.
    Nothing,
    /// Only what ends with the boot: [`Machine::lasting`] is what it was.
    Passing,
    /// Perhaps also what outlives the boot.
    Lasting,
}

/// A machine as it was, but for the time.
#[derive(Clone, Debug)]
pub struct Mark {
    reloads: u64,
    state: State,
    heard: Heard,
    fades: Fades,
}

impl Machine {
    /// What [`Machine::changed_since`] compares with later.
    pub fn mark(&self) -> Mark {
        Mark {
            reloads: self.reloads,
            state: self.state.clone(),
            heard: self.heard.clone(),
            fades: self.fades.clone(),
        }
    }

    /// What has changed since this machine's `mark`. After a reload everything has: names and lines may be others.
    pub fn changed_since(&self, mark: &Mark) -> Changed {
        #[cfg(test)]
        if mutant::is(Mutant::TakesTimeForAChange) && self.state.now != mark.state.now {
            return Changed::Lasting;
        }
        let reloaded = self.reloads != mark.reloads;
        if reloaded || !lasting_is_same(&self.state, &mark.state) {
            return Changed::Lasting;
        }
        if passing_is_same(&self.state, &mark.state) && self.is_heard_as(mark) {
            return Changed::Nothing;
        }
        Changed::Passing
    }

    fn is_heard_as(&self, mark: &Mark) -> bool {
        #[cfg(test)]
        if mutant::is(Mutant::LosesSightOfFades) {
            return true;
        }
        self.heard == mark.heard && self.fades == mark.fades
    }
}

/// All that [`Machine::lasting`] is made from, whether it goes into it or not.
fn lasting_is_same(a: &State, b: &State) -> bool {
    a.ids == b.ids
        && a.sinks == b.sinks
        && a.system == b.system
        && a.class_volumes == b.class_volumes
        && a.sources.iter().map(wanted).eq(b.sources.iter().map(wanted))
        && asked_for(a).eq(asked_for(b))
        && a.routing.lasting_is_same(&b.routing)
}

fn wanted(source: &SourceState) -> (Db10, bool) {
    (source.gain, source.mute)
}

/// Connections of guests' streams that a client asked for.
fn asked_for(state: &State) -> impl Iterator<Item = (u16, usize, usize)> + '_ {
    let asked_for = |it: &&Connection| !it.automatic && it.direct;
    let all = state.connections.iter().filter(move |(_, it)| asked_for(it));
    all.map(|(id, it)| (*id, it.source, it.sink))
}

/// All that a snapshot has, but for the time and what [`lasting_is_same`] has looked at.
fn passing_is_same(a: &State, b: &State) -> bool {
    let State {
        now: _,
        order,
        last_connection,
        sources,
        sinks: _,
        connections,
        ids: _,
        routing,
        ruled,
        class_volumes: _,
        system: _,
        // Of the first step alone, in no snapshot.
        stored: _,
        store_lost,
        used,
    } = a;
    *order == b.order
        && *last_connection == b.last_connection
        && *sources == b.sources
        && *connections == b.connections
        && domains_are_same(routing, &b.routing)
        && *ruled == b.ruled
        && *store_lost == b.store_lost
        && *used == b.used
}

fn domains_are_same(a: &Routing, b: &Routing) -> bool {
    #[cfg(test)]
    if mutant::is(Mutant::LosesSightOfDomains) {
        return true;
    }
    a == b
}
