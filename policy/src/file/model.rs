//! The policy's part of the file: classes, the matrix, and what streams, zones and chimes say about themselves.

use std::collections::BTreeSet;

use super::{Document, Entry, Found, Table, Value, code, domains, matrix, properties, rules, suspicious, usage};
use crate::model::{Class, MAX_GROUPS, Model, Sink, Source, Unrouted};
use crate::report::Diagnostic;
use crate::{Db10, MUTE, curve};

/// The version of the file's form.
const VERSION: i64 = 1;
/// Priority of a safety class that gives none: above all others.
const ABOVE_ALL: i64 = 1000;
/// Ramp of volume and mute changes, ms.
const RAMP_MS: u32 = 20;
/// Longest ramp, ms.
pub(super) const MAX_RAMP_MS: u32 = 60_000;
/// mainVolume and what it means, where a zone gives no curve.
const CURVE: [(i16, Db10); 3] = [(0, MUTE), (1, -600), (100, 0)];
/// Prefix of chimes in the list of sources.
const CHIME: &str = "chime";

/// Names of the things that others refer to.
pub(super) struct Names<'d> {
    pub classes: Vec<&'d str>,
    pub zones: Vec<&'d str>,
}

/// Reads the policy's part. Sources come in the order of the file: streams guest by guest, then chimes; sinks in that of the
/// zones. What the model says is meaningless when the document turns out to have errors.
pub fn read(doc: &Document<'_>) -> Model {
    let root = doc.root();
    version(&root);
    let classes = root.entries("classes");
    let zones = root.entries("zones");
    let mut used = BTreeSet::new();
    let names = Names {
        classes: classes.iter().map(|class| class.name).collect(),
        zones: zones.iter().map(|zone| zone.name).collect(),
    };
    let mut groups = Vec::new();
    let sinks = zones.iter().map(|entry| sink(doc, entry, &mut groups)).collect();
    let mut model = Model {
        classes: classes.iter().map(|entry| class(doc, entry)).collect(),
        sinks,
        default_duck: matrix::defaults(&root, &groups),
        groups,
        ..Model::default()
    };
    for guest in root.entries("guests") {
        if guest.name == CHIME {
            let found = Diagnostic::error(code::BAD_NAME, guest.span, "a guest can't be called `chime`");
            doc.push(found.label("chimes are listed as `chime.NAME`"));
        }
        for stream in guest.table.entries("streams") {
            let name = format!("{}.{}", guest.name, stream.name);
            let source = if is_capture(&stream.table) {
                recorder(doc, name, &stream)
            } else {
                let source = self::stream(&names, &model, name, &stream);
                used.insert(source.class);
                source
            };
            model.sources.push(source);
        }
    }
    for entry in root.entries("chimes") {
        let source = chime(&names, &model, &entry);
        used.insert(source.class);
        model.sources.push(source);
    }
    if classes.is_empty() && !model.sources.is_empty() {
        let span = root.key_span("classes").unwrap_or_default();
        let found = Diagnostic::error(code::MISSING_KEY, span, "there is no class");
        let found = found.label("every stream and chime is of a class");
        doc.push(found.help("name at least one, as `[classes.media]`"));
    }
    model.routing = domains::read(&root, &names, &model);
    usage::read(&root, &names, &mut model);
    unused_classes(doc, &classes, &model, used);
    model.cells = matrix::read(&root, &names, &model);
    model.system_properties = properties::read(&root);
    model.rules = rules::read(&root, &model);
    suspicious::look(&root, &model);
    model
}

fn version(root: &Table<'_>) {
    if let Some(version) = root.need("version", "begin the file with `version = 1`")
        && let Some(found) = version.integer(0..=i64::MAX)
        && found.value != VERSION
    {
        let report = Diagnostic::error(
            code::OUT_OF_RANGE,
            found.span,
            format!("version {} is not known", found.value),
        );
        root.doc().push(report.label("this program reads version 1"));
    }
}

/// Whether a stream records: `direction = "capture"`.
pub fn is_capture(stream: &Table<'_>) -> bool {
    let directions = [("playback", false), ("capture", true)];
    stream.word("direction", &directions).is_some_and(|found| found.value)
}

fn class(doc: &Document<'_>, entry: &Entry<'_>) -> Class {
    let safety = entry.table.bool_or("safety", false);
    let priority = entry
        .table
        .integer("priority", -ABOVE_ALL..=ABOVE_ALL)
        .map_or(if safety { ABOVE_ALL } else { 0 }, |found| found.value);
    Class {
        name: entry.name.to_owned(),
        priority: priority as i32,
        safety,
        others_at_most: others_at_most(entry, safety),
        own_volume: entry.table.bool_or("own_volume", false),
        properties: properties::pairs(&entry.table),
        line: doc.line(entry.span),
    }
}

