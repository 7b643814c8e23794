//! `[volume_groups.NAME]`, `[[activation]]`, `[[startup]]`, the fades of classes and the mirrors of zones.

use super::model::{MAX_RAMP_MS, Names};
use super::{Entry, Found, Table, Value, code};
use crate::report::{Diagnostic, Span};
use crate::usage::{Activation, Fade, Group, Pair, Usage, Window};
use crate::{Model, curve};

/// All of it.
pub(super) fn read(root: &Table<'_>, names: &Names<'_>, model: &mut Model) {
    let mut usage = Usage::default();
    for (index, entry) in root.entries("classes").iter().enumerate() {
        if let Some(fade) = fade(entry, model.classes.get(index).is_some_and(|it| it.safety)) {
            usage.fades.insert(index, fade);
        }
    }
    mirrors(root, names, &mut usage);
    for source in &mut model.sources {
        let more: Vec<usize> = source
            .auto_connect
            .iter()
            .flat_map(|sink| usage.mirrors_of(*sink))
            .collect();
        for sink in more {
            if !source.auto_connect.contains(&sink) {
                source.auto_connect.push(sink);
            }
        }
    }
    let mut taken: Vec<(String, Span)> = Vec::new();
    for entry in root.entries("volume_groups") {
        let group = group(&entry, names, model, &mut taken);
        usage.groups.push(group);
    }
    usage.windows = root
        .tables("activation")
        .iter()
        .filter_map(|it| window(it, names, model))
        .collect();
    usage.startup = startup(root, model);
    model.usage = usage;
}

fn fade(entry: &Entry<'_>, safety: bool) -> Option<Fade> {
    let ms = |key: &'static str| {
        let found = entry.table.integer(key, 0..=MAX_RAMP_MS.into())?;
        if safety {
            let message = format!("`{key}` has no effect here");
            let span = entry.table.key_span(key).unwrap_or(found.span);
            let warning = Diagnostic::warning(code::NO_EFFECT, span, message);
            entry
                .table
                .doc()
                .push(warning.label("a safety class sounds as it was made"));
        }
        u32::try_from(found.value).ok()
    };
    let fade = Fade {
        in_ms: ms("fade_in_ms"),
        out_ms: ms("fade_out_ms"),
    };
    (fade != Fade::default()).then_some(fade)
}

/// `mirrors = "cabin"` of a zone.
fn mirrors(root: &Table<'_>, names: &Names<'_>, usage: &mut Usage) {
    let zones = root.entries("zones");
    let mut found: Vec<(usize, Found<usize>)> = Vec::new();
    for (index, entry) in zones.iter().enumerate() {
        let original = entry
            .table
            .get("mirrors")
            .and_then(|value| value.name_of("zone", "zones", &names.zones));
        found.extend(original.map(|original| (index, original)));
    }
    for (index, original) in &found {
        let chain = found.iter().any(|it| it.0 == original.value);
        if chain {
            let message = "a mirror shows an original";
            let label = if original.value == *index {
                "this is the zone itself"
            } else {
                "this zone is a mirror too"
            };
            let report = Diagnostic::error(code::CONFLICT, original.span, message).label(label);
            root.doc().push(report.help("name the zone that it mirrors"));
            continue;
        }
        usage.mirrors.insert(*index, original.value);
    }
}

fn group(entry: &Entry<'_>, names: &Names<'_>, model: &mut Model, taken: &mut Vec<(String, Span)>) -> Group {
    let table = &entry.table;
    let external: Vec<String> = model.routing.known.sinks.keys().cloned().collect();
    let sinks: Vec<&str> = names
        .zones
        .iter()
        .copied()
        .chain(external.iter().map(String::as_str))
        .collect();
    let sources: Vec<String> = model.sources.iter().map(|it| it.name.clone()).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let of = |key: &'static str, what: &str, plural: &str, names: &[&str]| {
        let found = table.get(key).map(|value| value.names_of(what, plural, names));
        found.unwrap_or_default()
    };
    let found = of("sinks", "sink", "sinks", &sinks);
    let mut group = Group {
        name: entry.name.to_owned(),
        line: table.doc().line(entry.span),
        ..Group::default()
    };
    for sink in &found {
        once(table, &format!("sink {}", sinks[sink.value]), sink.span, taken);
        if sink.value < names.zones.len() {
            group.sinks.push(sink.value);
        } else {
            group.external.push(sinks[sink.value].to_owned());
        }
    }
    let named = of("sources", "source", "sources", &sources);
    let classes = of("classes", "class", "classes", &names.classes);
    members(table, model, (&named, &classes), &mut group);
    let all = named.iter().map(|it| (sources[it.value].to_owned(), it.span));
    let of_class = classes.iter().flat_map(|class| {
        let members = model.sources.iter().filter(|it| it.class == class.value);
        members.map(|it| (it.name.clone(), class.span))
    });
    for (name, span) in all.chain(of_class).collect::<Vec<_>>() {
        once(table, &format!("source {name}"), span, taken);
    }
    if group.sinks.len() + group.external.len() + group.sources.len() < 2 {
        let found = Diagnostic::warning(code::NO_EFFECT, entry.span, "a group of one has no effect");
        let label = "name several `sinks`, or `sources` or `classes`";
        table.doc().push(found.label(label));
    }
    one_scale(table, entry, model, &mut group);
    group
}

