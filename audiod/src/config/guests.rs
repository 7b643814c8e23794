//! `[guests.NAME]`: what each guest's device offers, and which of its streams are sources.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mix::MAX_CHANNELS;
use policy::Model;
use policy::file::{Entry, Found, Table, code, is_capture};
use policy::model::Source;
use policy::report::{Diagnostic, Span};
use vhost_sound::block::{MAX_QUEUE, MAX_STREAMS};
use vhost_sound::config::{ChannelMapConfig, DeviceConfig, Direction, JackConfig, StreamConfig};

use super::offer::{Limit, Offer};
use super::windows::{Windows, has_port};
use super::{Context, at_most, twice, words};
use crate::blocks::{MAX_GUESTS, MAX_SOURCES};
use crate::system::{CodecConfig, GuestConfig, SourceConfig, ZoneConfig};

/// Jacks of a guest.
const MAX_JACKS: usize = 16;
/// Longest path of a socket (`sun_path` less its final zero).
const MAX_SOCKET_PATH: usize = 107;

/// What a guest's reader looks things up in.
struct Known<'a> {
    /// Longest period a class can do with, thousandths of a ms.
    periods: Vec<Option<Found<u32>>>,
    model: &'a Model,
    codecs: &'a [CodecConfig],
    zones: &'a [ZoneConfig],
}

/// All guests, and the streams of all guests as sources, in the order of the file.
pub(super) fn guests(
    root: &Table<'_>,
    context: &Context,
    model: &Model,
    codecs: &[CodecConfig],
    zones: &[ZoneConfig],
) -> (Vec<GuestConfig>, Vec<SourceConfig>) {
    let periods = root.entries("classes");
    let longest = |class: &Entry<'_>| class.table.get("max_period_ms")?.thousandths(0.1..=1000.0);
    let known = Known {
        periods: periods.iter().map(longest).collect(),
        model,
        codecs,
        zones,
    };
    let entries = root.entries("guests");
    at_most(&entries, MAX_GUESTS, "guests");
    let mut sockets: BTreeMap<PathBuf, Span> = BTreeMap::new();
    let mut windows = Windows::default();
    let mut sources = Vec::new();
    let guests = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| GuestConfig {
            name: entry.name.to_owned(),
            socket: socket(entry, context, &mut sockets),
            window: windows.window(entry, context),
            device: known.device(entry, index, &mut sources),
        })
        .collect();
    (guests, sources)
}

fn socket(entry: &Entry<'_>, context: &Context, sockets: &mut BTreeMap<PathBuf, Span>) -> PathBuf {
    if has_port(entry) {
        return PathBuf::new();
    }
    let cure = format!(
        "name the vhost-user socket to listen on: `socket = \"{}.sock\"`",
        entry.name
    );
    let Some(text) = entry.table.need("socket", &cure).and_then(|value| value.text()) else {
        return PathBuf::new();
    };
    let path = context.resolve(text.value);
    let length = path.as_os_str().len();
    if length > MAX_SOCKET_PATH {
        let message = format!("a socket's path has at most {MAX_SOCKET_PATH} bytes");
        let found = Diagnostic::error(code::OUT_OF_RANGE, text.span, message);
        let full = format!("with its folder it has {length}: {}", path.display());
        entry
            .table
            .doc()
            .push(found.label(full).help("choose a shorter folder, as /run/carillon"));
    }
    match sockets.get(&path) {
        Some(first) => twice(
            &entry.table,
            text.span,
            *first,
            "two guests can't share a socket".to_owned(),
        ),
        None => drop(sockets.insert(path.clone(), text.span)),
    }
    path
}

