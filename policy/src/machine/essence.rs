//! What of a machine decides its future, for those who look at all of its states (see `crate::prove`).
//!
//! Left out is what only counts on and what is only shown: IDs (but for their order, where there are rules or domains), the clock
//! (but for how long requests to domains may take yet), `since`, how many starts there were, the ramp that once led to a gain.
//! Of arrivals only their order is kept. Fades, and whether a source is pulled, are left out too: a fade begins when
//! its source falls silent, ends by itself, and nothing else looks at it. Sources that are `alike` may change places. Every field
//! is named here, so that one that is added must be decided on.

use std::collections::BTreeMap;
use std::hash::Hasher;

use super::Machine;
use super::ruled::limits::Held;
use super::ruled::{Pushed, Ruled};
use super::state::{Connection, Place, Refusal, SinkState, SourceState, State};
use crate::effect::{Cause, SourceHeard, Tap};
use crate::rules::action::Level;

/// A source's share: words of its own, and the sources these speak of.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    words: Vec<u32>,
    others: Vec<usize>,
}

impl Machine {
    /// Two machines of one model with the same essence go the same ways from here (but for one chance in 2^64 or so that two
    /// different ones have the same). `alike` gives each source the number of its group.
    pub(crate) fn essence(&self, alike: &[usize]) -> u128 {
        let Self {
            model,
            state,
            heard,
            standings: _,
            fades: _,
            overruns: _,
            acted: _,
            ramps: _,
            undecided: _,
            reloads: _,
        } = self;
        let State {
            now,
            order: _,
            last_connection: _,
            sources,
            sinks,
            connections,
            ids: _,
            routing,
            ruled,
            system,
            class_volumes,
            // Of the first step alone.
            stored: _,
            store_lost: _,
            used: _,
        } = state;
        let ranks = ranks(connections, ruled, routing.orders());
        let mut shares: Vec<(usize, Share, usize)> = Vec::with_capacity(sources.len());
        for (index, source) in sources.iter().enumerate() {
            let mut share = Share::default();
            source.tell(&mut share);
            for (rank, connection) in connections.values().enumerate().filter(|(_, it)| it.source == index) {
                connection.tell(&ranks, &routing.places_of(connection.held.iter()), &mut share);
                // Rules go through connections in the order of their IDs.
                share.words.push(if model.rules.is_empty() { 0 } else { rank as u32 });
            }
            if let Some(row) = heard.sources.get(index) {
                row.tell(source.start_gen, &mut share);
            }
            shares.push((alike.get(index).copied().unwrap_or(index), share, index));
        }
        shares.sort_by(|a, b| (a.0, &a.1.words, a.2).cmp(&(b.0, &b.1.words, b.2)));
        let mut places = vec![0_u32; shares.len()];
        for (place, (_, _, index)) in shares.iter().enumerate() {
            places[*index] = place as u32;
        }
        let mut sum = Sum::new();
        for (_, share, _) in &shares {
            sum.add(share.words.len() as u32);
            share.words.iter().for_each(|word| sum.add(*word));
            let of = |other: &usize| places.get(*other).copied().unwrap_or(*other as u32);
            share.others.iter().for_each(|other| sum.add(of(other)));
        }
        for SinkState { volume, mute } in sinks {
            sum.add(u32::from(*volume as u16) << 1 | u32::from(*mute));
        }
        ruled.tell(&ranks, &places, &mut sum);
        for ((class, sink), volume) in class_volumes {
            let name = sink
                .bytes()
                .fold(*class as u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
            sum.add(name);
            sum.add(u32::from(*volume as u16));
        }
        for (kind, value) in system {
            sum.add(u32::from(*kind as u16) << 16 | u32::from(*value as u16));
        }
        state.tell_used(&places, |word| sum.add(word));
        routing.tell(*now, &ranks, &mut sum);
        sum.finish()
    }

    /// Whether a rule's limit of this line holds for a source at a sink, and its cause still sounds (or it is to stay).
    pub(crate) fn limit_lives(&self, (source, sink): (usize, usize), line: Option<u32>) -> bool {
        self.state.ruled.limits.iter().any(|held| {
            let here = held.source.is_none_or(|own| own == source) && held.sink.is_none_or(|own| own == sink);
            let cause = held.cause.is_some_and(|cause| self.state.sounds(cause));
            here && Some(held.line) == line && (held.sticky || cause)
        })
    }
}

/// The order of arrivals, counted from 1 without gaps.
fn ranks(
    connections: &BTreeMap<u16, Connection>,
    ruled: &Ruled,
    of_domains: impl Iterator<Item = u64>,
) -> BTreeMap<u64, u32> {
    let orders = connections.values().filter_map(|connection| match connection.place {
        Place::Waiting(order) | Place::Admitted(order) | Place::Held { order, .. } => Some((order, 0)),
        Place::Idle | Place::Refused => None,
    });
    let pushed = ruled.pushed.values().map(|it| (it.order, 0));
    let mut ranks: BTreeMap<u64, u32> = orders.chain(pushed).chain(of_domains.map(|order| (order, 0))).collect();
    for (rank, place) in (1..).zip(ranks.values_mut()) {
        *place = rank;
    }
    ranks
}

impl Ruled {
    fn tell(&self, ranks: &BTreeMap<u64, u32>, places: &[u32], sum: &mut Sum) {
        let Self { limits, pushed } = self;
        let of = |index: Option<usize>| index.map_or(0, |index| places.get(index).copied().unwrap_or(index as u32) + 1);
        for held in limits {
            let Held {
                source,
                sink,
                level,
                pattern,
                ramp_ms,
                cause,
                sticky,
                overrides,
                rule,
                line,
            } = held;
            let (kind, gain) = match level {
                Level::AtMost(gain) => (0, *gain),
                Level::Below(gain) => (1, *gain),
                Level::Silent => (2, 0),
            };
            let flags = u32::from(*sticky) | u32::from(*overrides) << 1;
            let sink = sink.map_or(0, |sink| sink as u32 + 1);
            let numbers = [
                of(*source),
                sink,
                kind,
                u32::from(gain as u16),
                *pattern,
                *ramp_ms,
                of(*cause),
                flags,
            ];
            numbers
                .into_iter()
                .chain([*rule as u32, *line])
                .for_each(|word| sum.add(word));
        }
        for Pushed { source, sink, order } in pushed.values() {
            let rank = ranks.get(order).copied().unwrap_or(0);
            [u32::MAX, of(Some(*source)), *sink as u32, rank]
                .into_iter()
                .for_each(|word| sum.add(word));
        }
    }
}

impl SourceState {
    fn tell(&self, share: &mut Share) {
        let Self {
            available,
            running,
            sounding,
            start_gen: _,
            gain,
            mute,
            shown,
            refused,
        } = self;
        let flags = [*available, *running, *sounding, *mute, *shown == (*gain, *mute)];
        share.words.extend(flags.map(u32::from));
        share.words.push(u32::from(*gain as u16));
        for (sink, Refusal { by, duck, line }) in refused {
            let ramps = [
                *sink as u32,
                u32::from(duck.depth as u16),
                duck.attack_ms,
                duck.release_ms,
            ];
            share.words.extend(ramps);
            share.words.push(line.unwrap_or(0));
            share.others.push(*by);
        }
        share.words.push(u32::MAX);
    }
}

impl Connection {
    fn tell(&self, ranks: &BTreeMap<u64, u32>, holders: &[u32], share: &mut Share) {
        let Self {
            source: _,
            sink,
            automatic,
            state,
            since: _,
            place,
            direct,
            held,
        } = self;
        let rank = |order: &u64| ranks.get(order).copied().unwrap_or(0);
        let (place, detail) = match place {
            Place::Idle => (0, 0),
            Place::Refused => (1, 0),
            Place::Waiting(order) => (2, rank(order)),
            Place::Admitted(order) => (3, rank(order)),
            Place::Held { line, order } => (4 + (*line << 3), rank(order)),
        };
        let flags = u32::from(*automatic) | u32::from(*direct) << 1;
        share
            .words
            .extend([*sink as u32, flags, *state as u32, place, detail, held.len() as u32]);
        share.words.extend(holders);
    }
}

impl SourceHeard {
    fn tell(&self, start_gen: u32, share: &mut Share) {
        let Self { mode: _, decided, taps } = self;
        share.words.push(u32::from(*decided == start_gen));
        taps.iter().for_each(|tap| tap.tell(share));
    }
}

impl Tap {
    fn tell(&self, share: &mut Share) {
        let Self {
            gain,
            ramp_ms: _,
            causes,
            groups,
        } = self;
        share.words.extend([u32::from(*gain as u16), causes.len() as u32]);
        for Cause {
            kind,
            gain,
            since: _,
            line,
        } in causes
        {
            let name = kind
                .name()
                .bytes()
                .take(6)
                .fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
            share.words.extend([name, u32::from(*gain as u16), line.unwrap_or(0)]);
            share.others.extend(kind.by());
        }
        groups.iter().for_each(|group| group.tell(share));
    }
}

/// Two sums of 64 bits.
pub(super) struct Sum([std::collections::hash_map::DefaultHasher; 2]);

impl Sum {
    fn new() -> Self {
        let mut sum = Self(Default::default());
        sum.0[1].write_u32(1);
        sum
    }

    pub fn add(&mut self, word: u32) {
        self.0.iter_mut().for_each(|sum| sum.write_u32(word));
    }

    pub fn all(&mut self, words: impl IntoIterator<Item = u32>) {
        words.into_iter().for_each(|word| self.add(word));
    }

    fn finish(&self) -> u128 {
        let [high, low] = [&self.0[0], &self.0[1]].map(|sum| u128::from(sum.finish()));
        high << 64 | low
    }
}