/// Sources by name and by class; none of a safety class.
fn members(table: &Table<'_>, model: &Model, (named, classes): (&[Found<usize>], &[Found<usize>]), group: &mut Group) {
    let safety = |span: Span, name: &str| {
        let found = Diagnostic::error(code::SAFETY, span, format!("`{name}` is out of a group's reach"));
        let found = found.label("what is of a safety class always sounds as it was made");
        table.doc().push(found.help("take it out"));
    };
    for source in named {
        if model.protected(source.value) {
            safety(source.span, &model.sources[source.value].name);
        } else {
            group.sources.push(source.value);
        }
    }
    for class in classes {
        if model.classes.get(class.value).is_some_and(|it| it.safety) {
            safety(class.span, &model.classes[class.value].name);
            continue;
        }
        let of_class = model.sources.iter().enumerate().filter(|it| it.1.class == class.value);
        group.sources.extend(of_class.map(|it| it.0));
    }
    group.sources.sort_unstable();
    group.sources.dedup();
}

fn once(table: &Table<'_>, what: &str, span: Span, taken: &mut Vec<(String, Span)>) {
    match taken.iter().find(|it| it.0 == what) {
        Some((_, first)) => {
            let found = Diagnostic::error(code::DUPLICATE, span, format!("{what} is in a group already"));
            table.doc().push(found.label("again here").see(*first, "first here"));
        }
        None => taken.push((what.to_owned(), span)),
    }
}

/// Sinks of a group have one scale, and begin at one volume: the group's, or the one they all give.
fn one_scale(table: &Table<'_>, entry: &Entry<'_>, model: &mut Model, group: &mut Group) {
    let zones = group.sinks.iter().filter_map(|sink| model.sinks.get(*sink));
    let zones = zones.map(|it| (curve::range(&it.curve), Some(it.main_volume)));
    let rules = &model.routing;
    let external = group.external.iter().map(|name| {
        let known = rules.known.sinks.get(name);
        (curve::range(rules.curve_of(name)), known.and_then(|it| it.main_volume))
    });
    let all: Vec<_> = zones.chain(external).collect();
    let Some(&(range, first)) = all.first() else {
        if let Some(span) = table.key_span("volume") {
            table.get("volume");
            let found = Diagnostic::warning(code::NO_EFFECT, span, "`volume` has no effect here");
            table.doc().push(found.label("this group has no sinks"));
        }
        return;
    };
    if all.iter().any(|it| it.0 != range) {
        let found = Diagnostic::error(code::CONFLICT, entry.span, "sinks of a group have one scale");
        let label = "their curves begin or end at different volumes";
        let help = "give them curves from and to the same volumes: what these mean may differ";
        table.doc().push(found.label(label).help(help));
        return;
    }
    let volume = table.integer("volume", range.0.into()..=range.1.into());
    let volume = volume.and_then(|found| i16::try_from(found.value).ok());
    if volume.is_none() && all.iter().any(|it| it.1.is_some() && it.1 != first) {
        let found = Diagnostic::error(code::CONFLICT, entry.span, "sinks of a group begin at one volume");
        let label = "theirs differ";
        table.doc().push(
            found
                .label(label)
                .help("give it here, as `volume = 40`, and take theirs out"),
        );
    }
    for sink in volume.iter().flat_map(|_| group.sinks.iter()) {
        if let (Some(sink), Some(volume)) = (model.sinks.get_mut(*sink), volume) {
            sink.main_volume = volume;
        }
    }
    for name in volume.iter().flat_map(|_| group.external.iter()) {
        if let Some(sink) = model.routing.known.sinks.get_mut(name) {
            sink.main_volume = volume;
        }
    }
}