impl Known<'_> {
    fn device(&self, entry: &Entry<'_>, guest: usize, sources: &mut Vec<SourceConfig>) -> DeviceConfig {
        let table = &entry.table;
        table.need(
            "streams",
            "name at least one: `streams.media = { class = \"media\", zone = \"cabin\" }`",
        );
        let entries = table.entries("streams");
        at_most(&entries, MAX_STREAMS, "streams of one guest");
        let roles: Vec<&Source> = self
            .model
            .sources
            .iter()
            .skip(sources.len())
            .take(entries.len())
            .collect();
        let home = self.home(table, &roles);
        let codec_period = self
            .codecs
            .get(home)
            .map_or((48, 48_000), |codec| (codec.period, codec.rate));
        let mut streams: Vec<StreamConfig> = Vec::new();
        for (index, (stream, role)) in entries.iter().zip(&roles).enumerate() {
            if sources.len() == MAX_SOURCES {
                let message = format!("there is room for {MAX_SOURCES} streams of all guests");
                let found = Diagnostic::error(code::TOO_MANY, stream.span, message);
                table.doc().push(found.label("one too many"));
            }
            let config = self.stream(stream, role, home, &streams);
            sources.push(SourceConfig {
                name: role.name.clone(),
                guest,
                stream: index,
                safety: config.safety,
                safety_zones: role.safety_sinks.clone(),
                codec: home,
                capture_allowed: may_record(stream),
            });
            self.driver(stream, role, &config, codec_period);
            streams.push(config);
        }
        DeviceConfig {
            guest: entry.name.to_owned(),
            channel_maps: channel_maps(&entries, &streams),
            streams,
            jacks: jacks(table),
            queue_size: queue_size(table),
            codec_period,
        }
    }

    /// Warns when a stock driver can't have the periods that the role needs.
    fn driver(&self, stream: &Entry<'_>, role: &Source, config: &StreamConfig, codec_period: (u32, u32)) {
        let doc = stream.table.doc();
        let Some(offer) = Offer::of(&role.name, config, codec_period) else {
            if config.formats != 0 && config.rates != 0 {
                let message = format!("a stock Linux driver can't use `{}`", role.name);
                let found = Diagnostic::warning(code::PERIOD, stream.span, message);
                let found = found.label("it knows rates to 192 kHz");
                doc.push(found.help("offer a lower rate too, as `rates = [48000]`"));
            }
            return;
        };
        let wanted = self.periods.get(role.class).copied().flatten();
        let Some(wanted) = wanted.filter(|wanted| !offer.capture && offer.period_ms * 1000.0 > f64::from(wanted.value))
        else {
            return;
        };
        let shortest = format!(
            "{} frames, {:.2} ms of {}",
            offer.period_frames, offer.period_ms, offer.format
        );
        let help = match offer.limited_by {
            Limit::Offer => {
                "offer something smaller too: a driver's shortest period is 10 ms of the smallest format, fewest \
                             channels and lowest rate"
            }
            Limit::Codec => "give the codec a shorter `period`",
        };
        let message = format!(
            "`{}` can't have the short periods its class needs from a stock driver",
            role.name
        );
        doc.push(
            Diagnostic::warning(code::PERIOD, stream.span, message)
                .label(format!("its shortest period: {shortest}"))
                .see(wanted.span, "needed here")
                .help(help),
        );
    }

    /// Zones a stream sounds in of its own accord.
    fn zones_of<'s>(&self, role: &'s Source) -> &'s [usize] {
        if role.safety_sinks.is_empty() {
            &role.auto_connect
        } else {
            &role.safety_sinks
        }
    }

    /// The codec whose clock all streams of a guest follow: the one it names, or that of its first stream with a zone. Zones on
    /// other codecs are reached over a bridge.
    fn home(&self, table: &Table<'_>, roles: &[&Source]) -> usize {
        let names: Vec<&str> = self.codecs.iter().map(|codec| codec.name.as_str()).collect();
        let named = table
            .get("codec")
            .and_then(|value| value.name_of("codec", "codecs", &names));
        let by_zone = || {
            let mut zones = roles.iter().flat_map(|role| self.zones_of(role));
            zones
                .next()
                .and_then(|&zone| self.zones.get(zone))
                .map(|zone| zone.codec)
        };
        named.map(|found| found.value).or_else(by_zone).unwrap_or(0)
    }

    fn stream(&self, entry: &Entry<'_>, role: &Source, home: usize, earlier: &[StreamConfig]) -> StreamConfig {
        let table = &entry.table;
        let capture = is_capture(table);
        let direction = if capture {
            Direction::Capture
        } else {
            Direction::Playback
        };
        let widest = if capture {
            self.capture_channels(entry, home)
        } else {
            self.zone_channels(role)
        };
        let (channels_min, channels_max) = channels(table, widest);
        let number = earlier.iter().filter(|stream| stream.direction == direction).count() as u32;
        let class = self.model.classes.get(role.class);
        StreamConfig {
            name: entry.name.to_owned(),
            direction,
            formats: words::formats(table),
            rates: words::rates(table),
            channels_min,
            channels_max,
            safety: !capture && class.is_some_and(|class| class.safety),
            controls: table.bool_or("controls", true),
            nid: table.u32_or("nid", 0..=255, number),
        }
    }

    /// Channels of the widest zone a stream sounds in; of any zone, if it names none.
    fn zone_channels(&self, role: &Source) -> u8 {
        let zones = self.zones_of(role);
        let widest = (self.zones.iter().enumerate())
            .filter(|(index, _)| zones.is_empty() || zones.contains(index))
            .map(|(_, zone)| zone.channels.len())
            .max();
        widest.unwrap_or(2).clamp(1, MAX_CHANNELS) as u8
    }

    fn capture_channels(&self, entry: &Entry<'_>, home: usize) -> u8 {
        let Some(codec) = self.codecs.get(home) else {
            return 1;
        };
        if codec.capture_channels == 0 {
            let span = entry.table.key_span("direction").unwrap_or(entry.span);
            let message = format!("codec `{}` has no input", codec.name);
            let found = Diagnostic::error(code::CONFLICT, span, message).label("nothing to record");
            let help = format!("write `capture_channels = 1` in [codecs.{}]", codec.name);
            entry.table.doc().push(found.help(help));
        }
        codec.capture_channels.clamp(1, MAX_CHANNELS as u32) as u8
    }
}

