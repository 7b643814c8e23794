//! Random legal models and random events.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::fixture::{class, safety, sink, source};
use crate::command::Call;
use crate::event::Event;
use crate::model::{Cell, Class, Duck, Holder, Model, Newcomer, Sink, Source, Unrouted};

fn duck() -> impl Strategy<Value = Duck> {
    let group = || prop_oneof![Just(None), (-400_i16..=0).prop_map(Some)];
    let groups = (group(), group());
    (-400_i16..=0, groups, 0_u32..2000, 0_u32..2000).prop_map(|(depth, groups, attack_ms, release_ms)| Duck {
        depth,
        groups: [groups.0, groups.1, None, None],
        attack_ms,
        release_ms,
    })
}

fn cell() -> impl Strategy<Value = Cell> {
    let holder = select(vec![Holder::Mix, Holder::Duck, Holder::Pause, Holder::Stop]);
    let newcomer = select(vec![Newcomer::Play, Newcomer::Play, Newcomer::Delay, Newcomer::Reject]);
    (holder, newcomer, duck()).prop_map(|(holder, newcomer, duck)| Cell {
        holder,
        newcomer,
        duck,
        line: Some(99),
    })
}

/// The first class is an ordinary one, the last one a safety class.
fn classes() -> impl Strategy<Value = Vec<Class>> {
    vec(-2_i32..3, 1..4).prop_map(|priorities| {
        let mut classes: Vec<Class> = (priorities.iter().enumerate())
            .map(|(index, priority)| class(&format!("class{index}"), *priority, false))
            .collect();
        classes.push(class("warning", 1000, true));
        classes
    })
}

fn sinks() -> impl Strategy<Value = Vec<Sink>> {
    let groups = select(vec![vec![], vec![], vec![0], vec![1, 0]]);
    vec((0_i16..=10, any::<bool>(), 0_u32..100, groups), 1..=3).prop_map(|sinks| {
        let described = sinks
            .iter()
            .enumerate()
            .map(|(index, (volume, muted, ramp_ms, groups))| Sink {
                main_volume: *volume,
                muted: *muted,
                ramp_ms: *ramp_ms,
                groups: groups.clone(),
                ..sink(&format!("zone{index}"))
            });
        described.collect()
    })
}

/// A stream, a safety stream or a chime.
fn one_source(index: usize, classes: usize, sinks: usize) -> impl Strategy<Value = Source> {
    let sinks: Vec<usize> = (0..sinks).collect();
    let some = subsequence(sinks.clone(), 0..=sinks.len());
    let unrouted = select(vec![Unrouted::Discard, Unrouted::Stall]);
    let stream =
        (0..classes - 1, some, unrouted, -300_i16..=0).prop_map(move |(class, zones, unrouted, gain)| Source {
            unrouted,
            gain,
            ..source(&format!("guest{index}.stream"), class, &zones)
        });
    let warning = classes - 1;
    let always = subsequence(sinks.clone(), 1..=sinks.len());
    let protected = (always, any::<bool>()).prop_map(move |(zones, chime)| {
        let name = if chime {
            format!("chime.c{index}")
        } else {
            format!("partition{index}.tone")
        };
        safety(&name, warning, &zones)
    });
    prop_oneof![4 => stream, 1 => protected]
}

/// A model as the file reader could have made it, all of it visible.
pub(super) fn model() -> impl Strategy<Value = Model> {
    (classes(), sinks(), 1_usize..=6).prop_flat_map(|(classes, sinks, sources)| {
        let (kinds, zones) = (classes.len(), sinks.len());
        let sources: Vec<_> = (0..sources).map(|index| one_source(index, kinds, zones)).collect();
        let cells = btree_map((0..kinds, 0..kinds), cell(), 0..=6);
        (Just(classes), Just(sinks), sources, cells, duck()).prop_map(assemble)
    })
}

type Parts = (Vec<Class>, Vec<Sink>, Vec<Source>, BTreeMap<(usize, usize), Cell>, Duck);

fn assemble((classes, sinks, sources, cells, default_duck): Parts) -> Model {
    Model {
        classes,
        sources,
        sinks,
        groups: vec!["front".to_owned(), "rear".to_owned()],
        cells,
        default_duck,
        system_properties: Vec::new(),
        routing: crate::routing::Rules::default(),
        rules: crate::rules::Program::default(),
        usage: crate::usage::Usage::default(),
    }
}

/// An ID: mostly one that exists.
fn id() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 101_u16..107, 1 => any::<u16>()]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => (id(), id()).prop_map(|(source, sink)| Call::Connect { source, sink }),
        2 => (1_u16..10).prop_map(|connection| Call::Disconnect { connection }),
        1 => (id(), any::<i16>()).prop_map(|(sink, volume)| Call::SetVolume { sink, volume }),
        1 => (id(), any::<i16>()).prop_map(|(sink, step)| Call::VolumeStep { sink, step }),
        1 => (id(), 0_i16..4).prop_map(|(sink, state)| Call::SetSinkMuteState { sink, state }),
        1 => (id(), any::<i16>()).prop_map(|(source, gain)| Call::SetSourceGain { source, gain }),
        1 => (id(), 0_i16..4).prop_map(|(source, state)| Call::SetSourceMute { source, state }),
        1 => id().prop_map(|sink| Call::GetVolume { sink }),
        1 => (1_u16..10).prop_map(|connection| Call::GetTimingInformation { connection }),
        1 => Just(Call::GetListMainConnections),
        1 => Just(Call::GetListMainSources),
        1 => Just(Call::GetListMainSinks),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let source = || 0_usize..7;
    prop_oneof![
        8 => (source(), any::<u32>()).prop_map(|(source, start_gen)| Event::StreamStarted { source, start_gen }),
        3 => source().prop_map(|source| Event::StreamStopped { source }),
        3 => source().prop_map(|source| Event::StreamReleased { source }),
        1 => (source(), any::<bool>()).prop_map(|(source, available)| Event::Available { source, available }),
        1 => (source(), any::<i16>(), any::<bool>())
            .prop_map(|(source, gain, mute)| Event::UserGain { source, gain, mute }),
        3 => (source(), any::<bool>()).prop_map(|(source, on)| Event::Sounding { source, on }),
        6 => (any::<u64>(), call()).prop_map(|(token, call)| Event::Call { token, call }),
        1 => Just(Event::Tick),
    ]
}

/// Events with the time that passes before each.
pub(super) fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    vec((0_u64..100, event()), 0..40)
}
