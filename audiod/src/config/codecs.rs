//! `[codecs.NAME]` and `[zones.NAME]`.

use std::path::PathBuf;

use mix::MAX_CHANNELS;
use policy::file::{Entry, Found, Item, Table, code};
use policy::report::{Diagnostic, Span};

use super::{Context, at_most, twice, words};
use crate::blocks::MAX_ZONES;
use crate::codec::sim;
use crate::system::{Backend, CaptureSource, ChannelGroup, CodecConfig, CodecFormat, ZoneConfig};

/// Codecs in a system: one engine, and so one real-time thread, each.
pub const MAX_CODECS: usize = 4;
/// Periods a codec may be filled ahead.
const MAX_LEAD: u32 = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alsa,
    Cpal,
    Wav,
    Null,
}

const KINDS: [(&str, Kind); 4] = [
    ("alsa", Kind::Alsa),
    ("cpal", Kind::Cpal),
    ("wav", Kind::Wav),
    ("null", Kind::Null),
];

/// All codecs, in the order of the file.
pub(super) fn codecs(root: &Table<'_>, context: &Context) -> Vec<CodecConfig> {
    root.need(
        "codecs",
        "name at least one codec: `[codecs.main]` with `backend = \"null\"`",
    );
    let entries = root.entries("codecs");
    at_most(&entries, MAX_CODECS, "codecs");
    let codecs: Vec<CodecConfig> = entries.iter().map(|entry| codec(entry, context)).collect();
    same_places(&entries, &codecs);
    codecs
}

fn codec(entry: &Entry<'_>, context: &Context) -> CodecConfig {
    let table = &entry.table;
    let rate = table.u32_or("rate", 8_000..=384_000, 48_000);
    let most = MAX_CHANNELS as u32;
    let formats = [
        ("S16", CodecFormat::S16),
        ("S24", CodecFormat::S24),
        ("S32", CodecFormat::S32),
        ("FLOAT", CodecFormat::F32),
    ];
    let config = CodecConfig {
        name: entry.name.to_owned(),
        backend: backend(table, context),
        rate,
        channels: table.u32_or("channels", 1..=most, 2),
        capture_channels: table.u32_or("capture_channels", 0..=most, 0),
        capture: capture(table),
        format: table
            .word("format", &formats)
            .map_or(CodecFormat::S16, |found| found.value),
        period: table.u32_or("period", 16..=1024, (rate / 1000).clamp(16, 1024)),
        lead: table.u32_or("lead", 2..=MAX_LEAD, 2),
    };
    let ahead = u64::from(config.period * config.lead);
    let simulated = matches!(config.backend, Backend::Wav { .. } | Backend::Null);
    if simulated && ahead > sim::RING_FRAMES / 2 {
        let span = table.key_span("lead").unwrap_or(entry.span);
        let message = format!("a lead of {ahead} frames is too long for the simulated card");
        let limit = format!("`period` x `lead` is at most {}", sim::RING_FRAMES / 2);
        table
            .doc()
            .push(Diagnostic::error(code::OUT_OF_RANGE, span, message).label(limit));
    }
    config
}

/// What the input of a simulated card hears.
fn capture(table: &Table<'_>) -> CaptureSource {
    let sources = [
        ("silence", CaptureSource::Silence),
        ("loopback", CaptureSource::Loopback),
        ("counter", CaptureSource::Counter),
    ];
    let source = table.word("capture", &sources);
    source.map_or(CaptureSource::Silence, |found| found.value)
}