/// Whether a capture stream may hear the codec's input: `capture = true`.
fn may_record(entry: &Entry<'_>) -> bool {
    let table = &entry.table;
    let allowed = table.bool_or("capture", false);
    let capture = is_capture(table);
    if capture && !allowed {
        let found = Diagnostic::warning(code::NO_EFFECT, entry.span, format!("`{}` records silence", entry.name));
        let found = found.label("a guest hears the codec's input only where the file allows it");
        table.doc().push(found.help("write `capture = true` if it may"));
    }
    if let (false, Some(span)) = (capture, table.key_span("capture")) {
        let found = Diagnostic::error(code::CONFLICT, span, "`capture` goes with `direction = \"capture\"`");
        table.doc().push(found.label("this is a playback stream"));
    }
    capture && allowed
}

/// `channels = 2`, or `channels = [1, 6]`; 1 to the widest, if the file doesn't say.
fn channels(table: &Table<'_>, widest: u8) -> (u8, u8) {
    let Some(value) = table.get("channels") else {
        return (1, widest);
    };
    let items = value.items();
    let counts: Vec<Found<i64>> = items
        .iter()
        .filter_map(|item| item.integer(1..=MAX_CHANNELS as i64))
        .collect();
    match (items.len(), counts.as_slice()) {
        (1, [only]) => (only.value as u8, only.value as u8),
        (2, [fewest, most]) if fewest.value <= most.value => (fewest.value as u8, most.value as u8),
        (1 | 2, counts) if counts.len() < items.len() => (1, widest),
        _ => {
            let cause = "a count, or the fewest and the most as `[1, 2]`";
            value
                .out_of_range("these are no channel counts", cause)
                .unwrap_or((1, widest))
        }
    }
}

fn queue_size(table: &Table<'_>) -> u16 {
    let Some(size) = table.integer("queue_size", 2..=MAX_QUEUE as i64) else {
        return MAX_QUEUE as u16;
    };
    if !(size.value as u64).is_power_of_two() {
        let found = Diagnostic::error(code::OUT_OF_RANGE, size.span, "a queue's size is a power of two");
        let help = format!("did you mean {}?", (size.value as u64).next_power_of_two());
        table.doc().push(found.label("virtio 1.3 §2.7").help(help));
    }
    size.value as u16
}