fn window(table: &Table<'_>, names: &Names<'_>, model: &Model) -> Option<Window> {
    let words = [
        ("boot", Activation::Boot),
        ("source", Activation::Source),
        ("playback", Activation::Playback),
    ];
    table.need("on", "say when, as `on = \"boot\"`, or source, playback");
    let on = table.word("on", &words).map(|found| found.value);
    let sinks = all_or(table.get("zone"), ("zone", "zones"), &names.zones);
    let classes = all_or(table.get("class"), ("class", "classes"), &names.classes);
    let any = || i64::from(i16::MIN)..=i64::from(i16::MAX);
    let (least, most) = (table.integer("min_volume", any()), table.integer("max_volume", any()));
    if least.is_none() && most.is_none() {
        table.need(
            "max_volume",
            "give the range, as `min_volume = 20` and `max_volume = 60`",
        );
    }
    let (from, to) = (
        least.map_or(i64::from(i16::MIN), |it| it.value),
        most.map_or(i64::from(i16::MAX), |it| it.value),
    );
    if from > to {
        let span = most.map_or(table.span(), |it| it.span);
        let found = Diagnostic::error(code::CONFLICT, span, "this window is empty");
        table.doc().push(found.label(format!("`min_volume` is {from}")));
    }
    for sink in sinks.iter().filter_map(|sink| model.sinks.get(*sink)) {
        let range = curve::range(&sink.curve);
        if to < range.0.into() || from > range.1.into() {
            let message = format!("zone `{}` has volumes {} to {}", sink.name, range.0, range.1);
            let found = Diagnostic::error(code::OUT_OF_RANGE, table.span(), message);
            table.doc().push(found.label("none of them is in this window"));
        }
    }
    Some(Window {
        sinks,
        classes,
        on: on?,
        least: from as i16,
        most: to as i16,
        line: table.doc().line(table.span()),
    })
}

/// Indices of names; all of them for `"*"` or if nothing is said.
fn all_or(value: Option<Value<'_>>, (what, plural): (&str, &str), names: &[&str]) -> Vec<usize> {
    match value {
        Some(value) if !value.is_star() => {
            let found = value.names_of(what, plural, names);
            found.into_iter().map(|it| it.value).collect()
        }
        _ => (0..names.len()).collect(),
    }
}

/// `[[startup]]`: a source and a sink.
fn startup(root: &Table<'_>, model: &Model) -> Vec<Pair> {
    let external = &model.routing.known;
    let sources = model.sources.iter().map(|it| it.name.as_str());
    let sources: Vec<&str> = sources.chain(external.sources.keys().map(String::as_str)).collect();
    let sinks = model.sinks.iter().map(|it| it.name.as_str());
    let sinks: Vec<&str> = sinks.chain(external.sinks.keys().map(String::as_str)).collect();
    let mut pairs: Vec<(Pair, Span)> = Vec::new();
    for table in root.tables("startup") {
        let source = table.need("source", "name it, as `source = \"ivi.media\"`");
        let sink = table.need("sink", "say where it is heard, as `sink = \"cabin\"`");
        let source = source.and_then(|value| value.name_of("source", "sources", &sources));
        let sink = sink.and_then(|value| value.name_of("sink", "sinks", &sinks));
        let (Some(source), Some(sink)) = (source, sink) else {
            continue;
        };
        if model.protected(source.value) {
            let message = format!("`{}` always sounds", sources[source.value]);
            let found = Diagnostic::error(code::SAFETY, source.span, message);
            root.doc()
                .push(found.label("what is of a safety class is connected for good"));
        }
        let pair = Pair {
            source: sources[source.value].to_owned(),
            sink: sinks[sink.value].to_owned(),
        };
        match pairs.iter().find(|it| it.0 == pair) {
            Some((_, first)) => {
                let found = Diagnostic::error(code::DUPLICATE, table.span(), "this pair is connected already");
                root.doc().push(found.label("again here").see(*first, "first here"));
            }
            None => pairs.push((pair, table.span())),
        }
    }
    pairs.into_iter().map(|it| it.0).collect()
}
