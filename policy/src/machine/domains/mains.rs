//! The life of one main connection: each call takes it one move further.

use super::requests::Sent;
use super::state::{Goal, Main, Target, What};
use crate::command::{ConnectionState, MainConnection, Signal};
use crate::effect::Effect;
use crate::machine::{Machine, signal};
use crate::routing::{BUILT_IN, Hop};
use crate::routing_command::source_state::{OFF, ON, PAUSED, UNKNOWN};
use crate::{MUTE, Time};

#[cfg(test)]
use crate::machine::tests::mutant::{self, Mutant};

use ConnectionState::{Connected, Connecting, Disconnected, Disconnecting, Suspended};

/// What a move came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// Something changed.
    Done,
    /// It waits for an ack, for another connection, or for a handle.
    Waits,
    /// Nothing left to do here.
    Through,
}

impl Machine {
    /// One move, if there is one: whether anything changed.
    pub(super) fn advance(&mut self, id: u16, effects: &mut Vec<Effect>) -> bool {
        let Some(main) = self.state.routing.mains.get(&id).cloned() else {
            return false;
        };
        if self.stays_for_fade(&main) {
            return false;
        }
        if main.goal != Goal::Up {
            return self.lower(id, &main, effects);
        }
        if self.aims_up(&main) {
            self.raise(id, &main, effects)
        } else {
            self.suspend(id, &main, effects)
        }
    }

    fn raise(&mut self, id: u16, main: &Main, effects: &mut Vec<Effect>) -> bool {
        match main.state {
            // It was on its way to being suspended, and no longer is.
            Connected => self.raise_sources(id, main, effects) == Move::Done,
            Connecting => {
                let mut next = self.raise_hold(id, main);
                if next == Move::Through {
                    next = self.raise_segments(id, main, effects);
                }
                if next == Move::Through {
                    next = self.raise_sources(id, main, effects);
                }
                if next == Move::Through {
                    next = self.raise_fade(id, main);
                }
                if next == Move::Through {
                    self.become_connected(id, effects);
                    return true;
                }
                next == Move::Done
            }
            _ => {
                let hold = !main.route.iter().all(|hop| self.is_up(hop));
                if let Some(main) = self.state.routing.mains.get_mut(&id) {
                    main.hold = hold;
                }
                self.transit(id, Connecting, effects);
                self.inherit(id);
                true
            }
        }
    }

    fn is_up(&self, hop: &Hop) -> bool {
        // One that may be on its way down will be connected anew.
        let stays = |(segment, it): (u16, &super::state::Segment)| it.up && self.is_idle(Target::Segment(segment));
        hop.domain == BUILT_IN || self.state.routing.segment_of(hop).is_some_and(stays)
    }

    /// Those it takes the place of are out, and the sink is muted where it must be.
    fn raise_hold(&mut self, id: u16, main: &Main) -> Move {
        if self.waits_for_others(id, main) {
            return Move::Waits;
        }
        let held = self.holds(id, main);
        match self.state.routing.registry.sinks.get(&main.sink) {
            Some(sink) if held && !sink.mute => {
                if self.state.routing.is_refused(Target::SinkVolume(main.sink), MUTE) {
                    return self.fail(id);
                }
                Move::Waits
            }
            _ => Move::Through,
        }
    }

    /// Its sink is to be muted for it: nobody else is heard there.
    pub(super) fn holds(&self, id: u16, main: &Main) -> bool {
        let heard = |it: &(&u16, &Main)| *it.0 != id && it.1.sink == main.sink && it.1.state == Connected;
        main.hold
            && self.aims_up(main)
            && !self.waits_for_others(id, main)
            && !self.state.routing.mains.iter().any(|it| heard(&it))
    }

    /// Others at its sink are still on their way out for it, or leave the same class's place there.
    pub(super) fn waits_for_others(&self, id: u16, main: &Main) -> bool {
        self.state.routing.mains.iter().any(|(other, it)| {
            if *other == id || it.sink != main.sink || self.is_faded_to(it, main) {
                return false;
            }
            let resting = matches!(it.state, Disconnected | Suspended | ConnectionState::Unknown);
            match it.goal {
                Goal::Displaced { by } => by == id && !resting,
                Goal::Gone => it.class == main.class && !resting,
                Goal::Up => !it.waiting && it.order < main.order && !resting && self.is_paused(it),
                Goal::Parked => false,
            }
        })
    }