/// `others_at_most_db`: what the matrix has to see to.
fn others_at_most(entry: &Entry<'_>, safety: bool) -> Option<Db10> {
    let ceiling = entry.table.get("others_at_most_db")?;
    let gain = ceiling.gain();
    if !safety {
        let found = Diagnostic::error(
            code::CONFLICT,
            ceiling.span,
            "`others_at_most_db` goes with `safety = true`",
        );
        ceiling.push(found.label(format!("`{}` is no safety class", entry.name)));
    }
    gain.map(|found| found.value)
}

/// The channel groups of a zone; `known` are the names of all zones so far.
fn groups(doc: &Document<'_>, entry: &Entry<'_>, known: &mut Vec<String>) -> Vec<usize> {
    let mut own = Vec::new();
    for item in entry.table.values("groups") {
        let place = known.iter().position(|name| name == item.name);
        if place.is_none() && known.len() == MAX_GROUPS {
            let message = format!("there is room for {MAX_GROUPS} names of channel groups");
            doc.push(Diagnostic::error(code::TOO_MANY, item.span, message).label("one too many"));
            continue;
        }
        own.push(place.unwrap_or_else(|| {
            known.push(item.name.to_owned());
            known.len() - 1
        }));
    }
    own
}

fn sink(doc: &Document<'_>, entry: &Entry<'_>, known_groups: &mut Vec<String>) -> Sink {
    let curve = entry.table.get("curve").and_then(|value| curve(doc, &value));
    let curve = narrowed(&entry.table, curve.unwrap_or_else(|| CURVE.to_vec()));
    let lowest = curve.first().map_or(0, |point| point.0);
    let highest = curve.last().map_or(100, |point| point.0);
    let volume = entry.table.integer("volume", lowest.into()..=highest.into());
    Sink {
        name: entry.name.to_owned(),
        main_volume: volume
            .and_then(|found| i16::try_from(found.value).ok())
            .unwrap_or(highest),
        curve,
        muted: entry.table.bool_or("muted", false),
        visible: entry.table.bool_or("visible", true),
        ramp_ms: entry.table.u32_or("ramp_ms", 0..=MAX_RAMP_MS, RAMP_MS),
        groups: groups(doc, entry, known_groups),
        line: doc.line(entry.span),
    }
}

/// A curve between `min_volume` and `max_volume`: nothing else can be set.
pub(super) fn narrowed(table: &Table<'_>, curve: Vec<(i16, Db10)>) -> Vec<(i16, Db10)> {
    let (lowest, highest) = curve::range(&curve);
    let limit = |key: &'static str| table.integer(key, lowest.into()..=highest.into());
    let (least, most) = (limit("min_volume"), limit("max_volume"));
    let value =
        |found: Option<Found<i64>>, default| found.and_then(|it| i16::try_from(it.value).ok()).unwrap_or(default);
    let (from, to) = (value(least, lowest), value(most, highest));
    if from >= to {
        let span = most.or(least).map_or(table.span(), |found| found.span);
        let found = Diagnostic::error(code::CONFLICT, span, "no volume is left");
        table
            .doc()
            .push(found.label("`min_volume` has to be less than `max_volume`"));
        return curve;
    }
    let between = curve.iter().copied().filter(|it| from < it.0 && it.0 < to);
    let ends = [from, to].map(|volume| (volume, curve::gain(&curve, volume)));
    std::iter::once(ends[0]).chain(between).chain([ends[1]]).collect()
}

/// `[[0, "mute"], [1, -60.0], [100, 0.0]]`: volumes and gains that both rise.
pub(super) fn curve(doc: &Document<'_>, value: &Value<'_>) -> Option<Vec<(i16, Db10)>> {
    let wanted = "a list of pairs of volume and dB, as `[[0, \"mute\"], [1, -60], [100, 0]]`";
    let items = value.list(wanted)?;
    let mut points: Vec<(i16, Db10)> = Vec::new();
    for item in &items {
        let pair = item.list(wanted)?;
        let [volume, gain] = pair.as_slice() else {
            return item.out_of_range("a point of a curve is a pair", format!("has {} values", pair.len()));
        };
        let volume = volume.integer(i16::MIN.into()..=i16::MAX.into())?.value as i16;
        let gain = gain.gain()?.value;
        if points
            .last()
            .is_some_and(|&(before, quieter)| volume <= before || gain < quieter)
        {
            let found = Diagnostic::error(code::OUT_OF_RANGE, item.span, "a curve has to rise from point to point");
            doc.push(
                found
                    .label("lower than the point before")
                    .help("give the points from quiet to loud"),
            );
            return None;
        }
        points.push((volume, gain));
    }
    if points.len() < 2 {
        return value.out_of_range("a curve has at least 2 points", format!("has {}", points.len()));
    }
    Some(points)
}