fn backend(table: &Table<'_>, context: &Context) -> Backend {
    table.need(
        "backend",
        "say how the codec is reached: `backend = \"alsa\"`, or cpal, wav, null",
    );
    let kind = table.word("backend", &KINDS).map(|found| found.value);
    let device = table.get("device").and_then(|value| value.text());
    let path = table.get("path").and_then(|value| value.text());
    let belongs = |key: &'static str, to: &[Kind], names: &str| {
        if let (Some(kind), Some(span)) = (kind, table.key_span(key))
            && !to.contains(&kind)
        {
            let found = Diagnostic::error(code::CONFLICT, span, format!("`{key}` doesn't go with this backend"));
            table.doc().push(found.label(format!("it goes with {names}")));
        }
    };
    belongs("device", &[Kind::Alsa, Kind::Cpal], "alsa and cpal");
    belongs("path", &[Kind::Wav], "wav");
    belongs(
        "capture",
        &[Kind::Wav, Kind::Null],
        "wav and null: a real card hears its own input",
    );
    match kind {
        Some(Kind::Alsa) => {
            table.need(
                "device",
                "name it as in `aplay -D`: `device = \"hw:0,0\"`; `audiod doctor --codec` lists them",
            );
            Backend::Alsa {
                device: device.map_or_else(String::new, |found| found.value.to_owned()),
            }
        }
        Some(Kind::Cpal) => Backend::Cpal {
            device: device.map(|found| found.value.to_owned()),
        },
        Some(Kind::Wav) => {
            table.need("path", "name the file to write: `path = \"cabin.wav\"`");
            Backend::Wav {
                path: path.map_or_else(PathBuf::new, |found| context.resolve(found.value)),
            }
        }
        Some(Kind::Null) | None => Backend::Null,
    }
}

/// Two codecs that are one device or file.
fn same_places(entries: &[Entry<'_>], codecs: &[CodecConfig]) {
    for (index, codec) in codecs.iter().enumerate() {
        let Some(first) = codecs
            .iter()
            .take(index)
            .position(|other| other.backend == codec.backend)
        else {
            continue;
        };
        let key = match codec.backend {
            Backend::Alsa { .. } | Backend::Cpal { .. } => "device",
            Backend::Wav { .. } => "path",
            Backend::Null => continue,
        };
        let at = |index: usize| {
            let entry: &Entry<'_> = &entries[index];
            entry.table.key_span(key).unwrap_or(entry.span)
        };
        let names = (&codec.name, &codecs[first].name);
        let message = format!("codecs `{}` and `{}` are the same {key}", names.1, names.0);
        twice(&entries[index].table, at(index), at(first), message);
    }
}

/// All zones, in the order of the file.
pub(super) fn zones(root: &Table<'_>, codecs: &[CodecConfig]) -> Vec<ZoneConfig> {
    root.need(
        "zones",
        "name at least one zone: `[zones.cabin]` with `codec = \"main\"`",
    );
    let entries = root.entries("zones");
    at_most(&entries, MAX_ZONES, "zones");
    let names: Vec<&str> = codecs.iter().map(|codec| codec.name.as_str()).collect();
    let mut taken: Vec<(usize, u32, Span)> = Vec::new();
    let zones: Vec<ZoneConfig> = (entries.iter())
        .map(|entry| zone(entry, codecs, &names, &mut taken))
        .collect();
    let groups: usize = zones.iter().map(|zone| zone.groups.len()).sum();
    if let Some(entry) = entries.iter().rfind(|entry| entry.table.key_span("groups").is_some())
        && zones.len() + groups > MAX_ZONES
    {
        let message = format!(
            "{} zones and {groups} channel groups: there is room for {MAX_ZONES} together",
            zones.len()
        );
        let span = entry.table.key_span("groups").unwrap_or(entry.span);
        root.doc()
            .push(Diagnostic::error(code::TOO_MANY, span, message).label("the last of them"));
    }
    zones
}

fn zone(entry: &Entry<'_>, codecs: &[CodecConfig], names: &[&str], taken: &mut Vec<(usize, u32, Span)>) -> ZoneConfig {
    let table = &entry.table;
    let cure = format!(
        "say which codec it is on, as `codec = \"{}\"`",
        names.first().unwrap_or(&"main")
    );
    let codec = table
        .need("codec", &cure)
        .and_then(|value| value.name_of("codec", "codecs", names));
    let channels = channels(entry, codec.and_then(|found| codecs.get(found.value)));
    if let Some(codec) = codec {
        for channel in &channels {
            overlap(table, codec.value, channel, taken);
        }
    }
    ZoneConfig {
        name: entry.name.to_owned(),
        codec: codec.map_or(0, |found| found.value),
        positions: positions(table, channels.len()),
        groups: groups(table, &channels),
        channels: channels.iter().map(|found| found.value).collect(),
    }
}

/// The channel groups of a zone: each channel is in one at most.
fn groups(table: &Table<'_>, channels: &[Found<u32>]) -> Vec<ChannelGroup> {
    let mut taken: Vec<(u32, Span)> = Vec::new();
    let group = |item: &Item<'_>| {
        let listed = item.value.list("a list of the zone's channels, as `[0, 1]`");
        if listed.as_ref().is_some_and(Vec::is_empty) {
            let found = Diagnostic::error(code::OUT_OF_RANGE, item.span, "there is nothing in this channel group");
            table.doc().push(found.label("names no channel"));
        }
        let listed = listed.unwrap_or_default();
        let mut bits = 0;
        for value in &listed {
            let Some(found) = value.integer(0..=MAX_CHANNELS as i64 - 1) else {
                continue;
            };
            match channels.iter().position(|it| i64::from(it.value) == found.value) {
                Some(place) => bits |= 1 << place,
                None => not_in_zone(table, found, channels),
            }
            let channel = found.value as u32;
            match taken.iter().find(|(other, _)| *other == channel) {
                Some((_, first)) => {
                    let message = format!("channel {channel} is in a group already");
                    twice(table, found.span, *first, message);
                }
                None => taken.push((channel, found.span)),
            }
        }
        ChannelGroup {
            name: item.name.to_owned(),
            channels: bits,
        }
    };
    table.values("groups").iter().map(group).collect()
}