    fn in_connect_order(&self, main: &Main) -> Vec<Hop> {
        let mut hops = main.route.clone();
        if !self.is_capture(main.class) {
            hops.reverse();
        }
        hops
    }

    fn is_capture(&self, class: u16) -> bool {
        let class = self.state.ids.classes.index(class);
        let class = class.and_then(|class| self.model.classes.get(class));
        class.is_some_and(|class| self.model.routing.capture_classes.contains(&class.name))
    }

    fn raise_segments(&mut self, id: u16, main: &Main, effects: &mut Vec<Effect>) -> Move {
        for hop in self.in_connect_order(main) {
            if hop.domain == BUILT_IN {
                match self.raise_built_in(id, &hop, effects) {
                    Move::Through => continue,
                    other => return other,
                }
            }
            match self
                .state
                .routing
                .segment_of(&hop)
                .map(|(segment, it)| (segment, it.up))
            {
                Some((segment, up)) if !up || !self.is_idle(Target::Segment(segment)) => return Move::Waits,
                Some(_) => {}
                None => return self.connect_segment(id, hop, effects),
            }
        }
        Move::Through
    }

    /// A guest's stream and a zone, in the step that asks for it.
    fn raise_built_in(&mut self, id: u16, hop: &Hop, effects: &mut Vec<Effect>) -> Move {
        match self.built_in_pair(hop) {
            Some(pair) if self.is_held(pair, id) => Move::Through,
            Some(pair) if self.hold(pair, id, effects) => Move::Done,
            _ => self.fail(id),
        }
    }

    pub(super) fn built_in_pair(&self, hop: &Hop) -> Option<(usize, usize)> {
        let ids = &self.state.ids;
        Some((ids.sources.index(hop.source)?, ids.sinks.index(hop.sink)?))
    }

    fn is_held(&self, (source, sink): (usize, usize), main: u16) -> bool {
        let id = self.state.connection_between(source, sink);
        let connection = id.and_then(|id| self.state.connections.get(&id));
        connection.is_some_and(|it| it.held.contains(&main))
    }

    fn connect_segment(&mut self, id: u16, hop: Hop, effects: &mut Vec<Effect>) -> Move {
        let Some(segment) = self.state.routing.free_segment() else {
            return self.fail(id);
        };
        self.state.routing.last_segment = segment;
        let new = super::state::Segment {
            hop,
            up: false,
            delay: -1,
        };
        self.state.routing.segments.insert(segment, new);
        let patience = self.ack_ms(hop.domain);
        match self.send(hop.domain, What::Connect { segment }, patience, effects) {
            Sent::Yes => Move::Done,
            Sent::NoHandle | Sent::NoDomain => {
                self.state.routing.segments.remove(&segment);
                self.fail(id)
            }
        }
    }

    fn raise_sources(&mut self, id: u16, main: &Main, effects: &mut Vec<Effect>) -> Move {
        for hop in self.in_connect_order(main) {
            if hop.domain == BUILT_IN {
                continue;
            }
            let target = Target::SourceState(hop.source);
            let Some(state) = self.state.routing.registry.sources.get(&hop.source).map(|it| it.state) else {
                // One that ran before it was decided about may know its sources before they are registered.
                if main.state == Connected {
                    continue;
                }
                return self.fail(id);
            };
            if state == UNKNOWN {
                continue;
            }
            if !self.is_idle(target) {
                return Move::Waits;
            }
            if state == ON {
                continue;
            }
            if self.state.routing.is_refused(target, ON) {
                return self.fail(id);
            }
            return match self.send_state(&hop, ON, self.ack_ms(hop.domain), effects) {
                Sent::Yes => Move::Done,
                Sent::NoHandle | Sent::NoDomain => self.fail(id),
            };
        }
        Move::Through
    }