fn class_of(names: &Names<'_>, table: &Table<'_>) -> Option<Found<usize>> {
    let first = names.classes.first().unwrap_or(&"media");
    let cure = format!("say which class it belongs to, as `class = \"{first}\"`");
    table.need("class", &cure)?.name_of("class", "classes", &names.classes)
}

fn zones_of(names: &Names<'_>, table: &Table<'_>, key: &'static str) -> Vec<usize> {
    let zones = table
        .get(key)
        .map(|value| value.names_of("zone", "zones", &names.zones));
    zones.unwrap_or_default().iter().map(|zone| zone.value).collect()
}

/// Zones of what has to sound somewhere.
fn zones_needed(names: &Names<'_>, table: &Table<'_>, key: &'static str, cure: &str) -> Vec<usize> {
    if let Some(value) = table.need(key, cure)
        && value.items().is_empty()
    {
        let found = Diagnostic::error(code::OUT_OF_RANGE, value.span, "it has to sound somewhere");
        table.doc().push(found.label("names no zone").help(cure));
    }
    zones_of(names, table, key)
}

fn stream(names: &Names<'_>, model: &Model, name: String, entry: &Entry<'_>) -> Source {
    let table = &entry.table;
    let doc = table.doc();
    let class = class_of(names, table).map_or(0, |found| found.value);
    let safety = model.classes.get(class).is_some_and(|class| class.safety);
    let zones = if safety {
        let cure = "a safety stream always sounds: say where, as `zone = \"cabin\"`";
        zones_needed(names, table, "zone", cure)
    } else {
        zones_of(names, table, "zone")
    };
    if safety {
        let always = "a safety stream always sounds as its guest made it";
        for key in ["gain_db", "unrouted"].iter().filter_map(|key| table.key_span(key)) {
            doc.push(Diagnostic::warning(code::NO_EFFECT, key, "this has no effect").label(always));
        }
    }
    let rules = [("discard", Unrouted::Discard), ("stall", Unrouted::Stall)];
    let unrouted = table.word("unrouted", &rules);
    let gain = table.gain_or("gain_db", 0);
    let (auto_connect, safety_sinks) = if safety {
        (Vec::new(), zones)
    } else {
        (zones, Vec::new())
    };
    Source {
        name,
        class,
        auto_connect,
        safety_sinks,
        unrouted: unrouted.map_or(Unrouted::Discard, |found| found.value),
        gain: if safety { 0 } else { gain },
        visible: table.bool_or("visible", true),
        line: doc.line(entry.span),
    }
}

/// A capture stream: it has an index among the sources, but nothing is routed.
fn recorder(doc: &Document<'_>, name: String, entry: &Entry<'_>) -> Source {
    Source {
        name,
        class: 0,
        auto_connect: Vec::new(),
        safety_sinks: Vec::new(),
        unrouted: Unrouted::Discard,
        gain: 0,
        visible: false,
        line: doc.line(entry.span),
    }
}

fn chime(names: &Names<'_>, model: &Model, entry: &Entry<'_>) -> Source {
    let table = &entry.table;
    let doc = table.doc();
    let class = class_of(names, table);
    if let Some(found) = class
        && let Some(class) = model.classes.get(found.value)
        && !class.safety
    {
        let message = format!("class `{}` of a chime is not a safety class", class.name);
        doc.push(
            Diagnostic::error(code::SAFETY, found.span, message)
                .label("chimes sound above the policy")
                .help(format!(
                    "write `safety = true` in [classes.{}], or use another class",
                    class.name
                )),
        );
    }
    let zones = zones_needed(names, table, "zones", "say where it sounds, as `zones = [\"cabin\"]`");
    Source {
        name: format!("{CHIME}.{}", entry.name),
        class: class.map_or(0, |found| found.value),
        auto_connect: Vec::new(),
        safety_sinks: zones,
        unrouted: Unrouted::Discard,
        gain: table.gain_or("gain_db", 0),
        visible: false,
        line: doc.line(entry.span),
    }
}

/// Classes that nothing is of: `used` are those of streams that play and of chimes.
fn unused_classes(doc: &Document<'_>, classes: &[Entry<'_>], model: &Model, mut used: BTreeSet<usize>) {
    used.extend(model.routing.known.sources.values().filter_map(|it| it.end.class));
    used.extend(model.routing.known.sinks.values().filter_map(|it| it.end.class));
    for (index, entry) in classes.iter().enumerate().filter(|(index, _)| !used.contains(index)) {
        let message = format!("no stream and no chime is of class `{}`", model.classes[index].name);
        let found = Diagnostic::warning(code::UNUSED, entry.span, message).label("nothing sounds in it");
        doc.push(found.help("name it as the `class` of a stream, or take it out"));
    }
}