fn not_in_zone(table: &Table<'_>, channel: Found<i64>, channels: &[Found<u32>]) {
    let message = format!("channel {} is none of this zone's", channel.value);
    let own: Vec<String> = channels.iter().map(|it| it.value.to_string()).collect();
    let found = Diagnostic::error(code::UNKNOWN_NAME, channel.span, message);
    table
        .doc()
        .push(found.label(format!("its channels: {}", own.join(", "))));
}

/// The codec's channels of a zone; all of them if it doesn't say.
fn channels(entry: &Entry<'_>, codec: Option<&CodecConfig>) -> Vec<Found<u32>> {
    let most = codec.map_or(MAX_CHANNELS as u32, |codec| codec.channels);
    let all = || -> Vec<Found<u32>> {
        let at = |channel| Found {
            value: channel,
            span: entry.span,
        };
        (0..most).map(at).collect()
    };
    let Some(value) = entry.table.get("channels") else {
        return all();
    };
    let Some(items) = value.list("a list of the codec's channels, as `[0, 1]`") else {
        return all();
    };
    if items.is_empty() || items.len() > MAX_CHANNELS {
        let _: Option<()> = value.out_of_range("a zone has 1 to 8 channels", format!("has {}", items.len()));
    }
    (items.iter())
        .filter_map(|item| {
            let found = item.integer(0..=i64::from(most) - 1)?;
            Some(Found {
                value: u32::try_from(found.value).ok()?,
                span: found.span,
            })
        })
        .collect()
}

fn overlap(table: &Table<'_>, codec: usize, channel: &Found<u32>, taken: &mut Vec<(usize, u32, Span)>) {
    let earlier = taken
        .iter()
        .find(|(other, number, _)| (*other, *number) == (codec, channel.value));
    match earlier {
        Some((_, _, first)) => {
            let message = format!("channel {} of this codec is taken", channel.value);
            twice(table, channel.span, *first, message);
        }
        None => taken.push((codec, channel.value, channel.span)),
    }
}

fn positions(table: &Table<'_>, channels: usize) -> Vec<u8> {
    let usual = || mix::matrix::usual(channels).to_vec();
    let Some(value) = table.get("positions") else {
        return usual();
    };
    let Some(items) = value.list("a list of positions, as `[\"FL\", \"FR\"]`") else {
        return usual();
    };
    let positions: Vec<u8> = items
        .iter()
        .filter_map(|item| words::position(item).map(|found| found.value))
        .collect();
    if items.len() != channels {
        let cause = format!("positions: {}, channels: {channels}", items.len());
        let _: Option<()> = value.out_of_range("each channel has one position", cause);
    }
    positions
}

/// Codecs without a zone.
pub(super) fn unused(root: &Table<'_>, zones: &[ZoneConfig]) {
    for (index, entry) in root.entries("codecs").iter().enumerate() {
        if !zones.iter().any(|zone| zone.codec == index) {
            let message = format!("no zone is on codec `{}`", entry.name);
            let found = Diagnostic::warning(code::UNUSED, entry.span, message).label("plays silence only");
            let help = format!("let a zone name it, as `codec = \"{}\"`, or take it out", entry.name);
            root.doc().push(found.help(help));
        }
    }
}