    /// The crossfaders on the way are faded to it: see [`Machine::settle_crossfaders`].
    fn raise_fade(&mut self, id: u16, main: &Main) -> Move {
        match self.is_faded_in(main) {
            Some(true) => Move::Through,
            Some(false) => Move::Waits,
            None => self.fail(id),
        }
    }

    pub(super) fn send_state(&mut self, hop: &Hop, state: i16, patience: Time, effects: &mut Vec<Effect>) -> Sent {
        let source = hop.source;
        let sent = self.send(hop.domain, What::SourceState { source, state }, patience, effects);
        if sent == Sent::Yes && state != OFF {
            self.state.routing.driven.insert(source);
        }
        sent
    }

    fn become_connected(&mut self, id: u16, effects: &mut Vec<Effect>) {
        let Some(main) = self.state.routing.mains.get_mut(&id) else {
            return;
        };
        main.hold = false;
        let sink = main.sink;
        self.state.routing.forgive(Target::SinkVolume(sink));
        self.transit(id, Connected, effects);
    }

    fn fail(&mut self, id: u16) -> Move {
        if let Some(main) = self.state.routing.mains.get_mut(&id) {
            main.goal = Goal::Gone;
            main.failed = true;
        }
        Move::Done
    }

    fn suspend(&mut self, id: u16, main: &Main, effects: &mut Vec<Effect>) -> bool {
        match main.state {
            Suspended => return false,
            Connecting | Connected => {}
            _ => {
                self.transit(id, Connecting, effects);
                return true;
            }
        }
        match self.lower_sources(id, main, PAUSED, effects) {
            Move::Done => true,
            Move::Waits => false,
            Move::Through => {
                self.transit(id, Suspended, effects);
                true
            }
        }
    }

    fn lower(&mut self, id: u16, main: &Main, effects: &mut Vec<Effect>) -> bool {
        match main.state {
            Disconnected if main.goal == Goal::Gone => {
                self.remove_main(id, effects);
                return true;
            }
            Disconnected => return false,
            Disconnecting => {}
            _ => {
                self.transit(id, Disconnecting, effects);
                return true;
            }
        }
        let mut next = self.lower_sources(id, main, OFF, effects);
        if next == Move::Through {
            next = self.lower_segments(id, main, effects);
        }
        if next == Move::Through {
            self.transit(id, Disconnected, effects);
            return true;
        }
        next == Move::Done
    }

    fn patience(&self, main: &Main, domain: u16) -> Time {
        if main.failed {
            self.model.routing.undo_ms
        } else {
            self.ack_ms(domain)
        }
    }

    /// Its sources are paused or off, but for those that others need.
    fn lower_sources(&mut self, id: u16, main: &Main, to: i16, effects: &mut Vec<Effect>) -> Move {
        let mut hops = self.in_connect_order(main);
        hops.reverse();
        for hop in hops {
            let target = Target::SourceState(hop.source);
            if let Some(open) = self.state.routing.under_way(target) {
                if open.aborted {
                    continue;
                }
                return Move::Waits;
            }
            let Some(state) = self.state.routing.registry.sources.get(&hop.source).map(|it| it.state) else {
                continue;
            };
            #[cfg(test)]
            if to == OFF && mutant::is(Mutant::SkipsOff) {
                continue;
            }
            let wanted = self.wanted_by_others(id, hop.source).unwrap_or(to);
            let lowers = (state == ON && wanted != ON) || (state == PAUSED && wanted == OFF);
            if !lowers || self.state.routing.is_refused(target, wanted) {
                continue;
            }
            return match self.send_state(&hop, wanted, self.patience(main, hop.domain), effects) {
                Sent::Yes => Move::Done,
                Sent::NoHandle => Move::Waits,
                Sent::NoDomain => continue,
            };
        }
        Move::Through
    }

    /// The state other connections want a source in.
    fn wanted_by_others(&self, id: u16, source: u16) -> Option<i16> {
        let others = self
            .state
            .routing
            .mains
            .iter()
            .filter(|(other, it)| **other != id && it.goal == Goal::Up && it.uses_source(source));
        let wanted = others.map(|(_, it)| if self.aims_up(it) { ON } else { PAUSED });
        wanted.min()
    }