/// One map for each count of channels that is offered: as the stream's `channel_maps` say, else in the usual order. Streams of
/// one function group and direction share their maps.
fn channel_maps(entries: &[Entry<'_>], streams: &[StreamConfig]) -> Vec<ChannelMapConfig> {
    let mut maps: Vec<(ChannelMapConfig, Option<Span>)> = Vec::new();
    for (entry, stream) in entries.iter().zip(streams) {
        let written = written_maps(entry, stream);
        for count in stream.channels_min..=stream.channels_max {
            let own = written.iter().find(|map| map.value.len() == usize::from(count));
            let usual = || mix::matrix::usual(count.into()).to_vec();
            let map = ChannelMapConfig {
                nid: stream.nid,
                direction: stream.direction,
                positions: own.map_or_else(usual, |map| map.value.clone()),
            };
            let same = |other: &ChannelMapConfig| {
                (other.nid, other.direction, other.positions.len()) == (map.nid, map.direction, map.positions.len())
            };
            match maps.iter().find(|(other, _)| same(other)) {
                None => maps.push((map, own.map(|map| map.span))),
                Some((other, _)) if other.positions == map.positions => {}
                Some((_, first)) => {
                    let (here, there) = (own.map(|map| map.span), *first);
                    let message = format!(
                        "streams of nid {} can't have different maps of {count} channels",
                        stream.nid
                    );
                    let found = Diagnostic::error(code::CONFLICT, here.or(there).unwrap_or(entry.span), message);
                    let found = found.label("they are one PCM device to the guest");
                    entry
                        .table
                        .doc()
                        .push(found.help("give both the same map, or another `nid`"));
                }
            }
        }
    }
    maps.into_iter().map(|(map, _)| map).collect()
}

/// `channel_maps = [["FC"], ["FL", "FR"]]`: at most one of each length, of lengths that are offered.
fn written_maps(entry: &Entry<'_>, stream: &StreamConfig) -> Vec<Found<Vec<u8>>> {
    let wanted = "a list of lists of positions, as `[[\"FL\", \"FR\"]]`";
    let lists = entry.table.get("channel_maps").and_then(|value| value.list(wanted));
    let mut maps: Vec<Found<Vec<u8>>> = Vec::new();
    for list in lists.unwrap_or_default() {
        let Some(items) = list.list(wanted) else { continue };
        let positions: Vec<u8> = items
            .iter()
            .filter_map(|item| Some(words::position(item)?.value))
            .collect();
        let offered = usize::from(stream.channels_min)..=usize::from(stream.channels_max);
        if !offered.contains(&items.len()) {
            let limits = format!("{} to {} channels are offered", offered.start(), offered.end());
            let _: Option<()> = list.out_of_range(format!("a map of {} channels is of no use", items.len()), limits);
        }
        let map = Found {
            value: positions,
            span: list.span,
        };
        match maps.iter().find(|other| other.value.len() == map.value.len()) {
            Some(other) => twice(
                &entry.table,
                map.span,
                other.span,
                "one map is enough for a count of channels".to_owned(),
            ),
            None => maps.push(map),
        }
    }
    maps
}

/// What a jack is for: HDA default device (7.3.3.31), and whether sound comes out of it.
const JACKS: [(&str, (u32, bool)); 5] = [
    ("line-out", (0x0, true)),
    ("speaker", (0x1, true)),
    ("headphone", (0x2, true)),
    ("line-in", (0x8, false)),
    ("mic", (0xa, false)),
];

fn jacks(table: &Table<'_>) -> Vec<JackConfig> {
    let entries = table.entries("jacks");
    at_most(&entries, MAX_JACKS, "jacks of one guest");
    entries.iter().map(jack).collect()
}

fn jack(entry: &Entry<'_>) -> JackConfig {
    let table = &entry.table;
    table.need(
        "kind",
        "say what it is: `kind = \"headphone\"`, or line-out, speaker, line-in, mic",
    );
    let (device, output) = table.word("kind", &JACKS).map_or((0, true), |found| found.value);
    // HDA pin: default device in bits 20 to 23, a 3.5 mm jack in bits 16 to 19; can detect presence, and plays or records.
    const STEREO_JACK: u32 = 0x1 << 16;
    const PRESENCE_DETECT: u32 = 1 << 2;
    let drives = if output { 1 << 4 } else { 1 << 5 };
    JackConfig {
        nid: table.u32_or("nid", 0..=255, 0),
        defconf: table.u32_or("defconf", 0..=u32::MAX, device << 20 | STEREO_JACK),
        caps: table.u32_or("caps", 0..=u32::MAX, PRESENCE_DETECT | drives),
        connected: table.bool_or("connected", true),
    }
}
