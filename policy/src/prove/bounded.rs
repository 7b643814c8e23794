//! Domains of other processes, as far as a proof looks at them: those that it is given, or one that stands for any, and a few
//! streams and chimes beside them.

use std::sync::Arc;

use crate::Model;
use crate::effect::EXTERNAL;
use crate::simulate::Cast;
use crate::simulate::cast::{Domain, Gateway, Source};

/// Faults on a way: with the domains of a file, and with one that stands for any.
const OF_A_FILE: u32 = 1;
const OF_ANY: u32 = 2;

/// One exploration with domains.
#[derive(Clone, Debug)]
pub(super) struct With {
    pub cast: Arc<Cast>,
    /// Streams and chimes beside them.
    pub some: Vec<usize>,
    /// Refusals, time-outs and losses there may be on a way. Then domains answer in the order in which they were asked, and nobody
    /// wants anything of them while they owe an answer. `None`: as many as there can be, in any order, at any time.
    pub faults: Option<u32>,
}

/// Sources that make themselves heard and are no protected ones, the least important first.
fn streams(model: &Model) -> Vec<usize> {
    let priority = |source: &usize| {
        let class = model.classes.get(model.sources[*source].class);
        class.map_or(0, |it| it.priority)
    };
    let mut all: Vec<usize> = (0..model.sources.len())
        .filter(|source| !model.protected(*source) && model.sources[*source].visible)
        .collect();
    all.sort_by_key(priority);
    all
}

/// Of the streams the least and the most important, and the first that warns.
fn some(model: &Model) -> Vec<usize> {
    let streams = streams(model);
    let mut warn =
        (0..model.sources.len()).filter(|it| model.protected(*it) && !model.sources[*it].safety_sinks.is_empty());
    let ends = streams.first().into_iter().chain(streams.last());
    let mut some: Vec<usize> = ends.copied().chain(warn.next()).collect();
    some.dedup();
    some
}

/// The domains of a file.
pub(super) fn given(model: &Model, cast: &Cast) -> Vec<With> {
    let cast = Arc::new(cast.clone());
    let with = (!cast.is_empty()).then(|| With {
        cast,
        some: some(model),
        faults: Some(OF_A_FILE),
    });
    with.into_iter().collect()
}

/// The domains that the policy's file knows, or one that stands for any.
pub(super) fn expected(model: &Model) -> Vec<With> {
    match Cast::known(model) {
        known if known.is_empty() => anybody(model),
        known => given(model, &known),
    }
}

/// One domain for any: a tuner alone, then one that is an amplifier of the first zone too, then such an amplifier alone.
pub(super) fn anybody(model: &Model) -> Vec<With> {
    let streams = streams(model);
    let (Some(first), Some(last)) = (streams.first(), streams.last()) else {
        return Vec::new();
    };
    let class = |source: &usize| model.sources[*source].class;
    let source = |name: &str, class| Source {
        name: name.to_owned(),
        class,
    };
    let (input, own) = (
        source("another input", class(first)),
        source("another source", class(last)),
    );
    let domain = |sources: &[&Source], gateway: bool| {
        let gateways = gateway.then_some(Gateway {
            name: "another gateway".to_owned(),
            from: 0,
            to: EXTERNAL,
        });
        let domain = Domain {
            name: "another domain".to_owned(),
            sources: sources.iter().map(|it| (*it).clone()).collect(),
            sinks: vec!["another sink".to_owned()],
            gateways: gateways.into_iter().collect(),
        };
        Arc::new(Cast { domains: vec![domain] })
    };
    let with = |cast, some: &[usize], faults| With {
        cast,
        some: some.to_vec(),
        faults,
    };
    vec![
        with(domain(&[&own], false), &[], None),
        with(domain(&[&input, &own], true), &[*first], Some(OF_ANY)),
        with(domain(&[&input], true), &some(model), Some(OF_ANY)),
    ]
}

/// What the explorations with domains are about.
pub(super) fn abstraction(model: &Model, all: &[With]) -> Vec<String> {
    if all.is_empty() {
        return vec!["domains of other processes (tuner, amplifier) are not there".to_owned()];
    }
    let mut lines = vec![
        "domains of other processes register and are lost; every request is acknowledged, refused or not answered in time; their \
         sources sound on their own; their ends are connected and disconnected; volumes and mutes of their sinks stay; an ack \
         that is too late is dropped by its handle, and is not tried"
            .to_owned(),
    ];
    lines.extend(all.iter().map(|with| line(model, with)));
    lines
}

fn line(model: &Model, With { cast, some, faults }: &With) -> String {
    let names: Vec<&str> = cast.domains.iter().map(|it| it.name.as_str()).collect();
    let beside = some.iter().filter_map(|it| Some(model.sources.get(*it)?.name.as_str()));
    let beside: Vec<&str> = beside.collect();
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let beside = if beside.is_empty() {
        "no stream".to_owned()
    } else {
        format!("only {}", beside.join(", "))
    };
    let how = match faults {
        None => "answers come in any order, and fail as often as they can".to_owned(),
        Some(most) => format!(
            "answers come in order, nobody wants more while one is owed, and of refusals, time-outs and losses there are at most \
             {most} on a way"
        ),
    };
    format!(
        "{} ({}, {}, {}) beside {beside}: {how}",
        names.join(", "),
        count(cast.sources().count(), "source"),
        count(cast.sinks().count(), "sink"),
        count(cast.gateways().count(), "gateway"),
    )
}