    fn lower_segments(&mut self, id: u16, main: &Main, effects: &mut Vec<Effect>) -> Move {
        let mut hops = self.in_connect_order(main);
        hops.reverse();
        for hop in hops {
            if hop.domain == BUILT_IN {
                let pair = self.built_in_pair(&hop);
                if pair.is_some_and(|pair| self.release(pair, id, effects)) {
                    return Move::Done;
                }
                continue;
            }
            let Some((segment, up)) = self
                .state
                .routing
                .segment_of(&hop)
                .map(|(segment, it)| (segment, it.up))
            else {
                continue;
            };
            if let Some(open) = self.state.routing.under_way(Target::Segment(segment)) {
                if open.aborted {
                    continue;
                }
                return Move::Waits;
            }
            if !up || self.is_shared(id, &hop) {
                continue;
            }
            return match self.send(
                hop.domain,
                What::Disconnect { segment },
                self.patience(main, hop.domain),
                effects,
            ) {
                Sent::Yes => Move::Done,
                Sent::NoHandle => Move::Waits,
                Sent::NoDomain => continue,
            };
        }
        Move::Through
    }

    /// Another connection that is to stay runs over this segment.
    fn is_shared(&self, id: u16, hop: &Hop) -> bool {
        #[cfg(test)]
        if mutant::is(Mutant::ForgetsShared) {
            return false;
        }
        let mains = self.state.routing.mains.iter();
        let mut others = mains.filter(|(other, it)| **other != id && it.goal == Goal::Up);
        others.any(|(_, it)| it.uses(hop.source, hop.sink))
    }

    fn remove_main(&mut self, id: u16, effects: &mut Vec<Effect>) {
        if self.state.routing.mains.remove(&id).is_some_and(|it| it.shown) {
            signal(effects, Signal::RemovedMainConnection { connection: id });
        }
    }

    pub(super) fn transit(&mut self, id: u16, state: ConnectionState, effects: &mut Vec<Effect>) {
        let now = self.state.now;
        let Some(main) = self.state.routing.mains.get_mut(&id) else {
            return;
        };
        let was_heard = main.state == Connected || main.covers;
        let leaves = !matches!(state, Connected | Connecting);
        main.covers &= state == Connecting;
        main.state = state;
        main.since = now;
        if main.shown {
            signal(effects, Signal::MainConnectionStateChanged { connection: id, state });
        }
        if was_heard && leaves {
            self.hand_over(id);
        }
    }

    /// Those that are being connected where this one leaves take its place.
    fn hand_over(&mut self, id: u16) {
        #[cfg(test)]
        if mutant::is(Mutant::LetsOthersUpBetween) {
            return;
        }
        let Some(sink) = self.state.routing.mains.get(&id).map(|it| it.sink) else {
            return;
        };
        let mains = self.state.routing.mains.iter();
        let heirs =
            mains.filter(|(other, it)| **other != id && it.sink == sink && it.state != Connected && self.aims_up(it));
        for heir in heirs.map(|it| *it.0).collect::<Vec<_>>() {
            if let Some(main) = self.state.routing.mains.get_mut(&heir) {
                main.covers = true;
            }
        }
        self.state.routing.left.insert(sink);
    }

    /// One that comes in the step in which another left its sink takes that one's place: so rules disconnect one and connect another.
    fn inherit(&mut self, id: u16) {
        let routing = &mut self.state.routing;
        if let Some(main) = routing.mains.get_mut(&id) {
            main.covers |= routing.left.contains(&main.sink);
        }
    }

    /// A connection over domains as clients see it.
    pub(in crate::machine) fn domain_connection(&self, id: u16) -> Option<MainConnection> {
        let main = self.state.routing.mains.get(&id)?;
        Some(MainConnection {
            id,
            source: main.source,
            sink: main.sink,
            delay: main.delay,
            state: main.state,
        })
    }
}
